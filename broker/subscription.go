package broker

import (
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
	SubscriptionCursor   = subscription.Cursor
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
	AddressFiltersMax = 2000 // of one subscription
	FilterVersionsMax = 32   // conditions on content that records still wait from
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
	Streams     []string          `json:"streams"`                // can be added, and taken away
	ShadowOf    string            `json:"shadow_of,omitempty"`    // gets what that subscription hands over, and has no streams; see shadow.go
	Routed      bool              `json:"routed,omitempty"`       // only what an address filter says reaches it, without any nothing does; stays as it was made. Set where Address is
	Address     []AddressFilter   `json:"address,omitempty"`      // one of them is enough
	Where       string            `json:"where,omitempty"`        // CEL, of the content: what does not match is passed over
	Selector    string            `json:"selector,omitempty"`     // likewise, in SQL-92; see selectorField
	Policies    []StreamPolicy    `json:"policies,omitempty"`     // of the content too, one for each of some streams
	DeadLetters string            `json:"dead_letters,omitempty"` // stream for what fails; "": it is dropped. Sets Policy.Bury
	Undertaker  string            `json:"undertaker,omitempty"`   // who says instead what becomes of what fails; see SetUndertaker. Sets Policy.Bury
	DeadSubject *string           `json:"dead_subject,omitempty"` // of dead letters instead of the event's; nil: as it is
	DeadKey     *string           `json:"dead_key,omitempty"`     // likewise
	Marks       bool              `json:"marks,omitempty"`        // deliveries say what the number of the event says of it; see Marks
	DropExpired bool              `json:"drop_expired,omitempty"` // what outlives its time is dropped, and no dead letter
	Policy      Policy            `json:"policy"`
	Documents   map[string]string `json:"documents,omitempty"` // settings that gateways own, kept verbatim
}

type subscriptionDocument struct {
	SubscriptionConfig
	StreamIDs []record.StreamID `json:"stream_ids"`
	CreatedMS int64             `json:"created_ms"`
	// Class is the same for those with the same address filters. One that is private has no others, and stays when they change.
	Class   uint32          `json:"class,omitempty"`
	Private bool            `json:"private,omitempty"`
	Since   []uint64        `json:"since,omitempty"`   // of each of Address; none: they always held
	Past    []pastAddress   `json:"past,omitempty"`    // while records may wait from then
	Wheres  []pastWhere     `json:"wheres,omitempty"`  // likewise, oldest first
	Filters []filterVersion `json:"filters,omitempty"` // instead, in documents of before

	Dropped []droppedLetters `json:"dropped,omitempty"`
	Told    []toldGap        `json:"told_gaps,omitempty"`
	Tells   bool             `json:"tells_gaps,omitempty"` // Told is all; one of before does not say what it has told

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
	wheres    []compiledWhere // oldest first
	lazy      atomic.Pointer[clauseIndex]
	policies  map[record.StreamID][]compiledPolicy
	filter    [1]AddressFilter // room for doc.Address, of which most have one
}

// subscriptions is the index of subscriptions by name and by number, kept in step with what is published.
type subscriptions struct {
	mu      sync.RWMutex
	byName  map[nameKey]*subscribed
	byID    map[subKey]*subscribed
	classes map[classKey]int32              // how many are in a class
	alike   map[likeKey]uint32              // the class of some address filters, that is not private
	routing []atomic.Pointer[address.Index] // all address filters of each shard
	recalls []address.Recall                // of each shard
	sharing sharing                         // under mu

	members     sync.Map // memberKey → *Member
	undertakers sync.Map // name → Undertaker
	occupants   sync.Map // func(namespace, name string) int, by the key of a document; see SetOccupants
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
	burials     []burials // of each shard
	stopMu      sync.Mutex
	stopping    bool // nobody begins any more; stopMu
	gaps        gaps
	recent      recent
	shadows     shadows
	sequences   sequenceWindows
}

type classKey struct {
	shard int
	class uint32
}

type likeKey struct {
	shard int
	like  likeness
}

type subKey struct {
	shard int
	id    subscription.ID
}

const (
	choresMax    = 4096 // waiting: counting, what is given back
	choreWorkers = 2
)

func (s *subscriptions) init(shards int) {
	s.byName, s.byID, s.pullers = map[nameKey]*subscribed{}, map[subKey]*subscribed{}, map[subKey]*puller{}
	s.classes, s.alike = map[classKey]int32{}, map[likeKey]uint32{}
	s.burials = make([]burials, shards)
	s.routing, s.recalls = make([]atomic.Pointer[address.Index], shards), make([]address.Recall, shards)
	for i := range s.routing {
		s.routing[i].Store(address.New())
	}
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

// chore hands something to do over, without waiting. When there is no room it is dropped, so each is something that comes again by itself: a lease runs
// out, a member nobody knows is found again at its next delivery, and what was not counted is counted when the subscription has caught up.
func (s *subscriptions) chore(do func()) {
	select {
	case s.chores <- do:
	default:
	}
}

func (s *subscriptions) close() {
	s.stopMu.Lock()
	s.stopping = true
	s.stopMu.Unlock()
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
	s := &b.subs
	if was := s.of(sh, subscription.ID(e.ID)); was != nil && was.revision == e.Revision {
		return
	}
	x := &subscribed{name: e.Name.Name, namespace: e.Name.Namespace, id: subscription.ID(e.ID), revision: e.Revision, shard: sh}
	var err error
	if x.doc, err = readDocument(e.Document); err != nil {
		b.opt.Log.Error("a subscription's document cannot be read", "subscription", e.Name.Name, "error", err)
		return
	}
	if x.wheres, err = x.doc.compileWheres(); err != nil { // checked when it was put; an older program may know less
		b.opt.Log.Error("a filter of a subscription cannot be read: nothing matches it", "subscription", e.Name.Name, "error", err)
	}
	if x.policies, err = x.doc.compilePolicies(); err != nil {
		b.opt.Log.Error("a policy of a subscription cannot be read: nothing matches it", "subscription", e.Name.Name, "error", err)
	}
	s.mu.Lock()
	s.sharing.document(&x.doc, x.name)
	if len(x.doc.Address) == 1 {
		x.filter[0] = x.doc.Address[0]
		x.doc.Address = x.filter[:]
	}
	old := s.byID[subKey{sh, x.id}]
	if old == nil || old.revision <= x.revision {
		s.byName[nameKey{x.namespace, x.name}], s.byID[subKey{sh, x.id}] = x, x
		err = s.route(sh, old, x)
		s.tellWatches(subKey{sh, x.id}, x)
		s.shadows.take(b, subKey{sh, x.id}, x)
	}
	s.mu.Unlock()
	if err != nil {
		b.opt.Log.Error("an address filter of a subscription cannot be read: nothing matches it", "subscription", e.Name.Name, "error", err)
	}
}

func (b *Broker) dropSubscription(sh int, n catalog.Name) {
	k := nameKey{n.Namespace, n.Name}
	s := &b.subs
	s.mu.Lock()
	old := s.byName[k]
	if old != nil && old.shard == sh {
		delete(s.byName, k)
		delete(s.byID, subKey{sh, old.id})
		_ = s.route(sh, old, nil) // what is taken away had been read
		s.tellWatches(subKey{sh, old.id}, nil)
		s.shadows.drop(subKey{sh, old.id})
		s.sequences.drop(subKey{sh, old.id})
	}
	s.mu.Unlock()
	if old != nil {
		b.dropMembers(func(m *Member) bool { return m.x.shard == sh && m.x.id == old.id }, fault.New(fault.NotFound, "receive", n.Name, "the subscription was deleted"))
	}
}

// route moves a subscription from the class it was in to the one it is in. A class has its address filters in the index as long as it has
// anybody. mu is held.
func (s *subscriptions) route(sh int, old, x *subscribed) error {
	if old != nil && !old.doc.Routed {
		old = nil
	}
	if x != nil && !x.doc.Routed {
		x = nil
	}
	switch {
	case old != nil && x != nil && old.doc.Class == x.doc.Class:
		s.likeIsGone(sh, old)
		s.likeIs(sh, x)
		return s.reindex(sh, x.doc.Class, &old.doc, &x.doc)
	case x != nil:
		if err := s.join(sh, x); err != nil {
			return err
		}
	}
	if old != nil {
		s.leave(sh, old)
	}
	return nil
}

func (s *subscriptions) join(sh int, x *subscribed) error {
	k := classKey{sh, x.doc.Class}
	s.classes[k]++
	if s.classes[k] > 1 {
		return nil
	}
	s.likeIs(sh, x)
	return s.reindex(sh, k.class, nil, &x.doc)
}

func (s *subscriptions) leave(sh int, x *subscribed) {
	k := classKey{sh, x.doc.Class}
	if s.classes[k]--; s.classes[k] > 0 {
		return
	}
	delete(s.classes, k)
	s.likeIsGone(sh, x)
	_ = s.reindex(sh, k.class, &x.doc, nil) // what is taken away had been read
}

// likeIs has others with the same address filters join x's class.
func (s *subscriptions) likeIs(sh int, x *subscribed) {
	if x.doc.Private {
		return
	}
	k := likeKey{sh, x.doc.like()}
	if _, some := s.alike[k]; !some {
		s.alike[k] = x.doc.Class
	}
}

func (s *subscriptions) likeIsGone(sh int, x *subscribed) {
	if x.doc.Private {
		return
	}
	if k := (likeKey{sh, x.doc.like()}); s.alike[k] == x.doc.Class {
		delete(s.alike, k)
	}
}

// reindex has the address filters of a class be others: it costs what is different. nil is none.
func (s *subscriptions) reindex(sh int, class uint32, was, is *subscriptionDocument) (failed error) {
	none := &subscriptionDocument{}
	if was == nil {
		was = none
	}
	if is == nil {
		is = none
	}
	index, id := s.routing[sh].Load(), address.ID(class)
	add := func(c address.Clause) error {
		next, err := index.Add(id, c)
		switch {
		case err == nil:
			index = next
		case !fault.Is(err, fault.Exists):
			failed = err
		}
		return nil
	}
	remove := func(c address.Clause) error {
		if next, err := index.Remove(id, c); err == nil {
			index = next
		}
		return nil
	}
	if !slices.Equal(was.StreamIDs, is.StreamIDs) || !slices.Equal(was.Streams, is.Streams) {
		// The same filter may be for other streams.
		for i := range was.Address {
			_ = was.clausesOf(&was.Address[i], remove)
		}
		was = none
	}
	before, now, again := placesOf(was.Address), placesOf(is.Address), false
	for i := range was.Address {
		if f := &was.Address[i]; now(f) < 0 {
			_ = was.clausesOf(f, remove)
			again = true // two filters may say the same in other words
		}
	}
	for i := range is.Address {
		if f := &is.Address[i]; again || before(f) < 0 {
			_ = is.clausesOf(f, add)
		}
	}
	s.routing[sh].Store(index)
	return failed
}

// matching is what matching needs; for one goroutine at a time.
type matching struct {
	m       *address.Matcher
	rec     address.Record
	scratch record.Event
	input   filter.Input
	extract *filter.Extract
	learned *subscribed // whose fields extract knows
	event   record.Event
	batches []*shard.Batch
	runs    []shard.Reach
	classes []subscription.ClassID // of runs, one after the other
}

// reach finds out whom the records of a command's entries reach by their address. It is called after ResolvedAt was read and when the
// entries are complete.
func (b *Broker) reach(sh int, cmd *shard.Append) error {
	index := b.subs.routing[sh].Load()
	cmd.Reach = nil
	if index.Len() == 0 {
		return nil
	}
	for i := range cmd.Entries {
		e := &cmd.Entries[i]
		if !index.Reads(e.Stream) {
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
		runs, err := x.reach(index, &b.subs.recalls[sh], e, typ)
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
