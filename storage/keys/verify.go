package keys

import (
	"bytes"
	"errors"
	"fmt"
)

// Verify reads every byte of every file and checks sums, order, indexes, filters and counts. It goes on behind a damaged block and returns
// all it found; an error is that it could not read. progress, when not nil, is called now and then with bytes done and in all.
func (x *Index) Verify(progress func(done, all int64)) ([]Damage, error) {
	v := x.acquire()
	defer v.release()
	var all, done int64
	for _, f := range v.files {
		all += f.meta.bytes
	}
	var found []Damage
	for _, f := range v.files {
		c := verifier{f: f, report: func(d *CorruptError) { found = append(found, *d) }}
		for s := range f.sections {
			if x.stopped.Load() {
				return found, ErrClosed
			}
			if err := c.section(s); err != nil {
				return found, err
			}
			if progress != nil {
				progress(done+f.sections[s].off, all)
			}
		}
		if err := c.end(); err != nil {
			return found, err
		}
		if done += f.meta.bytes; progress != nil {
			progress(done, all)
		}
	}
	return found, nil
}

// verifier walks one file.
type verifier struct {
	f       *file
	report  func(*CorruptError)
	at      int64 // where the next block is to be
	entries uint64
	holes   bool // something could not be read, so counts say nothing
	last    Entry
	lastKey []byte
	hashes  []uint64
	ahead   readahead
}

// found reports damage and lets other errors pass.
func (v *verifier) found(err error) error {
	var c *CorruptError
	if errors.As(err, &c) {
		v.report(c)
		v.holes = true
		return nil
	}
	return err
}

func (v *verifier) section(s int) error {
	f, m := v.f, &v.f.sections[s]
	if s == 0 {
		v.at = headerBytes
	}
	index, err := f.index(s, &v.ahead)
	if err != nil {
		v.at = m.filterOff() + int64(m.lines)*lineBytes
		return v.found(err)
	}
	v.hashes = v.hashes[:0]
	for i := range index {
		if err := v.block(&index[i], i == 0); err != nil {
			return err
		}
	}
	if v.at != m.off {
		v.report(&CorruptError{File: f.name, Offset: m.off, Expected: fmt.Sprintf("the index block at %d, behind its blocks", v.at), Found: "another place"})
	}
	return v.filter(m)
}

func (v *verifier) block(m *mark, first bool) error {
	if m.off != v.at {
		v.report(&CorruptError{File: v.f.name, Offset: m.off, Expected: fmt.Sprintf("a block at %d", v.at), Found: "one elsewhere in the index"})
	}
	v.at = m.off + int64(m.bytes)
	body, err := v.f.data(m, &v.ahead)
	if err != nil {
		return v.found(err)
	}
	var r blockReader
	err = r.open(body)
	begun := false
	for err == nil {
		ok, _ := r.next()
		if !ok {
			err = r.err
			break
		}
		e := &r.e
		if v.entries > 0 && !v.holes {
			v.last.Key = v.lastKey
			if compareEntries(&v.last, e) >= 0 {
				err = bad("entries in order", "one that is not greater than the one before")
			}
		}
		if !begun && (place{key: r.key, pos: e.Position()}).compare(m.from) < 0 {
			err = bad("a block that begins where its index says", "an earlier entry")
		}
		if !begun && first || v.entries == 0 || v.last.Stream != e.Stream || !bytes.Equal(v.lastKey, e.Key) {
			v.hashes = append(v.hashes, hashKey(e.Stream, e.Key))
		}
		begun = true
		v.last = *e
		v.lastKey = append(v.lastKey[:0], e.Key...)
		v.entries++
	}
	if err != nil {
		return v.found(corrupt(v.f.name, m.off, err))
	}
	return nil
}

// filter checks every line, and that it has every key that was read.
func (v *verifier) filter(m *mark) error {
	off := m.filterOff()
	lines := make([]byte, int64(m.lines)*lineBytes)
	if err := v.f.readAt(lines, off); err != nil {
		return v.found(err)
	}
	good := true
	for i := range int64(m.lines) {
		at := off + i*lineBytes
		if err := checkLine(lines[i*lineBytes:(i+1)*lineBytes], v.f.meta.number, at); err != nil {
			good = false
			if err := v.found(corrupt(v.f.name, at, err)); err != nil {
				return err
			}
		}
	}
	for _, h := range v.hashes {
		if good && !lineHas(lines[int64(lineOf(h, m.lines))*lineBytes:], h) {
			v.report(&CorruptError{File: v.f.name, Offset: off, Expected: "a filter that has every key of its section", Found: "one that lacks a key"})
			break
		}
	}
	v.at = off + int64(len(lines))
	return nil
}

// end checks the frame of the file again, from the disk.
func (v *verifier) end() error {
	f := v.f
	again, err := f.files.load(f.meta, v.lineage())
	if err != nil {
		return v.found(err)
	}
	again.release()
	if !v.holes && v.entries != f.meta.entries {
		v.report(&CorruptError{File: f.name, Expected: fmt.Sprintf("%d entries", f.meta.entries), Found: fmt.Sprint(v.entries)})
	}
	return nil
}

// lineage is that of the file's own header: Open has compared it with the manifest's.
func (v *verifier) lineage() [16]byte {
	var raw [headerBytes]byte
	if err := v.f.readAt(raw[:], 0); err != nil {
		return [16]byte{}
	}
	h, err := decodeHeader(raw[:])
	if err != nil {
		return [16]byte{}
	}
	return h.lineage
}
