package shard

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/clock"
	"leat/storage/journal"
)

// KeepConfig says how what the journal holds is moved to where it is kept.
type KeepConfig struct {
	WindowBytes     int64         // moved to segment files at a time, once so much has come together; 0: nothing is ever moved
	EarlyBytes      int64         // moved before that where it makes pieces that are large; 0: an eighth, but at least earlyBytes
	BacklogBytesMax int64         // in the journal and not yet moved: beyond it appends are slowed down
	Interval        time.Duration // between looks at what else there is to do: merging, removing what has been trimmed

	// RewriteBytesMin is how many dead bytes a segment file must hold to be rewritten for them; 0: rewriteBytesMin.
	RewriteBytesMin int64

	Unpaced bool // never sleeps, for whoever steps

	// Room is how many bytes may be written on the disk by moving; nil: as many as it takes.
	Room func() int64

	// Archived is the sequence through which frames are also somewhere else; nil: nobody needs them there.
	Archived func() uint64
}

// keeper is the shard's background: one goroutine that moves windows of the journal to segment files, lets the journal go of them, merges small
// files and removes dead ones. It does one thing at a time, in this order of urgency.
//
// pending counts the bytes of frames that are published and not yet in segment files. The publisher adds, the keeper takes away.
type keeper struct {
	s       *Shard
	cfg     KeepConfig
	pending atomic.Int64
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	pace    pacer
	turn    sync.Mutex // held while it does one thing: a snapshot must not see half a window

	kept      atomic.Int64 // bytes in segment files
	unsettled int64        // bytes in segment files that the journal still has, because state or keys were not flushed for them

	through  atomic.Uint64 // sequence of the last frame that is in segment files
	failures atomic.Int64
	failing  atomic.Pointer[string]
	windows  atomic.Int64
	merges   atomic.Int64
	looks    looks

	compacted      atomic.Int64 // records
	compactedBytes atomic.Int64
}

func newKeeper(s *Shard, cfg KeepConfig) *keeper {
	k := &keeper{s: s, cfg: cfg, wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	k.through.Store(s.cfg.Segments.Through())
	k.kept.Store(s.cfg.Segments.Metrics().DataBytes)
	k.pace.read = &s.published.readBytes
	return k
}

// published counts a frame; the publisher calls it.
func (k *keeper) published(bytes int64) {
	k.pace.foreground.Add(bytes)
	after := k.pending.Add(bytes)
	if before := after - bytes; before < k.cfg.WindowBytes && after >= k.cfg.WindowBytes || before/k.early() != after/k.early() && k.enough() {
		k.nudge()
	}
}

// enough says whether there is enough for a window: WindowBytes, or less where a window's pieces are large all the same and files do not become too many. What
// is in segment files is read from the page cache as it lies, what is in the journal is copied twice; and who moves early is there when readers come.
//
//	streams    of the window    pieces
//	1          64 MiB           64 MiB
//	16         64 MiB           4 MiB
//	60         240 MiB          4 MiB
//	1,000      512 MiB          512 KiB, which are merged later
func (k *keeper) enough() bool {
	pending := k.pending.Load()
	if pending >= k.cfg.WindowBytes {
		return true
	}
	return pending >= max(k.early(), k.kept.Load()/earlyFiles, k.s.published.touched.count()*(k.early()/earlyPieces))
}

func (k *keeper) early() int64 {
	return cmp.Or(k.cfg.EarlyBytes, max(earlyBytes, k.cfg.WindowBytes/earlyPart))
}

const (
	// A window is moved early from one part of it in earlyPart on, but never with less than earlyBytes.
	earlyPart        = 8
	earlyBytes int64 = 64 << 20
	// earlyPieces is how many partitions may share that.
	earlyPieces = 16
	// earlyFiles is about how many files there may be of windows that were moved early. Each commit names all files there are.
	earlyFiles = 4096
)

func (k *keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// slowStep is how long a frame waits when the backlog is at its limit, before it is looked at again; slowSteps times at most, and slowStepsFailing
// times while the keeper fails, so that it slows appends down and does not stop them.
const (
	slowStep         = 5 * time.Millisecond
	slowSteps        = 400
	slowStepsFailing = 40
)

// admit holds a frame back while too much of the journal waits to be moved. It is called by whoever writes frames.
func (k *keeper) admit() {
	if k.cfg.WindowBytes == 0 || k.pending.Load() < k.cfg.BacklogBytesMax {
		return
	}
	k.pace.slowed.Add(1)
	k.nudge()
	for i := range slowSteps {
		if k.pending.Load() < k.cfg.BacklogBytesMax || i >= slowStepsFailing && k.failing.Load() != nil {
			return
		}
		select {
		case <-clock.After(slowStep):
		case <-k.stop:
			return
		}
	}
}

func (k *keeper) run() {
	defer close(k.stopped)
	for {
		for k.step() {
			select {
			case <-k.stop:
				return
			default:
			}
		}
		select {
		case <-k.stop:
			return
		case <-k.wake:
		case <-clock.After(k.cfg.Interval):
		}
	}
}

// step does the most urgent thing, and says whether there may be more to do at once. What fails is logged once and tried again later.
func (k *keeper) step() bool {
	did, err := k.once()
	if err == nil {
		if k.failing.Swap(nil) != nil {
			k.s.cfg.Log.Info("keeping events works again", "shard", k.s.cfg.ID)
		}
		return did
	}
	if errors.Is(err, errKeeperStopped) {
		return false
	}
	k.failures.Add(1)
	text := err.Error()
	if old := k.failing.Swap(&text); old == nil || *old != text {
		k.s.cfg.Log.Error("events could not be moved out of the journal; it grows until they can", "shard", k.s.cfg.ID, "error", err)
	}
	return false
}

var errKeeperStopped = errors.New("shard: stopping")

func (k *keeper) once() (bool, error) {
	k.turn.Lock()
	defer k.turn.Unlock()
	if k.cfg.WindowBytes == 0 {
		return false, nil
	}
	if k.enough() {
		did, err := k.window(k.pending.Load() < k.cfg.WindowBytes)
		if err != nil {
			// On a full disk nothing can be moved before something has gone: what gives room back does not wait for what takes it.
			_, also := k.reclaim()
			return false, errors.Join(err, also)
		}
		if did {
			return true, nil
		}
	}
	if did, err := k.reclaim(); did || err != nil {
		return did, err
	}
	if due, err := k.forced(); due || err != nil {
		if err != nil {
			return false, err
		}
		if did, err := k.force(); did || err != nil {
			return did, err
		}
	}
	return k.tidy()
}

// reclaim gives room back and takes next to none for it: the journal lets go, and segment files that hold nothing any more are removed.
func (k *keeper) reclaim() (bool, error) {
	err := k.trim()
	did, also := k.removeDead()
	return did, errors.Join(err, also)
}

// trim lets the journal go of what is durable everywhere else.
func (k *keeper) trim() error {
	j := *k.s.published.journal.Load()
	through := k.trimmable()
	// The last frame stays: an archive goes on from it, and a recovery compares it.
	if err := j.Trim(journal.Seq(through)); err != nil && !errors.Is(err, journal.ErrClosed) {
		return fmt.Errorf("trim the journal through frame %d: %w", through, err)
	}
	return nil
}

// trimmable is the last frame that nothing needs the journal for.
func (k *keeper) trimmable() uint64 {
	through := ^uint64(0)
	for _, h := range k.s.Holders() {
		through = min(through, h.Seq)
	}
	return through
}

// Holder is something that keeps the journal from letting go of frames after Seq.
type Holder struct {
	Name string
	Seq  uint64
}

// Holders lists what frames the journal is still needed for. It may let go of those that all of them are past.
func (s *Shard) Holders() []Holder {
	hs := []Holder{
		{"segments", s.keeper.through.Load()},
		{"state", s.published.store.Durable().Seq},
		{"keys", s.published.keys.Durable()},
	}
	if a := s.cfg.Keep.Archived; a != nil {
		hs = append(hs, Holder{"archive", a()})
	}
	return hs
}

func (k *keeper) close() {
	close(k.stop)
	<-k.stopped
}

// pacer keeps the background below the foreground: it lets through more bytes a second the nearer the backlog comes to its limit, by what is being
// appended.
type pacer struct {
	foreground atomic.Int64  // bytes appended, ever
	slowed     atomic.Int64  // frames that were held back
	read       *atomic.Int64 // bytes read from files, ever; nil: nobody reads

	looked  time.Time // when rate was looked at
	seen    int64     // foreground at that time
	rate    float64   // appended bytes a second, smoothed
	wasRead int64     // read at that time
	reading float64   // bytes a second, smoothed
	filled  time.Time // when allowed grew last
	allowed float64   // bytes that may be written now
}

const (
	paceLeast = 16 << 20               // bytes a second that are always allowed
	paceMin   = 64 << 20               // the same while less than that is appended and read
	paceIdle  = 512 << 20              // the same while nearly nothing is appended or read: there is nobody to give way to
	paceQuiet = 256 << 10              // bytes a second that are nearly nothing
	paceBurst = 4 * time.Millisecond   // worth of writing at once: what a disk has to get through before it comes to the next frame
	paceLook  = 100 * time.Millisecond // between looks at the rate of appends
	pacePush  = 3
)

// took notes that bytes were written, and sleeps as long as that was too much too soon. pressure of 1 and above never sleeps.
func (p *pacer) took(bytes int, pressure float64, stop <-chan struct{}) error {
	now := clock.Now()
	if p.looked.IsZero() {
		p.looked, p.seen, p.filled, p.wasRead = now, p.foreground.Load(), now, p.readBytes()
		p.rate = 8 * paceQuiet // not known yet is not quiet
	}
	if since := now.Sub(p.looked); since >= paceLook {
		f := p.foreground.Load()
		p.rate = p.rate/2 + float64(f-p.seen)/since.Seconds()/2
		r := p.readBytes()
		p.reading = p.reading/2 + float64(r-p.wasRead)/since.Seconds()/2
		p.looked, p.seen, p.wasRead = now, f, r
	}
	limit := p.limit(pressure)
	p.allowed = min(p.allowed+limit*now.Sub(p.filled).Seconds(), limit*paceBurst.Seconds())
	p.filled = now
	if pressure >= 1 {
		p.allowed = 0 // what was written in haste is not paid for later: appends would wait for that
	} else {
		p.allowed -= float64(bytes)
	}
	if p.allowed > 0 || pressure >= 1 {
		select {
		case <-stop:
			return errKeeperStopped
		default:
			return nil
		}
	}
	select {
	case <-clock.After(max(time.Duration(-p.allowed/limit*float64(time.Second)), time.Millisecond)):
		return nil
	case <-stop:
		return errKeeperStopped
	}
}

// limit is in bytes a second. It rises with the fourth power of the pressure, so that a burst is let into the journal and moved after it, and what comes
// without an end finds its balance below the limit of the backlog: where 3 × pressure² is one.
//
//	pressure   0.2   0.3   0.4   0.5   0.58   0.7   0.8
//	of rate    0.01  0.07  0.23  0.56  1      2.2   3.7
//
// What is always allowed is less, the more is appended and read: what the keeper copies takes from both, and can wait.
func (p *pacer) limit(pressure float64) float64 {
	busy := p.rate + p.reading
	if busy < paceQuiet {
		return paceIdle
	}
	push := pacePush * max(pressure, 0) * max(pressure, 0)
	return max(paceLeast, paceMin*min(1, paceMin/busy)) + p.rate*push*push
}

func (p *pacer) readBytes() int64 {
	if p.read == nil {
		return 0
	}
	return p.read.Load()
}

// KeepStats is a look at what the keeper does. Counts are since the shard was opened.
type KeepStats struct {
	Pending        int64  // bytes that are only in the journal
	Through        uint64 // sequence of the last frame that is in segment files
	Windows        int64  // moved
	Merges         int64  // of segment files
	Compacted      int64  // records that were superseded and are gone
	CompactedBytes int64
	Slowed         int64 // frames that were held back because too much was pending
	Failures       int64
	Failing        string // why the last try failed; empty when it did not
}

// KeepStats may be called by many goroutines.
func (s *Shard) KeepStats() KeepStats {
	k := s.keeper
	out := KeepStats{
		Pending: k.pending.Load(), Through: k.through.Load(), Windows: k.windows.Load(), Merges: k.merges.Load(), Slowed: k.pace.slowed.Load(),
		Failures: k.failures.Load(), Compacted: k.compacted.Load(), CompactedBytes: k.compactedBytes.Load(),
	}
	if why := k.failing.Load(); why != nil {
		out.Failing = *why
	}
	return out
}
