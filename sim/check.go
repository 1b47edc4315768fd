package sim

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/memory"
)

// release is the moment at which the shard answers: from here on success is a promise.
func (w *World) release(a *attempt, f *fault.Error) {
	if a.done != nil {
		w.tracef("release %s: %v", a, f)
		a.done(f)
		return
	}
	o := a.op
	o.open--
	if f != nil {
		o.maybe = o.maybe || f.Kind == fault.Unknown
		w.tracef("release %s: %s", a, f.Kind)
		w.answers = append(w.answers, answer{a, f.Kind != fault.Unknown && f.Kind != fault.Unavailable})
		return
	}
	switch x := a.request.Command.(type) {
	case *shard.Append:
		w.released(a, x)
		return
	case *shard.AllocateProducer:
		if c := o.client; c.producer == 0 {
			c.producer, c.next, c.last, c.known = x.ID, map[lane]int32{}, map[lane]*op{}, map[lane]bool{}
		}
		if w.producers[x.ID] {
			w.failf("producer id %d was given out twice", x.ID)
		}
		w.producers[x.ID] = true
	case *shard.Truncate:
		w.trimmed(o)
	case *shard.DeleteStream, *shard.PurgeStream:
		w.kept.deleted++
	}
	w.learnNames()
	w.tracef("release %s: ok", a)
	w.answers = append(w.answers, answer{a, true})
}

func (w *World) released(a *attempt, x *shard.Append) {
	o := a.op
	if x.Stale != stream.Fresh {
		w.tracef("release %s: stale %d", a, x.Stale)
		if w.node != nil {
			o.client.send(o)
		}
		return
	}
	for _, f := range x.Failed {
		if f.Expect.Holds(f.Current) {
			w.failf("%s: a condition that holds (%s at %d) is reported as failed", a, f.Expect, f.Current)
		}
	}
	if len(x.Failed) > 0 {
		w.tracef("release %s: conflict", a)
		w.answers = append(w.answers, answer{a, true})
		return
	}
	for i := range x.Outcomes {
		if err := x.Outcomes[i].Err; err != nil { // of an atomic one the others say nothing then; the rest have one entry
			w.tracef("release %s: %s %s", a, err.Kind, err.Reason)
			w.answers = append(w.answers, answer{a, err.Kind != fault.Conflict})
			return
		}
	}
	for i := range x.Outcomes {
		out, p := &x.Outcomes[i], &o.parts[i]
		if p.base >= 0 && p.base != out.Base && (out.Duplicate || o.client.kind == idempotent) {
			w.failf("%s was at offset %d and is now said to be at %d", a, p.base, out.Base)
		}
		if p.base < 0 || o.client.kind == named {
			p.base = out.Base // again, when the window has passed: checkOps looks at the times
		}
		if out.Duplicate {
			continue
		}
		for k, v := range p.values {
			w.show(placed{p.lane, out.Base + record.Offset(k), p.keys[k], v, p.tomb(k), a.request.Seq, out.Batch, a.request.TimeMS})
		}
	}
	o.acked = true
	w.acked++
	w.tracef("release %s: ok at %d", a, o.parts[0].base)
	w.answers = append(w.answers, answer{a, true})
}

// learnNames takes over which streams there are.
func (w *World) learnNames() {
	pub := w.node.Published()
	var found []*catalog.Entry
	pub.Entries(func(e *catalog.Entry) {
		if e.Name.Kind != catalog.Subscription {
			found = append(found, e)
		}
	})
	slices.SortFunc(found, func(a, b *catalog.Entry) int { return int(a.ID) - int(b.ID) })
	for _, e := range found {
		st, ok := pub.Stream(record.StreamID(e.ID))
		if !ok {
			w.failf("the name %s is there, stream %d is not", e.Name.Name, e.ID)
			return
		}
		s := w.names[e.ID]
		if s == nil {
			apart := e.Name.Name == tillName
			s = &simStream{name: e.Name.Name, id: record.StreamID(e.ID), removing: apart, apart: apart}
			w.names[e.ID] = s
		}
		s.trashed = e.Name.Kind == catalog.Trash
		if !s.trashed {
			s.lagMS, s.tombMS = termsOf(e.Document)
		}
		w.changed(s, st.Keys)
		s.converted = s.converted || s.keys == stream.KeysHistory && st.Keys == stream.KeysVersioned
		s.partitions, s.keys = st.Partitions, st.Keys
	}
	for id, s := range w.names {
		if _, ok := pub.Stream(record.StreamID(id)); !ok && !s.removing {
			w.failf("stream %d (%s) is gone; nobody deleted it", id, s.name)
		}
	}
}

// placed is one record as it is stored.
type placed struct {
	lane
	offset record.Offset
	key    string
	value  string // of a tombstone, what its header says
	tomb   bool
	seq    uint64
	batch  uint32
	timeMS int64
}

// checkStored reads everything and compares it with what was answered.
func (w *World) checkStored(when string) {
	w.fs.SetRule(nil)
	w.learnNames()
	if w.err != nil {
		return
	}
	w.readAll(when)
	w.catchUp()
	if w.err == nil {
		w.checkOps(when)
		w.checkKeys(when)
		w.checkTill(when)
		w.checkShadow()
		w.checkFold(when)
		w.hash()
	}
	if w.err != nil {
		w.err = fmt.Errorf("%w (checked %s)", w.err, when)
	}
}

// lanes are the partitions that are there, in order.
func (w *World) lanes() []lane {
	var all []lane
	for id := uint32(1); w.names[id] != nil; id++ {
		if w.names[id].apart {
			continue
		}
		st, _ := w.node.Published().Stream(record.StreamID(id))
		for n := range st.Partitions {
			all = append(all, lane{record.StreamID(id), record.PartitionID(n)})
		}
	}
	return all
}

// readAll reads every partition from its start, checks that offsets are dense and positions grow, and that what was seen has not changed.
func (w *World) readAll(when string) {
	pub := w.node.Published()
	var all []placed
	w.lookAgain()
	for _, at := range w.lanes() {
		src, _ := pub.Source(at.stream, at.partition)
		start, end := src.Part.Ends()
		var rows []placed
		for from := start; from < end; {
			batches, err := pub.Read(nil, src, from, 4<<10, shard.AllSeqs)
			if err != nil || len(batches) == 0 {
				w.failf("%s: read %v at %d of %d: %d batches, %v", when, at, from, end, len(batches), err)
				return
			}
			for _, b := range batches {
				for _, r := range w.unpack(at, b) {
					if r.offset >= start {
						rows = append(rows, r)
					}
				}
				from = b.Next
			}
		}
		if w.checkLane(at, start, end, rows); w.err != nil {
			return
		}
		all = append(all, rows...)
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.batch, b.batch))
	})
	for i := 1; i < len(all); i++ {
		a, b := &all[i-1], &all[i]
		if a.lane != b.lane && a.seq == b.seq && a.batch == b.batch {
			w.failf("two batches have position %d/%d", a.seq, a.batch)
		}
		if a.timeMS > b.timeMS {
			w.failf("append time runs backwards from frame %d to %d", a.seq, b.seq)
		}
	}
	w.checkGone(when)
}

func (w *World) unpack(at lane, b *shard.Batch) []placed {
	rows, err := unpackRaw(at, b.Raw)
	if err != nil {
		w.failf("a stored batch cannot be read: %v", err)
	}
	for i := range rows {
		rows[i].seq, rows[i].batch, rows[i].timeMS = b.Seq, b.Ordinal, b.TimeMS
	}
	return rows
}

func unpackRaw(at lane, raw []byte) ([]placed, error) {
	var rows []placed
	err := record.EachRecord(raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
		rows = append(rows, placed{lane: at, offset: r.Offset, key: string(r.Key), value: string(r.Value), tomb: r.Value == nil})
		if v, ok := r.Header(tombHeader); ok {
			rows[len(rows)-1].value = string(v)
		}
		return nil
	})
	return rows, err
}

func (w *World) checkLane(at lane, start, end record.Offset, rows []placed) {
	w.checkStart(at, start)
	if int(end-start) != len(rows) && !w.lossy(at.stream) {
		w.failf("%v is %d to %d and holds %d records", at, start, end, len(rows))
		return
	}
	if start < end && (len(rows) == 0 || rows[len(rows)-1].offset != end-1) {
		w.failf("%v is %d to %d, and its last record is not there", at, start, end)
		return
	}
	next := start
	for i := range rows {
		r := &rows[i]
		// What is hot may be read or passed over, by where a reading begins.
		if r.offset < next || w.dice.hot == 0 && w.gone[at][r.offset] {
			w.failf("%v: offset %d comes where %d comes next, and was gone: %t", at, r.offset, next, w.gone[at][r.offset])
		}
		for ; next < r.offset; next++ {
			w.missing = append(w.missing, placed{lane: at, offset: next})
		}
		next++
		if i > 0 && (r.seq < rows[i-1].seq || r.seq == rows[i-1].seq && r.batch < rows[i-1].batch) {
			w.failf("%v: position of offset %d is before that of the one before", at, r.offset)
		}
		w.show(*r)
	}
	if n := len(w.seen[at]); n > int(end) {
		w.failf("%v: %d records were shown, it ends at %d", at, n, end)
	}
}

// show notes that somebody was shown a record, or answered that it is there. It must be the same for ever.
func (w *World) show(r placed) {
	seen := w.seen[r.lane]
	for int(r.offset) >= len(seen) {
		seen = append(seen, placed{})
	}
	w.seen[r.lane] = seen
	switch old := &seen[r.offset]; {
	case old.value == "":
		*old, w.sorted = r, nil
	case *old != r:
		w.failf("%v offset %d was %+v and is %+v", r.lane, r.offset, *old, r)
	}
}

// holes says that records of a partition were trimmed before anybody was shown them.
func (w *World) holes(at lane) bool {
	return slices.ContainsFunc(w.seen[at], func(r placed) bool { return r.value == "" })
}

// checkOps: what was answered with success is there once, where it was said to be; the rest whole or not at all. What has been trimmed counts as
// there when it was seen before.
func (w *World) checkOps(when string) {
	where, holes := map[string][]placed{}, map[lane]bool{}
	for _, at := range w.lanes() {
		for _, r := range w.seen[at] {
			if r.value == "" {
				holes[at] = true
				continue
			}
			where[r.value] = append(where[r.value], r)
		}
	}
	for _, o := range w.ops {
		there, missing, known := 0, 0, 0
		for i := range o.parts {
			p := &o.parts[i]
			if _, ok := w.node.Published().Stream(p.stream); !ok {
				continue // deleted, with all it held
			}
			switch found := w.checkPart(o, p, where); {
			case found >= len(p.values):
				known, there = known+1, there+1
			case holes[p.lane]: // trimmed, perhaps
			case found == 0:
				known, missing = known+1, missing+1
			default:
				w.failf("op %d: %d of %d records of a batch are there", o.id, found, len(p.values))
			}
		}
		w.checkOp(o, there, missing, known)
	}
	for v := range where {
		w.failf("%s: %q is stored and nobody sent it", when, v)
	}
	w.checkSequences()
}

// checkPart takes the records of a batch out of where, and says how many they are.
func (w *World) checkPart(o *op, p *part, where map[string][]placed) (found int) {
	for k, v := range p.values {
		found += len(where[v])
		for n, r := range where[v] {
			if r.lane != p.lane || r.key != p.keys[k] {
				w.failf("%q is in %v with key %q; it was sent to %v with key %q", v, r.lane, r.key, p.lane, p.keys[k])
			}
			if n > 0 && (o.client.kind != named || max(o.latest, r.timeMS)-where[v][0].timeMS <= dedupWindow.Milliseconds()) {
				w.failf("%q is stored %d times", v, len(where[v]))
			}
		}
		if p.base >= 0 && !slices.ContainsFunc(where[v], func(r placed) bool { return r.offset == p.base+record.Offset(k) }) {
			w.failf("%q was answered to be at %v offset %d and is not there", v, p.lane, p.base+record.Offset(k))
		}
		delete(where, v)
	}
	return found
}

func (w *World) checkOp(o *op, there, missing, known int) {
	switch {
	case known == 0:
	case o.acked && missing > 0:
		w.failf("op %d was answered with success and is lost", o.id)
	case o.atomic && there > 0 && missing > 0:
		w.failf("op %d is there in part", o.id)
	case there > 0 && !o.acked && !o.maybe && o.open == 0:
		w.failf("op %d was refused and is there", o.id)
	}
}

// checkSequences: batches of an idempotent producer stand in the order of their numbers.
func (w *World) checkSequences() {
	byFirst := map[string]*op{}
	for _, o := range w.ops {
		if o.client.kind == idempotent && len(o.parts) > 0 {
			byFirst[o.parts[0].values[0]] = o
		}
	}
	for _, at := range w.lanes() {
		if w.holes(at) {
			continue
		}
		next := map[int]int32{}
		for _, r := range w.seen[at] {
			o := byFirst[r.value]
			if o == nil {
				continue
			}
			if want := next[o.client.id]; o.sequence != want {
				w.failf("client %d: sequence %d in %v, expected %d", o.client.id, o.sequence, at, want)
			}
			next[o.client.id] = o.sequence + int32(len(o.parts[0].values))
		}
	}
}

// lent is the world's journal, which a second reader must not close.
type lent struct{ journal.Journal }

func (lent) Close() error { return nil }

// checkFold: the rows are what folding the journal from its start gives, byte for byte.
func (w *World) checkFold(when string) {
	if len(w.written) > 0 || w.err != nil {
		return // the journal is ahead of what is published
	}
	if w.files.Through() > 0 {
		return // the journal does not hold everything any more
	}
	fresh := statemem.New()
	files, index, err := openFiles(memory.New())
	if err != nil {
		w.failf("%s: %v", when, err)
		return
	}
	defer func() { _ = files.Close() }() // of a disk that nobody uses again
	again, err := shard.OpenStepper(w.config(fresh, files, index, func() (journal.Journal, error) { return lent{w.journal}, nil }))
	if err != nil {
		w.failf("%s: folding the journal again: %v", when, err)
		return
	}
	if got, want := again.Published().Seq(), w.node.Published().Seq(); got != want {
		w.failf("%s: the journal ends at %d, published is %d", when, got, want)
		return
	}
	if d := differ(rows(w.store, false), rows(fresh, false)); d != "" {
		w.failf("%s: state is not the fold of the journal: %s", when, d)
	}
}

type row struct{ key, value, raw []byte }

// rows lists a store. portable leaves out where the journal keeps a frame, which changes when recovery writes it again.
func rows(st state.Store, portable bool) []row {
	it, err := st.Iter(nil, nil)
	if err != nil {
		panic(err)
	}
	defer it.Close()
	var out []row
	for ok := it.SeekGE([]byte{0}); ok; ok = it.Next() {
		r := row{key: bytes.Clone(it.Key()), value: bytes.Clone(it.Value())}
		r.raw = r.value
		if portable && r.key[0] == state.PrefixRun {
			run, err := stream.ReadRun(r.key, r.value)
			if err != nil {
				panic(err)
			}
			run.Place = 0
			r.value = fmt.Append(nil, run)
		}
		out = append(out, r)
	}
	return out
}

func differ(got, want []row) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("row %x is missing", want[i].key)
		case i >= len(want):
			return fmt.Sprintf("row %x is too much", got[i].key)
		case !bytes.Equal(got[i].key, want[i].key):
			return fmt.Sprintf("row %x stands where %x should", got[i].key, want[i].key)
		case !bytes.Equal(got[i].value, want[i].value):
			return fmt.Sprintf("row %x is %x, should be %x", got[i].key, got[i].value, want[i].value)
		}
	}
	return ""
}

// hash: whenever the shard stands at a sequence, its state is the same.
func (w *World) hash() {
	seq := w.node.Published().Seq()
	old, known := w.hashes[seq]
	if !known && seq%4 > 0 {
		return
	}
	var parts [][]byte
	for _, r := range rows(w.store, true) {
		if w.dice.window > 0 && r.key[0] == state.PrefixRun {
			continue // rows of what has moved to segment files may come back with a crash, and go again
		}
		parts = append(parts, r.key, r.value)
	}
	h := hashOf(parts...)
	if w.hashes[seq] = h; known && h != old {
		w.failf("at sequence %d the state is another than it was before", seq)
	}
	w.tracef("state at %d is %x", seq, h[:8])
}
