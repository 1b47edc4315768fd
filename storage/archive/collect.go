package archive

import (
	"errors"
	"fmt"

	"leat/internal/clock"
	"leat/storage/journal"
)

// errFull ends a scan when the open pack is to be sent.
var errFull = errors.New("archive: pack is full")

// scratchKeep is what is kept of the buffer for a frame's data; a larger one goes with its frame.
const scratchKeep = 4 << 20

// collect moves frames from the journal to the open pack until there are no more, or it is full.
func (s *Shipper) collect() (full bool, err error) {
	j := s.src.Journal()
	if j == nil {
		return false, nil // between two opens
	}
	if j != s.from {
		if err := s.join(j); err != nil {
			if !lasting(err) {
				s.from = nil
			}
			return false, err
		}
	}
	if s.begins && s.open != nil {
		return true, nil // what came before a gap goes in a pack of its own
	}
	tail := j.Tail().Seq
	err = j.Scan(s.place, s.last, func(e journal.Entry) error {
		if e.Seq > tail {
			return errFull // the next look has it; so that Flush ends under load
		}
		if err := s.take(j, e); err != nil {
			return err
		}
		if s.open.head.content >= s.cfg.PackBytes {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) {
		return s.open != nil && s.open.head.content >= s.cfg.PackBytes, nil
	}
	if err != nil && !lasting(err) {
		s.from = nil // a closed or failed handle: join whatever comes next
	}
	return false, err
}

// join finds out whether a journal goes on where the archive, or what was taken last, ends.
//
// A journal holds its history from some frame on. So when the last frame that we have is there, or the one right after it, or when the
// journal ends with it, nothing lies between. Otherwise the frames in between were trimmed while nobody archived: a gap, and the archive begins
// anew behind it.
func (s *Shipper) join(j journal.Journal) error {
	s.place = 0
	if !s.known {
		s.begins, s.from = true, j
		return nil
	}
	if tail := j.Tail(); tail.Seq < s.last {
		return fmt.Errorf("%w: the archive has seq %d, the journal ends with %d", ErrDiverged, s.last, tail.Seq)
	} else if tail.Seq > s.last {
		if err := s.anchor(j); err != nil {
			return err
		}
	}
	s.from = j
	return nil
}

func (s *Shipper) anchor(j journal.Journal) error {
	err := j.Scan(0, s.last-1, func(e journal.Entry) error {
		switch {
		case e.Seq > s.last+1:
			s.log.Warn("archive: the journal was trimmed beyond the archive: only a checkpoint leads over the gap",
				"shard", s.src.Shard, "archived", s.last, "journal_from", e.Seq)
			s.begins = true
		case e.Seq == s.last:
			data, err := s.data(j, e)
			if err != nil {
				return err
			}
			if sum := payloadCRC(e.Facts, data); sum != s.lastCRC {
				return fmt.Errorf("%w: frame %d has CRC %08x in the archive, %08x in the journal", ErrDiverged, s.last, s.lastCRC, sum)
			}
			s.place = e.Place
		}
		return errFull
	})
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// data reads a frame's data. It is valid until the next call.
func (s *Shipper) data(j journal.Journal, e journal.Entry) ([]byte, error) {
	if cap(s.scratch) > scratchKeep && e.DataBytes <= scratchKeep || int64(cap(s.scratch)) < e.DataBytes {
		s.scratch = make([]byte, e.DataBytes)
	}
	p := s.scratch[:e.DataBytes]
	if len(p) == 0 {
		return nil, nil
	}
	if err := j.ReadAt(e.Place, 0, p); err != nil {
		return nil, fmt.Errorf("archive: read data of frame %d: %w", e.Seq, err)
	}
	return p, nil
}

// take adds one frame to the open pack.
func (s *Shipper) take(j journal.Journal, e journal.Entry) error {
	read := func(off int64, p []byte) error {
		if err := j.ReadAt(e.Place, off, p); err != nil {
			return fmt.Errorf("archive: read data of frame %d: %w", e.Seq, err)
		}
		return nil
	}
	if s.src.Check != nil {
		data, err := s.data(j, e)
		if err != nil {
			return err
		}
		if err := s.src.Check(e.Facts, data); err != nil {
			return &BadFrameError{Seq: e.Seq, Err: err}
		}
		read = func(off int64, p []byte) error { // what was checked, not what a second read gives
			copy(p, data[off:])
			return nil
		}
	}
	into := s.open
	if into == nil {
		into = s.newBuilder(e.Seq)
	}
	f := Frame{Seq: e.Seq, Epoch: e.Epoch, TimeMS: max(s.src.TimeMS(e.Facts), s.lastMS), Facts: e.Facts}
	if err := into.add(&f, e.DataBytes, read); err != nil {
		return err
	}
	if s.open == nil && s.begins {
		s.begins, s.link = false, knownLink(Hash{})
	}
	s.open = into
	s.last, s.lastCRC, s.lastMS, s.place, s.known = e.Seq, into.lastCRC, f.TimeMS, e.Place, true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openAt, s.openSize = into.since, into.head.content
	return nil
}

// newBuilder begins a pack with the frame of a Seq.
func (s *Shipper) newBuilder(first journal.Seq) *builder {
	prev := s.last
	if s.begins {
		prev = first - 1
	}
	b := newBuilder(header{lineage: s.src.Lineage, shard: s.src.Shard, begins: s.begins, prev: prev})
	b.since = clock.Now()
	return b
}
