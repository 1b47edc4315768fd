package shard

import (
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// InitTransactor makes a named producer, or takes its name over; see stream.Head.
type InitTransactor struct {
	Name      stream.TransactorName
	TimeoutMS int64
	Expect    *stream.ProducerEpoch // what it says that it is; nil: it begins

	Now stream.ProducerEpoch // result
}

func (x *InitTransactor) kind() string { return "init-transactor" }

func (x *InitTransactor) decide(c *Core, r *Request) {
	var done stream.Ending
	x.Now, done, r.Fault = c.head.InitTransactor(x.Name, x.TimeoutMS, x.Expect, &c.open.Frame)
	c.finish(&done)
}

// Enlist announces partitions and subscriptions of a transaction.
type Enlist struct {
	Name    stream.TransactorName
	ID      stream.ProducerEpoch
	Places  []stream.Place
	Cursors []subscription.ID
}

func (x *Enlist) kind() string { return "enlist" }

func (x *Enlist) decide(c *Core, r *Request) {
	cursors := make([]uint32, len(x.Cursors))
	for i, id := range x.Cursors {
		cursors[i] = uint32(id)
	}
	r.Fault = c.head.Enlist(x.Name, x.ID, x.Places, cursors, &c.open.Frame)
}

// Defer takes positions of a cursor that move when the transaction is committed.
type Defer struct {
	Name     stream.TransactorName
	ID       stream.ProducerEpoch
	Sub      subscription.ID
	Moves    []subscription.Move
	Implicit bool // the subscription need not be announced
}

func (x *Defer) kind() string { return "defer" }

func (x *Defer) decide(c *Core, r *Request) {
	if r.Fault = c.checkMoves(x.Sub, x.Moves); r.Fault != nil {
		return
	}
	ds := make([]stream.Deferred, len(x.Moves))
	for i := range x.Moves {
		m := &x.Moves[i]
		ds[i] = stream.Deferred{Place: stream.Place{Stream: m.Stream, Partition: m.Partition}, To: max(m.To, -1), Epoch: m.Epoch, Metadata: m.Metadata}
	}
	r.Fault = c.head.Defer(x.Name, x.ID, uint32(x.Sub), ds, x.Implicit, &c.open.Frame)
}

// checkMoves refuses now what could not be done when the transaction is committed.
func (c *Core) checkMoves(id subscription.ID, moves []subscription.Move) *fault.Error {
	sub := c.subs.Subs[id]
	switch {
	case sub == nil:
		return fault.New(fault.NotFound, "commit", "", "the subscription was deleted")
	case sub.Policy.Kind != subscription.Cursor:
		return fault.New(fault.Invalid, "commit", "", "the subscription keeps what became of each record, not positions")
	case len(sub.Sources)+len(moves) > subscription.SourcesMax:
		return fault.New(fault.QuotaSpent, "commit", "", "a subscription reads at most %d partitions", subscription.SourcesMax)
	}
	for i := range moves {
		m := &moves[i]
		switch {
		case c.head.Partition(m.Stream, m.Partition) == nil:
			return fault.New(fault.NotFound, "commit", "", "a stream was deleted or has no partition %d", m.Partition).Because(fault.ReasonPartition)
		case len(m.Metadata) > subscription.CursorMetadataMax:
			return fault.New(fault.TooLarge, "commit", "metadata", "%d bytes; the limit is %d", len(m.Metadata), subscription.CursorMetadataMax)
		}
	}
	return nil
}

// EndTransaction commits or aborts a transaction: its markers, its positions and what its producer is then are of one frame.
type EndTransaction struct {
	Name   stream.TransactorName
	ID     stream.ProducerEpoch
	Commit bool
	Bump   bool // the producer gets another epoch

	Now stream.ProducerEpoch // result
}

func (x *EndTransaction) kind() string { return "end-transaction" }

func (x *EndTransaction) decide(c *Core, r *Request) {
	var done stream.Ending
	x.Now, done, r.Fault = c.head.EndTransaction(x.Name, x.ID, x.Commit, x.Bump, &c.open.Frame)
	c.finish(&done)
}

// AbortTransaction aborts what a producer has open in a partition, as an operator asks.
type AbortTransaction struct {
	At stream.Place
	ID stream.ProducerEpoch

	Aborted bool // result
}

func (x *AbortTransaction) kind() string { return "abort-transaction" }

func (x *AbortTransaction) decide(c *Core, _ *Request) {
	var done stream.Ending
	done, x.Aborted = c.head.Abort(x.At, x.ID, &c.open.Frame)
	c.finish(&done)
}

// finish does what the end of a transaction leaves to be done.
func (c *Core) finish(done *stream.Ending) {
	for i := range done.Markers {
		m := &done.Markers[i]
		if !c.attends() || !c.subs.Reads(m.Stream) {
			continue
		}
		c.arrive(&subscription.Arrival{
			Place: subscription.Place{Stream: m.Stream, Partition: m.Partition}, Base: m.Base, Frees: true,
			Runs: []subscription.RouteRun{{Amount: subscription.Amount{Count: 1, Bytes: m.Bytes}}},
		})
	}
	for from := 0; from < len(done.Deferred); {
		id := done.Deferred[from].Cursor
		var moves []subscription.Move
		var none []subscription.Place
		rest := done.Deferred[from:from]
		for _, d := range done.Deferred[from:] {
			switch {
			case d.Cursor != id:
				rest = append(rest, d)
			case c.head.Partition(d.Place.Stream, d.Place.Partition) == nil:
			case d.To < 0:
				none = append(none, subscription.Place{Stream: d.Place.Stream, Partition: d.Place.Partition})
			default:
				moves = append(moves, subscription.Move{Place: subscription.Place{Stream: d.Place.Stream, Partition: d.Place.Partition}, To: d.To, Epoch: d.Epoch, Metadata: d.Metadata})
			}
		}
		if c.subs.Subs[subscription.ID(id)] != nil && len(moves) > 0 {
			_ = c.subs.Commit(subscription.ID(id), moves, &c.open.Frame) // checkMoves has seen to it that only what has gone since is refused
		}
		if len(none) > 0 {
			c.subs.End(subscription.ID(id), none, &c.open.Frame)
		}
		done.Deferred = rest
	}
}

// arrive tells subscriptions of records, and how far their place is stable with them.
func (c *Core) arrive(a *subscription.Arrival) {
	if p := c.head.Partition(a.Stream, a.Partition); p != nil {
		a.Stable, a.Unstable = stableAt(p)
	}
	c.subs.Arrive(a, &c.open.Frame)
}

const expireStep = 100 // transactions that one tick ends

// expire ends transactions that took too long, and names that nobody uses. It answers true when there is more to do at once.
func (c *Core) expire() bool {
	for range expireStep {
		due, some := c.head.Due()
		if !some || due > c.nowMS {
			return false
		}
		c.needFrame()
		done, _ := c.head.Expire(c.nowMS, &c.open.Frame)
		c.finish(&done)
	}
	return true
}

// ExamineTransactors asks how named producers stand.
type ExamineTransactors struct {
	Namespace string
	Names     []string // none: all of the namespace
	Most      int

	Found []stream.Transactor // result, in the order of names; what they refer to is a copy
	NowMS int64
}

func (x *ExamineTransactors) kind() string { return "examine-transactors" }

func (x *ExamineTransactors) decide(c *Core, _ *Request) {
	x.NowMS = c.nowMS
	add := func(t *stream.Transactor) {
		if t != nil && len(x.Found) < x.Most {
			n := *t
			n.Places, n.Cursors, n.Deferred = slices.Clone(t.Places), slices.Clone(t.Cursors), slices.Clone(t.Deferred)
			x.Found = append(x.Found, n)
		}
	}
	for _, name := range x.Names {
		add(c.head.Transactors[stream.TransactorName{Namespace: x.Namespace, Name: name}])
	}
	if len(x.Names) > 0 {
		return
	}
	for name, t := range c.head.Transactors {
		if name.Namespace == x.Namespace {
			add(t)
		}
	}
}

// ProducerState is what a partition knows of a producer.
type ProducerState struct {
	stream.ProducerEpoch
	LastSequence int32         // -1: none since its epoch began
	LastMS       int64         // of its last batch or marker
	Open         record.Offset // where its open transaction begins; -1: it has none
}

// ExamineProducers asks which producers a partition knows.
type ExamineProducers struct {
	At stream.Place

	Found []ProducerState // result
}

func (x *ExamineProducers) kind() string { return "examine-producers" }

func (x *ExamineProducers) decide(c *Core, r *Request) {
	p := c.head.Partition(x.At.Stream, x.At.Partition)
	if p == nil {
		r.Fault = fault.New(fault.NotFound, "describe", "", "the stream was deleted or has no partition %d", x.At.Partition).Because(fault.ReasonPartition)
		return
	}
	for id, pr := range p.Producers {
		s := ProducerState{ProducerEpoch: stream.ProducerEpoch{ID: id, Epoch: pr.Epoch}, LastSequence: -1, LastMS: pr.LastMS, Open: -1}
		if pr.Count > 0 {
			s.LastSequence = pr.Recent[pr.Count-1].Last
		}
		x.Found = append(x.Found, s)
	}
	for i := range x.Found {
		for _, o := range p.Open {
			if o.Producer == x.Found[i].ID {
				x.Found[i].Open = o.First
			}
		}
	}
}

// PendingPositions asks for which partitions positions of a cursor wait for the end of a transaction.
type PendingPositions struct {
	Sub subscription.ID

	Places []stream.Place // result
}

func (x *PendingPositions) kind() string { return "pending-positions" }

func (x *PendingPositions) decide(c *Core, _ *Request) {
	for _, t := range c.head.Transactors {
		if _, some := slices.BinarySearch(t.Cursors, uint32(x.Sub)); !some {
			continue
		}
		for i := range t.Deferred {
			if d := &t.Deferred[i]; d.Cursor == uint32(x.Sub) {
				x.Places = append(x.Places, d.Place)
			}
		}
	}
}

// stableOf says of partitions what a head of subscriptions has to know when it is made.
func stableOf(s *stream.State) func(subscription.Place) (record.Offset, uint64) {
	return func(at subscription.Place) (record.Offset, uint64) {
		p := s.Partition(at.Stream, at.Partition)
		if p == nil {
			return 0, 0
		}
		return stableAt(p)
	}
}
