package group

import "slices"

// A group of the newer protocol can have members of the older one, while its clients are being changed from one to the other. They are members like all others, whose
// epoch is their generation; only that they cannot be told of their assignment in a heartbeat, so they are told to join again:
//
//	JoinGroup   what it wants, and what it still owns           a step towards its target, as a heartbeat of the newer protocol is; nobody leads
//	SyncGroup   what is it to read?                             what it owns by now
//	Heartbeat   is it there?                                    yes; or join again: there is another epoch, something to let go of, or something that has come free
//
// Upgrade makes such a group of a classic one when the first member of the newer protocol comes, and Downgrade makes it classic again when the last one has gone.

// classicSide is what a member of the older protocol is besides.
type classicSide struct {
	sessionMS int64
	protocols []Protocol
	lateMS    int64 // when it must have joined again, or have synced; 0: it need not
}

func (s *classicSide) bytes() (n int) {
	for i := range s.protocols {
		n += len(s.protocols[i].Name) + len(s.protocols[i].Metadata)
	}
	return n
}

// alive has the session of a member begin again.
func (g *Consumer) alive(nowMS int64, m *consumer) {
	session := g.cfg.Session.Milliseconds()
	if m.classic != nil {
		session = m.classic.sessionMS
	}
	m.deadlineMS = nowMS + session
}

// JoinClassic is a member of the older protocol that joins, for the first time or again. The reply is to be given once what changed is kept.
func (g *Consumer) JoinClassic(nowMS int64, q *Join, topics Topics) *JoinReply {
	refused := func(c Code, member string) *JoinReply { return &JoinReply{Code: c, Generation: -1, Member: member} }
	if ms := int64(q.SessionMS); ms < g.cfg.SessionMin.Milliseconds() || ms > g.cfg.SessionMax.Milliseconds() {
		return refused(InvalidSessionTimeout, q.Member)
	}
	if q.RebalanceMS < 0 {
		q.RebalanceMS = q.SessionMS
	}
	side := &classicSide{sessionMS: int64(q.SessionMS), protocols: q.Protocols}
	if side.bytes() > g.cfg.MemberBytesMax {
		return refused(GroupMaxSizeReached, q.Member)
	}
	if q.Kind != kindConsumer || !g.agrees(q) {
		return refused(InconsistentGroupProtocol, q.Member)
	}
	says, ok := parseSaid(q.Protocols[0].Metadata)
	if !ok {
		return refused(InconsistentGroupProtocol, q.Member)
	}
	if q.Member == "" && q.Instance == "" && q.KnownFirst {
		return refused(MemberIDRequired, q.FreshID)
	}
	m, c := g.findClassic(nowMS, q)
	if c != None {
		return refused(c, q.Member)
	}
	m.classic = side
	beat := &Beat{Member: m.id, Rack: says.rack, ClientID: q.ClientID, Host: q.Host, RebalanceMS: q.RebalanceMS, Names: says.topics, Pattern: new(string)}
	changed := g.update(m, beat)
	g.save(m.id) // what it said to say so is kept, too
	g.advance(nowMS, m, changed, says.owns(topics), topics)
	side.lateMS = nowMS + m.rebalanceMS
	return &JoinReply{Generation: m.epoch, Kind: kindConsumer, Protocol: side.protocols[0].Name, Member: m.id}
}

// agrees reports whether who joins has a protocol in common with all others of the older protocol: one day they may be alone.
func (g *Consumer) agrees(q *Join) bool {
	return slices.ContainsFunc(q.Protocols, func(p Protocol) bool {
		for _, m := range g.members {
			if m.classic != nil && m.id != q.Member && !m.classic.knows(p.Name) {
				return false
			}
		}
		return true
	})
}

func (s *classicSide) knows(name string) bool {
	return slices.ContainsFunc(s.protocols, func(p Protocol) bool { return p.Name == name })
}

// findClassic is the member that a JoinGroup comes from; one who is none is made. A static one without its id takes the place of whoever has its name, be that one of
// the newer protocol.
func (g *Consumer) findClassic(nowMS int64, q *Join) (*consumer, Code) {
	id := q.Member
	if id == "" {
		id = q.FreshID
	}
	if q.Instance != "" {
		switch x := g.instances[q.Instance]; {
		case x == nil:
		case q.Member == "":
			return g.replace(x, id), None
		case x.id != q.Member:
			return nil, FencedInstanceID
		}
	}
	if m := g.members[id]; m != nil {
		return m, None
	}
	beat := &Beat{Member: id}
	if q.Instance != "" {
		beat.Instance = &q.Instance
	}
	m, r := g.join(nowMS, beat)
	if r != nil {
		return nil, r.Code
	}
	return m, None
}

// isClassic is a member of the older protocol as a request names it.
func (g *Consumer) isClassic(id, instance string, generation int32) (*consumer, Code) {
	m := g.members[id]
	if instance != "" {
		if m = g.instances[instance]; m != nil && m.id != id {
			return nil, FencedInstanceID
		}
	}
	switch {
	case m == nil || m.classic == nil:
		return nil, UnknownMemberID
	case m.epoch != generation:
		return nil, IllegalGeneration
	}
	return m, None
}

// SpeaksClassic reports whether a member is of the older protocol.
func (g *Consumer) SpeaksClassic(id string) bool {
	m := g.members[id]
	return m != nil && m.classic != nil
}

// SyncClassic is a member of the older protocol that asks for what it is to read.
func (g *Consumer) SyncClassic(nowMS int64, q *Sync, topics Topics) *SyncReply {
	m, c := g.isClassic(q.Member, q.Instance, q.Generation)
	if c != None {
		return &SyncReply{Code: c}
	}
	protocol := m.classic.protocols[0]
	if q.Kind != nil && *q.Kind != kindConsumer || q.Protocol != nil && *q.Protocol != protocol.Name {
		return &SyncReply{Code: InconsistentGroupProtocol}
	}
	g.alive(nowMS, m)
	if g.epoch > m.epoch && m.progress != revoking {
		// Who has to let go of something does that first, and then comes again by itself.
		m.classic.toJoin(nowMS, m)
		return &SyncReply{Code: RebalanceInProgress}
	}
	m.classic.lateMS = 0
	if !g.looked {
		g.look(topics) // after a start nobody may have asked yet
	}
	return &SyncReply{Kind: kindConsumer, Protocol: protocol.Name, Assignment: encodeAssignment(protocol.Metadata, m.owned, g.topics)}
}

// toJoin says by when a member is to have joined again.
func (s *classicSide) toJoin(nowMS int64, m *consumer) {
	if s.lateMS == 0 {
		s.lateMS = nowMS + m.rebalanceMS
	}
}

// BeatClassic is a member of the older protocol that says it is there. Nothing of it is kept.
func (g *Consumer) BeatClassic(nowMS int64, id, instance string, generation int32) Code {
	m, c := g.isClassic(id, instance, generation)
	if c != None {
		return c
	}
	g.alive(nowMS, m)
	if m.epoch < g.epoch || m.progress == revoking || m.progress == waiting && g.isFree(m) {
		m.classic.toJoin(nowMS, m)
		return RebalanceInProgress
	}
	return None
}

// isFree reports whether something that a member waits for has been let go of.
func (g *Consumer) isFree(m *consumer) bool {
	_, missing := m.target.split(m.owned.has)
	free, _ := missing.split(func(x part) bool { return g.owners[x] == nil })
	return len(free) > 0
}
