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
	"leat/storage/vfs/memory"
)

// What transactions cost those who use none. Reading 4 KiB of a partition that never had one, past the place that hides and around it; the same where one was
// aborted behind the place that is read, and where one is aborted in it. Deciding a batch of a numbered producer, with no named producers and with many.
//
//	go test ./broker/shard -run - -bench Transactions

// benchLife is a shard with one stream of three partitions.
func benchLife(b *testing.B) *txnLife {
	l := &txnLife{rng: rand.New(rand.NewPCG(1, 2)), fs: memory.New(), rows: statemem.New()}
	var err error
	if l.n, err = open(l.fs, l.rows, func(c *shard.Config) { c.HotTailBytes = 1 << 20 }); err != nil {
		b.Fatal(err)
	}
	benchDo(b, l, &shard.CreateStream{
		Name: catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: "s"}, Document: []byte("{}"), Partitions: 3, Keys: stream.KeysOff,
	})
	l.id = record.StreamID(l.n.Published().Entry(catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: "s"}).ID)
	return l
}

func benchDo(b *testing.B, l *txnLife, cmd shard.Command) {
	b.Helper()
	r := shard.NewRequest(cmd)
	l.n.Core().Step(r, 1_700_000_000_000)
	f := l.n.Core().Take()
	if r.Fault != nil {
		b.Fatal(r.Fault)
	}
	if err := l.n.Write(f); err != nil {
		b.Fatal(err)
	}
	if err := l.n.Publish(f); err != nil {
		b.Fatal(err)
	}
}

// benchAppend is an append of one small batch. id -1: of no producer.
func benchAppend(b *testing.B, l *txnLife, p record.PartitionID, id stream.ProducerEpoch, sequence int32, name string) *shard.Append {
	b.Helper()
	raw, err := record.BuildBatch([]record.Record{{Timestamp: 1, Value: make([]byte, 200)}})
	if err != nil {
		b.Fatal(err)
	}
	cmd := &shard.Append{ResolvedAt: l.n.Published().Seq()}
	if id.ID >= 0 {
		record.StampProducer(raw, id.ID, id.Epoch, sequence)
	}
	if name != "" {
		record.StampTransactional(raw)
		cmd.Transactor, cmd.Implicit = stream.TransactorName{Name: name}, true
	}
	e := stream.Entry{Stream: l.id, Partition: p, Mode: stream.KeysOff, Batch: raw}
	if e.Header, err = record.CheckBatch(raw); err != nil {
		b.Fatal(err)
	}
	cmd.Entries = []stream.Entry{e}
	return cmd
}

func BenchmarkTransactions_Read(b *testing.B) {
	l := benchLife(b)
	init := &shard.InitTransactor{Name: stream.TransactorName{Name: "t"}, TimeoutMS: 1000}
	benchDo(b, l, init)
	none := stream.ProducerEpoch{ID: -1}
	for p := range record.PartitionID(3) {
		if p == 1 { // aborted before what is read
			benchDo(b, l, benchAppend(b, l, p, init.Now, 0, "t"))
			end := &shard.EndTransaction{Name: init.Name, ID: init.Now, Bump: true}
			benchDo(b, l, end)
			init.Now = end.Now
		}
		for i := range 100 {
			benchDo(b, l, benchAppend(b, l, p, none, 0, ""))
			if p == 2 && i == 50 {
				benchDo(b, l, benchAppend(b, l, p, init.Now, 0, "t"))
				benchDo(b, l, &shard.EndTransaction{Name: init.Name, ID: init.Now, Bump: true})
			}
		}
	}
	pub := l.n.Published()
	for _, c := range []struct {
		what   string
		p      record.PartitionID
		from   record.Offset
		stored bool
	}{
		{"never had one, what is stored", 0, 45, true},
		{"never had one", 0, 45, false},
		{"aborted before", 1, 45, false},
		{"aborted within", 2, 45, false},
	} {
		b.Run(c.what, func(b *testing.B) {
			src, _ := pub.Source(l.id, c.p)
			var dst []*shard.Batch
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if c.stored {
					dst, err = pub.ReadStored(dst[:0], src, c.from, 4<<10, shard.AllSeqs)
				} else {
					dst, err = pub.Read(dst[:0], src, c.from, 4<<10, shard.AllSeqs)
				}
				if err != nil || len(dst) < 10 {
					b.Fatal(len(dst), err)
				}
			}
		})
	}
}

// What is measured is the loop's part alone: 32 batches at a time are decided, and written while the clock stands.
func BenchmarkTransactions_Decide(b *testing.B) {
	for _, names := range []int{0, 10_000} {
		b.Run(fmt.Sprint(names, " named producers"), func(b *testing.B) {
			l := benchLife(b)
			for i := range names {
				benchDo(b, l, &shard.InitTransactor{Name: stream.TransactorName{Name: fmt.Sprint("t", i)}, TimeoutMS: 1000})
			}
			a := &shard.AllocateProducer{}
			benchDo(b, l, a)
			id, n := stream.ProducerEpoch{ID: a.ID}, int32(0)
			rs := make([]*shard.Request, 32)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				if f := l.n.Core().Take(); f != nil {
					if err := l.n.Write(f); err != nil {
						b.Fatal(err)
					}
					if err := l.n.Publish(f); err != nil {
						b.Fatal(err)
					}
				}
				for i := range rs {
					rs[i] = shard.NewRequest(benchAppend(b, l, 0, id, n, ""))
					n++
				}
				b.StartTimer()
				for _, r := range rs {
					l.n.Core().Step(r, 1_700_000_000_000)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rs)), "ns/decision")
		})
	}
}
