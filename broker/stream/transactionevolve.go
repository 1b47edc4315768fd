package stream

import (
	"slices"

	"leat/broker/record"
)

// As in evolve.go: head and folder change a State's transactions by these functions alone.

func (s *State) evolveTransactor(v *transactorPut, nowMS int64) *Transactor {
	t := s.Transactors[v.name]
	if t == nil {
		t = &Transactor{Name: v.name, Producer: v.producer}
		s.Transactors[v.name] = t
	}
	s.renumber(t, v.producer)
	t.Epoch, t.WasID, t.WasEpoch, t.TimeoutMS = v.epoch, v.wasID, v.wasEpoch, v.timeoutMS
	t.Phase, t.BegunMS, t.ChangedMS = PhaseIdle, 0, nowMS
	t.Places, t.Cursors, t.Deferred = nil, nil, nil
	return t
}

// renumber gives a transactor another producer id.
func (s *State) renumber(t *Transactor, id int64) {
	if s.ByProducer[t.Producer] == t {
		delete(s.ByProducer, t.Producer)
	}
	t.Producer = id
	s.ByProducer[id] = t
}

func (s *State) evolveTransactorGone(producer int64) *Transactor {
	t := s.ByProducer[producer]
	if t != nil {
		delete(s.ByProducer, producer)
		delete(s.Transactors, t.Name)
	}
	return t
}

func (s *State) evolveEnlisted(v *enlistedFact, nowMS int64) *Transactor {
	t := s.ByProducer[v.producer]
	if t == nil {
		return nil
	}
	t.begin(nowMS)
	for _, at := range v.places {
		t.enlist(at)
	}
	for _, c := range v.cursors {
		if i, there := slices.BinarySearch(t.Cursors, c); !there {
			t.Cursors = slices.Insert(t.Cursors, i, c)
		}
	}
	return t
}

// evolveDeferred notes positions; of one place the last one counts.
func (s *State) evolveDeferred(producer int64, ds []Deferred, nowMS int64) *Transactor {
	t := s.ByProducer[producer]
	if t == nil {
		return nil
	}
	t.begin(nowMS)
	at := make(map[deferredAt]int, len(t.Deferred))
	for i := range t.Deferred {
		at[deferredAt{t.Deferred[i].Cursor, t.Deferred[i].Place}] = i
	}
	for i := range ds {
		d := ds[i]
		k := deferredAt{d.Cursor, d.Place}
		if j, there := at[k]; there {
			t.Deferred[j] = d
			continue
		}
		at[k] = len(t.Deferred)
		t.Deferred = append(t.Deferred, d)
		if j, there := slices.BinarySearch(t.Cursors, d.Cursor); !there {
			t.Cursors = slices.Insert(t.Cursors, j, d.Cursor)
		}
	}
	return t
}

type deferredAt struct {
	cursor uint32
	place  Place
}

func (s *State) evolveEnded(v *ended, nowMS int64) *Transactor {
	t := s.ByProducer[v.producer]
	if t == nil {
		return nil
	}
	s.renumber(t, v.then)
	t.Epoch, t.WasID, t.WasEpoch = v.epoch, v.wasID, v.wasEpoch
	t.Phase, t.BegunMS, t.ChangedMS = PhaseAborted, 0, nowMS
	if v.commit {
		t.Phase = PhaseCommitted
	}
	t.Places, t.Cursors, t.Deferred = nil, nil, nil
	return t
}

// evolveOpened notes the first record of a transaction in a partition. It returns the transactor if anything of it has changed.
func (s *State) evolveOpened(a *Appended, seq uint64, nowMS int64) *Transactor {
	p := &s.Streams[a.Stream].Partitions[a.Partition]
	if p.openOf(a.Producer) >= 0 {
		return nil
	}
	p.Open = append(p.Open, OpenTransaction{a.Producer, a.Base, seq})
	p.Marked = true
	t := s.ByProducer[a.Producer]
	if t == nil {
		return nil
	}
	t.begin(nowMS)
	e := &t.Places[t.enlist(Place{a.Stream, a.Partition})]
	e.First, e.Seq = a.Base, seq
	return t
}

// evolveMarked ends a transaction in a partition. It returns what nobody is to see, if it was aborted and had records.
func (s *State) evolveMarked(a *Appended) (gone Aborted, some bool) {
	p := &s.Streams[a.Stream].Partitions[a.Partition]
	p.Marked = true
	i := p.openOf(a.Producer)
	if i < 0 {
		return gone, false
	}
	first := p.Open[i].First
	p.Open = slices.Delete(p.Open, i, i+1)
	if a.Flags&AppendedCommit != 0 {
		return gone, false
	}
	p.LastAborted = a.Base
	stable, _ := p.Stable()
	return Aborted{Producer: a.Producer, First: first, Last: a.Base, Stable: stable}, true
}

// mark notes the marker of a producer: with a greater epoch nothing is left of what it sent.
func (p *Partition) mark(a *Appended, nowMS int64) *Producer {
	pr := p.Producers[a.Producer]
	if pr == nil || pr.Epoch < a.Epoch {
		if p.Producers == nil {
			p.Producers = map[int64]*Producer{}
		}
		pr = &Producer{Epoch: a.Epoch}
		p.Producers[a.Producer] = pr
	}
	pr.LastMS = nowMS
	return pr
}

// evolveStreamGone takes a stream away, and out of transactions. It returns the transactors that this concerns.
func (s *State) evolveStreamGone(id record.StreamID) (concerned []*Transactor) {
	delete(s.Streams, id)
	for _, t := range s.Transactors {
		if t.Phase != PhaseOpen {
			continue
		}
		was := len(t.Places) + len(t.Deferred)
		t.Places = slices.DeleteFunc(t.Places, func(e Enlisted) bool { return e.Stream == id })
		t.Deferred = slices.DeleteFunc(t.Deferred, func(d Deferred) bool { return d.Place.Stream == id })
		if len(t.Places)+len(t.Deferred) < was {
			concerned = append(concerned, t)
		}
	}
	return concerned
}
