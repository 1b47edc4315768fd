package broker

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/filter"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// The words of subscriptions, for gateways; see broker/subscription.
type (
	Policy     = subscription.Policy
	Outcome    = subscription.Outcome
	MemberRank = int32
)

// What a policy says.
const (
	SubscriptionDelivery = subscription.Delivery
	OrderNone            = subscription.OrderNone
	OrderKey             = subscription.OrderKey
	OrderTotal           = subscription.OrderTotal
	MembersShared        = subscription.Shared
	MembersExclusive     = subscription.Exclusive
	MembersSingleActive  = subscription.SingleActive
	OverflowDropHead     = subscription.DropHead
	OverflowRejectAppend = subscription.RejectAppend
)

// What became of a handle. Done, Already and Late are good: the record is settled.
const (
	OutcomeDone    = subscription.Done
	OutcomeAlready = subscription.Already
	OutcomeLate    = subscription.Late
	OutcomeLost    = subscription.Lost
	OutcomeUnknown = subscription.Unknown
)

// NewOnly as a revision asks for a subscription that is not there yet.
const NewOnly = catalog.NoRevision

// Limits of what a subscription's document says.
const (
	AddressFiltersMax = 1000 // of one subscription
	FilterVersionsMax = 32   // changes of filters that records still wait from
	WhereBytesMax     = 16 << 10
)

// AddressFilter is one way for a record to reach a subscription: all that it says must hold of the record.
type AddressFilter struct {
	Stream  string               `json:"stream,omitempty"` // one of the subscription's; "" is each of them
	Subject address.Pattern      `json:"subject,omitzero"`
	Key     address.Pattern      `json:"key,omitzero"`
	Type    address.Pattern      `json:"type,omitzero"`
	Headers []address.HeaderTest `json:"headers,omitempty"`
	Any     bool                 `json:"any,omitempty"` // one of Headers is enough
}

// SubscriptionConfig is what can be set about a subscription.
type SubscriptionConfig struct {
	Streams     []string          `json:"streams"`                // more can be added later, none taken away
	Routed      bool              `json:"routed,omitempty"`       // only what an address filter says reaches it, without any nothing does; stays as it was made. Set where Address is
	Address     []AddressFilter   `json:"address,omitempty"`      // one of them is enough
	Where       string            `json:"where,omitempty"`        // CEL, of the content: what does not match is passed over
	Policies    []StreamPolicy    `json:"policies,omitempty"`     // of the content too, one for each of some streams
	DeadLetters string            `json:"dead_letters,omitempty"` // stream for what fails; "": it is dropped. Sets Policy.Bury
	Undertaker  string            `json:"undertaker,omitempty"`   // who says instead what becomes of what fails; see SetUndertaker. Sets Policy.Bury
	Policy      Policy            `json:"policy"`
	Documents   map[string]string `json:"documents,omitempty"` // settings that gateways own, kept verbatim
}

// filterVersion is the filters that hold for records of frames after From, up to the next version.
type filterVersion struct {
	From    uint64          `json:"from"`
	Address []AddressFilter `json:"address,omitempty"`
	Where   string          `json:"where,omitempty"`
}

type subscriptionDocument struct {
	SubscriptionConfig
	StreamIDs []record.StreamID `json:"stream_ids"`
	CreatedMS int64             `json:"created_ms"`
	Class     uint32            `json:"class,omitempty"` // the same for those with the same address filters
	Filters   []filterVersion   `json:"filters"`         // oldest first; the last one is the configuration's

	PoliciesOf []policyVersion `json:"policies_of,omitempty"` // of before, while records wait from then
}

// subscribed is a subscription as the broker resolves it. It is replaced, never changed.
type subscribed struct {
	name      string
	namespace string
	id        subscription.ID
	revision  uint64
	shard     int
	doc       subscriptionDocument
	filters   []compiledFilter // as doc.Filters
	policies  map[record.StreamID][]compiledPolicy
}

type compiledFilter struct {
	from    uint64
	clauses []address.Clause
	index   *address.Index // of clauses; nil: none
	where   *filter.Filter // nil: everything
}

// filterAt is what holds for a record of a frame.
func (x *subscribed) filterAt(seq uint64) *compiledFilter {
	at := &x.filters[0]
	for i := range x.filters {
		if x.filters[i].from < seq {
			at = &x.filters[i]
		}
	}
	return at
}

// subscriptions is the index of subscriptions by name and by number, kept in step with what is published.
type subscriptions struct {
	mu      sync.RWMutex
	byName  map[nameKey]*subscribed
	byID    map[subKey]*subscribed
	classes map[classKey]map[subscription.ID]struct{} // who is in a class
	alike   map[likeKey]uint32                        // the class of some address filters
	routing []atomic.Pointer[routing]                 // of each shard

	members     sync.Map // memberKey → *Member
	undertakers sync.Map // name → Undertaker
	next        atomic.Uint64
	pullMu      sync.Mutex
	pullers     map[subKey]*puller
	sealMu      sync.Mutex
	sealer      atomic.Pointer[subscription.Sealer]
	chores      chan func()
	opened      chan struct{} // closed when all shards are there
	stop        chan struct{}
	stopped     sync.WaitGroup
	matchers    sync.Pool
	watches     []*SubscriptionWatch
	causes      causes
}

type classKey struct {
	shard int
	class uint32
}

// likeKey is address filters as text.
type likeKey struct {
	shard   int
	clauses string
}

type subKey struct {
	shard int
	id    subscription.ID
}

// routing is all address filters of a shard. It is replaced, never changed.
type routing struct {
	index   *address.Index
	streams map[record.StreamID]int // clauses of each
}

const (
	choresMax    = 4096 // waiting: burials, counting, what is given back
	choreWorkers = 2
)

func (s *subscriptions) init(shards int) {
	s.byName, s.byID, s.pullers = map[nameKey]*subscribed{}, map[subKey]*subscribed{}, map[subKey]*puller{}
	s.classes, s.alike = map[classKey]map[subscription.ID]struct{}{}, map[likeKey]uint32{}
	s.routing = make([]atomic.Pointer[routing], shards)
	s.opened = make(chan struct{})
	s.chores, s.stop = make(chan func(), choresMax), make(chan struct{})
	s.matchers.New = func() any { return &matching{m: address.NewMatcher(), extract: filter.NewExtract()} }
	for range choreWorkers {
		s.stopped.Go(s.work)
	}
}

// work does what has to be done for subscriptions and may wait.
func (s *subscriptions) work() {
	select {
	case <-s.opened:
	case <-s.stop:
		return
	}
	for {
		select {
		case <-s.stop:
			return
		case do := <-s.chores:
			do()
		}
	}
}

// chore hands something to do over, without waiting. When there is no room it is dropped, so each is something that comes again by itself: a burial is
// asked for again, a lease runs out, a member nobody knows is found again at its next delivery, and what was not counted is counted when the subscription has caught up.
func (s *subscriptions) chore(do func()) {
	select {
	case s.chores <- do:
	default:
	}
}

func (s *subscriptions) close() {
	close(s.stop)
	s.stopped.Wait()
}

func (s *subscriptions) get(namespace, name string) *subscribed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[nameKey{namespace, name}]
}

func (s *subscriptions) of(sh int, id subscription.ID) *subscribed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[subKey{sh, id}]
}

// takeSubscription notes a subscription, or what has changed of it.
func (b *Broker) takeSubscription(sh int, e *catalog.Entry) {
	x := &subscribed{name: e.Name.Name, namespace: e.Name.Namespace, id: subscription.ID(e.ID), revision: e.Revision, shard: sh}
	if err := json.Unmarshal(e.Document, &x.doc); err != nil {
		b.opt.Log.Error("a subscription's document cannot be read", "subscription", e.Name.Name, "error", err)
		return
	}
	for i := range x.doc.Filters {
		f, err := x.doc.compile(&x.doc.Filters[i])
		if err != nil { // checked when it was put; an older program may know less
			b.opt.Log.Error("a filter of a subscription cannot be read: nothing matches it", "subscription", e.Name.Name, "error", err)
			f = compiledFilter{from: x.doc.Filters[i].From, index: address.New()}
		}
		x.filters = append(x.filters, f)
	}
	var err error
	if x.policies, err = x.doc.compilePolicies(); err != nil {
		b.opt.Log.Error("a policy of a subscription cannot be read: nothing matches it", "subscription", e.Name.Name, "error", err)
	}
	k := nameKey{x.namespace, x.name}
	s := &b.subs
	s.mu.Lock()
	old := s.byID[subKey{sh, x.id}]
	if old == nil || old.revision <= x.revision {
		s.byName[k], s.byID[subKey{sh, x.id}] = x, x
		s.route(sh, old, x)
		s.tellWatches(subKey{sh, x.id}, x)
	}
	s.mu.Unlock()
}

func (b *Broker) dropSubscription(sh int, n catalog.Name) {
	k := nameKey{n.Namespace, n.Name}
	s := &b.subs
	s.mu.Lock()
	old := s.byName[k]
	if old != nil && old.shard == sh {
		delete(s.byName, k)
		delete(s.byID, subKey{sh, old.id})
		s.route(sh, old, nil)
		s.tellWatches(subKey{sh, old.id}, nil)
	}
	s.mu.Unlock()
	if old != nil {
		b.dropMembers(func(m *Member) bool { return m.x.shard == sh && m.x.id == old.id }, fault.New(fault.NotFound, "receive", n.Name, "the subscription was deleted"))
	}
}

// route moves a subscription from the class it was in to the one it is in. A class has its clauses in the index as long as it has
// anybody. mu is held.
func (s *subscriptions) route(sh int, old, x *subscribed) {
	if old != nil && x != nil && old.doc.Class == x.doc.Class {
		return
	}
	if x != nil && x.doc.Routed {
		k := classKey{sh, x.doc.Class}
		if s.classes[k] == nil {
			s.classes[k] = map[subscription.ID]struct{}{}
			s.alike[likeKey{sh, x.like()}] = x.doc.Class
			s.index(sh, k.class, x.clauses(), true)
		}
		s.classes[k][x.id] = struct{}{}
	}
	if old != nil && old.doc.Routed {
		k := classKey{sh, old.doc.Class}
		if delete(s.classes[k], old.id); len(s.classes[k]) == 0 {
			delete(s.classes, k)
			if l := (likeKey{sh, old.like()}); s.alike[l] == k.class {
				delete(s.alike, l)
			}
			s.index(sh, k.class, old.clauses(), false)
		}
	}
}

func (x *subscribed) clauses() []address.Clause { return x.filters[len(x.filters)-1].clauses }

func (x *subscribed) like() string { return x.doc.like() }

// like is what subscriptions of one class have in common.
func (d *subscriptionDocument) like() string {
	streams := map[string]record.StreamID{}
	for i, s := range d.Streams {
		streams[s] = d.StreamIDs[i]
	}
	p, err := json.Marshal(struct {
		Streams map[string]record.StreamID
		Address []AddressFilter
	}{streams, d.Address})
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return string(p)
}

// index adds or removes the clauses of a class.
func (s *subscriptions) index(sh int, class uint32, clauses []address.Clause, add bool) {
	r := &routing{index: address.New(), streams: map[record.StreamID]int{}}
	if now := s.routing[sh].Load(); now != nil {
		r.index, r.streams = now.index, maps.Clone(now.streams)
	}
	for _, c := range clauses {
		change, by := r.index.Add, 1
		if !add {
			change, by = r.index.Remove, -1
		}
		next, err := change(address.ID(class), c)
		if err != nil {
			continue // it is there already, or not any more
		}
		r.index = next
		if r.streams[c.Stream] += by; r.streams[c.Stream] == 0 {
			delete(r.streams, c.Stream)
		}
	}
	s.routing[sh].Store(r)
}

// compile makes filters of what a document says.
func (d *subscriptionDocument) compile(v *filterVersion) (f compiledFilter, err error) {
	f.from = v.From
	if v.Where != "" {
		if f.where, err = filter.Compile(v.Where); err != nil {
			return f, err
		}
	}
	if !d.Routed {
		return f, nil
	}
	f.index = address.New()
	for i := range v.Address {
		a := &v.Address[i]
		for k, id := range d.StreamIDs {
			if a.Stream != "" && a.Stream != d.Streams[k] {
				continue
			}
			c := address.Clause{Stream: id, Subject: a.Subject, Key: a.Key, Type: a.Type, Headers: a.Headers, Any: a.Any}
			next, err := f.index.Add(1, c)
			if fault.Is(err, fault.Exists) {
				continue
			}
			if err != nil {
				return f, err
			}
			f.index, f.clauses = next, append(f.clauses, c)
		}
	}
	return f, nil
}

// matching is what matching needs; for one goroutine at a time.
type matching struct {
	m       *address.Matcher
	rec     address.Record
	scratch record.Event
	input   filter.Input
	extract *filter.Extract
	event   record.Event
	batches []*shard.Batch
}

// reach finds out whom the records of a command's entries reach by their address. It is called after ResolvedAt was read and when the
// entries are complete.
func (b *Broker) reach(sh int, cmd *shard.Append) error {
	r := b.subs.routing[sh].Load()
	cmd.Reach = nil
	if r == nil || len(r.streams) == 0 {
		return nil
	}
	for i := range cmd.Entries {
		e := &cmd.Entries[i]
		if r.streams[e.Stream] == 0 {
			continue
		}
		if cmd.Reach == nil {
			cmd.Reach = make([][]shard.Reach, len(cmd.Entries))
		}
		typ := DefaultEventType
		if n := b.names.of(sh, e.Stream); n != nil && n.config.DefaultType != "" {
			typ = n.config.DefaultType
		}
		x := b.subs.matchers.Get().(*matching)
		var runs []shard.Reach
		err := record.EachRecord(e.Batch, record.DefaultInflateLimits(), func(k int, rec *record.Record) error {
			x.rec.Of(e.Stream, rec, typ, &x.scratch)
			var ids []address.ID
			if x.m.Match(r.index, &x.rec) {
				ids = x.m.IDs()
			}
			n := subscription.Amount{Count: 1, Bytes: share(len(e.Batch), int64(e.Header.Count), int64(k))}
			is := plain(rec)
			if len(runs) > 0 && runs[len(runs)-1].Plain == is && sameClasses(runs[len(runs)-1].Classes, ids) {
				runs[len(runs)-1].Count++
				runs[len(runs)-1].Bytes += n.Bytes
				return nil
			}
			classes := make([]subscription.ClassID, len(ids))
			for j, id := range ids {
				classes[j] = subscription.ClassID(id)
			}
			runs = append(runs, shard.Reach{Classes: classes, Amount: n, Plain: is})
			return nil
		})
		b.subs.matchers.Put(x)
		if err != nil {
			return err
		}
		cmd.Reach[i] = runs
	}
	return nil
}

// plain reports whether meta of a record is what all records have.
func plain(r *record.Record) bool {
	if r.Key != nil {
		return false
	}
	for i := range r.Headers {
		switch r.Headers[i].Key {
		case HeaderPriority, HeaderDeliverAt, HeaderExpiresAt:
			return false
		}
	}
	return true
}

func sameClasses(a []subscription.ClassID, b []address.ID) bool {
	return len(a) == len(b) && slices.EqualFunc(a, b, func(x subscription.ClassID, y address.ID) bool { return uint64(x) == uint64(y) })
}

// share is what one of n records has of the bytes of its batch as stored: together they have them all.
func share(bytes int, n, k int64) int64 {
	if n <= 0 {
		return int64(bytes)
	}
	return int64(bytes)*(k+1)/n - int64(bytes)*k/n
}

func subscriptionName(namespace, name string) catalog.Name {
	return catalog.Name{Kind: catalog.Subscription, Namespace: namespace, Name: name}
}

// findSubscription resolves a name for something that c wants to do.
func (b *Broker) findSubscription(c *Caller, op string, a Action, name string) (*subscribed, error) {
	if err := b.allow(c, op, a, KindSubscription, name); err != nil {
		return nil, err
	}
	x := b.subs.get(c.namespace(), name)
	if x == nil {
		return nil, fault.New(fault.NotFound, op, name, "there is no subscription %q", name)
	}
	return x, nil
}

func (x *subscribed) created() time.Time { return time.UnixMilli(x.doc.CreatedMS) }

// config is a copy of what was set.
func (x *subscribed) config() SubscriptionConfig {
	c := x.doc.SubscriptionConfig
	c.Streams, c.Address, c.Documents = slices.Clone(c.Streams), slices.Clone(c.Address), maps.Clone(c.Documents)
	c.Policies = slices.Clone(c.Policies)
	return c
}

// streamOf is the stream of that number as far as it has a name; under the name by which it was subscribed to otherwise.
func (b *Broker) streamOf(x *subscribed, id record.StreamID) *named {
	if n := b.names.of(x.shard, id); n != nil {
		return n
	}
	name := ""
	for k, s := range x.doc.StreamIDs {
		if s == id {
			name = x.doc.Streams[k]
		}
	}
	return &named{name: name, namespace: x.namespace, id: id, shard: x.shard, uri: b.StreamURI(x.namespace, name)}
}
