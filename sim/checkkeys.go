package sim

import (
	"cmp"
	"maps"
	"slices"

	"leat/broker/fault"
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

// byKey sorts what was seen by key, in the order of positions. Records that were trimmed or are gone are among them.
func (w *World) byKey() map[keyOf][]placed {
	if w.sorted != nil {
		return w.sorted
	}
	rows := map[keyOf][]placed{}
	for at, all := range w.seen {
		for _, r := range all {
			if r.key != "" {
				k := keyOf{at.stream, r.key}
				rows[k] = append(rows[k], r)
			}
		}
	}
	for _, all := range rows {
		slices.SortFunc(all, func(a, b placed) int { return byPosition(&a, &b) })
	}
	w.sorted = rows
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

// unseen says that records of a stream went before anybody was shown them.
func (w *World) unseen(id record.StreamID) bool {
	st, _ := w.node.Published().Stream(id)
	for n := range st.Partitions {
		at := lane{id, record.PartitionID(n)}
		_, end := w.node.Published().Part(id, at.partition).Ends()
		if int(end) != len(w.seen[at]) || w.holes(at) {
			return true
		}
	}
	return false
}

// keyModel is one key as the model has it.
type keyModel struct {
	keyOf
	all  []placed // all records it had
	live []placed // those that are not trimmed, in order
	must []placed // and not gone either
	// unknown: records of the stream went before anybody was shown them, so there may have been more
	unknown bool
}

// checkKeys: what a stream keeps about its keys is what its records say; versions have no gap.
func (w *World) checkKeys(when string) {
	pub := w.node.Published()
	unknown := map[record.StreamID]bool{}
	rows := w.byKey()
	keys := slices.SortedFunc(maps.Keys(rows), func(a, b keyOf) int { return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.key, b.key)) })
	latest := map[record.StreamID]map[string]*keyModel{}
	for _, k := range keys {
		st, ok := pub.Stream(k.stream)
		if !ok || st.Partial || w.err != nil {
			continue // deleted, or whoever asks is told to come again
		}
		if _, looked := unknown[k.stream]; !looked {
			unknown[k.stream], latest[k.stream] = w.unseen(k.stream), map[string]*keyModel{}
		}
		x := &keyModel{keyOf: k, all: rows[k], unknown: unknown[k.stream]}
		for _, r := range x.all {
			if !w.isThere(r) {
				continue
			}
			if x.live = append(x.live, r); !w.isGone(&r) {
				x.must = append(x.must, r)
			}
		}
		latest[k.stream][k.key] = x
		w.checkKey(when, x)
	}
	for _, id := range slices.Sorted(maps.Keys(latest)) {
		w.checkLatestKeys(when, id, latest[id])
	}
}

func (w *World) checkKey(when string, x *keyModel) {
	pub, s := w.node.Published(), w.names[uint32(x.stream)]
	if s.keys == stream.KeysOff {
		return
	}
	e, ok, err := pub.Latest(x.stream, []byte(x.key), pub.Seq())
	if err != nil || !x.isLatest(&e, ok) {
		w.failf("%s: the latest of %v is %+v, %t, %v; it has %+v, and there must be %+v", when, x.keyOf, e, ok, err, x.all, x.must)
	}
	if s.keys < historyKept {
		return
	}
	for _, backward := range []bool{false, true} {
		w.checkHistory(when, x, backward)
	}
	if s.keys == stream.KeysVersioned && w.err == nil {
		v := w.versionOf(x.stream, x.key)
		w.checkVersion(when, x, v)
	}
}

// isLatest says whether e may be given as the newest record of a key. Where that has been trimmed there may be none, or one before it: in another
// partition, and so that none that is there stands between.
func (x *keyModel) isLatest(e *stream.HistoryEntry, ok bool) bool {
	is := func(r *placed) bool {
		return e.Offset == r.offset && e.Partition == r.partition && e.Seq == r.seq && e.Batch == r.batch && e.Tombstone == r.tomb
	}
	switch {
	case x.unknown:
		return !ok || len(x.must) == 0 || is(&x.must[len(x.must)-1]) || byPosition(&placed{seq: e.Seq, batch: e.Batch, offset: e.Offset}, &x.must[len(x.must)-1]) > 0
	case !ok:
		return len(x.must) == 0 || x.must[len(x.must)-1] != x.all[len(x.all)-1]
	}
	for i := range slices.Backward(x.live) {
		switch r := &x.live[i]; {
		case is(r):
			return true
		case *r == x.all[len(x.all)-1], len(x.must) > 0 && *r == x.must[len(x.must)-1]:
			return false
		}
	}
	return false
}

// checkVersion: a version is how many records the key has had. Where they were counted later, it may be less by those that had gone by then, always
// by as many.
func (w *World) checkVersion(when string, x *keyModel, v uint64) {
	s := w.names[uint32(x.stream)]
	if x.unknown {
		if v < uint64(len(x.live)) && !s.converted {
			w.failf("%s: version of %v is %d; %d records of it are there", when, x.keyOf, v, len(x.live))
		}
		return
	}
	missing := int64(len(x.all)) - int64(v)
	was, known := w.bases[x.keyOf]
	switch {
	case missing < 0, missing > 0 && (!s.converted || !w.lossy(x.stream) && !w.cut(x.stream)), known && was != missing, int64(v) < int64(len(x.must)) && !s.converted:
		w.failf("%s: version of %v is %d; it has had %d records, and lacked %d before (%t)", when, x.keyOf, v, len(x.all), was, known)
	}
	w.bases[x.keyOf] = missing
}

// cut says whether anything was ever trimmed of a stream.
func (w *World) cut(id record.StreamID) bool {
	for at, t := range w.trims {
		if at.stream == id && t.start > 0 {
			return true
		}
	}
	return false
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

// checkHistory walks a key one way.
func (w *World) checkHistory(when string, x *keyModel, backward bool) {
	pub := w.node.Published()
	h := pub.History(x.stream, []byte(x.key), nil, backward, pub.Seq())
	defer h.Close()
	left := slices.Clone(x.live)
	if backward {
		slices.Reverse(left)
	}
	last := uint64(0)
	for e, ok := h.Next(); ok && w.err == nil; e, ok = h.Next() {
		for len(left) > 0 && (left[0].offset != e.Offset || left[0].partition != e.Partition) && w.isGone(&left[0]) {
			left = left[1:]
		}
		if len(left) == 0 || left[0].offset != e.Offset || left[0].partition != e.Partition || left[0].seq != e.Seq || left[0].batch != e.Batch || left[0].tomb != e.Tombstone {
			if at := (lane{x.stream, e.Partition}); x.unknown && w.seen[at][e.Offset].value == "" {
				continue
			}
			w.failf("%s: history of %v, backward %t: %+v, expected %+v", when, x.keyOf, backward, e, left)
			return
		}
		left = left[1:]
		if !w.numbered(x, &e) || !backward && last > 0 && e.Version > 0 && e.Version <= last {
			w.failf("%s: history of %v: %+v has the wrong version, behind %d: %+v", when, x.keyOf, e, last, x.all)
		}
		last = e.Version
	}
	left = slices.DeleteFunc(left, func(r placed) bool { return w.isGone(&r) })
	if err := h.Err(); err != nil || len(left) > 0 && w.err == nil {
		w.failf("%s: history of %v, backward %t, ends before %+v: %v", when, x.keyOf, backward, left, err)
	}
}

// numbered says whether an entry has the version it must have.
func (w *World) numbered(x *keyModel, e *stream.HistoryEntry) bool {
	s := w.names[uint32(x.stream)]
	if s.keys != stream.KeysVersioned || x.unknown {
		return true
	}
	if s.converted && e.Seq <= s.since {
		return true // from before, or from an earlier time in which it numbered them
	}
	i, _ := slices.BinarySearchFunc(x.all, e, func(r placed, e *stream.HistoryEntry) int {
		return cmp.Or(cmp.Compare(r.seq, e.Seq), cmp.Compare(r.batch, e.Batch), cmp.Compare(r.offset, e.Offset))
	})
	want := int64(i + 1)
	if s.converted {
		v := w.versionOf(x.stream, x.key)
		want -= int64(len(x.all)) - int64(v)
	}
	return int64(e.Version) == want
}

// checkLatestKeys walks the newest records of all keys: each key that must have one comes once, in order.
func (w *World) checkLatestKeys(when string, id record.StreamID, keys map[string]*keyModel) {
	if w.err != nil || w.names[uint32(id)].keys == stream.KeysOff {
		return
	}
	pub := w.node.Published()
	l := pub.LatestIn(id, nil, nil, pub.Seq())
	defer l.Close()
	last, found := "", map[string]bool{}
	for l.Next() {
		key := string(l.Key())
		x := keys[key]
		e, ok := l.Entry()
		switch {
		case found[key] || key < last:
			w.failf("%s: the walk of stream %d comes to %q behind %q", when, id, key, last)
			return
		case x == nil && ok && !w.unseen(id), x != nil && !x.isLatest(&e, ok):
			w.failf("%s: the walk of stream %d finds %+v, %t, as the newest of %q", when, id, e, ok, key)
			return
		}
		last, found[key] = key, true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if x := keys[key]; !found[key] && len(x.must) > 0 && x.must[len(x.must)-1] == x.all[len(x.all)-1] {
			w.failf("%s: the walk of stream %d passes over %q", when, id, key)
			return
		}
	}
	if err := l.Err(); err != nil {
		w.failf("%s: the walk of stream %d: %v", when, id, err)
	}
}

func isConflict(err error) bool { return fault.Is(err, fault.Conflict) }
