package broker

import (
	"context"
	"sync"
	"time"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/subscription"
	"leat/internal/clock"
)

const (
	// receiveLookMax is how long somebody who does not want to wait waits at most for events that are there to be looked at: a subscription
	// may have to pass over a great many of which none matches.
	receiveLookMax = 5 * time.Second
	// pullerIdle is how long the member of those who come and go stays when nobody receives. It leaves at once where it would keep others from
	// receiving.
	pullerIdle = 30 * time.Second
)

// puller is the member through which those receive who come and go, one at a time.
//
//	nobody ── receive ──▶ attached ── the last who waits goes ──▶ idle ── pullerIdle ──▶ left
//	                          ▲────────── receive ─────────────────┘
//
// When it leaves, what was handed out through it stays with whoever has it until it is settled or its lease runs out.
type puller struct {
	m       *Member
	in      chan struct{} // closed when it has attached, or not: err
	err     error
	mu      sync.Mutex
	waiting int // who receive at the moment
	left    bool
	timer   *time.Timer   // while idle
	out     chan struct{} // closed when it has left

	// turn is the token of who may receive. What is handed over to the member is his alone: he gets as much as he asks for where there is so
	// much, and of a key, of which a member may have several at once (RunMax), all that is held is with him. Without it
	//
	//	A asks for 1, B for 10 │ a1…a10 are handed to the member │ A takes a1 │ B takes a2…a10
	//
	// and B is done with a2 before A has begun with a1.
	turn chan struct{}
}

// ReceiveRequest asks for deliveries.
type ReceiveRequest struct {
	Max   int           // at most ReceiveMax; 0 is 1
	Wait  time.Duration // for the first one. 0: what is there now, which is looked for
	Lease time.Duration // 0: the subscription's
}

// Receive takes up to Max deliveries, and waits for the first. Each stays the caller's for the lease, and is handed over again after that
// unless it was settled. The answer is empty only when nothing was there that nobody else has, however short the wait.
//
// All who receive are one member together. Of an exclusive subscription, or one with a single active member, that is there while somebody waits here;
// so two can receive by turns, and the leases of the first go on.
func (b *Broker) Receive(ctx context.Context, c *Caller, name string, q ReceiveRequest) ([]Delivery, error) {
	if q.Max = max(q.Max, 1); q.Max > ReceiveMax || q.Wait < 0 || q.Wait > ReceiveWaitMax || q.Lease < 0 {
		return nil, fault.New(fault.Invalid, "receive", name, "at most %d at once, and a wait of at most %s", ReceiveMax, ReceiveWaitMax)
	}
	x, err := b.findSubscription(c, "receive", ActionRead, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer, most := clock.NewTimer(q.Wait), clock.NewTimer(max(q.Wait, receiveLookMax))
	defer timer.Stop()
	defer most.Stop()
	for over := false; ; {
		p, err := b.pullerOf(ctx, x)
		if err != nil {
			return nil, err
		}
		b.tellGapsTo(x) //nolint:contextcheck // what is told is no part of the request
		ls, left, err := p.receive(ctx, q.Max, timer.C, most.C, &over)
		if left {
			<-p.out
			continue
		}
		if len(ls) == 0 && fault.Is(err, fault.Unavailable) && p.gone() && b.Ready() == nil && ctx.Err() == nil {
			continue // the shard has recovered: through a new member
		}
		ds := p.m.read(ls) //nolint:contextcheck // what is given back or counted is no part of the request
		if len(ds) > 0 && q.Lease > 0 {
			b.relet(ctx, ds, q.Lease)
		}
		if len(ds) > 0 {
			b.sawDeliveries(c, x.name, ds)
			return ds, nil
		}
		if err != nil || len(ls) == 0 || ctx.Err() != nil {
			return nil, err
		}
		// All that came has gone meanwhile: there may be more.
	}
}

func (p *puller) gone() bool {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.m.closed != nil
}

// pullerOf returns the subscription's puller, attaching one where there is none. One attaches, and the others who come meanwhile wait for it: an
// exclusive subscription would refuse them.
func (b *Broker) pullerOf(ctx context.Context, x *subscribed) (*puller, error) {
	s, k := &b.subs, subKey{x.shard, x.id}
	for {
		s.pullMu.Lock()
		p := s.pullers[k]
		if p == nil {
			p = &puller{in: make(chan struct{}), out: make(chan struct{}), turn: make(chan struct{}, 1)}
			s.pullers[k] = p
			s.pullMu.Unlock()
			if p.m, p.err = b.attach(context.WithoutCancel(ctx), nil, x, MemberOptions{}); p.err != nil {
				s.forget(k, p)
			}
			if p.err == nil {
				p.m.pulls.Store(true)
			}
			close(p.in)
			return p, p.err
		}
		s.pullMu.Unlock()
		<-p.in
		if p.err != nil || !p.gone() {
			return p, p.err
		}
		s.forget(k, p)
	}
}

// forget makes room for another puller.
func (s *subscriptions) forget(k subKey, p *puller) {
	s.pullMu.Lock()
	if s.pullers[k] == p {
		delete(s.pullers, k)
	}
	s.pullMu.Unlock()
}

// enter counts somebody who receives; false: the puller has left.
func (p *puller) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return false
	}
	p.waiting++
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	return true
}

// exit counts somebody out. With the last one the puller leaves, at once or after a while.
func (p *puller) exit() {
	p.mu.Lock()
	p.waiting--
	last := p.waiting == 0
	if last {
		if x := p.m.b.subs.of(p.m.x.shard, p.m.x.id); x == nil || x.doc.Policy.Members != MembersShared {
			p.left = true
		} else {
			p.timer = clock.AfterFunc(pullerIdle, p.idle)
		}
	}
	left := p.left
	p.mu.Unlock()
	if last && left {
		p.leave()
	}
}

// idle is called when nobody has received for a while, unless somebody came at that moment.
func (p *puller) idle() {
	p.mu.Lock()
	if p.waiting > 0 || p.left {
		p.mu.Unlock()
		return
	}
	p.left = true
	p.mu.Unlock()
	p.leave()
}

// leave takes the member out. It has no credit by now, so nothing is handed to it meanwhile. Whoever receives next attaches another, behind this.
func (p *puller) leave() {
	b, x := p.m.b, p.m.x
	if p.m.seat != nil {
		p.m.seat.leave()
	} else {
		_, _ = b.shards[x.shard].Do(b.choreContext(), &shard.Detach{Sub: x.id, Member: p.m.id, Keeps: true}) // fails when the shard has forgotten it anyway
	}
	b.subs.members.Delete(memberKey{x.shard, p.m.id})
	p.m.close(fault.New(fault.Unavailable, "receive", x.name, "the member has left"))
	b.subs.forget(subKey{x.shard, x.id}, p)
	close(p.out)
}

// receive grants credit for what is asked, waits for something, and takes the rest of the credit back: nothing is to be handed to somebody
// who has gone. over is set when nothing is to be waited for any more. left: by somebody who came when the puller was just leaving.
func (p *puller) receive(ctx context.Context, asked int, timer, most <-chan time.Time, over *bool) (ls []subscription.Leased, left bool, err error) {
	if !p.enter() {
		return nil, true, nil
	}
	defer p.exit() //nolint:contextcheck // what is given back or counted is no part of the request
	if mine, err := p.awaitTurn(ctx, timer, most, over); !mine {
		return nil, false, err
	}
	defer func() { <-p.turn }()
	// Also when ctx ends now: it would not be known whether the credit is there, and nobody would take it back.
	if err := p.m.Grant(context.WithoutCancel(ctx), asked); err != nil {
		return nil, false, err
	}
	if ls, err = p.m.take(asked); len(ls) == 0 && err == nil {
		ls, err = p.await(ctx, asked, timer, most, over)
	}
	if left := asked - len(ls); left > 0 && err == nil {
		// Also when ctx has ended: credit that stays would have records handed to nobody.
		if err = p.m.Grant(context.WithoutCancel(ctx), -left); err == nil {
			var more []subscription.Leased
			more, err = p.m.take(left) // which came meanwhile
			ls = append(ls, more...)
		}
	}
	if len(ls) > 0 {
		err = nil
	}
	return ls, false, err
}

// turnLook is how often somebody who does not want to wait any more looks whether whoever has the turn found anything.
const turnLook = 5 * time.Millisecond

// awaitTurn waits for the turn, no longer than for a delivery: when time is up and whoever has the turn has found nothing, there is nothing.
func (p *puller) awaitTurn(ctx context.Context, timer, most <-chan time.Time, over *bool) (bool, error) {
	select {
	case p.turn <- struct{}{}:
		return true, nil
	default:
	}
	for {
		var look <-chan time.Time
		var resting <-chan struct{}
		if *over {
			r, err := p.askRest(ctx)
			if err != nil || r.left {
				return false, err
			}
			if resting = r.next; r.came { // all that he asked for is there, or he has not asked yet
				look = clock.After(turnLook)
			}
		}
		select {
		case p.turn <- struct{}{}:
			return true, nil
		case <-timer:
			*over = true
		case <-look:
		case <-resting:
		case <-most:
			return false, nil
		case <-ctx.Done():
			return false, nil
		}
	}
}

// await waits for the first deliveries: until timer, and from then on until all that is there has been looked at, or most.
func (p *puller) await(ctx context.Context, asked int, timer, most <-chan time.Time, over *bool) (ls []subscription.Leased, err error) {
	var r rest
	for len(ls) == 0 && err == nil {
		if *over && r.number == 0 {
			if r, err = p.askRest(ctx); err != nil {
				return nil, err
			}
		}
		if r.came {
			return p.m.take(asked)
		}
		select {
		case <-p.m.ready:
			ls, err = p.m.take(asked)
		case <-r.next:
			r = p.m.restedBy(r.number)
		case <-timer:
			*over = true
		case <-most:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
	return ls, err
}

// askRest asks for a rest. It says so too when the member is gone.
func (p *puller) askRest(ctx context.Context) (rest, error) {
	number, err := p.m.askRest(context.WithoutCancel(ctx))
	if err != nil {
		return rest{}, err
	}
	if _, err := p.m.take(0); err != nil {
		return rest{}, err
	}
	return p.m.restedBy(number), nil
}

// relet gives deliveries another lease than the subscription's.
func (b *Broker) relet(ctx context.Context, ds []Delivery, lease time.Duration) {
	hs := make([]Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	again := shard.Settle{Verb: shard.SettleRenew, AfterMS: lease.Milliseconds()}
	out, err := b.settleAside(hs, shadowRenew, b.nowMS()+again.AfterMS, func(hs []Handle) ([]Outcome, error) { return b.settle(ctx, again, hs) })
	if err == nil {
		until := b.opt.Clock.Now().Add(lease)
		for i := range ds {
			if out[i] == OutcomeDone {
				ds[i].Until = until
			}
		}
	}
}
