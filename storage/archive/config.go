package archive

import (
	"fmt"
	"log/slog"
	"time"

	"leat/storage/journal"
)

// Config is what an operator can set. The zero Config is not valid; start from Default.
type Config struct {
	// PackBytes is the content after which a pack is closed. One frame may go beyond it.
	PackBytes int64
	// PackAge is how long after its first frame a pack is closed at the latest.
	PackAge time.Duration
	// Uploads is how many packs are on their way at a time. With the one being filled and the compressed copies, that bounds memory:
	// about (2 × Uploads + 1) × (PackBytes + the largest frame).
	Uploads int
	// Compress stores blocks compressed where that helps, unless frames come faster than they can be sent.
	Compress bool
	// UploadTimeout ends one try to store a pack.
	UploadTimeout time.Duration
	// RetryMax is the longest pause after a failed try. The first is RetryMin, and each one is twice the last.
	RetryMax time.Duration
}

// The ends of what Config allows.
const (
	PackBytesMin     = 4 << 10
	PackBytesMax     = 256 << 20
	PackAgeMin       = time.Millisecond
	PackAgeMax       = time.Hour
	UploadsMax       = 64
	UploadTimeoutMin = 10 * time.Millisecond
	UploadTimeoutMax = time.Hour
	RetryMin         = 100 * time.Millisecond
	RetryMaxMax      = 10 * time.Minute
)

// Default is what runs unless told otherwise.
func Default() Config {
	return Config{
		PackBytes: 16 << 20, PackAge: time.Second, Uploads: 4, Compress: true,
		UploadTimeout: 2 * time.Minute, RetryMax: 30 * time.Second,
	}
}

// Validate names the first field that is out of bounds.
func (c Config) Validate() error {
	switch {
	case c.PackBytes < PackBytesMin || c.PackBytes > PackBytesMax:
		return fmt.Errorf("archive: pack_bytes is %d: must be from %d to %d", c.PackBytes, PackBytesMin, PackBytesMax)
	case c.PackAge < PackAgeMin || c.PackAge > PackAgeMax:
		return fmt.Errorf("archive: pack_age is %s: must be from %s to %s", c.PackAge, PackAgeMin, PackAgeMax)
	case c.Uploads < 1 || c.Uploads > UploadsMax:
		return fmt.Errorf("archive: uploads is %d: must be from 1 to %d", c.Uploads, UploadsMax)
	case c.UploadTimeout < UploadTimeoutMin || c.UploadTimeout > UploadTimeoutMax:
		return fmt.Errorf("archive: upload_timeout is %s: must be from %s to %s", c.UploadTimeout, UploadTimeoutMin, UploadTimeoutMax)
	case c.RetryMax < RetryMin || c.RetryMax > RetryMaxMax:
		return fmt.Errorf("archive: retry_max is %s: must be from %s to %s", c.RetryMax, RetryMin, RetryMaxMax)
	}
	return nil
}

// Source is what is archived.
type Source struct {
	Shard   Shard
	Lineage Lineage
	// Journal returns the journal as it is open now, or nil when it is not. It may be another one each time, as after a failed write.
	Journal func() journal.Journal
	// TimeMS reads from a frame's facts when it was made, in milliseconds since 1970; 0 is as the frame before. A time that runs
	// backwards counts as the frame before, too.
	TimeMS func(facts []byte) int64
	// Check, if not nil, is shown each frame before it is archived. A journal's ReadAt does not verify data, so this is what keeps bytes
	// that rotted on the disk out of the archive. An error of it ends the shipper: the frame needs a person.
	Check func(facts, data []byte) error
	// Log is told of failures once each time they begin and end. nil is slog.Default().
	Log *slog.Logger
}
