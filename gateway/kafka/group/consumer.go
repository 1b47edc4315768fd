package group

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
)

// Consumer is a group of the newer protocol (KIP-848): members say what they want to read and what they own, the group says who is to own what, and each
// member gets there by itself, heartbeat by heartbeat, without the others stopping.
//
//	group epoch       one more each time that a member comes, goes or wants something else, or a topic changes
//	target            who is to own what, as of an epoch
//	member epoch      the target that a member has got to
//
//	          the target takes something away                       it says it does not own that any more
//	Settled ─────────────────────────────────────▶ Revoking ─────────────────────────────────────────────┐
//	   ▲  ▲                                           │                                                    ▼
//	   │  └─all that it is to own is free─────────────┴──────────(next target)──────────▶ Waiting, for what others still own
//	   └───────────────────────────────────────────────────the last of them gave it up───────┘
//
// A partition is owned by one member at a time: it is given to the next when the last has said that it has let go, or is gone. It is steppable, as Classic is.
type Consumer struct {
	cfg Config

	epoch       int32
	targetEpoch int32
	members     map[string]*consumer
	instances   map[string]*consumer
	owners      map[part]*consumer // who has it, or has not let it go yet

	version  uint64              // of the topics as they were looked at last
	looked   bool                // they were
	topics   map[ID]Topic        // that somebody is subscribed to
	digest   string              // of them, kept: a restart is no change
	patterns map[string][]string // names that a pattern stands for
	sinceMS  int64               // when it became empty or not

	ledger
}

// progress is how far a member has got.
type progress uint8

const (
	settled  progress = iota
	revoking          // has to let go of something
	waiting           // for something that another has not let go of
)

// consumer is a member.
type consumer struct {
	id, instance string
	rack         string
	clientID     string
	host         string
	rebalanceMS  int64
	names        []string // of topics, sorted
	pattern      string
	assignor     string

	epoch, before int32 // and the one before
	progress      progress
	owned         Parts
	revoked       Parts // to be let go of
	target        Parts

	subscribed []ID  // resolved, sorted
	deadlineMS int64 // when its session ends
	revokeMS   int64 // when it must have let go; 0: nothing is to be

	classic *classicSide // nil: it is of the newer protocol
}

// Epochs that mean something else.
const (
	epochJoin        = 0
	epochLeave       = -1
	epochLeaveStatic = -2 // it comes back, and nobody gets what it has until its session ends
)

// NewConsumer is an empty group.
func NewConsumer(cfg Config, nowMS int64) *Consumer {
	return &Consumer{
		cfg: cfg, sinceMS: nowMS, members: map[string]*consumer{}, instances: map[string]*consumer{}, owners: map[part]*consumer{},
		topics: map[ID]Topic{}, patterns: map[string][]string{}, ledger: newLedger(),
	}
}

// Beat is a heartbeat. What is nil stays as it was.
type Beat struct {
	Member      string
	Epoch       int32
	Instance    *string
	Rack        *string
	ClientID    string
	Host        string
	RebalanceMS int32 // -1: as it was
	Names       []string
	Pattern     *string
	Assignor    *string
	Owned       Parts
	Whole       bool // it says everything, and is to be told everything
}

// BeatReply answers it.
type BeatReply struct {
	Member string
	Epoch  int32
	Owns   Parts // nil: as it was
}

// Check refuses a heartbeat that no group would take.
func (q *Beat) Check() *Refusal {
	switch {
	case q.Instance != nil && *q.Instance == "":
		return refuse(InvalidRequest, "InstanceId can't be empty.")
	case q.Rack != nil && *q.Rack == "":
		return refuse(InvalidRequest, "RackId can't be empty.")
	case q.Epoch < epochLeaveStatic:
		return refuse(InvalidRequest, "MemberEpoch is invalid.")
	case q.Member == "" && q.Epoch != epochJoin:
		return refuse(InvalidRequest, "MemberId can't be empty.")
	case q.Epoch == epochJoin && q.RebalanceMS < 0:
		return refuse(InvalidRequest, "RebalanceTimeoutMs must be provided in first request.")
	case q.Epoch == epochJoin && (q.Owned == nil || len(q.Owned) > 0):
		return refuse(InvalidRequest, "TopicPartitions must be empty when (re-)joining.")
	case q.Epoch == epochJoin && q.Names == nil && (q.Pattern == nil || *q.Pattern == ""):
		return refuse(InvalidRequest, "Either SubscribedTopicNames or SubscribedTopicRegex must be set when (re-)joining.")
	case q.Assignor != nil && !slices.Contains(Assignors, *q.Assignor):
		return refuse(UnsupportedAssignor, "ServerAssignor "+*q.Assignor+" is not supported. Supported assignors: uniform, range.")
	case q.Pattern != nil && *q.Pattern != "":
		if _, err := compile(*q.Pattern); err != nil {
			return refuse(InvalidRegularExpression, "SubscribedTopicRegex `"+*q.Pattern+"` is not a valid regular expression: "+err.Error())
		}
	}
	return nil
}

func (q *Beat) bytes() (n int) {
	for _, name := range q.Names {
		n += len(name) + 3
	}
	for _, p := range [...]*string{q.Instance, q.Rack, q.Pattern} {
		if p != nil {
			n += len(*p)
		}
	}
	return n
}

// compile makes a pattern that stands for whole names.
func compile(pattern string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + pattern + ")$") }

// Heartbeat is a member that joins, is there, or leaves. The reply is to be given once what changed is kept.
func (g *Consumer) Heartbeat(nowMS int64, q *Beat, topics Topics) (*BeatReply, *Refusal) {
	if q.Epoch < epochJoin {
		return g.leave(nowMS, q)
	}
	if q.bytes() > g.cfg.MemberBytesMax {
		return nil, refuse(InvalidRequest, "The member says more about itself than is kept.")
	}
	m, r := g.find(nowMS, q)
	if r != nil {
		return nil, r
	}
	before := m.owned
	g.advance(nowMS, m, g.update(m, q), q.Owned, topics)
	reply := &BeatReply{Member: m.id, Epoch: m.epoch}
	if q.Epoch == epochJoin || q.Whole || !m.owned.equal(before) {
		reply.Owns = m.owned
	}
	return reply, nil
}

// advance is what follows from what a member has said, changed being whether that is something for others.
func (g *Consumer) advance(nowMS int64, m *consumer, changed bool, owned Parts, topics Topics) {
	if changed || !g.looked || g.version != topics.Version() {
		if g.look(topics) || changed {
			g.bump()
		}
	}
	if g.targetEpoch < g.epoch {
		g.retarget()
	}
	g.reconcile(nowMS, m, owned)
	g.alive(nowMS, m)
}

// find is the member that a heartbeat comes from; one who joins is made.
func (g *Consumer) find(nowMS int64, q *Beat) (*consumer, *Refusal) {
	m := g.members[q.Member]
	joins := q.Epoch == epochJoin
	if q.Instance != nil {
		x := g.instances[*q.Instance]
		switch {
		case x == nil && !joins:
			return nil, refuse(UnknownMemberID, "Instance id "+*q.Instance+" is unknown.")
		case x != nil && !joins && x.id != q.Member:
			return nil, refuse(FencedInstanceID, "Static member "+q.Member+" with instance id "+*q.Instance+" was fenced by member "+x.id+".")
		case x != nil && joins && x.id != q.Member:
			if x.epoch != epochLeaveStatic && x.classic == nil {
				return nil, refuse(UnreleasedInstanceID, "Static member "+q.Member+" with instance id "+*q.Instance+" cannot join the group because the instance id is owned by "+x.id+" member.")
			}
			return g.replace(x, q.Member), nil
		case x != nil && joins && x.epoch == epochLeaveStatic:
			return g.replace(x, q.Member), nil // it left and is back, under the same id
		}
	}
	if m == nil || m.classic != nil && !joins {
		if !joins {
			return nil, refuse(UnknownMemberID, "Member "+q.Member+" is not a member of the group.")
		}
		return g.join(nowMS, q)
	}
	if joins {
		// It has begun anew, and owns nothing: what it said of itself before holds no more.
		g.own(m, Parts{}, Parts{})
		m.epoch, m.before, m.progress, m.revokeMS, m.classic = 0, 0, settled, 0, nil
		g.save(m.id)
		return m, nil
	}
	switch {
	case q.Epoch > m.epoch:
		return nil, refuse(FencedMemberEpoch, "The consumer group member has a greater member epoch than the one known by the group coordinator. The member must abandon all its partitions and rejoin.")
	case q.Epoch < m.epoch && (q.Epoch != m.before || q.Owned == nil || !q.Owned.within(m.owned)):
		// With the epoch before and nothing that it should not have, it has not heard the last answer.
		return nil, refuse(FencedMemberEpoch, "The consumer group member has a smaller member epoch than the one known by the group coordinator. The member must abandon all its partitions and rejoin.")
	}
	return m, nil
}

// join makes a member.
func (g *Consumer) join(nowMS int64, q *Beat) (*consumer, *Refusal) {
	if len(g.members) >= g.cfg.MembersMax {
		return nil, refuse(GroupMaxSizeReached, "The consumer group has reached its maximum capacity.")
	}
	m := &consumer{id: q.Member, owned: Parts{}, revoked: Parts{}, target: Parts{}}
	if len(g.members) == 0 {
		g.sinceMS = nowMS
	}
	g.members[m.id] = m
	if q.Instance != nil {
		m.instance = *q.Instance
		g.instances[m.instance] = m
	}
	return m, nil
}

// replace has a static member that left come back under another id, with what it had.
func (g *Consumer) replace(m *consumer, id string) *consumer {
	delete(g.members, m.id)
	g.forget(m.id)
	m.id, m.epoch, m.before, m.progress, m.classic = id, 0, 0, settled, nil
	g.members[id] = m
	g.save(id)
	return m
}

// update notes what a member says of itself, and reports whether that is something for others.
func (g *Consumer) update(m *consumer, q *Beat) (changed bool) {
	was := *m
	if q.Rack != nil {
		m.rack = *q.Rack
	}
	if q.RebalanceMS >= 0 {
		m.rebalanceMS = int64(q.RebalanceMS)
	}
	m.clientID, m.host = q.ClientID, q.Host
	if q.Names != nil {
		m.names = slices.Clone(q.Names)
		slices.Sort(m.names)
		m.names = slices.Compact(m.names)
	}
	if q.Pattern != nil {
		m.pattern = *q.Pattern
	}
	if q.Assignor != nil {
		m.assignor = *q.Assignor
	}
	subscription := !slices.Equal(m.names, was.names) || m.pattern != was.pattern
	if subscription || m.rack != was.rack || m.rebalanceMS != was.rebalanceMS || m.clientID != was.clientID || m.host != was.host || m.assignor != was.assignor {
		g.save(m.id)
	}
	_, kept := g.kept[memberPrefix+m.id]
	return subscription || m.assignor != was.assignor || !kept && m.epoch == 0 && m.deadlineMS == 0
}

func (g *Consumer) bump() {
	g.epoch++
	g.save()
}

// look resolves what members are subscribed to, and reports whether the topics are others than before.
func (g *Consumer) look(topics Topics) bool {
	if g.version != topics.Version() || !g.looked {
		clear(g.patterns)
	}
	g.version, g.looked = topics.Version(), true
	g.expand(topics)
	now := map[ID]Topic{}
	for _, m := range g.members {
		m.subscribed = m.subscribed[:0]
		for _, names := range [...][]string{m.names, g.patterns[m.pattern]} {
			for _, name := range names {
				if t, there := topics.Topic(name); there {
					m.subscribed = append(m.subscribed, t.ID)
					now[t.ID] = t
				}
			}
		}
		slices.SortFunc(m.subscribed, compareID)
		m.subscribed = slices.Compact(m.subscribed)
	}
	g.topics = now
	was := g.digest
	if g.digest = digestOf(now); g.digest != was {
		g.save()
	}
	return g.digest != was
}

// digestOf is the same for the same topics with the same partitions.
func digestOf(topics map[ID]Topic) string {
	h := sha256.New()
	for _, id := range slices.SortedFunc(maps.Keys(topics), compareID) {
		h.Write(id[:])
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(topics[id].Partitions)))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// expand finds the names that patterns stand for, of those patterns that nobody has asked for before.
func (g *Consumer) expand(topics Topics) {
	wanted := map[string]*regexp.Regexp{}
	for _, m := range g.members {
		if _, done := g.patterns[m.pattern]; m.pattern != "" && !done && wanted[m.pattern] == nil {
			re, err := compile(m.pattern)
			if err != nil {
				continue // it was checked
			}
			wanted[m.pattern] = re
		}
	}
	if len(wanted) == 0 {
		return
	}
	for p := range wanted {
		g.patterns[p] = nil
	}
	topics.Each(func(t Topic) {
		for p, re := range wanted {
			if re.MatchString(t.Name) {
				g.patterns[p] = append(g.patterns[p], t.Name)
			}
		}
	})
}

// retarget says anew who is to own what.
func (g *Consumer) retarget() {
	ss := make([]*subscriber, 0, len(g.members))
	for _, m := range g.members {
		ss = append(ss, &subscriber{id: m.id, order: cmp.Or(m.instance, m.id), topics: m.subscribed, before: m.target})
	}
	for id, target := range assign(g.preferred(), ss, g.topics) {
		if m := g.members[id]; !m.target.equal(target) {
			m.target = target
			g.save(id)
		}
	}
	g.targetEpoch = g.epoch
	g.save()
}

// preferred is the assignor that most members ask for.
func (g *Consumer) preferred() string {
	votes := map[string]int{}
	for _, m := range g.members {
		votes[m.assignor]++
	}
	delete(votes, "")
	best := Assignors[0]
	for _, a := range Assignors {
		if votes[a] > votes[best] {
			best = a
		}
	}
	return best
}

// own has a member own, and have to let go of, other partitions than before.
func (g *Consumer) own(m *consumer, owned, revoked Parts) {
	for _, ps := range [...]Parts{m.owned, m.revoked} {
		for id, ns := range ps {
			for _, n := range ns {
				if g.owners[part{id, n}] == m {
					delete(g.owners, part{id, n})
				}
			}
		}
	}
	m.owned, m.revoked = owned, revoked
	for _, ps := range [...]Parts{m.owned, m.revoked} {
		for id, ns := range ps {
			for _, n := range ns {
				g.owners[part{id, n}] = m
			}
		}
	}
}

// reconcile takes a member a step towards its target. owned is what it says it owns, nil when it does not say.
func (g *Consumer) reconcile(nowMS int64, m *consumer, owned Parts) {
	still := func(ps Parts) bool { // whether it has not let go yet
		if owned == nil {
			return true
		}
		yes, _ := ps.split(owned.has)
		return len(yes) > 0
	}
	epoch := m.epoch // of one that has something more to let go of
	switch m.progress {
	case settled:
		if m.epoch == g.targetEpoch {
			return
		}
	case revoking:
		if still(m.revoked) {
			return
		}
		epoch++
	case waiting:
	}
	keep, revoke := m.owned.split(m.target.has)
	_, missing := m.target.split(keep.has)
	got, others := missing.split(func(x part) bool { o := g.owners[x]; return o == nil || o == m && !m.revoked.has(x) })
	was, wasEpoch, wasOwned, wasRevoked := m.progress, m.epoch, m.owned, m.revoked
	if len(revoke) > 0 && still(revoke) {
		m.progress = revoking
		g.own(m, keep, revoke)
		if was != revoking || !wasRevoked.equal(revoke) {
			m.revokeMS = nowMS + m.rebalanceMS
		}
	} else {
		m.progress, epoch, m.revokeMS = settled, g.targetEpoch, 0
		if len(others) > 0 {
			m.progress = waiting
		}
		g.own(m, keep.with(got), Parts{})
	}
	if epoch != m.epoch {
		m.before, m.epoch = m.epoch, epoch
	}
	if m.progress != was || m.epoch != wasEpoch || !m.owned.equal(wasOwned) || !m.revoked.equal(wasRevoked) {
		g.save(m.id)
	}
}

// leave has a member go, or a static one be away for a while.
func (g *Consumer) leave(nowMS int64, q *Beat) (*BeatReply, *Refusal) {
	m := g.members[q.Member]
	if q.Instance != nil {
		x := g.instances[*q.Instance]
		switch {
		case x == nil:
			return nil, refuse(UnknownMemberID, "Instance id "+*q.Instance+" is unknown.")
		case x.id != q.Member:
			return nil, refuse(FencedInstanceID, "Static member "+q.Member+" with instance id "+*q.Instance+" was fenced by member "+x.id+".")
		}
		m = x
	}
	if m == nil {
		return nil, refuse(UnknownMemberID, "Member "+q.Member+" is not a member of the group.")
	}
	if q.Epoch == epochLeaveStatic && m.instance == "" {
		return nil, refuse(InvalidRequest, "InstanceId can't be null.")
	}
	if q.Epoch == epochLeaveStatic {
		// It need not say its instance, which is known by its id: franz-go does not.
		g.own(m, m.owned, Parts{})
		m.epoch, m.progress, m.revokeMS = epochLeaveStatic, settled, 0
		g.save(m.id)
	} else {
		g.remove(nowMS, m)
	}
	return &BeatReply{Member: q.Member, Epoch: q.Epoch}, nil
}

// remove has a member be gone; what it owned is free, and is given to others when they say that they are there.
func (g *Consumer) remove(nowMS int64, m *consumer) {
	g.own(m, nil, nil)
	delete(g.members, m.id)
	if g.instances[m.instance] == m {
		delete(g.instances, m.instance)
	}
	g.forget(m.id)
	if len(g.members) == 0 {
		g.sinceMS = nowMS
	}
	g.bump()
	g.looked = false
}

// Leave has a member go as Classic.Leave does: it is how administrators remove members.
func (g *Consumer) Leave(nowMS int64, id, instance string) Code {
	m := g.members[id]
	if instance != "" {
		x := g.instances[instance]
		switch {
		case x == nil:
			return UnknownMemberID
		case id != "" && x.id != id:
			return FencedInstanceID
		}
		m = x
	}
	if m == nil {
		return UnknownMemberID
	}
	g.remove(nowMS, m)
	return None
}

// NextMS is when Tick is to be called.
func (g *Consumer) NextMS() int64 {
	next := Never
	for _, m := range g.members {
		next = min(next, m.deadlineMS)
		if m.revokeMS > 0 {
			next = min(next, m.revokeMS)
		}
		if m.classic != nil && m.classic.lateMS > 0 {
			next = min(next, m.classic.lateMS)
		}
	}
	return next
}

// Tick removes those whose session has ended, and those who were to let go of something and have not in the time they asked for.
func (g *Consumer) Tick(nowMS int64) {
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		m := g.members[id]
		late := m.classic != nil && m.classic.lateMS > 0 && nowMS >= m.classic.lateMS
		if nowMS >= m.deadlineMS || m.revokeMS > 0 && nowMS >= m.revokeMS || late {
			g.remove(nowMS, m)
		}
	}
}

// MayCommit says whether somebody may commit offsets as a member that has got to an epoch; see Classic.MayCommit.
func (g *Consumer) MayCommit(id, _ string, epoch int32, transactional bool) Code {
	if epoch < 0 && len(g.members) == 0 || transactional && epoch < 0 && id == "" {
		return None
	}
	switch m := g.members[id]; {
	case m == nil:
		return UnknownMemberID
	case m.epoch != epoch && (transactional || m.classic != nil):
		return IllegalGeneration
	case m.epoch != epoch:
		return StaleMemberEpoch
	}
	return None
}

// MayFetch says whether somebody may read offsets as a member; who is none says no id and no epoch.
func (g *Consumer) MayFetch(id string, epoch int32) Code {
	if id == "" && epoch < 0 {
		return None
	}
	switch m := g.members[id]; {
	case m == nil:
		return UnknownMemberID
	case m.epoch != epoch:
		return StaleMemberEpoch
	}
	return None
}

// Alive has the session of a member of the older protocol begin again. Those of the newer one are of heartbeats only.
func (g *Consumer) Alive(nowMS int64, id string) {
	if m := g.members[id]; m != nil && m.classic != nil {
		g.alive(nowMS, m)
	}
}

// Members is how many there are.
func (g *Consumer) Members() int { return len(g.members) }

// State is what the group is doing.
func (g *Consumer) State() State {
	switch {
	case len(g.members) == 0:
		return Empty
	case g.epoch > g.targetEpoch:
		return Assigning
	}
	for _, m := range g.members {
		if m.progress != settled || m.epoch != g.targetEpoch {
			return Reconciling
		}
	}
	return Stable
}

// ConsumerDescription is the group as people are told of it.
type ConsumerDescription struct {
	State       State
	Epoch       int32
	TargetEpoch int32
	Assignor    string
	Members     []DescribedConsumer
	Topics      map[ID]string // names of those that are known
}

// DescribedConsumer is one of its members.
type DescribedConsumer struct {
	ID, Instance, Rack string
	ClientID, Host     string
	Epoch              int32
	Names              []string
	Pattern            string
	Owned, Target      Parts
	Classic            bool // it is of the older protocol
}

// Describe tells all about it.
func (g *Consumer) Describe() ConsumerDescription {
	d := ConsumerDescription{State: g.State(), Epoch: g.epoch, TargetEpoch: g.targetEpoch, Assignor: g.preferred(), Topics: map[ID]string{}}
	for id, t := range g.topics {
		d.Topics[id] = t.Name
	}
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		m := g.members[id]
		d.Members = append(d.Members, DescribedConsumer{m.id, m.instance, m.rack, m.clientID, m.host, m.epoch, m.names, m.pattern, m.owned, m.target, m.classic != nil})
	}
	return d
}
