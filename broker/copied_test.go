package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
)

// copies puts records at offsets of their own into a linked stream.
type copies struct {
	h      *house
	stream string
	next   record.Offset
	there  map[record.Offset]string
	b      *record.Builder
}

func (c *copies) send(at record.Offset, p []byte) broker.BatchResult {
	c.h.t.Helper()
	e := broker.BatchEntry{Stream: c.stream, Batch: p, Copied: true, At: at}
	return c.h.b.SubmitBatches(context.Background(), c.h.c, broker.BatchAppend{Entries: []broker.BatchEntry{e}}).Wait(context.Background())[0]
}

// batch appends n records with holes before, between and behind them.
func (c *copies) batch(r *rand.Rand, n int) {
	c.h.t.Helper()
	c.b.Reset()
	hole := func() {
		if r.IntN(3) == 0 {
			c.b.Skip(int64(r.IntN(40)))
		}
	}
	for range n {
		hole()
		o := c.next + record.Offset(c.b.Span())
		v := value(fmt.Sprint("at ", o))
		c.b.Add(&record.Record{Timestamp: 1000 + int64(o), Key: fmt.Append(nil, "k", o%5), Value: []byte(v)})
		c.there[o] = v
	}
	if hole(); c.b.Span() == 0 {
		c.b.Skip(1)
	}
	p, err := c.b.Finish(nil, record.Codec(r.IntN(5)))
	if err != nil {
		c.h.t.Fatal(err)
	}
	if got := c.send(c.next, p); got.Err != nil || got.Base != c.next {
		c.h.t.Fatalf("%+v, expected at %d", got, c.next)
	}
	c.next += record.Offset(c.b.Span())
}

func (c *copies) check(when string) {
	h := c.h
	h.t.Helper()
	for name, events := range map[string][]*broker.Delivered{"forward": h.all(c.stream), "backward": h.backward(c.stream)} {
		if len(events) != len(c.there) {
			h.t.Fatalf("%s, %s: %d events, expected %d", when, name, len(events), len(c.there))
		}
		for i, d := range events {
			if v := c.there[d.Ref.Offset]; v != string(d.Record.Value) || d.Record.Timestamp != 1000+int64(d.Ref.Offset) || i > 0 && d.Ref.Offset <= events[i-1].Ref.Offset {
				h.t.Fatalf("%s, %s: offset %d has %q at %d", when, name, d.Ref.Offset, d.Record.Value, d.Record.Timestamp)
			}
		}
	}
	for o := range c.next {
		d, err := h.b.ReadRef(context.Background(), h.c, record.Ref{Stream: c.stream, Offset: o})
		if v, ok := c.there[o]; ok != (err == nil) || err != nil && !fault.Is(err, fault.NotFound) || ok && string(d.Record.Value) != v {
			h.t.Fatalf("%s: offset %d: %v", when, o, err)
		}
	}
	n := 0
	for k := range 5 {
		n += len(h.ofKey(c.stream, fmt.Sprint("k", k)))
	}
	if n != len(c.there) {
		h.t.Fatalf("%s: %d events by key, expected %d", when, n, len(c.there))
	}
	info, err := h.b.DescribeStream(context.Background(), h.c, c.stream)
	if err != nil || info.Partitions[0].End != c.next {
		h.t.Fatalf("%s: %+v, %v; expected to end at %d", when, info.Partitions, err, c.next)
	}
}

// delivered works a subscription off.
func (c *copies) delivered(name string, want map[record.Offset]string) {
	h := c.h
	h.t.Helper()
	seen := map[record.Offset]bool{}
	for len(seen) < len(want) {
		ds := h.receive(name, 1)
		o := ds[0].Ref.Offset
		if seen[o] || string(ds[0].Record.Value) != want[o] {
			h.t.Fatalf("%s: offset %d: again: %v", name, o, seen[o])
		}
		seen[o] = true
		h.ack(ds...)
	}
	h.nothing(name)
	if i := h.standing(name); i.Waiting != 0 || i.Leased != 0 {
		h.t.Fatalf("%+v", i)
	}
}

// A copy of another log has its offsets, also those at which that has nothing any more, in the journal and in segment files, and after restarts.
func TestCopied_OffsetsAreTheOthers(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory, LinkedBy: "old"})
		h.subscribe("w", broker.StartEarliest, nil, "s")
		h.subscribe("some", broker.StartEarliest, func(c *broker.SubscriptionConfig) {
			c.Address = []broker.AddressFilter{{Key: address.Pattern{Syntax: address.Exact, Text: "k1"}}}
		}, "s")
		c := &copies{h: h, stream: "s", there: map[record.Offset]string{}, b: record.NewBuilder()}
		r := rand.New(rand.NewPCG(1, 2))
		for life := range 3 {
			for range 60 {
				c.batch(r, r.IntN(12))
			}
			c.check(fmt.Sprint("life ", life))
			h.restart()
			c.check(fmt.Sprint("after restart ", life))
		}
		for range 100 {
			c.batch(r, 12)
		}
		h.moved()
		c.check("from files")
		ones := map[record.Offset]string{}
		for o, v := range c.there {
			if o%5 == 1 {
				ones[o] = v
			}
		}
		if i := h.standing("some"); i.Waiting != int64(len(ones)) {
			t.Fatalf("%d wait, expected %d", i.Waiting, len(ones))
		}
		c.delivered("w", c.there)
		c.delivered("some", ones)
	})
}

// Nobody else appends to a copy, and a copy goes nowhere else than where it was.
func TestCopied_Refusals(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{LinkedBy: "old"})
		h.create("plain", broker.StreamConfig{})
		c := &copies{h: h, stream: "s", there: map[record.Offset]string{}, b: record.NewBuilder()}
		c.b.Skip(5_000_000_000 % record.SpanMax)
		p, err := c.b.Finish(nil, record.None)
		if err != nil {
			t.Fatal(err)
		}
		again := append([]byte{}, p...)
		if got := c.send(0, p); got.Err != nil {
			t.Fatal(got.Err)
		}
		if got := c.send(0, again); got.Err == nil || got.Err.Kind != fault.Conflict || got.Err.Reason != fault.ReasonOffset {
			t.Errorf("twice: %+v", got)
		}
		c.stream = "plain"
		if got := c.send(0, again); got.Err == nil || got.Err.Kind != fault.Conflict {
			t.Errorf("into a stream that is not linked: %+v", got)
		}
		_, err = h.append(event("s", "", "x"))
		if !fault.Is(err, fault.Conflict) || fault.As(err).Reason != fault.ReasonKept {
			t.Errorf("somebody else: %v", err)
		}
		b, err := record.BuildBatch([]record.Record{{Value: []byte("x")}})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.send("s", b); got.Err == nil || got.Err.Reason != fault.ReasonKept {
			t.Errorf("somebody else: %+v", got)
		}
	})
}
