package subscription

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"leat/broker/record"
	"leat/storage/state"
)

// Limits of looking up whom records reached.
const (
	routesLookedUp = 16   // routes that are looked up one by one; of more, all pages of a block are read
	lookupBlocks   = 1024 // blocks with something in them that one look goes through
)

// Ways is by which routes records reach a subscription, and from which offset of a partition on that tells all.
type Ways struct {
	Routes []RouteID // ascending
	From   record.Offset
}

// Ways tells how records of a partition reach a subscription; ok is false when all do, or nothing is known of that.
func (s *State) Ways(id ID, at Place) (w Ways, ok bool) {
	x, a := s.Subs[id], s.Arrivals[at]
	if x == nil || a == nil || a.Indexed < 0 {
		return w, false
	}
	src := x.source(at)
	if src == nil || src.All {
		return w, false
	}
	w.From = max(a.Indexed, src.Routed)
	if k := s.Classes[x.Class]; k != nil {
		w.Routes = make([]RouteID, len(k.Routes))
		for i, r := range k.Routes {
			w.Routes[i] = r.ID
		}
	}
	return w, true
}

// Hit is a record that took a route.
type Hit struct {
	Offset     record.Offset
	Size       int32
	Seq        uint64
	AppendedMS int64
	Step       uint16
	Plain      bool // it has no key, and no time or priority of its own
}

// EachHit calls fn for the records of a partition in from <= offset < to that took one of the routes, in order, until it answers false. It returns
// up to where it has looked. What it reads are rows of st, so of frames that are published. from is not before w.From.
func EachHit(st state.Store, at Place, w *Ways, from, to record.Offset, fn func(*Hit) bool) (record.Offset, error) {
	if from >= to || len(w.Routes) == 0 {
		return to, nil
	}
	it, err := st.Iter(blockKey(at, blockOf(from)), state.After(placeKey([]byte{state.PrefixReached}, at)))
	if err != nil {
		return from, err
	}
	defer it.Close()
	l := lookup{it: it, at: at, ways: w}
	for range lookupBlocks {
		block, some, err := l.block(from, to)
		if err != nil || !some || record.Offset(block*blockOffsets) >= to {
			if err != nil {
				return from, err
			}
			return to, nil
		}
		for i := range l.found {
			if through, more := l.found[i].each(from, to, fn); !more {
				return through, nil
			}
		}
		from = max(from, min(to, record.Offset((block+1)*blockOffsets)))
		if from >= to {
			return to, nil
		}
	}
	return from, nil
}

// each calls fn for the records of a posting that are within bounds.
func (p *posting) each(from, to record.Offset, fn func(*Hit) bool) (record.Offset, bool) {
	h := Hit{Seq: p.seq, AppendedMS: p.time, Step: p.step, Plain: p.plain}
	for h.Offset = max(from, p.base); h.Offset < min(to, p.end()); h.Offset++ {
		k := int64(h.Offset - p.base)
		h.Size = int32(p.bytes*(k+1)/p.count - p.bytes*k/p.count)
		if !fn(&h) {
			return h.Offset + 1, false
		}
	}
	return 0, true
}

// lookup goes through the rows of a partition.
type lookup struct {
	it    state.Iterator
	at    Place
	ways  *Ways
	found []posting // in the block, in the order of their offsets
}

// block looks at the block of an offset, or else the next one that has any rows, and finds what of it took one of the routes.
func (l *lookup) block(from, to record.Offset) (block int64, some bool, err error) {
	l.found = l.found[:0]
	block = blockOf(from)
	// The last block is mostly not full, and whoever is up to date wants the last frame of it; any other has pages.
	if logged := blockOf(to) == block && l.it.SeekLT(logKey(l.at, block, from+1)) && bytes.HasPrefix(l.it.Key(), append(blockKey(l.at, block), reachedLog)); logged {
		return block, true, l.rows(block)
	}
	if err := l.it.Err(); err != nil {
		return 0, false, err
	}
	if len(l.ways.Routes) <= routesLookedUp {
		if full, err := l.pages(block); full || err != nil {
			return block, true, err
		}
	}
	if !l.it.SeekGE(blockKey(l.at, block)) {
		return 0, false, l.it.Err()
	}
	key := l.it.Key()
	if len(key) <= blockKeyBytes {
		return 0, false, l.damaged(fmt.Errorf("a key of %d bytes", len(key)))
	}
	next := int64(be64(key[blockKeyBytes-8:]))
	if next > block && len(l.ways.Routes) <= routesLookedUp && key[blockKeyBytes] == reachedPage {
		_, err := l.pages(next)
		return next, true, err
	}
	return next, true, l.rows(next)
}

// rows takes what is wanted of the rows of a block, from the one on that it stands on.
func (l *lookup) rows(block int64) error {
	prefix := blockKey(l.at, block)
	for ok := true; ok && bytes.HasPrefix(l.it.Key(), prefix); ok = l.it.Next() {
		if err := l.row(block); err != nil {
			return err
		}
	}
	l.sort()
	return l.it.Err()
}

// row takes what is wanted of the row that it stands on.
func (l *lookup) row(block int64) (err error) {
	key, was := l.it.Key(), len(l.found)
	switch key[blockKeyBytes] {
	case reachedLog:
		if l.found, err = readLog(l.found, key, l.it.Value()); err == nil {
			l.found = append(l.found[:was], slices.DeleteFunc(l.found[was:], func(p posting) bool { return !l.wanted(p.route) })...)
		}
	case reachedPage:
		l.found, err = readPage(l.found, key, l.it.Value(), record.Offset(block*blockOffsets), l.wanted)
	}
	return l.damaged(err)
}

func (l *lookup) damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("row %x of the index of routes: %w", l.it.Key(), err)
}

func (l *lookup) wanted(r RouteID) bool {
	_, is := slices.BinarySearch(l.ways.Routes, r)
	return is
}

// pages looks the routes up one by one. full is false where the block has no pages at or before the first of them.
func (l *lookup) pages(block int64) (full bool, err error) {
	prefix := append(blockKey(l.at, block), reachedPage)
	var last []byte
	for _, r := range l.ways.Routes {
		if !l.it.SeekLT(pageKey(l.at, block, r+1)) {
			if err := l.it.Err(); err != nil {
				return false, err
			}
			continue
		}
		key := l.it.Key()
		if !bytes.HasPrefix(key, prefix) || bytes.Equal(key, last) {
			continue // all routes of the page were looked for
		}
		last, full = append(last[:0], key...), true
		if l.found, err = readPage(l.found, key, l.it.Value(), record.Offset(block*blockOffsets), l.wanted); err != nil {
			return full, l.damaged(err)
		}
	}
	l.sort()
	return full, nil
}

func (l *lookup) sort() {
	if len(l.ways.Routes) > 1 {
		slices.SortFunc(l.found, func(a, b posting) int { return cmp.Compare(a.base, b.base) })
	}
}

func be64(p []byte) uint64 { return uint64(be32(p))<<32 | uint64(be32(p[4:])) }
