package shard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/broker/catalog"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/memory"
)

// Named producers begin, commit, abort and take each other's names over, in partitions where others append as well; windows, merges and flushes go on, and
// now and then the power goes: before a frame is written, or between its writing and its publishing. Whatever happens, readers see what was committed, once, in its
// order, up to the first record of an open transaction; nothing that was aborted; and of a transaction all partitions or none.

type txnRecord struct {
	value string
	key   string
	seq   uint64
	txn   *txnOf // nil: of none
}

type txnOf struct {
	open, committed bool
}

type txnLife struct {
	t      *testing.T
	rng    *rand.Rand
	fs     *memory.FS
	rows   *statemem.Store
	n      *node
	id     record.StreamID
	nowMS  int64
	next   int
	parts  [3]map[record.Offset]txnRecord
	ends   [3]record.Offset
	ids    map[string]stream.ProducerEpoch
	seqs   map[string]int32 // by name and partition
	open   map[string]*txnOf
	frames int
}

// run decides a command and, unless the power goes before it is written, makes it durable. It reports whether it was.
func (l *txnLife) run(c shard.Command) (seq uint64, durable bool) {
	l.t.Helper()
	r := shard.NewRequest(c)
	l.nowMS += int64(l.rng.IntN(5))
	l.n.Core().Step(r, 1_700_000_000_000+l.nowMS)
	f := l.n.Core().Take()
	if r.Fault != nil {
		l.t.Fatalf("%T: %v", c, r.Fault)
	}
	l.frames++
	crash := l.rng.IntN(25)
	if crash == 0 {
		l.crash()
		return 0, false
	}
	if err := l.n.Write(f); err != nil {
		l.t.Fatal(err)
	}
	if seq = f.Seq; crash == 1 {
		l.crash()
		return seq, true
	}
	if err := l.n.Publish(f); err != nil {
		l.t.Fatal(err)
	}
	return seq, true
}

func (l *txnLife) crash() {
	l.t.Helper()
	l.fs = l.fs.CrashClone(l.rng, memory.KeepNone)
	l.rows = l.rows.Crash()
	l.reopen()
}

func (l *txnLife) reopen() {
	var err error
	if l.n, err = open(l.fs, l.rows, nil); err != nil {
		l.t.Fatal(err)
	}
}

func (l *txnLife) send(name string) {
	p := l.rng.IntN(len(l.parts))
	key := fmt.Sprint("k", l.rng.IntN(4))
	records := make([]record.Record, 1+l.rng.IntN(3))
	for i := range records {
		l.next++
		records[i] = record.Record{Timestamp: 1, Key: []byte(key), Value: fmt.Append(nil, "v", l.next)}
	}
	raw, err := record.BuildBatch(records)
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := &shard.Append{ResolvedAt: l.n.Published().Seq()}
	at := fmt.Sprint(name, "/", p)
	if name != "" {
		record.StampProducer(raw, l.ids[name].ID, l.ids[name].Epoch, l.seqs[at])
		record.StampTransactional(raw)
		cmd.Transactor, cmd.Implicit = stream.TransactorName{Name: name}, true
	}
	e := stream.Entry{Stream: l.id, Partition: record.PartitionID(p), Mode: stream.KeysLatest, Batch: raw}
	if e.Header, err = record.CheckBatch(raw); err != nil {
		l.t.Fatal(err)
	}
	for i := range records {
		e.Keys = append(e.Keys, stream.KeyUse{Index: int32(i), Slot: -1, Key: []byte(key), Event: i})
	}
	cmd.Entries = []stream.Entry{e}
	seq, durable := l.run(cmd)
	if o := &cmd.Outcomes[0]; o.Err != nil || o.Duplicate || o.Base != l.ends[p] {
		l.t.Fatalf("%s: %+v, expected at %d", name, o, l.ends[p])
	}
	if !durable {
		return
	}
	var of *txnOf
	if name != "" {
		l.seqs[at] += int32(len(records))
		if of = l.open[name]; of == nil {
			of = &txnOf{open: true}
			l.open[name] = of
		}
	}
	for i := range records {
		l.parts[p][l.ends[p]] = txnRecord{string(records[i].Value), key, seq, of}
		l.ends[p]++
	}
}

// ended takes note of the end of a transaction. Markers take an offset in each partition that has records of it.
func (l *txnLife) ended(name string, commit bool, now stream.ProducerEpoch) {
	if of := l.open[name]; of != nil {
		for p := range l.parts {
			if slices.ContainsFunc(slices.Collect(valuesOf(l.parts[p])), func(r txnRecord) bool { return r.txn == of }) {
				l.ends[p]++
			}
		}
		of.open, of.committed = false, commit
	}
	delete(l.open, name)
	l.ids[name] = now
	for p := range l.parts {
		delete(l.seqs, fmt.Sprint(name, "/", p))
	}
}

func valuesOf(m map[record.Offset]txnRecord) func(func(txnRecord) bool) {
	return func(yield func(txnRecord) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func (l *txnLife) step() {
	name := []string{"a", "b", "c"}[l.rng.IntN(3)]
	if _, there := l.ids[name]; !there {
		l.init(name)
		return
	}
	switch d := l.rng.IntN(20); {
	case d < 9:
		l.send(name)
	case d < 13:
		l.send("")
	case d < 18 && l.open[name] != nil:
		c := &shard.EndTransaction{Name: stream.TransactorName{Name: name}, ID: l.ids[name], Commit: l.rng.IntN(3) > 0, Bump: true}
		if _, durable := l.run(c); durable {
			l.ended(name, c.Commit, c.Now)
		}
	case d == 18:
		l.init(name)
	default:
		for range l.rng.IntN(4) {
			if _, err := l.n.Keep(); err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

func (l *txnLife) init(name string) {
	c := &shard.InitTransactor{Name: stream.TransactorName{Name: name}, TimeoutMS: stream.TransactionTimeoutMaxMS}
	if _, durable := l.run(c); durable {
		l.ended(name, false, c.Now)
	}
}

// check reads everything, and each key.
func (l *txnLife) check() {
	l.t.Helper()
	pub := l.n.Published()
	upTo := pub.Seq()
	newest := map[string]txnRecord{}
	for p := range l.parts {
		src, _ := pub.Source(l.id, record.PartitionID(p))
		if _, end := src.Part.Ends(); end != l.ends[p] {
			l.t.Fatalf("partition %d ends at %d, expected %d", p, end, l.ends[p])
		}
		upTo = min(upTo, src.Part.StableSeq())
		var want []string
		for o := range l.ends[p] {
			r, there := l.parts[p][o]
			if there && r.txn != nil && r.txn.open {
				if s := src.Part.Stable(); s != o {
					l.t.Fatalf("partition %d is stable before %d, expected %d", p, s, o)
				}
				break
			}
			if there && (r.txn == nil || r.txn.committed) {
				want = append(want, r.value)
			}
		}
		var got []string
		for from := record.Offset(0); ; {
			bs, err := pub.Read(nil, src, from, 500, shard.AllSeqs)
			if err != nil {
				l.t.Fatal(err)
			}
			if len(bs) == 0 {
				break
			}
			for _, b := range bs {
				from = b.Next
				if err := record.EachRecord(b.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error { got = append(got, string(r.Value)); return nil }); err != nil {
					l.t.Fatal(err)
				}
			}
		}
		if !slices.Equal(got, want) {
			l.t.Fatalf("partition %d: %v, expected %v", p, got, want)
		}
	}
	for p := range l.parts {
		for _, r := range l.parts[p] {
			if r.seq <= upTo && (r.txn == nil || r.txn.committed) {
				if last, some := newest[r.key]; !some || r.seq > last.seq || r.seq == last.seq && r.value > last.value {
					newest[r.key] = r
				}
			}
		}
	}
	for i := range 4 {
		key := fmt.Sprint("k", i)
		e, there, err := pub.Latest(l.id, []byte(key), upTo)
		if err != nil {
			l.t.Fatal(err)
		}
		if want, some := newest[key]; there != some || some && e.Seq != want.seq {
			l.t.Fatalf("%s: newest of frame %d (%v), expected %d (%v)", key, e.Seq, there, want.seq, some)
		}
	}
}

func TestTransactions_Crash(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := &txnLife{t: t, rng: rand.New(rand.NewPCG(seed, 5)), fs: memory.New(), rows: statemem.New(), ids: map[string]stream.ProducerEpoch{}, seqs: map[string]int32{}, open: map[string]*txnOf{}}
			for p := range l.parts {
				l.parts[p] = map[record.Offset]txnRecord{}
			}
			l.reopen()
			name := catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: "s"}
			for l.id == 0 {
				l.run(&shard.CreateStream{Name: name, Document: []byte("{}"), Partitions: len(l.parts), Keys: stream.KeysLatest})
				if e := l.n.Published().Entry(name); e != nil {
					l.id = record.StreamID(e.ID)
				}
			}
			for range 400 {
				l.step()
				if l.frames%7 == 0 {
					l.check()
				}
			}
			l.check()
		})
	}
}
