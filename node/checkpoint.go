package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"leat/broker"
	"leat/internal/clock"
	"leat/storage/archive"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

// checkpointMeta is what a checkpoint says of itself beside its files.
type checkpointMeta struct {
	Format  int    `json:"format"` // of the data directory
	Version string `json:"version,omitempty"`
}

// checkpoint makes a checkpoint of every shard, one after the other, and returns when they are in the archive.
func (s *shipping) checkpoint(ctx context.Context) ([]broker.ArchiveCheckpoint, error) {
	s.making.Lock()
	defer s.making.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkpointTime)
	defer cancel()
	var out []broker.ArchiveCheckpoint
	for i, sh := range s.shards {
		c, err := s.checkpointOf(ctx, i)
		sh.mu.Lock()
		if sh.err = err; err == nil {
			sh.seq, sh.last = c.Seq, clock.Now()
		}
		sh.mu.Unlock()
		if err != nil {
			return out, fmt.Errorf("shard %d: %w", i, err)
		}
		s.n.log.Info("checkpoint", "shard", i, "seq", c.Seq, "files", c.Files, "bytes", c.Bytes)
		out = append(out, c)
	}
	return out, nil
}

// checkpointOf makes one. Steps: a snapshot holds segment files and key files, and a copy of hard links the rows; all frames up to its Seq are archived;
// the files are sent; the manifest makes it a checkpoint.
func (s *shipping) checkpointOf(ctx context.Context, i int) (broker.ArchiveCheckpoint, error) {
	sh := s.shards[i]
	if st := sh.shipper.State(); st.Stopped != nil || st.Failing {
		return broker.ArchiveCheckpoint{}, fmt.Errorf("the archive fails: %w", errors.Join(st.Stopped, st.LastError)) // and would hold files for nothing
	}
	fsys := osfs.New()
	snap, err := s.n.Broker.Snapshot(i, func() (state.Mark, error) {
		if err := removeFolder(fsys, sh.copyFolder()); err != nil {
			return state.Mark{}, err
		}
		return sh.rows.Checkpoint(sh.copyFolder())
	})
	if err != nil {
		return broker.ArchiveCheckpoint{}, errors.Join(err, removeFolder(fsys, sh.copyFolder()))
	}
	defer snap.Close()
	defer func() {
		if err := removeFolder(fsys, sh.copyFolder()); err != nil {
			s.n.log.Warn("what a checkpoint has left could not be removed; the next one does", "folder", sh.copyFolder(), "error", err)
		}
	}()
	if snap.Seq == 0 {
		return broker.ArchiveCheckpoint{Shard: i}, nil // nothing has ever happened
	}
	flushing, cancel := context.WithTimeout(ctx, checkpointFlushTime) // an archive that has begun to fail must not make the snapshot hold files for ever
	err = sh.shipper.Flush(flushing)
	cancel()
	if err != nil {
		return broker.ArchiveCheckpoint{}, err
	}
	meta, err := json.Marshal(checkpointMeta{s.n.Identity.Format, s.n.opt.Version})
	if err != nil {
		return broker.ArchiveCheckpoint{}, err
	}
	cp := archive.Checkpoint{Seq: journal.Seq(snap.Seq), After: journal.Seq(snap.After), TimeMS: snap.TimeMS, Meta: meta}
	if cp.Files, err = stateFiles(fsys, sh.copyFolder()); err != nil {
		return broker.ArchiveCheckpoint{}, err
	}
	cp.Files = append(append(cp.Files, segmentFiles(snap.Segments)...), keyFiles(snap.Keys)...)
	if err := sh.checkpoints.Put(ctx, cp); err != nil {
		return broker.ArchiveCheckpoint{}, err
	}
	out := broker.ArchiveCheckpoint{Shard: i, Seq: snap.Seq, After: snap.After, Time: time.UnixMilli(snap.TimeMS).UTC(), Files: len(cp.Files)}
	for _, f := range cp.Files {
		out.Bytes += f.Size
	}
	return out, nil
}

// stateFiles are the files of a copy of the rows. Their names begin anew when the folder is built anew, so none is immutable.
func stateFiles(fsys vfs.FS, dir string) ([]archive.FileRef, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var out []archive.FileRef
	for _, name := range names {
		if name == lockFile {
			continue
		}
		from := path.Join(dir, name)
		size, err := fileSize(fsys, from)
		if err != nil {
			return nil, err
		}
		out = append(out, archive.FileRef{
			Name: path.Join(stateFolder, name), Size: size, Open: func() (io.ReadCloser, error) { return vfs.NewReader(fsys, from) },
		})
	}
	return out, nil
}

// segmentFiles never change, and their numbers are never given twice; a root is of one content only. One that the archive does not have yet is verified
// before it is read for it: what has rotted on the disk must not become the copy that was to save it.
func segmentFiles(s *segment.Snapshot) []archive.FileRef {
	out := []archive.FileRef{bytesFile(path.Join(segmentsFolder, segment.ManifestName), s.Manifest)}
	for _, f := range s.Files {
		verified := false // a file is opened by one goroutine, to be hashed and then to be sent
		out = append(out, archive.FileRef{
			Name: path.Join(segmentsFolder, f.Name), Size: f.Bytes, Immutable: true, Mark: f.Root,
			Open: func() (io.ReadCloser, error) {
				if !verified {
					if err := s.Verify(f); err != nil {
						return nil, err
					}
					verified = true
				}
				return s.Open(f)
			},
		})
	}
	return out
}

func keyFiles(s *keys.Snapshot) []archive.FileRef {
	out := []archive.FileRef{bytesFile(path.Join(keysFolder, keys.ManifestName), s.Manifest)}
	for _, f := range s.Files {
		out = append(out, archive.FileRef{
			Name: path.Join(keysFolder, f.Name), Size: f.Bytes, Immutable: true, Mark: f.Mark, Open: func() (io.ReadCloser, error) { return s.Open(f) },
		})
	}
	return out
}

func bytesFile(name string, p []byte) archive.FileRef {
	return archive.FileRef{Name: name, Size: int64(len(p)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }}
}
