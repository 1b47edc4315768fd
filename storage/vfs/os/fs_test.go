package osfs_test

import (
	"testing"

	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
	"leat/storage/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return osfs.New(), t.TempDir() })
}
