package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// ErrUnsure is matched by an error of Replace after which either content may stand under the name, now and after a loss of power.
// Before that, every error leaves the old content.
var ErrUnsure = errors.New("vfs: the old content or the new one may stand under the name")

// replaceSuffix is of the file beside. One that is found was left by a crash, and may be removed.
const replaceSuffix = ".tmp"

// Replace puts content under name in one step, durable when it returns nil: whoever opens name, also after a crash at any moment, finds all
// of the old content or all of the new. The name need not exist before. Calls for one name must not overlap. content is not kept.
func Replace(fsys FS, name string, content []byte) error {
	beside := name + replaceSuffix
	if err := fsys.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace: %w", err)
	}
	if err := writeWhole(fsys, beside, content); err != nil {
		_ = fsys.Remove(beside) // the next Replace, or open of the folder, tries again
		return fmt.Errorf("replace: %w", err)
	}
	// A rename that failed may have happened. Removing the file beside is right in either case.
	if err := fsys.Rename(beside, name); err != nil {
		_ = fsys.Remove(beside)
		return fmt.Errorf("replace: %w: %w", ErrUnsure, err)
	}
	if err := fsys.SyncDir(path.Dir(name)); err != nil {
		return fmt.Errorf("replace: %w: %w", ErrUnsure, err)
	}
	return nil
}

func writeWhole(fsys FS, name string, content []byte) error {
	f, err := fsys.Open(name, Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
