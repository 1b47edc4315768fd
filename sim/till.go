package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// The till is those who make transactions, in a stream of their own. Tellers have names, two of them the same one, and know only what they were answered:
// a batch whose answer was lost is sent again under its sequence, an end under the epoch of its transaction. One that is told that it is not the teller any
// more, because another took the name over or its time ran out, comes back with a new epoch. See checktill.go for what must hold.

const (
	tillName   = "till"
	tillParts  = 3
	tellersMax = 4

	tillPatientMS = stream.TransactionTimeoutMaxMS
	tillHastyMS   = 45_000 // of one teller
)

// deal is a transaction as its teller knows it.
type deal struct {
	teller  *teller
	n       int
	places  []lane // of its records, in their order
	acked   []record.Offset
	asked   bool // to be committed
	outcome outcome
}

type outcome int

const (
	dealOpen outcome = iota
	dealCommitted
	dealAborted
	dealUnknown
)

func (d *deal) value(i int) string { return fmt.Sprintf("till %d %d %d", d.teller.number, d.n, i) }

// teller makes transactions, one request at a time.
type teller struct {
	number int
	name   string
	id     stream.ProducerEpoch
	known  bool // it has a number and an epoch
	back   int  // step at which it comes back
	busy   bool // a request is under way
	deal   *deal
	next   map[record.PartitionID]int32 // sequences of this epoch
	again  *tillBatch                   // not answered yet
	ending *bool                        // likewise: commit or not
}

// tillBatch is records that are sent until that is answered.
type tillBatch struct {
	raw   []byte
	at    lane
	first int // of the deal
	count int
}

type tillCounts struct{ committed, aborted, unknown, fenced, expired, visible int }

func (c *tillCounts) add(o tillCounts) {
	c.committed, c.aborted, c.unknown = c.committed+o.committed, c.aborted+o.aborted, c.unknown+o.unknown
	c.fenced, c.expired, c.visible = c.fenced+o.fenced, c.expired+o.expired, c.visible+o.visible
}

// till is what a world has of it.
type till struct {
	rng     *rand.Rand
	id      record.StreamID // 0: not there yet
	asked   bool
	tellers []*teller
	deals   map[string]*deal // by teller and number
	shown   [tillParts][]string
	counts  tillCounts
}

// Transact has somebody make transactions in this run.
func (w *World) Transact() {
	w.till = &till{rng: rand.New(rand.NewPCG(w.seed, 0x7111)), deals: map[string]*deal{}}
	for i := range tellersMax {
		w.till.tellers = append(w.till.tellers, &teller{number: i, name: fmt.Sprint("teller", i%(tellersMax-1))})
	}
}

// transact does one thing at the till.
func (w *World) transact() {
	t := w.till
	if t.id == 0 {
		w.openTill()
		return
	}
	if t.rng.IntN(10) == 0 {
		w.tick() // what takes too long is aborted
		return
	}
	x := t.tellers[t.rng.IntN(len(t.tellers))]
	if x.busy {
		return
	}
	switch n := t.rng.IntN(40); {
	case !x.known && w.steps < x.back:
	case !x.known || n == 0:
		w.beginAnew(x)
	case x.again != nil:
		w.sendBatch(x)
	case x.ending != nil:
		w.sendEnd(x)
	case n < 16 || x.deal == nil:
		w.newBatch(x)
		w.sendBatch(x)
	default:
		commit := t.rng.IntN(4) > 0
		x.ending = &commit
		w.sendEnd(x)
	}
}

// openTill makes the stream, or finds it.
func (w *World) openTill() {
	t := w.till
	name := catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: tillName}
	if e := w.node.Published().Entry(name); e != nil {
		t.id = record.StreamID(e.ID)
		return
	}
	if t.asked {
		return
	}
	t.asked = true
	w.request("open the till", &shard.CreateStream{Name: name, Document: []byte("{}"), Partitions: tillParts, Keys: stream.KeysOff}, func(*fault.Error) { t.asked = false })
}

// beginAnew takes the name over; what the teller has open is over.
func (w *World) beginAnew(x *teller) {
	cmd := &shard.InitTransactor{Name: stream.TransactorName{Namespace: "default", Name: x.name}, TimeoutMS: tillPatientMS}
	if x.number == 1 {
		cmd.TimeoutMS = tillHastyMS
	}
	w.close(x, dealAborted)
	x.known, x.busy = false, true
	w.request("begin anew "+x.name, cmd, func(f *fault.Error) {
		if x.busy = false; f == nil {
			x.id, x.known, x.next = cmd.Now, true, map[record.PartitionID]int32{}
		} else if f.Kind != fault.Unknown && f.Kind != fault.Unavailable {
			w.failf("%s is refused: %v", x.name, f)
		}
	})
}

// close ends the deal of a teller as it was answered, or cannot know.
func (w *World) close(x *teller, how outcome) {
	if d := x.deal; d != nil {
		if how == dealAborted && d.asked {
			how = dealUnknown
		}
		switch d.outcome = how; how {
		case dealCommitted:
			w.till.counts.committed++
		case dealAborted:
			w.till.counts.aborted++
		case dealOpen, dealUnknown:
			w.till.counts.unknown++
		}
	}
	x.deal, x.again, x.ending = nil, nil, nil
}

// fenced: it is not the teller any more.
func (w *World) fenced(x *teller) {
	w.till.counts.fenced++
	w.close(x, dealAborted)
	x.known, x.back = false, w.steps+w.till.rng.IntN(150)
}

// newBatch adds records to the deal of a teller, and begins one if there is none.
func (w *World) newBatch(x *teller) {
	t := w.till
	if x.deal == nil {
		x.deal = &deal{teller: x, n: len(t.deals)}
		t.deals[fmt.Sprint(x.number, " ", x.deal.n)] = x.deal
	}
	d := x.deal
	b := &tillBatch{at: lane{t.id, record.PartitionID(t.rng.IntN(tillParts))}, first: len(d.places), count: 1 + t.rng.IntN(3)}
	records := make([]record.Record, b.count)
	for i := range records {
		records[i] = record.Record{Timestamp: w.clock.Now().UnixMilli(), Value: []byte(d.value(b.first + i))}
		d.places, d.acked = append(d.places, b.at), append(d.acked, -1)
	}
	raw, err := record.BuildBatch(records)
	if err != nil {
		panic(err)
	}
	record.StampProducer(raw, x.id.ID, x.id.Epoch, x.next[b.at.partition])
	record.StampTransactional(raw)
	x.next[b.at.partition] += int32(b.count)
	b.raw, x.again = raw, b
}

func (w *World) sendBatch(x *teller) {
	b, d := x.again, x.deal
	cmd := &shard.Append{ResolvedAt: w.node.Published().Seq()}
	cmd.Transactor, cmd.Implicit = stream.TransactorName{Namespace: "default", Name: x.name}, true
	e := stream.Entry{Stream: b.at.stream, Partition: b.at.partition, Mode: stream.KeysOff, Batch: append([]byte(nil), b.raw...)}
	var err error
	if e.Header, err = record.CheckBatch(e.Batch); err != nil {
		w.failf("a teller's batch is refused: %v", err)
	}
	cmd.Entries = []stream.Entry{e}
	x.busy = true
	w.request(fmt.Sprintf("%s adds %d", x.name, b.count), cmd, func(f *fault.Error) {
		x.busy = false
		if f == nil && cmd.Stale == stream.Fresh {
			f = cmd.Outcomes[0].Err
		} else if f == nil {
			return // again
		}
		switch {
		case f == nil:
			x.again = nil
			for i := range b.count {
				d.acked[b.first+i] = cmd.Outcomes[0].Base + record.Offset(i)
			}
		case f.Kind == fault.Fenced || f.Kind == fault.NotFound:
			w.fenced(x)
		case f.Kind != fault.Unknown && f.Kind != fault.Unavailable:
			w.failf("%s: a batch is refused: %v", x.name, f)
		}
	})
}

func (w *World) sendEnd(x *teller) {
	commit := *x.ending
	x.deal.asked = x.deal.asked || commit
	cmd := &shard.EndTransaction{Name: stream.TransactorName{Namespace: "default", Name: x.name}, ID: x.id, Commit: commit, Bump: true}
	x.busy = true
	w.request(fmt.Sprintf("%s ends, commit %t", x.name, commit), cmd, func(f *fault.Error) {
		x.busy = false
		switch {
		case f == nil:
			how := dealAborted
			if commit {
				how = dealCommitted
			}
			w.close(x, how)
			x.id, x.next = cmd.Now, map[record.PartitionID]int32{}
		case f.Kind == fault.Fenced || f.Kind == fault.NotFound:
			w.fenced(x)
		case f.Kind != fault.Unknown && f.Kind != fault.Unavailable:
			w.failf("%s: an end is refused: %v", x.name, f)
		}
	})
}

// closeTill lets the time of every transaction run out: nothing is open then.
func (w *World) closeTill() {
	if w.till == nil || w.till.id == 0 || w.node == nil {
		return
	}
	w.clock.Advance(24 * time.Hour) // frames may be hours ahead of a clock that has jumped back again and again
	w.nowMax = max(w.nowMax, w.clock.Now().UnixMilli())
	before := w.till.counts
	for range 10 {
		w.tick()
		w.take()
		w.write()
		w.publish()
	}
	for p := range tillParts {
		src, ok := w.node.Published().Source(w.till.id, record.PartitionID(p))
		if !ok {
			w.failf("the till is gone")
			return
		}
		if _, stable, end := src.Part.Bounds(); stable != end {
			w.failf("the till: partition %d ends at %d, and is stable before %d when all transactions have taken too long", p, end, stable)
		} else if stable > 0 {
			w.till.counts.expired = before.expired + 1
		}
	}
}
