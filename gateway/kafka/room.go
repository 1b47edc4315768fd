package kafka

import (
	"context"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/kafka/group"
	"leat/internal/clock"
)

// room is one group that is in use. See groups.
type room struct {
	x    *groups
	key  groupKey
	name string // of the subscription
	sub  uint32 // its number

	mu sync.RWMutex // who has it shared commits offsets, and changes nothing but when sessions end
	machine
	classic  *group.Classic  // nil: it is of the newer protocol
	consumer *group.Consumer // nil: of the older
	waiting  map[group.Token]chan answer
	last     group.Token
	left     group.Output // what a group of the older protocol left to be answered when it became one of the newer
	timer    *time.Timer
	armed    int64 // for when; group.Never: it is not
	stopped  bool

	beats sync.Mutex // with mu shared: when sessions end
}

// machine is what groups of both protocols do alike.
type machine interface {
	// Tick does what is due, and NextMS says when that will be.
	Tick(nowMS int64)
	NextMS() int64
	// Unsaved are the rows to be kept before anybody is answered, until Saved; Kept the keys of all that are.
	Unsaved() []group.Row
	Saved(rows []group.Row)
	Kept() []string
	// MayCommit says whether offsets may be committed, and Alive notes that they were.
	MayCommit(member, instance string, generation int32, transactional bool) group.Code
	Alive(nowMS int64, member string)
	// State is what the group is doing, and Members how many there are.
	State() group.State
	Members() int
	// Subscription are the topics that its members read; known is false while that cannot be told.
	Subscription() (names map[string]bool, known bool)
}

// use has the room be of one protocol.
func (r *room) use(c *group.Classic, n *group.Consumer) {
	if r.classic, r.consumer = c, n; c != nil {
		r.machine = c
	} else {
		r.machine = n
	}
}

// becomeClassic has an empty group be of the older protocol, and reports whether it is. mu is held.
func (r *room) becomeClassic() bool {
	if r.classic == nil && r.State() == group.Empty && len(r.Unsaved()) == 0 {
		r.use(group.NewClassic(r.x.cfg, r.x.nowMS()), nil)
	}
	return r.classic != nil
}

// becomeConsumer has a group be of the newer protocol, if it is empty or its members are readers, and reports whether it is. mu is held.
func (r *room) becomeConsumer(topics group.Topics) bool {
	if r.consumer != nil {
		return true
	}
	if r.State() == group.Empty && r.classic.Settled() && len(r.Unsaved()) == 0 {
		r.use(nil, group.NewConsumer(r.x.cfg, r.x.nowMS()))
		return true
	}
	n, can := r.classic.Upgrade(r.x.nowMS(), topics)
	if can {
		r.left = r.classic.Take() // who waited is told to join again, once this is kept
		r.use(nil, n)
	}
	return can
}

// becomeClassicAgain has a group of the newer protocol that all members of that protocol have left be of the older one. mu is held.
func (r *room) becomeClassicAgain() {
	if r.consumer != nil && r.consumer.OnlyClassic() {
		r.use(r.consumer.Downgrade(r.x.nowMS(), topicView{r.x.b, &broker.Caller{Namespace: r.key.namespace}}), nil)
	}
}

// answer is what somebody waits for.
type answer struct {
	join *group.JoinReply
	sync *group.SyncReply
}

// step has the machine do something, keeps what that changed, and answers who is to be answered. The error says that it could not be kept: nobody was told of it, and
// who was to be answered has been told to try again.
func (r *room) step(do func(nowMS int64)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(r.x.nowMS())
	return r.settle()
}

// settle does what the machine has left to do. mu is held.
func (r *room) settle() error {
	r.becomeClassicAgain()
	err := r.keep()
	out := r.left
	r.left = group.Output{}
	if r.classic != nil {
		more := r.classic.Take()
		out.Joins, out.Syncs = append(out.Joins, more.Joins...), append(out.Syncs, more.Syncs...)
	}
	for _, j := range out.Joins {
		if err != nil && j.Reply.Code == group.None {
			j.Reply = &group.JoinReply{Code: group.CoordinatorNotAvailable, Generation: -1, Member: j.Reply.Member}
		}
		r.tell(j.Token, answer{join: j.Reply})
	}
	for _, s := range out.Syncs {
		if err != nil && s.Reply.Code == group.None {
			s.Reply = &group.SyncReply{Code: group.CoordinatorNotAvailable}
		}
		r.tell(s.Token, answer{sync: s.Reply})
	}
	r.arm()
	return err
}

// keep writes what has changed.
func (r *room) keep() error {
	rows := r.Unsaved()
	if len(rows) == 0 {
		return nil
	}
	ms := make([]broker.Memo, len(rows))
	for i, row := range rows {
		ms[i] = broker.Memo{Key: row.Key, Value: row.Value}
	}
	err := r.x.b.PutMemos(r.x.chore, r.key.namespace, r.sub, ms)
	if err != nil {
		r.x.log.Warn("a change of a group could not be kept", "group", r.key.id, "error", err)
		return err
	}
	r.Saved(rows)
	return nil
}

func (r *room) tell(t group.Token, a answer) {
	if ch := r.waiting[t]; ch != nil {
		delete(r.waiting, t)
		ch <- a // has room for one
	}
}

// arm sets the timer to when the machine is due. mu is held.
func (r *room) arm() {
	next := r.NextMS()
	if r.stopped || next == group.Never {
		return
	}
	if r.timer != nil && r.armed <= next {
		return // it fires early, and is set anew
	}
	r.armed = next
	wait := time.Duration(max(next-r.x.nowMS(), 0)) * time.Millisecond
	if r.timer == nil {
		r.timer = clock.AfterFunc(wait, r.wake)
		return
	}
	r.timer.Reset(wait)
}

// wake is called by the timer.
func (r *room) wake() {
	if r.x.isClosed() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = group.Never
	if r.stopped {
		return
	}
	r.Tick(r.x.nowMS())
	if err := r.settle(); err != nil {
		r.rearm()
	}
}

// keepAgainAfter is how long it waits before what could not be kept is tried again.
const keepAgainAfter = time.Second

func (r *room) rearm() {
	if r.timer != nil && !r.stopped {
		r.armed = r.x.nowMS() + keepAgainAfter.Milliseconds()
		r.timer.Reset(keepAgainAfter)
	}
}

// stop ends the timer.
func (r *room) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.timer, r.armed = nil, group.Never
}

// dissolve is the end of a room whose subscription is gone.
func (r *room) dissolve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
}

// end is dissolve. mu is held.
func (r *room) end() {
	if r.stopped {
		return
	}
	r.stopped = true
	if r.timer != nil {
		r.timer.Stop()
	}
	for t, ch := range r.waiting {
		delete(r.waiting, t)
		ch <- answer{join: &group.JoinReply{Code: group.UnknownMemberID, Generation: -1}, sync: &group.SyncReply{Code: group.UnknownMemberID}}
	}
	keys := r.Kept()
	ms := make([]broker.Memo, len(keys))
	for i, k := range keys {
		ms[i].Key = k
	}
	r.x.dropMemos(r.key.namespace, r.sub, ms)
}

// commitAs is groups.commitAs.
func (r *room) commitAs(who committer, do func(subscription string) error) (group.Code, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.consumer != nil && who.generation >= 0 && !who.newer && !who.transactional && !r.consumer.SpeaksClassic(who.member) {
		return group.UnsupportedVersion, nil
	}
	if c := r.MayCommit(who.member, who.instance, who.generation, who.transactional); c != group.None {
		return c, nil
	}
	if err := do(r.name); err != nil {
		return group.None, err
	}
	r.beats.Lock()
	r.Alive(r.x.nowMS(), who.member)
	r.beats.Unlock()
	return group.None, nil
}

// mayFetch says whether somebody may read offsets as a member. Those of classic groups do not say who they are.
func (r *room) mayFetch(member string, epoch int32) group.Code {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.consumer == nil {
		return group.None
	}
	return r.consumer.MayFetch(member, epoch)
}

// heartbeat does not change what is kept, and holds the lock of those who commit.
func (r *room) heartbeat(id, instance string, generation int32) group.Code {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.beats.Lock()
	defer r.beats.Unlock()
	if r.classic == nil {
		return r.consumer.BeatClassic(r.x.nowMS(), id, instance, generation)
	}
	return r.classic.Heartbeat(r.x.nowMS(), id, instance, generation)
}

// await has do put a request, of somebody who joins or who has joined, that is answered under a token, and waits for the answer: until the connection ends, when the answer is a zero one.
// A group of the newer protocol answers at once, by mixed.
func (r *room) await(ctx context.Context, k *conn, joins bool, do func(nowMS int64, t group.Token), mixed func(nowMS int64) answer) (answer, error) {
	ch := make(chan answer, 1)
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return answer{}, fault.New(fault.Unavailable, "group", r.key.id, "the group was deleted just now")
	}
	if r.classic == nil && !(joins && r.becomeClassic()) {
		defer r.mu.Unlock()
		a := mixed(r.x.nowMS())
		return a, r.settle()
	}
	if len(r.waiting) >= waitingMax {
		r.mu.Unlock()
		return answer{}, fault.New(fault.QuotaSpent, "group", r.key.id, "%d requests wait for this group", waitingMax)
	}
	r.last++
	t := r.last
	r.waiting[t] = ch
	do(r.x.nowMS(), t)
	_ = r.settle() // who is to be answered has been told
	r.mu.Unlock()
	select {
	case a := <-ch:
		return a, nil
	default:
	}
	if err := k.flush(); err != nil { // answers before this one must not wait with it
		return answer{}, err
	}
	defer func() {
		r.mu.Lock()
		delete(r.waiting, t)
		r.mu.Unlock()
	}()
	select {
	case a := <-ch:
		return a, nil
	case <-k.hurry:
	case <-k.c.Draining():
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	return answer{}, nil
}

// waitingMax is how many requests of one group can wait for its members to join or sync.
const waitingMax = 20_000
