package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"leat/storage/vfs"
)

// Store is the segment files of one folder. It is safe for many goroutines.
type Store struct {
	fs      vfs.FS
	dir     string
	cfg     Config
	sends   bool // its files can be sent from where they lie
	log     *slog.Logger
	lineage [16]byte
	lock    io.Closer

	nextID  atomic.Uint64
	counts  counters
	cache   *cache
	handles *handles

	commits sync.Mutex // one Commit at a time; taken before mu

	mu      sync.RWMutex
	closed  bool
	through uint64
	files   map[FileID]*file
	parts   map[partition][]ref // in offset order; a slice is never changed, only replaced
	lost    []*file             // of files: those whose pieces nobody knows
	maybe   map[FileID]bool     // named by a manifest that may or may not be on the disk; see Commit
	oldest  *view
	current atomic.Pointer[view] // changed under mu
}

// file is a live segment file. Only damaged changes.
type file struct {
	File
	foot    footer
	pieces  []piece // in the order of the directory
	aside   bool    // the directory was read from the file beside
	damaged atomic.Bool
	written bool // by this store, since it was opened
	checks  atomic.Pointer[checks]
}

// piece is what stays in memory of a directory entry: 32 bytes.
type piece struct {
	stream, partition uint32
	base, next        uint64
	bytes             uint32
	line              uint32 // its first
}

func (f *file) lost() bool { return f.pieces == nil && f.Pieces > 0 }

// linesOf is how many lines a piece has.
func (f *file) linesOf(i int) uint32 {
	end := f.foot.lines
	if i+1 < len(f.pieces) {
		end = f.pieces[i+1].line
	}
	return end - f.pieces[i].line
}

// ref is a piece of a file.
type ref struct {
	f *file
	i int32
}

func (r ref) piece() *piece { return &r.f.pieces[r.i] }

// Open opens the folder, and makes it when there is none. Files that the manifest does not name are half made, and removed. A missing
// or damaged segment file does not stop it: that is logged, and reading what it held returns a CorruptError. A damaged manifest does.
func Open(fsys vfs.FS, dir string, cfg Config, opt Options) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("segment: open: %w", err)
	}
	lock, err := fsys.Lock(path.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("segment: open: %w", err)
	}
	s := &Store{
		fs: fsys, dir: dir, cfg: cfg, sends: vfs.Sends(fsys), log: opt.Log, lineage: opt.Lineage, lock: lock,
		files: map[FileID]*file{}, parts: map[partition][]ref{}, maybe: map[FileID]bool{}, oldest: &view{},
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.current.Store(s.oldest)
	s.cache = newCache(cfg.CacheBytes, &s.counts)
	s.handles = newHandles(s, cfg.OpenFilesMax)
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("segment: open: %w", err), lock.Close())
	}
	return s, nil
}

func (s *Store) open() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	m, err := s.readManifest(names)
	if err != nil {
		return err
	}
	if s.lineage == [16]byte{} {
		s.lineage = m.lineage
	}
	s.through = m.through
	next := m.next
	for i := range m.files {
		s.files[m.files[i].ID] = &file{File: m.files[i]}
	}
	for _, name := range names {
		id, ok := fileName(name)
		switch {
		case ok && s.files[id] == nil:
			s.log.Info("a half made segment file is removed", "file", name)
			fallthrough
		case name == manifestName+".tmp":
			if err := s.fs.Remove(path.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			next = max(next, id+1)
		}
	}
	s.nextID.Store(uint64(max(next, 1)))
	return s.load()
}

// load reads the directories and arranges the pieces by partition.
func (s *Store) load() error {
	var all []ref
	for _, id := range sortedIDs(s.files) {
		f := s.files[id]
		if err := s.loadFile(f); err != nil {
			return err
		}
		if f.lost() {
			s.lost = append(s.lost, f)
		}
		for i := range f.pieces {
			all = append(all, ref{f, int32(i)})
		}
	}
	parts, err := arrange(nil, all, nil)
	if err != nil {
		return err
	}
	s.parts = parts
	return nil
}

// fileName takes the id from the name of a segment file or of the directory beside it.
func fileName(name string) (FileID, bool) {
	middle, ok := strings.CutPrefix(name, "segment-")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSuffix(middle, ".seg"), ".dir"), 16, 64)
	return FileID(id), err == nil && (name == FileID(id).name() || name == FileID(id).directory())
}

// readManifest returns what the manifest says. A folder without one is new, unless there are segment files in it.
func (s *Store) readManifest(names []string) (*manifest, error) {
	name := path.Join(s.dir, manifestName)
	b, err := s.readWhole(name, ManifestBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		for _, n := range names {
			if _, ok := fileName(n); ok {
				return nil, fmt.Errorf("%s is missing and %s is there: put the manifest back from a checkpoint or the archive", name, n)
			}
		}
		m := &manifest{lineage: s.lineage, next: 1}
		// Written at once, so that from now on a folder without one is known to be incomplete.
		return m, vfs.Replace(s.fs, name, m.encode())
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(b)
	if err != nil {
		err = corrupt(CorruptError{File: manifestName, Block: -1}, err)
		return nil, fmt.Errorf("%w: %s cannot be used: put it back from a checkpoint or the archive, then run `leat stream verify`", err, name)
	}
	return m, nil
}

func (s *Store) readWhole(name string, most int64) ([]byte, error) {
	f, err := s.fs.Open(name, vfs.Read)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size > most {
		err = fmt.Errorf("%s has %d bytes, more than %d", name, size, most)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	if _, err = f.ReadAt(b, 0); errors.Is(err, io.EOF) {
		err = nil // a file that shrank since is found by its sums
	}
	return b, errors.Join(err, f.Close())
}

// Close lets go of the folder. Cursors return ErrClosed from then on, and builds must have ended.
func (s *Store) Close() error {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	return errors.Join(s.handles.close(), s.lock.Close())
}

// Through is the seq up to which all is in segment files, as the last Commit said.
func (s *Store) Through() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.through
}

// FileInfo is what is known of a live file.
type FileInfo struct {
	File
	Own     bool // of one partition alone, for its size
	Lost    bool // neither the file's directory nor the one beside can be read: nobody knows its pieces
	Damaged bool // something in it could not be read
}

// Files returns the live files by id.
func (s *Store) Files() []FileInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]FileInfo, 0, len(s.files))
	for _, id := range sortedIDs(s.files) {
		f := s.files[id]
		out = append(out, FileInfo{File: f.File, Own: s.ownFile(f), Lost: f.lost(), Damaged: f.damaged.Load()})
	}
	return out
}

// Bytes is how large some files are together; those that are not there are nothing.
func (s *Store) Bytes(files []FileID) (sum int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, id := range files {
		if f := s.files[id]; f != nil {
			sum += f.Bytes
		}
	}
	return sum
}

func (s *Store) ownFile(f *file) bool { return f.Pieces == 1 && f.DataBytes > s.cfg.OwnBytesMin }

func sortedIDs(m map[FileID]*file) []FileID { return slices.Sorted(maps.Keys(m)) }

// End is where the last piece of a partition ends: what lies below is read here, not in the journal.
func (s *Store) End(stream, number uint32) (next uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	refs := s.parts[partitionOf(stream, number)]
	if len(refs) == 0 {
		return 0, false
	}
	return refs[len(refs)-1].piece().next, true
}

// PieceInfo is what one file has of a partition.
type PieceInfo struct {
	File                          FileID
	Base, Next                    uint64
	Bytes                         int64 // of runs
	SeqFirst, SeqLast             uint64
	TimeFirstMS, TimeLastMS       int64
	MaxTimeFirstMS, MaxTimeLastMS int64
	Err                           error // seqs and times could not be read
}

// Pieces returns a partition's pieces in offset order. Seqs and times are read from the disk where they are not in the cache.
func (s *Store) Pieces(stream, number uint32) []PieceInfo {
	c := s.Cursor(stream, number) // so that no file goes away meanwhile
	defer c.Close()
	out := make([]PieceInfo, len(c.refs))
	for i, r := range c.refs {
		p := r.piece()
		out[i] = PieceInfo{File: r.f.ID, Base: p.base, Next: p.next, Bytes: int64(p.bytes)}
		e, err := s.entryOf(r)
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i].SeqFirst, out[i].SeqLast, out[i].TimeFirstMS, out[i].TimeLastMS = e.seqFirst, e.seqLast, e.timeFirst, e.timeLast
		out[i].MaxTimeFirstMS, out[i].MaxTimeLastMS = e.maxFirst, e.maxLast
	}
	return out
}

// arrange returns the lists of the partitions that pieces are added to or removed from, as they are after that: was gives their lists before.
func arrange(was map[partition][]ref, add []ref, removed map[*file]bool) (map[partition][]ref, error) {
	lists := map[partition][]ref{}
	touch := func(part partition) {
		if _, ok := lists[part]; ok {
			return
		}
		list := make([]ref, 0, len(was[part])+1)
		for _, r := range was[part] {
			if !removed[r.f] {
				list = append(list, r)
			}
		}
		lists[part] = list
	}
	for f := range removed {
		for i := range f.pieces {
			touch(partitionOf(f.pieces[i].stream, f.pieces[i].partition))
		}
	}
	for _, r := range add {
		part := partitionOf(r.piece().stream, r.piece().partition)
		touch(part)
		lists[part] = append(lists[part], r)
	}
	for part, list := range lists {
		slices.SortFunc(list, func(a, b ref) int { return cmp.Compare(a.piece().base, b.piece().base) })
		for i := 1; i < len(list); i++ {
			if p, q := list[i-1].piece(), list[i].piece(); q.base < p.next {
				return nil, fmt.Errorf("%w: stream %d, partition %d: %s up to %d, %s from %d", ErrOverlap, uint32(part>>32), uint32(part),
					list[i-1].f.ID.name(), p.next, list[i].f.ID.name(), q.base)
			}
		}
	}
	return lists, nil
}
