package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// PutSubscription makes a subscription or changes one: edit is given what is set, nothing for a new one, and changes it. from says where a
// new one begins, and where it begins with streams that are added: StartLatest is with what is appended from now on. With a revision other than 0 the
// subscription must still be at it, with catalog.NoRevision (^0) there must be none. It takes the right to create or alter the subscription and to read its streams.
// Names that begin with "leat." are refused to whoever makes one: what the platform makes under them is not to meet something else there.
//
// A filter that is changed counts for what is appended from the change on.
func (b *Broker) PutSubscription(ctx context.Context, c *Caller, name string, edit func(*SubscriptionConfig) error, from Start, revision uint64) (SubscriptionInfo, error) {
	if err := record.CheckStreamName(name); err != nil {
		return SubscriptionInfo{}, fault.New(fault.Invalid, "subscribe", "name", "the name of a subscription follows the rules of stream names: %s", fault.As(err).Text)
	}
	if strings.HasPrefix(name, platformPrefix) && b.subs.get(c.namespace(), name) == nil {
		return SubscriptionInfo{}, fault.New(fault.Invalid, "subscribe", "name", "the name %q begins with %q; such subscriptions are made by the platform only", name, platformPrefix)
	}
	if b.opt.Format < fact.Format3 {
		return SubscriptionInfo{}, fault.New(fault.Unsupported, "subscribe", name, "the data directory has format %d and this needs %d; run `leat upgrade --finalize`", b.opt.Format, fact.Format3)
	}
	from, err := b.ourStart("subscribe", "from", from)
	if err != nil {
		return SubscriptionInfo{}, err
	}
	for range alterTriesMax {
		if err = b.putSubscription(ctx, c, name, edit, from, revision); !again(err) || revision != 0 {
			break
		}
	}
	if err != nil {
		return SubscriptionInfo{}, err
	}
	return b.describeSubscription(ctx, b.subs.get(c.namespace(), name), name)
}

// again reports whether somebody else was faster, so that another try may do.
func again(err error) bool {
	return fault.Is(err, fault.Conflict) && fault.As(err).Reason == fault.ReasonRevision || fault.Is(err, fault.Exists)
}

func (b *Broker) putSubscription(ctx context.Context, c *Caller, name string, edit func(*SubscriptionConfig) error, from Start, revision uint64) error {
	return b.putSubscribed(ctx, c, name, func(d *subscriptionDocument) error { return edit(&d.SubscriptionConfig) }, from, revision)
}

func (b *Broker) putSubscribed(ctx context.Context, c *Caller, name string, edit func(*subscriptionDocument) error, from Start, revision uint64) error {
	old := b.subs.get(c.namespace(), name)
	action, at := ActionCreate, catalog.NoRevision
	doc := subscriptionDocument{CreatedMS: b.nowMS(), Tells: true}
	if old != nil {
		action, at = ActionAlter, old.revision
		doc = old.doc
		doc.SubscriptionConfig = old.config()
		doc.StreamIDs = slices.Clone(old.doc.StreamIDs)
	}
	if err := b.allow(c, "subscribe", action, KindSubscription, name); err != nil {
		return err
	}
	if revision != 0 && revision != at {
		if revision == catalog.NoRevision {
			return fault.New(fault.Exists, "subscribe", name, "a subscription named %q exists", name)
		}
		return fault.New(fault.Conflict, "subscribe", name, "the subscription is not at revision %d", revision).Because(fault.ReasonRevision)
	}
	if err := edit(&doc); err != nil {
		return err
	}
	added, err := b.checkSubscription(c, &doc, old)
	if err != nil {
		return err
	}
	if doc.Policy.Volatile && from.Kind != StartLatest {
		return fault.New(fault.Invalid, "subscribe", "from", "a volatile subscription begins with what is appended once somebody receives; say latest, or nothing")
	}
	put := &shard.PutSubscription{Name: subscriptionName(c.namespace(), name), Revision: at, Policy: doc.Policy, Routed: doc.Routed}
	for _, n := range added {
		begin, err := b.beginnings(n, from)
		if err != nil {
			return err
		}
		put.Begin = append(put.Begin, begin...)
	}
	if old != nil {
		put.End = b.endings(old, &doc)
		changed := doc.follow(&old.doc, old.doc.Streams)
		changed = len(put.End) > 0 || changed // others of its class still read those streams
		if err := b.forgetFilters(ctx, old, &doc, b.classOf(put, old, &doc, changed)); err != nil {
			return err
		}
	} else {
		b.classOf(put, nil, &doc, true)
	}
	if n := len(doc.PoliciesOf); n > PolicyWaitsMax {
		return fault.New(fault.QuotaSpent, "subscribe", name, "events wait since before the last %d changes of policies: ack them, or rewind past them, before the next", n-1)
	}
	if err := doc.checkPast(name); err != nil {
		return err
	}
	put.Document = func(seq uint64, class subscription.ClassID) []byte {
		doc.Class = uint32(class)
		doc.datePolicies(seq)
		doc.date(seq)
		return doc.text()
	}
	if err := b.do(ctx, c, c.namespace(), put); err != nil {
		return err
	}
	b.countBegun(b.shardOf(c.namespace()), subscription.ID(put.Entry.ID), put.Begun) //nolint:contextcheck // what is given back or counted is no part of the request
	return nil
}

// text is the document as it is stored.
func (d *subscriptionDocument) text() []byte {
	p, err := json.Marshal(d)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return p
}

const fromNow = ^uint64(0) // the frame that is to be

// classOf says which class a subscription that is put is to be in, and whether that is its own and becomes another.
//
// Whoever shares one leaves it when its filters change, for that of others who look for the same, or a new one. Then what waits for it has routes
// that say nothing of it any more, and is held against filters. So one that nobody shares stays when the filters change, and is private from then on: nobody
// joins it, it is never left, and the routes of all that has reached the subscription stay true.
func (b *Broker) classOf(put *shard.PutSubscription, old *subscribed, d *subscriptionDocument, changed bool) (private bool) {
	if !d.Routed {
		return false
	}
	sh := b.shardOf(put.Name.Namespace)
	put.ResolvedAt = b.shards[sh].Published().Seq() // before it is looked up who has which class
	b.subs.mu.RLock()
	defer b.subs.mu.RUnlock()
	if old != nil && (old.doc.Private || !changed) {
		put.Class, put.Own = subscription.ClassID(old.doc.Class), old.doc.Private && changed
		return old.doc.Private
	}
	if class, some := b.subs.alike[likeKey{sh, d.like()}]; some {
		put.Class = subscription.ClassID(class)
		return false
	}
	if old != nil && b.subs.classes[classKey{sh, old.doc.Class}] == 1 {
		put.Class, put.Own = subscription.ClassID(old.doc.Class), true
		d.Private = true
	}
	return d.Private
}

// forgetFilters leaves out filters and policies of before that no waiting record is held against any more. Records whose routes are known are not held against
// address filters, if those of a private class; see classOf.
func (b *Broker) forgetFilters(ctx context.Context, x *subscribed, d *subscriptionDocument, private bool) error {
	if len(d.Past) < pastLooked && len(d.Wheres) < FilterVersionsMax && len(d.PoliciesOf) == 0 {
		return nil
	}
	q := &shard.Examine{Sub: x.id}
	if _, err := b.shards[x.shard].Do(ctx, q); err != nil {
		return err
	}
	oldest, unrouted := fromNow, fromNow
	for i := range q.Sources {
		s := &q.Sources[i]
		run, found, err := b.oldestRun(x, s)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		oldest = min(oldest, run.Seq)
		if ways, ok := b.shards[x.shard].Published().Ways(x.id, s.Place); !private || !ok || s.Oldest < ways.From {
			unrouted = min(unrouted, run.Seq)
		}
	}
	d.forgetPast(unrouted)
	d.forgetWheres(oldest)
	d.forgetPolicies(oldest)
	return nil
}

const pastLooked = 64 // address filters of before, from when on it is looked whether they are needed

// oldestRun is the run of the oldest unsettled record of a partition, if there is one.
func (b *Broker) oldestRun(x *subscribed, s *shard.SourceDepth) (run stream.Run, found bool, err error) {
	if s.Oldest < 0 {
		return run, false, nil
	}
	pub := b.shards[x.shard].Published()
	src, ok := pub.Source(s.Stream, s.Partition)
	if !ok {
		return run, false, nil
	}
	start, end := src.Part.Ends()
	at := max(s.Oldest, start)
	if at >= end {
		return run, false, nil
	}
	return pub.Seek(src, func(r *stream.Run) bool { return r.Next > at })
}

// checkSubscription refuses what cannot be, and returns the streams that the subscription does not read yet.
func (b *Broker) checkSubscription(c *Caller, d *subscriptionDocument, old *subscribed) (added []*named, err error) {
	if len(d.Address) > 0 && old == nil {
		d.Routed = true
	}
	d.Policy.Bury = d.DeadLetters != "" || d.Undertaker != ""
	if err := b.checkShadow(c, d, old); err != nil {
		return nil, err
	}
	switch {
	case old != nil && d.Routed != old.doc.Routed:
		return nil, fault.New(fault.Conflict, "subscribe", "routed", "whether records reach a subscription by their address stays as it was made")
	case !d.Routed && len(d.Address) > 0:
		return nil, fault.New(fault.Conflict, "subscribe", "address", "the subscription was made without routed: every record of its streams reaches it")
	case len(d.Streams) == 0 && d.Policy.Kind != SubscriptionCursor && d.ShadowOf == "":
		return nil, fault.New(fault.Invalid, "subscribe", "streams", "a subscription reads at least one stream")
	case len(d.Address) > AddressFiltersMax:
		return nil, fault.New(fault.TooLarge, "subscribe", "address", "%d address filters; the limit is %d", len(d.Address), AddressFiltersMax)
	case len(d.Where) > WhereBytesMax:
		return nil, fault.New(fault.TooLarge, "subscribe", "where", "the condition has %d bytes; the limit is %d", len(d.Where), WhereBytesMax)
	case d.DeadLetters == "" && (d.DeadSubject != nil || d.DeadKey != nil):
		return nil, fault.New(fault.Invalid, "subscribe", "dead_letters", "say in which stream dead letters are to have that subject or key")
	case d.DeadSubject != nil && len(*d.DeadSubject) > DeadSubjectBytesMax || d.DeadKey != nil && len(*d.DeadKey) > DeadSubjectBytesMax:
		return nil, fault.New(fault.TooLarge, "subscribe", "dead_subject", "the subject and the key of dead letters have at most %d bytes", DeadSubjectBytesMax)
	case d.DeadSubject != nil && !utf8.ValidString(*d.DeadSubject):
		return nil, fault.New(fault.Invalid, "subscribe", "dead_subject", "a subject is text")
	}
	if d.Policy.Kind == SubscriptionCursor {
		if err := d.checkCursor(); err != nil {
			return nil, err
		}
	} else {
		d.Policy.Kind = SubscriptionDelivery
	}
	if err := d.Policy.Check(); err != nil {
		return nil, err
	}
	if d.DeadLetters != "" {
		if err := b.allow(c, "subscribe", ActionWrite, KindStream, d.DeadLetters); err != nil {
			return nil, err
		}
		if _, err := b.find(c, "subscribe", d.DeadLetters); err != nil {
			return nil, err
		}
	}
	was := 0
	if old != nil {
		was = d.keepStreams(&old.doc)
	}
	for i, s := range d.Streams[was:] {
		if slices.Contains(d.Streams[:was+i], s) {
			return nil, fault.New(fault.Invalid, "subscribe", "streams", "stream %q is named twice", s)
		}
		if err := b.allow(c, "subscribe", ActionRead, KindStream, s); err != nil {
			return nil, err
		}
		n, err := b.find(c, "subscribe", s)
		if err != nil {
			return nil, err
		}
		added = append(added, n)
		d.StreamIDs = append(d.StreamIDs, n.id)
	}
	d.Told = slices.DeleteFunc(slices.Clone(d.Told), func(t toldGap) bool { return !slices.Contains(d.StreamIDs, t.Stream) })
	if err := d.checkFilters(old, b.subs.routing[b.shardOf(c.namespace())].Load()); err != nil {
		return nil, err
	}
	var policies []StreamPolicy
	if old != nil {
		policies = old.doc.Policies
	}
	return added, d.checkPolicies(policies, was)
}

// keepStreams puts the streams that were read before in front, as they stood, and says how many are left.
func (d *subscriptionDocument) keepStreams(old *subscriptionDocument) int {
	asked := d.Streams
	d.Streams, d.StreamIDs = make([]string, 0, len(asked)), make([]record.StreamID, 0, len(asked))
	for i, s := range old.Streams {
		if slices.Contains(asked, s) {
			d.Streams, d.StreamIDs = append(d.Streams, s), append(d.StreamIDs, old.StreamIDs[i])
		}
	}
	kept := len(d.Streams)
	for _, s := range asked {
		if !slices.Contains(old.Streams, s) {
			d.Streams = append(d.Streams, s)
		}
	}
	return kept
}

// endings are the partitions that are read no more.
func (b *Broker) endings(x *subscribed, d *subscriptionDocument) (places []subscription.Place) {
	for _, id := range x.doc.StreamIDs {
		if slices.Contains(d.StreamIDs, id) {
			continue
		}
		n := int32(stream.PartitionsMax) // of one that was deleted
		if s := b.names.of(x.shard, id); s != nil {
			n = s.config.Partitions
		}
		for p := range n {
			places = append(places, subscription.Place{Stream: id, Partition: record.PartitionID(p)})
		}
	}
	return places
}

// beginnings says where to begin with each partition of a stream.
func (b *Broker) beginnings(n *named, from Start) ([]shard.Beginning, error) {
	pub := b.shards[n.shard].Published()
	var begin []shard.Beginning
	for p := range record.PartitionID(n.config.Partitions) {
		x := shard.Beginning{Place: subscription.Place{Stream: n.id, Partition: p}, Latest: from.Kind == StartLatest}
		if !x.Latest {
			src, ok := pub.Source(n.id, p)
			if !ok {
				return nil, fault.New(fault.NotFound, "subscribe", n.name, "the stream was deleted")
			}
			o, err := b.offsetOf(pub, n, src, from)
			if err != nil {
				return nil, err
			}
			x.From = o
		}
		begin = append(begin, x)
	}
	return begin, nil
}

// offsetOf finds where one partition is to be read from.
func (b *Broker) offsetOf(pub *shard.Published, n *named, src shard.Source, from Start) (record.Offset, error) {
	start, end := src.Part.Ends()
	switch from.Kind {
	case StartEarliest:
		return start, nil
	case StartLatest:
		return end, nil
	case StartOffset:
		if from.Offset < 0 || from.Offset > end {
			return 0, fault.New(fault.Invalid, "subscribe", "from", "offset %d is outside partition %d, which ends at %d", from.Offset, src.Partition, end).
				Because(fault.ReasonOffset).With(end)
		}
		return from.Offset, nil
	case StartTime:
		return expired(pub, src, from.Time)
	case StartPosition:
		return b.offsetBehind(pub, n, src, from.Position)
	default:
		return 0, fault.New(fault.Unsupported, "subscribe", "from", "a subscription cannot begin there")
	}
}

// DeleteSubscription ends a subscription: its members are gone, and what it had still to deliver is delivered to nobody. The events stay.
func (b *Broker) DeleteSubscription(ctx context.Context, c *Caller, name string) error {
	x, err := b.findSubscription(c, "delete", ActionDelete, name)
	if err != nil {
		return err
	}
	return b.do(ctx, c, x.namespace, &shard.DeleteSubscription{Name: subscriptionName(x.namespace, name), Revision: catalog.AnyRevision})
}

// SubscriptionInfo is a subscription as described.
type SubscriptionInfo struct {
	Name      string
	Namespace string
	ID        uint32
	Config    SubscriptionConfig
	Created   time.Time
	Revision  uint64

	Waiting      int64 // not settled, those with members and those that are delayed included
	WaitingBytes int64 // of them, as stored
	Exact        bool  // else what was there before the subscription began is still being counted
	Leased       int   // of Waiting, with members
	Delayed      int   // of Waiting, for their time
	Dying        int   // of Waiting, about to become dead letters
	Acked        int64
	Skipped      int64 // content did not match
	Cancelled    int64 // before anybody had them
	Dead         int64 // rejected, out of attempts, expired, over a limit
	Gaps         int64 // events that went before the subscription had them
	Members      int
	Oldest       time.Time // when the oldest event was appended that waits and is not delayed; zero: there is none
}

// DescribeSubscription tells all about one subscription.
func (b *Broker) DescribeSubscription(ctx context.Context, c *Caller, name string) (SubscriptionInfo, error) {
	x, err := b.findSubscription(c, "describe", ActionDescribe, name)
	if err != nil {
		return SubscriptionInfo{}, err
	}
	return b.describeSubscription(ctx, x, name)
}

func (b *Broker) describeSubscription(ctx context.Context, x *subscribed, name string) (SubscriptionInfo, error) {
	if x == nil {
		return SubscriptionInfo{}, fault.New(fault.NotFound, "describe", name, "there is no subscription %q", name)
	}
	if x.doc.Policy.Kind == SubscriptionCursor {
		info := SubscriptionInfo{Name: x.name, Namespace: x.namespace, ID: uint32(x.id), Config: x.config(), Created: x.created(), Revision: x.revision}
		b.describeCursor(x, &info)
		return info, nil
	}
	if s := b.subs.shadows.of(subKey{x.shard, x.id}); s != nil {
		info := SubscriptionInfo{Name: x.name, Namespace: x.namespace, ID: uint32(x.id), Config: x.config(), Created: x.created(), Revision: x.revision}
		if at := s.describe(&info); at > 0 {
			info.Oldest = time.UnixMilli(at)
		}
		return info, nil
	}
	q := &shard.Examine{Sub: x.id}
	if _, err := b.shards[x.shard].Do(ctx, q); err != nil {
		return SubscriptionInfo{}, err
	}
	d := &q.Depth
	info := SubscriptionInfo{
		Name: x.name, Namespace: x.namespace, ID: uint32(x.id), Config: x.config(), Created: x.created(), Revision: x.revision,
		Waiting: d.Total.Count, WaitingBytes: d.Total.Bytes, Exact: d.Exact, Leased: d.Leased, Delayed: d.Waiting, Dying: d.Dying, Gaps: d.Gaps, Members: d.Members,
		Acked: d.By(subscription.Acked), Skipped: d.By(subscription.Skipped),
		Cancelled: d.By(subscription.Cancelled),
		Dead:      d.By(subscription.Rejected) + d.By(subscription.Exhausted) + d.By(subscription.Expired) + d.By(subscription.Overflown),
	}
	for i := range q.Sources {
		if at := b.oldest(x, &q.Sources[i]); at > 0 && (info.Oldest.IsZero() || at < info.Oldest.UnixMilli()) {
			info.Oldest = time.UnixMilli(at)
		}
	}
	return info, nil
}

// oldest is when the oldest unsettled record of a partition was appended, 0 when there is none. Where nobody has looked yet, it is the
// first one there.
func (b *Broker) oldest(x *subscribed, s *shard.SourceDepth) int64 {
	if s.Oldest < 0 || s.Since > 0 {
		return s.Since
	}
	run, found, err := b.oldestRun(x, s)
	if err != nil || !found {
		return 0
	}
	return run.TimeMS
}

// SubscriptionSummary is a subscription as listed.
type SubscriptionSummary struct {
	Name     string
	ID       uint32
	Config   SubscriptionConfig
	Created  time.Time
	Revision uint64
}

// ListSubscriptions lists the subscriptions of the caller's namespace that the caller may describe, by name.
func (b *Broker) ListSubscriptions(_ context.Context, c *Caller) ([]SubscriptionSummary, error) {
	may := b.allowed(c, ActionDescribe, KindSubscription)
	out := []SubscriptionSummary{}
	b.subs.mu.RLock()
	for k, x := range b.subs.byName {
		if k.namespace == c.namespace() && may(k.name) {
			out = append(out, SubscriptionSummary{x.name, uint32(x.id), x.config(), x.created(), x.revision})
		}
	}
	b.subs.mu.RUnlock()
	slices.SortFunc(out, func(x, y SubscriptionSummary) int { return cmp.Or(strings.Compare(x.Name, y.Name)) })
	return out, nil
}
