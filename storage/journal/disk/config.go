package disk

import (
	"fmt"
	"log/slog"
	"time"
)

// Config is what an operator can set. The zero Config is not valid; start from Default.
type Config struct {
	// FileBytes is the size of a journal file.
	FileBytes int64
	// RingBytes is how much is kept zero-filled ahead of the writer, in whole files. 0 fills nothing ahead: every write then touches
	// its blocks for the first time, which syncs two to four times slower. Meant for tests.
	RingBytes int64
	// FrameBytesMax is the largest frame, facts and data together.
	FrameBytesMax int64
	// IdleSeal is how long after the last frame a seal records that it is synced. 0 seals at Close only.
	IdleSeal time.Duration
	// OpenFilesMax is how many of the journal's files are held open for readers at a time.
	OpenFilesMax int
}

// The ends of what Config allows.
const (
	FileBytesMin     = 32 << 10
	FileBytesMax     = 2 << 30
	RingBytesMax     = 1 << 40
	FrameBytesMaxMin = 4 << 10
	FrameBytesMaxMax = 1 << 30
	IdleSealMax      = time.Minute
	OpenFilesMin     = 4
	OpenFilesMost    = 1 << 16
)

// Default is what runs unless told otherwise.
func Default() Config {
	return Config{
		FileBytes:     64 << 20,
		RingBytes:     1 << 30,
		FrameBytesMax: 32 << 20,
		IdleSeal:      50 * time.Millisecond,
		OpenFilesMax:  512,
	}
}

// Validate names the first field that is out of bounds.
func (c Config) Validate() error {
	switch {
	case c.FileBytes < FileBytesMin || c.FileBytes > FileBytesMax || c.FileBytes%pageBytes != 0:
		return fmt.Errorf("journal: file_bytes is %d: must be a multiple of %d from %d to %d", c.FileBytes, pageBytes, FileBytesMin, FileBytesMax)
	case c.RingBytes < 0 || c.RingBytes > RingBytesMax:
		return fmt.Errorf("journal: ring_bytes is %d: must be from 0 to %d", c.RingBytes, int64(RingBytesMax))
	case c.FrameBytesMax < FrameBytesMaxMin || c.FrameBytesMax > FrameBytesMaxMax:
		return fmt.Errorf("journal: frame_bytes_max is %d: must be from %d to %d", c.FrameBytesMax, FrameBytesMaxMin, FrameBytesMaxMax)
	case fileBytesFor(c.FrameBytesMax) > c.FileBytes:
		return fmt.Errorf("journal: frame_bytes_max is %d: a frame of that size needs file_bytes of at least %d", c.FrameBytesMax, fileBytesFor(c.FrameBytesMax))
	case c.IdleSeal < 0 || c.IdleSeal > IdleSealMax:
		return fmt.Errorf("journal: idle_seal is %s: must be from 0 to %s", c.IdleSeal, IdleSealMax)
	case c.OpenFilesMax < OpenFilesMin || c.OpenFilesMax > OpenFilesMost:
		return fmt.Errorf("journal: open_files_max is %d: must be from %d to %d", c.OpenFilesMax, OpenFilesMin, OpenFilesMost)
	}
	return nil
}

// fileBytesFor is the size of a file that can hold a frame of that size beside what every file holds, and the frame that marks
// an open.
func fileBytesFor(payload int64) int64 {
	return alignUp(headerPageBytes+4*frameHeaderBytes+alignUp(payload, frameAlign), pageBytes) + footerBytes
}

// Options are what the program gives, beside what the operator sets. The zero Options are valid.
type Options struct {
	// Log is told about torn tails, recovered frames and failures in the background. nil is slog.Default().
	Log *slog.Logger
	// OnSync is called after every sync of a frame with how long write and sync took together with the bytes written. It must not block.
	OnSync func(SyncStats)
	// Random gives the numbers that keep one use of a file apart from the next and name a new journal's lineage. nil is crypto/rand. A
	// simulation gives its own.
	Random func() uint64
	// Foreground starts no goroutine: nothing is filled ahead, and no index written before Close, but when Background is called. For a
	// simulation, which must repeat itself exactly.
	Foreground bool
	// EpochMin is the least epoch this open may take (0: one more than the last).
	EpochMin uint64
}

// SyncStats is what one frame cost.
type SyncStats struct {
	Write time.Duration
	Sync  time.Duration
	Bytes int64
}
