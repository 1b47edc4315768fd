package broker

import (
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// Reading by query: events that one of some queries asks for, in the order of their positions. Of streams with Tags the index is read, and it costs what
// is found; of others all events are looked at.

const (
	// QueriesMax is how many queries one reading has.
	QueriesMax = 64

	queryLookMax = 50_000 // entries of the index looked at for a page, for each query of each stream
)

// Asks says whether a query asks for an event.
func (q EventQuery) Asks(d *Delivered) bool {
	typ := DefaultEventType
	if d.from != nil {
		typ = d.from.defaultType()
	}
	var scratch record.Event
	return q.asks(d.Record, &scratch, typ)
}

// asks says whether a query asks for an event.
func (q *EventQuery) asks(r *record.Record, scratch *record.Event, defaultType string) bool {
	types, tags := len(q.Types) == 0, 0
	var met [QueryTagsMax]bool
	_ = eachTerm(r, scratch, defaultType, false, func(tag bool, text string) {
		if !tag {
			types = types || slices.Contains(q.Types, text)
			return
		}
		for i, t := range q.Tags {
			if t == text && !met[i] {
				met[i] = true
				tags++
			}
		}
	})
	return types && tags == len(q.Tags)
}

// checkQueries refuses queries that cannot be.
func checkQueries(qs []EventQuery) error {
	if len(qs) > QueriesMax {
		return fault.New(fault.TooLarge, "read", "any", "there are %d queries; the limit is %d", len(qs), QueriesMax)
	}
	for i := range qs {
		if err := qs[i].check("read"); err != nil {
			return at(err, i, len(qs))
		}
	}
	return nil
}

// indexed reports whether all streams of the merge have types and tags of all their events in the index.
func (m *merge) indexed() bool {
	for _, n := range m.streams {
		if st, ok := m.pub.Stream(n.id); !ok || !st.Terms || st.TermsPartial {
			return false
		}
	}
	return true
}

// scanning has a page look at each event, where the index does not tell.
func (q *PageRequest) scanning() {
	var scratch record.Event
	match := q.Match
	q.Match = func(d *Delivered) (bool, error) {
		typ := DefaultEventType
		if d.from != nil {
			typ = d.from.defaultType()
		}
		for i := range q.Any {
			if q.Any[i].asks(d.Record, &scratch, typ) {
				if match == nil {
					return true, nil
				}
				return match(d)
			}
		}
		return false, nil
	}
}

// termLane is what one query finds in one stream.
type termLane struct {
	from *named
	walk *shard.TermWalk
	next stream.HistoryEntry
	ok   bool
}

func (l *termLane) step() error {
	l.next, l.ok = l.walk.Next()
	return l.walk.Err()
}

// termMerge walks what several queries find in several streams, in the order of positions; what two of them find comes once.
type termMerge struct {
	lanes []termLane
	err   error // ends it, behind what was found so far
}

func (k *termMerge) close() {
	for i := range k.lanes {
		k.lanes[i].walk.Close()
	}
}

func (k *termMerge) next() (keyed, bool, error) {
	best := -1
	for i := range k.lanes {
		if l := &k.lanes[i]; l.ok && (best < 0 || placed(&l.next).Compare(placed(&k.lanes[best].next)) < 0) {
			best = i
		}
	}
	if best < 0 || k.err != nil {
		return keyed{}, false, k.err
	}
	x := keyed{k.lanes[best].from, k.lanes[best].next}
	for i := range k.lanes {
		if l := &k.lanes[i]; l.ok && placed(&l.next).Compare(placed(&x.HistoryEntry)) == 0 {
			if err := l.step(); err != nil {
				k.err = err
			}
		}
	}
	return x, true, nil
}

func placed(e *stream.HistoryEntry) record.Position {
	return record.Position{Seq: e.Seq, Batch: e.Batch, Record: e.Record}
}

// verifier reads records and says whether a query asks for them.
func (b *Broker) verifier(pub *shard.Published, n *named, q *EventQuery) func(e *stream.HistoryEntry) (bool, error) {
	var scratch record.Event
	return func(e *stream.HistoryEntry) (bool, error) {
		src, ok := pub.Source(n.id, e.Partition)
		if !ok {
			return false, fault.New(fault.NotFound, "read", n.name, "the stream was deleted")
		}
		asked := false
		err := pub.ReadStoredOne(src, e.Offset, func(s *shard.One) error {
			r, ok, err := s.Record(e.Offset)
			asked = err == nil && ok && q.asks(&r, &scratch, n.defaultType())
			return err
		})
		if fault.Is(err, fault.Trimmed) {
			err = nil // just now
		}
		return asked, err
	}
}

// pageOfQuery reads by the index of types and tags. A page ends where the index was looked at often enough.
func (m *merge) pageOfQuery(q *PageRequest) (Page, error) {
	if err := m.refresh(); err != nil {
		return Page{}, err
	}
	p := Page{Next: m.edge(&PageRequest{}), CaughtUp: true}
	if q.From.Kind == StartLatest {
		return p, nil
	}
	from, inside, err := m.startOfKey(q)
	if err != nil {
		return Page{}, err
	}
	if q.From.Kind == StartPosition && q.From.Position.Seq > m.upTo {
		p.Next = q.From.Position
		return p, nil
	}
	var after shard.At
	if from != nil {
		after = *from
	}
	q.scanning() // what the index leaves open shows when the event is read
	k := &termMerge{}
	defer k.close()
	for _, n := range m.streams {
		for i := range q.Any {
			w := m.pub.Terms(n.id, q.Any[i].terms(), after, m.upTo, queryLookMax, nil)
			k.lanes = append(k.lanes, termLane{from: n, walk: w})
			if err := k.lanes[len(k.lanes)-1].step(); err != nil {
				return Page{}, err
			}
		}
	}
	last := after
	for range m.b.cfg.PageScanMax {
		x, ok, err := k.next()
		if fault.Is(err, fault.TooLarge) && len(p.Events) > 0 {
			break // the page has what was found up to Next, and who goes on begins there
		}
		if err != nil || !ok {
			return p, err
		}
		if p.full(q) {
			break
		}
		if inside == nil || inside(&x) {
			d, err := m.readKeyed(&x)
			if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Trimmed) {
				return Page{}, err
			}
			if err == nil {
				ok, err := q.matches(d)
				if err != nil {
					return Page{}, err
				}
				if ok {
					p.add(d)
				}
			}
		}
		last = shard.At{Seq: x.Seq, Batch: x.Batch, Record: x.Record}
	}
	p.Next, p.CaughtUp = m.b.position(m.shard, last.Seq, last.Batch, last.Record), false
	return p, nil
}
