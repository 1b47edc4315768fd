package shard_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"leat/broker/catalog"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// A producer's batches, of each of which one record lies in another stream: the power goes after every call to the file system. Both are there or neither,
// and what the producer sends again is known or stored, with what is joined to it.

type joinedLife struct {
	t    *testing.T
	n    *node
	s, q record.StreamID
}

// batches are the i-th: offsets 3i and 3i+2, and a hole between them, which the other one has.
func (l *joinedLife) batches(i int) *shard.Append {
	l.t.Helper()
	b := record.NewBuilder()
	b.Add(&record.Record{Timestamp: 1, Value: fmt.Append(nil, "a", i)})
	b.Skip(1)
	b.Add(&record.Record{Timestamp: 1, Value: fmt.Append(nil, "c", i)})
	raw, err := b.Finish(nil, record.Codec(i%5))
	must(l.t, err)
	record.StampProducer(raw, 9, 0, int32(3*i))
	h, err := record.ParseBatchHeader(raw)
	must(l.t, err)
	var d record.Draft
	d.Add(&record.Record{Timestamp: 1, Value: fmt.Append(nil, "b", i), Headers: []record.Header{{Key: "at", Value: []byte(record.BlankOffset)}}})
	blank := record.Blank{End: int32(d.Bytes()), Behind: 1}
	joined := d.Finish()
	hj, err := record.CheckBatch(joined)
	must(l.t, err)
	cmd := &shard.Append{ResolvedAt: l.n.Published().Seq()}
	cmd.Entries = []stream.Entry{
		{Stream: l.s, Header: h, Batch: raw, Mode: stream.KeysOff},
		{Stream: l.q, Header: hj, Batch: joined, Mode: stream.KeysOff, Joined: true, Blanks: []record.Blank{blank}},
	}
	return cmd
}

func (l *joinedLife) do(c shard.Command) {
	l.t.Helper()
	r := shard.NewRequest(c)
	l.n.Core().Step(r, 1_700_000_000_000)
	f := l.n.Core().Take()
	if r.Fault != nil {
		l.t.Fatal(r.Fault)
	}
	must(l.t, l.n.Write(f))
	must(l.t, l.n.Publish(f))
}

// send appends the i-th batch and reports whether it was there.
func (l *joinedLife) send(i int) (again bool) {
	l.t.Helper()
	cmd := l.batches(i)
	l.do(cmd)
	o, j := &cmd.Outcomes[0], &cmd.Outcomes[1]
	if o.Err != nil || j.Err != nil || o.Base != record.Offset(3*i) || o.Duplicate != j.Duplicate {
		l.t.Fatalf("batch %d: %+v, %+v", i, o, j)
	}
	return o.Duplicate
}

// check reads both streams, and says how many batches there are.
func (l *joinedLife) check() int {
	l.t.Helper()
	pub := l.n.Published()
	texts := map[record.StreamID][]string{}
	for _, id := range []record.StreamID{l.s, l.q} {
		src, _ := pub.Source(id, 0)
		for from := record.Offset(0); ; {
			bs, err := pub.Read(nil, src, from, 1, shard.AllSeqs)
			must(l.t, err)
			if len(bs) == 0 {
				break
			}
			from = bs[0].Next
			must(l.t, record.EachRecord(bs[0].Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
				at, _ := r.Header("at")
				texts[id] = append(texts[id], fmt.Sprintf("%d %s %s", r.Offset, r.Value, at))
				return nil
			}))
		}
	}
	n := len(texts[l.q])
	if len(texts[l.s]) != 2*n {
		l.t.Fatalf("%d records and %d that are joined to them", len(texts[l.s]), n)
	}
	for i := range n {
		want := fmt.Sprintf("%d a%d |%d c%d |%d b%d %020d", 3*i, i, 3*i+2, i, i, i, 3*i+1)
		if got := texts[l.s][2*i] + "|" + texts[l.s][2*i+1] + "|" + texts[l.q][i]; got != want {
			l.t.Fatalf("batch %d: %q, expected %q", i, got, want)
		}
	}
	return n
}

func TestJoined_BothOrNeitherAfterACrash(t *testing.T) {
	base, rows := memory.New(), statemem.New()
	fs := faulty.New(base)
	n, err := open(fs, rows, nil)
	must(t, err)
	l := &joinedLife{t: t, n: n}
	for _, x := range []struct {
		name string
		id   *record.StreamID
	}{{"s", &l.s}, {"q", &l.q}} {
		name := catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: x.name}
		l.do(&shard.CreateStream{Name: name, Document: []byte("{}"), Partitions: 1, Keys: stream.KeysOff})
		*x.id = record.StreamID(l.n.Published().Entry(name).ID)
	}
	rng, sent, crashes := rand.New(rand.NewPCG(4, 4)), 0, 0
	fs.Watch(func(c faulty.Call, _ error) {
		if t.Failed() || c.Op == faulty.ReadAt {
			return
		}
		crashes++
		left, err := open(base.CrashClone(rng, memory.Mode(rng.IntN(3))), rows.Crash(), nil)
		must(t, err)
		k := &joinedLife{t: t, n: left, s: l.s, q: l.q}
		there := k.check()
		if there != sent && there != sent+1 {
			t.Errorf("after call %d (%s %s): %d batches, expected %d", c.Number, c.Op, c.Name, there, sent)
		}
		if sent > 0 && !k.send(sent-1) { // what was answered is known
			t.Errorf("after call %d: batch %d was stored again", c.Number, sent-1)
		}
		if again := k.send(sent); again != (there == sent+1) {
			t.Errorf("after call %d: batch %d was known: %t", c.Number, sent, again)
		}
		if got := k.check(); got != sent+1 {
			t.Errorf("after call %d: %d batches, expected %d", c.Number, got, sent+1)
		}
	})
	for i := range 12 {
		if l.send(i) {
			t.Fatal("it was there")
		}
		sent++
		if i%4 == 3 {
			must(t, n.keepAll())
		}
	}
	fs.Watch(nil)
	if got := l.check(); got != sent || crashes < 2*sent {
		t.Fatalf("%d batches, %d crashes", got, crashes)
	}
}
