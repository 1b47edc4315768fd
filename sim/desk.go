package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// The desk is those who receive. Its subscriptions read what the clients append, and the desk believes only what it was answered:
//
//   - what was acknowledged, and answered, is not handed over again unless it was rewound afterwards;
//   - an attempt after the first, or any where they are limited, is handed over once, and none after the last;
//   - of a key, the next record comes when the ones before are settled;
//   - at the end everything that is there has been handed over, and nothing is left to count.

const (
	desksMax     = 3
	deskCredit   = 4
	deskAttempts = 3
	drainSteps   = 20_000 // 2.7 hours: the clock may have jumped back far
)

// interest is one subscription, as the desk knows it.
type interest struct {
	name   string
	policy subscription.Policy
	places []subscription.Place
	id     subscription.ID // 0: not known to be there

	member  subscription.MemberID // 0: none
	held    []subscription.Leased
	handed  map[subscription.At]handing
	late    map[attemptOf]bool       // attempts that were handed over and must not be again
	acks    map[subscription.At]int  // the step at which an acknowledgement was sent that was answered well
	tried   map[subscription.At]bool // an acknowledgement was sent
	rewinds map[subscription.Place][]rewound
	void    map[record.StreamID]bool // somebody asked for it to be deleted: it says nothing any more
}

type handing struct {
	step int
	most int32 // attempt
}

type attemptOf struct {
	at      subscription.At
	turn    uint32
	attempt int32
}

type rewound struct {
	step     int
	from     record.Offset
	answered bool
}

// looked is a look that the head has not been told of yet.
type looked struct {
	feed *subscription.Feed
	core *shard.Core
}

type deskCounts struct{ subscriptions, handed, again, acked, rewinds int }

func (c *deskCounts) add(o deskCounts) {
	c.subscriptions, c.handed, c.again, c.acked, c.rewinds = c.subscriptions+o.subscriptions, c.handed+o.handed, c.again+o.again, c.acked+o.acked, c.rewinds+o.rewinds
}

func (i *interest) catalogName() catalog.Name {
	return catalog.Name{Kind: catalog.Subscription, Namespace: "default", Name: i.name}
}

// Receive has somebody subscribe, receive and acknowledge in this run.
func (w *World) Receive() { w.deskRng = rand.New(rand.NewPCG(w.seed, 0xde5c)) }

// request puts a command into the queue, and has done called when it is answered.
func (w *World) request(what string, cmd shard.Command, done func(f *fault.Error)) {
	if w.node == nil {
		return
	}
	w.waiting = append(w.waiting, &attempt{request: shard.NewRequest(cmd), what: what, done: done})
	w.tracef("send %s", what)
}

// subscribe makes a subscription to one or two streams, from their beginning.
func (w *World) subscribe() {
	s := w.clients[0].stream(0)
	if s == nil || len(w.desk) >= desksMax || w.deskAsked {
		return
	}
	w.subscribed++
	i := &interest{
		name: fmt.Sprintf("sub%d", w.subscribed), handed: map[subscription.At]handing{}, late: map[attemptOf]bool{}, acks: map[subscription.At]int{},
		tried: map[subscription.At]bool{}, rewinds: map[subscription.Place][]rewound{}, void: map[record.StreamID]bool{},
	}
	i.policy = subscription.Policy{Kind: subscription.Delivery, LeaseMS: 20_000}
	switch w.subscribed % 3 {
	case 1:
		i.policy.Order, i.policy.RunMax, i.policy.BackoffMS, i.policy.BackoffMaxMS = subscription.OrderKey, 1, 1000, 60_000
	case 2:
		i.policy.AttemptsMax, i.policy.DelayMS = deskAttempts, int64(w.deskRng.IntN(2)*30_000)
	}
	if err := i.policy.Check(); err != nil {
		w.failf("a policy is refused: %v", err)
	}
	streams := []*simStream{s}
	if t := w.clients[0].stream(0); t != s {
		streams = append(streams, t)
	}
	var begin []shard.Beginning
	for _, s := range streams {
		for n := range s.partitions {
			at := subscription.Place{Stream: s.id, Partition: record.PartitionID(n)}
			i.places = append(i.places, at)
			begin = append(begin, shard.Beginning{Place: at})
		}
	}
	w.deskAsked = true
	w.request("subscribe "+i.name, &shard.PutSubscription{
		Name: i.catalogName(), Revision: catalog.NoRevision, Policy: i.policy, Begin: begin,
		Document: func(uint64, subscription.ClassID) []byte { return []byte(i.name) },
	}, func(f *fault.Error) {
		w.deskAsked = false
		if f == nil {
			w.desk = append(w.desk, i)
			w.desks.subscriptions++
			w.findDesk()
			return
		}
		if f.Kind == fault.Unknown {
			w.deskMaybe = append(w.deskMaybe, i) // perhaps it is there
		}
	})
}

// findDesk learns what subscriptions there are, also those whose making was not answered.
func (w *World) findDesk() {
	pub := w.node.Published()
	for _, i := range w.deskMaybe {
		if pub.Entry(i.catalogName()) != nil && !slices.ContainsFunc(w.desk, func(x *interest) bool { return x.name == i.name }) {
			w.desk = append(w.desk, i)
		}
	}
	w.deskMaybe = nil
	for _, i := range w.desk {
		e := pub.Entry(i.catalogName())
		if e == nil {
			w.failf("subscription %s is gone; nobody deleted it", i.name)
			return
		}
		i.id = subscription.ID(e.ID)
	}
}

// receive does one thing at the desk.
func (w *World) receive() {
	if w.deskRng.IntN(12) == 0 {
		w.subscribe()
		return
	}
	w.attend()
	if len(w.desk) == 0 {
		return
	}
	i := w.desk[w.deskRng.IntN(len(w.desk))]
	switch n := w.deskRng.IntN(20); {
	case i.id == 0:
	case i.member == 0:
		w.sitDown(i, deskCredit)
	case n < 9:
		w.say(i, shard.SettleAck)
	case n < 12:
		w.say(i, shard.SettleRelease)
	case n < 13:
		w.say(i, shard.SettleRenew)
	case n < 14 && i.policy.Order == subscription.OrderNone:
		i.member, i.held = 0, nil // goes away without a word: its leases run out
		w.standUp(i)
	case n < 15 && w.deskRng.IntN(8) == 0:
		w.rewind(i)
	case n < 17:
		w.request("grant", &shard.Grant{Sub: i.id, Member: i.member, N: deskCredit}, func(*fault.Error) {})
	default:
		w.lookUp()
	}
}

func (w *World) sitDown(i *interest, credit int64) {
	w.members++
	id := subscription.MemberID(w.members)
	i.member, i.held = id, nil
	w.request(fmt.Sprintf("attach %d to %s", id, i.name), &shard.Attach{Sub: i.id, Member: subscription.Member{ID: id, Credit: credit}}, func(f *fault.Error) {
		if f != nil && i.member == id {
			i.member = 0
		}
	})
}

func (w *World) standUp(i *interest) {
	if last := subscription.MemberID(w.members); w.deskRng.IntN(2) == 0 {
		w.request("detach", &shard.Detach{Sub: i.id, Member: last, Counts: true}, func(*fault.Error) {})
	}
}

// say tells what became of some that the member has.
func (w *World) say(i *interest, verb shard.SettleVerb) {
	if len(i.held) == 0 {
		return
	}
	n := 1 + w.deskRng.IntN(min(3, len(i.held)))
	w.sayOf(i, verb, w.deskRng.IntN(len(i.held)-n+1), n)
}

func (w *World) sayOf(i *interest, verb shard.SettleVerb, from, n int) {
	cmd := &shard.Settle{Verb: verb, AfterMS: subscription.ByPolicy, Counts: true}
	for _, l := range i.held[from : from+n] {
		cmd.Handles = append(cmd.Handles, l.Handle)
		i.tried[l.At] = i.tried[l.At] || verb == shard.SettleAck
	}
	switch verb {
	case shard.SettleRenew:
		cmd.AfterMS = 40_000
	default:
		i.held = slices.Delete(i.held, from, from+n)
	}
	sent := w.steps
	w.request(fmt.Sprintf("settle %d of %s by %d", n, i.name, verb), cmd, func(f *fault.Error) {
		if f != nil || verb != shard.SettleAck {
			return
		}
		for k, h := range cmd.Handles {
			if cmd.Outcomes[k].Good() {
				i.acks[h.At] = sent
				w.desks.acked++
			}
		}
	})
}

func (w *World) rewind(i *interest) {
	at := i.places[w.deskRng.IntN(len(i.places))]
	from := record.Offset(w.deskRng.IntN(8))
	i.rewinds[at] = append(i.rewinds[at], rewound{w.steps, from, false})
	k := len(i.rewinds[at]) - 1
	w.request(fmt.Sprintf("rewind %s to %d", i.name, from), &shard.Rewind{Sub: i.id, Begin: []shard.Beginning{{Place: at, From: from}}}, func(f *fault.Error) {
		if f == nil {
			i.rewinds[at][k].answered = true
			w.desks.rewinds++
		}
	})
}

// handOut is what a shard's loop does after each thing it did.
func (w *World) handOut() {
	if w.deskRng != nil && w.node != nil {
		w.wants = append(w.wants, w.node.Attend(w.handOver)...)
	}
}

// leave: the head is gone, and members with it.
func (w *World) leave() {
	w.wants, w.feeds = nil, nil
	for _, i := range w.desk {
		i.member, i.held = 0, nil
	}
}

// attend does one of the things that a shard does beside requests.
func (w *World) attend() {
	switch w.deskRng.IntN(3) {
	case 0:
		w.tick()
	case 1:
		w.lookUp()
	default:
		w.feed()
	}
}

func (w *World) tick() {
	w.node.Core().Tick(w.clock.Now().UnixMilli())
	w.handOut()
}

// lookUp answers the want that waits longest; the head is told later.
func (w *World) lookUp() {
	if len(w.wants) == 0 {
		return
	}
	want := w.wants[0]
	w.wants = w.wants[1:]
	f, err := w.feedOf(want)
	if err != nil {
		w.tracef("look for %d at %d/%d from %d: %v", want.Sub, want.Stream, want.Partition, want.From, err)
		w.wants = append(w.wants, want)
		return
	}
	w.tracef("look for %d at %d/%d from %d to %d: %d, through %d", want.Sub, want.Stream, want.Partition, want.From, want.To, len(f.Records), f.Through)
	w.feeds = append(w.feeds, looked{f, w.node.Core()})
}

func (w *World) feed() {
	if len(w.feeds) == 0 {
		return
	}
	l := w.feeds[0]
	w.feeds = w.feeds[1:]
	if l.core == w.node.Core() {
		l.core.Feed(l.feed, nil, w.clock.Now().UnixMilli())
		w.handOut()
	}
}

// feedOf reads what a head wants to be shown, as broker/look.go does.
func (w *World) feedOf(want subscription.Want) (*subscription.Feed, error) {
	pub := w.node.Published()
	f := &subscription.Feed{Want: want, Through: want.From}
	src, ok := pub.Source(want.Stream, want.Partition)
	if !ok {
		f.Through = want.To
		return f, nil
	}
	at := lane{want.Stream, want.Partition}
	for from := want.From; from < want.To && len(f.Records) < want.Max; {
		if start := src.Part.Start(); from < start {
			from = min(start, want.To)
			f.Through = from
			continue
		}
		batches, err := pub.Read(nil, src, from, 1<<10, shard.AllSeqs)
		if fault.Is(err, fault.Trimmed) && src.Part.Start() > from {
			continue
		}
		if err != nil {
			if from > want.From {
				return f, nil
			}
			return nil, err
		}
		if len(batches) == 0 {
			f.Through = want.To
			return f, nil
		}
		for _, b := range batches {
			for _, r := range w.unpack(at, b) {
				if r.offset < from || r.offset >= want.To || len(f.Records) >= want.Max {
					continue
				}
				m := subscription.Meta{Offset: r.offset, Seq: b.Seq, AppendedMS: b.TimeMS, Size: int32(share(int64(len(b.Raw)), int64(b.Next-b.Base), int64(r.offset-b.Base))), Key: keyNumber(r.key)}
				w.show(r)
				f.Records = append(f.Records, m)
				f.Through, from = r.offset+1, r.offset+1
			}
			if len(f.Records) < want.Max {
				from = max(from, min(b.Next, want.To))
				f.Through = from
			}
		}
	}
	return f, nil
}

// keyNumber is never 0 for a key.
func keyNumber(key string) uint64 {
	if key == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return max(h.Sum64(), 1)
}

// handOver takes what members are handed, and looks whether they may be.
func (w *World) handOver(f *shard.Follow) {
	for k := range f.Deliveries {
		l := &f.Deliveries[k]
		for _, i := range w.desk {
			if i.id != l.Sub {
				continue
			}
			w.tracef("hand over %s %d/%d/%d attempt %d", i.name, l.At.Stream, l.At.Partition, l.At.Offset, l.Attempt)
			w.checkHanded(i, l)
			if i.member == l.Member {
				i.held = append(i.held, *l)
			}
		}
	}
	if len(f.Burials) > 0 {
		w.failf("%d records are to be buried, which nobody asked for", len(f.Burials))
	}
}

func (w *World) checkHanded(i *interest, l *subscription.Leased) {
	w.desks.handed++
	if sent, acked := i.acks[l.At]; acked && !i.again(l.At, sent) {
		w.failf("%s: %+v was acknowledged and is handed over again, attempt %d", i.name, l.At, l.Attempt)
	}
	if most := i.policy.AttemptsMax; most > 0 && l.Attempt > most {
		w.failf("%s: %+v is handed over for attempt %d of %d", i.name, l.At, l.Attempt, most)
	}
	if l.Attempt > 1 {
		w.desks.again++
	}
	if l.Attempt > 1 || i.policy.AttemptsMax > 0 {
		x := attemptOf{l.At, l.Turn, l.Attempt}
		if i.late[x] {
			w.failf("%s: attempt %d of %+v is handed over twice", i.name, l.Attempt, l.At)
		}
		i.late[x] = true
	}
	if i.policy.Order == subscription.OrderKey {
		w.checkInTurn(i, l)
	}
	h := i.handed[l.At]
	i.handed[l.At] = handing{w.steps, max(h.most, l.Attempt)}
}

// checkInTurn: those of its key that come before it are settled, or gone.
func (w *World) checkInTurn(i *interest, l *subscription.Leased) {
	at := lane{l.At.Stream, l.At.Partition}
	src, there := w.node.Published().Source(at.stream, at.partition)
	if seen := w.seen[at]; there && int(l.At.Offset) < len(seen) && !w.lossy(at.stream) && !i.void[at.stream] {
		start := src.Part.Start()
		for o := start; o < l.At.Offset; o++ {
			before := subscription.At{Place: l.At.Place, Offset: o}
			if key := seen[o].key; key != "" && key == seen[l.At.Offset].key && !i.tried[before] && !i.skipped(before) {
				w.failf("%s: %+v is handed over, and offset %d of key %s is not settled", i.name, l.At, o, key)
			}
		}
	}
}

// again says that a record may be handed over again that was acknowledged at that step.
func (i *interest) again(at subscription.At, since int) bool {
	return slices.ContainsFunc(i.rewinds[at.Place], func(r rewound) bool { return r.step >= since && r.from <= at.Offset })
}

// skipped says that a rewind forwards may have passed over a record.
func (i *interest) skipped(at subscription.At) bool {
	return slices.ContainsFunc(i.rewinds[at.Place], func(r rewound) bool { return r.from > at.Offset })
}

// drain receives and acknowledges everything, and checks that it was everything.
func (w *World) drain() {
	if w.deskRng == nil || w.node == nil {
		return
	}
	w.findDesk()
	for _, i := range w.desk {
		w.sitDown(i, subscription.Endless)
	}
	var depths []*shard.Examine
	for n := 0; w.err == nil && len(w.desk) > 0; n++ {
		w.steps++
		w.decide()
		w.take()
		w.write()
		w.publish()
		w.answer()
		w.tick()
		w.lookUp()
		w.feed()
		for _, i := range w.desk {
			w.acknowledge(i)
		}
		if n%8 == 0 {
			w.clock.Advance(4 * time.Second) // slowly, so that acknowledgements come before leases run out
			w.nowMax = max(w.nowMax, w.clock.Now().UnixMilli())
		}
		if n%50 != 49 {
			continue
		}
		if len(w.feeds)+len(w.wants) == 0 && len(depths) > 0 && drained(depths) {
			break
		}
		if n > drainSteps {
			var text strings.Builder
			for k, i := range w.desk {
				fmt.Fprintf(&text, "\n%s: %+v, sources %+v", i.name, depths[k].Depth, depths[k].Sources)
			}
			w.failf("the desk does not come to its end: %d waiting, %d open, %d written, %d feeds, %d wants%s", len(w.waiting), len(w.open), len(w.written), len(w.feeds), len(w.wants), text.String())
			return
		}
		depths = nil
		for _, i := range w.desk {
			x := &shard.Examine{Sub: i.id}
			depths = append(depths, x)
			w.request("examine "+i.name, x, func(f *fault.Error) {
				if f != nil {
					w.failf("%s cannot be examined: %v", i.name, f)
				}
			})
		}
	}
	for _, i := range w.desk {
		w.checkAll(i)
	}
}

func drained(depths []*shard.Examine) bool {
	return !slices.ContainsFunc(depths, func(x *shard.Examine) bool {
		return x.Depth.Total.Count != 0 || x.Depth.Total.Bytes != 0 || !x.Depth.Exact || x.Depth.Leased+x.Depth.Waiting+x.Depth.Dying != 0
	})
}

// acknowledge everything that a member has.
func (w *World) acknowledge(i *interest) {
	for len(i.held) > 0 {
		w.sayOf(i, shard.SettleAck, 0, len(i.held))
	}
}

// checkAll: what is there was handed over, and since it was rewound. An attempt that a crash overtook after it was recorded, and before anybody had
// the record, is an attempt: where they are limited, a record can come to its end unseen.
func (w *World) checkAll(i *interest) {
	if i.policy.AttemptsMax > 0 && w.lives > 0 {
		return
	}
	for _, p := range i.places {
		at := lane{p.Stream, p.Partition}
		src, there := w.node.Published().Source(at.stream, at.partition)
		if !there || i.void[at.stream] {
			continue
		}
		start := src.Part.Start()
		for o := start; int(o) < len(w.seen[at]); o++ {
			r := w.seen[at][o]
			if r.value == "" || w.lossy(at.stream) && (w.gone[at][o] || w.mayGo(r)) {
				continue
			}
			h, handed := i.handed[subscription.At{Place: p, Offset: o}]
			since := 0
			for _, r := range i.rewinds[p] {
				if r.answered && r.from <= o {
					since = max(since, r.step)
				}
			}
			if !i.skipped(subscription.At{Place: p, Offset: o}) && (!handed || h.step < since) {
				w.failf("%s: %+v offset %d was never handed over (since step %d); last at %d", i.name, p, o, since, h.step)
				return
			}
		}
	}
}

// voidDesk: somebody asks for a stream to go, and with it what subscriptions have of it.
func (w *World) voidDesk(id record.StreamID) {
	for _, i := range w.desk {
		i.void[id] = true
	}
}

// share is what the i-th of n records has of all bytes: together they have them all.
func share(all, n, i int64) int64 { return all*(i+1)/n - all*i/n }
