package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
)

// Published is what durable frames have made of the shard: the fold, the rows, and what readers see. One goroutine at a time applies
// frames; everything else may be called by many.
//
// A frame becomes visible in this order, so that nobody sees an end without the rows below it, or one partition of a frame and then,
// further on by position, not the other:
//
//	rows applied ── keys ── catalog ── ends and hot tails of all partitions ── seq ── watches fire ── replies
//
// A reader that merges partitions by position reads Seq first and takes only batches up to it.
type Published struct {
	folder      *stream.Folder
	store       state.Store
	storeMu     sync.Mutex // around store.Apply: frames by whoever publishes, removed rows by the keeper
	segments    *segment.Store
	keys        *keys.Index
	keyed       uint64 // keys of frames up to here are in the index
	keyEntry    keys.Entry
	journal     atomic.Pointer[journal.Journal]
	building    building
	foreign     atomic.Uint64                // the last frame that was there when the journal was opened
	opening     bool                         // frames are being replayed for the first time
	compactions atomic.Pointer[[]Compaction] // as the keeper last heard
	seq         atomic.Uint64
	seen        *identities
	recent      versions
	tail        tail
	touched     touched
	marks       markCache
	largeRuns   chan struct{} // see oneBuffer
	terms       func(record.StreamID) func(*record.Record, func([]byte))
	readBytes   atomic.Int64         // from files, by readers: whatever works behind them gives way
	onNames     func([]catalog.Name) // names that a frame changed
	onFilters   func([]catalog.Name) // of them the subscriptions, before anybody can know the frame's sequence

	subsMu sync.RWMutex // around subs: whoever applies a frame that has something of it, and those who look
	subs   *subscription.Folder

	mu      sync.RWMutex
	names   *catalog.State
	streams map[record.StreamID]*view
	unbuilt map[record.StreamID]struct{} // those of streams whose keys are being built: few among very many

	rowsBuf []catalog.Name
	woken   []*Watch
}

// view is a stream as readers see it.
type view struct {
	keys      stream.KeyMode
	since     uint64 // frame that changed keys last
	building  uint64 // see stream.Stream
	target    stream.KeyMode
	partial   bool
	converted bool
	keyed     bool

	termsSince   uint64 // see stream.Stream
	termsPartial bool

	whole bool // every version of a key that it has ever had was set in recent
	parts []*Part
}

func openPublished(cfg *Config) (*Published, error) {
	st := cfg.Store
	s, err := stream.Load(st)
	if err != nil {
		return nil, err
	}
	names, err := catalog.Load(st)
	if err != nil {
		return nil, err
	}
	subs, err := subscription.Load(st)
	if err != nil {
		return nil, err
	}
	p := &Published{
		subs: subscription.NewFolder(subs, st), onFilters: cfg.OnFilters,
		folder: stream.NewFolder(s), store: st, segments: cfg.Segments, largeRuns: make(chan struct{}, largeRunsMax),
		terms: cfg.Terms, names: names, streams: map[record.StreamID]*view{}, unbuilt: map[record.StreamID]struct{}{}, tail: tail{max: cfg.HotTailBytes}, onNames: cfg.OnNames,
	}
	p.building.init()
	p.opening = true
	p.folder.OnKey = p.addKey
	for id, x := range s.Streams {
		p.refreshView(id, x)
	}
	p.seq.Store(st.Applied().Seq)
	p.recent.init(cfg.VersionsMax)
	if p.seen, err = loadIdentities(st, cfg.DedupWindow.Milliseconds()); err != nil {
		return nil, err
	}
	if p.keys, err = cfg.OpenKeys(keys.Options{Keep: p.keepKeys, Superseded: p.supersededKeys}); err != nil {
		return nil, err
	}
	p.keyed = p.keys.Durable()
	return p, nil
}

// Seq is the sequence of the last published frame.
func (p *Published) Seq() uint64 { return p.seq.Load() }

// Apply publishes one frame. data is its data region in pieces, one per batch, or nil when it is replayed.
func (p *Published) Apply(seq, place uint64, facts []byte, data [][]byte) error {
	h, body, err := fact.ReadHead(facts)
	if err != nil {
		return fmt.Errorf("frame %d: %w", seq, err)
	}
	p.recent.pending.Store(seq)
	rows := p.store.NewBatch()
	p.folder.Begin(stream.FrameInfo{Seq: seq, Place: place, TimeMS: h.TimeMS}, rows)
	names, subs := p.rowsBuf[:0], false
	defer func() {
		if subs {
			p.subsMu.Unlock()
		}
	}()
	err = fact.Each(body, func(x fact.Fact) error {
		switch x.Kind {
		case fact.CatalogPut, fact.CatalogDeleted:
			// Entries are rare; readers are kept out only for the change of one map.
			p.mu.Lock()
			n, _, err := p.names.Apply(x, rows)
			p.mu.Unlock()
			names = append(names, n)
			return err
		case fact.Claimed:
			return nil
		}
		if x.Kind >= fact.SubscriptionPut && x.Kind <= fact.SourceEnded {
			if !subs {
				p.subsMu.Lock()
				subs = true
				p.subs.Begin(seq, h.TimeMS, rows)
			}
			_, err := p.subs.Apply(x)
			return err
		}
		_, err := p.folder.Apply(x)
		return err
	})
	if err != nil {
		rows.Discard()
		return fmt.Errorf("frame %d: %w", seq, err)
	}
	p.seen.advance(p.folder, h.TimeMS)
	p.folder.End()
	if subs {
		if err := p.subs.End(); err != nil {
			rows.Discard()
			return fmt.Errorf("frame %d: %w", seq, err)
		}
	}
	p.trimReached(rows)
	p.dropViews() // before their rows go: who finds no row can tell a deleted stream from a damaged one
	p.storeMu.Lock()
	err = p.store.Apply(rows, state.Mark{Seq: seq, Place: place})
	p.storeMu.Unlock()
	if err != nil {
		return fmt.Errorf("frame %d: write rows: %w", seq, err)
	}
	if seq > p.keyed {
		for _, id := range p.folder.Dropped {
			p.keys.DropStream(uint32(stream.TermsOf(id)))
			p.keys.DropStream(uint32(id)) // what is dropped in a replay below this, merges leave out because there is no such stream
		}
		p.keys.Through(seq)
		p.keyed = seq
	}
	p.seen.add(h.TimeMS, p.folder.Identities)
	for i := range p.folder.Versions {
		k := &p.folder.Versions[i]
		p.recent.set(p.recent.fingerprint(k.Stream, k.Key), k.Version)
	}
	if len(p.folder.Changed) > 0 {
		p.refreshViews()
		p.noteBuilding(seq)
	}
	if subs && len(names) > 0 && p.onFilters != nil {
		p.onFilters(names)
	}
	p.show(seq, h.TimeMS, data)
	if len(names) > 0 && p.onNames != nil {
		p.onNames(names)
	}
	p.rowsBuf = names
	return nil
}

// trimReached lets go of what is known of the routes of records that are gone.
func (p *Published) trimReached(rows state.Batch) {
	for i := range p.folder.Trims {
		t := &p.folder.Trims[i]
		p.subs.TrimReached(rows, subscription.Place{Stream: t.Stream, Partition: t.Partition}, t.Start)
	}
	for _, id := range p.folder.Dropped {
		p.subs.DropReached(rows, id)
	}
}

// show moves the ends that readers see, and wakes them.
func (p *Published) show(seq uint64, timeMS int64, data [][]byte) {
	p.woken = p.woken[:0]
	var block []Batch
	if data != nil {
		block = make([]Batch, len(p.folder.Appends))
	}
	for i := range p.folder.Appends {
		a := &p.folder.Appends[i]
		part := p.Part(a.Stream, a.Partition)
		if part == nil {
			continue // deleted within the same frame
		}
		next := a.Base + record.Offset(a.Count)
		part.mu.Lock()
		p.touched.add(part)
		if part.end = next; a.Flags == 0 && part.unstableSeq == stream.NeverStable {
			part.stable = next
		} else if x := p.folder.Partition(a.Stream, a.Partition); x != nil {
			part.settle(x)
		}
		p.woken = append(p.woken, part.watches...)
		if data == nil {
			part.batches = nil
			part.mu.Unlock()
			continue
		}
		b := &block[i]
		b.Raw, b.Base, b.Next, b.Seq, b.Ordinal, b.TimeMS = data[i], a.Base, next, seq, a.Batch, timeMS
		part.batches = append(part.batches, b)
		part.mu.Unlock()
		p.tail.add(part, b)
	}
	for i := range p.folder.Trims {
		p.trim(&p.folder.Trims[i])
	}
	p.seq.Store(seq)
	p.wake()
}

// trim moves the start that readers see, and wakes them: whoever waits for more before it has to be told. Hot batches stay until others
// take their room; nobody reads them, because the start is asked for first.
func (p *Published) trim(t *stream.Trimmed) {
	part := p.Part(t.Stream, t.Partition)
	if part == nil {
		return // deleted within the same frame
	}
	part.mu.Lock()
	part.begin(t.Start, t.Gone)
	part.stable = max(part.stable, t.Start)
	p.woken = append(p.woken, part.watches...)
	part.mu.Unlock()
}

// dropViews takes deleted streams away from readers, and wakes those who wait on them.
func (p *Published) dropViews() {
	if len(p.folder.Dropped) == 0 {
		return
	}
	p.woken = p.woken[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.folder.Dropped {
		if v := p.streams[id]; v != nil {
			delete(p.streams, id)
			delete(p.unbuilt, id)
			delete(p.unbuilt, stream.TermsOf(id))
			for _, part := range v.parts {
				part.mu.Lock()
				part.batches = nil
				p.woken = append(p.woken, part.watches...)
				part.mu.Unlock()
			}
		}
	}
	p.wake()
}

func (p *Published) wake() {
	for _, w := range p.woken {
		w.fire()
	}
	clear(p.woken)
}

// refreshViews takes over what changed about streams, and wakes those who wait on one that has more partitions now.
func (p *Published) refreshViews() {
	p.woken = p.woken[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.folder.Changed {
		x := p.folder.Streams[id]
		if x == nil {
			continue
		}
		if v := p.streams[id]; v != nil && len(v.parts) < len(x.Partitions) {
			for _, part := range v.parts {
				part.mu.Lock()
				p.woken = append(p.woken, part.watches...)
				part.mu.Unlock()
			}
		}
		p.refreshView(id, x)
	}
	p.wake()
}

func (p *Published) refreshView(id record.StreamID, x *stream.Stream) {
	v := p.streams[id]
	if v == nil {
		v = &view{whole: !x.Keyed}
	} else {
		c := *v // readers may hold the old one
		v = &c
	}
	if x.Keys == stream.KeysVersioned && v.keys != x.Keys && x.Converted {
		p.recent.reset() // what is known may be from before the keys were numbered
	}
	v.keys, v.since, v.converted, v.keyed = x.Keys, x.KeysSince, x.Converted, x.Keyed
	v.building, v.target, v.partial = x.Building, x.Target, x.Partial
	v.termsSince, v.termsPartial = x.TermsSince, x.TermsPartial
	v.whole = v.whole && !x.Converted // keys from before have no version yet
	parts := v.parts[:len(v.parts):len(v.parts)]
	for i := len(parts); i < len(x.Partitions); i++ {
		parts = append(parts, newPart(&x.Partitions[i]))
	}
	v.parts = parts
	p.streams[id] = v
	if v.building > 0 {
		p.unbuilt[id] = struct{}{}
	} else {
		delete(p.unbuilt, id)
	}
	if v.termsPartial {
		p.unbuilt[stream.TermsOf(id)] = struct{}{}
	} else {
		delete(p.unbuilt, stream.TermsOf(id))
	}
}

// Part returns a partition, nil when there is none.
func (p *Published) Part(id record.StreamID, n record.PartitionID) *Part {
	p.mu.RLock()
	v := p.streams[id]
	p.mu.RUnlock()
	if v == nil || n < 0 || int(n) >= len(v.parts) {
		return nil
	}
	return v.parts[n]
}

// StreamState is what there is to know about a stream besides its catalog entry.
type StreamState struct {
	Keys       stream.KeyMode
	Keyed      bool
	Partitions int
	Building   bool // a change of Keys is not done with
	Partial    bool // nobody can be told yet which records older keys have

	Terms        bool // types and tags are in the index
	TermsPartial bool // those of older records are not yet
}

// Stream returns a stream's state; false when it is gone.
func (p *Published) Stream(id record.StreamID) (StreamState, bool) {
	p.mu.RLock()
	v := p.streams[id]
	p.mu.RUnlock()
	if v == nil {
		return StreamState{}, false
	}
	again := p.building.again(id)
	return StreamState{
		Keys: v.keys, Keyed: v.keyed, Partitions: len(v.parts), Building: v.building > 0 || again, Partial: v.partial || again,
		Terms: v.termsSince > 0, TermsPartial: v.termsPartial || v.termsSince > 0 && p.building.again(stream.TermsOf(id)),
	}, true
}

// Entry returns a catalog entry, nil when there is none.
func (p *Published) Entry(n catalog.Name) *catalog.Entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.names.Entries[n]
}

// Entries calls fn for every catalog entry, in no order. fn must be quick and must not call back.
func (p *Published) Entries(fn func(*catalog.Entry)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.names.Entries {
		fn(e)
	}
}

// Document reads the document of a name from its row, as of the last frame that was applied; nil where there is none.
func (p *Published) Document(n catalog.Name) ([]byte, error) { return catalog.Document(p.store, n) }

// Documents calls fn for every document of a kind. One is good until fn returns.
func (p *Published) Documents(k catalog.Kind, fn func(n catalog.Name, document []byte)) error {
	return catalog.Documents(p.store, k, fn)
}

// Fingerprint stands for a key of a stream, in this process.
func (p *Published) Fingerprint(id record.StreamID, key []byte) stream.Fingerprint {
	return p.recent.fingerprint(id, key)
}

// Version returns the current version of a key, 0 when it has no events. f is its fingerprint.
func (p *Published) Version(f stream.Fingerprint, id record.StreamID, key []byte) (uint64, error) {
	p.mu.RLock()
	x := p.streams[id]
	p.mu.RUnlock()
	if n, ok := p.recent.get(f, x != nil && x.whole); ok {
		return n, nil
	}
	seq := p.Seq()
	n, err := p.lookVersionUp(id, key, seq, x != nil && x.converted)
	if err == nil {
		p.recent.fill(f, n, seq)
	}
	return n, err
}

// lookVersionUp asks the index, whose newest entry of a key carries its version. An entry without one is from before the stream numbered its
// keys: then a row may say how many records the key had at that time, or they are counted.
//
// The row is what was counted, and holds whatever has become of the entries up to then: a merge that began before the stream was about to number its keys may
// still let go of some, and an index that is made again has none of records that are trimmed.
func (p *Published) lookVersionUp(id record.StreamID, key []byte, upTo uint64, converted bool) (uint64, error) {
	e, ok, err := p.keys.Last(uint32(id), key, upTo)
	if err != nil || !converted && (!ok || e.Version > 0) {
		return e.Version, keysFault(err)
	}
	v, err := p.store.Get(stream.VersionKey(id, key))
	if errors.Is(err, state.ErrNotFound) {
		if !ok || e.Version > 0 {
			return e.Version, nil
		}
		return p.countOn(id, key, 0, 0, upTo)
	}
	if err != nil {
		return 0, err
	}
	n, w := binary.Uvarint(v)
	if w <= 0 {
		return 0, fmt.Errorf("version row of stream %d is malformed", id)
	}
	through, m := binary.Uvarint(v[w:])
	switch {
	case m <= 0 && e.Version == 0 && ok:
		return n, nil // of format 1
	case m <= 0:
		return e.Version, nil
	case !ok || e.Seq <= through:
		return n, nil
	case e.Version > 0:
		return e.Version, nil
	}
	return p.countOn(id, key, n, through, upTo)
}

// countOn numbers a key whose newest record has no version: n as of frame through, and one more for each record behind that. What the index has of
// a stream that numbers its keys is never let go of, so the count is the same each time, until the number is recorded with the next event of the key.
func (p *Published) countOn(id record.StreamID, key []byte, n, through, upTo uint64) (uint64, error) {
	it := p.keys.HistoryFrom(uint32(id), key, keys.Position{Seq: through + 1}, false, upTo)
	defer it.Close()
	for it.Next() {
		if e := it.Entry(); e.Version > 0 {
			n = e.Version
		} else {
			n++
		}
	}
	return n, keysFault(it.Err())
}

// Identity returns the record that an identity was first seen with, within the window before nowMS.
func (p *Published) Identity(id stream.Identity, nowMS int64) (stream.First, bool, error) {
	return p.seen.find(p.store, id, nowMS)
}
