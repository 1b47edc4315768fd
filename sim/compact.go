package sim

import (
	"cmp"
	"fmt"
	"slices"

	"leat/broker/catalog"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// Which records may be missing, and which must not.

// tombHeader says which tombstone a tombstone is: it has no value that could.
const tombHeader = "sim"

// terms are what a stream was asked to do about superseded records, ever: a change counts from when it is asked for, as nobody knows when it holds.
type terms struct {
	latest      bool  // it kept the latest of each key at some time
	lag, tombMS int64 // the least
}

// document is what the catalog says of a stream.
func (s *simStream) document() []byte {
	if s.tombMS == 0 {
		return []byte(s.name)
	}
	return fmt.Appendf(nil, "%s %d %d", s.name, s.lagMS, s.tombMS)
}

func termsOf(document []byte) (lagMS, tombMS int64) {
	var name string
	if n, _ := fmt.Sscan(string(document), &name, &lagMS, &tombMS); n < 3 {
		return 0, 0
	}
	return lagMS, tombMS
}

// chooseTerms gives a stream that is about to be made or changed another key mode and other terms.
func (w *World) chooseTerms(s *simStream) {
	if !w.dice.compact {
		return
	}
	if s.tombMS == 0 || w.rng.IntN(4) == 0 {
		s.lagMS, s.tombMS = []int64{0, 0, 0, 30_000}[w.rng.IntN(4)], []int64{1, 20_000, 600_000}[w.rng.IntN(3)]
	}
	if w.rng.IntN(2) == 0 {
		s.keys = []stream.KeyMode{stream.KeysOff, stream.KeysLatest, stream.KeysLatest, stream.KeysLatest, stream.KeysHistory, stream.KeysVersioned}[w.rng.IntN(6)]
	}
}

// wanted notes what a stream is asked to do.
func (w *World) wanted(s *simStream) {
	t := w.terms[s.name]
	if t == nil {
		t = &terms{lag: s.lagMS, tombMS: s.tombMS}
		w.terms[s.name] = t
	}
	t.latest = t.latest || s.keys == stream.KeysLatest
	t.lag, t.tombMS = min(t.lag, s.lagMS), min(t.tombMS, s.tombMS)
}

// vary lets some records be tombstones, and some keys stand in every partition of a stream.
func (c *client) vary(p *part) {
	rng := c.w.rng
	p.tombs = make([]bool, len(p.keys))
	for i, key := range p.keys {
		if key == "" {
			continue
		}
		p.tombs[i] = rng.IntN(6) == 0
		if rng.IntN(5) == 0 {
			p.keys[i] = fmt.Sprintf("all-k%d", rng.IntN(2))
		}
	}
}

// compactions is what the broker tells its shards: the streams that keep the latest of each key, but those that are deleted for now.
func (w *World) compactions() []shard.Compaction {
	var out []shard.Compaction
	if w.node == nil || !w.dice.compact {
		return nil
	}
	pub := w.node.Published()
	var found []catalog.Entry
	pub.Entries(func(e *catalog.Entry) { found = append(found, *e) })
	for _, e := range found {
		st, ok := pub.Stream(record.StreamID(e.ID))
		if lag, tombMS := termsOf(e.Document); ok && tombMS > 0 && e.Name.Kind == catalog.Stream && st.Keys == stream.KeysLatest {
			c := shard.Compaction{Stream: record.StreamID(e.ID), LagMS: lag, TombstoneMS: tombMS}
			switch e.ID % 3 { // some by age
			case 0:
				c.MaxLagMS = max(lag, 10_000)
			case 1:
				c.TailMS, c.TailBytes, c.Ratio = 10_000, 2<<10, 0.1
			}
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b shard.Compaction) int { return cmp.Compare(a.Stream, b.Stream) })
	return out
}

func (w *World) compacted(all []shard.Compacted) {
	for _, c := range all {
		w.tracef("stream %d lets go of %d records", c.Stream, c.Records)
		w.kept.compacted += c.Records
		if s := w.names[uint32(c.Stream)]; s == nil || !w.lossy(c.Stream) {
			w.failf("stream %d lets go of %d records, and never kept the latest of each key", c.Stream, c.Records)
		}
	}
}

// lossy says whether a stream may have let go of records.
func (w *World) lossy(id record.StreamID) bool {
	s := w.names[uint32(id)]
	if s == nil || !w.dice.compact || w.dice.window == 0 {
		return false
	}
	t := w.terms[s.name]
	return t != nil && t.latest
}

// mayGo says whether a record that is not trimmed may be missing: a later one of its key is in segment files, or it is a tombstone that is old enough; and
// it is not too young. An unknown one may.
func (w *World) mayGo(r placed) bool {
	if !w.lossy(r.stream) {
		return false
	}
	if r.value == "" {
		return true
	}
	if r.key == "" {
		return false
	}
	t := w.terms[w.names[uint32(r.stream)].name]
	if r.timeMS+t.lag > w.nowMax {
		return false
	}
	if r.tomb && r.timeMS+t.tombMS <= w.nowMax {
		return true
	}
	all := w.byKey()[keyOf{r.stream, r.key}]
	through := w.node.KeepStats().Through
	for _, next := range slices.Backward(all) {
		if byPosition(&next, &r) <= 0 {
			return false
		}
		if next.seq <= through {
			return true
		}
	}
	return false
}

// mayPass says whether a reader may be given what comes at to where from comes next.
func (w *World) mayPass(at lane, from, to record.Offset) bool {
	for ; from < to; from++ {
		r := placed{}
		if int(from) < len(w.seen[at]) {
			r = w.seen[at][from]
		}
		if r.lane = at; !w.mayGo(r) {
			return false
		}
	}
	return true
}

// byPosition compares two records by position.
func byPosition(a, b *placed) int {
	return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.batch, b.batch), cmp.Compare(a.offset, b.offset))
}

// lookAgain begins a reading of everything.
func (w *World) lookAgain() { w.missing = w.missing[:0] }

// isGone says whether the index of keys may have let go of a record: it is in no file any more. What is hot may be read nevertheless.
func (w *World) isGone(r *placed) bool {
	return w.gone[r.lane][r.offset] || w.dice.hot > 0 && w.mayGo(*r)
}

// checkGone judges what a reading of everything has not found.
func (w *World) checkGone(when string) {
	if len(w.missing) == 0 || w.err != nil {
		return
	}
	for i := range w.missing {
		r := &w.missing[i]
		at := r.lane
		if int(r.offset) < len(w.seen[at]) {
			*r = w.seen[at][r.offset]
		}
		if r.lane = at; !w.mayGo(*r) {
			w.failf("%s: %+v is not there, and has to be; through %d", when, *r, w.node.KeepStats().Through)
			return
		}
		if w.gone[at] == nil {
			w.gone[at] = map[record.Offset]bool{}
		}
		w.gone[at][r.offset] = true
	}
	for i := range w.missing {
		w.checkRaised(when, &w.missing[i])
	}
}

// checkRaised: where the newest record of a key is gone, nothing older of it is there. In memory there may be, of a tombstone whose time has passed.
func (w *World) checkRaised(when string, r *placed) {
	if r.value == "" {
		return
	}
	all := w.byKey()[keyOf{r.stream, r.key}]
	if len(all) == 0 || all[len(all)-1] != *r {
		return
	}
	w.kept.tombstones++
	for _, old := range all[:len(all)-1] {
		if w.dice.hot == 0 && w.isThere(old) && !w.gone[old.lane][old.offset] {
			w.failf("%s: %+v was the newest of its key and is gone, and %+v is there", when, *r, old)
			return
		}
	}
}
