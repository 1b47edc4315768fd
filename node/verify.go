package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strings"

	"leat/broker"
	"leat/broker/catalog"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/journal/disk"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state/pebble"
	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

// VerifyOptions say what is verified.
type VerifyOptions struct {
	Data     string
	Stream   string // NAME or NAMESPACE/NAME: only what concerns it; "" is everything
	Config   *Config
	Log      *slog.Logger
	Progress func(what string, done, total int64) // in bytes, now and then; nil is fine
}

// Damage is one place of a data directory where bytes are not what was written. Stream and what follows are of segment files.
type Damage struct {
	Shard     int    `json:"shard"`
	File      string `json:"file"` // in the folder of the shard
	Offset    int64  `json:"offset"`
	Block     int64  `json:"block"` // -1: none
	Stream    string `json:"stream,omitempty"`
	Partition uint32 `json:"partition"`
	Base      uint64 `json:"base"` // the offsets that cannot be read
	Next      uint64 `json:"next"`
	Expected  string `json:"expected"`
	Found     string `json:"found"`
}

// Verify reads every byte of journals, segment files and key files of a stopped node, and tells what is not as it was written.
func Verify(ctx context.Context, opt VerifyOptions) (found []Damage, err error) {
	d, err := openStopped(&opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.lock.Close()) }()
	seen := opt.Stream == ""
	for i := range d.id.Shards {
		s, err := d.shard(i)
		if err != nil {
			return found, fmt.Errorf("shard %d: %w", i, err)
		}
		only, ok := s.named(opt.Stream)
		if opt.Stream == "" || ok {
			seen = true
			list, err := s.verify(ctx, only)
			found = append(found, list...)
			if err != nil {
				return found, errors.Join(fmt.Errorf("shard %d: %w", i, err), s.Close())
			}
		}
		if err := s.Close(); err != nil {
			return found, fmt.Errorf("shard %d: %w", i, err)
		}
	}
	if !seen {
		return nil, fmt.Errorf("%w: %s", ErrNoStream, opt.Stream)
	}
	return found, nil
}

// ErrNoStream is matched when a stream is asked for that is not there.
var ErrNoStream = errors.New("the data directory has no such stream")

// stopped is a data directory whose node does not run.
type stopped struct {
	opt  *VerifyOptions
	fsys vfs.FS
	id   Identity
	lock io.Closer
}

// openStopped locks a data directory that is there.
func openStopped(opt *VerifyOptions) (*stopped, error) {
	if opt.Config == nil {
		opt.Config = DefaultConfig(nil)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler) // what is wrong is told as damage
	}
	d := &stopped{opt: opt, fsys: osfs.New()}
	if _, err := readIdentity(d.fsys, opt.Data); err != nil {
		return nil, fmt.Errorf("%s is no data directory: %w", opt.Data, err)
	}
	var err error
	d.id, d.lock, err = openDirectory(d.fsys, opt.Data, 1)
	return d, err
}

// stoppedShard is a shard of it. segments and rows are nil where there are none yet.
type stoppedShard struct {
	d        *stopped
	n        int
	dir      string
	segments *segment.Store
	rows     *pebble.Store
	streams  *stream.State
	names    map[record.StreamID]string
	types    map[record.StreamID]string // of events that have none, where the stream says
	begins   uint64                     // first frame of the journal; 0: it has none, or was not read
	damage   []Damage                   // that was met in opening
}

func (d *stopped) has(dir, file string) bool {
	names, err := d.fsys.List(dir)
	if err != nil {
		return false
	}
	for _, n := range names {
		if file == "" || strings.HasPrefix(n, file) {
			return true
		}
	}
	return false
}

func (d *stopped) shard(i int) (s *stoppedShard, err error) {
	s = &stoppedShard{d: d, n: i, dir: shardFolder(d.opt.Data, i), names: map[record.StreamID]string{}, types: map[record.StreamID]string{}}
	if dir := path.Join(s.dir, stateFolder); d.has(dir, "MANIFEST") {
		cfg := d.opt.Config.State
		cfg.Log = d.opt.Log
		if err := s.openRows(dir, cfg); err != nil {
			s.add(Damage{File: stateFolder, Block: -1, Expected: "rows that can be read", Found: err.Error()})
		}
	}
	if dir := path.Join(s.dir, segmentsFolder); d.has(dir, "") {
		if s.segments, err = segment.Open(d.fsys, dir, d.opt.Config.Segments, segment.Options{Log: d.opt.Log}); err != nil {
			var c *segment.CorruptError
			if !errors.As(err, &c) {
				return nil, errors.Join(err, s.Close())
			}
			s.addSegment(c)
		}
	}
	return s, nil
}

func (s *stoppedShard) openRows(dir string, cfg pebble.Config) (err error) {
	if s.rows, err = pebble.Open(dir, cfg); err != nil {
		s.rows = nil
		return err
	}
	if s.streams, err = stream.Load(s.rows); err != nil {
		return err
	}
	names, err := catalog.Load(s.rows)
	if err != nil {
		return err
	}
	for _, e := range names.Entries {
		if e.Name.Kind == catalog.Stream {
			if s.types[record.StreamID(e.ID)], err = broker.DefaultTypeIn(e.Document); err != nil {
				return fmt.Errorf("the settings of stream %s: %w", e.Name.Name, err)
			}
		}
		switch {
		case e.Name.Kind == catalog.Stream && e.Name.Namespace == broker.DefaultNamespace:
			s.names[record.StreamID(e.ID)] = e.Name.Name
		case e.Name.Kind == catalog.Stream:
			s.names[record.StreamID(e.ID)] = e.Name.Namespace + "/" + e.Name.Name
		}
	}
	return nil
}

// Close lets go of what was opened.
func (s *stoppedShard) Close() (err error) {
	if s.segments != nil {
		err = s.segments.Close()
	}
	if s.rows != nil {
		err = errors.Join(err, s.rows.Close())
	}
	return err
}

func (s *stoppedShard) add(d Damage) {
	d.Shard = s.n
	s.damage = append(s.damage, d)
}

func (s *stoppedShard) addSegment(c *segment.CorruptError) {
	d := Damage{
		File: path.Join(segmentsFolder, c.File), Offset: c.Offset, Block: c.Block, Partition: c.Partition, Base: c.Base, Next: c.Next,
		Expected: c.Expected, Found: c.Found,
	}
	if c.Next > 0 {
		d.Stream = s.name(c.Stream)
	}
	s.add(d)
}

// name is what a stream is called; one that was deleted has only a number.
func (s *stoppedShard) name(id uint32) string {
	if n, ok := s.names[record.StreamID(id)]; ok {
		return n
	}
	return fmt.Sprintf("deleted stream %d", id)
}

// named finds a stream; false when there is none of that name here.
func (s *stoppedShard) named(name string) (record.StreamID, bool) {
	name = strings.TrimPrefix(name, broker.DefaultNamespace+"/")
	for id, n := range s.names {
		if n == name {
			return id, true
		}
	}
	return 0, false
}

// verify tells of all damage, or of what concerns one stream: what its segment files lost, and journal and key files, in which all streams are mixed.
func (s *stoppedShard) verify(ctx context.Context, only record.StreamID) ([]Damage, error) {
	if err := s.verifyJournal(ctx); err != nil {
		return s.damage, err
	}
	if s.segments != nil {
		list, err := s.segments.Verify(func(done, total int64) error {
			s.told(segmentsFolder, done, total)
			return ctx.Err()
		})
		for i := range list {
			if only == 0 || list[i].Next == 0 || list[i].Stream == uint32(only) {
				s.addSegment(&list[i])
			}
		}
		if err != nil {
			return s.damage, err
		}
	}
	return s.damage, errors.Join(s.verifyKeys(), ctx.Err())
}

func (s *stoppedShard) told(what string, done, total int64) {
	if p := s.d.opt.Progress; p != nil {
		p(path.Join(s.dir, what), done, total)
	}
}

func (s *stoppedShard) verifyJournal(ctx context.Context) error {
	dir := path.Join(s.dir, journalFolder)
	r, err := disk.Check(s.d.fsys, dir, func(done, total int64) { s.told(journalFolder, done, total) })
	if errors.Is(err, fs.ErrNotExist) {
		s.add(Damage{File: journalFolder, Block: -1, Expected: "the journal", Found: "no such folder"})
		return nil
	}
	if err != nil {
		return err
	}
	s.begins = uint64(r.First)
	if s.rows == nil && s.trimmed(0) {
		s.add(Damage{File: stateFolder, Block: -1, Expected: "rows of frames that the journal, from frame " + fmt.Sprint(r.First) + " on, does not have", Found: "none"})
	}
	for _, f := range r.Findings {
		if f.Severity == disk.Damage {
			s.add(Damage{File: path.Join(journalFolder, f.File), Offset: f.Offset, Block: -1, Expected: f.Expected, Found: f.Found})
		}
	}
	return ctx.Err()
}

// trimmed says that the journal has let go of frames behind seq.
func (s *stoppedShard) trimmed(seq uint64) bool {
	return s.segments != nil && s.segments.Through() > seq && s.begins > seq+1
}

func (s *stoppedShard) verifyKeys() error {
	dir := path.Join(s.dir, keysFolder)
	if !s.d.has(dir, "") {
		s.reach(0)
		return nil
	}
	x, err := keys.Open(s.d.fsys, dir, s.d.opt.Config.Keys, keys.Options{Log: s.d.opt.Log, Foreground: true})
	var c *keys.CorruptError
	switch {
	case errors.As(err, &c):
		s.addKeys(c)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		s.add(Damage{File: path.Join(keysFolder, keysManifest), Block: -1, Expected: "the files that it names", Found: err.Error()})
		return nil
	case err != nil:
		return err
	}
	s.reach(x.Durable())
	list, err := x.Verify(func(done, total int64) { s.told(keysFolder, done, total) })
	for i := range list {
		s.addKeys(&list[i])
	}
	return errors.Join(err, x.Close())
}

// reach tells when key files end before the journal begins.
func (s *stoppedShard) reach(durable uint64) {
	if s.trimmed(durable) {
		s.add(Damage{File: path.Join(keysFolder, keysManifest), Block: -1, Expected: fmt.Sprintf("keys of frames up to %d, where the journal begins", s.begins-1),
			Found: fmt.Sprintf("up to %d", durable)})
	}
}

func (s *stoppedShard) addKeys(c *keys.CorruptError) {
	s.add(Damage{File: path.Join(keysFolder, c.File), Offset: c.Offset, Block: -1, Expected: c.Expected, Found: c.Found})
}
