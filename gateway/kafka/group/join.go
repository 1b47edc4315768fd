package group

import (
	"cmp"
	"slices"
)

// Join is somebody who wants to be a member, or one who begins a rebalance or joins it.
type Join struct {
	Member      string // "" of a new one
	Instance    string // of a static member
	ClientID    string
	Host        string
	SessionMS   int32
	RebalanceMS int32
	Kind        string
	Protocols   []Protocol
	FreshID     string // the id a new member is to have
	KnownFirst  bool   // a new member that is not static is told its id first, and joins with it
	Skips       bool   // the client understands JoinReply.Skip
}

// Join takes a request to join; its answer is for t, now or later.
func (g *Classic) Join(nowMS int64, q *Join, t Token) {
	refused := func(c Code, member string) {
		g.out.Joins = append(g.out.Joins, Joined{t, &JoinReply{Code: c, Generation: -1, Member: member}})
	}
	if ms := int64(q.SessionMS); ms < g.cfg.SessionMin.Milliseconds() || ms > g.cfg.SessionMax.Milliseconds() {
		refused(InvalidSessionTimeout, q.Member)
		return
	}
	if q.RebalanceMS < 0 {
		q.RebalanceMS = q.SessionMS
	}
	n := 0
	for i := range q.Protocols {
		n += len(q.Protocols[i].Metadata) + len(q.Protocols[i].Name)
	}
	if n > g.cfg.MemberBytesMax || g.bytes+n > g.cfg.GroupBytesMax || g.full(q) {
		delete(g.pending, q.Member)
		refused(GroupMaxSizeReached, q.Member)
		return
	}
	if !g.agrees(q) {
		refused(InconsistentGroupProtocol, q.Member)
		return
	}
	switch {
	case q.Member == "" && q.Instance != "" && g.instances[q.Instance] != nil:
		g.replace(nowMS, g.instances[q.Instance], q, t)
	case q.Member == "" && q.Instance == "" && q.KnownFirst:
		g.pending[q.FreshID] = nowMS + int64(q.SessionMS)
		refused(MemberIDRequired, q.FreshID)
	case q.Member == "":
		g.enrol(nowMS, q.FreshID, q, t)
	default:
		if c := g.rejoin(nowMS, q, t); c != None {
			refused(c, q.Member)
		}
	}
}

// full reports whether there is no place for somebody new. Those who are in a rebalance keep theirs; of a group that was made smaller by its
// settings, those who rejoin first do.
func (g *Classic) full(q *Join) bool {
	most := g.cfg.MembersMax
	if m := g.members[q.Member]; m != nil {
		if g.state != Preparing {
			return len(g.members) > most
		}
		return m.join == 0 && g.waiting() >= most
	}
	if q.Instance != "" && g.instances[q.Instance] != nil {
		return false
	}
	if _, given := g.pending[q.Member]; given && g.state != Preparing {
		return len(g.members) >= most
	}
	if g.state == Preparing {
		return g.waiting() >= most || len(g.pending) >= 2*most
	}
	return len(g.members) >= most || len(g.pending) >= 2*most
}

// waiting is how many members have joined a rebalance.
func (g *Classic) waiting() (n int) {
	for _, m := range g.order {
		if m.join != 0 {
			n++
		}
	}
	return n
}

// agrees reports whether there is a protocol that the one who joins has in common with all members.
func (g *Classic) agrees(q *Join) bool {
	if len(g.members) == 0 {
		return q.Kind != "" && len(q.Protocols) > 0
	}
	if q.Kind != g.kind {
		return false
	}
	return slices.ContainsFunc(q.Protocols, func(p Protocol) bool { return g.known(p.Name) })
}

// known reports whether all members know a protocol.
func (g *Classic) known(name string) bool { return g.knownBy[name] == len(g.order) }

// weigh counts, by one or by minus one, what a member says of itself and the protocols it knows.
func (g *Classic) weigh(m *member, by int) {
	g.bytes += by * m.bytes()
	for i, p := range m.protocols {
		if slices.IndexFunc(m.protocols, func(q Protocol) bool { return q.Name == p.Name }) != i {
			continue
		}
		if g.knownBy[p.Name] += by; g.knownBy[p.Name] == 0 {
			delete(g.knownBy, p.Name)
		}
	}
}

// enrol makes a member of somebody who is none.
func (g *Classic) enrol(nowMS int64, id string, q *Join, t Token) {
	m := &member{id: id, instance: q.Instance, isNew: true}
	m.take(q)
	delete(g.pending, id)
	if len(g.members) == 0 {
		g.kind = q.Kind
	}
	if g.state == Preparing && g.initial {
		g.fresh = true
	}
	g.add(m)
	if g.leader == "" {
		g.leader = id
	}
	m.join, m.skips = t, q.Skips
	m.deadlineMS = nowMS + newMemberJoinMS
	g.rebalance(nowMS)
}

// take notes what a request to join says of a member.
func (m *member) take(q *Join) {
	m.clientID, m.host = q.ClientID, q.Host
	m.sessionMS, m.rebalanceMS, m.protocols = int64(q.SessionMS), int64(q.RebalanceMS), q.Protocols
}

// update notes what a member says of itself when it joins again.
func (g *Classic) update(m *member, q *Join, t Token) {
	g.weigh(m, -1)
	m.take(q)
	g.weigh(m, 1)
	if m.join != 0 { // it gave the former request up
		g.answerJoin(m, &JoinReply{Code: UnknownMemberID, Generation: -1, Member: m.id})
	}
	m.join, m.skips = t, q.Skips
}

// rejoin is somebody who has an id.
func (g *Classic) rejoin(nowMS int64, q *Join, t Token) Code {
	if _, given := g.pending[q.Member]; given {
		if q.Instance != "" {
			return UnknownMemberID
		}
		g.enrol(nowMS, q.Member, q, t)
		return None
	}
	m, c := g.find(q.Member, q.Instance)
	if c != None {
		return c
	}
	switch g.state {
	case Preparing:
		g.update(m, q, t)
		g.rebalance(nowMS)
	case Completing, Stable:
		changed := !sameProtocols(m.protocols, q.Protocols)
		if changed || g.state == Stable && m.id == g.leader {
			g.update(m, q, t)
			g.rebalance(nowMS)
			return None
		}
		// It has not got the answer to its last request: it gets the same again.
		m.join, m.skips = t, q.Skips
		m.alive(nowMS)
		g.answerJoin(m, g.joined(m))
	case Empty, Assigning, Reconciling:
		return UnknownMemberID
	}
	return None
}

// find is a member as a request names it: by its id and, if it is static, its instance.
func (g *Classic) find(id, instance string) (*member, Code) {
	if instance != "" {
		m := g.instances[instance]
		if m == nil {
			return nil, UnknownMemberID
		}
		if m.id != id {
			return nil, FencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return nil, UnknownMemberID
	}
	return m, None
}

// replace is a static member that comes back without its id: it gets a new one, and whoever still has the old one is fenced. As long as it
// wants what it wanted, nobody else notices.
func (g *Classic) replace(nowMS int64, m *member, q *Join, t Token) {
	oldID, oldLeader := m.id, g.leader
	if m.join != 0 {
		g.answerJoin(m, &JoinReply{Code: FencedInstanceID, Generation: -1, Member: oldID})
	}
	g.answerSync(m, &SyncReply{Code: FencedInstanceID})
	delete(g.members, oldID)
	m.id = q.FreshID
	g.members[m.id] = m
	if g.leader == oldID {
		g.leader = m.id
	}
	g.update(m, q, t)
	m.alive(nowMS)
	if g.state != Stable || g.choose() != g.protocol {
		g.rebalance(nowMS)
		return
	}
	g.save(m)
	if g.leader != oldLeader {
		g.save()
	}
	g.forget(oldID)
	r := g.joined(m)
	r.Members = nil
	if !m.skips {
		r.Leader = oldLeader // so that an older client does not take itself for the leader, and assigns nothing
	} else if m.id == g.leader {
		r.Members, r.Skip = g.roll(), true
	}
	g.answerJoin(m, r)
}

// joined is the answer to a member of this generation.
func (g *Classic) joined(m *member) *JoinReply {
	r := &JoinReply{Generation: g.generation, Kind: g.kind, Protocol: g.protocol, Leader: g.leader, Member: m.id}
	if m.id == g.leader {
		r.Members = g.roll()
	}
	return r
}

// roll is the members with what they say of themselves under the chosen protocol.
func (g *Classic) roll() []JoinedMember {
	out := make([]JoinedMember, len(g.order))
	for i, m := range g.order {
		out[i] = JoinedMember{m.id, m.instance, m.metadata(g.protocol)}
	}
	return out
}

// rebalance begins one, or sees whether the one that is going on can end.
func (g *Classic) rebalance(nowMS int64) {
	if g.state != Preparing {
		g.prepare(nowMS)
	}
	if !g.initial {
		g.endIfAllCame(nowMS)
	}
}

func (g *Classic) prepare(nowMS int64) {
	if g.state == Completing {
		g.interrupt()
	}
	g.syncMS = 0
	g.initial = g.state == Empty
	g.enter(Preparing, nowMS)
	most := g.rebalanceMS()
	g.joinMS = nowMS + most
	if g.initial {
		delay := min(g.cfg.InitialDelay.Milliseconds(), most)
		g.joinMS, g.leftMS, g.fresh = nowMS+delay, max(most-delay, 0), false
		if delay == 0 {
			g.initial = false
		}
	}
}

// rebalanceMS is how long the slowest member may take.
func (g *Classic) rebalanceMS() (most int64) {
	for _, m := range g.order {
		most = max(most, m.rebalanceMS)
	}
	return most
}

// interrupt tells those who wait for their assignment that there is another rebalance.
func (g *Classic) interrupt() {
	for _, m := range g.order {
		g.assign(m, nil)
		m.unsynced = false
		g.answerSync(m, &SyncReply{Code: RebalanceInProgress})
	}
}

func (g *Classic) endIfAllCame(nowMS int64) {
	if g.state == Preparing && len(g.pending) == 0 && g.waiting() == len(g.order) {
		g.endJoin(nowMS)
	}
}

// joinIsDue is called when the time to join is up.
func (g *Classic) joinIsDue(nowMS int64) {
	if g.initial && g.fresh && g.leftMS > 0 {
		delay := min(g.cfg.InitialDelay.Milliseconds(), g.leftMS)
		g.fresh, g.leftMS, g.joinMS = false, g.leftMS-delay, nowMS+delay
		return
	}
	g.endJoin(nowMS)
}

// endJoin begins a generation of those who have joined. Static members that have not are still in it.
func (g *Classic) endJoin(nowMS int64) {
	g.initial = false
	for _, m := range slices.Clone(g.order) {
		if m.join == 0 && m.instance == "" {
			g.remove(m)
		}
	}
	if len(g.order) > 0 && !g.electJoined() {
		g.joinMS = nowMS + g.rebalanceMS() // only static members, and none is here
		return
	}
	g.generation++
	if len(g.order) == 0 {
		g.enter(Empty, nowMS)
		g.protocol, g.leader, g.syncMS = "", "", 0
		g.save()
		return
	}
	g.protocol = g.choose()
	g.enter(Completing, nowMS)
	for _, m := range g.order {
		g.assign(m, nil)
		m.unsynced = true
	}
	g.syncMS = nowMS + g.rebalanceMS()
	for _, m := range g.order {
		m.isNew = false
		m.alive(nowMS)
		g.answerJoin(m, g.joined(m))
	}
}

// electJoined has a leader who has joined.
func (g *Classic) electJoined() bool {
	if m := g.members[g.leader]; m != nil && m.join != 0 {
		return true
	}
	i := slices.IndexFunc(g.order, func(m *member) bool { return m.join != 0 })
	if i < 0 {
		return false
	}
	g.leader = g.order[i].id
	return true
}

// choose is the protocol that most members like best, of those that all know.
func (g *Classic) choose() string {
	votes := map[string]int{}
	var names []string
	for _, m := range g.order {
		for _, p := range m.protocols {
			if g.known(p.Name) {
				if votes[p.Name]++; votes[p.Name] == 1 {
					names = append(names, p.Name)
				}
				break
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(votes[a], votes[b]) })
}
