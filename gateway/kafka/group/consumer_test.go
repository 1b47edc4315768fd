package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// world is topics, and clients of the newer protocol as they behave, in virtual time.
type world struct {
	t       testing.TB
	rnd     *rand.Rand
	now     int64
	version uint64
	topics  map[string]Topic
	g       *Consumer
	rows    map[string][]byte // what is kept
	clients map[string]*peer
	next    int
}

// peer is a client: what it believes.
type peer struct {
	id, instance string
	names        []string
	pattern      string
	epoch        int32
	owned        Parts // what it reads
	target       Parts // what it was told to own
	gone         bool
	lastBeat     int64
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), topics: map[string]Topic{}, rows: map[string][]byte{}, clients: map[string]*peer{}, now: 1000}
	w.g = NewConsumer(Default(), w.now)
	return w
}

func (w *world) Version() uint64 { return w.version }
func (w *world) Topic(name string) (Topic, bool) {
	t, ok := w.topics[name]
	return t, ok
}

func (w *world) Each(fn func(Topic)) {
	for _, t := range w.topics {
		fn(t)
	}
}

func (w *world) topic(name string, partitions int32) {
	w.version++
	id := w.topics[name].ID
	if id == (ID{}) {
		w.next++
		id[0], id[1], id[15] = byte(w.next), byte(w.next>>8), 7
	}
	w.topics[name] = Topic{id, name, partitions}
}

func (w *world) keep() {
	rows := w.g.Unsaved()
	for _, r := range rows {
		if r.Value == nil {
			delete(w.rows, r.Key)
		} else {
			w.rows[r.Key] = r.Value
		}
	}
	w.g.Saved(rows)
}

// crash loses all that is not kept.
func (w *world) crash() {
	var rows []Row
	for k, v := range w.rows {
		rows = append(rows, Row{k, v})
	}
	g, err := LoadConsumer(Default(), rows, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.g = g
}

func (w *world) add(instance string, names ...string) *peer {
	w.next++
	p := &peer{id: fmt.Sprint("m", w.next), instance: instance, names: names, owned: Parts{}}
	w.clients[p.id] = p
	return p
}

// beat sends a heartbeat as a client would; lost: the answer does not arrive.
func (w *world) beat(p *peer, lost bool) {
	q := &Beat{Member: p.id, Epoch: p.epoch, RebalanceMS: -1}
	if p.instance != "" {
		q.Instance = &p.instance
	}
	switch {
	case p.epoch <= 0:
		q.RebalanceMS, q.Names, q.Owned = 60_000, p.names, Parts{}
		if p.pattern != "" {
			q.Pattern = &p.pattern
		}
		if p.epoch == 0 {
			p.owned, p.target = Parts{}, nil
		}
	default:
		q.Owned = p.owned
	}
	if r := q.Check(); r != nil {
		w.t.Fatal(r)
	}
	reply, refusal := w.g.Heartbeat(w.now, q, w)
	w.keep()
	p.lastBeat = w.now
	if lost {
		return
	}
	if refusal != nil {
		if refusal.Code == UnreleasedInstanceID {
			return // tries again
		}
		p.owned, p.target, p.epoch = Parts{}, nil, 0 // fenced, or unknown: it lets go of everything and joins again
		return
	}
	p.epoch = reply.Epoch
	if reply.Owns != nil {
		p.target = reply.Owns
	}
	// It lets go first, and reads what is new only when that is done: here at once, but it is told of with the next heartbeat.
	keep, _ := p.owned.split(p.target.has)
	p.owned = keep.with(p.target)
}

func (w *world) leave(p *peer, epoch int32) {
	q := &Beat{Member: p.id, Epoch: epoch, RebalanceMS: -1}
	if p.instance != "" {
		q.Instance = &p.instance
	}
	_, _ = w.g.Heartbeat(w.now, q, w)
	w.keep()
	p.gone = true
	delete(w.clients, p.id)
}

// exclusive fails when two clients read one partition.
func (w *world) exclusive() {
	w.t.Helper()
	owner := map[part]string{}
	for _, p := range w.clients {
		for id, ns := range p.owned {
			for _, n := range ns {
				if o := owner[part{id, n}]; o != "" {
					w.t.Fatalf("%s and %s both own %x/%d", o, p.id, id[:2], n)
				}
				owner[part{id, n}] = p.id
			}
		}
	}
}

func (w *world) ids() []string { return slices.Sorted(maps.Keys(w.clients)) }

// converge lets everybody send heartbeats until nothing changes, and says in how many rounds.
func (w *world) converge() int {
	w.t.Helper()
	for round := 1; round < 40; round++ {
		w.now += 3000
		w.g.Tick(w.now)
		before := map[string]string{}
		for _, id := range w.ids() {
			before[id] = fmt.Sprint(w.clients[id].epoch, w.clients[id].owned)
		}
		for _, id := range w.ids() {
			w.beat(w.clients[id], false)
			w.exclusive()
		}
		same := true
		for _, id := range w.ids() {
			same = same && before[id] == fmt.Sprint(w.clients[id].epoch, w.clients[id].owned)
		}
		if s := w.g.State(); same && (s == Stable || s == Empty) {
			return round
		}
	}
	w.t.Fatalf("does not settle: %v", w.g.Describe())
	return 0
}

// whole fails unless each partition that somebody is subscribed to has an owner.
func (w *world) whole() {
	w.t.Helper()
	owned := map[part]bool{}
	wanted := map[string]bool{}
	for _, p := range w.clients {
		for id, ns := range p.owned {
			for _, n := range ns {
				owned[part{id, n}] = true
			}
		}
		for _, n := range p.names {
			wanted[n] = true
		}
		if p.pattern != "" {
			re, _ := compile(p.pattern)
			for name := range w.topics {
				if re.MatchString(name) {
					wanted[name] = true
				}
			}
		}
	}
	for name := range wanted {
		for n := range w.topics[name].Partitions {
			if !owned[part{w.topics[name].ID, n}] {
				w.t.Fatalf("nobody owns %s/%d", name, n)
			}
		}
	}
}

// No partition is ever read by two, whatever comes, goes, crashes and is lost; and when things calm down each has a reader, and shares are even.
func TestConsumer_ModelOwnsEachPartitionOnce(t *testing.T) {
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		for i := range 3 {
			w.topic(fmt.Sprint("t", i), int32(1+w.rnd.IntN(12)))
		}
		mixed := seed%3 == 0
		join := func() {
			names := []string{"t0", "t1", "t2"}
			if mixed {
				names = names[:1+w.rnd.IntN(3)]
			}
			instance := ""
			if w.rnd.IntN(4) == 0 {
				instance = fmt.Sprint("i", w.rnd.IntN(3))
				for _, p := range w.clients {
					if p.instance == instance {
						instance = ""
						break
					}
				}
			}
			p := w.add(instance, names...)
			if mixed && w.rnd.IntN(4) == 0 {
				p.names, p.pattern = nil, "t[01]"
			}
		}
		join()
		for range 120 {
			w.now += int64(w.rnd.IntN(2000))
			w.g.Tick(w.now)
			w.keep()
			for _, p := range w.clients { // a client whose session has ended stops reading by itself
				if p.epoch > 0 && w.now-p.lastBeat >= Default().Session.Milliseconds() {
					p.owned, p.epoch = Parts{}, 0
				}
			}
			ids := w.ids()
			switch op := w.rnd.IntN(20); {
			case op == 0:
				join()
			case op == 1 && len(ids) > 1:
				p := w.clients[ids[w.rnd.IntN(len(ids))]]
				epoch := int32(epochLeave)
				if p.instance != "" && p.epoch > 0 && w.rnd.IntN(2) == 0 {
					epoch = epochLeaveStatic
				}
				w.leave(p, epoch)
			case op == 2:
				w.crash()
			case op == 3:
				name := fmt.Sprint("t", w.rnd.IntN(3))
				w.topic(name, w.topics[name].Partitions+1)
			case op == 4 && len(ids) > 1: // it dies
				p := w.clients[ids[w.rnd.IntN(len(ids))]]
				delete(w.clients, p.id)
			case len(ids) > 0:
				w.beat(w.clients[ids[w.rnd.IntN(len(ids))]], w.rnd.IntN(10) == 0)
			}
			w.exclusive()
		}
		w.now += 2 * Default().Session.Milliseconds() // the dead are found out
		for _, p := range w.clients {
			p.owned, p.epoch = Parts{}, 0
		}
		w.g.Tick(w.now)
		w.converge()
		w.whole()
		if !mixed && len(w.clients) > 0 {
			lo, hi := 1<<30, 0
			for _, p := range w.clients {
				lo, hi = min(lo, p.owned.count()), max(hi, p.owned.count())
			}
			if hi-lo > 1 {
				t.Fatalf("seed %d: from %d to %d partitions", seed, lo, hi)
			}
		}
	}
}

// When one of fifty leaves, all it had is with others after each has sent one heartbeat, and nothing else moves.
func TestConsumer_OneOfFiftyLeaves(t *testing.T) {
	w := newWorld(t, 1)
	w.topic("orders", 100)
	for range 50 {
		w.beat(w.add("", "orders"), false)
	}
	w.converge()
	w.whole()
	before := map[string]Parts{}
	for id, p := range w.clients {
		before[id] = p.owned
	}
	w.leave(w.clients[w.ids()[17]], epochLeave)
	for _, id := range w.ids() {
		w.beat(w.clients[id], false)
	}
	w.whole()
	w.exclusive()
	for id, p := range w.clients {
		if !before[id].within(p.owned) {
			t.Fatalf("%s had %v and has %v", id, before[id], p.owned)
		}
	}
	if w.g.State() != Stable {
		t.Fatalf("%v", w.g.State())
	}
}

// A restart keeps epochs and owners, and nobody is asked to do anything because of it.
func TestConsumer_RestartChangesNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.topic("a", 7)
	w.topic("b", 3)
	for i := range 4 {
		p := w.add("", "a", "b")
		if i == 0 {
			p.names, p.pattern = nil, "a|b"
		}
	}
	w.converge()
	before := fmt.Sprintf("%+v", w.g.Describe())
	w.crash()
	for _, id := range w.ids() {
		w.beat(w.clients[id], false)
	}
	if after := fmt.Sprintf("%+v", w.g.Describe()); after != before {
		t.Fatalf("%s\nbefore\n%s", after, before)
	}
	if len(w.g.Unsaved()) != 0 {
		t.Fatal("there is something to be kept")
	}
	w.now += Default().Session.Milliseconds()
	w.g.Tick(w.now)
	if w.g.Members() != 0 {
		t.Fatal("those who do not come back are not missed")
	}
}

// A static member that leaves for a while gets what it had, under another id, and nobody else notices; one that has not left is not replaced.
func TestConsumer_StaticMembers(t *testing.T) {
	w := newWorld(t, 1)
	w.topic("a", 6)
	one, two := w.add("i1", "a"), w.add("i2", "a")
	w.converge()
	epoch, had := two.epoch, one.owned
	again := w.add("i1", "a")
	q := &Beat{Member: again.id, Instance: &again.instance, RebalanceMS: 1000, Names: again.names, Owned: Parts{}}
	if _, r := w.g.Heartbeat(w.now, q, w); r == nil || r.Code != UnreleasedInstanceID {
		t.Fatalf("%v", r)
	}
	w.leave(one, epochLeaveStatic)
	w.beat(two, false)
	w.beat(again, false)
	if !again.owned.equal(had) || two.epoch != epoch || again.epoch != epoch {
		t.Fatalf("%v, had %v; epochs %d %d, before %d", again.owned, had, two.epoch, again.epoch, epoch)
	}
	old := &Beat{Member: one.id, Instance: &one.instance, Epoch: epoch, RebalanceMS: -1, Owned: had}
	if _, r := w.g.Heartbeat(w.now, old, w); r == nil || r.Code != FencedInstanceID {
		t.Fatalf("%v", r)
	}
	w.leave(again, epochLeaveStatic)
	w.now += Default().Session.Milliseconds() - 1
	w.beat(two, false)
	w.now += 2
	w.g.Tick(w.now) // its session has ended
	w.beat(two, false)
	if two.owned.count() != 6 {
		t.Fatalf("%v", two.owned)
	}
}

// Who must let go and does not say so is removed when its rebalance timeout is up.
func TestConsumer_WhoHoldsOnIsRemoved(t *testing.T) {
	w := newWorld(t, 1)
	w.topic("a", 4)
	one := w.add("", "a")
	w.converge()
	two := w.add("", "a")
	w.beat(two, false)
	holding := one.owned
	hold := func() *Refusal {
		_, r := w.g.Heartbeat(w.now, &Beat{Member: one.id, Epoch: one.epoch, RebalanceMS: -1, Owned: holding}, w)
		w.g.Tick(w.now)
		return r
	}
	for range 59 {
		w.now += 1000
		if r := hold(); r != nil {
			t.Fatal(r)
		}
		w.beat(two, false)
		if two.owned.count() != 0 {
			t.Fatal("it was given what another has")
		}
	}
	w.now += 2000
	hold()
	if r := hold(); r == nil || r.Code != UnknownMemberID {
		t.Fatalf("%v", r)
	}
	w.beat(two, false)
	if two.owned.count() != 4 {
		t.Fatalf("%v", two.owned)
	}
}

// Each refusal has the code and is of the case that Kafka has it for.
func TestConsumer_Refusals(t *testing.T) {
	w := newWorld(t, 1)
	w.topic("a", 4)
	one := w.add("", "a")
	w.converge()
	w.topic("a", 5)
	w.converge()
	w.topic("a", 6)
	w.converge()
	empty, bad, instance := "", "(", "i"
	for name, x := range map[string]struct {
		q    Beat
		want Code
	}{
		"unknown":           {Beat{Member: "x", Epoch: 1, RebalanceMS: -1}, UnknownMemberID},
		"greater epoch":     {Beat{Member: one.id, Epoch: one.epoch + 1, RebalanceMS: -1}, FencedMemberEpoch},
		"smaller epoch":     {Beat{Member: one.id, Epoch: one.epoch - 2, RebalanceMS: -1}, FencedMemberEpoch},
		"unknown instance":  {Beat{Member: one.id, Epoch: one.epoch, Instance: &instance, RebalanceMS: -1}, UnknownMemberID},
		"empty instance":    {Beat{Member: one.id, Instance: &empty, RebalanceMS: 1, Owned: Parts{}, Names: []string{}}, InvalidRequest},
		"empty rack":        {Beat{Member: one.id, Rack: &empty, RebalanceMS: 1, Owned: Parts{}, Names: []string{}}, InvalidRequest},
		"epoch -3":          {Beat{Member: one.id, Epoch: -3}, InvalidRequest},
		"no id":             {Beat{Epoch: 1}, InvalidRequest},
		"static without":    {Beat{Member: one.id, Epoch: -2}, InvalidRequest},
		"no timeout":        {Beat{Member: "y", RebalanceMS: -1, Owned: Parts{}, Names: []string{"a"}}, InvalidRequest},
		"owns when joining": {Beat{Member: "y", RebalanceMS: 1, Owned: Parts{{1}: {1}}, Names: []string{"a"}}, InvalidRequest},
		"no topics":         {Beat{Member: "y", RebalanceMS: 1, Owned: Parts{}}, InvalidRequest},
		"assignor":          {Beat{Member: "y", RebalanceMS: 1, Owned: Parts{}, Names: []string{"a"}, Assignor: &bad}, UnsupportedAssignor},
		"pattern":           {Beat{Member: "y", RebalanceMS: 1, Owned: Parts{}, Pattern: &bad}, InvalidRegularExpression},
		"leaves unknown":    {Beat{Member: "x", Epoch: -1}, UnknownMemberID},
	} {
		r := x.q.Check()
		if r == nil {
			_, r = w.g.Heartbeat(w.now, &x.q, w)
		}
		if r == nil || r.Code != x.want || r.Text == "" {
			t.Errorf("%s: %+v, want %d", name, r, x.want)
		}
	}
	for name, x := range map[string]struct {
		id      string
		epoch   int32
		tx      bool
		want    Code
		fetches Code
	}{
		"member":        {one.id, one.epoch, false, None, None},
		"old":           {one.id, one.epoch - 1, false, StaleMemberEpoch, StaleMemberEpoch},
		"old, tx":       {one.id, one.epoch - 1, true, IllegalGeneration, StaleMemberEpoch},
		"unknown":       {"x", 1, false, UnknownMemberID, UnknownMemberID},
		"administrator": {"", -1, false, UnknownMemberID, None},
		"nobody, tx":    {"", -1, true, None, None},
	} {
		if c := w.g.MayCommit(x.id, "", x.epoch, x.tx); c != x.want {
			t.Errorf("%s commits: %d, want %d", name, c, x.want)
		}
		if c := w.g.MayFetch(x.id, x.epoch); c != x.fetches {
			t.Errorf("%s fetches: %d, want %d", name, c, x.fetches)
		}
	}
	cfg := Default()
	cfg.MembersMax = 1
	g := NewConsumer(cfg, 0)
	for i, want := range []Code{None, GroupMaxSizeReached} {
		_, r := g.Heartbeat(0, &Beat{Member: fmt.Sprint(i), RebalanceMS: 1, Owned: Parts{}, Names: []string{"a"}}, w)
		if r != nil && r.Code != want || r == nil && want != None {
			t.Errorf("member %d: %v", i, r)
		}
	}
}

// The range assignor gives neighbours, the same numbers of each topic to the same member.
func TestAssignRange(t *testing.T) {
	topics := map[ID]Topic{{1}: {ID{1}, "a", 5}, {2}: {ID{2}, "b", 5}}
	both := []ID{{1}, {2}}
	got := assign(Range, []*subscriber{{id: "x", order: "x", topics: both}, {id: "y", order: "y", topics: both[:1]}, {id: "z", order: "w", topics: both}}, topics)
	want := map[string]Parts{"z": {ID{1}: {0, 1}, ID{2}: {0, 1, 2}}, "x": {ID{1}: {2, 3}, ID{2}: {3, 4}}, "y": {ID{1}: {4}}}
	for id := range want {
		if !got[id].equal(want[id]) {
			t.Errorf("%s: %v, want %v", id, got[id], want[id])
		}
	}
}

func BenchmarkAssign_OneOfAThousandLeaves(b *testing.B) {
	topics := map[ID]Topic{{1}: {ID{1}, "a", 10_000}}
	var ss []*subscriber
	for i := range 1000 {
		s := fmt.Sprint("m", i)
		ss = append(ss, &subscriber{id: s, order: s, topics: []ID{{1}}})
	}
	for id, p := range assign(Uniform, ss, topics) {
		for _, s := range ss {
			if s.id == id {
				s.before = p
			}
		}
	}
	for b.Loop() {
		assign(Uniform, slices.Clone(ss[1:]), topics)
	}
}
