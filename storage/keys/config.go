package keys

import (
	"fmt"
	"log/slog"
)

// Config is what an operator can set. The zero Config is not valid; start from Default.
type Config struct {
	// ChunkBytes is the memory of the chunk that is being filled: entries and keys. One frame that needs more gets more.
	ChunkBytes int64
	// ChunksMax is how many full chunks may wait to be written. Add waits beyond.
	ChunksMax int
	// CacheBytes is the memory for blocks of files that were read, and for what they have of keys that were asked for.
	CacheBytes int64
	// BlockBytes is how much of a file is read to look at one key.
	BlockBytes int
	// FanIn is how many files of a tier are merged into one of the next.
	FanIn int
	// FileBytesMax is the size from which on a file is not merged with others any more.
	FileBytesMax int64
	// OpenFilesMax is how many files are held open at a time.
	OpenFilesMax int
}

// The ends of what Config allows.
const (
	ChunkBytesMin   = 4 << 10
	ChunkBytesMax   = 1 << 30
	ChunksMaxMin    = 1
	ChunksMaxMost   = 64
	CacheBytesMax   = 1 << 40
	BlockBytesMin   = 256
	BlockBytesMax   = 64 << 10
	FanInMin        = 2
	FanInMax        = 64
	FileBytesMaxMin = 4 << 10
	FileBytesMost   = 1 << 40
	OpenFilesMin    = 4
	OpenFilesMost   = 1 << 16
)

// Default is what runs unless told otherwise.
func Default() Config {
	return Config{
		ChunkBytes:   16 << 20,
		ChunksMax:    3,
		CacheBytes:   32 << 20,
		BlockBytes:   8 << 10,
		FanIn:        8,
		FileBytesMax: 2 << 30,
		OpenFilesMax: 256,
	}
}

// Validate names the first field that is out of bounds.
func (c Config) Validate() error {
	for _, f := range []struct {
		name             string
		value, low, high int64
	}{
		{"chunk_bytes", c.ChunkBytes, ChunkBytesMin, ChunkBytesMax},
		{"chunks_max", int64(c.ChunksMax), ChunksMaxMin, ChunksMaxMost},
		{"cache_bytes", c.CacheBytes, 0, CacheBytesMax},
		{"block_bytes", int64(c.BlockBytes), BlockBytesMin, BlockBytesMax},
		{"fan_in", int64(c.FanIn), FanInMin, FanInMax},
		{"file_bytes_max", c.FileBytesMax, FileBytesMaxMin, FileBytesMost},
		{"open_files_max", int64(c.OpenFilesMax), OpenFilesMin, OpenFilesMost},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("keys: %s is %d: must be from %d to %d", f.name, f.value, f.low, f.high)
		}
	}
	return nil
}

// Keeper says whether the entry of a record is still wanted. It is called from the goroutines that merge, often: it must be quick
// and must not call the Index.
type Keeper func(partition uint32, offset uint64) bool

// Superseded says whether an entry is not wanted because a later one of its key, which is the next one, is there. It is called as Keeper is, and does not keep
// what it is given.
type Superseded func(old, by *Entry) bool

// Options are what the program gives, beside what the operator sets. The zero Options are valid.
type Options struct {
	// Log is told about failures in the background. nil is slog.Default().
	Log *slog.Logger
	// Keep returns what merges ask about the entries of a stream, nil to keep them all. nil keeps everything. Readers are not
	// filtered by it: an entry that Keep refuses is seen until a merge leaves it out.
	Keep func(stream uint32) Keeper
	// Superseded returns what merges ask about entries of a stream that are not the last of their key, nil where they are all wanted. The last
	// one always stays. nil keeps everything. Where entries of a key are in files that are not merged together, they stay for now.
	Superseded func(stream uint32) Superseded
	// Pace is called by merges before each piece of at most PieceBytes is written, and may wait.
	Pace func(bytes int)
	// Lineage names the history. A folder of another one is refused; zeros are any.
	Lineage [16]byte
	// Foreground starts no goroutine: full chunks are written, and files merged, when Maintain or Flush is called (and by Add when
	// ChunksMax of them wait). For a simulation, which must repeat itself exactly.
	Foreground bool
}

// PieceBytes is the most that is written at once.
const PieceBytes = 128 << 10
