package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"leat/broker"
	"leat/storage/journal/disk"
	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

// Upgrade is what finalizing a data directory would do, and what stands in its way.
type Upgrade struct {
	Format    int      `json:"format"`        // of the directory
	Newest    int      `json:"format_newest"` // that this program writes
	Changes   []string `json:"changes"`       // none: there is nothing to do
	Obstacles []string `json:"obstacles"`     // none: it can be done
}

// errObstacle is matched by the refusal to finalize.
var errObstacle = errors.New("the data directory cannot be finalized")

// CheckUpgrade says what Finalize would do. It reads every byte of the journals and changes nothing. progress may be nil.
func CheckUpgrade(fsys vfs.FS, dir string, progress func(done, total int64)) (Upgrade, error) {
	u := Upgrade{Newest: DirectoryFormat, Changes: []string{}, Obstacles: []string{}}
	id, err := readIdentity(fsys, dir)
	if err != nil {
		return u, fmt.Errorf("%s is no data directory: %w", dir, err)
	}
	lock, err := fsys.Lock(path.Join(dir, lockFile))
	if err != nil {
		u.Format = id.Format
		u.Obstacles = append(u.Obstacles, "a node runs on the directory: stop it first")
		return u, nil //nolint:nilerr // it is an answer: what stands in the way
	}
	err = u.look(fsys, dir, &id, progress)
	return u, errors.Join(err, lock.Close())
}

// look is CheckUpgrade under the lock.
func (u *Upgrade) look(fsys vfs.FS, dir string, id *Identity, progress func(done, total int64)) error {
	u.Format = id.Format
	switch {
	case id.Format > DirectoryFormat:
		u.Obstacles = append(u.Obstacles, fmt.Sprintf("its format is %d; this program knows %d: use the version of Leat that wrote it", id.Format, DirectoryFormat))
		return nil
	case id.Format < FormatOldest || id.Shards < 1 || id.Shards > ShardsMax || id.Short() == 0:
		u.Obstacles = append(u.Obstacles, identityFile+" is not as Leat writes it")
		return nil
	}
	if id.Format < DirectoryFormat {
		u.Changes = append(u.Changes,
			fmt.Sprintf("%s says format %d: older programs refuse to open the directory from then on, and there is no way back", identityFile, DirectoryFormat))
	}
	if id.Format < formatTrimmed {
		u.Changes = append(u.Changes,
			"at the next start events begin to move from the journal to segment files, and the journal gives its space back",
			"retention that streams have, or get by who made them, begins to remove events; keys: latest begins to be compacted",
			"truncating, protecting, immutable streams and undeleting work")
	}
	if id.Format < formatSubscribed {
		u.Changes = append(u.Changes, "subscriptions can be made")
	}
	if id.Format < formatTransactions {
		u.Changes = append(u.Changes, "producers can make transactions")
	}
	if id.Format < formatTags {
		u.Changes = append(u.Changes, "streams can index types and tags, and events be appended unless there is another")
	}
	for i := range id.Shards {
		if err := u.lookShard(fsys, dir, i, id.Format, progress); err != nil {
			return err
		}
	}
	return nil
}

func (u *Upgrade) lookShard(fsys vfs.FS, dir string, i, format int, progress func(done, total int64)) error {
	old := path.Join(shardFolder(dir, i), stateFolderOld)
	files, bytes, err := folderSize(fsys, old)
	if err != nil {
		return err
	}
	if files > 0 {
		u.Changes = append(u.Changes, fmt.Sprintf("%s, which only older programs use, is removed: %d files, %d KiB", old, files, bytes>>10))
	}
	if format == DirectoryFormat {
		return nil // nothing depends on the journal
	}
	journal := path.Join(shardFolder(dir, i), journalFolder)
	r, err := disk.Check(fsys, journal, progress)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		u.Obstacles = append(u.Obstacles, journal+" is not there: restore it")
	case err != nil:
		return fmt.Errorf("%s: %w", journal, err)
	case r.Damaged():
		u.Obstacles = append(u.Obstacles, fmt.Sprintf("%s is damaged: leat journal check %s", journal, dir))
	}
	return nil
}

// folderSize counts the files of a folder, which need not be there.
func folderSize(fsys vfs.FS, dir string) (files int, bytes int64, err error) {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	for _, n := range names {
		size, e := fileSize(fsys, path.Join(dir, n))
		err = errors.Join(err, e)
		bytes += size
	}
	return len(names), bytes, err
}

// Finalize gives a data directory the newest format. The node is stopped.
//
//	1  leat.json.tmp written and synced      a crash leaves the old format
//	2  renamed to leat.json, folder synced   from here on it is the new one
//	3  shard-N/state removed, file by file   a crash leaves a rest, which the next open, or Finalize, removes
//
// Nothing else differs between a directory of an older format that this program has opened and one of the newest: what is in the new one's folders is
// derived, and what is not there is derived at the next open.
func Finalize(fsys vfs.FS, dir string, progress func(done, total int64)) (Upgrade, error) {
	u := Upgrade{Newest: DirectoryFormat, Changes: []string{}, Obstacles: []string{}}
	id, err := readIdentity(fsys, dir)
	if err != nil {
		return u, fmt.Errorf("%s is no data directory: %w", dir, err)
	}
	lock, err := fsys.Lock(path.Join(dir, lockFile))
	if err != nil {
		return u, fmt.Errorf("%w: a node runs on it, stop it first: %w", errObstacle, err)
	}
	return u, errors.Join(u.finalize(fsys, dir, &id, progress), lock.Close())
}

func (u *Upgrade) finalize(fsys vfs.FS, dir string, id *Identity, progress func(done, total int64)) error {
	if err := u.look(fsys, dir, id, progress); err != nil {
		return err
	}
	if len(u.Obstacles) > 0 {
		return fmt.Errorf("%w: %s", errObstacle, u.Obstacles[0])
	}
	if id.Format < DirectoryFormat {
		id.FinalizedFrom, id.Format = id.Format, DirectoryFormat
		if err := replaceIdentity(fsys, dir, *id); err != nil {
			return fmt.Errorf("write the new format: %w", err)
		}
	}
	return removeOldState(fsys, dir, id.Shards)
}

// tellFinalized tells the system stream, once, that the directory was finalized while no node ran on it.
func (n *Node) tellFinalized() error {
	from := n.Identity.FinalizedFrom
	if from == 0 || n.opt.Data == "" {
		return nil
	}
	n.Broker.System(broker.SystemEvent{Type: broker.TypeFormatFinalized, Subject: n.subject(), Data: map[string]any{"from": from, "format": n.Identity.Format}})
	id := n.Identity
	id.FinalizedFrom = 0
	if err := replaceIdentity(osfs.New(), n.opt.Data, id); err != nil {
		return fmt.Errorf("note that finalizing was told of: %w", err)
	}
	n.Identity = id
	return nil
}

// replaceIdentity puts another identity in the place of the one that is there.
func replaceIdentity(fsys vfs.FS, dir string, id Identity) error {
	p, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return vfs.Replace(fsys, path.Join(dir, identityFile), append(p, '\n'))
}

// removeOldState removes the state folders of format 1 from a directory that has a newer one.
func removeOldState(fsys vfs.FS, dir string, shards int) error {
	for i := range shards {
		if err := removeFolder(fsys, path.Join(shardFolder(dir, i), stateFolderOld)); err != nil {
			return fmt.Errorf("remove the state folder of format 1: %w", err)
		}
	}
	return nil
}

// removeFolder removes a folder and the files in it; none of that name is success. A crash leaves a part of it.
func removeFolder(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := fsys.Remove(path.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := fsys.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.SyncDir(path.Dir(dir))
}
