package link_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/link"
)

// run is a batch that begins at an offset: true is a record there, false nothing.
func run(t *testing.T, at record.Offset, codec record.Codec, there ...bool) []byte {
	t.Helper()
	b := record.NewBuilder()
	for _, is := range there {
		if is {
			b.Add(&record.Record{Timestamp: 1, Value: []byte("v")})
		} else {
			b.Skip(1)
		}
	}
	p, err := b.Finish(nil, codec)
	if err != nil {
		t.Fatal(err)
	}
	record.PatchBatch(p, at, 3)
	return p
}

func TestTail_UpToTheNextRecord(t *testing.T) {
	t.Parallel()
	join := func(ps ...[]byte) (out []byte) {
		for _, p := range ps {
			out = append(out, p...)
		}
		return out
	}
	hole, last := run(t, 100, 0, false, false, false), run(t, 96, record.Zstd, true, true, false, false)
	for name, c := range map[string]struct {
		p    []byte
		want record.Offset
	}{
		"nothing":                  {nil, 98},
		"ends in a hole":           {last, 100},
		"and another":              {join(last, hole), 103},
		"a record behind it":       {join(last, hole, run(t, 103, 0, true)), 103},
		"a record in the middle":   {join(last, run(t, 100, record.Gzip, false, true, false), hole), 100},
		"a record right there":     {run(t, 97, 0, true, true), 98},
		"cut off":                  {join(last, hole[:len(hole)-1]), 100},
		"offsets that are no more": {run(t, 120, 0, false), 121},
		"another format":           {append([]byte{16: 1}, hole...), 98},
	} {
		if got := link.Bare(c.p, 98); got != c.want {
			t.Errorf("%s: up to %d, expected %d", name, got, c.want)
		}
	}
}

// What a partition ends in may be gone: the batch is empty, or there is none. It is copied as that, and the link can be switched.
func TestLink_EndsInNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{"no batch": nil, "an empty batch": run(t, 5, 0, false, false, false)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, l := newOld(t), newLeat(t)
			o.topic("orders", 1, nil)
			o.produce(o.client(), "orders", 0, 0, 5)
			var asked atomic.Int64
			o.answer(8, func(p *kmsg.FetchResponseTopicPartition) {
				asked.Add(1)
				p.RecordBatches = answer
			})
			l.linker.Believe(time.Millisecond)
			l.link("l", link.Settings{From: o.from})
			l.until("it has the records", func() bool { return l.ends("orders", 0) >= 5 })
			if err := l.linker.Switch(context.Background(), l.c, "l", patience); err != nil {
				t.Fatal(err)
			}
			if got := l.ends("orders", 0); got != 8 {
				t.Errorf("it ends at %d", got)
			}
			if got := l.records("orders", 0); len(got) != 5 {
				t.Errorf("%d records", len(got))
			}
			if n := asked.Load(); answer == nil && n < 3 {
				t.Errorf("%d answers without a batch were enough", n)
			}
		})
	}
}

// What is not all there yet, as of a log of which a part is elsewhere, is not taken for nothing.
func TestLink_WhatTakesLongerIsNotNothing(t *testing.T) {
	t.Parallel()
	yes := "true"
	for name, c := range map[string]struct {
		configs map[string]*string
		believe time.Duration
		most    int64
		answer  func(n int64, p *kmsg.FetchResponseTopicPartition)
	}{
		"it comes in the end": {nil, time.Millisecond, 5, func(n int64, p *kmsg.FetchResponseTopicPartition) {
			if n%3 == 0 {
				p.RecordBatches = run(t, 5, 0, true, false, false)
			}
		}},
		"of an open transaction": {nil, time.Millisecond, 6, func(_ int64, p *kmsg.FetchResponseTopicPartition) { p.LastStableOffset = 6 }},
		"refused":                {nil, time.Millisecond, 5, func(_ int64, p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = 78 }},
		"too soon":               {nil, time.Hour, 5, func(int64, *kmsg.FetchResponseTopicPartition) {}},
		"elsewhere":              {map[string]*string{"remote.storage.enable": &yes}, time.Millisecond, 5, func(int64, *kmsg.FetchResponseTopicPartition) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, l := newOld(t), newLeat(t)
			o.topic("orders", 1, c.configs)
			o.produce(o.client(), "orders", 0, 0, 5)
			var asked atomic.Int64
			o.answer(8, func(p *kmsg.FetchResponseTopicPartition) { c.answer(asked.Add(1), p) })
			l.linker.Believe(c.believe)
			l.link("l", link.Settings{From: o.from})
			l.until("it copies", func() bool { return l.ends("orders", 0) >= 5 })
			switched := make(chan error)
			go func() { switched <- l.linker.Switch(context.Background(), l.c, "l", patience) }()
			l.until("it has asked often enough", func() bool { return asked.Load() > 6 })
			if got := l.ends("orders", 0); got > c.most {
				t.Errorf("it ends at %d", got)
			}
			if s, _ := l.linker.State(broker.DefaultNamespace, "l"); s.Why != "" {
				t.Errorf("%+v", s)
			}
			l.link("l", link.Settings{From: o.from, Mode: link.ModePause})
			if err := <-switched; err == nil {
				t.Error("it was switched")
			}
		})
	}
}

// answer has the cluster say that partition 0 of its topic ends at an offset, and answer those who fetch outside of a session as say has it.
func (o *old) answer(end int64, say func(*kmsg.FetchResponseTopicPartition)) {
	o.cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		o.cluster.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		if req.Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false
		}
		resp, t, p := req.ResponseKind().(*kmsg.ListOffsetsResponse), kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
		t.Topic, p.Offset = req.Topics[0].Topic, end
		t.Partitions = append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		return resp, nil, true
	})
	o.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		o.cluster.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if req.SessionEpoch != -1 || len(req.Topics) == 0 { // those of sessions, and the end of one, are others
			return nil, nil, false
		}
		resp, t, p := req.ResponseKind().(*kmsg.FetchResponse), kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset = end, end, 0
		say(&p)
		t.Topic, t.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		t.Partitions = append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		return resp, nil, true
	})
}
