package broker

import (
	"math"
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// merge reads several partitions of one shard in the order of their positions.
//
// A partition's offsets and its positions grow together, so each is read by offset and the one whose next event is earliest goes first.
// What is visible in one partition may not be so yet in another; upTo, the published sequence read before, cuts both off at the same
// frame.
type merge struct {
	b       *Broker
	pub     *shard.Published
	shard   int
	streams []*named
	counts  []int // partitions of each of streams
	lanes   []lane
	names   uint64 // what names.changed was when the streams' names were last looked up
	upTo    uint64
	after   record.Position // only what is greater
}

// lane is one partition of a merge.
type lane struct {
	from    *named
	src     shard.Source
	next    record.Offset
	pending []Delivered
	batches []*shard.Batch // read ahead, after pending
	room    []*shard.Batch // the backing of batches
	dry     bool           // nothing more up to upTo
}

const laneBytes = 1 << 20 // read ahead of one partition

// openMerge finds the partitions of streams.
func (b *Broker) openMerge(c *Caller, streams []string) (*merge, error) {
	if len(streams) == 0 {
		return nil, fault.New(fault.Invalid, "read", "streams", "name at least one stream")
	}
	if len(streams) > mergeStreamsMax {
		return nil, fault.New(fault.TooLarge, "read", "streams", "%d streams; one reader can read %d", len(streams), mergeStreamsMax)
	}
	m := &merge{b: b, names: b.names.changed.Load()}
	for i, name := range streams {
		if slices.Contains(streams[:i], name) {
			continue
		}
		if err := b.allow(c, "read", ActionRead, KindStream, name); err != nil {
			return nil, err
		}
		n, err := b.find(c, "read", name)
		if err != nil {
			return nil, err
		}
		m.pub, m.shard = b.shards[n.shard].Published(), n.shard
		m.streams, m.counts = append(m.streams, n), append(m.counts, 0)
	}
	return m, m.grown()
}

const mergeStreamsMax = 1000

// addLanes adds a stream's partitions from the first one up to end. The caller has read end once: a partition made meanwhile would else be among the
// lanes and not counted, and be added again by the next who looks.
func (m *merge) addLanes(n *named, first, end int) error {
	for p := first; p < end; p++ {
		src, ok := m.pub.Source(n.id, record.PartitionID(p))
		if !ok {
			return fault.New(fault.NotFound, "read", n.name, "the stream was deleted")
		}
		start, _ := src.Part.Ends()
		m.lanes = append(m.lanes, lane{from: n, src: src, next: start})
	}
	return nil
}

// grown adds partitions that came after the merge was opened, and says when a stream has gone.
func (m *merge) grown() error {
	if at := m.b.names.changed.Load(); at != m.names {
		for _, n := range m.streams {
			if x := m.b.names.get(n.namespace, n.name); x == nil || x.id != n.id {
				return fault.New(fault.NotFound, "read", n.name, "the stream was deleted")
			}
		}
		m.names = at
	}
	for i, n := range m.streams {
		st, ok := m.pub.Stream(n.id)
		if !ok {
			return fault.New(fault.NotFound, "read", n.name, "the stream was deleted")
		}
		if st.Partitions > m.counts[i] {
			if err := m.addLanes(n, m.counts[i], st.Partitions); err != nil {
				return err
			}
			m.counts[i] = st.Partitions
		}
	}
	return nil
}

// begin moves every lane to where s says.
func (m *merge) begin(s Start) error {
	if err := m.refresh(); err != nil {
		return err
	}
	switch s.Kind {
	case StartEarliest:
		return nil
	case StartLatest:
		m.after = m.b.position(m.shard, m.upTo, math.MaxUint32, math.MaxUint32)
		for i := range m.lanes {
			_, m.lanes[i].next = m.lanes[i].src.Part.Ends()
		}
		// An end may already be beyond upTo: then what lies between is still to come and must not be jumped over.
		return m.seek(func(r *stream.Run) bool { return r.Seq > m.upTo })
	case StartTime:
		return m.seek(func(r *stream.Run) bool { return r.TimeMS >= s.Time })
	case StartOffset:
		for i := range m.lanes {
			l := &m.lanes[i]
			start, end := l.src.Part.Ends()
			if s.Offset < start {
				return fault.New(fault.Trimmed, "read", l.from.name, "offset %d is gone; the earliest is %d", s.Offset, start).Because(fault.ReasonOffset).With(start)
			}
			l.next = min(s.Offset, end)
		}
		return nil
	case StartPosition:
		return m.resume(s.Position)
	}
	return fault.New(fault.Unsupported, "read", "from", "events cannot be read from there")
}

func (m *merge) resume(p record.Position) error {
	switch {
	case int(p.Shard) != m.shard:
		return fault.New(fault.Invalid, "read", "from", "the position is of streams that live elsewhere; it cannot be used for these")
	case p.Seq > m.upTo && m.b.shards[m.shard].Published().Seq() < p.Seq:
		return fault.New(fault.Trimmed, "read", "from", "the position lies beyond what this node holds")
	}
	m.after = p
	if err := m.seek(func(r *stream.Run) bool { return r.Seq >= p.Seq }); err != nil {
		return err
	}
	// Asked for last: what is trimmed from here on is missed by reading, which begins where the seek has found.
	for i := range m.lanes {
		l := &m.lanes[i]
		start, last := l.src.Part.Gone()
		if start > 0 && p.Compare(m.b.position(m.shard, last.Seq, last.Batch, last.Record)) < 0 {
			ref := record.Ref{Stream: l.from.name, Partition: l.src.Partition, Offset: start}
			return fault.New(fault.Trimmed, "read", "from", "events behind the position are gone; the earliest of that partition is %s", ref).
				Because(fault.ReasonOffset).With(start)
		}
	}
	return nil
}

// seek moves every lane to the first run for which past holds, or to the end.
func (m *merge) seek(past func(*stream.Run) bool) error {
	for i := range m.lanes {
		l := &m.lanes[i]
		start, end := l.src.Part.Ends()
		run, ok, err := m.pub.Seek(l.src, past)
		if err != nil {
			return err
		}
		if l.next = end; ok {
			l.next = max(run.Base, start) // a partition may begin within a run
		}
	}
	return nil
}

// refresh lets the merge see what was published meanwhile. Partitions are looked for after the sequence is read: one that came with a frame
// up to upTo is among the lanes then, and its events are not passed over by later ones of another lane.
func (m *merge) refresh() error {
	m.upTo = m.pub.Seq()
	for i := range m.lanes {
		m.lanes[i].dry = false
	}
	if err := m.grown(); err != nil {
		return err
	}
	// Behind the first record of an open transaction nothing is handed out of any lane: once that is committed, it comes before them.
	for i := range m.lanes {
		m.upTo = min(m.upTo, m.lanes[i].src.Part.StableSeq())
	}
	return nil
}

// next returns the next event, nil when there is none up to upTo; after is then the end of frame upTo, so that whoever goes on from there
// does not meet what lay before its start.
func (m *merge) next() (*Delivered, error) {
	best := -1
	for i := range m.lanes {
		l := &m.lanes[i]
		if len(l.pending) == 0 && !l.dry {
			if err := m.fill(l); err != nil {
				return nil, err
			}
		}
		if len(l.pending) > 0 && (best < 0 || l.pending[0].Position.Compare(m.lanes[best].pending[0].Position) < 0) {
			best = i
		}
	}
	if best < 0 {
		if end := m.b.position(m.shard, m.upTo, math.MaxUint32, math.MaxUint32); m.after.Seq <= m.upTo {
			m.after = end
		}
		return nil, nil
	}
	l := &m.lanes[best]
	d := &l.pending[0]
	l.pending = l.pending[1:]
	m.after = d.Position
	return d, nil
}

// fill makes the lane's next events pending, if there are any after the merge's place.
func (m *merge) fill(l *lane) error {
	for {
		if len(l.batches) == 0 {
			if err := m.readAhead(l); err != nil || l.dry {
				return err
			}
		}
		s := l.batches[0]
		events, err := m.b.decode(l.from, l.src.Partition, s)
		if err != nil {
			return err // the batch stays: whoever asks again meets it again, and does not pass over it
		}
		l.batches[0] = nil
		l.batches = l.batches[1:]
		skip := 0
		for skip < len(events) && (events[skip].Ref.Offset < l.next || events[skip].Position.Compare(m.after) <= 0) {
			skip++
		}
		l.next = s.Next
		if l.pending = events[skip:]; len(l.pending) > 0 {
			return nil
		}
	}
}

func (m *merge) readAhead(l *lane) error {
	if _, end := l.src.Part.Ends(); l.next >= end {
		l.dry = true
		return nil
	}
	batches, err := m.pub.Read(l.room[:0], l.src, l.next, laneBytes, m.upTo)
	if err != nil {
		return err
	}
	l.batches, l.room, l.dry = batches, batches, len(batches) == 0
	return nil
}
