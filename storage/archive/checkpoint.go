package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"leat/storage/journal"
)

// The ends of what a checkpoint may be.
const (
	ManifestBytesMax = 64 << 20
	FilesMax         = 200_000
	checkpointJobs   = 4 // files that are read and sent at a time
)

// FileRef is a file that goes into a checkpoint.
type FileRef struct {
	Name string // relative path, where a restore puts it
	Size int64
	// Immutable says that under this Name, at this size, there were never other bytes in this lineage and never will be. Such a file is read and
	// sent once and then shared by all checkpoints. (A file number that begins anew when derived data is rebuilt is not immutable.) Any
	// other file is read each time, and sent unless the bucket has its content.
	Immutable bool
	// Mark is of what an immutable file holds, such as a hash that is known already: one of another mark is another file. It may be empty.
	Mark string
	Open func() (io.ReadCloser, error)
}

// Checkpoint is what Put is given: files that together are what the program is at a Seq. After says from where on the program also needs
// frames, which may be before Seq: some of its files hold less than others. So there are two ends:
//
//	frames  … ─────────┬───────────────┬───────────── …
//	                 After            Seq
//	restored from packs │◀────────────────────────▶      every moment from Seq on, none before: the files hold what came until then
//
// All frames up to Seq must be archived before Put is called.
type Checkpoint struct {
	Seq    journal.Seq
	After  journal.Seq // at most Seq
	TimeMS int64
	Meta   json.RawMessage // the program's own, handed back by a restore without white space; nil is none
	Files  []FileRef
}

// CheckpointFile is a file as the manifest has it.
type CheckpointFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Object string `json:"object"`
	Mark   string `json:"mark,omitempty"`
}

// CheckpointInfo is a checkpoint in the bucket.
type CheckpointInfo struct {
	Shard   Shard
	Lineage Lineage
	Seq     journal.Seq
	After   journal.Seq // frames behind it are needed beside the files
	TimeMS  int64
	Meta    json.RawMessage
	Files   []CheckpointFile
}

// Bytes is the size of all its files.
func (c *CheckpointInfo) Bytes() int64 {
	n := int64(0)
	for _, f := range c.Files {
		n += f.Size
	}
	return n
}

// Checkpoints puts the checkpoints of one shard into a bucket and takes old ones away. Of all that use a bucket, only one may have this for a
// shard: pruning takes files away that an unfinished checkpoint of another would need. Its methods may be called by many goroutines; one
// works at a time.
type Checkpoints struct {
	bucket  Bucket
	shard   Shard
	lineage Lineage

	mu    sync.Mutex
	known map[string]CheckpointFile // the files of the newest checkpoint; nil until it was read
}

// NewCheckpoints makes one. It does no I/O.
func NewCheckpoints(b Bucket, s Shard, l Lineage) *Checkpoints {
	return &Checkpoints{bucket: b, shard: s, lineage: l}
}

// Put stores a checkpoint and returns when it can be restored. When there is one at that Seq already, nothing is done. After an error
// nothing is there but files that the next one may use.
func (c *Checkpoints) Put(ctx context.Context, cp Checkpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := checkFiles(cp.Files); err != nil {
		return err
	}
	if cp.After > cp.Seq {
		return fmt.Errorf("archive: a checkpoint at %d needs frames from %d on: that is behind it", cp.Seq, cp.After+1)
	}
	if err := c.learn(ctx); err != nil {
		return err
	}
	info := CheckpointInfo{
		Shard: c.shard, Lineage: c.lineage, Seq: cp.Seq, After: cp.After, TimeMS: cp.TimeMS, Meta: cp.Meta, Files: make([]CheckpointFile, len(cp.Files)),
	}
	err := parallel(ctx, checkpointJobs, len(cp.Files), func(ctx context.Context, i int) error {
		f, err := c.putFile(ctx, cp.Files[i])
		info.Files[i] = f
		return err
	})
	if err != nil {
		return fmt.Errorf("archive: checkpoint at %d: %w", cp.Seq, err)
	}
	raw, err := info.encode()
	if err != nil {
		return err
	}
	err = c.bucket.Put(ctx, checkpointName(c.shard, cp.Seq), bytes.NewReader(raw), int64(len(raw)))
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("archive: checkpoint at %d: manifest: %w", cp.Seq, err)
	}
	if err == nil {
		c.know(&info)
	}
	return nil
}

// checkFiles refuses names that a restore could not put anywhere.
func checkFiles(files []FileRef) error {
	if len(files) > FilesMax {
		return fmt.Errorf("archive: a checkpoint of %d files: at most %d", len(files), FilesMax)
	}
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		if err := checkPath(f.Name); err != nil {
			return err
		}
		if seen[f.Name] || f.Size < 0 {
			return fmt.Errorf("archive: %q is twice in the checkpoint, or of a negative size", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// checkPath refuses what is not a clean path below a folder, on any system.
func checkPath(name string) error {
	if name == "." || !fs.ValidPath(name) || len(name) > NameBytesMax || strings.ContainsAny(name, "\\:\x00") {
		return fmt.Errorf("archive: %.80q is not a relative path of a file", name)
	}
	return nil
}

// learn reads the newest manifest once: its files are in the bucket, because a manifest is written after them and pruned before. Which of
// them are immutable is said by who asks for them again.
func (c *Checkpoints) learn(ctx context.Context) error {
	if c.known != nil {
		return nil
	}
	all, err := listCheckpoints(ctx, c.bucket, c.shard)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		c.known = map[string]CheckpointFile{}
		return nil
	}
	newest := all[len(all)-1]
	info, err := readCheckpoint(ctx, c.bucket, c.shard, newest.seq, newest.size)
	if err != nil {
		return err
	}
	if info.Lineage != c.lineage {
		return fmt.Errorf("%w: the checkpoint at %d is of lineage %s, this is %s", ErrLineage, newest.seq, info.Lineage, c.lineage)
	}
	c.know(info)
	return nil
}

// know notes what the newest checkpoint holds; pruning never takes that away.
func (c *Checkpoints) know(info *CheckpointInfo) {
	c.known = make(map[string]CheckpointFile, len(info.Files))
	for _, f := range info.Files {
		c.known[f.Name] = f
	}
}

// putFile makes sure that the bucket has a file. It is read twice, for its name and to be sent, unless it is known to be there.
func (c *Checkpoints) putFile(ctx context.Context, f FileRef) (CheckpointFile, error) {
	if k, ok := c.known[f.Name]; ok && f.Immutable && k.Size == f.Size && k.Mark == f.Mark {
		return k, nil
	}
	sum, err := hashFile(ctx, f)
	if err != nil {
		return CheckpointFile{}, err
	}
	out := CheckpointFile{Name: f.Name, Size: f.Size, SHA256: sum.String(), Object: fileObject(c.shard, f.Name, sum), Mark: f.Mark}
	if there, err := c.has(ctx, out); there || err != nil {
		return out, err
	}
	r, err := f.Open()
	if err != nil {
		return out, fmt.Errorf("%s: %w", f.Name, err)
	}
	err = c.bucket.Put(ctx, out.Object, newHashReader(r, sum, f), f.Size)
	if errors.Is(err, ErrExists) {
		err = nil // named by its content
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return out, fmt.Errorf("%s: %w", f.Name, err)
	}
	return out, nil
}

// has spares sending what a checkpoint before, or one that was stopped, has sent: a store refuses a name only after it has taken the bytes.
func (c *Checkpoints) has(ctx context.Context, f CheckpointFile) (bool, error) {
	for o, err := range c.bucket.List(ctx, f.Object, "") {
		return err == nil && o.Name == f.Object && o.Size == f.Size, err
	}
	return false, nil
}

func hashFile(ctx context.Context, f FileRef) (Hash, error) {
	r, err := f.Open()
	if err != nil {
		return Hash{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, ctxReader{ctx, r}, make([]byte, readBufferBytes))
	if err := errors.Join(err, r.Close()); err != nil {
		return Hash{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	if n != f.Size {
		return Hash{}, fmt.Errorf("%s has %d bytes, not %d: it changed while it was read", f.Name, n, f.Size)
	}
	return Hash(sum.Sum(nil)), nil
}

// manifest is the JSON of a checkpoint.
type manifest struct {
	Format  int              `json:"format"`
	Shard   Shard            `json:"shard"`
	Lineage string           `json:"lineage"`
	Seq     uint64           `json:"seq"`
	After   *uint64          `json:"after,omitempty"` // left out where it is seq
	TimeMS  int64            `json:"time_ms"`
	Meta    json.RawMessage  `json:"meta,omitempty"`
	Files   []CheckpointFile `json:"files"`
}

// manifestMagic begins the first line; the SHA-256 of all that follows that line is the rest of it.
const (
	manifestMagic  = "leat-checkpoint 1 "
	manifestFormat = 1
)

func (c *CheckpointInfo) encode() ([]byte, error) {
	var after *uint64
	if c.After != c.Seq {
		after = new(uint64(c.After))
	}
	body, err := json.MarshalIndent(manifest{
		Format: manifestFormat, Shard: c.Shard, Lineage: c.Lineage.String(), Seq: uint64(c.Seq), After: after, TimeMS: c.TimeMS, Meta: c.Meta,
		Files: c.Files,
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("archive: checkpoint at %d: %w", c.Seq, err)
	}
	sum := sha256.Sum256(body)
	out := append([]byte(manifestMagic+hex.EncodeToString(sum[:])+"\n"), body...)
	if len(out) > ManifestBytesMax {
		return nil, fmt.Errorf("archive: checkpoint at %d: a manifest of %d bytes, at most %d", c.Seq, len(out), ManifestBytesMax)
	}
	return out, nil
}

// decodeManifest reads a manifest and refuses one whose files could not be restored.
func decodeManifest(raw []byte) (*CheckpointInfo, error) {
	line, body, ok := bytes.Cut(raw, []byte("\n"))
	sum := sha256.Sum256(body)
	want := manifestMagic + hex.EncodeToString(sum[:])
	if !ok || string(line) != want {
		if bytes.HasPrefix(line, []byte("leat-checkpoint ")) && !bytes.HasPrefix(line, []byte(manifestMagic)) {
			return nil, fmt.Errorf("%w (%.40q)", ErrNewer, line)
		}
		return nil, bad(0, want, fmt.Sprintf("%.90q", line))
	}
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, bad(int64(len(line)+1), "a manifest in JSON", err)
	}
	lineage, err := hex.DecodeString(m.Lineage)
	if m.Format != manifestFormat || err != nil || len(lineage) != len(Lineage{}) || len(m.Files) > FilesMax {
		return nil, bad(int64(len(line)+1), "format 1, a lineage, files", fmt.Sprintf("format %d, lineage %.40q, %d files", m.Format, m.Lineage, len(m.Files)))
	}
	for _, f := range m.Files {
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != len(Hash{}) || f.Size < 0 || checkPath(f.Name) != nil || CheckName(f.Object) != nil {
			return nil, bad(int64(len(line)+1), "files with name, size, hash and object", fmt.Sprintf("%+v", f))
		}
	}
	if len(m.Meta) > 0 {
		var meta bytes.Buffer // it was indented with the rest
		if err := json.Compact(&meta, m.Meta); err != nil {
			return nil, bad(int64(len(line)+1), "meta in JSON", err)
		}
		m.Meta = meta.Bytes()
	}
	after := m.Seq
	if m.After != nil {
		after = *m.After
	}
	if after > m.Seq {
		return nil, bad(int64(len(line)+1), "frames that are needed from before the checkpoint on", fmt.Sprintf("from %d on, at %d", after+1, m.Seq))
	}
	return &CheckpointInfo{Shard: m.Shard, Lineage: Lineage(lineage), Seq: journal.Seq(m.Seq), After: journal.Seq(after), TimeMS: m.TimeMS, Meta: m.Meta, Files: m.Files}, nil
}

// ListCheckpoints returns the checkpoints of a shard, oldest first. Each manifest is read.
func ListCheckpoints(ctx context.Context, b Bucket, s Shard) ([]*CheckpointInfo, error) {
	all, err := listCheckpoints(ctx, b, s)
	if err != nil {
		return nil, err
	}
	out := make([]*CheckpointInfo, len(all))
	err = parallel(ctx, checkpointJobs, len(all), func(ctx context.Context, i int) (err error) {
		out[i], err = readCheckpoint(ctx, b, s, all[i].seq, all[i].size)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type listed struct {
	seq  journal.Seq
	size int64
}

func listCheckpoints(ctx context.Context, b Bucket, s Shard) ([]listed, error) {
	var all []listed
	for o, err := range b.List(ctx, s.checkpoints(), "") {
		if err != nil {
			return nil, fmt.Errorf("archive: list checkpoints: %w", err)
		}
		if seq, ok := parseCheckpointName(s, o.Name); ok {
			all = append(all, listed{seq, o.Size})
		}
	}
	return all, nil
}

func readCheckpoint(ctx context.Context, b Bucket, s Shard, seq journal.Seq, size int64) (*CheckpointInfo, error) {
	name := checkpointName(s, seq)
	if size > ManifestBytesMax {
		return nil, &DamageError{Name: name, Offset: ManifestBytesMax, Expected: "the end", Found: fmt.Sprintf("%d bytes", size)}
	}
	raw, err := readAll(ctx, b, name, 0, size)
	if err != nil {
		return nil, fmt.Errorf("archive: get %s: %w", name, err)
	}
	c, err := decodeManifest(raw)
	if err == nil && (c.Seq != seq || c.Shard != s) {
		err = bad(0, fmt.Sprintf("the checkpoint of shard %d at %d", s, seq), fmt.Sprintf("that of shard %d at %d", c.Shard, c.Seq))
	}
	return c, damaged(name, 0, err)
}
