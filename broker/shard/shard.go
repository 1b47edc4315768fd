package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
)

// Config of a shard. Everything in it is bounded by Validate.
type Config struct {
	ID            uint16
	Lineage       uint32
	Format        int   // of the data directory (fact.Format1, ...): what facts may be written, and whether anything leaves the journal; 0 is the newest
	InboxMax      int   // requests waiting to be decided
	HotTailBytes  int64 // newest batches kept in memory
	VersionsMax   int   // versions of recently used keys kept in memory
	DedupWindow   time.Duration
	Limits        Limits
	FlushInterval time.Duration // how often rows are made durable, which bounds the replay at start

	OpenJournal func() (journal.Journal, error) // also used to open it again after a failed write
	Store       state.Store
	Segments    *segment.Store
	OpenKeys    func(keys.Options) (*keys.Index, error) // the caller fills in what the shard does not know
	Keep        KeepConfig
	Compactions func() []Compaction                                                  // which streams let go of superseded records, in the order of their ids; nil: none does
	OnCompacted func([]Compacted)                                                    // after some did; nil: nobody asks
	Terms       func(record.StreamID) func(r *record.Record, each func(term []byte)) // what the terms of a stream's records are, for those that came before it indexed them; nil: none have any
	OnKeysBuilt func(record.StreamID, stream.KeyMode)                                // a change of the key mode that needed building holds from now on; nil: nobody asks
	Clock       clock.Clock
	Log         *slog.Logger
	OnFrame     func(*FrameStats)    // after a frame's replies are released; nil: nobody asks
	OnNames     func([]catalog.Name) // after a frame changed names; nil likewise
	OnFilters   func([]catalog.Name) // likewise where subscriptions are among them, before anybody can know the frame's sequence
	Attendant   Attendant
}

// DefaultLimits are what a node uses.
func DefaultLimits() Limits {
	return Limits{FrameBytesMax: 8 << 20, FrameCommandsMax: 4096, OverlayFrames: 64, OverlayRowsMax: 200_000}
}

// Stamps are when a frame went through the stages of the pipeline.
type Stamps struct{ Opened, Decided, Written, Published, Released time.Time }

// FrameStats is one frame's way through the pipeline.
type FrameStats struct {
	Stages // of the frame's first request
	Stamps
	Requests int
	Bytes    int64
}

// Shard runs a Core: it decides on one goroutine, writes on a second, publishes on a third.
type Shard struct {
	cfg          Config
	inbox        chan *Request
	published    *Published
	stop         chan struct{}
	stopOnce     sync.Once
	done         chan struct{}
	flushing     sync.WaitGroup
	feeder       feeder
	heads        uint32 // made since the journal was opened
	building     sync.WaitGroup
	stopBuilding context.CancelFunc
	keeper       *keeper
	state        atomic.Pointer[string] // why it does not serve; nil when it does
	full         struct {               // of whoever settles: that the disk was full, and since that was said
		said   time.Time
		frames int
	}
}

// Open replays the journal into the store's state and starts serving.
func Open(cfg Config) (*Shard, error) {
	s, core, err := open(cfg)
	if err != nil {
		return nil, err
	}
	s.startFeeding()
	go s.run(core)
	go s.keeper.run()
	var building context.Context
	building, s.stopBuilding = context.WithCancel(context.Background())
	s.building.Go(func() { s.buildAll(building) })
	return s, nil
}

func open(cfg Config) (*Shard, *Core, error) {
	if cfg.Format == 0 {
		cfg.Format = fact.FormatNewest
	}
	pub, err := openPublished(&cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("shard %d: %w", cfg.ID, err)
	}
	s := &Shard{cfg: cfg, inbox: make(chan *Request, cfg.InboxMax), published: pub, stop: make(chan struct{}), done: make(chan struct{})}
	if cfg.Format < fact.Format2 {
		s.cfg.Keep.WindowBytes = 0
	}
	s.keeper = newKeeper(s, s.cfg.Keep)
	s.feeder.init()
	core, err := s.recover()
	if err != nil {
		return nil, nil, fmt.Errorf("shard %d: %w", cfg.ID, errors.Join(err, pub.keys.Close()))
	}
	pub.opening = false
	s.keeper.pending.Store((*pub.journal.Load()).Held())
	return s, core, nil
}

// recover opens the journal, replays what the store does not hold yet, and makes a core on top of that.
func (s *Shard) recover() (*Core, error) {
	j, err := s.cfg.OpenJournal()
	if err != nil {
		return nil, err
	}
	mark := s.published.store.Applied()
	after := s.published.Seq()
	if mark.Seq != after {
		return nil, errors.Join(fmt.Errorf("rows stand at frame %d, readers at %d", mark.Seq, after), j.Close())
	}
	if t := j.Tail(); uint64(t.Seq) < after {
		return nil, errors.Join(fmt.Errorf("the journal ends at frame %d, the state at %d: they are not of the same data directory", t.Seq, after), j.Close())
	}
	began, frames := s.cfg.Clock.Now(), 0
	// Key files may hold less than rows do: then the frames in between are read for their keys alone.
	first, hint := max(after, 1)-1, journal.Place(mark.Place)
	if s.published.keyed < first {
		first, hint = s.published.keyed, 0
	}
	r := &replay{s: s, after: after, last: uint64(j.Tail().Seq), said: began}
	err = j.Scan(hint, journal.Seq(first), func(e journal.Entry) error {
		if err := r.reached(e); err != nil {
			return err
		}
		if uint64(e.Seq) <= after {
			if err := s.published.replayKeys(uint64(e.Seq), e.Facts); err != nil || uint64(e.Seq) < after {
				return err
			}
			return s.relocate(e, mark)
		}
		frames++
		return s.published.Apply(uint64(e.Seq), uint64(e.Place), e.Facts, nil)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replay: %w", err), j.Close())
	}
	if frames > 0 {
		s.cfg.Log.Info("replayed the journal", "shard", s.cfg.ID, "frames", frames, "took", s.cfg.Clock.Now().Sub(began))
	}
	s.published.foreign.Store(uint64(j.Tail().Seq))
	s.published.journal.Store(&j)
	s.heads = 0
	core, err := s.newCore(max(uint64(j.Tail().Seq), s.published.Seq()) + 1)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return core, nil
}

// newCore makes a core on published state. Nobody publishes meanwhile.
func (s *Shard) newCore(next uint64) (*Core, error) {
	p := s.published
	j := *p.journal.Load()
	seq := p.Seq()
	// A handle tells by the epoch whether it is of this head: greater with every opening of the journal and every head made on it.
	epoch := uint32(j.Tail().Epoch)<<headBits | min(s.heads, 1<<headBits-1)
	s.heads++
	subs, err := subscription.NewHead(p.subs.State.Clone(), p.store, subscription.Options{Epoch: epoch, NowMS: s.cfg.Clock.Now().UnixMilli(), Seq: seq, Stable: stableOf(p.folder.State)})
	if err != nil {
		return nil, err
	}
	return NewCore(s.cfg.ID, s.cfg.Lineage, s.cfg.Format, s.limits(j), p.folder.State, p.names, subs, seq, next), nil
}

const headBits = 12

// relocate follows the last applied frame to where an earlier open of the journal has written it again. Rows that were not flushed since
// then still name the old place, also when more frames have come behind it.
func (s *Shard) relocate(e journal.Entry, mark state.Mark) error {
	if uint64(e.Place) == mark.Place {
		return nil
	}
	st := s.published.store
	rows := st.NewBatch()
	if err := stream.Relocate(st, rows, e.Facts, uint64(e.Place)); err != nil {
		rows.Discard()
		return fmt.Errorf("relocate: %w", err)
	}
	s.published.storeMu.Lock()
	defer s.published.storeMu.Unlock()
	return st.Apply(rows, state.Mark{Seq: mark.Seq, Place: uint64(e.Place)})
}

func (s *Shard) limits(j journal.Journal) Limits {
	l := s.cfg.Limits
	l.FrameBytesMax = min(l.FrameBytesMax, j.Limits().FrameBytesMax/2)
	return l
}

// Published returns what readers read.
func (s *Shard) Published() *Published { return s.published }

// CommandBytesMax is how large one command may be: it must fit into a frame of the journal with what a frame may have that takes another one, and
// with facts of its own.
func (s *Shard) CommandBytesMax() int64 {
	j := *s.published.journal.Load()
	most := j.Limits().FrameBytesMax
	return max(most/2, most-s.limits(j).FrameBytesMax-most/16)
}

// ErrStopped is the cause when a request meets a shard that is stopping.
var ErrStopped = errors.New("shard: stopped")

// Submit queues a request. It waits while too many wait. Requests of one goroutine are decided in the order of its calls.
func (s *Shard) Submit(ctx context.Context, r *Request) error {
	if why := s.state.Load(); why != nil {
		return unavailable(*why)
	}
	select {
	case s.inbox <- r:
		return nil
	default:
	}
	select {
	case s.inbox <- r:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "append", "", "the node is too busy to take the request").From(ctx.Err())
	case <-s.done:
		return unavailable("the node is stopping").From(ErrStopped)
	}
}

// Do submits a request and waits for its outcome.
func (s *Shard) Do(ctx context.Context, c Command) (*Request, error) {
	r := NewRequest(c)
	return r, s.Run(ctx, r)
}

// Run submits a request that is made already and waits for its outcome.
func (s *Shard) Run(ctx context.Context, r *Request) error {
	if err := s.Submit(ctx, r); err != nil {
		return err
	}
	if err := s.Wait(ctx, r); err != nil {
		return err
	}
	if r.Fault != nil {
		return r.Fault
	}
	return nil
}

// Wait waits for a submitted request. When ctx ends first, the outcome is unknown.
func (s *Shard) Wait(ctx context.Context, r *Request) error {
	select {
	case <-r.done:
		return nil
	default:
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Unknown, "append", "", "the answer did not come in time; it may still happen").From(ctx.Err())
	case <-s.done:
		select {
		case <-r.done:
			return nil
		default:
			return fault.New(fault.Unknown, "append", "", "the node stopped before the answer came").From(ErrStopped)
		}
	}
}

func unavailable(why string) *fault.Error {
	return fault.New(fault.Unavailable, "append", "", "%s", why)
}

// Unhealthy says why the shard does not serve; empty when it does.
func (s *Shard) Unhealthy() string {
	if why := s.state.Load(); why != nil {
		return *why
	}
	return ""
}

// Close decides what waits, writes and publishes it, flushes the rows and closes journal and store.
func (s *Shard) Close() error {
	s.stopOnce.Do(func() { close(s.stop) })
	s.stopBuilding()
	s.published.keys.Hurry() // a disk that is full must not keep the publisher waiting for ever
	<-s.done
	s.feeder.running.Wait()
	s.building.Wait()
	s.keeper.close()
	s.flushing.Wait()
	err := s.completeRows()
	err = errors.Join(err, s.published.store.Flush())
	return errors.Join(err, (*s.published.journal.Load()).Close(), s.published.keys.Close(), s.published.segments.Close(), s.published.store.Close())
}

// completeRows writes what rows of subscriptions do not say yet, so that the next start has nothing to look up.
func (s *Shard) completeRows() error {
	p := s.published
	if s.state.Load() != nil {
		return nil // what is in memory may not be what is in rows
	}
	rows := p.store.NewBatch()
	if p.subs.Complete(rows); rows.Len() == 0 {
		rows.Discard()
		return nil
	}
	return p.store.Apply(rows, p.store.Applied())
}
