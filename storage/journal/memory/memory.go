package memory

import (
	"fmt"
	"sort"
	"sync"

	"leat/storage/journal"
)

// Config bounds a Store.
type Config struct {
	FrameBytesMax int64 // facts and data of one frame
	BytesMax      int64 // of all frames together; beyond it Append answers ErrNoSpace until a Trim
}

// Default is what dev mode runs with.
func Default() Config { return Config{FrameBytesMax: 32 << 20, BytesMax: 4 << 30} }

// Validate names the field that is out of bounds.
func (c Config) Validate() error {
	if c.FrameBytesMax < 1 || c.FrameBytesMax > 1<<30 {
		return fmt.Errorf("journal: frame_bytes_max is %d: must be from 1 to %d", c.FrameBytesMax, 1<<30)
	}
	if c.BytesMax < c.FrameBytesMax {
		return fmt.Errorf("journal: bytes_max is %d: must hold a frame of %d", c.BytesMax, c.FrameBytesMax)
	}
	return nil
}

// Outcome is what a hook lets become of an append.
type Outcome int

const (
	Durable Outcome = iota // as if nothing had been asked
	NoSpace                // refused with ErrNoSpace, nothing written
	Lost                   // ErrUnknown, and the frame is not there after the next Open
	Kept                   // ErrUnknown, and the frame is there after the next Open
)

// Hook is called by Append, on its goroutine, before the frame is stored. It may block: the frame is then in flight.
type Hook func(journal.Frame) Outcome

// Store holds the frames. It is safe for many goroutines.
type Store struct {
	cfg Config

	mu     sync.RWMutex
	hook   Hook
	epoch  journal.Epoch
	frames []stored // in order
	first  int      // frames[0] is the first-th of all; Place is that number plus one
	bytes  int64
	last   journal.Seq
}

type stored struct {
	seq   journal.Seq
	epoch journal.Epoch
	facts []byte
	data  []byte
}

// NewStore returns an empty store.
func NewStore(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Store{cfg: cfg}, nil
}

// New returns a journal on an empty store with the defaults, for those who need no more.
func New() *Journal {
	s := &Store{cfg: Default()}
	return s.Open()
}

// SetHook sets what later appends are shown to; nil takes it away.
func (s *Store) SetHook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// Open takes the store over: a higher epoch, and ErrFenced for every append of the owner before.
func (s *Store) Open() *Journal {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return &Journal{store: s, epoch: s.epoch}
}

// Journal is one owner's hold of a Store.
type Journal struct {
	store *Store
	epoch journal.Epoch

	amu sync.Mutex // one Append at a time

	// guarded by store.mu
	closed bool
	failed bool
}

var _ journal.Journal = (*Journal)(nil)

func (j *Journal) usableLocked() error {
	switch {
	case j.closed:
		return journal.ErrClosed
	case j.failed:
		return fmt.Errorf("%w after a failed append, must be opened again", journal.ErrClosed)
	case j.epoch != j.store.epoch:
		return fmt.Errorf("%w: epoch %d, now %d", journal.ErrFenced, j.epoch, j.store.epoch)
	}
	return nil
}

// Append stores a copy of the frame.
func (j *Journal) Append(f journal.Frame) (journal.Place, error) {
	j.amu.Lock()
	defer j.amu.Unlock()
	s := j.store
	size := int64(len(f.Facts))
	for _, d := range f.Data {
		size += int64(len(d))
	}
	s.mu.RLock()
	err, hook, last, used := j.usableLocked(), s.hook, s.last, s.bytes
	s.mu.RUnlock()
	switch {
	case err != nil:
		return 0, err
	case f.Seq <= last:
		return 0, fmt.Errorf("%w: %d after %d", journal.ErrOrder, f.Seq, last)
	case size > s.cfg.FrameBytesMax:
		return 0, fmt.Errorf("%w: %d bytes, limit %d", journal.ErrTooLarge, size, s.cfg.FrameBytesMax)
	case used+size > s.cfg.BytesMax:
		return 0, fmt.Errorf("%w: %d of %d bytes used", journal.ErrNoSpace, used, s.cfg.BytesMax)
	}
	outcome := Durable
	if hook != nil {
		outcome = hook(f)
	}
	if outcome == NoSpace {
		return 0, journal.ErrNoSpace
	}
	st := stored{seq: f.Seq, epoch: j.epoch, facts: append([]byte(nil), f.Facts...)}
	st.data = make([]byte, 0, size-int64(len(f.Facts)))
	for _, d := range f.Data {
		st.data = append(st.data, d...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := j.usableLocked(); err != nil {
		return 0, err // fenced or closed while in flight: not stored
	}
	if outcome == Lost {
		j.failed = true
		return 0, journal.ErrUnknown
	}
	s.frames = append(s.frames, st)
	s.bytes += size
	s.last = f.Seq
	if outcome == Kept {
		j.failed = true
		return 0, journal.ErrUnknown
	}
	return s.placeLocked(len(s.frames) - 1), nil
}

func (s *Store) placeLocked(i int) journal.Place { return journal.Place(s.first + i + 1) }

// Scan hands out the frames after a Seq. Frames are found by Seq, so the place is not needed.
func (j *Journal) Scan(_ journal.Place, after journal.Seq, fn func(journal.Entry) error) error {
	s := j.store
	s.mu.RLock()
	frames, first, closed := s.frames[:len(s.frames):len(s.frames)], s.first, j.closed
	s.mu.RUnlock()
	if closed {
		return journal.ErrClosed
	}
	from := sort.Search(len(frames), func(i int) bool { return frames[i].seq > after })
	for i := from; i < len(frames); i++ {
		st := &frames[i]
		e := journal.Entry{Seq: st.seq, Epoch: st.epoch, Place: journal.Place(first + i + 1), Facts: st.facts, DataBytes: int64(len(st.data))}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// ReadAt copies from the data of the frame.
func (j *Journal) ReadAt(place journal.Place, off int64, p []byte) error {
	s := j.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := int(place) - s.first - 1
	switch {
	case j.closed:
		return journal.ErrClosed
	case place > 0 && i < 0:
		return journal.ErrTrimmed
	case place == 0 || i >= len(s.frames) || off < 0 || off+int64(len(p)) > int64(len(s.frames[i].data)):
		return fmt.Errorf("journal: no %d bytes at %d of place %d", len(p), off, place)
	}
	copy(p, s.frames[i].data[off:])
	return nil
}

// Tail returns the last frame.
func (j *Journal) Tail() journal.Tail {
	s := j.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := journal.Tail{Seq: s.last, Epoch: j.epoch}
	if s.last > 0 {
		t.Place = s.placeLocked(len(s.frames) - 1)
	}
	return t
}

// Trim drops the frames below a Seq.
func (j *Journal) Trim(before journal.Seq) error {
	s := j.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := j.usableLocked(); err != nil {
		return err
	}
	n := sort.Search(len(s.frames), func(i int) bool { return s.frames[i].seq >= before })
	for _, st := range s.frames[:n] {
		s.bytes -= int64(len(st.facts) + len(st.data))
	}
	s.frames = append([]stored(nil), s.frames[n:]...) // a Scan under way keeps the old ones
	s.first += n
	return nil
}

// Limits returns what a frame may hold.
func (j *Journal) Limits() journal.Limits {
	return journal.Limits{FrameBytesMax: j.store.cfg.FrameBytesMax}
}

// Held is what facts and data take.
func (j *Journal) Held() int64 {
	j.store.mu.RLock()
	defer j.store.mu.RUnlock()
	return j.store.bytes
}

// Close lets go of the store, which keeps its frames.
func (j *Journal) Close() error {
	s := j.store
	s.mu.Lock()
	defer s.mu.Unlock()
	j.closed = true
	return nil
}
