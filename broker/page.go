package broker

import (
	"cmp"
	"context"
	"math"
	"sync"
	"sync/atomic"

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
	Any      []EventQuery                   // none: every event; else what one of them asks for
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
	p, err := b.readPage(ctx, c, q)
	b.sawDelivered(c, p.Events)
	return p, err
}

func (b *Broker) readPage(ctx context.Context, c *Caller, q PageRequest) (Page, error) {
	if q.Limit < 1 || q.Limit > PageLimitMax {
		return Page{}, fault.New(fault.Invalid, "read", "limit", "limit is %d; it must be between 1 and %d", q.Limit, PageLimitMax)
	}
	m, err := b.openMerge(c, q.Streams)
	if err != nil {
		return Page{}, err
	}
	if q.From, err = b.ourStart("read", "from", q.From); err != nil {
		return Page{}, err
	}
	if q.Key != nil {
		if err := m.keysBuilt(); err != nil {
			return Page{}, err
		}
	}
	if err := checkQueries(q.Any); err != nil {
		return Page{}, err
	}
	if len(q.Any) > 0 {
		if q.Key == nil && !q.Backward && m.indexed() {
			return m.pageOfQuery(&q)
		}
		q.scanning()
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

// keysBuilt refuses to read by key what is not in the index yet.
func (m *merge) keysBuilt() error {
	for _, n := range m.streams {
		if st, ok := m.pub.Stream(n.id); ok && st.Partial && st.Building && st.Keys != stream.KeysOff {
			return fault.New(fault.Unavailable, "read", n.name, "the keys of the stream are being built, %d %% are; try again", m.pub.BuildingPercent(n.id))
		}
	}
	return nil
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

// keyLane is what one stream has of a key.
type keyLane struct {
	from *named
	walk *shard.KeyHistory // nil: only what is in next
	next keyed
	ok   bool
}

func (l *keyLane) step() error {
	l.ok = false
	if l.walk == nil {
		return nil
	}
	e, ok := l.walk.Next()
	l.next, l.ok = keyed{l.from, e}, ok
	return l.walk.Err()
}

// keyMerge walks the records of a key in several streams in the order of their positions, or backwards.
type keyMerge struct {
	lanes    []keyLane
	backward bool
}

func (k *keyMerge) close() {
	for i := range k.lanes {
		if w := k.lanes[i].walk; w != nil {
			w.Close()
		}
	}
}

func (k *keyMerge) next() (keyed, bool, error) {
	best := -1
	for i := range k.lanes {
		if l := &k.lanes[i]; l.ok && (best < 0 || (compareKeyed(&l.next, &k.lanes[best].next) < 0) != k.backward) {
			best = i
		}
	}
	if best < 0 {
		return keyed{}, false, nil
	}
	x := k.lanes[best].next
	return x, true, k.lanes[best].step()
}

func compareKeyed(x, y *keyed) int {
	return cmp.Or(cmp.Compare(x.Seq, y.Seq), cmp.Compare(x.Batch, y.Batch), cmp.Compare(x.Record, y.Record))
}

// openKey finds a key in all of the merge's streams, from a place on (nil: from the end that comes first).
func (m *merge) openKey(key []byte, from *shard.At, backward bool) (*keyMerge, error) {
	k := &keyMerge{backward: backward}
	for _, n := range m.streams {
		l := keyLane{from: n}
		if st, _ := m.pub.Stream(n.id); st.Keys == stream.KeysLatest {
			e, ok, err := m.pub.Latest(n.id, key, m.upTo)
			if err != nil {
				k.close()
				return nil, err
			}
			l.next, l.ok = keyed{n, e}, ok
		} else {
			l.walk = m.pub.History(n.id, key, from, backward, m.upTo)
			if err := l.step(); err != nil {
				l.walk.Close()
				k.close()
				return nil, err
			}
		}
		k.lanes = append(k.lanes, l)
	}
	return k, nil
}

// pageOfKey reads a key's records by the index of keys, which knows them in the order of their positions over all partitions.
func (m *merge) pageOfKey(q *PageRequest) (Page, error) {
	if err := m.refresh(); err != nil {
		return Page{}, err
	}
	p := Page{Next: m.edge(q), CaughtUp: true}
	if q.Backward && q.From.Kind == StartEarliest || !q.Backward && q.From.Kind == StartLatest {
		return p, nil
	}
	from, inside, err := m.startOfKey(q)
	if err != nil {
		return Page{}, err
	}
	k, err := m.openKey(q.Key, from, q.Backward)
	if err != nil {
		return Page{}, err
	}
	defer k.close()
	ahead := keyAheads.Get().(*keyAhead)
	ahead.m, ahead.k, ahead.inside = m, k, inside
	defer ahead.free()
	for range m.b.cfg.PageScanMax {
		x, err := ahead.next(q.Limit - len(p.Events))
		if err != nil || x == nil {
			return p, err
		}
		if p.full(q) {
			p.CaughtUp = false
			return p, nil
		}
		before := p.Next
		p.Next = m.b.position(m.shard, x.Seq, x.Batch, x.Record)
		if x.skip || fault.Is(x.err, fault.NotFound) {
			continue // not asked for, or compacted away
		}
		if fault.Is(x.err, fault.Trimmed) {
			// Just now. Nothing is left out between two events of a page: who goes on from its end is told.
			if len(p.Events) > 0 && !q.Backward {
				p.Next, p.CaughtUp = before, false
				return p, nil
			}
			if q.Backward || q.From.Kind != StartPosition && q.From.Kind != StartOffset {
				continue
			}
		}
		if x.err != nil {
			return Page{}, x.err
		}
		ok, err := q.matches(x.event)
		if err != nil {
			return Page{}, err
		}
		if ok {
			if p.Events == nil {
				p.Events = make([]*Delivered, 0, min(q.Limit, 1+len(ahead.ready)))
			}
			p.add(x.event)
		}
	}
	p.CaughtUp = false
	return p, nil
}

// keyAhead reads the records of a key some at a time: they lie here and there, and a disk answers several questions at once sooner than one after
// the other.
type keyAhead struct {
	m      *merge
	k      *keyMerge
	inside func(*keyed) bool // nil: all of them
	ready  []keyRead
	room   [keyAheadMax]keyRead
}

var keyAheads = sync.Pool{New: func() any { return new(keyAhead) }}

// free gives it back for another page; nothing of this one stays in it.
func (a *keyAhead) free() {
	*a = keyAhead{}
	keyAheads.Put(a)
}

type keyRead struct {
	keyed
	skip  bool // is not read
	src   shard.Source
	event *Delivered
	err   error
}

const (
	keyAheadMax   = 32 // records of a key read at a time
	keyReadersMax = 16 // goroutines that do
	keyReadersMin = 2  // records for each of them, at least
)

// next returns the next record, nil at the end. want is how many the page still has room for.
func (a *keyAhead) next(want int) (*keyRead, error) {
	if len(a.ready) == 0 {
		if err := a.fill(min(want+1, keyAheadMax)); err != nil || len(a.ready) == 0 {
			return nil, err
		}
	}
	x := &a.ready[0]
	a.ready = a.ready[1:]
	return x, nil
}

func (a *keyAhead) fill(n int) error {
	a.ready = a.room[:0]
	for len(a.ready) < n {
		x, ok, err := a.k.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		a.ready = append(a.ready, keyRead{keyed: x, skip: a.inside != nil && !a.inside(&x)})
	}
	a.m.readAll(a.ready)
	return nil
}

// readAll reads those that are not skipped: at once what is kept, and by some goroutines what lies on the disk.
func (m *merge) readAll(reads []keyRead) {
	if missing := m.readKept(reads); missing > 0 {
		m.readMissing(reads, min(missing/keyReadersMin, keyReadersMax))
	}
}

// readKept finds where the records are, and those that are kept; it returns how many are not.
func (m *merge) readKept(reads []keyRead) (missing int) {
	var last *keyRead // records of a key are in one partition, mostly
	for i := range reads {
		x := &reads[i]
		if x.skip {
			continue
		}
		if last != nil && last.from == x.from && last.Partition == x.Partition {
			x.src = last.src
		} else if src, ok := m.pub.Source(x.from.id, x.Partition); ok {
			x.src, last = src, x
		} else {
			x.err = fault.New(fault.NotFound, "read", x.from.name, "the stream was deleted")
			continue
		}
		if d := m.b.keptEvent(x.from, x.src, x.Offset); d != nil {
			x.event = m.b.withVersion(d, x.src, x.Version)
		} else {
			missing++
		}
	}
	return missing
}

// readMissing reads what readKept has not found.
func (m *merge) readMissing(reads []keyRead, readers int) {
	var next atomic.Int32
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(reads); i = int(next.Add(1)) - 1 {
			x := &reads[i]
			if x.skip || x.event != nil || x.err != nil {
				continue
			}
			if x.event, x.err = m.b.readStored(m.pub, x.from, x.src, x.Offset); x.err == nil {
				x.event = m.b.withVersion(x.event, x.src, x.Version)
			}
		}
	}
	var wg sync.WaitGroup
	for range readers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
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

// startOfKey returns where a page by key begins, and which records from there on belong to it: all of them when inside is nil.
func (m *merge) startOfKey(q *PageRequest) (from *shard.At, inside func(*keyed) bool, err error) {
	switch q.From.Kind {
	case StartEarliest, StartLatest:
		return nil, nil, nil
	case StartPosition:
		if err := m.resume(q.From.Position); err != nil {
			return nil, nil, err
		}
		at := q.From.Position
		// The index says where to begin; records at the position itself were shown by the page before.
		return &shard.At{Seq: at.Seq, Batch: at.Batch, Record: at.Record}, func(k *keyed) bool {
			c := m.b.position(m.shard, k.Seq, k.Batch, k.Record).Compare(at)
			return c != 0 && (c < 0) == q.Backward
		}, nil
	case StartOffset:
		return nil, func(k *keyed) bool { return (k.Offset >= q.From.Offset) != q.Backward }, nil
	case StartTime:
		if err := m.begin(q.From); err != nil {
			return nil, nil, err
		}
		type place struct {
			stream    record.StreamID
			partition record.PartitionID
		}
		starts := map[place]record.Offset{}
		for i := range m.lanes {
			starts[place{m.lanes[i].src.Stream, m.lanes[i].src.Partition}] = m.lanes[i].next
		}
		return nil, func(k *keyed) bool { return (k.Offset >= starts[place{k.from.id, k.Partition}]) != q.Backward }, nil
	}
	return nil, nil, fault.New(fault.Unsupported, "read", "from", "events cannot be read from there")
}

func (m *merge) readKeyed(k *keyed) (*Delivered, error) {
	src, ok := m.pub.Source(k.from.id, k.Partition)
	if !ok {
		return nil, fault.New(fault.NotFound, "read", k.from.name, "the stream was deleted")
	}
	d, err := m.b.readOffset(m.pub, k.from, src, k.Offset)
	if err != nil {
		return nil, err
	}
	return m.b.withVersion(d, src, k.Version), nil
}

// withVersion is the event with the version that it gave its key.
func (b *Broker) withVersion(d *Delivered, src shard.Source, version uint64) *Delivered {
	if version == 0 || version == d.Version {
		return d
	}
	v := &Delivered{Position: d.Position, Ref: d.Ref, AppendTime: d.AppendTime, Version: version, Record: d.Record, from: d.from}
	b.kept.replace(keptAt{src.Stream, src.Partition, d.Ref.Offset}, d, v)
	return v
}

// readOffset reads one event.
func (b *Broker) readOffset(pub *shard.Published, n *named, src shard.Source, o record.Offset) (d *Delivered, err error) {
	if d := b.keptEvent(n, src, o); d != nil {
		return d, nil
	}
	return b.readStored(pub, n, src, o)
}

// keptEvent is an event that was read one by one before and is still there, nil when none is kept.
func (b *Broker) keptEvent(n *named, src shard.Source, o record.Offset) *Delivered {
	d := b.kept.get(n, keptAt{src.Stream, src.Partition, o})
	if d == nil || o < src.Part.Start() {
		return nil
	}
	return d
}

// readStored reads one event that is not kept. Of a batch in memory it is what all readers share; of one on the disk only this record is made an
// event.
func (b *Broker) readStored(pub *shard.Published, n *named, src shard.Source, o record.Offset) (d *Delivered, err error) {
	at := keptAt{src.Stream, src.Partition, o}
	cold := false
	err = pub.ReadOne(src, o, func(s *shard.One) error {
		if s.Lasting && s.Batch.Shared.Load() != nil {
			d, err = b.ofDecoded(n, src.Partition, s.Batch, o)
			return err
		}
		r, ok, err := s.Record(o)
		if err != nil || !ok {
			return err
		}
		if cold = !s.Lasting; cold {
			r = r.Clone()
		}
		x := &struct { // side by side, for those who look at both
			event  Delivered
			record record.Record
		}{record: r}
		d = &x.event
		b.deliver(d, n, src.Partition, s.Batch, &x.record)
		return nil
	})
	if err != nil || d != nil {
		if cold && err == nil && b.kept.max > 0 {
			b.kept.put(at, d)
		}
		return d, err
	}
	ref := record.Ref{Stream: n.name, Partition: src.Partition, Offset: o}
	return nil, fault.New(fault.NotFound, "read", ref.String(), "there is no event %s", ref)
}

// ofDecoded finds an event among those that readers of its batch share.
func (b *Broker) ofDecoded(n *named, p record.PartitionID, s *shard.Batch, o record.Offset) (*Delivered, error) {
	events, err := b.decode(n, p, s)
	for i := range events {
		if events[i].Ref.Offset == o {
			return &events[i], nil
		}
	}
	return nil, err
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
	d, err := b.readOffset(pub, n, src, r.Offset)
	if err != nil || d.Record.Key == nil || d.Version > 0 {
		return d, err
	}
	if st, ok := pub.Stream(n.id); !ok || st.Keys != stream.KeysVersioned {
		return d, nil
	}
	version, err := pub.VersionAt(n.id, d.Record.Key, shard.At{Seq: d.Position.Seq, Batch: d.Position.Batch, Record: d.Position.Record})
	if err != nil {
		return nil, err
	}
	return b.withVersion(d, src, version), nil
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
