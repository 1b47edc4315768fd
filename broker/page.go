package broker

import (
	"cmp"
	"context"
	"math"
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// PageRequest asks for some events of some streams.
type PageRequest struct {
	Streams  []string
	From     Start
	Limit    int
	Backward bool                           // from there towards the start
	Key      []byte                         // nil: every key
	Match    func(*Delivered) (bool, error) // nil: every event
}

// Page is the answer. Next goes on after it; CaughtUp: nothing lies beyond Next now. A page may be short, and even empty, without being
// caught up: looking at records that do not match is bounded.
type Page struct {
	Events   []*Delivered
	Next     record.Position
	CaughtUp bool

	bytes int // of the events' keys and values
}

func (p *Page) add(d *Delivered) {
	p.Events = append(p.Events, d)
	p.bytes += len(d.Record.Key) + len(d.Record.Value)
}

func (p *Page) full(q *PageRequest) bool { return len(p.Events) >= q.Limit || p.bytes >= pageBytesMax }

// pageBytesMax ends a page early, after the event that reaches it.
const pageBytesMax = 16 << 20

// PageLimitMax is the most events of one page.
const PageLimitMax = 1000

// ReadPage reads a page of events in position order.
func (b *Broker) ReadPage(ctx context.Context, c *Caller, q PageRequest) (Page, error) {
	if q.Limit < 1 || q.Limit > PageLimitMax {
		return Page{}, fault.New(fault.Invalid, "read", "limit", "limit is %d; it must be between 1 and %d", q.Limit, PageLimitMax)
	}
	m, err := b.openMerge(c, q.Streams)
	if err != nil {
		return Page{}, err
	}
	if q.Key != nil && m.keepsKeys() {
		return m.pageOfKey(&q)
	}
	if q.Key != nil {
		key, match := q.Key, q.Match
		q.Match = func(d *Delivered) (bool, error) {
			if d.Record.Key == nil || string(d.Record.Key) != string(key) {
				return false, nil
			}
			if match == nil {
				return true, nil
			}
			return match(d)
		}
	}
	if q.Backward {
		return m.pageBackward(ctx, &q)
	}
	for try := 0; ; try++ {
		p, err := m.pageForward(&q)
		// What begins at whatever is there now begins again when just that has gone; who names a place is told that it has.
		if named := q.From.Kind == StartOffset || q.From.Kind == StartPosition; named || try == pageTriesMax || !fault.Is(err, fault.Trimmed) {
			return p, err
		}
		if m, err = b.openMerge(c, q.Streams); err != nil {
			return Page{}, err
		}
	}
}

const pageTriesMax = 5 // of a page whose first events are trimmed while it is read

func (m *merge) pageForward(q *PageRequest) (Page, error) {
	if err := m.begin(q.From); err != nil {
		return Page{}, err
	}
	var p Page
	for range m.b.cfg.PageScanMax {
		d, err := m.next()
		if err != nil {
			return Page{}, err
		}
		if d == nil {
			p.CaughtUp = true
			break
		}
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
		d, err := m.peek()
		if err != nil {
			return Page{}, err
		}
		p.CaughtUp = d == nil
	}
	p.Next = m.after
	p.Next.Shard, p.Next.Lineage = uint16(m.shard), m.b.opt.Lineage
	return p, nil
}

func (q *PageRequest) matches(d *Delivered) (bool, error) {
	if q.Match == nil {
		return true, nil
	}
	return q.Match(d)
}

// keepsKeys reports whether all of the merge's streams can be read by key without scanning.
func (m *merge) keepsKeys() bool {
	for _, n := range m.streams {
		if st, ok := m.pub.Stream(n.id); !ok || st.Keys == stream.KeysOff {
			return false
		}
	}
	return true
}

// peek reports the next event without taking it.
func (m *merge) peek() (*Delivered, error) {
	after := m.after
	d, err := m.next()
	m.after = after
	return d, err
}

// keyed is a record of a key, before it is read.
type keyed struct {
	from *named
	stream.HistoryEntry
}

const keyRecordsMax = 100_000 // of one key, in all streams of a page together

// pageOfKey reads a key's records by the rows that streams keep of keys.
func (m *merge) pageOfKey(q *PageRequest) (Page, error) {
	if err := m.refresh(); err != nil {
		return Page{}, err
	}
	all, err := m.recordsOfKey(q.Key)
	if err != nil {
		return Page{}, err
	}
	// Positions order records over partitions and streams.
	slices.SortFunc(all, func(x, y keyed) int {
		return cmp.Or(cmp.Compare(x.Seq, y.Seq), cmp.Compare(x.Batch, y.Batch), cmp.Compare(x.Record, y.Record))
	})
	lo, hi, err := m.rangeOfKey(q, all)
	if err != nil {
		return Page{}, err
	}
	var p Page
	p.Next, p.CaughtUp = m.edge(q), true
	step, i := 1, lo
	if q.Backward {
		step, i = -1, hi-1
	}
	for ; i >= lo && i < hi; i += step {
		if p.full(q) {
			p.CaughtUp = false
			break
		}
		d, err := m.readKeyed(&all[i])
		if fault.Is(err, fault.Trimmed) && m.gone(&all[i]) {
			// Just now. Nothing is left out between two events of a page: who goes on from its end is told.
			if len(p.Events) > 0 && !q.Backward {
				p.CaughtUp = false
				break
			}
			if q.Backward || q.From.Kind != StartPosition && q.From.Kind != StartOffset {
				continue
			}
		}
		if err != nil {
			return Page{}, err
		}
		p.Next = d.Position
		ok, err := q.matches(d)
		if err != nil {
			return Page{}, err
		}
		if ok {
			p.add(d)
		}
	}
	return p, nil
}

// edge is where a page without events goes on: where it began, or the end of what is there.
func (m *merge) edge(q *PageRequest) record.Position {
	if q.From.Kind == StartPosition {
		return q.From.Position
	}
	if q.Backward {
		return m.b.position(m.shard, 0, 0, 0)
	}
	return m.b.position(m.shard, m.upTo, math.MaxUint32, math.MaxUint32)
}

func (m *merge) recordsOfKey(key []byte) ([]keyed, error) {
	var all []keyed
	for _, n := range m.streams {
		st, _ := m.pub.Stream(n.id)
		if st.Keys == stream.KeysLatest {
			e, ok, err := m.pub.Latest(n.id, key)
			if err != nil {
				return nil, err
			}
			if ok {
				all = append(all, keyed{n, e})
			}
			continue
		}
		err := m.pub.History(n.id, key, false, func(e stream.HistoryEntry) bool {
			if e.Seq <= m.upTo {
				all = append(all, keyed{n, e})
			}
			return len(all) <= keyRecordsMax
		})
		if err != nil {
			return nil, err
		}
		if len(all) > keyRecordsMax {
			return nil, fault.New(fault.TooLarge, "read", "key", "the key has more than %d records; read the stream instead", keyRecordsMax)
		}
	}
	return slices.DeleteFunc(all, func(k keyed) bool { return m.gone(&k) }), nil
}

// gone reports whether a record that a stream knows by its key has been trimmed. Keys are let go of some time after records.
func (m *merge) gone(k *keyed) bool {
	part := m.pub.Part(k.from.id, k.Partition)
	if part == nil {
		return false // reading it says what has happened
	}
	start, _ := part.Ends()
	return k.Offset < start
}

// rangeOfKey cuts a key's records, in position order, to what a page may show.
func (m *merge) rangeOfKey(q *PageRequest, all []keyed) (lo, hi int, err error) {
	hi = len(all)
	first := func(past func(*keyed) bool) int { return slices.IndexFunc(all, func(k keyed) bool { return past(&k) }) }
	var cut int
	switch q.From.Kind {
	case StartEarliest:
		if q.Backward {
			return 0, 0, nil
		}
		return 0, hi, nil
	case StartLatest:
		if q.Backward {
			return 0, hi, nil
		}
		return hi, hi, nil
	case StartPosition:
		if err := m.resume(q.From.Position); err != nil {
			return 0, 0, err
		}
		cut = first(func(k *keyed) bool {
			c := m.b.position(m.shard, k.Seq, k.Batch, k.Record).Compare(q.From.Position)
			return c > 0 || c == 0 && q.Backward
		})
	case StartOffset:
		cut = first(func(k *keyed) bool { return k.Offset >= q.From.Offset })
	case StartTime:
		if err := m.begin(q.From); err != nil {
			return 0, 0, err
		}
		starts := map[keyLane]record.Offset{}
		for i := range m.lanes {
			starts[keyLane{m.lanes[i].src.Stream, m.lanes[i].src.Partition}] = m.lanes[i].next
		}
		cut = first(func(k *keyed) bool { return k.Offset >= starts[keyLane{k.from.id, k.Partition}] })
	default:
		return 0, 0, fault.New(fault.Unsupported, "read", "from", "events cannot be read from there")
	}
	if cut < 0 {
		cut = hi
	}
	if q.Backward {
		return 0, cut, nil
	}
	return cut, hi, nil
}

type keyLane struct {
	stream    record.StreamID
	partition record.PartitionID
}

func (m *merge) readKeyed(k *keyed) (*Delivered, error) {
	src, ok := m.pub.Source(k.from.id, k.Partition)
	if !ok {
		return nil, fault.New(fault.NotFound, "read", k.from.name, "the stream was deleted")
	}
	d, err := m.b.readOffset(m.pub, k.from, src, k.Offset)
	if err != nil || k.Version == 0 {
		return d, err
	}
	return &Delivered{Position: d.Position, Ref: d.Ref, AppendTime: d.AppendTime, Version: k.Version, Record: d.Record, from: d.from}, nil
}

// readOffset reads one event.
func (b *Broker) readOffset(pub *shard.Published, n *named, src shard.Source, o record.Offset) (*Delivered, error) {
	batches, err := pub.Read(nil, src, o, 1, shard.AllSeqs)
	if err != nil {
		return nil, err
	}
	if len(batches) > 0 {
		events, err := b.decode(n, src.Partition, batches[0])
		if err != nil {
			return nil, err
		}
		for i := range events {
			if events[i].Ref.Offset == o {
				return &events[i], nil
			}
		}
	}
	ref := record.Ref{Stream: n.name, Partition: src.Partition, Offset: o}
	return nil, fault.New(fault.NotFound, "read", ref.String(), "there is no event %s", ref)
}

// ReadRef reads one event by its name.
func (b *Broker) ReadRef(_ context.Context, c *Caller, r record.Ref) (*Delivered, error) {
	src, pub, n, err := b.source(c, r.Stream, r.Partition)
	if err != nil {
		return nil, err
	}
	start, end := src.Part.Ends()
	if r.Offset < start {
		return nil, fault.New(fault.Trimmed, "read", r.String(), "%s is gone; the earliest is %d", r, start).Because(fault.ReasonOffset).With(start)
	}
	if r.Offset >= end {
		return nil, fault.New(fault.NotFound, "read", r.String(), "there is no event %s; the partition ends at %d", r, end)
	}
	return b.readOffset(pub, n, src, r.Offset)
}

// Appender returns who appended an event, through what.
func (b *Broker) Appender(_ context.Context, c *Caller, r record.Ref) (stream.Origin, error) {
	src, pub, _, err := b.source(c, r.Stream, r.Partition)
	if err != nil {
		return stream.Origin{}, err
	}
	o, ok, err := pub.Origin(src, r.Offset)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "read", r.String(), "nothing is known of who appended %s", r)
	}
	return o, err
}
