package node

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"leat/broker"
	"leat/internal/clock"
	"leat/storage/vfs"
)

// DirectoryFormat is the newest version of the layout of a data directory: what new ones have. FormatOldest is the oldest that opens. What an
// older one leaves out is in docs/formats/README.md; it stays at its version until somebody finalizes it.
const (
	DirectoryFormat = 5
	FormatOldest    = 1
)

const (
	identityFile = "leat.json"
	lockFile     = "LOCK"
)

// Identity is what a data directory is: written once, when it is made.
type Identity struct {
	Format  int    `json:"format"`
	Lineage string `json:"lineage"` // 16 random bytes, base64url: positions of another lineage are refused
	Node    int32  `json:"node"`
	Shards  int    `json:"shards"`

	Made time.Time     `json:"made,omitzero"` // of the lineage
	Past []PastLineage `json:"past,omitempty"`

	FinalizedFrom int `json:"finalized_from,omitempty"` // the format it had, until the system stream has been told
}

// PastLineage is a history that this one was restored from, and up to where, by shard.
type PastLineage struct {
	Lineage string    `json:"lineage"`
	Until   []uint64  `json:"until"`
	Made    time.Time `json:"made,omitzero"`
}

// Hex is the lineage as archives write it; "" when it cannot be read.
func (p *PastLineage) Hex() string {
	l, err := (&Identity{Lineage: p.Lineage}).lineage()
	if err != nil {
		return ""
	}
	return l.String()
}

// Short is the part of the lineage that positions and frames carry.
func (i *Identity) Short() uint32 { return shortLineage(i.Lineage) }

// past is what positions of earlier lineages are held against.
func (i *Identity) past() (out []broker.PastLineage) {
	for _, p := range i.Past {
		out = append(out, broker.PastLineage{Short: shortLineage(p.Lineage), Until: p.Until, Made: p.Made})
	}
	return out
}

func shortLineage(text string) uint32 {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return 0
	}
	return binary.BigEndian.Uint32(raw)
}

func newIdentity(shards int) Identity {
	var raw [16]byte
	rand.Read(raw[:])
	return Identity{Format: DirectoryFormat, Lineage: base64.RawURLEncoding.EncodeToString(raw[:]), Node: 1, Shards: shards, Made: clock.Now().UTC()}
}

const identityBytesMax = 4 << 20 // of a node of many shards that has come through many restores

// openDirectory locks a data directory and reads what it is, or makes it.
func openDirectory(fsys vfs.FS, dir string, shards int) (Identity, io.Closer, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return Identity{}, nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := fsys.Lock(path.Join(dir, lockFile))
	if err != nil {
		return Identity{}, nil, fmt.Errorf("data directory %s is in use by another process: %w", dir, err)
	}
	id, err := readIdentity(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		id = newIdentity(shards)
		err = writeIdentity(fsys, dir, id)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("data directory %s: %w", dir, err)
	case id.Format < FormatOldest || id.Format > DirectoryFormat:
		err = fmt.Errorf("data directory %s has format %d; this version of Leat opens formats %d to %d", dir, id.Format, FormatOldest, DirectoryFormat)
	case id.Shards < 1 || id.Shards > ShardsMax:
		err = fmt.Errorf("data directory %s: %s says %d shards", dir, identityFile, id.Shards)
	case len(id.Past) > broker.LineagesMax:
		err = fmt.Errorf("data directory %s: %s names %d restores, at most %d can be", dir, identityFile, len(id.Past), broker.LineagesMax)
	case id.Short() == 0:
		err = fmt.Errorf("data directory %s: %s has no usable lineage", dir, identityFile)
	}
	if err != nil {
		return Identity{}, nil, errors.Join(err, lock.Close())
	}
	return id, lock, nil
}

func readIdentity(fsys vfs.FS, dir string) (Identity, error) {
	f, err := fsys.Open(path.Join(dir, identityFile), vfs.Read)
	if err != nil {
		return Identity{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	n, err := f.Size()
	if err != nil {
		return Identity{}, err
	}
	p := make([]byte, min(n, identityBytesMax))
	if _, err := f.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		return Identity{}, err
	}
	var id Identity
	if err := json.Unmarshal(p, &id); err != nil {
		return Identity{}, fmt.Errorf("%s cannot be read: %w", identityFile, err)
	}
	return id, nil
}

// writeIdentity writes a new file beside, syncs it, and only then gives it its name.
func writeIdentity(fsys vfs.FS, dir string, id Identity) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != lockFile && n != identityFile+".new" {
			return fmt.Errorf("it holds %s but no %s; Leat does not write into a directory that is not its own", n, identityFile)
		}
	}
	p, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	tmp := path.Join(dir, identityFile+".new")
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Open(tmp, vfs.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(p, '\n'), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path.Join(dir, identityFile)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
