package subscription

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// BenchmarkLate folds records of 100,000 subscriptions, each for one of them, in frames of a thousand, two million at least: what a record costs, how many rows,
// and what a start costs that has most to read.
func BenchmarkLate(b *testing.B) {
	const n, perFrame = 100_000, 1000
	st := openPebble(b)
	f := NewFolder(NewState(), st)
	seq, written := uint64(0), 0
	frame := func(facts ...fact.Fact) {
		seq++
		rows := st.NewBatch()
		f.Begin(seq, int64(seq), rows)
		for _, x := range facts {
			if _, err := f.Apply(x); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.End(); err != nil {
			b.Fatal(err)
		}
		written += rows.Len()
		if err := st.Apply(rows, state.Mark{Seq: seq, Place: seq}); err != nil {
			b.Fatal(err)
		}
	}
	p := Policy{Kind: Delivery}
	_ = p.Check()
	at := Place{1, 0}
	for i := range ID(n) {
		body := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(i+1)), uint64(i+1))
		frame(
			fact.Fact{Kind: fact.SubscriptionPut, Version: 1, Body: p.append(body)},
			fact.Fact{Kind: fact.SourceStarted, Version: 1, Body: (&started{sub: i + 1, at: at, known: true}).append(nil)},
			fact.Fact{Kind: fact.RouteDefined, Version: 1, Body: (&Route{ID: RouteID(i + 1), Classes: []ClassID{ClassID(i + 1)}}).append(nil)},
		)
	}
	r := rand.New(rand.NewPCG(1, 1))
	x := routed{at: at}
	written = 0
	records := max(b.N, 2_000_000) / perFrame
	b.ResetTimer()
	from := time.Now()
	for range records {
		x.runs = x.runs[:0]
		for range perFrame {
			x.runs = append(x.runs, RouteRun{Route: 1 + RouteID(r.IntN(n)), Amount: Amount{1, 1000}, Plain: true})
		}
		frame(fact.Fact{Kind: fact.Routed, Version: routedPlain, Body: x.append(nil)})
		x.base += record.Offset(perFrame)
	}
	b.ReportMetric(float64(time.Since(from).Nanoseconds())/float64(records*perFrame), "ns/record")
	b.ReportMetric(float64(written)/float64(records*perFrame), "rows/record")
	from = time.Now()
	s, err := Load(st)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(from).Milliseconds()), "ms/start")
	b.ReportMetric(float64(s.late.postings), "postings/start")
}
