package kafka

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/kafka/group"
	"leat/internal/clock"
	"leat/internal/kafkagroup"
)

// A consumer group is a cursor subscription that names no streams: its offsets are the positions of the subscription, who is in it and who reads what
// are memos of it, and whether its members are there is known to this program alone.
//
//	subscription        kind cursor, yields to retention; document kafka.group: {"id"}
//	its positions       the committed offsets
//	its memos           g: generation, protocol, leader; m/ID: a member of the generation and its assignment (package group)
//
// groups has a room for each group that is in use. A room is a group machine behind a lock, with a timer, and those who wait for its answers:
//
//	request ──▶ lock ──▶ machine: what changed, what to answer ──▶ memos are written, one frame ──▶ answers ──▶ unlock
//
// The lock is held while the frame is synced: who comes to the same group meanwhile sees only what is kept. Commits of offsets hold it together,
// shared, from the check of the generation until the offsets are kept: when a rebalance has been answered, no commit of before comes after it.

// documentGroup marks the subscriptions that are groups.
const documentGroup = kafkagroup.DocumentKey

// ourName is the name of the subscription that stands for a group.
func ourName(id string) string { return kafkagroup.Name(id) }

type groupKey struct{ namespace, id string }

// groups are the consumer groups of a node.
type groups struct {
	b       *broker.Broker
	cfg     group.Config
	started time.Time
	chore   context.Context // of what is not part of a request, and is done whoever has gone meanwhile

	mu     sync.Mutex
	rooms  map[groupKey]*room
	begun  bool
	served int // listeners that serve
	log    *slog.Logger
}

func newGroups(b *broker.Broker, cfg group.Config) *groups {
	return &groups{b: b, cfg: cfg, started: clock.Now(), chore: context.Background(), rooms: map[groupKey]*room{}, log: slog.New(slog.DiscardHandler)}
}

// nowMS is the time of day, as far as it never goes back and never jumps while the program runs: sessions are measured with it.
func (x *groups) nowMS() int64 { return x.started.UnixMilli() + clock.Since(x.started).Milliseconds() }

// begin opens the rooms of groups that have members from before, so that those who do not come back are missed. It is done once.
func (x *groups) begin(log *slog.Logger) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.served++
	if x.begun {
		for _, r := range x.rooms {
			go r.wake()
		}
		return
	}
	x.begun, x.log = true, log
	x.b.SetOccupants(documentGroup, x.members)
	for _, ns := range x.b.OwnNamespaces() {
		memos := x.b.AllMemos(ns)
		if len(memos) == 0 {
			continue
		}
		for _, s := range x.b.OwnSubscriptions(ns, documentGroup) {
			if m := memos[s.ID]; m != nil {
				k := groupKey{ns, groupID(&s)}
				r := x.open(k, &s, m.Memos)
				x.rooms[k] = r
				r.mu.Lock()
				r.arm()
				r.mu.Unlock()
				delete(memos, s.ID)
			}
		}
		for id, m := range memos {
			x.dropMemos(ns, id, m.Memos)
		}
	}
}

// dropMemos takes away what was kept of a group that was deleted.
func (x *groups) dropMemos(namespace string, id uint32, ms []broker.Memo) {
	keys := make([]string, len(ms))
	for i := range ms {
		keys[i] = ms[i].Key
	}
	if err := x.b.DropMemos(x.chore, namespace, id, keys); err != nil {
		x.log.Warn("what was kept of a deleted group could not be removed", "namespace", namespace, "subscription", id, "error", err)
	}
}

// end is called when a listener serves no more; after the last one the timers stop: nobody is served any more.
func (x *groups) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.served--; x.served > 0 {
		return
	}
	for _, r := range x.rooms {
		go r.stop() // who holds a room may want to have mu
	}
}

func (x *groups) isClosed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.served == 0
}

// groupID is the id of the group that a subscription is.
func groupID(s *broker.OwnSubscription) string {
	if id, ok := kafkagroup.ID(s.Config.Documents[documentGroup]); ok {
		return id
	}
	return s.Name
}

// members is how many there are in a group, by the name of its subscription.
func (x *groups) members(namespace, name string) int {
	s, there := x.b.OwnSubscription(namespace, name)
	if !there {
		return 0
	}
	x.mu.Lock()
	r := x.rooms[groupKey{namespace, groupID(&s)}]
	x.mu.Unlock()
	if r == nil || r.sub != s.ID {
		return 0
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.Members()
}

// isGroup reports whether a subscription can be a group: it keeps positions of any stream.
func isGroup(c *broker.SubscriptionConfig) bool {
	return c.Policy.Kind == broker.SubscriptionCursor && len(c.Streams) == 0
}

// errNoGroup: there is no group of that id.
var errNoGroup = fault.New(fault.NotFound, "group", "", "there is no group of that id")

// find is the room of a group, errNoGroup when there is none. It is the group's own subscription that says whether it is there: one that was deleted by
// another protocol takes its room along.
func (x *groups) find(namespace, id string) (*room, error) {
	namespace = cmp.Or(namespace, broker.DefaultNamespace)
	s, there := x.b.OwnSubscription(namespace, ourName(id))
	k := groupKey{namespace, id}
	x.mu.Lock()
	r := x.rooms[k]
	if r != nil && (!there || r.sub != s.ID) {
		delete(x.rooms, k)
		go r.dissolve()
		r = nil
	}
	if r != nil {
		x.mu.Unlock()
		return r, nil
	}
	defer x.mu.Unlock()
	switch {
	case !there:
		return nil, errNoGroup
	case !isGroup(&s.Config):
		return nil, fault.New(fault.Invalid, "group", id, "%q is the name of a subscription that is no consumer group", ourName(id))
	}
	r = x.open(k, &s, nil)
	x.rooms[k] = r
	return r, nil
}

// make is the room of a group that is made if it is not there, as c, who has been found to have the right to read it.
func (x *groups) make(ctx context.Context, c *broker.Caller, namespace, id string) (*room, error) {
	for {
		r, err := x.find(namespace, id)
		if err != errNoGroup { //nolint:errorlint // it is returned as it is
			return r, err
		}
		if n := x.count(); n >= x.cfg.GroupsMax {
			return nil, fault.New(fault.QuotaSpent, "group", id, "there are %d groups in use; the limit is %d", n, x.cfg.GroupsMax)
		}
		_, err = x.b.PutSubscription(ctx, x.b.OwnCallerFor(c), ourName(id), func(s *broker.SubscriptionConfig) error {
			s.Policy.Kind, s.Policy.Yields = broker.SubscriptionCursor, true
			s.Documents = map[string]string{documentGroup: kafkagroup.Document(id)}
			return nil
		}, broker.Start{Kind: broker.StartLatest}, broker.NewOnly)
		if err != nil && !fault.Is(err, fault.Exists) {
			return nil, err
		}
	}
}

// drop deletes a group that has no members, as c, who has been found to have the right.
func (x *groups) drop(ctx context.Context, c *broker.Caller, r *room) (group.Code, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return group.GroupIDNotFound, nil
	}
	if r.State() != group.Empty {
		return group.NonEmptyGroup, nil
	}
	return group.None, x.dropEmpty(ctx, c, r)
}

// dropEmpty is drop where that has been looked. r.mu is held.
func (x *groups) dropEmpty(ctx context.Context, c *broker.Caller, r *room) error {
	err := x.b.DeleteSubscription(ctx, x.b.OwnCallerFor(c), r.name)
	if err == nil {
		x.mu.Lock()
		if x.rooms[r.key] == r {
			delete(x.rooms, r.key)
		}
		x.mu.Unlock()
		r.end()
	}
	return err
}

func (x *groups) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.rooms)
}

// open makes a room of what is kept. mu is held.
func (x *groups) open(k groupKey, s *broker.OwnSubscription, memos []broker.Memo) *room {
	r := &room{x: x, key: k, name: s.Name, sub: s.ID, waiting: map[group.Token]chan answer{}}
	rows := make([]group.Row, len(memos))
	for i, m := range memos {
		rows[i] = group.Row{Key: m.Key, Value: m.Value}
	}
	var err error
	if group.TypeOf(rows) == "consumer" {
		var g *group.Consumer
		if g, err = group.LoadConsumer(x.cfg, rows, x.nowMS()); err == nil {
			r.use(nil, g)
			return r
		}
	} else {
		var g *group.Classic
		if g, err = group.LoadClassic(x.cfg, rows, x.nowMS()); err == nil {
			r.use(g, nil)
			return r
		}
	}
	x.log.Error("what is kept of a group cannot be read; its members join again", "group", k.id, "error", err)
	r.use(group.NewClassic(x.cfg, x.nowMS()), nil)
	return r
}

// commitAs keeps offsets, or has do keep them in its own way, while somebody is a member of a generation of a group, or may commit without being one. The group stands
// still until do has returned. The code is what the group says; do is not called unless it is None. A group that is not there is made when the committer is in no
// generation.
func (x *groups) commitAs(ctx context.Context, c *broker.Caller, namespace, id string, who committer, do func(subscription string) error) (group.Code, error) {
	r, err := x.find(namespace, id)
	if err == errNoGroup { //nolint:errorlint // it is returned as it is
		if who.generation >= 0 {
			return who.noGroup(), nil
		}
		r, err = x.make(ctx, c, namespace, id)
	}
	if err != nil {
		return group.None, err
	}
	return r.commitAs(who, do)
}

// committer is who commits offsets.
type committer struct {
	member, instance string
	generation       int32 // or member epoch; -1: none
	transactional    bool
	newer            bool // it speaks a version that knows of the newer protocol
}

// noGroup is what a committer is told when there is no group of whose generation it thinks it is.
func (w *committer) noGroup() group.Code {
	if w.newer {
		return group.GroupIDNotFound
	}
	return group.IllegalGeneration
}

// ranked are the positions of one commit, as the broker takes them.
type ranked = []broker.PositionCommit

// commit keeps offsets of a group as somebody: this is the one place through which they go, but for those of a transaction. The caller has been found to have the
// right to read the group and the streams.
func (x *groups) commit(ctx context.Context, c *broker.Caller, namespace, id string, who committer, ps ranked) (group.Code, error) {
	var none []broker.StreamPartition // below 0 is as if there were none
	for i := range ps {
		if ps[i].Offset == timestampEarliest { // by which kafkajs means to begin again
			at := broker.OffsetSpec{Stream: ps[i].Stream, Partition: ps[i].Partition, At: broker.StartEarliest}
			if r := x.b.Offsets(ctx, c, []broker.OffsetSpec{at})[0]; r.Err == nil {
				ps[i].Offset = r.Offset
			}
		}
		if ps[i].Offset < 0 {
			none = append(none, broker.StreamPartition{Stream: ps[i].Stream, Partition: ps[i].Partition})
		}
	}
	ps = slices.DeleteFunc(ps, func(p broker.PositionCommit) bool { return p.Offset < 0 })
	return x.commitAs(ctx, c, namespace, id, who, func(sub string) error {
		if len(ps) > 0 {
			if err := x.b.CommitPositions(ctx, x.b.OwnCallerFor(c), sub, ps); err != nil {
				return err
			}
		}
		if len(none) > 0 {
			return x.b.ForgetPositions(ctx, x.b.OwnCallerFor(c), sub, none)
		}
		return nil
	})
}

// position makes a commit of what clients say.
func position(topic string, partition int32, offset int64, epoch int32, metadata *string) broker.PositionCommit {
	p := broker.PositionCommit{Stream: topic, Partition: record.PartitionID(partition), Offset: record.Offset(offset), LeaderEpoch: epoch}
	if metadata != nil {
		p.Metadata = *metadata
	}
	return p
}
