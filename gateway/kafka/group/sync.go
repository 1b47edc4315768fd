package group

// Sync is a member that asks for its assignment; the leader brings those of all.
type Sync struct {
	Member, Instance string
	Generation       int32
	Kind, Protocol   *string // nil: not said
	Assignments      map[string][]byte
}

// Sync takes a request to sync; its answer is for t, now or later. When the leader has synced, the generation is to be kept before anybody is answered.
func (g *Classic) Sync(nowMS int64, q *Sync, t Token) {
	answer := func(r *SyncReply) { g.out.Syncs = append(g.out.Syncs, Synced{t, r}) }
	m, c := g.find(q.Member, q.Instance)
	switch {
	case c != None:
	case q.Generation != g.generation:
		c = IllegalGeneration
	case q.Kind != nil && *q.Kind != g.kind, q.Protocol != nil && *q.Protocol != g.protocol:
		c = InconsistentGroupProtocol
	case g.state == Preparing:
		c = RebalanceInProgress
	case g.state == Empty:
		c = UnknownMemberID
	}
	if c != None {
		answer(&SyncReply{Code: c})
		return
	}
	if g.state == Stable {
		m.unsynced = false
		m.alive(nowMS)
		answer(g.synced(m))
		return
	}
	g.answerSync(m, &SyncReply{Code: UnknownMemberID}) // of a request that was given up
	m.sync, m.unsynced = t, false
	if m.id != g.leader {
		return
	}
	if g.tooMuch(q.Assignments) {
		m.sync = 0
		answer(&SyncReply{Code: InvalidRequest})
		g.rebalance(nowMS)
		return
	}
	g.enter(Stable, nowMS)
	for _, x := range g.order {
		g.assign(x, q.Assignments[x.id])
		g.save(x)
		if x.sync != 0 {
			x.alive(nowMS)
			g.answerSync(x, g.synced(x))
		}
	}
	g.save()
}

// tooMuch reports whether assignments are more than is kept.
func (g *Classic) tooMuch(as map[string][]byte) bool {
	n := 0
	for _, m := range g.order {
		if len(as[m.id]) > g.cfg.MemberBytesMax {
			return true
		}
		n += len(as[m.id])
	}
	return g.bytes+n > g.cfg.GroupBytesMax
}

func (g *Classic) synced(m *member) *SyncReply {
	return &SyncReply{Kind: g.kind, Protocol: g.protocol, Assignment: m.assignment}
}

// syncIsDue is called when those who have not synced are late: they are no members any more.
func (g *Classic) syncIsDue(nowMS int64) {
	g.syncMS = 0
	late := false
	for _, m := range append([]*member(nil), g.order...) {
		if m.unsynced {
			g.remove(m)
			late = true
		}
	}
	if late {
		g.rebalance(nowMS)
	}
}

// Heartbeat is a member that says it is there, and asks whether it should join again.
func (g *Classic) Heartbeat(nowMS int64, id, instance string, generation int32) Code {
	m, c := g.find(id, instance)
	switch {
	case c != None:
		return c
	case generation != g.generation:
		return IllegalGeneration
	case g.state == Empty:
		return UnknownMemberID
	}
	m.alive(nowMS)
	if g.state == Preparing {
		return RebalanceInProgress
	}
	return None
}

// Leave has a member go, given by its id or, if it is static, by its instance alone.
func (g *Classic) Leave(nowMS int64, id, instance string) Code {
	var m *member
	switch {
	case instance != "" && g.instances[instance] == nil:
		return UnknownMemberID
	case instance != "":
		if m = g.instances[instance]; id != "" && m.id != id {
			return FencedInstanceID
		}
	default:
		if _, given := g.pending[id]; given {
			delete(g.pending, id)
			g.endIfAllCame(nowMS)
			return None
		}
		if m = g.members[id]; m == nil {
			return UnknownMemberID
		}
	}
	g.remove(m)
	g.left(nowMS)
	return None
}

// left is called when a member has gone.
func (g *Classic) left(nowMS int64) {
	switch g.state {
	case Stable, Completing:
		g.rebalance(nowMS)
	case Preparing:
		if !g.initial {
			g.endIfAllCame(nowMS)
		}
	case Empty, Assigning, Reconciling:
	}
}

// MayCommit says whether somebody may commit offsets as a member of a generation; with a generation below 0 and no member, anybody may while there are
// no members: who reads without a group, or an administrator.
func (g *Classic) MayCommit(id, instance string, generation int32, transactional bool) Code {
	if generation < 0 && g.state == Empty {
		return None
	}
	if id != "" || instance != "" || generation >= 0 {
		_, c := g.find(id, instance)
		switch {
		case c != None:
			return c
		case generation != g.generation:
			return IllegalGeneration
		}
	} else if !transactional && g.state != Empty {
		return UnknownMemberID // when there are members, they commit
	}
	if !transactional && g.state == Completing {
		return RebalanceInProgress
	}
	return None
}

// Alive has the session of a member that commits begin again.
func (g *Classic) Alive(nowMS int64, id string) {
	if m := g.members[id]; m != nil {
		m.alive(nowMS)
	}
}
