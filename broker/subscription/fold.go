package subscription

import (
	"encoding/binary"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Folder applies the facts of durable frames, one frame at a time, to a State and to rows. Begin, then Apply for each fact, then End.
type Folder struct {
	*State
	store  state.Store // what was applied so far; nil: routes are not indexed
	rows   state.Batch
	seq    uint64
	timeMS int64
	touched
	routed  routed
	steps   steps
	reached map[Place]*arrived
	spare   []*arrived
	block   sorting
	buf     []byte

	// Changed lists subscriptions that were made, altered or deleted by the frame, for whoever keeps what follows from them. Good until
	// the next Begin.
	Changed []ID
	// Moved lists those with something settled, moved or counted: what Backlog says of them may be another now. Likewise.
	Moved []ID
}

// NewFolder makes a folder that evolves s. st holds the rows that it has made so far.
func NewFolder(s *State, st state.Store) *Folder {
	f := &Folder{State: s, store: st, reached: map[Place]*arrived{}, touched: touched{
		sources: map[*Source]struct{}{}, chunks: map[chunkAt]struct{}{}, arrivals: map[*Arrivals]struct{}{},
	}}
	f.touched.late, s.late = s.late, lateRows{}
	if f.touched.late.max = lateMax; st == nil {
		f.touched.late.max = 0 // nothing else would tell what rows do not
	}
	return f
}

// Begin starts a frame of that number and time whose rows go to rows.
func (f *Folder) Begin(seq uint64, timeMS int64, rows state.Batch) {
	f.seq, f.timeMS, f.rows, f.steps = seq, timeMS, rows, steps{}
	clear(f.reached) // of a frame that failed
	f.Changed, f.Moved = f.Changed[:0], f.Moved[:0]
}

// Apply evolves by one fact. It reports false for a fact that belongs to another machine.
func (f *Folder) Apply(x fact.Fact) (bool, error) {
	if x.Kind < fact.SubscriptionPut || x.Kind > fact.SourceEnded {
		return false, nil
	}
	if x.Version != 1 && (x.Kind != fact.Routed || x.Version != routedPlain) {
		return true, &fact.UnknownError{What: fmt.Sprintf("version %d of %s", x.Version, x.Kind)}
	}
	switch x.Kind {
	case fact.SubscriptionPut:
		b := fact.ReadBody(x.Body)
		id, class, p := ID(b.Uvarint()), ClassID(b.Uvarint()), readPolicy(b)
		if err := b.Err(); err != nil {
			return true, err
		}
		_, gone := f.evolvePut(id, p, class, &f.touched)
		f.desert(gone)
		f.buf = p.append(binary.AppendUvarint(f.buf[:0], uint64(class)))
		f.rows.Set(subKey(id), f.buf)
		f.writeNext()
		f.Changed = append(f.Changed, id)
		return true, nil
	case fact.SubscriptionDeleted:
		b := fact.ReadBody(x.Body)
		id := ID(b.Uvarint())
		if err := b.Err(); err != nil {
			return true, err
		}
		f.deleted(id)
		return true, nil
	case fact.SourceStarted:
		return true, f.started(x.Body)
	case fact.RouteDefined:
		r, err := readRoute(x.Body)
		if err != nil {
			return true, err
		}
		f.evolveRoute(r)
		f.rows.Set(routeKey(r.ID), r.append(f.buf[:0]))
		f.writeNext()
		return true, nil
	case fact.Routed:
		if err := f.routed.read(x.Version, x.Body); err != nil {
			return true, err
		}
		f.reach(&f.routed)
		f.evolveRouted(&f.routed, &f.touched)
		return true, nil
	case fact.Settled, fact.Handed, fact.Carried, fact.Counted, fact.Gapped:
		return true, f.ofSource(x)
	case fact.CursorMoved:
		return true, f.cursorMoved(x.Body)
	case fact.SourceEnded:
		return true, f.sourceEnded(x.Body)
	}
	return true, nil
}

func (f *Folder) find(id ID, at Place) (*Source, error) {
	x := f.Subs[id]
	if x == nil {
		return nil, fmt.Errorf("subscription %d does not exist", id)
	}
	src := x.source(at)
	if src == nil {
		return nil, fmt.Errorf("subscription %d does not read partition %d of stream %d", id, at.Partition, at.Stream)
	}
	return src, nil
}

// ofSource applies what concerns the records of one source.
func (f *Folder) ofSource(x fact.Fact) error {
	b := fact.ReadBody(x.Body)
	id, at := readSubPlace(b)
	src, err := f.find(id, at)
	if err != nil {
		return err
	}
	f.Moved = append(f.Moved, id)
	switch x.Kind {
	case fact.Settled:
		v, err := readSettled(x.Body)
		if err != nil {
			return err
		}
		f.evolveSettled(src, &v, &f.touched)
		f.deleteCarried(id, at, v.gone)
	case fact.Handed:
		runs, err := readRuns(b)
		if err != nil {
			return err
		}
		if err := b.Err(); err != nil {
			return err
		}
		f.evolveHanded(src, runs, &f.touched)
	case fact.Carried:
		v, err := readCarried(x.Body)
		if err != nil {
			return err
		}
		f.evolveCarried(src, &v, &f.touched)
		for i := range v.rows {
			c := &v.rows[i]
			c.fresh = false // in rows everything is known to be there
			f.buf = c.append(f.buf[:0])
			f.rows.Set(numberedKey(state.PrefixCarried, id, at, uint64(c.Offset)), f.buf)
		}
	case fact.Counted:
		n := Amount{b.Varint(), b.Varint()}
		if err := b.Err(); err != nil {
			return err
		}
		src.evolveCounted(n)
		f.source(src)
	case fact.Gapped:
		v, err := readGapped(x.Body)
		if err != nil {
			return err
		}
		f.evolveGapped(src, &v, &f.touched)
		f.deleteCarried(id, at, v.gone)
	}
	return nil
}

func (f *Folder) deleteCarried(id ID, at Place, gone []record.Offset) {
	for _, o := range gone {
		f.rows.Delete(numberedKey(state.PrefixCarried, id, at, uint64(o)))
	}
}

func (f *Folder) started(body []byte) error {
	x, err := readStarted(body)
	if err != nil {
		return err
	}
	if f.Subs[x.sub] == nil {
		return fmt.Errorf("subscription %d, which does not exist, starts", x.sub)
	}
	again := f.Subs[x.sub].source(x.at) != nil
	f.evolveStarted(&x, &f.touched)
	if f.Changed = append(f.Changed, x.sub); !again {
		return nil // it has no rows, and a range that holds nothing costs every reader of rows until the next flush
	}
	f.rows.DeleteRange(sourceKey(state.PrefixCarried, x.sub, x.at), state.After(sourceKey(state.PrefixCarried, x.sub, x.at)))
	return nil
}

func (f *Folder) cursorMoved(body []byte) error {
	b := fact.ReadBody(body)
	id, at := readSubPlace(b)
	m := Move{Place: at, To: readOffset(b), Metadata: b.Bytes(), Epoch: int32(b.Varint())}
	if err := b.Err(); err != nil {
		return err
	}
	src, err := f.find(id, at)
	if err != nil {
		return err
	}
	src.moveCursor(&m, f.timeMS)
	f.source(src)
	f.Moved = append(f.Moved, id)
	return nil
}

func (f *Folder) sourceEnded(body []byte) error {
	b := fact.ReadBody(body)
	id, at := readSubPlace(b)
	if err := b.Err(); err != nil {
		return err
	}
	src, err := f.find(id, at)
	if err != nil {
		return err
	}
	delete(f.touched.sources, src)
	for c := range f.touched.chunks {
		if c.src == src {
			delete(f.touched.chunks, c)
		}
	}
	counted := f.Subs[id].Policy.Kind == Delivery
	if f.evolveEnded(id, at); counted && f.readers[at.Stream].sources == 0 {
		f.forsake(at.Stream)
	}
	for _, prefix := range []byte{state.PrefixSource, state.PrefixChunk, state.PrefixCarried} {
		f.rows.DeleteRange(sourceKey(prefix, id, at), state.After(sourceKey(prefix, id, at)))
	}
	f.Changed = append(f.Changed, id)
	return nil
}

// forsake deletes the rows of a stream that nobody reads any more.
func (f *Folder) forsake(s record.StreamID) {
	k := binary.BigEndian.AppendUint32([]byte{state.PrefixArrivals}, uint32(s))
	f.rows.DeleteRange(k, state.After(k))
	dropReached(f.rows, s)
	for at := range f.reached {
		if at.Stream == s {
			delete(f.reached, at)
		}
	}
}

func (f *Folder) deleted(id ID) {
	x := f.Subs[id]
	if x == nil {
		return
	}
	streams := map[record.StreamID]bool{}
	for _, src := range x.Sources {
		delete(f.touched.sources, src)
		streams[src.Stream] = x.Policy.Kind == Delivery
	}
	for c := range f.touched.chunks {
		if x.source(c.src.Place) == c.src {
			delete(f.touched.chunks, c)
		}
	}
	f.desert(f.evolveDeleted(id))
	for s, counted := range streams {
		if counted && f.readers[s].sources == 0 {
			f.forsake(s)
		}
	}
	for _, prefix := range []byte{state.PrefixSource, state.PrefixChunk, state.PrefixCarried} {
		f.rows.DeleteRange(subPrefix(prefix, id), state.After(subPrefix(prefix, id)))
	}
	f.rows.Delete(subKey(id))
	f.Changed = append(f.Changed, id)
}

// desert writes what the end of a class has changed.
func (f *Folder) desert(d deserted) {
	for _, rt := range d.routes {
		if f.Routes[rt.ID] != nil {
			f.rows.Set(routeKey(rt.ID), rt.append(f.buf[:0]))
		} else {
			f.rows.Delete(routeKey(rt.ID))
		}
	}
	for _, c := range d.counted {
		f.rows.Delete(arrivalsKey(c.at.Place, c.route.ID))
	}
}

func (f *Folder) writeNext() {
	v := binary.AppendUvarint(f.buf[:0], uint64(f.Next))
	f.rows.Set(nextKey, binary.AppendUvarint(v, uint64(f.NextRoute)))
}

// End writes the rows that change once a frame. An error says that the store cannot be read.
func (f *Folder) End() error {
	if err := f.writeReached(); err != nil {
		return err
	}
	for c := range f.touched.chunks {
		key := numberedKey(state.PrefixChunk, c.src.Sub, c.src.Place, uint64(c.k))
		if ch := c.src.chunks[c.k]; ch != nil {
			f.buf = ch.appendRow(f.buf[:0])
			f.rows.Set(key, f.buf)
		} else {
			f.rows.Delete(key)
		}
	}
	for src := range f.touched.sources {
		f.buf = src.appendRow(f.buf[:0])
		f.rows.Set(sourceKey(state.PrefixSource, src.Sub, src.Place), f.buf)
	}
	f.writeLate()
	for a := range f.touched.arrivals {
		f.writePlace(f.rows, a)
	}
	clear(f.touched.chunks)
	clear(f.touched.sources)
	clear(f.touched.arrivals)
	f.rows = nil
	return nil
}
