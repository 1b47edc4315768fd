package keys

import (
	"errors"
	"time"

	"leat/internal/clock"
)

// The goroutines that work in the background, by what wakes them.
const (
	wakeWriter = iota // writes sealed chunks
	wakeSmall         // merges the low tiers, so that those never wait for a large merge
	wakeLarge         // merges the others, and looks for what is gone
	wakes
)

func (x *Index) signal(which int) {
	select {
	case x.wake[which] <- struct{}{}:
	default:
	}
}

// How long a goroutine waits after a failure before it tries again: twice as long each time.
const (
	retryAfter     = 250 * time.Millisecond
	retryAtMost    = 30 * time.Second
	retryAtMostAdd = 2 * time.Second // for the goroutine on whom Add may be waiting
)

// start starts the goroutines.
func (x *Index) start() {
	x.running.Go(func() { x.run(wakeWriter, x.writeOldest) })
	x.running.Go(func() { x.run(wakeSmall, func() (bool, error) { return x.mergeTiers(0, smallTiers) }) })
	x.running.Go(func() { x.run(wakeLarge, x.maintainLarge) })
}

// run does a step after another, then waits to be woken.
func (x *Index) run(which int, step func() (bool, error)) {
	x.signal(which) // what an earlier run left to do
	wait, most := retryAfter, retryAtMost
	if which == wakeWriter {
		most = retryAtMostAdd
	}
	for {
		select {
		case <-x.stop:
			return
		case <-x.wake[which]:
		}
		for did := true; did && !x.stopped.Load(); {
			var err error
			if did, err = step(); err != nil {
				if errors.Is(err, errStopped) {
					return
				}
				x.log.Error("keys: work in the background failed and is tried again", "dir", x.dir, "again_in", wait, "error", err)
				select {
				case <-x.stop:
					return
				case <-clock.After(wait):
				}
				wait, did = min(2*wait, most), true
			} else {
				wait = retryAfter
			}
		}
	}
}

// Maintain does one step of what is due: writes a full chunk, lets files vanish, merges, or looks through a file for what is gone. did says
// whether there was something to do. Without Foreground goroutines do all that by themselves.
func (x *Index) Maintain() (did bool, err error) {
	if x.stopped.Load() {
		return false, ErrClosed
	}
	if did, err = x.writeOldest(); did || err != nil {
		return did, err
	}
	if did, err = x.vanish(); did || err != nil {
		return did, err
	}
	if did, err = x.mergeTiers(0, smallTiers); did || err != nil {
		return did, err
	}
	return x.maintainLarge()
}

func (x *Index) maintainLarge() (bool, error) {
	if did, err := x.vanish(); did || err != nil {
		return did, err
	}
	if did, err := x.mergeTiers(smallTiers, tiersMax); did || err != nil {
		return did, err
	}
	return x.sweep()
}

func (x *Index) mergeTiers(from, to int) (bool, error) {
	files := x.pick(from, to)
	if files == nil {
		return false, nil
	}
	err := x.merge(files)
	if err == nil {
		x.signal(wakeSmall)
		x.signal(wakeLarge)
	}
	return err == nil, err
}

// vanish lets go of files that hold only dropped streams.
func (x *Index) vanish() (bool, error) {
	x.mu.Lock()
	gone := x.vanished()
	x.mu.Unlock()
	if len(gone) == 0 {
		return false, nil
	}
	err := x.commit(nil, gone, nil, 0)
	x.unpick(gone)
	return err == nil, err
}

// sweep looks through one file, and writes it anew when most of it is gone.
func (x *Index) sweep() (bool, error) {
	x.mu.Lock()
	f := x.toSweep()
	x.mu.Unlock()
	if f == nil {
		return false, nil
	}
	gone, err := x.mostlyGone(f)
	if err == nil && gone {
		return true, x.merge([]*file{f})
	}
	x.unpick([]*file{f})
	if err != nil {
		return false, x.spoiled(f, err)
	}
	return true, nil
}
