package pebble

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"leat/internal/clock"
	"leat/storage/state"
)

// retryPause is how long a new table waits after a background error. Pebble retries a failed flush at once and for ever: without a
// pause a full disk would cost a whole core.
const retryPause = 100 * time.Millisecond

// trouble is what Pebble's background work last ran into.
type trouble struct {
	mu      sync.Mutex
	err     error         // of the last background work; nil after a flush that went well
	dead    error         // not nil: broken for good
	changed chan struct{} // closed at the next background error, and then replaced
}

func (t *trouble) init() { t.changed = make(chan struct{}) }

func (t *trouble) watch() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

func (t *trouble) last() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil {
		return t.dead
	}
	return t.err
}

func (t *trouble) broken() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dead
}

func (t *trouble) report(err error, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	if dead && t.dead == nil {
		t.dead = fmt.Errorf("%w: %w", state.ErrBroken, err)
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *trouble) flushEnded(err error) {
	if err == nil {
		t.mu.Lock()
		t.err = nil
		t.mu.Unlock()
	}
}

// backgroundError is called by Pebble with its lock held: it must not call back.
func (s *Store) backgroundError(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	s.trouble.report(err, false)
	s.log.Error("background write failed; it is tried again", "error", err)
}

// slowFS delays the creation of tables while the disk refuses. Pebble creates tables without holding its locks, so nobody
// but the failing work waits.
type slowFS struct {
	vfs.FS
	trouble *trouble
}

func (f *slowFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.trouble.last() != nil {
		<-clock.After(retryPause)
	}
	return f.FS.Create(name, c)
}

// Unwrap lets Pebble find the disk below.
func (f *slowFS) Unwrap() vfs.FS { return f.FS }

// logger takes what Pebble says.
type logger struct{ s *Store }

func (l logger) Infof(format string, args ...any)  { l.s.log.Debug(fmt.Sprintf(format, args...)) }
func (l logger) Errorf(format string, args ...any) { l.s.log.Error(fmt.Sprintf(format, args...)) }

// Fatalf is called where Pebble cannot go on, above all when its manifest could not be written, and must not return. Ending the
// process would take reads and every other shard with it, so only the goroutine that called stops here, for ever, with the locks it
// holds. All later changes are answered ErrBroken; reads go on. An Apply that is inside Pebble at that very moment and needs the
// lock may wait for ever: its shard has lost its disk in any case, and is found by its stalled loop.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.s.log.Error("state store is broken; it must be opened again", "error", err)
	l.s.trouble.report(err, true)
	select {}
}
