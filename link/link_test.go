package link_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/kafkagroup"
	"leat/link"
)

// Records with keys, headers and times, in all compressions, transactions that were committed and aborted: all at their offsets; and after the switch
// the partitions end alike and take appends.
func TestLink_CopiesWithOffsetsAndSwitches(t *testing.T) {
	t.Parallel()
	o, l := newOld(t), newLeat(t)
	o.topic("orders", 2, nil)
	o.topic("events", 1, nil)
	o.topic("left-out", 1, nil)
	ctx := context.Background()
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	n := 0
	for i, codec := range codecs {
		cl := o.client(kgo.ProducerBatchCompression(codec))
		o.produce(cl, "orders", int32(i%2), n, n+200)
		n += 200
	}
	tx := o.client(kgo.TransactionalID("tx"))
	for i := range 6 {
		o.transaction(tx, i%2 == 0, "orders", int32(i%2), n, n+10)
		n += 10
	}
	l.link("l", link.Settings{From: o.from, Topics: []string{"orders", "ev*"}})
	l.same(o, "orders", 0)
	l.same(o, "orders", 1)
	if got := l.ends("left-out", 0); got != -1 {
		t.Errorf("a topic that was not meant has a stream")
	}
	// It goes on, with more partitions as well.
	plain := o.client()
	o.produce(plain, "events", 0, 0, 50)
	l.same(o, "events", 0)
	if _, err := o.admin.CreatePartitions(ctx, 1, "orders"); err != nil {
		t.Fatal(err)
	}
	o.produce(o.client(), "orders", 2, n, n+20)
	l.same(o, "orders", 2)

	// Nobody else appends.
	_, err := l.b.AppendEvents(ctx, l.c, broker.EventsAppend{Events: []broker.EventEntry{{Stream: "orders"}}})
	if fault.As(err).Reason != fault.ReasonKept {
		t.Errorf("an append to a copy: %v", err)
	}

	// An open transaction holds the switch up, and says so.
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	o.produce(tx, "orders", 0, n, n+5)
	if err := l.linker.Switch(ctx, l.c, "l", time.Second); !fault.Is(err, fault.Conflict) {
		t.Fatalf("with an open transaction: %v", err)
	}
	if err := tx.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if err := l.linker.Switch(ctx, l.c, "l", patience); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		l.same(o, "orders", p)
	}
	end := l.ends("orders", 0)
	res, err := l.b.AppendEvents(ctx, l.c, broker.EventsAppend{Events: []broker.EventEntry{{Stream: "orders"}}})
	if err != nil || int64(res[0].Ref.Offset) != end {
		t.Fatalf("after the switch: %+v, %v", res, err)
	}
	if err := l.linker.Switch(ctx, l.c, "l", patience); err != nil {
		t.Errorf("a second time: %v", err)
	}
	l.until("nobody works for it", func() bool { _, some := l.linker.State(broker.DefaultNamespace, "l"); return !some })
}

// Whatever is stopped when, each record is there once.
func TestLink_Restarts(t *testing.T) {
	t.Parallel()
	o, l := newOld(t), newLeat(t)
	o.topic("orders", 1, nil)
	l.link("l", link.Settings{From: o.from})
	cl, tx := o.client(kgo.ProducerBatchMaxBytes(2000)), o.client(kgo.TransactionalID("tx"))
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 12 {
		o.produce(cl, "orders", 0, i*300, i*300+300)
		o.transaction(tx, i%3 == 0, "orders", 0, i, i+1)
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) // at any moment
		l.end()
		l.again()
	}
	l.same(o, "orders", 0)
}

// A log that has lost its beginning is copied from where it begins, and one that loses what was not copied yet leaves a hole that is counted.
func TestLink_WhatIsGoneThere(t *testing.T) {
	t.Parallel()
	o, l := newOld(t), newLeat(t)
	o.topic("orders", 1, nil)
	cl, ctx := o.client(), context.Background()
	cut := func(at int64) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "orders", At: at})
		if _, err := o.admin.DeleteRecords(ctx, offsets); err != nil {
			t.Fatal(err)
		}
	}
	o.produce(cl, "orders", 0, 0, 100)
	cut(40)
	l.link("l", link.Settings{From: o.from})
	l.same(o, "orders", 0)
	info, err := l.b.DescribeStream(ctx, l.c, "orders")
	if err != nil || info.Partitions[0].Start != 40 {
		t.Fatalf("%+v, %v", info.Partitions, err)
	}
	l.end()
	o.produce(cl, "orders", 0, 100, 200)
	cut(150)
	l.again()
	l.until("it has the end", func() bool { return l.ends("orders", 0) == 200 })
	if got := l.records("orders", 0); len(got) != 60+50 {
		t.Errorf("%d records", len(got))
	}
	if s, _ := l.linker.State(broker.DefaultNamespace, "l"); s.Lost != 50 {
		t.Errorf("lost %d", s.Lost)
	}
}

func TestLink_Groups(t *testing.T) {
	t.Parallel()
	o, l := newOld(t), newLeat(t)
	o.topic("orders", 2, nil)
	o.topic("others", 1, nil)
	ctx := context.Background()
	cl := o.client()
	o.produce(cl, "orders", 0, 0, 30)
	o.produce(cl, "orders", 1, 0, 30)
	commit := func(group string, p int32, at int64) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "orders", Partition: p, At: at, LeaderEpoch: -1, Metadata: "m"})
		offsets.Add(kadm.Offset{Topic: "others", At: 0, LeaderEpoch: -1})
		if err := o.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	commit("payments", 0, 7)
	commit("payments", 1, 30)
	commit("pay for it", 1, 3)
	commit("ignored", 1, 1)
	l.link("l", link.Settings{From: o.from, Topics: []string{"orders"}, Groups: []string{"pay*"}})
	positions := func(group string) string {
		ps, err := l.b.Positions(ctx, l.c, group, nil)
		if err != nil {
			return ""
		}
		var s strings.Builder
		for _, p := range ps {
			fmt.Fprintf(&s, "%s/%d:%d%s ", p.Stream, p.Partition, p.Offset, p.Metadata)
		}
		return s.String()
	}
	l.until("positions", func() bool { return positions("payments") == "orders/0:7m orders/1:30m " })
	commit("payments", 0, 20)
	l.until("positions that moved", func() bool { return positions("payments") == "orders/0:20m orders/1:30m " })
	l.until("a group whose id is no name", func() bool { return positions(kafkagroup.Name("pay for it")) == "orders/1:3m " })
	if positions("ignored") != "" {
		t.Error("a group that was not meant")
	}
	commit("payments", 0, 25)
	if err := l.linker.Switch(ctx, l.c, "l", patience); err != nil {
		t.Fatal(err)
	}
	if got := positions("payments"); got != "orders/0:25m orders/1:30m " {
		t.Errorf("after the switch: %s", got)
	}
}

// What stands in the way is said, and the rest goes on.
func TestLink_InTheWay(t *testing.T) {
	t.Parallel()
	o, l := newOld(t), newLeat(t)
	ctx := context.Background()
	o.topic("mine", 1, nil)
	o.topic("orders", 1, nil)
	cl := o.client()
	o.produce(cl, "mine", 0, 0, 3)
	o.produce(cl, "orders", 0, 0, 3)
	if _, err := l.b.AppendEvents(ctx, l.c, broker.EventsAppend{AutoCreate: true, Events: []broker.EventEntry{{Stream: "mine"}}}); err != nil {
		t.Fatal(err)
	}
	l.link("l", link.Settings{From: o.from})
	l.same(o, "orders", 0)
	var s link.State
	l.until("it says what it leaves out", func() bool {
		s, _ = l.linker.State(broker.DefaultNamespace, "l")
		return len(s.Stopped) == 1 && s.Stopped[0].What == "mine"
	})
	if err := l.linker.Switch(ctx, l.c, "l", 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("a switch: %v", err)
	}
	// Without the stream that is in the way it is copied, too.
	if err := l.b.DeleteStream(ctx, l.c, "mine"); err != nil {
		t.Fatal(err)
	}
	l.same(o, "mine", 0)
	// Deleted, the link lets its streams go.
	if err := l.b.DeleteDocument(ctx, l.c, broker.KindLink, "l", 0); err != nil {
		t.Fatal(err)
	}
	if err := l.linker.Release(ctx, l.c, "l"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.b.AppendEvents(ctx, l.c, broker.EventsAppend{Events: []broker.EventEntry{{Stream: "orders"}}}); err != nil {
		t.Error(err)
	}
}

func TestSettings_Refusals(t *testing.T) {
	for _, s := range []link.Settings{
		{}, {From: "b1:9092"}, {From: "kafka://"}, {From: "kafka://user:pw@b1:9092"}, {From: "kafka://b1/topic"},
		{From: "kafka://b1", Topics: []string{""}}, {From: "kafka://b1", Groups: []string{"a[b"}},
		{From: "kafka://b1", SASL: &link.SASL{Mechanism: "GSSAPI", User: "u"}}, {From: "kafka://b1", SASL: &link.SASL{Mechanism: "PLAIN"}},
		{From: "kafka://b1", TLS: &link.TLS{CA: "x"}}, {From: "kafka://b1", Mode: "off"},
	} {
		if err := s.Check(""); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, from := range []string{"kafka://b1", "kafka://b1:9092,b2:9093", "kafka://[::1]:9092", "kafka://10.0.0.1/"} {
		if err := (&link.Settings{From: from}).Check(""); err != nil {
			t.Errorf("%s: %v", from, err)
		}
	}
}
