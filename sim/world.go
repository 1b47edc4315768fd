package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

const (
	lineage     = 7
	dedupWindow = 10 * time.Minute
	startMS     = 1_700_000_000_000
	openTries   = 200 // until an open must have succeeded: faults end by themselves
)

var errPower = errors.New("sim: power gone during the write")

// World is one run.
type World struct {
	seed  uint64
	rng   *rand.Rand
	dice  dice
	clock *clock.Manual

	disk    *memory.FS
	fs      *faulty.FS
	dirty   map[string]bool // files written and not synced
	store   *statemem.Store
	node    *shard.Stepper // nil while it is down
	journal *disk.Journal
	files   *segment.Store
	opens   int

	waiting    []*attempt            // sent, not yet judged
	open       []*attempt            // judged, in the open frame
	taken      *flight               // next to be written
	written    []*flight             // to be published
	answers    []answer              // on their way to a client
	clients    []*client             // who asks
	names      map[uint32]*simStream // streams by number, also those that are gone
	ops        []*op
	seen       map[lane][]placed // what readers were shown, by offset; no value where that is not known
	trims      map[lane]*trims
	versions   map[keyOf]uint64 // the highest one anybody was told
	shadow     *shard.Stepper
	shadowRows state.Store
	index      *keys.Index
	walks      []*walk
	held       []*heldCursor
	hook       func() // run in the middle of a read, once
	hashes     map[uint64][32]byte
	missing    []placed                        // of the reading that is being made
	sorted     map[keyOf][]placed              // what was seen, by key; nil: look again
	gone       map[lane]map[record.Offset]bool // records that a reader did not find any more, and was right not to
	terms      map[string]*terms               // of streams, by name
	bases      map[keyOf]int64                 // see versionHolds
	nowMax     int64                           // the latest time of day so far
	lives      int                             // heads that there have been
	builds     bool                            // a building is under way
	err        error                           // the first thing that does not hold

	producers map[int64]bool // numbers given out

	deskRng    *rand.Rand  // nil: nobody subscribes
	desk       []*interest // see desk.go
	deskMaybe  []*interest // whose making was not answered
	deskAsked  bool
	subscribed int
	members    int
	wants      []subscription.Want
	feeds      []looked
	desks      deskCounts

	till *till // nil: nobody makes transactions; see till.go

	steps, crashes, faults, acked, reopened int
	faultsAtBoot                            int
	kept                                    keptCounts
	trace                                   []string
	keepTrace                               bool
	sum                                     [32]byte
}

// flight is a frame between Take and Publish with the attempts it answers.
type flight struct {
	frame    *shard.Frame
	attempts []*attempt
}

// answer is one reply that a client has not seen yet.
type answer struct {
	to *attempt
	ok bool
}

// NewWorld makes the run of a seed. In a plain one no stream lets go of superseded records, and no key mode is built.
func NewWorld(seed uint64, plain, keepTrace bool) *World {
	rng := rand.New(rand.NewPCG(seed, 0x1ea7))
	w := &World{
		seed: seed, rng: rng, dice: drawDice(rng), clock: clock.NewManual(time.UnixMilli(startMS)), disk: memory.New(), store: statemem.New(),
		names: map[uint32]*simStream{}, seen: map[lane][]placed{}, trims: map[lane]*trims{}, versions: map[keyOf]uint64{}, hashes: map[uint64][32]byte{}, producers: map[int64]bool{}, keepTrace: keepTrace,
		gone: map[lane]map[record.Offset]bool{}, terms: map[string]*terms{}, bases: map[keyOf]int64{}, nowMax: startMS,
	}
	if !plain {
		w.dice.compact, w.dice.versions = true, rng.IntN(2)*10_000
	}
	for i := range 6 {
		w.clients = append(w.clients, &client{w: w, id: i, kind: clientKind(i % int(kinds))})
	}
	w.tracef("seed %d: %+v", seed, w.dice)
	w.makeShadow()
	return w
}

// tracef writes one line of the trace, and folds it into the sum that two runs are compared by.
func (w *World) tracef(format string, args ...any) {
	line := fmt.Sprintf("%d ", w.steps) + fmt.Sprintf(format, args...)
	w.sum = sha256.Sum256(append(w.sum[:], line...))
	if w.keepTrace {
		w.trace = append(w.trace, line)
	}
}

// failf notes the first thing that does not hold.
func (w *World) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("step %d: %s", w.steps, fmt.Sprintf(format, args...))
		w.tracef("FAIL %v", w.err)
	}
}

// Run makes steps, lets the world come to rest, and checks everything once more. It returns the first thing that does not hold.
func (w *World) Run(steps int) error {
	w.guarded(w.boot)
	for w.steps = 1; w.steps <= steps && w.err == nil; w.steps++ {
		w.guarded(w.step)
	}
	if w.err == nil {
		w.rest()
	}
	return w.err
}

// guarded runs fn and turns a loss of power into a crash.
func (w *World) guarded(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			p, ok := r.(power)
			if !ok {
				panic(fmt.Sprintf("seed %d, step %d: %v", w.seed, w.steps, r))
			}
			w.tracef("power gone at %s %s", p.call.Op, p.call.Name)
			w.crash()
		}
	}()
	fn()
}

// crash loses power: the disk becomes what it held, the rest is gone.
func (w *World) crash() {
	mode := w.crashMode()
	w.crashes++
	w.tracef("crash mode=%d", mode)
	w.disk = w.disk.CrashClone(w.rng, mode)
	w.store = w.store.Crash()
	w.node, w.walks, w.held, w.hook, w.builds = nil, nil, nil, nil, false
	w.lives++
	w.leave()
	for _, a := range w.inFlight() {
		w.release(a, fault.New(fault.Unknown, "append", "", "crash"))
	}
	w.waiting, w.open, w.taken, w.written = nil, nil, nil, nil
	w.plug()
}

// inFlight are all attempts that have no answer yet.
func (w *World) inFlight() []*attempt {
	var all []*attempt
	for _, f := range w.written {
		all = append(all, f.attempts...)
	}
	if w.taken != nil {
		all = append(all, w.taken.attempts...)
	}
	return append(append(all, w.open...), w.waiting...)
}

// plug puts the disk behind a new file system that can fail.
func (w *World) plug() {
	w.fs = faulty.New(w.disk)
	w.dirty = map[string]bool{}
	w.fs.Watch(func(c faulty.Call, err error) {
		if errors.Is(err, errPower) {
			panic(power{c})
		}
		if err != nil {
			w.faults++
		}
		switch {
		case c.Op == faulty.WriteAt || c.Op == faulty.Truncate:
			w.dirty[c.Name] = true
		case c.Op == faulty.Sync && err == nil:
			delete(w.dirty, c.Name)
		case c.Op == faulty.Remove && err == nil:
			delete(w.dirty, c.Name)
		}
	})
}

func (w *World) openJournal(fs vfs.FS) (journal.Journal, error) {
	cfg := disk.Default()
	cfg.FileBytes, cfg.FrameBytesMax, cfg.RingBytes, cfg.IdleSeal = 64<<10, 24<<10, 0, 0
	if w.dice.ring {
		cfg.RingBytes = 128 << 10
	}
	j, err := disk.Open(fs, "/journal", cfg, disk.Options{Log: quiet, Random: w.rng.Uint64, Foreground: true})
	if err != nil {
		return nil, err
	}
	if fs == vfs.FS(w.fs) {
		w.journal = j
	}
	return j, nil
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func (w *World) config(st state.Store, files *segment.Store, index func(keys.Options) (*keys.Index, error), open func() (journal.Journal, error)) shard.Config {
	lim := shard.Limits{FrameBytesMax: 8 << 10, FrameCommandsMax: 16, OverlayFrames: 64, OverlayRowsMax: 10_000}
	if w.dice.small {
		lim = shard.Limits{FrameBytesMax: 1 << 10, FrameCommandsMax: 3, OverlayFrames: 3, OverlayRowsMax: 12}
	}
	early := w.dice.window
	if w.deskRng != nil || w.till != nil { // not in the others: what found holds were found without
		early /= 8
	}
	return shard.Config{
		ID: 0, Lineage: lineage, InboxMax: 16, HotTailBytes: w.dice.hot, DedupWindow: dedupWindow, Limits: lim,
		OpenJournal: func() (journal.Journal, error) { return w.between(open()) }, Store: hookedStore{st, w}, Segments: files, OpenKeys: index, Clock: w.clock, Log: quiet,
		VersionsMax: w.dice.versions, Compactions: w.compactions, OnCompacted: w.compacted,
		Keep: shard.KeepConfig{WindowBytes: w.dice.window, EarlyBytes: early, BacklogBytesMax: 1 << 30, RewriteBytesMin: 1 << 10, Unpaced: true},
	}
}

// boot opens the shard, as often as it takes.
func (w *World) boot() {
	if w.fs == nil {
		w.plug()
	}
	if w.opens++; w.opens > openTries {
		w.failf("the shard does not open after %d tries", openTries)
		return
	}
	switch {
	case w.opens > openTries/2:
		w.fs.SetRule(nil)
	case w.dice.callFault > 0 && w.rng.IntN(8) == 0:
		w.armFile()
	}
	var node *shard.Stepper
	files, index, err := openFiles(w.fs)
	if err == nil {
		w.files = files
		opened := index
		index = func(opt keys.Options) (x *keys.Index, err error) {
			x, err = opened(opt)
			w.index = x
			return x, err
		}
		if node, err = shard.OpenStepper(w.config(w.store, files, index, func() (journal.Journal, error) { return w.openJournal(w.fs) })); err != nil {
			err = errors.Join(err, files.Close())
		}
	}
	if err != nil {
		w.tracef("open failed: %v", err)
		var ce *journal.CorruptError
		if errors.As(err, &ce) {
			w.failf("the journal calls damage what only lost power: %v", err)
		}
		return
	}
	w.node = node
	if w.lost() {
		w.useLost()
		return
	}
	w.opens, w.faultsAtBoot = 0, w.faults
	w.tracef("open at seq %d", node.Published().Seq())
	w.checkStored("after open")
}

// openFiles opens segment files and says how key files are opened: both small enough that a run goes through many of them.
func openFiles(fs vfs.FS) (*segment.Store, func(keys.Options) (*keys.Index, error), error) {
	sc, kc := segment.Default(), keys.Default()
	sc.OwnBytesMin, sc.BlockBytes, sc.SharedBytesMax, sc.MergeFiles = 4<<10, 1<<10, 64<<10, 2
	kc.ChunkBytes, kc.BlockBytes, kc.FanIn = 4<<10, 512, 2
	files, err := segment.Open(fs, "/segments", sc, segment.Options{Log: quiet})
	return files, func(opt keys.Options) (*keys.Index, error) {
		opt.Log, opt.Foreground = quiet, true
		return keys.Open(fs, "/keys", kc, opt)
	}, err
}

// step does one thing.
func (w *World) step() {
	if d := w.dice; d.crash > 0 && w.rng.IntN(d.crash) == 0 {
		w.crash()
		return
	}
	if d := w.dice; d.callFault > 0 && w.rng.IntN(d.callFault) == 0 {
		w.arm()
	}
	if d := w.dice; d.jump > 0 && w.rng.IntN(d.jump) == 0 {
		by := time.Duration(w.rng.IntN(40)-15) * time.Minute
		w.clock.Advance(by)
		w.tracef("clock jumps by %s", by)
	}
	w.nowMax = max(w.nowMax, w.clock.Now().UnixMilli())
	if w.node == nil {
		w.boot()
		return
	}
	if w.dice.compact && w.rng.IntN(40) == 0 {
		w.build()
		return
	}
	if w.deskRng != nil && w.deskRng.IntN(2) == 0 {
		w.receive()
	}
	if w.till != nil && w.till.rng.IntN(4) > 0 {
		w.transact()
	}
	switch n := w.rng.IntN(100); {
	case n < 28:
		w.clients[w.rng.IntN(len(w.clients))].act()
	case n < 50:
		w.decide()
	case n < 58:
		w.take()
	case n < 68:
		w.write()
	case n < 78:
		w.publish()
	case n < 88:
		w.answer()
	case n < 89:
		w.clock.Advance(time.Duration(w.rng.IntN(60_000)) * time.Millisecond)
		w.nowMax = max(w.nowMax, w.clock.Now().UnixMilli())
	case n < 92:
		w.read()
	case n < 94:
		w.walk()
	case n < 95:
		w.flush()
	case n < 98:
		w.keep()
	case n < 99:
		w.background()
	default:
		w.checkStored("now and then")
	}
}

func (w *World) flush() {
	if w.rng.IntN(2) == 0 {
		before := w.faults
		err := w.index.Flush()
		w.tracef("flush of keys: %v", err)
		if err != nil && w.faults == before {
			w.failf("flush of keys: %v", err)
		}
		return
	}
	if err := w.store.Flush(); err != nil {
		w.failf("flush: %v", err)
	}
	w.tracef("flush at %d", w.store.Durable().Seq)
}

func (w *World) background() {
	if w.journal != nil {
		w.journal.Background()
	}
}
