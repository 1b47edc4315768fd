package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"leat/storage/state"
)

// format is what files are written as. Raising it makes older programs refuse the directory: see docs/formats/state.md.
const format = pebble.FormatTableFormatV6

// bloomBits per key: one absent key in a hundred costs a block read.
const bloomBits = 10

// markKey is the row that every batch writes: seq u64, place u64, big-endian.
var markKey = []byte{state.PrefixStore, 'm', 'a', 'r', 'k'}

const markBytes = 16

// Store keeps state in a directory. It implements state.Store.
type Store struct {
	db      *pebble.DB
	fs      vfs.FS
	cache   *pebble.Cache
	log     *slog.Logger
	closed  atomic.Bool
	applied atomic.Pointer[state.Mark]
	durable durable
	trouble trouble
}

// Open opens the store in dir, which it makes when it is not there. Only one open store may use dir.
func Open(dir string, cfg Config) (*Store, error) { return OpenFS(vfs.Default, dir, cfg) }

// OpenFS is Open on another disk than the machine's.
func OpenFS(fs vfs.FS, dir string, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.Default()
	}
	s := &Store{fs: fs, log: log.With("room", "state", "dir", dir)}
	s.trouble.init()
	s.cache = pebble.NewCache(cfg.CacheBytes)
	db, err := s.openDB(dir, s.options(fs, cfg))
	if err != nil {
		if s.trouble.broken() == nil {
			s.cache.Unref()
		}
		return nil, fmt.Errorf("state: open %s: %w", dir, err)
	}
	s.db = db
	mark, err := s.readMark()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state: open %s: %w", dir, err), s.Close())
	}
	s.applied.Store(&mark)
	s.durable.mark = mark // without a log, all that an open finds was on the disk
	return s, nil
}

// openDB is pebble.Open, and ends also when Pebble meets something it cannot go on after: then the goroutine stays behind with what it holds.
func (s *Store) openDB(dir string, o *pebble.Options) (*pebble.DB, error) {
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1)
	go func() {
		db, err := pebble.Open(dir, o)
		done <- opened{db, err}
	}()
	for {
		changed := s.trouble.watch()
		if err := s.trouble.broken(); err != nil {
			return nil, err
		}
		select {
		case r := <-done:
			return r.db, r.err
		case <-changed:
		}
	}
}

func (s *Store) options(fs vfs.FS, cfg Config) *pebble.Options {
	o := &pebble.Options{
		FS:                          &slowFS{FS: fs, trouble: &s.trouble},
		Cache:                       s.cache,
		DisableWAL:                  true,
		FormatMajorVersion:          format,
		MemTableSize:                uint64(cfg.MemTableBytes),
		MemTableStopWritesThreshold: cfg.MemTablesMax,
		MaxOpenFiles:                cfg.OpenFilesMax,
		CompactionConcurrencyRange:  func() (int, int) { return 1, cfg.CompactionsMax },
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		BytesPerSync:                512 * kib,
		Logger:                      logger{s},
		EventListener: &pebble.EventListener{
			FlushEnd:        func(i pebble.FlushInfo) { s.durable.flushEnded(); s.trouble.flushEnded(i.Err) },
			BackgroundError: s.backgroundError,
		},
	}
	o.TargetFileSizes[0] = 4 * mib
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		o.Levels[i].IndexBlockSize = 256 * kib // one index block per table: a look-up reads one block less
		if i < len(o.Levels)-1 {
			// What is written here is soon written again; only what comes to rest is worth the time.
			o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		} else {
			o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		}
	}
	return o
}

// getOptions make filters count on the last level as well, where nearly all rows are. Pebble's own Get does not look at them there,
// and so reads a block for almost every absent key: 7 µs instead of 2 among 2.5 million rows. What is present costs the same.
var getOptions = &pebble.IterOptions{UseL6Filters: true}

func (s *Store) Get(key []byte) ([]byte, error) {
	if s.closed.Load() {
		return nil, state.ErrClosed
	}
	it, err := s.db.NewIter(getOptions)
	if err != nil {
		return nil, fmt.Errorf("state: get: %w", err)
	}
	var v []byte
	found := it.SeekPrefixGE(key) // a whole key is its own prefix to Pebble's default comparer: found means equal
	if found {
		v = append(make([]byte, 0, len(it.Value())), it.Value()...)
	}
	if err := it.Close(); err != nil { // has what the seek ran into, too
		return nil, fmt.Errorf("state: get: %w", err)
	}
	if !found {
		return nil, state.ErrNotFound
	}
	return v, nil
}

func (s *Store) Apply(b state.Batch, m state.Mark) error {
	if err := s.usable(); err != nil {
		return err
	}
	mine := b.(*batch)
	if mine.err != nil {
		return fmt.Errorf("state: apply: %w", mine.err)
	}
	var v [markBytes]byte
	binary.BigEndian.PutUint64(v[:], m.Seq)
	binary.BigEndian.PutUint64(v[8:], m.Place)
	if err := mine.b.Set(markKey, v[:], nil); err != nil {
		return fmt.Errorf("state: apply: %w", err)
	}
	if err := mine.b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("state: apply: %w", err)
	}
	s.applied.Store(&m)
	err := mine.b.Close()
	mine.b = nil
	return err
}

func (s *Store) Applied() state.Mark { return *s.applied.Load() }

func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return state.ErrClosed
	}
	defer s.cache.Unref()
	if err := s.trouble.broken(); err != nil {
		// The goroutine that found the damage holds Pebble's locks for ever, so Pebble cannot be closed. What it has open goes
		// with the process.
		return err
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("state: close: %w", err)
	}
	return nil
}

// usable says why the store takes no more changes.
func (s *Store) usable() error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	return s.trouble.broken()
}

// readMark reads the mark among all rows, durable or not.
func (s *Store) readMark() (state.Mark, error) {
	v, err := s.Get(markKey)
	if errors.Is(err, state.ErrNotFound) {
		return state.Mark{}, nil
	}
	if err != nil {
		return state.Mark{}, err
	}
	return decodeMark(v)
}

func decodeMark(v []byte) (state.Mark, error) {
	if len(v) != markBytes {
		return state.Mark{}, fmt.Errorf("state: mark has %d bytes, not %d", len(v), markBytes)
	}
	return state.Mark{Seq: binary.BigEndian.Uint64(v), Place: binary.BigEndian.Uint64(v[8:])}, nil
}
