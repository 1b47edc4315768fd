package segment

import (
	"fmt"
	"log/slog"
)

// Config is what an operator can set. The zero Config is not valid; start from Default.
type Config struct {
	// SharedBytesMax is where a file shared by many partitions ends.
	SharedBytesMax int64
	// OwnBytesMin is from which size on a piece of one partition gets a file of its own.
	OwnBytesMin int64
	// BlockBytes is how much of a partition one value of the chain covers, and how much is written at a time.
	BlockBytes int
	// CacheBytes is how much of the files' indexes is kept decoded in memory.
	CacheBytes int64
	// OpenFilesMax is how many files are held open at a time, beside those that are being read at the moment.
	OpenFilesMax int
	// MergeFiles is how many shared files make a set that is worth merging.
	MergeFiles int
}

// The ends of what Config allows.
const (
	SharedBytesMaxMin = 64 << 10
	SharedBytesMaxMax = 1 << 30
	OwnBytesMinMin    = 4 << 10
	OwnBytesMinMax    = 1 << 30
	BlockBytesMin     = 1 << 10
	BlockBytesMax     = 1 << 20
	CacheBytesMin     = 64 << 10
	CacheBytesMax     = 1 << 34
	OpenFilesMaxMin   = 1
	OpenFilesMaxMax   = 1 << 16
	MergeFilesMin     = 2
	MergeFilesMax     = 64
)

// Default is what runs unless told otherwise.
func Default() Config {
	return Config{
		SharedBytesMax: 512 << 20,
		OwnBytesMin:    16 << 20,
		BlockBytes:     128 << 10,
		CacheBytes:     32 << 20,
		OpenFilesMax:   256,
		MergeFiles:     8,
	}
}

// Validate names the first field that is out of bounds.
func (c Config) Validate() error {
	for _, f := range []struct {
		name            string
		is, least, most int64
	}{
		{"shared_bytes_max", c.SharedBytesMax, SharedBytesMaxMin, SharedBytesMaxMax},
		{"own_bytes_min", c.OwnBytesMin, OwnBytesMinMin, OwnBytesMinMax},
		{"block_bytes", int64(c.BlockBytes), BlockBytesMin, BlockBytesMax},
		{"cache_bytes", c.CacheBytes, CacheBytesMin, CacheBytesMax},
		{"open_files_max", int64(c.OpenFilesMax), OpenFilesMaxMin, OpenFilesMaxMax},
		{"merge_files", int64(c.MergeFiles), MergeFilesMin, MergeFilesMax},
	} {
		if f.is < f.least || f.is > f.most {
			return fmt.Errorf("segment: %s is %d: must be from %d to %d", f.name, f.is, f.least, f.most)
		}
	}
	return nil
}

// Options are what the program gives, beside what the operator sets. The zero Options are valid.
type Options struct {
	// Log is told about damaged and missing files, and about files that could not be removed. nil is slog.Default().
	Log *slog.Logger
	// Lineage names the history that files made from now on belong to. Zero: the one that the folder has.
	Lineage [16]byte
}
