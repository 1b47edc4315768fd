package broker

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/subscription"
	"leat/internal/clock"
)

// Limits of members.
const (
	MemberCreditMax = 100_000 // credit a member has at a time; so many deliveries wait for it at most
	ReceiveMax      = 1_000   // deliveries in one answer
	ReceiveWaitMax  = 5 * time.Minute
)

// Handle names one handing-over: it settles, releases, rejects or renews it. HandleText makes text of it for those who are far away.
type Handle struct {
	shard int
	h     subscription.Handle
}

// Delivery is one event handed over.
type Delivery struct {
	*Delivered
	Handle  Handle
	ID      string // the same for all attempts, gateways and restarts: for a receiver to know what it has seen
	Attempt int    // from 1
	Until   time.Time
	Again   bool // it was handed over before
}

// MemberOptions say how a member takes part.
type MemberOptions struct {
	Credit   int           // deliveries it is given until it is granted more, at most MemberCreditMax
	Prefetch int           // it has so many at a time, unsettled, whatever it is granted; with that and no credit, settling one is what grants the next
	Lease    time.Duration // 0: the subscription's
	Rank     MemberRank    // whoever has the highest is served first
}

// Member is somebody who is handed events of a subscription. One goroutine takes from it; Grant and Detach may be called by any.
//
// What is handed over waits here, bounded by the member's credit, until it is taken. Its lease runs meanwhile.
type Member struct {
	b  *Broker
	x  *subscribed
	id subscription.MemberID

	mu     sync.Mutex
	list   []subscription.Leased
	closed error
	ready  chan struct{}

	near atomic.Pointer[nearReader] // taken out by whoever reads
}

type memberKey struct {
	shard int
	id    subscription.MemberID
}

// Attach brings a member in. Denied without the right to read the subscription; Conflict when it is exclusive and somebody is there.
// A member is gone when the subscription is deleted and when the shard recovers from a failed disk: Next says so, and who wants
// attaches again.
func (b *Broker) Attach(ctx context.Context, c *Caller, name string, o MemberOptions) (*Member, error) {
	x, err := b.findSubscription(c, "receive", ActionRead, name)
	if err != nil {
		return nil, err
	}
	return b.attach(ctx, x, o)
}

func (b *Broker) attach(ctx context.Context, x *subscribed, o MemberOptions) (*Member, error) {
	if o.Credit < 0 || o.Credit > MemberCreditMax || o.Prefetch < 0 || o.Prefetch > MemberCreditMax {
		return nil, fault.New(fault.Invalid, "receive", "credit", "credit and prefetch are between 0 and %d", MemberCreditMax)
	}
	m := &Member{b: b, x: x, id: subscription.MemberID(b.subs.next.Add(1)), ready: make(chan struct{}, 1)}
	credit := int64(o.Credit)
	if o.Prefetch > 0 && o.Credit == 0 {
		credit = subscription.Endless
	}
	k := memberKey{x.shard, m.id}
	b.subs.members.Store(k, m) // before it is handed anything
	_, err := b.shards[x.shard].Do(ctx, &shard.Attach{Sub: x.id, Member: subscription.Member{
		ID: m.id, Rank: o.Rank, Prefetch: int32(o.Prefetch), Credit: credit, LeaseMS: o.Lease.Milliseconds(),
	}})
	if err != nil {
		b.subs.members.Delete(k)
		if fault.Is(err, fault.Unknown) { // it may be there
			b.subs.chore(func() { _ = b.detach(x, m.id, false) }) //nolint:contextcheck // nobody waits for it; else it is found at its first delivery
		}
		return nil, err
	}
	return m, nil
}

func (b *Broker) detach(x *subscribed, id subscription.MemberID, counts bool) error {
	_, err := b.shards[x.shard].Do(b.choreContext(), &shard.Detach{Sub: x.id, Member: id, Counts: counts})
	return err
}

// Grant gives more credit, or takes some away when n is less than 0: when it returns, what was handed over before is there to be taken.
func (m *Member) Grant(ctx context.Context, n int) error {
	if n > MemberCreditMax {
		return fault.New(fault.Invalid, "receive", "credit", "credit is at most %d", MemberCreditMax)
	}
	_, err := m.b.shards[m.x.shard].Do(ctx, &shard.Grant{Sub: m.x.id, Member: m.id, N: int64(n)})
	return err
}

// Detach takes the member out. What it has and did not settle is handed to others; with counts as an attempt that failed.
func (m *Member) Detach(ctx context.Context, counts bool) error {
	m.b.subs.members.Delete(memberKey{m.x.shard, m.id})
	m.close(fault.New(fault.Unavailable, "receive", m.x.name, "the member has left"))
	_, err := m.b.shards[m.x.shard].Do(ctx, &shard.Detach{Sub: m.x.id, Member: m.id, Counts: counts})
	return err
}

// Ready fires when there may be something to take, or the member is gone. It holds one token.
func (m *Member) Ready() <-chan struct{} { return m.ready }

// Next waits for deliveries and takes up to max that are there.
func (m *Member) Next(ctx context.Context, max int) ([]Delivery, error) {
	for {
		ds, err := m.TryNext(max) //nolint:contextcheck // what is given back or counted is no part of the request
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		select {
		case <-m.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TryNext takes up to max deliveries that are there, perhaps none.
func (m *Member) TryNext(max int) ([]Delivery, error) {
	ls, err := m.take(max)
	if len(ls) == 0 {
		return nil, err
	}
	return m.read(ls), nil
}

func (m *Member) take(max int) ([]subscription.Leased, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed != nil {
		return nil, m.closed
	}
	n := min(max, len(m.list))
	out := m.list[:n:n]
	if m.list = m.list[n:]; len(m.list) > 0 {
		m.signal()
	} else {
		m.list = nil
	}
	return out, nil
}

// push takes what was handed over. What a member does not take, because it is gone, is handed over again when its lease has run out.
func (m *Member) push(l *subscription.Leased) {
	m.mu.Lock()
	if m.closed == nil && len(m.list) < MemberCreditMax {
		m.list = append(m.list, *l)
	}
	m.mu.Unlock()
	m.signal()
}

func (m *Member) signal() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *Member) close(err error) {
	m.mu.Lock()
	if m.closed == nil {
		m.closed, m.list = err, nil
	}
	m.mu.Unlock()
	m.signal()
}

// read makes deliveries of what was handed over. What is gone is settled as such; what cannot be read now is given back.
func (m *Member) read(ls []subscription.Leased) []Delivery {
	out := make([]Delivery, 0, len(ls))
	near := m.near.Swap(nil)
	if near == nil {
		near = newNearReader(m.b, m.x)
	}
	var gone, later []subscription.Handle
	now := m.b.nowMS()
	for i := range ls {
		l := &ls[i]
		if l.UntilMS <= now {
			continue // it waited too long, and is somebody else's
		}
		d, err := near.read(ls, i)
		switch {
		case err == nil:
			out = append(out, m.b.delivery(m.x, l, d))
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.Trimmed):
			gone = append(gone, l.Handle)
		default:
			m.b.opt.Log.Warn("an event of a subscription cannot be read; it is tried again", "subscription", m.x.name, "error", err)
			later = append(later, l.Handle)
		}
	}
	if len(ls) >= nearKeptMin { // more waits, most probably
		m.near.Store(near)
	}
	if len(gone)+len(later) > 0 {
		m.b.subs.chore(func() { m.b.giveUp(m.x, gone, later) })
	}
	return out
}

// nearKeptMin is how many deliveries a member must have been given at once for the last batch to be kept for the next ones.
const nearKeptMin = 16

const unreadableDelay = 5 * time.Second

func (b *Broker) giveUp(x *subscribed, gone, later []subscription.Handle) {
	ctx := b.choreContext()
	if len(gone) > 0 {
		_, _ = b.shards[x.shard].Do(ctx, &shard.Settle{Verb: shard.SettleAck, Why: subscription.Vanished, Handles: gone}) // its lease runs out otherwise
	}
	if len(later) > 0 {
		_, _ = b.shards[x.shard].Do(ctx, &shard.Settle{Verb: shard.SettleRelease, Handles: later, AfterMS: unreadableDelay.Milliseconds()}) // likewise
	}
}

func (b *Broker) delivery(x *subscribed, l *subscription.Leased, d *Delivered) Delivery {
	return Delivery{
		Delivered: d, Handle: Handle{x.shard, l.Handle}, ID: deliveryID(l.Sub, l.At), Attempt: int(l.Attempt), Until: time.UnixMilli(l.UntilMS), Again: l.Again,
	}
}

func deliveryID(id subscription.ID, at subscription.At) string {
	p := strconv.AppendUint(make([]byte, 0, 32), uint64(id), 36)
	for _, v := range [...]int64{int64(at.Stream), int64(at.Partition), int64(at.Offset)} {
		p = strconv.AppendInt(append(p, '-'), v, 36)
	}
	return string(p)
}

// readLying reads a record where it lies.
func (b *Broker) readLying(x *subscribed, at subscription.At) (*Delivered, error) {
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(at.Stream, at.Partition)
	if !ok {
		return nil, fault.New(fault.NotFound, "receive", x.name, "the stream was deleted")
	}
	return b.readOffset(pub, b.streamOf(x, at.Stream), src, at.Offset)
}

// follow hands on what follows from durable decisions of a shard.
func (b *Broker) follow(sh int, f *shard.Follow) {
	for i := range f.Deliveries {
		l := &f.Deliveries[i]
		if m, ok := b.subs.members.Load(memberKey{sh, l.Member}); ok {
			m.(*Member).push(l)
			continue
		}
		// Nobody knows that member: it has left, or its attaching was given up. Once it is out, what it has goes to others.
		if x, id := b.subs.of(sh, l.Sub), l.Member; x != nil {
			b.subs.chore(func() { _ = b.detach(x, id, false) })
		}
	}
	for _, v := range f.Burials {
		b.subs.chore(func() { b.bury(sh, v) })
	}
	for _, g := range f.Gaps {
		b.tellGap(sh, g)
	}
}

// resetMembers ends all members of a shard: its head was made anew and knows none of them.
func (b *Broker) resetMembers(sh int) {
	b.dropMembers(func(m *Member) bool { return m.x.shard == sh }, fault.New(fault.Unavailable, "receive", "", "the shard has recovered from a failed write; attach again"))
}

func (b *Broker) dropMembers(which func(*Member) bool, why error) {
	b.subs.members.Range(func(k, v any) bool {
		if m := v.(*Member); which(m) {
			b.subs.members.Delete(k)
			m.close(why)
		}
		return true
	})
}

// choreContext is for what the broker does by itself, for nobody's request. It ends by the shard's closing.
func (b *Broker) choreContext() context.Context { return context.Background() }

// puller is the member through which those receive who come and go, one at a time.
type puller struct {
	m *Member

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
	Wait  time.Duration // for the first one
	Lease time.Duration // 0: the subscription's
}

// Receive takes up to Max deliveries, and waits for the first. Each stays the caller's for the lease, and is handed over again after that
// unless it was settled.
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
	timer := clock.NewTimer(q.Wait)
	defer timer.Stop()
	for over := false; ; {
		p, err := b.pullerOf(ctx, x)
		if err != nil {
			return nil, err
		}
		ls, err := p.receive(ctx, q.Max, timer.C, &over)
		if len(ls) == 0 && fault.Is(err, fault.Unavailable) && p.gone() && b.Ready() == nil && ctx.Err() == nil {
			continue // the shard has recovered: through a new member
		}
		ds := p.m.read(ls) //nolint:contextcheck // what is given back or counted is no part of the request
		if len(ds) > 0 && q.Lease > 0 {
			b.relet(ctx, ds, q.Lease)
		}
		if len(ds) > 0 {
			return ds, nil
		}
		if err != nil || over || ctx.Err() != nil {
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

// pullerOf returns the subscription's puller, attaching one where there is none.
func (b *Broker) pullerOf(ctx context.Context, x *subscribed) (*puller, error) {
	s, k := &b.subs, subKey{x.shard, x.id}
	s.pullMu.Lock()
	p := s.pullers[k]
	s.pullMu.Unlock()
	if p != nil && !p.gone() {
		return p, nil
	}
	m, err := b.attach(ctx, x, MemberOptions{})
	if err != nil {
		return nil, err
	}
	fresh := &puller{m: m, turn: make(chan struct{}, 1)}
	s.pullMu.Lock()
	if was := s.pullers[k]; was != nil && was != p {
		s.pullMu.Unlock()
		return was, m.Detach(ctx, false) // somebody was faster
	}
	s.pullers[k] = fresh
	s.pullMu.Unlock()
	return fresh, nil
}

// receive grants credit for what is asked, waits for something, and takes the rest of the credit back: nothing is to be handed to somebody
// who has gone. over is set when nothing is to be waited for any more.
func (p *puller) receive(ctx context.Context, asked int, timer <-chan time.Time, over *bool) ([]subscription.Leased, error) {
	if !p.takeTurn(ctx, timer, over) {
		return nil, nil
	}
	defer func() { <-p.turn }()
	// Also when ctx ends now: it would not be known whether the credit is there, and nobody would take it back.
	if err := p.m.Grant(context.WithoutCancel(ctx), asked); err != nil {
		return nil, err
	}
	ls, err := p.m.take(asked)
	for len(ls) == 0 && err == nil && !*over {
		select {
		case <-p.m.ready:
			ls, err = p.m.take(asked)
		case <-timer:
			*over = true
		case <-ctx.Done():
			*over = true
		}
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
	return ls, err
}

// turnGrace is how long somebody who does not want to wait waits for those before him, who may be about to leave something for him.
const turnGrace = 20 * time.Millisecond

// takeTurn waits for the turn, no longer than for a delivery: while somebody else waits for one, there is none.
func (p *puller) takeTurn(ctx context.Context, timer <-chan time.Time, over *bool) bool {
	select {
	case p.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case p.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	case <-timer:
		*over = true
	}
	grace := clock.NewTimer(turnGrace)
	defer grace.Stop()
	select {
	case p.turn <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-grace.C:
	}
	return false
}

// relet gives deliveries another lease than the subscription's.
func (b *Broker) relet(ctx context.Context, ds []Delivery, lease time.Duration) {
	hs := make([]Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	if out, err := b.settle(ctx, shard.Settle{Verb: shard.SettleRenew, AfterMS: lease.Milliseconds()}, hs); err == nil {
		until := b.opt.Clock.Now().Add(lease)
		for i := range ds {
			if out[i] == OutcomeDone {
				ds[i].Until = until
			}
		}
	}
}
