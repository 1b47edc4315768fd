package shard

import (
	"errors"
	"slices"

	"leat/broker/subscription"
)

// Stepper is a shard without its goroutines: whoever holds it decides when a request is judged, a frame is taken, written and published.
// The simulation drives it from one seed. One goroutine uses it; what Published returns may be read by many.
//
// The order that Shard's loop keeps, and that a driver has to keep:
//
//	Decide ... Decide ─▶ Take ─▶ Write ─▶ Publish        frames one after the other in each stage; Decide goes on meanwhile
//	                              │
//	                              └─ error: publish the frames before, answer the rest, then Forget (nothing was written) or Reopen
type Stepper struct {
	shard *Shard
	core  *Core
}

// OpenStepper replays the journal into the store's state, as Open does.
func OpenStepper(cfg Config) (*Stepper, error) {
	s, core, err := open(cfg)
	if err != nil {
		return nil, err
	}
	return &Stepper{s, core}, nil
}

// Published returns what readers read.
func (x *Stepper) Published() *Published { return x.shard.published }

// Core decides. Reopen and Forget replace it.
func (x *Stepper) Core() *Core { return x.core }

// Write makes a frame durable that Core.Take has returned. After an error the frame and all that was decided after it have failed.
func (x *Stepper) Write(f *Frame) error {
	if f.Empty() {
		return nil
	}
	place, err := (*x.shard.published.journal.Load()).Append(f.toWrite())
	f.Place = uint64(place)
	return err
}

// Publish shows a frame that Write made durable; its requests may be answered then.
func (x *Stepper) Publish(f *Frame) error {
	if !f.Empty() {
		if err := x.shard.published.Apply(f.Seq, f.Place, f.Facts, f.Data); err != nil {
			return err
		}
		x.shard.keeper.published(int64(len(f.Facts)) + f.DataBytes)
	}
	x.core.Published(x.shard.published.Seq())
	return nil
}

// Attend is what has to be done after each step and each Publish while there are subscriptions: follow is called with what need not wait for a
// frame, and what the head wants to be shown is returned. A frame's own Follow is for the driver, after Publish. The head is told the time by
// Core().Tick, and shown records by Core().Feed.
func (x *Stepper) Attend(follow func(*Follow)) []subscription.Want {
	c := x.core
	if !c.follow.Empty() {
		follow(&c.follow)
		c.follow.reset()
	}
	wants := slices.Clone(c.wants)
	c.wants = c.wants[:0]
	return wants
}

// Keep does the most urgent thing of the background: moves a window to segment files, merges, lets go. It says whether there may be more to do.
func (x *Stepper) Keep() (bool, error) {
	did, err := x.shard.keeper.once()
	if err != nil || did {
		return did, err
	}
	return x.shard.published.keys.Maintain()
}

// KeepStats is a look at what Keep has done.
func (x *Stepper) KeepStats() KeepStats { return x.shard.KeepStats() }

// Holders lists what frames the journal is still needed for.
func (x *Stepper) Holders() []Holder { return x.shard.Holders() }

// Forget goes on after a Write that wrote nothing (journal.ErrNoSpace): head becomes what is published. next is the sequence of the next frame,
// which is greater than that of any taken so far.
func (x *Stepper) Forget(next uint64) error {
	core, err := x.shard.newCore(next)
	if err == nil {
		x.core = core
	}
	return err
}

// Reopen goes on after any other failed Write: it lets go of the journal and recovers from it. After an error it is called again.
func (x *Stepper) Reopen() error {
	closing := (*x.shard.published.journal.Load()).Close()
	core, err := x.shard.recover()
	if err != nil {
		return errors.Join(err, closing)
	}
	x.core = core // that a failed journal does not close cleanly is of no consequence
	return nil
}
