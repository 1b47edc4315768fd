package broker

import (
	"context"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// FollowRequest says what to follow, from where on, and what of it.
type FollowRequest struct {
	Streams []string
	From    Start
	Match   func(*Delivered) (bool, error) // nil: everything
}

// Follower hands out events in position order and waits for more. One goroutine uses it.
type Follower struct {
	m      *merge
	c      *Caller
	match  func(*Delivered) (bool, error)
	watch  *shard.Watch
	lanes  int
	out    []*Delivered
	closed bool
}

// Follow starts following.
func (b *Broker) Follow(_ context.Context, c *Caller, q FollowRequest) (*Follower, error) {
	m, err := b.openMerge(c, q.Streams)
	if err != nil {
		return nil, err
	}
	if q.From, err = b.ourStart("read", "from", q.From); err != nil {
		return nil, err
	}
	f := &Follower{m: m, c: c, match: q.Match, watch: shard.NewWatch()}
	f.watchLanes() // before looking, so that nothing is missed in between
	if err := m.begin(q.From); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Follower) watchLanes() {
	for ; f.lanes < len(f.m.lanes); f.lanes++ {
		f.watch.Add(f.m.lanes[f.lanes].src.Part)
	}
}

// refresh looks at what was published meanwhile. A new partition is watched before the sequence is read that decides what is looked at:
//
//	look at 7 ── find partition 2, made by 7 ── 8 appends to it, nobody watches ── watch ── wait: asleep, and 8 is there
//
// so after watching it looks again.
func (f *Follower) refresh() error {
	for {
		if err := f.m.refresh(); err != nil {
			return err
		}
		if f.lanes == len(f.m.lanes) {
			return nil
		}
		f.watchLanes()
	}
}

const followScanMax = 1000 // events that do not match, between two looks at ctx

// Next waits for at least one event and returns up to max that are there. The slice is good until the next call.
func (f *Follower) Next(ctx context.Context, max int) ([]*Delivered, error) {
	for {
		if err := f.refresh(); err != nil {
			return nil, err
		}
		out, more, err := f.collect(max)
		if err != nil || len(out) > 0 {
			f.m.b.sawDelivered(f.c, out)
			return out, err
		}
		if more {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-f.watch.C():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// collect takes what is there. more: it stopped early.
func (f *Follower) collect(max int) (out []*Delivered, more bool, err error) {
	clear(f.out)
	out = f.out[:0]
	for scanned := 0; len(out) < max; scanned++ {
		if scanned >= followScanMax+max {
			more = true
			break
		}
		d, err := f.m.next()
		if err != nil {
			if len(out) > 0 {
				break // it will be met again
			}
			return nil, false, err
		}
		if d == nil {
			break
		}
		if f.match != nil {
			ok, err := f.match(d)
			if err != nil {
				return nil, false, err
			}
			if !ok {
				continue
			}
		}
		out = append(out, d)
	}
	f.out = out
	return out, more, nil
}

// Ready fires when there may be more; for those who wait for several things at once. TryNext then returns what is there.
func (f *Follower) Ready() <-chan struct{} { return f.watch.C() }

// TryNext is Next without waiting: it may return nothing.
func (f *Follower) TryNext(max int) ([]*Delivered, error) {
	if f.closed {
		return nil, fault.New(fault.Unavailable, "read", "", "the follower is closed")
	}
	if err := f.refresh(); err != nil {
		return nil, err
	}
	out, _, err := f.collect(max)
	f.m.b.sawDelivered(f.c, out)
	return out, err
}

// Position is how far the follower has looked: following from there on goes on with the next event.
func (f *Follower) Position() record.Position {
	p := f.m.after
	p.Shard, p.Lineage = uint16(f.m.shard), f.m.b.opt.Lineage
	return p
}

// Close stops following.
func (f *Follower) Close() {
	f.closed = true
	f.watch.Close()
}
