package group

import (
	"cmp"
	"maps"
	"slices"
)

// Upgrade makes a group of the newer protocol of one whose members are readers: each is a member with what it was assigned, the generation is the epoch. ok is false,
// and nothing has changed, where they are no readers or say what cannot be read. Those who wait for an answer are told to join again, by Take; who never had one is
// left out, and comes again. Everything is to be kept anew.
func (g *Classic) Upgrade(nowMS int64, topics Topics) (to *Consumer, ok bool) {
	if g.kind != kindConsumer || len(g.order) > g.cfg.MembersMax {
		return nil, false
	}
	protocol := cmp.Or(g.protocol, g.choose())
	to = NewConsumer(g.cfg, nowMS)
	to.epoch, to.targetEpoch = g.generation, g.generation
	for _, m := range g.order {
		says, ok := parseSaid(m.metadata(protocol))
		if !ok {
			return nil, false
		}
		if !m.isNew {
			to.adopt(nowMS, m, &says, topics)
		}
	}
	for _, m := range g.order {
		g.answerJoin(m, &JoinReply{Code: RebalanceInProgress, Generation: -1, Member: m.id})
		g.answerSync(m, &SyncReply{Code: RebalanceInProgress})
	}
	to.kept = maps.Clone(g.kept)
	to.save()
	return to, true
}

// adopt makes a member of one of a classic group. While its group rebalances it may have no assignment: then what it says it owns counts. What two claim is the first
// one's, who has been in the group for longer.
func (g *Consumer) adopt(nowMS int64, m *member, says *said, topics Topics) {
	owned, ok := parseAssignment(m.assignment, topics)
	if !ok || len(m.assignment) == 0 {
		owned = says.owns(topics)
	}
	owned, _ = owned.split(func(x part) bool { return g.owners[x] == nil })
	n := &consumer{
		id: m.id, instance: m.instance, clientID: m.clientID, host: m.host, rebalanceMS: m.rebalanceMS, names: slices.Clone(says.topics),
		epoch: g.epoch, before: g.epoch, target: owned, classic: &classicSide{sessionMS: m.sessionMS, protocols: m.protocols},
	}
	if says.rack != nil {
		n.rack = *says.rack
	}
	slices.Sort(n.names)
	n.names = slices.Compact(n.names)
	g.members[n.id] = n
	if n.instance != "" {
		g.instances[n.instance] = n
	}
	g.own(n, owned, Parts{})
	g.alive(nowMS, n)
	g.save(n.id)
}

// OnlyClassic reports whether all members are of the older protocol: then the group is to be one, too.
func (g *Consumer) OnlyClassic() bool {
	for _, m := range g.members {
		if m.classic == nil {
			return false
		}
	}
	return len(g.members) > 0
}

// Downgrade makes a classic group of one for which OnlyClassic is true: its epoch is the generation, members have what they own, and a rebalance begins. Everything is
// to be kept anew.
func (g *Consumer) Downgrade(nowMS int64, topics Topics) *Classic {
	if !g.looked {
		g.look(topics)
	}
	to := NewClassic(g.cfg, nowMS)
	to.generation, to.kind, to.state = g.epoch, kindConsumer, Stable
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		m := g.members[id]
		n := &member{
			id: id, instance: m.instance, clientID: m.clientID, host: m.host, sessionMS: m.classic.sessionMS, rebalanceMS: m.rebalanceMS, protocols: m.classic.protocols,
			assignment: encodeAssignment(m.classic.protocols[0].Metadata, m.owned, g.topics),
		}
		n.alive(nowMS)
		to.add(n)
		to.save(n)
	}
	to.leader = to.order[0].id
	to.protocol = to.choose()
	to.kept = maps.Clone(g.kept)
	to.save()
	to.rebalance(nowMS)
	return to
}
