package journal

import (
	"errors"
	"fmt"
)

// Seq is our own number of a frame. It is given by the shard, grows with every frame, need not be dense, and stands inside the
// frame, so that a shard can move to another engine without renumbering anything.
type Seq uint64

// Epoch counts the owners a journal has had. Every open takes a higher one; a frame of a lower epoch is refused after that.
type Epoch uint64

// Place is the engine's own address of a frame. It is opaque to callers, grows with Seq, and is only good for ReadAt and Scan of
// the engine that gave it. 0 is no frame.
type Place uint64

// Frame is what Append writes, whole or not at all. Facts is the part that replay reads; Data is bulk that facts refer to by
// offset (record batches), kept apart so that a replay need not read it. Neither is changed or kept by the journal after Append
// returns.
type Frame struct {
	Seq   Seq
	Facts []byte
	Data  [][]byte // written one after the other, as one region

	// Sums are the CRC-32C of the pieces of Data, where the caller knows them; 0 is one that it does not know. nil: it knows none. An engine that stores a
	// checksum of that kind believes it, and need not go through the piece.
	Sums []uint32
}

// Entry is one frame as Scan hands it out. Facts is only valid during the call.
type Entry struct {
	Seq       Seq
	Epoch     Epoch
	Place     Place
	Facts     []byte
	DataBytes int64 // length of the data region, read with ReadAt
}

// Tail is where a journal ends.
type Tail struct {
	Seq   Seq   // of the last frame, 0 when there is none
	Place Place // of the last frame
	Epoch Epoch // of this open
}

// Limits are what an engine can take. A shard closes its open frame before it passes them.
type Limits struct {
	FrameBytesMax int64 // facts and data together
}

// Journal is an ordered, durable, checksummed log of frames with one writer.
//
// Append is for one goroutine at a time. ReadAt, Scan and Tail may be called by many goroutines, also during an Append.
type Journal interface {
	// Append writes the frame and returns when it is durable, with its place. The Seq must be greater than every one before.
	// ErrFenced: a higher epoch exists, nothing was written. ErrTooLarge, ErrOrder: refused, nothing was written.
	// ErrNoSpace: refused before anything was written; a later Append may succeed.
	// ErrUnknown: the frame may or may not be there; the journal takes no further Append and must be closed and opened again,
	// and the frame then appears whole or never.
	Append(f Frame) (Place, error)

	// Scan calls fn for every frame with Seq > after, in order, until the tail at the time of the call. from is a hint: the place
	// of a frame at or before the first wanted one (0: the start). It stops at the first error of fn and returns it. What cannot be
	// read back as written is a *CorruptError, never a skipped or altered entry.
	Scan(from Place, after Seq, fn func(Entry) error) error

	// ReadAt fills p from the data region of the frame at place, starting at off. Bytes come as stored: callers check
	// what they carry (record batches have a CRC of their own). ErrTrimmed: the frame is gone.
	ReadAt(place Place, off int64, p []byte) error

	// Tail returns the end of what is durable.
	Tail() Tail

	// Trim lets go of frames with Seq < before. It may keep them longer: it frees whole units only.
	Trim(before Seq) error

	// Limits returns what the engine can take.
	Limits() Limits

	// Held returns about how many bytes the frames take that have not been trimmed.
	Held() int64

	// Close writes what marks a clean end, syncs and lets go of all resources. It does not wait for readers.
	Close() error
}

var (
	ErrFenced   = errors.New("journal: fenced by a newer epoch")
	ErrUnknown  = errors.New("journal: outcome of the append is unknown")
	ErrClosed   = errors.New("journal: closed")
	ErrTrimmed  = errors.New("journal: frame has been trimmed")
	ErrNoSpace  = errors.New("journal: no space left for a frame")
	ErrTooLarge = errors.New("journal: frame exceeds the engine's limit")
	ErrOrder    = errors.New("journal: sequence does not grow")
)

// CorruptError says what was found where something else was written. It is damage, not a torn tail.
type CorruptError struct {
	File     string
	Offset   int64
	Expected string
	Found    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: %s is damaged at byte %d: expected %s, found %s", e.File, e.Offset, e.Expected, e.Found)
}
