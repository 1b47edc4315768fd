package keys

import "bytes"

// held is the entry that a merge has not written yet, because the next one may supersede it: all entries of a key are neighbours there.
//
//	in    k:3  k:7  k:9  l:4          superseded(3, by 7) yes, superseded(7, by 9) no
//	out        k:7  k:9  l:4
//
// Only streams that let go of superseded entries take this way; the keys of others are not copied.
type held struct {
	e    Entry
	key  []byte
	some bool
}

// pass takes the next entry, and puts those of which it is known that they stay. left says that the one before does not.
func (h *held) pass(e *Entry, after Superseded, put func(*Entry) error) (left bool, err error) {
	same := false
	if h.some {
		same = h.e.Stream == e.Stream && bytes.Equal(h.key, e.Key)
		left = same && after != nil && after(&h.e, e)
		if !left {
			err = put(&h.e)
		}
		h.some = false
	}
	if err != nil {
		return left, err
	}
	if after == nil {
		return left, put(e)
	}
	if !same {
		h.key = append(h.key[:0], e.Key...)
	}
	h.e, h.some = *e, true
	h.e.Key = h.key
	return left, nil
}

// end puts the last entry.
func (h *held) end(put func(*Entry) error) error {
	if !h.some {
		return nil
	}
	h.some = false
	return put(&h.e)
}
