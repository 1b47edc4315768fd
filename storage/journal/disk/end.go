package disk

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"leat/storage/journal"
	"leat/storage/vfs"
)

// ending is how the last file ends.
//
//	... | frame | frame | last   | torn ....
//	              synced^          ^
//	                   syncedEnd   validEnd
//
// One frame is in flight at a time, so a frame's header proves that all before it was synced. Of the last frame itself nothing is
// known, unless it is a seal, which holds nothing.
type ending struct {
	synced    link // the last frame known synced
	syncedEnd int64
	last      *frameHeader // a whole frame after that; nil when there is none
	validEnd  int64        // where the whole frames end
	torn      error        // what is wrong with the bytes at validEnd when somebody began to write there
	epoch     journal.Epoch
	clean     bool // ends in a seal, with nothing torn behind it and room for one more frame
	entries   []indexEntry
}

// findEnd walks the last file's headers to the first place where no frame of this journal stands, and judges what is there.
func (j *Journal) findEnd(f *file) (ending, error) {
	e := ending{synced: f.header.prev, syncedEnd: headerPageBytes, validEnd: headerPageBytes, epoch: f.header.epoch}
	c := cursor{table: &j.table}
	c.reset(f, headerPageBytes, f.room(), true)
	stride := f.size.Load() / (indexEntriesMax - 1)
	var stop error
	for {
		h, raw, err := c.header()
		if err != nil {
			var ce *journal.CorruptError
			if !errors.As(err, &ce) {
				return e, err
			}
			stop = err
			break
		}
		if n := len(e.entries); n < indexEntriesMax && (n == 0 || c.off-e.entries[n-1].off >= stride) {
			e.entries = append(e.entries, indexEntry{seq: h.prev.seq, off: c.off})
		}
		e.synced, e.syncedEnd = c.last, c.off
		e.last = &h
		e.epoch = max(e.epoch, h.epoch)
		c.last = h.next(raw)
		c.off += h.size()
		e.validEnd = c.off
	}
	from := e.validEnd // what is searched for a frame that proves damage
	if e.last != nil {
		if err := j.wholePayload(f, e.last, e.syncedEnd); err != nil {
			// Its header proves that those before it are synced; it itself counts as never written.
			stop, e.torn = err, err
			e.last, e.validEnd = nil, e.syncedEnd
			var ce *journal.CorruptError
			if !errors.As(err, &ce) {
				return e, err
			}
		}
	}
	if e.last == nil && e.validEnd == headerPageBytes && e.torn == nil {
		// The header of a file is written together with its first frame and never counts without it.
		e.torn = stop
	}
	if err := j.refuseDamage(f, from, stop); err != nil {
		return e, err
	}
	if e.torn == nil {
		began, err := j.beganAt(f, e.validEnd)
		if err != nil {
			return e, err
		}
		if began {
			e.torn = stop
		}
	}
	if e.last != nil && e.last.kind == kindSeal {
		e.clean = e.torn == nil && e.syncedEnd+2*frameHeaderBytes <= f.room()
		e.last = nil
	}
	return e, nil
}

// wholePayload verifies every byte of a frame.
func (j *Journal) wholePayload(f *file, h *frameHeader, off int64) error {
	data, facts, pad, err := payloadSums(func(p []byte, at int64) error { return j.table.read(f, p, at) }, h, off)
	if err != nil {
		return err
	}
	return corrupt(f.name, off, h.judge(data, facts, pad))
}

// judge compares what was found with what the header promises.
func (h *frameHeader) judge(dataCRC, factsCRC uint32, pad []byte) error {
	switch {
	case dataCRC != h.dataCRC:
		return bad(frameHeaderBytes, fmt.Sprintf("data CRC %08x over %d bytes", h.dataCRC, h.dataBytes), fmt.Sprintf("%08x", dataCRC))
	case factsCRC != h.factsCRC:
		return bad(h.factsAt(), fmt.Sprintf("facts CRC %08x over %d bytes", h.factsCRC, h.factsBytes), fmt.Sprintf("%08x", factsCRC))
	case len(bytes.Trim(pad, "\x00")) != 0:
		return bad(h.factsAt()+h.factsBytes, "zeros behind the facts", fmt.Sprintf("%x", pad))
	}
	return nil
}

const sumPieceBytes = 256 << 10

// payloadSums reads what stands behind a header, in pieces.
func payloadSums(read func(p []byte, at int64) error, h *frameHeader, off int64) (dataCRC, factsCRC uint32, pad []byte, err error) {
	buf := make([]byte, min(sumPieceBytes, h.size()))
	sum := func(at, n int64) (crc uint32, err error) {
		for n > 0 {
			p := buf[:min(n, int64(len(buf)))]
			if err := read(p, at); err != nil {
				return 0, err
			}
			crc = crc32.Update(crc, castagnoli, p)
			at, n = at+int64(len(p)), n-int64(len(p))
		}
		return crc, nil
	}
	if dataCRC, err = sum(off+frameHeaderBytes, h.dataBytes); err != nil {
		return
	}
	if factsCRC, err = sum(off+h.factsAt(), h.factsBytes); err != nil {
		return
	}
	pad = make([]byte, h.size()-h.factsAt()-h.factsBytes)
	if len(pad) > 0 {
		err = read(pad, off+h.factsAt()+h.factsBytes)
	}
	return
}

// refuseDamage looks for a frame behind bad bytes. Such a frame was written after what stood there had been synced, so the bad bytes
// are damage and not a torn tail.
func (j *Journal) refuseDamage(f *file, from int64, stop error) error {
	h, err := j.fs.Open(path.Join(j.dir, f.name), vfs.Read)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	at, hdr, err := findFrame(h, from, f.room(), func(h frameHeader, off int64) bool {
		return h.belongs(&f.header, off) == nil
	})
	if err != nil || at < 0 {
		return err
	}
	var ce *journal.CorruptError
	if errors.As(stop, &ce) {
		ce.Expected += fmt.Sprintf(" (a whole frame with seq %d follows at byte %d)", hdr.seq, at)
	}
	return stop
}

// beganAt says whether the bytes at off look as if a frame had been begun there. Every write fills its last page with zeros, so within a page
// anything else is a write; at the start of a page there may be bytes from an earlier use of the file.
func (j *Journal) beganAt(f *file, off int64) (bool, error) {
	n := min(max(alignUp(off, pageBytes)-off, frameHeaderBytes), f.room()-off)
	b := make([]byte, n)
	if err := j.table.read(f, b, off); err != nil {
		return false, err
	}
	if off%pageBytes == 0 {
		h, err := decodeFrameHeader(b)
		return err == nil && h.belongs(&f.header, off) == nil, nil
	}
	return len(bytes.Trim(b[:alignUp(off, pageBytes)-off], "\x00")) != 0, nil
}

const searchPieceBytes = 1 << 20

// findFrame returns the first place in [from, to) where a frame header stands that match takes, or -1.
func findFrame(r io.ReaderAt, from, to int64, match func(frameHeader, int64) bool) (int64, frameHeader, error) {
	var magic [4]byte
	le.PutUint32(magic[:], frameMagic)
	buf := make([]byte, min(searchPieceBytes, max(to-from, 0)))
	for from = alignUp(from, frameAlign); to-from >= frameHeaderBytes; {
		p := buf[:min(int64(len(buf)), to-from)]
		n, err := r.ReadAt(p, from)
		if n < len(p) && !errors.Is(err, io.EOF) {
			return -1, frameHeader{}, fmt.Errorf("journal: search: %w", err)
		}
		p = p[:n]
		for i := 0; i+frameHeaderBytes <= len(p); i++ {
			k := bytes.Index(p[i:], magic[:])
			if k < 0 || i+k+frameHeaderBytes > len(p) {
				break
			}
			i += k
			if (from+int64(i))%frameAlign != 0 {
				continue
			}
			if h, err := decodeFrameHeader(p[i:]); err == nil && match(h, from+int64(i)) {
				return from + int64(i), h, nil
			}
		}
		if n < frameHeaderBytes || from+int64(n) >= to {
			break
		}
		from += int64(n) - frameHeaderBytes // a header may stand across two pieces
		from = alignUp(from, frameAlign)
	}
	return -1, frameHeader{}, nil
}

// keepTorn puts the bytes behind the last whole frame aside, counts and logs them.
func (j *Journal) keepTorn(f *file, e ending) error {
	n := min(f.room()-e.validEnd, frameHeaderBytes+alignUp(j.cfg.FrameBytesMax, pageBytes))
	b := make([]byte, n)
	if err := j.table.read(f, b, e.validEnd); err != nil {
		return err
	}
	if h, err := decodeFrameHeader(b); err == nil && h.belongs(&f.header, e.validEnd) == nil {
		b = b[:min(n, h.size())]
	}
	b = bytes.TrimRight(b, "\x00")
	name := fmt.Sprintf("torn-%016x-%08x-%d.bin", f.header.number, e.validEnd, j.epoch)
	if err := putAside(j.fs, path.Join(j.dir, name), b); err != nil {
		return err
	}
	j.counts.tornTails.Add(1)
	j.log.Warn("journal: a frame that was never acknowledged is incomplete and was cut",
		"dir", j.dir, "file", f.name, "offset", e.validEnd, "kept_in", name, "bytes", len(b), "reason", e.torn)
	return nil
}

// putAside writes a small file of its own. One of the same name, from an open that did not end, is written anew.
func putAside(fsys vfs.FS, name string, b []byte) error {
	_ = fsys.Remove(name)
	h, err := fsys.Open(name, vfs.Create)
	if err != nil {
		return err
	}
	if _, err = h.WriteAt(b, 0); err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close(), fsys.SyncDir(path.Dir(name)))
}
