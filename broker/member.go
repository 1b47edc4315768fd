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
	Marks   Marks
}

// MemberOptions say how a member takes part.
type MemberOptions struct {
	Credit   int           // deliveries it is given until it is granted more, at most MemberCreditMax
	Prefetch int           // it has so many at a time, unsettled, whatever it is granted; with that and no credit, settling one is what grants the next
	Lease    time.Duration // 0: the subscription's
	Rank     MemberRank    // whoever has the highest is served first
	apart    bool          // it drains: see subscription.Member
}

// Member is somebody who is handed events of a subscription. One goroutine takes from it; Grant and Detach may be called by any.
//
// What is handed over waits here, bounded by the member's credit, until it is taken. Its lease runs meanwhile.
type Member struct {
	b  *Broker
	x  *subscribed
	id subscription.MemberID
	c  *Caller // who attached; nil: those who come and go

	pulls atomic.Bool // it is that of those who come and go
	seat  *seat       // of a shadow's; else nil

	near    atomic.Pointer[nearReader] // taken out by whoever reads
	mu      sync.Mutex
	list    []subscription.Leased
	closed  error
	ready   chan struct{}
	rested  uint64        // the last rest that came: what was there when it was asked for has been handed over
	spare   uint64        // the last of them when credit was left: there was nothing more
	resting chan struct{} // closed when one comes; nil: nobody waits for that
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
	return b.attach(ctx, c, x, o)
}

func (b *Broker) attach(ctx context.Context, c *Caller, x *subscribed, o MemberOptions) (*Member, error) {
	if o.Credit < 0 || o.Credit > MemberCreditMax || o.Prefetch < 0 || o.Prefetch > MemberCreditMax {
		return nil, fault.New(fault.Invalid, "receive", "credit", "credit and prefetch are between 0 and %d", MemberCreditMax)
	}
	m := &Member{b: b, x: x, c: c, id: subscription.MemberID(b.subs.next.Add(1)), ready: make(chan struct{}, 1)}
	credit := int64(o.Credit)
	if o.Prefetch > 0 && o.Credit == 0 {
		credit = subscription.Endless
	}
	k := memberKey{x.shard, m.id}
	if s := b.subs.shadows.of(subKey{x.shard, x.id}); s != nil {
		if err := b.attachShadow(s, k, m, &o, credit); err != nil {
			return nil, err
		}
		return m, nil
	}
	b.subs.members.Store(k, m) // before it is handed anything
	_, err := b.shards[x.shard].Do(ctx, &shard.Attach{Sub: x.id, Member: subscription.Member{
		ID: m.id, Rank: o.Rank, Prefetch: int32(o.Prefetch), Credit: credit, LeaseMS: o.Lease.Milliseconds(), Apart: o.apart,
	}})
	if err != nil {
		b.subs.members.Delete(k)
		if fault.Is(err, fault.Unknown) { // it may be there
			b.subs.chore(func() { _ = b.detach(x, m.id, false) }) //nolint:contextcheck // nobody waits for it; else it is found at its first delivery
		}
		return nil, err
	}
	b.tellGapsTo(x) //nolint:contextcheck // what is told is no part of the request
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
	if m.seat != nil {
		m.seat.grant(int64(n))
		return nil
	}
	_, err := m.b.shards[m.x.shard].Do(ctx, &shard.Grant{Sub: m.x.id, Member: m.id, N: int64(n)})
	return err
}

// askRest asks for a rest, and returns its number.
func (m *Member) askRest(ctx context.Context) (uint64, error) {
	if m.seat != nil {
		return m.seat.rest(), nil
	}
	g := &shard.Grant{Sub: m.x.id, Member: m.id, Tell: true}
	_, err := m.b.shards[m.x.shard].Do(ctx, g)
	return g.Rest, err
}

// rest is how a rest stands that was asked for.
type rest struct {
	number uint64
	came   bool
	left   bool            // with credit left: there was nothing more
	next   <-chan struct{} // closed when another one comes; nil: it has come
}

func (m *Member) restedBy(number uint64) rest {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rested >= number || m.closed != nil {
		return rest{number, true, m.spare >= number || m.closed != nil, nil}
	}
	if m.resting == nil {
		m.resting = make(chan struct{})
	}
	return rest{number, false, false, m.resting}
}

func (m *Member) noteRest(r *subscription.Rest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rested = max(m.rested, r.Number); r.Left {
		m.spare = max(m.spare, r.Number)
	}
	m.tellRested()
}

// tellRested wakes who waits for a rest. mu is held.
func (m *Member) tellRested() {
	if m.resting != nil {
		close(m.resting)
		m.resting = nil
	}
}

// Detach takes the member out. What it has and did not settle is handed to others; with counts as an attempt that failed.
func (m *Member) Detach(ctx context.Context, counts bool) error {
	m.b.subs.members.Delete(memberKey{m.x.shard, m.id})
	m.close(fault.New(fault.Unavailable, "receive", m.x.name, "the member has left"))
	if m.seat != nil {
		m.seat.leave()
		return nil
	}
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
	ds := m.read(ls)
	m.b.sawDeliveries(m.c, m.x.name, ds)
	return ds, nil
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
		m.tellRested()
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
		if l.UntilMS <= now && m.seat == nil {
			continue // it waited too long, and is somebody else's
		}
		d, err := near.read(ls, i)
		switch {
		case err == nil:
			out = append(out, m.b.delivery(m.x, m.realID(l), l, m.b.asOf(m.x, l.At, l.Lies, d)))
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.Trimmed):
			gone = append(gone, l.Handle)
		default:
			m.b.opt.Log.Warn("an event of a subscription cannot be read; it is tried again", "subscription", m.x.name, "error", err)
			later = append(later, l.Handle)
		}
	}
	id := m.x.id
	if m.seat != nil && len(ls) > 0 {
		id = m.realID(&ls[0])
	}
	if x := m.b.subs.of(m.x.shard, id); x != nil && x.doc.Marks && len(out) > 0 {
		m.b.mark(x, out)
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
	if s := b.subs.shadows.of(subKey{x.shard, x.id}); s != nil {
		for _, h := range append(gone, later...) {
			s.settle(&h, shadowGone, 0)
		}
		return
	}
	ctx := b.choreContext()
	if len(gone) > 0 {
		_, _ = b.shards[x.shard].Do(ctx, &shard.Settle{Verb: shard.SettleAck, Why: subscription.Vanished, Handles: gone}) // its lease runs out otherwise
	}
	if len(later) > 0 {
		_, _ = b.shards[x.shard].Do(ctx, &shard.Settle{Verb: shard.SettleRelease, Handles: later, AfterMS: unreadableDelay.Milliseconds()}) // likewise
	}
}

func (b *Broker) delivery(x *subscribed, real subscription.ID, l *subscription.Leased, d *Delivered) Delivery {
	return Delivery{
		Delivered: d, Handle: Handle{x.shard, l.Handle}, ID: deliveryID(real, l.At), Attempt: int(l.Attempt), Until: time.UnixMilli(l.UntilMS), Again: l.Again,
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
	now := b.nowMS()
	shaded := b.subs.shadows.some.Load() > 0
	for i := range f.Deliveries {
		l := &f.Deliveries[i]
		if m, ok := b.subs.members.Load(memberKey{sh, l.Member}); ok {
			b.subs.recent.deliver(sh, l, now)
			m.(*Member).push(l)
			if shaded {
				b.shade(sh, l, now)
			}
			continue
		}
		// Nobody knows that member: it has left, or its attaching was given up. Once it is out, what it has goes to others.
		if x, id := b.subs.of(sh, l.Sub), l.Member; x != nil {
			b.subs.chore(func() { _ = b.detach(x, id, false) })
		}
	}
	b.buryAll(sh, f.Burials)
	for _, g := range f.Gaps {
		b.noteGap(sh, g)
	}
	for _, r := range f.Rests {
		if m, ok := b.subs.members.Load(memberKey{sh, r.Member}); ok {
			m.(*Member).noteRest(&r)
		}
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
			if m.seat != nil {
				m.seat.leave()
			}
		}
		return true
	})
}

// choreContext is for what the broker does by itself, for nobody's request. It ends by the shard's closing.
func (b *Broker) choreContext() context.Context { return context.Background() }
