package sim

import (
	"leat/broker/record"
	"leat/broker/stream"
)

// historyKept is the least mode in which a stream keeps all records of a key.
const historyKept = stream.KeysHistory

// keyOf is a key of a stream.
type keyOf struct {
	stream record.StreamID
	key    string
}

// byKey sorts what was seen by key, in the order of positions; all records of a key are in one partition. Trimmed ones are among them.
func (w *World) byKey() map[keyOf][]placed {
	rows := map[keyOf][]placed{}
	for _, at := range w.lanes() {
		for _, r := range w.seen[at] {
			if r.key != "" {
				k := keyOf{r.stream, r.key}
				rows[k] = append(rows[k], r)
			}
		}
	}
	return rows
}

// versionSeen: versions of a key never fall.
func (w *World) versionSeen(id record.StreamID, key string, v uint64) {
	k := keyOf{id, key}
	if _, ok := w.node.Published().Stream(id); !ok {
		return
	}
	if v < w.versions[k] {
		w.failf("the version of %v was %d and is %d", k, w.versions[k], v)
	}
	w.versions[k] = v
}

// checkKeys: what a stream keeps about its keys is what its records say; versions have no gap.
func (w *World) checkKeys(when string) {
	for _, at := range w.lanes() {
		done := map[string]bool{}
		rows := map[string][]placed{}
		for _, r := range w.seen[at] {
			rows[r.key] = append(rows[r.key], r)
		}
		for _, r := range w.seen[at] {
			if r.key == "" || done[r.key] || w.err != nil {
				continue
			}
			done[r.key] = true
			w.checkKey(when, at, r.key, rows[r.key])
		}
	}
}

// checkKey checks one key; all are the records it had, in order, as far as they were seen before they were trimmed.
func (w *World) checkKey(when string, at lane, key string, all []placed) {
	pub, s := w.node.Published(), w.names[uint32(at.stream)]
	live := all
	for len(live) > 0 && !w.isThere(live[0]) {
		live = live[1:]
	}
	switch s.keys {
	case stream.KeysLatest:
		e, ok, err := pub.Latest(at.stream, []byte(key), pub.Seq())
		switch {
		case err != nil || ok != (len(live) > 0):
			w.failf("%s: the latest of %q in %v: %+v, %v, %v; it has %d records", when, key, at, e, ok, err, len(live))
		case ok && (e.Offset != live[len(live)-1].offset || e.Partition != at.partition):
			w.failf("%s: the latest of %q in %v is %+v; expected offset %d", when, key, at, e, live[len(live)-1].offset)
		}
	case stream.KeysHistory, stream.KeysVersioned:
		// Counted from the first record on, unless some were never seen, or came before the stream numbered its keys.
		first := uint64(len(all) - len(live))
		exact := s.keys == stream.KeysVersioned && !s.converted && !w.holes(at)
		for _, backward := range []bool{false, true} {
			w.checkHistory(when, at, key, live, backward, func(n int, version uint64) bool {
				return !exact && version == 0 || exact && version == first+uint64(n)+1 || !exact && version > 0
			})
		}
		if s.keys != stream.KeysVersioned || w.err != nil {
			return
		}
		v := w.versionOf(at.stream, key)
		if exact && v != uint64(len(all)) || v < uint64(len(live)) && !s.converted {
			w.failf("%s: version of %q in %v is %d; it has had %d records", when, key, at, v, len(all))
		}
	}
}

func (w *World) versionOf(id record.StreamID, key string) uint64 {
	pub := w.node.Published()
	v, err := pub.Version(pub.Fingerprint(id, []byte(key)), id, []byte(key))
	if err != nil {
		w.failf("version of %q: %v", key, err)
		return 0
	}
	w.versionSeen(id, key, v)
	return v
}

// checkHistory walks a key one way; numbered says whether the n-th record there is has the right version.
func (w *World) checkHistory(when string, at lane, key string, live []placed, backward bool, numbered func(n int, version uint64) bool) {
	pub := w.node.Published()
	h := pub.History(at.stream, []byte(key), nil, backward, pub.Seq())
	defer h.Close()
	n, last := 0, uint64(0)
	for e, ok := h.Next(); ok && w.err == nil; e, ok = h.Next() {
		i := n
		if backward {
			i = len(live) - 1 - n
		}
		if i < 0 || i >= len(live) {
			w.failf("%s: history of %q in %v has more than %d entries: %+v", when, key, at, len(live), e)
			return
		}
		if r := live[i]; e.Offset != r.offset || e.Partition != r.partition || e.Seq != r.seq || e.Batch != r.batch || !numbered(i, e.Version) {
			w.failf("%s: history of %q in %v, backward %t: entry %d is %+v, expected %+v", when, key, at, backward, i, e, r)
		}
		if !backward && last > 0 && e.Version != last+1 {
			w.failf("%s: history of %q in %v: version %d follows %d", when, key, at, e.Version, last)
		}
		last = e.Version
		n++
	}
	if err := h.Err(); err != nil || n != len(live) {
		w.failf("%s: history of %q in %v, backward %t, has %d entries of %d: %v", when, key, at, backward, n, len(live), err)
	}
}
