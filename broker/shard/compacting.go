package shard

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/keys"
	"leat/storage/segment"
)

// Compaction is what a stream that keeps the latest record of each key says about letting go of the others.
type Compaction struct {
	Stream      record.StreamID
	LagMS       int64 // records younger than this are left alone
	TombstoneMS int64 // how long after its append a record without value stays

	// When it is done; 0 leaves it to how much there is. See aging.go.
	MaxLagMS  int64   // a record that was appended so long ago has let go of what it supersedes
	TailMS    int64   // what was appended lately is looked at when the oldest of it is so old,
	TailBytes int64   // or is so much, if then
	Ratio     float64 // so much of the stream is superseded, from 0 to 1; 0: compactRatio
}

// Compacted is what one rewriting of files let go of.
type Compacted struct {
	Stream  record.StreamID
	Records int64
	Bytes   int64 // that the stream's records take less on the disk
}

// Compacting: a record of a stream that keeps the latest of each key goes when a later one of its key, of any partition, is in segment files as
// well. So whatever happens to the journal, files that lack a record have the one that stands for it. A tombstone that is the last of its key
// goes when it is older than the stream says and nothing older of its key is left in any file.
//
//	look     walk the index of a stream: how much of each file is superseded?      one stream a step
//	choose   files that are mostly superseded                                       all streams' looks together
//	plan     walk the index again: which offsets of the chosen files go             a bitmap
//	rewrite  copy the files without them; one commit puts the copies in place       as merging does
//
// Offsets never change. A batch keeps its offset range, one of which nothing is left goes as a whole, and readers pass over the hole. A reader that
// has opened the old files goes on with them. Who rewrites a file for another reason lets go of what is superseded on the way.
type looks struct {
	through uint64    // of the last round
	round   time.Time // of the last round
	streams map[record.StreamID]look

	forced     time.Time // when the last window was forced
	forcedTook time.Duration
}

type look struct {
	at         time.Time
	through    uint64                   // what came with frames up to here was looked at
	bytes      int64                    // in files, of the stream
	dead       map[segment.FileID]int64 // bytes that are superseded
	tombstones bool                     // some wait until they are old enough

	// Of a stream that is compacted by age:
	filed    uint64        // frames up to here were in files when oldestMS was found
	oldestMS int64         // append time of the oldest record behind through, 0 without one
	waitsMS  int64         // since when the oldest of what is dead waits, 0: nothing does
	rewrite  bool          // what is dead is to be rewritten whatever it is worth
	took     time.Duration // of the look, and of what it led to
}

const (
	// compactRatio is how much of a file must be superseded before it is rewritten for that alone, unless its streams say something else.
	compactRatio = 0.5
	// compactLookMin is between looks at a stream into which nothing was appended, but of which tombstones wait.
	compactLookMin = time.Minute
	// compactFilesMax is how many files one rewriting takes.
	compactFilesMax = 64
)

// worth is how many superseded bytes are worth rewriting a file for.
func (k *keeper) worth() int64 { return min(rewriteBytesMin, k.cfg.WindowBytes/8) }

// compact does the next thing there is to do: a look at one stream, or the rewriting of what the looks have found.
func (k *keeper) compact() (bool, error) {
	if k.s.cfg.Compactions == nil || k.s.published.segments.Blind() {
		return false, nil // what a lost file has would be taken for compacted away
	}
	now, through := k.s.cfg.Clock.Now(), k.through.Load()
	all := k.s.cfg.Compactions()
	// Between two rounds only those are looked at for which time counts.
	between := k.looks.through == through && !over(k.looks.round, now, compactLookMin)
	if between && !slices.ContainsFunc(all, func(c Compaction) bool { return c.timed() }) {
		return false, nil
	}
	k.s.published.compactions.Store(&all)
	seen := make(map[record.StreamID]bool, len(all))
	var layouts []*layout
	for _, c := range all {
		if between && !c.timed() {
			continue
		}
		v := k.s.published.latestView(c.Stream)
		if v == nil || !v.indexed() {
			continue
		}
		seen[c.Stream] = true
		l := k.s.published.layoutOf(c, v, min(through, v.stableSeq()), now.UnixMilli())
		if why := k.aged(l, now); why != notYet || k.due(l, now) {
			return true, k.look(l, now, why)
		}
		layouts = append(layouts, l)
	}
	if files := k.chooseAged(layouts, now.UnixMilli()); len(files) > 0 {
		if did, err := k.rewriteAged(files, layouts); did || err != nil {
			return did, err
		}
	}
	if between {
		return false, nil
	}
	maps.DeleteFunc(k.looks.streams, func(id record.StreamID, _ look) bool { return !seen[id] })
	files := k.choose(layouts, now.UnixMilli())
	if len(files) == 0 {
		k.looks.through, k.looks.round = through, now
		return false, nil
	}
	return k.rewrite(files)
}

// due says whether so much has come into a stream's files that a look is worth its time.
func (k *keeper) due(l *layout, now time.Time) bool {
	bytes := l.bytes()
	last, looked := k.looks.streams[l.id]
	switch {
	case bytes == 0:
		return false
	case !looked:
		return bytes >= k.worth()
	case bytes-last.bytes >= max(k.worth(), last.bytes/8), 2*bytes < last.bytes:
		return true
	}
	return last.tombstones && now.Sub(last.at) >= max(compactLookMin, time.Duration(l.TombstoneMS)*time.Millisecond)
}

func (l *layout) bytes() (n int64) {
	for i := range l.parts {
		for j := range l.parts[i].pieces {
			n += l.parts[i].pieces[j].Bytes
		}
	}
	return n
}

func (k *keeper) look(l *layout, now time.Time, why reason) error {
	if err := l.scan(k.s.published, k.paced); err != nil {
		return err
	}
	x := look{at: now, bytes: l.bytes(), dead: map[segment.FileID]int64{}, tombstones: l.tombstones}
	for i := range l.parts {
		for j := range l.parts[i].pieces {
			if p := &l.parts[i].pieces[j]; p.dead > 0 {
				x.dead[p.File] += p.deadBytes()
			}
		}
	}
	x.settleAge(l, k.looks.streams[l.id], why, now.UnixMilli())
	x.took = k.s.cfg.Clock.Now().Sub(now)
	if k.looks.streams == nil {
		k.looks.streams = map[record.StreamID]look{}
	}
	k.looks.streams[l.id] = x
	return nil
}

// choose returns the files that are mostly superseded. A file in which a stream has something that it does not let go of yet waits, so that no file is
// rewritten for one stream after the other.
func (k *keeper) choose(layouts []*layout, nowMS int64) []segment.FileID {
	type found struct {
		dead, data int64
		enough     float64 // so many dead bytes are
		not        bool
	}
	files := map[segment.FileID]*found{}
	for _, l := range layouts {
		dead := k.looks.streams[l.id].dead
		for i := range l.parts {
			for j := range l.parts[i].pieces {
				p := &l.parts[i].pieces[j]
				f := files[p.File]
				if f == nil {
					f = &found{data: p.DataBytes, enough: compactRatio * float64(p.DataBytes)}
					files[p.File] = f
				}
				f.enough += (l.ratio() - compactRatio) * float64(p.Bytes)
				f.not = f.not || p.Damaged || p.TimeLastMS > nowMS-l.LagMS
			}
		}
		for id, n := range dead {
			if f := files[id]; f != nil {
				f.dead += n
			}
		}
	}
	var out []segment.FileID
	bytes := int64(0)
	for _, id := range slices.Sorted(maps.Keys(files)) {
		f := files[id]
		if f.not || f.dead < k.worth() || float64(f.dead) < f.enough {
			continue
		}
		if len(out) == compactFilesMax || len(out) > 0 && bytes+f.data > segment.MergeBytesMax {
			break
		}
		out, bytes = append(out, id), bytes+f.data
	}
	return out
}

// latestView returns a stream that keeps the latest of each key, nil when it does not.
func (p *Published) latestView(id record.StreamID) *view {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if v := p.streams[id]; v != nil && v.keys == stream.KeysLatest {
		return v
	}
	return nil
}

// latestStreams returns the streams that keep the latest of each key, in order.
func (p *Published) latestStreams() (ids []record.StreamID) {
	p.mu.RLock()
	for id, v := range p.streams {
		if v.keys == stream.KeysLatest {
			ids = append(ids, id)
		}
	}
	p.mu.RUnlock()
	slices.Sort(ids)
	return ids
}

// stableSeq is the last frame of which everything in the stream is stable: what comes behind it neither supersedes anything nor is looked at, since a file
// says of itself up to which frame nothing is in it that was superseded, and what is open may yet turn out to supersede.
func (v *view) stableSeq() uint64 {
	seq := stream.NeverStable
	for _, part := range v.parts {
		seq = min(seq, part.StableSeq())
	}
	return seq
}

// indexed says whether the index has all records of the stream that have a key.
func (v *view) indexed() bool { return v.building == 0 && !v.partial }

// compactionOf finds a stream among all, which are in order.
func compactionOf(all []Compaction, id record.StreamID) (Compaction, bool) {
	i, found := slices.BinarySearchFunc(all, id, func(c Compaction, id record.StreamID) int { return cmp.Compare(c.Stream, id) })
	if !found {
		return Compaction{Stream: id}, false
	}
	return all[i], true
}

// plan is what a rewriting of some files leaves out.
type plan struct {
	dead    map[partitionKey]*deadOffsets
	through uint64
	timeMS  int64
	gone    map[record.StreamID]*Compacted
}

// plan walks the index of every stream that has something in the files.
func (k *keeper) plan(files []segment.FileID) (*plan, error) {
	p := k.s.published
	c := &plan{dead: map[partitionKey]*deadOffsets{}, gone: map[record.StreamID]*Compacted{}}
	c.through, c.timeMS = p.segments.Marks(files)
	if k.s.cfg.Compactions == nil {
		return c, nil
	}
	// What becomes superseded from here on is found the next time.
	through, nowMS, last := k.through.Load(), k.s.cfg.Clock.Now().UnixMilli(), p.segments.LastTimeMS(files)
	whole, joined, joinsAny, blind, chunks := true, false, false, p.segments.Blind(), deadChunksMax
	all := k.s.cfg.Compactions()
	for _, id := range p.latestStreams() {
		v := p.latestView(id)
		if v == nil {
			continue
		}
		s, asked := compactionOf(all, id)
		l := p.layoutOf(s, v, min(through, v.stableSeq()), nowMS)
		some, joins := l.choose(files, &chunks)
		if !some {
			continue
		}
		through, joinsAny = min(through, l.through), joinsAny || joins
		if !asked || !v.indexed() || last > nowMS-s.LagMS || blind {
			// Deleted for now, not all of its keys or files are known, or something is too young to be looked at.
			whole, joined = false, joined || joins
			continue
		}
		if err := l.scan(p, k.paced); err != nil {
			return nil, err
		}
		for i := range l.parts {
			if d := l.parts[i].merged(); d != nil {
				if v.parts[i].marked.Load() {
					d.markMS = nowMS - l.TombstoneMS
				}
				c.dead[partitionKey{l.id, record.PartitionID(i)}] = d
			}
		}
	}
	switch {
	case whole && chunks > 0 && through >= c.through:
		c.through, c.timeMS = through, nowMS
	case joined || joinsAny || chunks == 0:
		// The last record of a piece may have stayed although it was superseded, for being the last. Where pieces become one it is that no longer, and
		// what the files said of themselves would make it one that is gone.
		c.through, c.timeMS = 0, 0
	}
	return c, nil
}

// choose has the pieces of files rewritten. It reports whether there are any, and whether several of them become one.
func (l *layout) choose(files []segment.FileID, chunks *int) (some, joins bool) {
	for i := range l.parts {
		part := &l.parts[i]
		var set *deadOffsets
		for j := range part.pieces {
			x := &part.pieces[j]
			if !slices.Contains(files, x.File) {
				continue
			}
			joins = joins || set != nil
			if set == nil {
				set = newDeadOffsets(x.Base, part.last+1, chunks)
			}
			x.chosen, some = set, true
		}
	}
	return some, joins
}

func (l *partLayout) merged() *deadOffsets {
	for i := range l.pieces {
		if d := l.pieces[i].chosen; d != nil {
			return d
		}
	}
	return nil
}

// prepare makes a build leave out what the plan says.
func (c *plan) prepare(b *segment.Build) {
	if c.through > 0 {
		b.Compacted(c.through, c.timeMS)
	}
	if len(c.dead) == 0 {
		return
	}
	var cut cutter
	b.Rewrite(func(r *segment.Run, data []byte, add func(*segment.Run, []byte) error) error {
		dead := c.dead[partitionKey{record.StreamID(r.Stream), record.PartitionID(r.Partition)}]
		if dead == nil || !dead.any(r.Base, r.Next) && !dead.anyMarker(r, data) {
			return add(r, data)
		}
		cut.records, cut.bytes = 0, 0
		if err := cut.run(r, data, dead, add); err != nil {
			return err
		}
		id := record.StreamID(r.Stream)
		if c.gone[id] == nil {
			c.gone[id] = &Compacted{Stream: id}
		}
		c.gone[id].Records += cut.records
		c.gone[id].Bytes += r.Bytes - cut.bytes
		return nil
	})
}

// cutter writes what is left of runs.
type cutter struct {
	buf     []byte
	records int64 // left out
	bytes   int64 // written
}

// run adds what is left of a run: as it was but for the batches, and in parts where whole batches are gone, because the batches of a run follow one
// another without a hole.
//
//	run      batch 4 [0..9]  batch 5 [10..19]  batch 6 [20..29]        dead: 3, 10..19
//	added    batch 4 [0..9, without 3]         batch 6 [20..29]
func (c *cutter) run(r *segment.Run, data []byte, dead *deadOffsets, add func(*segment.Run, []byte) error) error {
	part := *r
	c.buf = c.buf[:0]
	put := func() error {
		if len(c.buf) == 0 {
			return nil
		}
		part.Bytes = int64(len(c.buf))
		c.bytes += part.Bytes
		err := add(&part, c.buf)
		c.buf = c.buf[:0]
		return err
	}
	for ordinal := r.Batch; len(data) > 0; ordinal++ {
		h, err := record.ParseBatchHeader(data)
		if err != nil {
			return err
		}
		batch, next := data[:h.Bytes], uint64(h.LastOffset())+1
		data = data[h.Bytes:]
		left := batch
		if dead.marker(batch, &h) {
			left = nil
		} else if dead.any(uint64(h.BaseOffset), next) {
			left = c.batch(batch, &h, dead)
		}
		if left == nil {
			if err := put(); err != nil {
				return err
			}
			continue
		}
		if len(c.buf) == 0 {
			part.Base, part.Batch = uint64(h.BaseOffset), ordinal
		}
		c.buf = append(c.buf, left...)
		part.Next = next
	}
	return put()
}

// batch returns what is left of a batch, nil for nothing. One that cannot be read stays as its producer sent it.
func (c *cutter) batch(batch []byte, h *record.BatchHeader, dead *deadOffsets) []byte {
	left, kept, err := record.Filter(batch, func(_ int, r *record.Record) bool { return !dead.has(uint64(r.Offset)) })
	if err != nil {
		return batch
	}
	c.records += int64(h.Count) - int64(kept)
	return left
}

// tell counts what a plan that was carried out has let go of.
func (k *keeper) tell(c *plan) {
	if len(c.gone) == 0 {
		return
	}
	for at, d := range c.dead {
		if part := k.s.published.Part(at.stream, at.partition); part != nil {
			part.cool(d)
		}
	}
	var all []Compacted
	for _, id := range slices.Sorted(maps.Keys(c.gone)) {
		x := c.gone[id]
		k.compacted.Add(x.Records)
		k.compactedBytes.Add(x.Bytes)
		if last, ok := k.looks.streams[id]; ok {
			last.bytes -= min(x.Bytes, last.bytes)
			k.looks.streams[id] = last
		}
		all = append(all, *x)
	}
	if k.s.cfg.OnCompacted != nil {
		k.s.cfg.OnCompacted(all)
	}
}

// supersededKeys tells merges of key files which entries of a stream may go because of later ones of their key: those of records that have been
// compacted away.
func (p *Published) supersededKeys(id uint32) keys.Superseded {
	v := p.latestView(record.StreamID(id))
	all := p.compactions.Load()
	if v == nil || all == nil || p.segments.Blind() {
		return nil
	}
	c, asked := compactionOf(*all, record.StreamID(id))
	if !asked {
		return nil
	}
	l := &layout{Compaction: c, parts: make([]partLayout, len(v.parts))}
	for i := range v.parts {
		for _, x := range p.segments.PiecesOf(id, uint32(i)) {
			l.parts[i].pieces = append(l.parts[i].pieces, pieceLayout{Piece: x, cleaned: c.cleaned(&x, v.since)})
		}
	}
	l.id, l.v = record.StreamID(id), v
	return func(old, by *keys.Entry) bool {
		x, _, gone := l.find(old)
		switch aborted, err := l.aborted(p, old); {
		case err != nil:
			return false
		case aborted:
			return gone || x != nil && x.cleaned >= old.Seq && old.Offset != x.Next-1
		}
		if aborted, err := l.aborted(p, by); aborted || err != nil {
			return false
		}
		return gone || x != nil && x.cleaned >= by.Seq && old.Offset != x.Next-1
	}
}
