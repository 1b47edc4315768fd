package stream

import (
	"encoding/binary"
	"slices"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// ProducerEpoch is a producer's number and epoch.
type ProducerEpoch struct {
	ID    int64
	Epoch int16
}

// Marker is what ends a transaction in a partition: a batch of one record.
type Marker struct {
	Place
	Base  record.Offset
	Bytes int64
}

// Ending is what an ended transaction leaves to be done, in the same frame.
type Ending struct {
	Markers  []Marker
	Deferred []Deferred // of a committed one
}

func (h *Head) fenced(t *Transactor, id ProducerEpoch, op string) *fault.Error {
	return fault.New(fault.Fenced, op, t.Name.Name, "producer %q has epoch %d, this is %d: a newer instance has taken over, or its transaction took too long", t.Name.Name, t.Epoch, id.Epoch).
		Because(fault.ReasonProducerFenced)
}

func noTransactor(op, name string) *fault.Error {
	return fault.New(fault.NotFound, op, name, "there is no producer of that name and number; begin with a new one").Because(fault.ReasonProducerMapping)
}

func wrongPhase(op string, t *Transactor) *fault.Error {
	what := [...]string{"has begun no transaction", "has a transaction open", "has committed its transaction", "has aborted its transaction"}[t.Phase]
	return fault.New(fault.Conflict, op, t.Name.Name, "producer %q %s", t.Name.Name, what).Because(fault.ReasonTransaction)
}

// InitTransactor makes a named producer, or takes its name over: what it had left open is aborted, and whoever was it before is fenced. expect is
// what a producer says that it is, nil for one that begins: then a repeated request gets the same answer, and a stranger is refused.
func (h *Head) InitTransactor(name TransactorName, timeoutMS int64, expect *ProducerEpoch, f *fact.Frame) (now ProducerEpoch, done Ending, err *fault.Error) {
	if err := h.Needs(fact.Format4, "init producer"); err != nil {
		return now, done, err
	}
	switch {
	case name.Name == "" || len(name.Name) > TransactorNameBytesMax:
		return now, done, fault.New(fault.Invalid, "init producer", "", "a producer's name has 1 to %d bytes", TransactorNameBytesMax)
	case timeoutMS <= 0 || timeoutMS > TransactionTimeoutMaxMS:
		return now, done, fault.New(fault.Invalid, "init producer", name.Name, "a transaction may take from 1 to %d ms; this says %d", TransactionTimeoutMaxMS, timeoutMS).
			Because(fault.ReasonTransactionTimeout)
	}
	t := h.Transactors[name]
	if t == nil {
		if len(h.Transactors) >= TransactorsMax {
			return now, done, fault.New(fault.QuotaSpent, "init producer", name.Name, "there are %d named producers; the limit is %d", len(h.Transactors), TransactorsMax)
		}
		return h.putTransactor(&transactorPut{producer: h.AllocateProducer(f), wasID: -1, wasEpoch: -1, timeoutMS: timeoutMS, name: name}, f), done, nil
	}
	v := transactorPut{producer: t.Producer, wasID: -1, wasEpoch: -1, timeoutMS: timeoutMS, name: name}
	if expect != nil {
		is, was := ProducerEpoch{t.Producer, t.Epoch}, ProducerEpoch{t.WasID, t.WasEpoch}
		switch {
		case *expect == is:
			v.wasID, v.wasEpoch = is.ID, is.Epoch
		case *expect == was && t.Phase != PhaseOpen:
			return is, done, nil // asked again, because the answer was lost
		default:
			return now, done, h.fenced(t, *expect, "init producer")
		}
	}
	if t.Phase == PhaseOpen {
		done = h.end(t, false, t.Epoch+1, ended{then: t.Producer, epoch: t.Epoch + 1, wasID: -1, wasEpoch: -1}, f)
		v.epoch = t.Epoch
	} else {
		v.epoch = min(t.Epoch, epochExhausted) + 1
	}
	if v.epoch > epochExhausted {
		v.producer, v.epoch = h.AllocateProducer(f), 0
	}
	return h.putTransactor(&v, f), done, nil
}

func (h *Head) putTransactor(v *transactorPut, f *fact.Frame) ProducerEpoch {
	f.Add(fact.TransactorPut, 1, v.append)
	h.schedule(h.evolveTransactor(v, h.frameTime))
	return ProducerEpoch{v.producer, v.epoch}
}

// transactor finds a named producer that says who it is.
func (h *Head) transactor(name TransactorName, id ProducerEpoch, op string) (*Transactor, *fault.Error) {
	t := h.Transactors[name]
	switch {
	case t == nil || t.Producer != id.ID:
		return nil, noTransactor(op, name.Name)
	case t.Epoch != id.Epoch:
		return nil, h.fenced(t, id, op)
	}
	return t, nil
}

// Enlist announces partitions and subscriptions of a transaction, and begins one where none is open.
func (h *Head) Enlist(name TransactorName, id ProducerEpoch, places []Place, cursors []uint32, f *fact.Frame) *fault.Error {
	t, err := h.transactor(name, id, "enlist")
	if err != nil {
		return err
	}
	v := enlistedFact{producer: t.Producer}
	for _, at := range places {
		if h.Partition(at.Stream, at.Partition) == nil {
			return fault.New(fault.NotFound, "enlist", "", "the stream was deleted, or has no partition %d", at.Partition).Because(fault.ReasonPartition)
		}
		if _, there := t.enlisted(at); !there || t.Phase != PhaseOpen {
			v.places = append(v.places, at)
		}
	}
	for _, c := range cursors {
		if _, there := slices.BinarySearch(t.Cursors, c); !there || t.Phase != PhaseOpen {
			v.cursors = append(v.cursors, c)
		}
	}
	switch {
	case len(v.places)+len(v.cursors) == 0:
		return nil
	case len(t.Places)+len(v.places) > TransactionPlacesMax || len(t.Cursors)+len(v.cursors) > TransactionCursorsMax:
		return fault.New(fault.TooLarge, "enlist", name.Name, "a transaction has at most %d partitions and positions of %d subscriptions", TransactionPlacesMax, TransactionCursorsMax)
	}
	f.Add(fact.Enlisted, 1, v.append)
	h.schedule(h.evolveEnlisted(&v, h.frameTime))
	return nil
}

// Defer takes positions of a subscription that move when the transaction is committed. Unless it is implicit, the subscription was enlisted.
func (h *Head) Defer(name TransactorName, id ProducerEpoch, cursor uint32, ds []Deferred, implicit bool, f *fact.Frame) *fault.Error {
	t, err := h.transactor(name, id, "defer")
	if err != nil {
		return err
	}
	_, there := slices.BinarySearch(t.Cursors, cursor)
	switch there = there && t.Phase == PhaseOpen; {
	case !there && !implicit:
		return wrongPhase("defer", t)
	case !there && t.Phase == PhaseOpen && len(t.Cursors) >= TransactionCursorsMax, len(t.Deferred)+len(ds) > TransactionPositionsMax:
		return fault.New(fault.TooLarge, "defer", name.Name, "a transaction has at most %d positions of %d subscriptions", TransactionPositionsMax, TransactionCursorsMax)
	case len(ds) == 0:
		return nil
	}
	f.Add(fact.PositionsDeferred, 1, func(dst []byte) []byte { return appendDeferred(dst, t.Producer, cursor, ds) })
	for i := range ds {
		ds[i].Cursor = cursor
	}
	h.schedule(h.evolveDeferred(t.Producer, ds, h.frameTime))
	return nil
}

// EndTransaction commits or aborts. bump: the producer gets another epoch for its next transaction, so that whatever of this one comes late is
// refused, and a repeated request is known by the epoch; without, it is known by how the last one ended.
func (h *Head) EndTransaction(name TransactorName, id ProducerEpoch, commit, bump bool, f *fact.Frame) (now ProducerEpoch, done Ending, err *fault.Error) {
	t := h.Transactors[name]
	if t == nil {
		return now, done, noTransactor("end transaction", name.Name)
	}
	now = ProducerEpoch{t.Producer, t.Epoch}
	same := t.Phase == PhaseCommitted && commit || t.Phase == PhaseAborted && !commit
	switch {
	case bump && id == (ProducerEpoch{t.WasID, t.WasEpoch}) && (t.Phase == PhaseCommitted || t.Phase == PhaseAborted):
		if !same {
			return now, done, wrongPhase("end transaction", t)
		}
		return now, done, nil
	case t.Producer != id.ID:
		return now, done, noTransactor("end transaction", name.Name)
	case t.Epoch != id.Epoch:
		return now, done, h.fenced(t, id, "end transaction")
	case t.Phase != PhaseOpen && !bump && same:
		return now, done, nil
	case t.Phase != PhaseOpen && (commit || !bump):
		return now, done, wrongPhase("end transaction", t)
	}
	then, marker := ended{commit: commit, then: t.Producer, epoch: t.Epoch, wasID: t.WasID, wasEpoch: t.WasEpoch}, t.Epoch
	if bump {
		marker = min(t.Epoch, epochExhausted) + 1
		then.wasID, then.wasEpoch = id.ID, id.Epoch
		if then.epoch = marker; marker > epochExhausted {
			then.then, then.epoch = h.AllocateProducer(f), 0
		}
	}
	done = h.end(t, commit, marker, then, f)
	return ProducerEpoch{t.Producer, t.Epoch}, done, nil
}

// end writes the markers of a transaction, and what its producer is then.
func (h *Head) end(t *Transactor, commit bool, epoch int16, then ended, f *fact.Frame) (done Ending) {
	if t.Phase == PhaseOpen {
		for i := range t.Places {
			if e := &t.Places[i]; e.First >= 0 {
				done.Markers = append(done.Markers, h.marker(e.Place, ProducerEpoch{t.Producer, epoch}, commit, f))
			}
		}
		if commit {
			done.Deferred = t.Deferred
		}
	}
	then.producer, then.commit = t.Producer, commit
	f.Add(fact.TransactionEnded, 1, then.append)
	h.schedule(h.evolveEnded(&then, h.frameTime))
	return done
}

func (h *Head) marker(at Place, id ProducerEpoch, commit bool, f *fact.Frame) Marker {
	p := h.Partition(at.Stream, at.Partition)
	batch := record.BuildMarker(id.ID, id.Epoch, commit, h.frameTime)
	record.PatchBatch(batch, p.Next, LeaderEpoch)
	a := Appended{
		Stream: at.Stream, Partition: at.Partition, Base: p.Next, Count: 1, Bytes: int64(len(batch)), MaxTimeMS: h.frameTime,
		Producer: id.ID, Epoch: id.Epoch, Flags: AppendedTransactional | AppendedMarker,
	}
	if commit {
		a.Flags |= AppendedCommit
	}
	h.batches++
	f.Add(fact.Appended, a.version(), a.append)
	f.Attach(batch)
	h.evolveAppended(&a, h.frameTime)
	h.evolveMarked(&a)
	return Marker{at, a.Base, a.Bytes}
}

// judgeTransaction says whether a batch of a numbered producer may come with, or without, a transaction as it does.
func (h *Head) judgeTransaction(c *Append, e *Entry, p *Partition) *fault.Error {
	b := &e.Header
	t := h.ByProducer[b.ProducerID]
	if !b.Transactional() {
		if t != nil && t.Phase == PhaseOpen {
			return fault.New(fault.Conflict, "append", t.Name.Name, "producer %q has a transaction open; this batch is of none", t.Name.Name).Because(fault.ReasonTransaction)
		}
		return nil
	}
	at := Place{e.Stream, e.Partition}
	switch {
	case t == nil || t.Name != c.Transactor:
		return noTransactor("append", c.Transactor.Name)
	case t.Epoch != b.ProducerEpoch:
		return fault.New(fault.Fenced, "append", t.Name.Name, "producer %q has epoch %d, this batch has %d: a newer instance has taken over, or its transaction took too long",
			t.Name.Name, t.Epoch, b.ProducerEpoch).Because(fault.ReasonProducerEpoch)
	}
	_, there := t.enlisted(at)
	implicit := c.Implicit || e.Joined // nobody can announce where that goes
	switch there = there && t.Phase == PhaseOpen; {
	case there:
	case !implicit && t.Phase != PhaseOpen:
		return wrongPhase("append", t)
	case !implicit:
		return fault.New(fault.Conflict, "append", t.Name.Name, "partition %d was not announced as one of the transaction of %q", e.Partition, t.Name.Name).Because(fault.ReasonTransaction)
	case t.Phase == PhaseOpen && len(t.Places) >= TransactionPlacesMax:
		return fault.New(fault.TooLarge, "append", t.Name.Name, "a transaction has at most %d partitions", TransactionPlacesMax)
	}
	if len(p.Open) >= OpenTransactionsMax && p.openOf(b.ProducerID) < 0 {
		return fault.New(fault.QuotaSpent, "append", t.Name.Name, "the partition has %d open transactions; the limit is %d", len(p.Open), OpenTransactionsMax)
	}
	return nil
}

// Due returns what becomes due first: when an open transaction takes too long, or a name has been silent for so long that it is let go of.
func (h *Head) Due() (ms int64, some bool) {
	if len(h.pending) == 0 {
		return 0, false
	}
	return h.pending[0].due, true
}

// Expire does one thing that is due, false when there is none: it aborts a transaction, or forgets a name.
func (h *Head) Expire(nowMS int64, f *fact.Frame) (done Ending, did bool) {
	if len(h.pending) == 0 || h.pending[0].due > nowMS {
		return done, false
	}
	t := h.pending[0]
	if t.Phase == PhaseOpen {
		then := ended{then: t.Producer, epoch: min(t.Epoch, epochExhausted) + 1, wasID: -1, wasEpoch: -1}
		return h.end(t, false, then.epoch, then, f), true
	}
	f.Add(fact.TransactorGone, 1, func(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(t.Producer)) })
	h.evolveTransactorGone(t.Producer)
	h.unschedule(t)
	return done, true
}

// Abort aborts the transaction of a producer that has records in a partition, as an operator asks. It reports whether there was one. The producer is
// fenced.
func (h *Head) Abort(at Place, id ProducerEpoch, f *fact.Frame) (done Ending, did bool) {
	t := h.ByProducer[id.ID]
	if t == nil || t.Phase != PhaseOpen || t.Epoch != id.Epoch {
		return done, false
	}
	if _, there := t.enlisted(at); !there {
		return done, false
	}
	then := ended{then: t.Producer, epoch: min(t.Epoch, epochExhausted) + 1, wasID: -1, wasEpoch: -1}
	return h.end(t, false, then.epoch, then, f), true
}
