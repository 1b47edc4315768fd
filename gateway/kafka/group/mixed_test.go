package group

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// hall is a world whose group may be of either protocol, as the room of a group keeps it, with clients of both.
type hall struct {
	*world
	classic *Classic // nil: it is w.g
	old     map[string]*oldPeer
	waits   map[Token]*oldPeer
	last    Token
	eager   bool
}

// oldPeer is a client of the older protocol: what it believes.
type oldPeer struct {
	name, id, instance string
	topics             []string
	generation         int32
	owned              Parts
	waiting            Token // for the answer to its JoinGroup or SyncGroup
	mustJoin           bool
	mustSync           bool // it has joined a group of both, and may take its time to ask what it reads
	lastBeat           int64
}

func newHall(t *testing.T, seed uint64) *hall {
	h := &hall{world: newWorld(t, seed), old: map[string]*oldPeer{}, waits: map[Token]*oldPeer{}, eager: seed%2 == 0}
	cfg := Default()
	cfg.InitialDelay = 0
	h.classic = NewClassic(cfg, h.now)
	return h
}

func (h *hall) addOld(instance string, topics ...string) *oldPeer {
	h.next++
	p := &oldPeer{name: fmt.Sprint("o", h.next), instance: instance, topics: topics, owned: Parts{}, mustJoin: true, lastBeat: h.now}
	h.old[p.name] = p
	return p
}

// settle is what a room does after each step.
func (h *hall) settle(left Output) {
	if h.classic == nil && h.g.OnlyClassic() {
		h.classic = h.g.Downgrade(h.now, h)
	}
	var rows []Row
	if h.classic != nil {
		rows = h.classic.Unsaved()
	} else {
		rows = h.g.Unsaved()
	}
	for _, r := range rows {
		if r.Value == nil {
			delete(h.rows, r.Key)
		} else {
			h.rows[r.Key] = r.Value
		}
	}
	if h.classic != nil {
		h.classic.Saved(rows)
		out := h.classic.Take()
		left.Joins, left.Syncs = append(left.Joins, out.Joins...), append(left.Syncs, out.Syncs...)
	} else {
		h.g.Saved(rows)
	}
	for _, j := range left.Joins {
		if p := h.waits[j.Token]; p != nil {
			delete(h.waits, j.Token)
			h.joined(p, j.Reply)
		}
	}
	for _, y := range left.Syncs {
		if p := h.waits[y.Token]; p != nil {
			delete(h.waits, y.Token)
			h.synced(p, y.Reply)
		}
	}
}

// crash loses all that is not kept, and the requests that wait.
func (h *hall) crash() {
	var rows []Row
	for k, v := range h.rows {
		rows = append(rows, Row{k, v})
	}
	var err error
	h.classic, h.g = nil, nil
	if TypeOf(rows) == "consumer" {
		h.g, err = LoadConsumer(Default(), rows, h.now)
	} else {
		h.classic, err = LoadClassic(Default(), rows, h.now)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	clear(h.waits)
	for _, p := range h.old {
		if p.waiting != 0 {
			p.waiting, p.mustJoin = 0, true
		}
	}
}

// beatNew is a heartbeat of the newer protocol.
func (h *hall) beatNew(p *peer) {
	var left Output
	if h.classic != nil {
		to, can := h.classic.Upgrade(h.now, h)
		if p.epoch != 0 || !can {
			if p.epoch == 0 && h.classic.Members() == 0 {
				h.classic, h.g = nil, NewConsumer(Default(), h.now)
			} else {
				p.owned, p.epoch = Parts{}, 0
				return
			}
		} else {
			left = h.classic.Take()
			h.classic, h.g = nil, to
		}
	}
	h.beat(p, false)
	h.settle(left)
}

// says is what it says of itself: version 3 of the metadata, under the one protocol that it knows.
func (h *hall) says(p *oldPeer) []Protocol {
	b := binary.BigEndian.AppendUint16(nil, 3)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.topics)))
	for _, n := range p.topics {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(n))), n...)
	}
	b = binary.BigEndian.AppendUint32(b, 1<<32-1)
	b = append(b, encodeAssignment([]byte{0, 3}, p.owned, h.byID())[2:]...) // version and user data are around what is owned
	b = b[:len(b)-4]
	b = binary.BigEndian.AppendUint32(b, uint32(p.generation))
	b = binary.BigEndian.AppendUint16(b, 1<<16-1)
	return []Protocol{{Name: "p", Metadata: b}}
}

func (h *hall) byID() map[ID]Topic {
	out := map[ID]Topic{}
	for _, t := range h.topics {
		out[t.ID] = t
	}
	return out
}

func (h *hall) turn(p *oldPeer) {
	if p.waiting != 0 {
		return
	}
	p.lastBeat = h.now
	switch {
	case p.mustJoin || p.id == "":
		h.join(p)
		return
	case p.mustSync:
		h.sync(p, nil)
		return
	}
	var c Code
	if h.classic != nil {
		c = h.classic.Heartbeat(h.now, p.id, p.instance, p.generation)
	} else {
		c = h.g.BeatClassic(h.now, p.id, p.instance, p.generation)
	}
	h.refused(p, c)
	h.settle(Output{})
}

func (h *hall) refused(p *oldPeer, c Code) {
	switch c {
	case None:
	case RebalanceInProgress:
		p.mustJoin = true
	case IllegalGeneration, UnknownMemberID:
		p.mustJoin, p.owned, p.generation = true, Parts{}, -1
		if c == UnknownMemberID {
			p.id = ""
		}
	default:
		h.t.Fatalf("%s is refused with %d", p.name, c)
	}
}

func (h *hall) join(p *oldPeer) {
	p.mustJoin, p.mustSync = false, false
	if h.eager {
		p.owned = Parts{}
	}
	h.fresh()
	q := &Join{
		Member: p.id, Instance: p.instance, ClientID: p.name, SessionMS: 45_000, RebalanceMS: 60_000, Kind: kindConsumer, Protocols: h.says(p),
		FreshID: fmt.Sprint(p.name, "-", h.next), KnownFirst: true, Skips: true,
	}
	if h.classic == nil && h.g.Members() == 0 {
		h.classic = NewClassic(Default(), h.now)
	}
	if h.classic == nil {
		h.joined(p, h.g.JoinClassic(h.now, q, h))
		h.settle(Output{})
		return
	}
	h.last++
	p.waiting, h.waits[h.last] = h.last, p
	h.classic.Join(h.now, q, h.last)
	h.settle(Output{})
}

func (h *hall) fresh() { h.next++ }

func (h *hall) joined(p *oldPeer, r *JoinReply) {
	p.waiting = 0
	if r.Code == MemberIDRequired {
		p.id, p.mustJoin = r.Member, true
		return
	}
	if h.refused(p, r.Code); r.Code != None {
		p.mustJoin = true
		return
	}
	p.id, p.generation = r.Member, r.Generation
	if p.mustSync = h.classic == nil && h.rnd.IntN(2) == 0; p.mustSync {
		return
	}
	var assignments map[string][]byte
	if r.Leader == r.Member && !r.Skip {
		assignments = h.share(r.Members)
	}
	h.sync(p, assignments)
}

func (h *hall) sync(p *oldPeer, assignments map[string][]byte) {
	p.mustSync = false
	y := &Sync{Member: p.id, Instance: p.instance, Generation: p.generation, Assignments: assignments}
	if h.classic == nil {
		h.synced(p, h.g.SyncClassic(h.now, y, h))
		return
	}
	h.last++
	p.waiting, h.waits[h.last] = h.last, p
	h.classic.Sync(h.now, y, h.last)
	h.settle(Output{})
}

// share is what a leader assigns: in turn, and to nobody what another says that it owns.
func (h *hall) share(ms []JoinedMember) map[string][]byte {
	claimed := map[part]string{}
	says := map[string]said{}
	for _, m := range ms {
		s, ok := parseSaid(m.Metadata)
		if !ok {
			h.t.Fatal("metadata")
		}
		says[m.ID] = s
		for id, ns := range s.owns(h) {
			for _, n := range ns {
				claimed[part{id, n}] = m.ID
			}
		}
	}
	to := map[string]Parts{}
	for _, t := range sortedTopics(h.byID()) {
		var readers []string
		for _, m := range ms {
			if slices.Contains(says[m.ID].topics, t.Name) {
				readers = append(readers, m.ID)
			}
		}
		for n := range t.Partitions {
			if len(readers) == 0 {
				break
			}
			r, x := readers[int(n)%len(readers)], part{t.ID, n}
			if c := claimed[x]; c == "" || c == r {
				to[r] = to[r].with(Parts{t.ID: {n}})
			}
		}
	}
	out := map[string][]byte{}
	for _, m := range ms {
		out[m.ID] = encodeAssignment(m.Metadata, to[m.ID], h.byID())
	}
	return out
}

func (h *hall) synced(p *oldPeer, r *SyncReply) {
	p.waiting = 0
	if h.refused(p, r.Code); r.Code != None {
		p.mustJoin = true
		return
	}
	now, ok := parseAssignment(r.Assignment, h)
	if !ok {
		h.t.Fatalf("%s has %x", p.name, r.Assignment)
	}
	if _, gone := p.owned.split(now.has); len(gone) > 0 {
		p.mustJoin = true // it lets go, and says so
	}
	p.owned = now
}

// exclusiveAll fails when two clients read one partition.
func (h *hall) exclusiveAll() {
	h.t.Helper()
	owner := map[part]string{}
	look := func(name string, ps Parts) {
		for id, ns := range ps {
			for _, n := range ns {
				if o := owner[part{id, n}]; o != "" {
					h.t.Fatalf("%s and %s both own %x/%d", o, name, id[:2], n)
				}
				owner[part{id, n}] = name
			}
		}
	}
	for _, p := range h.clients {
		look(p.id, p.owned)
	}
	for _, p := range h.old {
		look(p.name, p.owned)
	}
}

// calm lets everybody go on until each partition has a reader.
func (h *hall) calm(what string) {
	h.t.Helper()
	for range 60 {
		h.now += 1000
		h.tick()
		for _, id := range h.ids() {
			h.beatNew(h.clients[id])
			h.exclusiveAll()
		}
		for _, name := range slices.Sorted(maps.Keys(h.old)) {
			h.turn(h.old[name])
			h.exclusiveAll()
		}
	}
	total, owned := 0, 0
	for _, t := range h.topics {
		total += int(t.Partitions)
	}
	for _, p := range h.clients {
		owned += p.owned.count()
	}
	for _, p := range h.old {
		owned += p.owned.count()
	}
	if owned != total {
		h.t.Fatalf("%s: of %d partitions %d have a reader", what, total, owned)
	}
}

func (h *hall) tick() {
	if h.classic != nil {
		h.classic.Tick(h.now)
	} else {
		h.g.Tick(h.now)
	}
	h.settle(Output{})
}

func (h *hall) leaveNew(p *peer) {
	if h.classic == nil {
		_, _ = h.g.Heartbeat(h.now, &Beat{Member: p.id, Epoch: epochLeave, RebalanceMS: -1}, h)
	}
	delete(h.clients, p.id)
	h.settle(Output{})
}

func (h *hall) leaveOld(p *oldPeer) {
	delete(h.old, p.name)
	delete(h.waits, p.waiting)
	if h.classic != nil {
		h.classic.Leave(h.now, p.id, p.instance)
	} else {
		h.g.Leave(h.now, p.id, p.instance)
	}
	h.settle(Output{})
}

// A group goes from the older protocol to the newer and back while its members read, come, go, die and the node crashes: no partition is ever read by two, and when
// things calm down each is read.
func TestMixed_ModelThereAndBack(t *testing.T) {
	for seed := range uint64(40) {
		h := newHall(t, seed)
		topics := []string{"t0", "t1"}
		for _, n := range topics {
			h.topic(n, int32(2+h.rnd.IntN(6)))
		}
		for range 3 {
			h.addOld("", topics...)
		}
		h.calm("all of the older protocol")
		if h.classic == nil {
			t.Fatal("it is of the newer protocol, and nobody speaks that")
		}
		for range 150 {
			h.now += int64(h.rnd.IntN(200))
			h.tick()
			news, olds := h.ids(), slices.Sorted(maps.Keys(h.old))
			switch op := h.rnd.IntN(40); {
			case op == 0:
				h.add("", topics...)
			case op == 1:
				h.addOld("", topics...)
			case op == 2 && len(news) > 0:
				h.leaveNew(h.clients[news[h.rnd.IntN(len(news))]])
			case op == 3 && len(olds) > 0:
				h.leaveOld(h.old[olds[h.rnd.IntN(len(olds))]])
			case op == 4:
				h.crash()
			case op == 5 && len(olds) > 1: // it dies
				p := h.old[olds[h.rnd.IntN(len(olds))]]
				delete(h.old, p.name)
				delete(h.waits, p.waiting)
			case op%2 == 0 && len(news) > 0:
				h.beatNew(h.clients[news[h.rnd.IntN(len(news))]])
			case len(olds) > 0:
				h.turn(h.old[olds[h.rnd.IntN(len(olds))]])
			}
			h.exclusiveAll()
		}
		h.add("", topics...)
		h.calm("of both")
		if h.classic != nil {
			t.Fatalf("seed %d: it is of the older protocol, and somebody speaks the newer", seed)
		}
		for _, p := range slices.Collect(maps.Values(h.old)) {
			h.leaveOld(p)
		}
		h.calm("all of the newer protocol")
		h.addOld("", topics...)
		h.addOld("", topics...)
		h.calm("of both again")
		for _, id := range h.ids() {
			h.leaveNew(h.clients[id])
		}
		h.calm("back again")
		if h.classic == nil {
			t.Fatalf("seed %d: it is of the newer protocol, and nobody speaks that any more", seed)
		}
	}
}

// A static member that is started anew with the other protocol takes its own place, and what it had.
func TestMixed_StaticMemberChangesItsProtocol(t *testing.T) {
	h := newHall(t, 1)
	h.topic("t0", 4)
	h.addOld("a", "t0")
	h.addOld("b", "t0")
	h.calm("older")
	a := slices.Collect(maps.Values(h.old))[0]
	delete(h.old, a.name) // a static one leaves without a word
	n := h.add(a.instance, "t0")
	h.calm("one of two")
	if h.classic != nil || n.owned.count() != 2 || h.g.Members() != 2 {
		t.Fatalf("%d partitions, %d members", n.owned.count(), h.g.Members())
	}
	delete(h.clients, n.id)
	back := h.addOld(a.instance, "t0")
	h.calm("back")
	if h.classic == nil || back.owned.count() != 2 || h.classic.Members() != 2 {
		t.Fatalf("%d partitions", back.owned.count())
	}
}

func TestMixed_Refusals(t *testing.T) {
	h := newHall(t, 0)
	h.topic("t0", 2)
	h.classic = nil
	p := h.add("s", "t0")
	h.beatNew(p)
	good := func() *Join {
		return &Join{SessionMS: 45_000, RebalanceMS: 1000, Kind: kindConsumer, Protocols: h.says(&oldPeer{topics: []string{"t0"}}), FreshID: "f"}
	}
	for name, c := range map[string]struct {
		change func(q *Join)
		want   Code
	}{
		"a session too short":   {func(q *Join) { q.SessionMS = 1 }, InvalidSessionTimeout},
		"another kind":          {func(q *Join) { q.Kind = "connect" }, InconsistentGroupProtocol},
		"no protocol":           {func(q *Join) { q.Protocols = nil }, InconsistentGroupProtocol},
		"metadata that is none": {func(q *Join) { q.Protocols[0].Metadata = []byte{0, 3, 0, 0} }, InconsistentGroupProtocol},
		"no id yet":             {func(q *Join) { q.KnownFirst = true }, MemberIDRequired},
		"another's name":        {func(q *Join) { q.Instance, q.Member = "s", "other" }, FencedInstanceID},
		"too much":              {func(q *Join) { q.Protocols[0].Metadata = make([]byte, Default().MemberBytesMax) }, GroupMaxSizeReached},
	} {
		q := good()
		c.change(q)
		if r := h.g.JoinClassic(h.now, q, h); r.Code != c.want {
			t.Errorf("%s: %d", name, r.Code)
		}
	}
	r := h.g.JoinClassic(h.now, good(), h)
	if r.Code != None || r.Leader != "" {
		t.Fatalf("%+v", r)
	}
	other := good()
	other.Protocols[0].Name, other.Member = "q", "g"
	if r := h.g.JoinClassic(h.now, other, h); r.Code != InconsistentGroupProtocol {
		t.Errorf("no protocol in common: %d", r.Code)
	}
	for name, got := range map[string]Code{
		"heartbeat of nobody":             h.g.BeatClassic(h.now, "x", "", 1),
		"heartbeat of the newer protocol": h.g.BeatClassic(h.now, p.id, "s", p.epoch),
		"sync of nobody":                  h.g.SyncClassic(h.now, &Sync{Member: "x"}, h).Code,
	} {
		if got != UnknownMemberID {
			t.Errorf("%s: %d", name, got)
		}
	}
	if c := h.g.BeatClassic(h.now, "f", "", r.Generation+1); c != IllegalGeneration {
		t.Errorf("another generation: %d", c)
	}
	if c := h.g.MayCommit("f", "", r.Generation+1, false); c != IllegalGeneration {
		t.Errorf("a commit of another generation: %d", c)
	}
	if y := h.g.SyncClassic(h.now, &Sync{Member: "f", Generation: r.Generation, Protocol: new("z")}, h); y.Code != InconsistentGroupProtocol {
		t.Errorf("another protocol: %d", y.Code)
	}
}
