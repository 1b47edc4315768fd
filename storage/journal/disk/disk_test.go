package disk_test

import (
	"log/slog"
	"testing"
	"time"

	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/journal/journaltest"
	"leat/storage/vfs"
	"leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

func small() disk.Config {
	cfg := disk.Default()
	cfg.FileBytes, cfg.FrameBytesMax, cfg.RingBytes = 96<<10, 64<<10, 192<<10
	cfg.IdleSeal = 2 * time.Millisecond
	cfg.OpenFilesMax = disk.OpenFilesMin
	return cfg
}

var quiet = disk.Options{Log: slog.New(slog.DiscardHandler)}

func suiteOn(fs vfs.FS, dir string, cfg disk.Config) journaltest.Store {
	return journaltest.Store{Open: func(*testing.T) (journal.Journal, error) {
		j, err := disk.Open(fs, dir, cfg, quiet)
		if err != nil {
			return nil, err // not a nil *Journal in an interface
		}
		return j, nil
	}}
}

func TestSuite_OnMemoryDisk(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Store { return suiteOn(memory.New(), "/j", small()) })
}

func TestSuite_OnMemoryDiskWithoutRing(t *testing.T) {
	cfg := small()
	cfg.RingBytes, cfg.IdleSeal = 0, 0
	journaltest.Run(t, func(t *testing.T) journaltest.Store { return suiteOn(memory.New(), "/j", cfg) })
}

func TestSuite_OnRealDisk(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Store { return suiteOn(osfs.New(), t.TempDir(), small()) })
}
