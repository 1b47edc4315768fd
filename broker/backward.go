package broker

import (
	"context"
	"math"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
)

// back is one partition of a page that goes towards the start.
type back struct {
	lane
	start record.Offset
}

// pageBackward reads towards the start: from latest (the end), from a position (what lies before it), from a time or offset likewise.
func (m *merge) pageBackward(ctx context.Context, q *PageRequest) (Page, error) {
	before := m.b.position(m.shard, math.MaxUint64, math.MaxUint32, math.MaxUint32)
	from := q.From
	if from.Kind == StartPosition {
		before = from.Position
	}
	if err := m.begin(from); err != nil {
		return Page{}, err
	}
	if from.Kind == StartPosition {
		if err := m.seek(func(r *stream.Run) bool { return r.Seq > before.Seq }); err != nil {
			return Page{}, err
		}
	}
	lanes := make([]back, len(m.lanes))
	for i := range lanes {
		lanes[i].lane = m.lanes[i]
		l := &lanes[i]
		start, end := l.src.Part.Ends()
		l.start = start
		switch from.Kind {
		case StartPosition:
			// The first run of a later frame, or the end: what lies before it and not before the position is left out one by one.
			l.next = m.lanes[i].next
		case StartLatest:
			l.next = end
		}
	}
	p := Page{Next: before}
	for range m.b.cfg.PageScanMax {
		d, err := m.previous(lanes, before)
		if err != nil {
			return Page{}, err
		}
		if d == nil {
			p.CaughtUp = true
			break
		}
		p.Next = d.Position
		ok, err := q.matches(d)
		if err != nil {
			return Page{}, err
		}
		if ok {
			if p.add(d); p.full(q) {
				break
			}
		}
	}
	if !p.CaughtUp {
		d, err := m.previous(lanes, before)
		if err != nil {
			return Page{}, err
		}
		p.CaughtUp = d == nil
	}
	if p.Next == before && q.From.Kind != StartPosition {
		p.Next = m.b.position(m.shard, 0, 0, 0)
	}
	return p, ctx.Err()
}

// previous returns the latest event before that place, nil at the start.
func (m *merge) previous(lanes []back, before record.Position) (*Delivered, error) {
	best := -1
	for i := range lanes {
		l := &lanes[i]
		for len(l.pending) == 0 && l.next > l.start {
			if err := m.fillBack(l, before); err != nil {
				return nil, err
			}
		}
		if n := len(l.pending); n > 0 && (best < 0 || l.pending[n-1].Position.Compare(last(lanes[best].pending)) > 0) {
			best = i
		}
	}
	if best < 0 {
		return nil, nil
	}
	l := &lanes[best]
	n := len(l.pending) - 1
	d := &l.pending[n]
	l.pending = l.pending[:n]
	return d, nil
}

func last(ds []Delivered) record.Position { return ds[len(ds)-1].Position }

// fillBack makes the events of the batch before l.next pending.
func (m *merge) fillBack(l *back, before record.Position) error {
	s, err := m.pub.ReadBefore(l.src, l.next)
	if fault.Is(err, fault.Trimmed) {
		l.start, _ = l.src.Part.Ends() // further on now; what lies before has no events any more
		return nil
	}
	if err != nil {
		return err
	}
	if s == nil {
		l.next = l.start
		return nil
	}
	events, err := m.b.decode(l.from, l.src.Partition, s)
	if err != nil {
		return err
	}
	n := len(events)
	for n > 0 && (events[n-1].Ref.Offset >= l.next || events[n-1].Position.Compare(before) >= 0 || events[n-1].Position.Seq > m.upTo) {
		n--
	}
	first := 0
	for first < n && events[first].Ref.Offset < l.start {
		first++
	}
	l.next = s.Base
	l.pending = events[first:n]
	return nil
}
