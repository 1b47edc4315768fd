package shard

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/internal/clock"
	"leat/storage/keys"
)

// Building: what a change of the key mode of a live stream needs is made in the background, one stream at a time.
//
//	import   records from before the change go into the index of keys      from off; all of them appear at once
//	count    how many records each key has is recorded, in pieces           to versioned
//	built    a fact says that it is done, and the new mode holds
//
// So it is with the terms of a stream that is to index them, without counting: they go by the number that the index of keys has for them.
//
// A crash begins it again: what was imported twice counts once, and what was counted twice is replaced. A change that comes in between ends it: facts name the
// change they are for, and one for an earlier change is not recorded.
//
// Who reads by key before the import is there is told to come again, and so is who expects a version before the counting is done. Everything else goes on.
type building struct {
	mu    sync.Mutex
	local map[record.StreamID]uint64 // built once, but the index was lost since or never had it: frame up to which records are missing
	done  map[record.StreamID]*atomic.Int64
	total map[record.StreamID]int64
	wake  chan struct{}
}

func (b *building) init() {
	b.local, b.done, b.total = map[record.StreamID]uint64{}, map[record.StreamID]*atomic.Int64{}, map[record.StreamID]int64{}
	b.wake = make(chan struct{}, 1)
}

func (b *building) again(id record.StreamID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.local[id]
	return ok
}

// BuildingPercent says how far the building of a stream's keys is.
func (p *Published) BuildingPercent(id record.StreamID) int {
	p.building.mu.Lock()
	defer p.building.mu.Unlock()
	done, total := p.building.done[id], p.building.total[id]
	if done == nil || total == 0 {
		return 0
	}
	return int(min(done.Load()*100/total, 99))
}

// noteBuilding looks at what a frame changed. What was built before the index was last written durably is in it; else it is built again.
func (p *Published) noteBuilding(seq uint64) {
	for _, id := range p.folder.Built {
		p.noteBuilt(id, seq)
	}
	for _, id := range p.folder.TermsBuilt {
		p.noteBuilt(stream.TermsOf(id), seq)
	}
	select {
	case p.building.wake <- struct{}{}:
	default:
	}
}

func (p *Published) noteBuilt(id record.StreamID, seq uint64) {
	if !p.opening || p.keys.Durable() >= seq {
		return
	}
	p.building.mu.Lock()
	p.building.local[id] = seq
	p.building.mu.Unlock()
}

// toBuild is one building to be done.
type toBuild struct {
	id       record.StreamID // as the index of keys has it
	building uint64          // frame of the change; 0: only the index has to be made good
	through  uint64          // records up to that frame are not in the index; 0: all are
	counts   bool
	target   stream.KeyMode // of the change
}

func (p *Published) nextToBuild() (toBuild, bool) {
	p.mu.RLock()
	var least toBuild
	for id := range p.unbuilt {
		of, terms := stream.OfTerms(id)
		switch v := p.streams[of]; {
		case least.id != 0 && id >= least.id:
		case terms:
			least = toBuild{id: id, building: v.termsSince, through: v.termsSince}
		default:
			least = toBuild{id: id, building: v.building, counts: v.target == stream.KeysVersioned, target: v.target}
			if v.partial {
				least.through = v.building
			}
		}
	}
	p.mu.RUnlock()
	if least.id != 0 {
		return least, true
	}
	p.building.mu.Lock()
	defer p.building.mu.Unlock()
	for id, through := range p.building.local {
		if least.id == 0 || id < least.id {
			least = toBuild{id: id, through: through}
		}
	}
	return least, least.id != 0
}

// builder does what toBuild says.
type builder struct {
	p    *Published
	do   func(Command) error
	pace func(n int) error
}

const (
	buildRetry      = time.Second
	countPieceKeys  = 4096      // keys in one fact
	countPieceBytes = 256 << 10 // likewise bytes
	buildReadBytes  = 1 << 20
)

// buildAll is the goroutine that builds.
func (s *Shard) buildAll(ctx context.Context) {
	var pace pacer
	b := &builder{
		p:    s.published,
		do:   func(c Command) error { _, err := s.Do(ctx, c); return err },
		pace: func(n int) error { return pace.took(n, 0, s.stop) },
	}
	for ctx.Err() == nil {
		x, some := s.published.nextToBuild()
		if !some {
			select {
			case <-s.published.building.wake:
			case <-ctx.Done():
			}
			continue
		}
		if err := b.build(x); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("the keys of a stream could not be built; it will be tried again", "shard", s.cfg.ID, "stream", x.id, "error", err)
			_ = clock.Sleep(ctx, buildRetry)
			continue
		}
		if _, terms := stream.OfTerms(x.id); x.building > 0 && !terms && s.cfg.OnKeysBuilt != nil {
			s.cfg.OnKeysBuilt(x.id, x.target)
		}
	}
}

func (b *builder) build(x toBuild) error {
	for b.p.Seq() < max(x.building, x.through) { // the frame of the change is being published
		if err := b.pace(0); err != nil {
			return err
		}
		<-clock.After(time.Millisecond)
	}
	if x.through > 0 {
		if err := b.importAll(x); err != nil {
			return err
		}
	}
	if x.counts {
		if err := b.count(x); err != nil {
			return err
		}
	}
	if x.building > 0 {
		var done Command = &BuiltKeys{Stream: x.id, Building: x.building}
		if of, terms := stream.OfTerms(x.id); terms {
			done = &BuiltTerms{Stream: of, Since: x.building}
		}
		if err := b.do(done); err != nil {
			return err
		}
	}
	if x.through > 0 {
		// Past the frame that says so: a restart then knows that the index has it.
		if err := b.p.keys.Flush(); err != nil {
			return err
		}
	}
	b.p.building.mu.Lock()
	delete(b.p.building.local, x.id)
	delete(b.p.building.done, x.id)
	delete(b.p.building.total, x.id)
	b.p.building.mu.Unlock()
	return nil
}

// importAll puts the records of frames up to x.through into the index.
func (b *builder) importAll(x toBuild) error {
	w := &keyWalk{b: b, x: x, done: &atomic.Int64{}}
	of, terms := stream.OfTerms(x.id)
	if w.terms = nil; terms {
		w.terms = b.p.termsOf(of)
	}
	total := int64(0)
	for n := record.PartitionID(0); ; n++ {
		src, ok := b.p.Source(of, n)
		if !ok {
			break
		}
		start, end := src.Part.Ends()
		w.parts = append(w.parts, src)
		total += int64(end - start)
	}
	b.p.building.mu.Lock()
	b.p.building.done[x.id], b.p.building.total[x.id] = w.done, total
	b.p.building.mu.Unlock()
	if err := b.p.keys.Import(uint32(x.id), w.next); err != nil {
		return err
	}
	return b.p.keys.Flush()
}

// keyWalk gives the entries of all records of a stream, partition by partition.
type keyWalk struct {
	b       *builder
	x       toBuild
	parts   []Source
	from    record.Offset
	start   record.Offset // of the partition: its first batch may hold trimmed records, which must not come back into the index
	batches []*Batch
	ready   []keys.Entry
	arena   []byte
	done    *atomic.Int64
	terms   func(r *record.Record, each func(term []byte)) // of a record; nil: it is keys that are asked for
}

func (w *keyWalk) next() (*keys.Entry, error) {
	for len(w.ready) == 0 {
		if len(w.batches) > 0 {
			w.take(w.batches[0])
			w.batches = w.batches[1:]
			continue
		}
		if len(w.parts) == 0 {
			return nil, nil
		}
		if err := w.read(); err != nil {
			return nil, err
		}
	}
	e := &w.ready[0]
	w.ready = w.ready[1:]
	return e, nil
}

// read takes the next batches of the first partition, or goes on to the next one.
func (w *keyWalk) read() error {
	src := w.parts[0]
	start, end := src.Part.Ends()
	w.from, w.start = max(w.from, start), start
	var got []*Batch
	if w.from < end {
		var err error
		if got, err = w.b.p.ReadStored(nil, src, w.from, buildReadBytes, w.x.through); fault.Is(err, fault.Trimmed) {
			return nil // the start has moved on meanwhile
		} else if err != nil {
			return err
		}
	}
	if len(got) == 0 {
		w.parts, w.from = w.parts[1:], 0
		return nil
	}
	size := 0
	for _, s := range got {
		size += len(s.Raw)
	}
	w.done.Add(int64(got[len(got)-1].Next - w.from))
	w.batches, w.from = got, got[len(got)-1].Next
	return w.b.pace(size)
}

// take makes the entries of a batch. One that cannot be read was stored as its producer sent it, and has no keys that anybody could find.
func (w *keyWalk) take(s *Batch) {
	w.ready, w.arena = w.ready[:0], w.arena[:0]
	e := keys.Entry{Stream: uint32(w.x.id), Seq: s.Seq, Batch: s.Ordinal, Partition: uint32(w.partition())}
	_ = EachEntry(s.Raw, s.Base, w.start, e, w.terms, func(e *keys.Entry) error {
		at := len(w.arena)
		w.arena = append(w.arena, e.Key...)
		kept := *e
		kept.Key = w.arena[at:len(w.arena):len(w.arena)]
		w.ready = append(w.ready, kept)
		return nil
	})
}

// EachEntry calls fn for what the index has of the records of a stored batch from start on: their keys, or with terms those. e says where the batch is, and is
// completed; it is good during the call, which ends EachEntry with its error. Of a transaction, whoever finds an entry has to ask how it ended; markers have none.
func EachEntry(
	raw []byte, base, start record.Offset, e keys.Entry, terms func(r *record.Record, each func(term []byte)), fn func(e *keys.Entry) error,
) error {
	transactional, marker := record.Hidden(raw)
	if marker {
		return nil
	}
	provisional := uint8(0)
	if transactional {
		provisional = keys.Provisional
	}
	return record.EachRecord(raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) (err error) {
		if r.Offset < start {
			return nil
		}
		e.Offset, e.Record, e.Version = uint64(r.Offset), uint32(r.Offset-base), 0
		add := func(key []byte, flags uint8) {
			if err == nil {
				e.Key, e.Flags = key, flags|provisional
				err = fn(&e)
			}
		}
		switch {
		case terms != nil:
			marked := false
			terms(r, func(term []byte) {
				if !marked {
					e.Version, marked = stream.MarkOf(term), true
				}
				add(term, 0)
			})
		case r.Key == nil || len(r.Key) > keys.KeyBytesMax:
		case r.Value == nil:
			add(r.Key, keys.Tombstone)
		default:
			add(r.Key, 0)
		}
		return err
	})
}

func (w *keyWalk) partition() record.PartitionID { return w.parts[0].Partition }

// count records how many records each key has, or the version it had before. What comes behind the frame that it is as of is counted on by whoever asks.
func (b *builder) count(x toBuild) error {
	through := b.p.Seq()
	it := b.p.keys.Scan(uint32(x.id), nil, nil, through)
	defer it.Close()
	piece := &CountKeys{Stream: x.id, Building: x.building, Through: through}
	size, last, some := 0, stream.KeyCount{}, false
	put := func(all bool) error {
		if some {
			piece.Keys = append(piece.Keys, last)
			size += len(last.Key)
		}
		if len(piece.Keys) == 0 || !all && len(piece.Keys) < countPieceKeys && size < countPieceBytes {
			return nil
		}
		err := b.do(piece)
		piece, size = &CountKeys{Stream: x.id, Building: x.building, Through: through}, 0
		return err
	}
	for it.Next() {
		e := it.Entry()
		if !some || !bytes.Equal(last.Key, e.Key) {
			if err := put(false); err != nil {
				return err
			}
			last, some = stream.KeyCount{Key: bytes.Clone(e.Key)}, true
		}
		last.Count++
		if e.Version > 0 {
			last.Count = e.Version
		}
	}
	if err := it.Err(); err != nil {
		return keysFault(err)
	}
	return put(true)
}

// CountKeys records how many records keys had, for a change of the key mode.
type CountKeys struct {
	Stream            record.StreamID
	Building, Through uint64
	Keys              []stream.KeyCount
}

func (x *CountKeys) kind() string { return "count-keys" }

func (x *CountKeys) decide(c *Core, r *Request) {
	if !c.head.Counted(x.Stream, x.Building, x.Through, x.Keys, &c.open.Frame) {
		r.Fault = changedAgain()
	}
}

// BuiltKeys says that what a change of the key mode needed is there.
type BuiltKeys struct {
	Stream   record.StreamID
	Building uint64
}

func (x *BuiltKeys) kind() string { return "built-keys" }

func (x *BuiltKeys) decide(c *Core, r *Request) {
	if !c.head.Built(x.Stream, x.Building, &c.open.Frame) {
		r.Fault = changedAgain()
	}
}

// BuiltTerms says that the terms of older records are in the index.
type BuiltTerms struct {
	Stream record.StreamID
	Since  uint64
}

func (x *BuiltTerms) kind() string { return "built-terms" }

func (x *BuiltTerms) decide(c *Core, r *Request) {
	if !c.head.TermsBuilt(x.Stream, x.Since, &c.open.Frame) {
		r.Fault = changedAgain()
	}
}

func changedAgain() *fault.Error {
	return fault.New(fault.Conflict, "build", "", "the stream was changed meanwhile")
}

// replayBuilt looks for streams whose keys were built in a frame that only the index does not have.
func (p *Published) replayBuilt(seq uint64, facts []byte) error {
	return fact.Each(facts, func(x fact.Fact) error {
		if x.Kind == fact.TermsBuilt {
			id, _, err := stream.ReadTermsBuilt(x.Body)
			if err == nil {
				p.noteBuilt(stream.TermsOf(id), seq)
			}
			return err
		}
		if x.Kind != fact.KeysBuilt {
			return nil
		}
		id, err := stream.ReadBuilt(x.Body)
		if err == nil {
			p.noteBuilt(id, seq)
		}
		return err
	})
}

// Build does the building whose turn it is, for whoever steps, and nothing when there is none. Each of its commands is decided in the frame that is open or the
// next one at the time that now says; then wait is called, which has that frame written and published, or returns why that will never be: the
// building ends with that error and is begun again by the next call. pace is called now and then in between. Both may do whatever else a driver does.
func (x *Stepper) Build(now func() int64, wait func(seq uint64) error, pace func() error) error {
	b := &builder{p: x.shard.published, pace: func(int) error { return pace() }}
	b.do = func(c Command) error {
		r := NewRequest(c)
		x.core.Step(r, now())
		if r.Fault != nil {
			return r.Fault
		}
		return wait(r.Seq)
	}
	next, some := x.shard.published.nextToBuild()
	if !some {
		return nil
	}
	if x.shard.published.Seq() < max(next.building, next.through) {
		return nil // being published
	}
	return b.build(next)
}
