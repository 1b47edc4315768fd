package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math"
	"path"
	"strings"

	"leat/broker"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/storage/keys"
	"leat/storage/vfs"
)

// keysScratch is a folder beside the key files in which versions are counted. One that is found was left by a crash.
const keysScratch = "keys.tmp"

// keysManifest is the file that names the others of a folder of key files.
const keysManifest = "MANIFEST"

// keys builds the key files of a shard anew.
//
//	1  key files are removed, the manifest last       a crash leaves files that no manifest names, or none: damage, and repair begins again
//	2  a new manifest, durable through nothing        likewise: the journal does not reach back so far, and the node refuses to start
//	3  entries of every stream from segment files
//	4  durable through the last frame in them         from here on it is whole; the node adds the rest from the journal
func (r *repairing) keys(ctx context.Context, unmended []string) error {
	_, err := r.look(ctx, func(ctx context.Context, s *stoppedShard) ([]Damage, error) {
		switch lacking := s.lacking(); {
		case lacking != "":
			return nil, fmt.Errorf("key files cannot be built without %s: restore the directory from its archive", lacking)
		case len(unmended) > 0 && r.opt.Act:
			return nil, fmt.Errorf("key files cannot be built while %s is damaged: name an archive that has it", strings.Join(unmended, ", "))
		}
		if names := needsVersions(s); len(names) > 0 && !r.opt.Renumber {
			return nil, fmt.Errorf("%w: %s: restore the directory from its archive, or count from what is left with --renumber", ErrVersionsLost, strings.Join(names, ", "))
		}
		r.out.Done = append(r.out.Done, path.Join(s.dir, keysFolder)+" is built again from the events in segment files; the node adds the newest from the journal when it starts")
		if !r.opt.Act {
			return nil, nil
		}
		return nil, s.buildKeys(ctx)
	})
	return err
}

// ErrVersionsLost is matched when versions of keys were in damaged key files alone.
var ErrVersionsLost = errors.New("the versions of these streams' keys cannot be counted, because events of them were removed")

// lacking is what key files are built from and is not there.
func (s *stoppedShard) lacking() string {
	switch {
	case s.streams == nil || len(s.names) == 0:
		return "its state"
	case s.segments == nil:
		return "its segment files"
	}
	return ""
}

func (s *stoppedShard) buildKeys(ctx context.Context) (err error) {
	dir := path.Join(s.dir, keysFolder)
	for _, old := range []string{path.Join(s.dir, keysScratch), dir} {
		if err := removeKeys(s.d.fsys, old); err != nil {
			return err
		}
	}
	x, err := s.openKeys(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	for id, st := range s.streams.Streams {
		if err := s.importStream(ctx, x, uint32(id), st); err != nil {
			return fmt.Errorf("stream %s: %w", s.name(uint32(id)), err)
		}
	}
	if through := s.through(); through > 0 {
		x.Through(through)
	}
	return x.Flush()
}

// through is the last frame of which segment files have all events and state the streams. What segment files have of later ones is in the journal still, and is
// added from there: state does not know yet which streams they are of.
func (s *stoppedShard) through() uint64 { return min(s.segments.Through(), s.rows.Applied().Seq) }

func (s *stoppedShard) openKeys(dir string) (*keys.Index, error) {
	return keys.Open(s.d.fsys, dir, s.d.opt.Config.Keys, keys.Options{Log: slog.New(slog.DiscardHandler), Foreground: true})
}

// removeKeys empties a folder of key files, the manifest last.
func removeKeys(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, last := range []bool{false, true} {
		for _, n := range names {
			if (n == keysManifest) == last {
				if err := fsys.Remove(path.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
		if err := fsys.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *stoppedShard) importStream(ctx context.Context, x *keys.Index, id uint32, st *stream.Stream) error {
	if st.TermsSince > 0 {
		if err := importAll(x, uint32(stream.TermsOf(record.StreamID(id))), s.entries(ctx, id, st, broker.TermsOf(s.types[record.StreamID(id)]))); err != nil {
			return err
		}
	}
	switch st.Keys {
	case stream.KeysOff:
		return nil
	case stream.KeysVersioned:
		return s.importVersions(ctx, x, id, st)
	default:
		return importAll(x, id, s.entries(ctx, id, st, nil))
	}
}

func (s *stoppedShard) importVersions(ctx context.Context, x *keys.Index, id uint32, st *stream.Stream) (err error) {
	// A version is a key's how-manieth record: sort them all first, then count.
	dir := path.Join(s.dir, keysScratch)
	scratch, err := s.openKeys(dir)
	if err != nil {
		return err
	}
	err = importAll(scratch, id, s.entries(ctx, id, st, nil))
	if err == nil {
		err = importAll(x, id, counted(scratch, id))
	}
	return errors.Join(err, scratch.Close(), removeFolder(s.d.fsys, dir))
}

func importAll(x *keys.Index, id uint32, all iter.Seq2[*keys.Entry, error]) error {
	next, stop := iter.Pull2(all)
	defer stop()
	return x.Import(id, func() (*keys.Entry, error) {
		e, err, ok := next()
		if !ok || err != nil {
			return nil, err
		}
		e.Stream = id
		return e, nil
	})
}

// counted gives the entries of a stream the numbers that they have among those of their key.
func counted(x *keys.Index, id uint32) iter.Seq2[*keys.Entry, error] {
	return func(yield func(*keys.Entry, error) bool) {
		it := x.Scan(id, nil, nil, math.MaxUint64)
		defer it.Close()
		var key []byte
		n := uint64(0)
		for it.Next() {
			e := *it.Entry()
			if n == 0 || !bytes.Equal(key, e.Key) {
				key, n = append(key[:0], e.Key...), 0
			}
			n++
			e.Version = n
			if !yield(&e, nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// termsOf gives the terms of a record; nil: it is keys that are asked for.
type termsOf func(r *record.Record, each func(term []byte))

// entries yields what the index has of the records in a stream's segment files, of frames up to through.
func (s *stoppedShard) entries(ctx context.Context, id uint32, st *stream.Stream, terms termsOf) iter.Seq2[*keys.Entry, error] {
	return func(yield func(*keys.Entry, error) bool) {
		for p := range st.Partitions {
			if more, err := s.partitionEntries(ctx, id, uint32(p), st.Partitions[p].Start, terms, yield); !more {
				return
			} else if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

var errStopped = errors.New("the reader has enough")

func (s *stoppedShard) partitionEntries(
	ctx context.Context, id, p uint32, start record.Offset, terms termsOf, yield func(*keys.Entry, error) bool,
) (more bool, err error) {
	c := s.segments.Cursor(id, p)
	defer c.Close()
	var buf []byte
	through := s.through()
	for ok := c.Seek(uint64(start)); ok && c.Run().Seq <= through; ok = c.Next() {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		run := *c.Run()
		if buf, err = c.Read(buf[:0]); err != nil {
			return true, err
		}
		e := keys.Entry{Stream: id, Partition: p, Seq: run.Seq, Batch: run.Batch}
		for rest := buf; len(rest) > 0; e.Batch++ {
			h, err := record.ParseBatchHeader(rest)
			if err != nil {
				return true, err
			}
			err = shard.EachEntry(rest[:h.Bytes], h.BaseOffset, start, e, terms, func(e *keys.Entry) error {
				if !yield(e, nil) {
					return errStopped
				}
				return nil
			})
			if errors.Is(err, errStopped) {
				return false, nil
			} else if err != nil {
				return true, err
			}
			rest = rest[h.Bytes:]
		}
	}
	return true, c.Err()
}
