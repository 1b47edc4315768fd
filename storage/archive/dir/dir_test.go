package dir_test

import (
	"testing"

	"leat/storage/archive"
	"leat/storage/archive/archivetest"
	"leat/storage/archive/dir"
	"leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

func TestSuite(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		archivetest.Run(t, func(t *testing.T) archive.Bucket { return dir.New(memory.New(), "/archive") })
	})
	t.Run("os", func(t *testing.T) {
		archivetest.Run(t, func(t *testing.T) archive.Bucket {
			b := dir.New(osfs.New(), t.TempDir()+"/archive")
			t.Cleanup(func() { _ = b.Close() })
			return b
		})
	})
}
