package subscription

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/broker/record"
)

// model is the naive one: a line for each record of each subscription.
type model struct {
	*world
	r     *rand.Rand
	subs  []ID
	lines map[ID]map[At]*line
	saved map[ID]map[At]line // as of the last published frame
	hands []Leased           // every handing-over there was
	alive map[MemberID]ID
	next  MemberID
	trace []string
	loose bool // bytes are estimated since something was trimmed
	begin map[Place]record.Offset
}

type line struct {
	meta     Meta
	settled  bool
	attempts int32 // at least so many, as somebody was told
	sure     bool  // and that is durable
	holder   MemberID
	until    int64
	epoch    uint32
	bury     bool
	lies     bool // it was set aside
	grip     uint32
	hidden   int64 // until then, for it was postponed while nobody had it
}

var modelPolicies = []Policy{
	{},
	{LeaseMS: 3000, AttemptsMax: 3, Bury: true},
	{LeaseMS: 3000, AttemptsMax: 2, BackoffMS: 500, JitterPercent: 50},
	{Order: OrderKey, LeaseMS: 4000, BackoffMS: 20_000},
	{Order: OrderTotal, LeaseMS: 4000},
	{Order: OrderKey, RunMax: 3, LeaseMS: 2000, AttemptsMax: 4, Bury: true},
	{TTLMS: 20_000, LeaseMS: 5000},
	{Priorities: 4, UnackedMax: 5},
	{DelayMS: 11_000},
	{LengthMax: 6, LeaseMS: 3000},
	{Expires: true, BackoffMS: 15_000, AttemptsMax: 5, Members: SingleActive},
}

var modelSeeds = flag.Uint64("seeds", 60, "how many worlds the model is compared with")

func TestModel(t *testing.T) {
	seeds := *modelSeeds
	if testing.Short() {
		seeds = min(seeds, 20)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			defer func() {
				if t.Failed() || recover() != nil {
					t.Errorf("seed %d:\n%s", seed, m.tail())
				}
			}()
			for range 250 {
				m.step()
			}
			m.finish()
		})
	}
}

func (m *model) tail() string {
	return strings.Join(m.trace[max(0, len(m.trace)-80):], "\n")
}

func (m *model) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

var modelPlaces = []Place{{1, 0}, {1, 1}}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{world: newWorld(t), r: rand.New(rand.NewPCG(seed, 1)), lines: map[ID]map[At]*line{}, alive: map[MemberID]ID{}, begin: map[Place]record.Offset{}}
	m.world.begin = m.begin
	m.quiet = seed%3 == 0
	m.fold.touched.late.max = seed % 40 * (seed % 2)
	for k := range 3 {
		f := m.open()
		id, err := m.head.Put(0, withKind(modelPolicies[(seed+uint64(k)*4)%uint64(len(modelPolicies))]), ClassID(m.head.Next), f)
		if err != nil {
			t.Fatal(err)
		}
		var starts []Start
		for _, at := range modelPlaces {
			starts = append(starts, Start{Place: at, All: k == 0})
		}
		if err := m.head.Begin(id, starts, f); err != nil {
			t.Fatal(err)
		}
		m.subs = append(m.subs, id)
		m.lines[id] = map[At]*line{}
	}
	m.settleFrame()
	return m
}

func withKind(p Policy) Policy {
	p.Kind = Delivery
	return p
}

// settleFrame publishes and remembers.
func (m *model) settleFrame() {
	m.publish()
	m.take()
	if m.head.Must() {
		m.publish()
		m.take()
	}
	m.check()
	m.save()
}

func (m *model) save() {
	m.saved = map[ID]map[At]line{}
	for id, ls := range m.lines {
		m.saved[id] = map[At]line{}
		for at, l := range ls {
			l.sure = true
			m.saved[id][at] = *l
		}
	}
}

func (m *model) crash() {
	m.note("crash at %d", m.now)
	for id := range m.lines {
		m.lines[id] = map[At]*line{}
		for at, l := range m.saved[id] {
			l.holder, l.bury, l.hidden = 0, false, 0
			m.lines[id][at] = &l
		}
	}
	m.alive = map[MemberID]ID{}
	m.start()
	m.take()
	m.check()
}

// take looks at what came out, and whether it may be.
func (m *model) take() {
	for o := m.head.Drain(); !o.Empty(); o = m.head.Drain() {
		m.takeOf(o)
		m.head.Drained()
	}
	m.gone()
}

func (m *model) takeOf(o *Output) {
	for _, l := range o.Lost {
		x := m.lines[l.Sub][l.At]
		if x.holder != l.Member || x.until > m.now {
			m.t.Fatalf("%v of %d was lost at %d; it is %d's until %d", l.At, l.Sub, m.now, x.holder, x.until)
		}
		m.note("lost %v of %d", l.At, l.Sub)
		x.holder = 0
	}
	for _, b := range o.Burials {
		x := m.lines[b.Sub][b.At]
		p := m.head.Subs[b.Sub].Policy
		if x.settled || b.Reason == Exhausted && b.Attempts < p.AttemptsMax {
			m.t.Fatalf("%+v is to be buried; %+v", b, x)
		}
		x.bury, x.holder = true, 0
	}
	m.gone()
	for _, l := range o.Deliveries {
		m.given(l)
	}
}

func (m *model) given(l Leased) {
	m.note("%d gets %v of %d, attempt %d until %d", l.Member, l.At, l.Sub, l.Attempt, l.UntilMS)
	x, p := m.lines[l.Sub][l.At], m.head.Subs[l.Sub].Policy
	switch {
	case x == nil:
		m.t.Fatalf("%v does not match %d", l.At, l.Sub)
	case x.settled:
		m.t.Fatalf("%v was handed over after it was settled", l.At)
	case x.holder != 0:
		m.t.Fatalf("%v is handed to %d while %d has it", l.At, l.Member, x.holder)
	case l.Offset() >= record.Offset(m.show[l.At.Place]):
		m.t.Fatalf("%v is handed over before it is durable", l.At)
	case m.alive[l.Member] != l.Sub:
		m.t.Fatalf("%d is not a member", l.Member)
	case p.AttemptsMax > 0 && l.Attempt > p.AttemptsMax:
		m.t.Fatalf("attempt %d of %v; the most is %d", l.Attempt, l.At, p.AttemptsMax)
	case x.attempts >= 2 && l.Attempt <= x.attempts:
		m.t.Fatalf("%v has attempt %d after %d", l.At, l.Attempt, x.attempts)
	case x.meta.DueMS > m.now || x.meta.AppendedMS+p.DelayMS > m.now:
		m.t.Fatalf("%v is handed over before its time", l.At)
	case x.hidden > m.now:
		m.t.Fatalf("%v is handed over at %d; it was postponed to %d", l.At, m.now, x.hidden)
	case p.Suspended:
		m.t.Fatalf("%v is handed over although %d is suspended", l.At, l.Sub)
	case x.lies != (l.Lies.Stream == 99), l.Turn != m.turn(l.Sub, l.At.Place):
		m.t.Fatalf("%+v: it lies elsewhere: %v", l, x.lies)
	case p.TTLMS > 0 && x.meta.AppendedMS+p.TTLMS <= m.now:
		m.t.Fatalf("%v is handed over after its time", l.At)
	}
	if p.Order != OrderNone {
		for at, y := range m.lines[l.Sub] {
			same := p.Order == OrderTotal || y.meta.Key == x.meta.Key
			before := y.meta.Seq < x.meta.Seq || y.meta.Seq == x.meta.Seq && (at.compare(l.At.Place) < 0 || at.Place == l.At.Place && at.Offset < l.At.Offset)
			if same && before && !y.settled && (p.RunMax < 2 || y.holder != l.Member) {
				m.t.Fatalf("%v of %d overtakes %v", l.At, l.Sub, at)
			}
		}
	}
	x.grip = l.Grip
	x.attempts, x.holder, x.until, x.epoch, x.sure = l.Attempt, l.Member, l.UntilMS, m.epoch, false
	m.hands = append(m.hands, l)
}

// Offset is here so that a delivery reads well.
func (l *Leased) Offset() record.Offset { return l.At.Offset }

// gone finds what ended by itself, and that nothing else has.
func (m *model) gone() {
	for _, id := range m.subs {
		p := *m.head.Subs[id].Policy
		n := int64(0)
		for at, x := range m.lines[id] {
			c, _ := m.head.Explain(id, at)
			if c.State == "settled" && !x.settled {
				expired := p.TTLMS > 0 && x.meta.AppendedMS+p.TTLMS <= m.now || x.meta.ExpiresMS > 0 && x.meta.ExpiresMS <= m.now
				exhausted := p.AttemptsMax > 0 && !p.Bury && x.attempts >= p.AttemptsMax
				overflown := p.LengthMax > 0
				if !expired && !exhausted && !overflown {
					m.t.Fatalf("%v of %d is gone: %+v at %d", at, id, x, m.now)
				}
				x.settled, x.holder = true, 0
			}
			if c.State != "settled" && x.settled {
				m.t.Fatalf("%v of %d is %s, and was settled", at, id, c.State)
			}
			if !x.settled {
				n++
			}
		}
		if d, _ := m.head.Depth(id); d.Exact && (d.Total.Count != n || d.Total.Bytes != n && !m.loose) {
			m.t.Fatalf("%d has %v at %d; the model says %d", id, d.Total, m.now, n)
		}
	}
}

func (m *model) step() {
	switch k := m.r.IntN(24); {
	case k == 20 && m.r.IntN(4) == 0:
		m.rewind()
	case k == 21 && m.r.IntN(2) == 0:
		m.reviveOrSetAside()
	case k == 22 && m.r.IntN(4) == 0:
		m.trim()
	case k == 23 && m.r.IntN(3) == 0:
		m.suspend()
	case k < 4:
		m.appendSome()
	case k < 6:
		m.joinOrLeave()
	case k < 12:
		m.answer()
	case k < 13:
		m.now += int64(m.r.IntN(6000))
		for m.head.Tick(m.now) {
		}
		m.feed()
	case k < 14:
		m.bury()
	case k < 15 && m.r.IntN(6) == 0:
		m.crash()
		return
	case k < 16 && m.r.IntN(3) == 0:
		m.head.Flush(m.open(), true)
	case k < 17 && m.r.IntN(4) == 0:
		m.cancel()
	default:
		m.take()
		m.settleFrame()
		return
	}
	m.take()
}

func (m *model) appendSome() {
	at := modelPlaces[m.r.IntN(2)]
	var rs []logged
	base := record.Offset(len(m.log[at]))
	for i := range 1 + m.r.IntN(5) {
		r := logged{Meta: Meta{Size: 1, Key: uint64(1 + m.r.IntN(4)), Priority: uint8(m.r.IntN(5)), AppendedMS: m.now}}
		switch m.r.IntN(12) {
		case 0:
			r.DueMS = m.now + int64(m.r.IntN(30_000))
		case 1:
			r.ExpiresMS = m.now + 1 + int64(m.r.IntN(9_000))
		}
		for _, class := range m.subs[1:] {
			if m.r.IntN(3) > 0 {
				r.to = append(r.to, class)
			}
		}
		rs = append(rs, r)
		for _, id := range m.subs {
			if x := m.head.Subs[id]; id != m.subs[0] && !slices.Contains(r.to, ID(x.Class)) {
				continue
			}
			meta := r.Meta
			meta.Offset, meta.Seq = base+record.Offset(i), m.seq+1
			m.lines[id][At{at, meta.Offset}] = &line{meta: meta}
		}
	}
	m.note("append %d at %v", len(rs), At{at, base})
	m.append(at, rs)
}

func (m *model) joinOrLeave() {
	if ids := slices.Sorted(maps.Keys(m.alive)); len(ids) > 4 || len(ids) > 0 && m.r.IntN(3) == 0 {
		who := ids[m.r.IntN(len(ids))]
		id := m.alive[who]
		for _, x := range m.lines[id] {
			if x.holder == who {
				x.holder = 0
			}
		}
		m.note("%d leaves %d", who, id)
		m.head.Detach(id, who, true)
		delete(m.alive, who)
	} else {
		m.next++
		id := m.subs[m.r.IntN(len(m.subs))]
		x := Member{ID: m.next, Rank: int32(m.r.IntN(2)), Prefetch: int32(m.r.IntN(6)), Credit: int64(m.r.IntN(20)) - 1}
		m.note("%+v joins %d", x, id)
		m.alive[m.next] = id
		if err := m.head.Attach(id, x); err != nil {
			m.t.Fatal(err)
		}
	}
	m.feed()
}

// answer does something with what was handed over, now or long ago.
func (m *model) answer() {
	if len(m.hands) == 0 {
		return
	}
	from := max(0, len(m.hands)-30)
	l := m.hands[from+m.r.IntN(len(m.hands)-from)]
	x := m.lines[l.Sub][l.At]
	if x == nil {
		return // its append was lost
	}
	held := l.Turn == m.turn(l.Sub, l.At.Place) && x.holder == l.Member && x.epoch == l.Epoch && l.Epoch == m.epoch && x.grip == l.Grip
	hs := []Handle{l.Handle}
	what := m.r.IntN(8)
	switch {
	case what < 5:
		out := m.head.Settle(nil, hs, Acked)[0]
		m.note("ack %v of %d: %s", l.At, l.Sub, out)
		ordered := m.head.Subs[l.Sub].Policy.Order != OrderNone
		switch {
		case l.Turn != m.turn(l.Sub, l.At.Place):
			if out != Lost {
				m.t.Fatalf("ack of %+v from before the rewind: %s", l.Handle, out)
			}
		case x.settled && out != Already, held && out != Done,
			!x.settled && !held && ordered && l.Epoch == m.epoch && out != Lost,
			!x.settled && !held && (!ordered || l.Epoch != m.epoch) && out != Late:
			m.t.Fatalf("ack of %+v: %s; held %v, %+v", l.Handle, out, held, x)
		}
		if out.Good() {
			x.settled, x.holder, x.bury = true, 0, false
		}
	case what < 7:
		after := []int64{0, ByPolicy, 700, 15_000}[m.r.IntN(4)]
		if held {
			x.holder = 0
		}
		counts := m.r.IntN(3) > 0
		if held && !counts {
			x.attempts--
		}
		out := m.head.Release(nil, hs, after, counts)[0]
		m.note("release %v of %d after %d: %s", l.At, l.Sub, after, out)
		if held != (out == Done) {
			m.t.Fatalf("release of %+v: %s; held %v", l.Handle, out, held)
		}
	case m.r.IntN(2) == 0:
		m.postpone(l, x, held)
	default:
		out := m.head.Renew(nil, hs, 8000)[0]
		if m.note("renew %v of %d: %s", l.At, l.Sub, out); held {
			x.until = m.now + 8000
		}
		if held != (out == Done) {
			m.t.Fatalf("renewal of %+v: %s; held %v", l.Handle, out, held)
		}
	}
	m.feed()
}

// postpone also takes handles that are late.
func (m *model) postpone(l Leased, x *line, held bool) {
	after := []int64{0, 700, 9_000, 80_000}[m.r.IntN(4)]
	out := m.head.Postpone(nil, []Handle{l.Handle}, after)[0]
	m.note("postpone %v of %d by %d: %s", l.At, l.Sub, after, out)
	ordered := m.head.Subs[l.Sub].Policy.Order != OrderNone
	if held != (out == Done) || out == Late && (ordered || x.settled || l.Turn != m.turn(l.Sub, l.At.Place)) {
		m.t.Fatalf("postponing of %+v: %s; held %v, %+v", l.Handle, out, held, x)
	}
	switch {
	case out != Done && out != Late:
	case after == 0:
		x.holder, x.hidden = 0, 0
	case x.holder != 0:
		x.until = m.now + after
	default:
		x.hidden = m.now + after
	}
}

func (m *model) bury() {
	for _, id := range m.subs {
		for at, x := range m.lines[id] {
			if x.bury && !x.settled {
				if !m.head.Bury(id, at, Exhausted) {
					m.t.Fatalf("%v of %d cannot be buried", at, id)
				}
				x.settled, x.bury = true, false
			}
		}
	}
	m.feed()
}

func (m *model) cancel() {
	id := m.subs[m.r.IntN(3)]
	for at, x := range m.lines[id] {
		if c, _ := m.head.Explain(id, at); c.State == "waiting" {
			if m.note("cancel %v of %d", at, id); !m.head.Bury(id, at, Cancelled) {
				m.t.Fatalf("%v of %d cannot be cancelled", at, id)
			}
			x.settled = true
			return
		}
	}
}

func (m *model) turn(id ID, at Place) uint32 { return m.head.Subs[id].source(at).Turn }

// rewind goes anywhere that is still there.
func (m *model) rewind() {
	id, at := m.subs[m.r.IntN(3)], modelPlaces[m.r.IntN(2)]
	end := record.Offset(len(m.log[at]))
	from := m.begin[at] + record.Offset(m.r.IntN(int(end-m.begin[at])+1))
	m.note("rewind %d to %v", id, At{at, from})
	if err := m.head.Rewind(id, []Start{{Place: at, From: from, End: end}}, m.open()); err != nil {
		m.t.Fatal(err)
	}
	for o, x := range m.lines[id] {
		if o.Place == at {
			*x = line{meta: m.log[at][o.Offset].Meta, settled: o.Offset < from}
		}
	}
	m.feed()
}

// reviveOrSetAside brings some settled records back, or says where copies of others lie.
func (m *model) reviveOrSetAside() {
	id, at := m.subs[m.r.IntN(3)], modelPlaces[m.r.IntN(2)]
	for range 5 {
		if m.show[at] == 0 {
			return
		}
		o := At{at, record.Offset(m.r.IntN(m.show[at]))}
		x := m.lines[id][o]
		switch {
		case x == nil:
		case x.settled && o.Offset >= m.begin[at]:
			r := Revival{Meta: m.log[at][o.Offset].Meta}
			if m.r.IntN(2) == 0 {
				r.Lies = At{Place{99, 0}, o.Offset}
			}
			r.ExpiresMS, r.AppendedMS = 0, m.now
			m.note("revive %v of %d", o, id)
			if n, err := m.head.Revive(id, at, []Revival{r}, m.open()); n != 1 || err != nil {
				m.t.Fatalf("%d of %v of %d were brought back: %v", n, o, id, err)
			}
			*x = line{meta: r.Meta, lies: r.Lies.Stream != 0}
			m.feed()
			m.take()
		case !x.settled:
			if m.head.SetAside(id, at, []Aside{{o.Offset, At{Place{99, 0}, o.Offset}}}) == 1 {
				m.note("%v of %d is set aside", o, id)
				x.lies = true
			}
		}
	}
	m.feed()
}

// trim takes some of the oldest records away, whoever needs them.
func (m *model) trim() {
	at := modelPlaces[m.r.IntN(2)]
	start := m.begin[at] + record.Offset(m.r.IntN(5))
	if int(start) > m.show[at] {
		return
	}
	m.note("trim %v", At{at, start})
	m.head.Trimmed(at, start, nil, m.open())
	m.begin[at], m.loose = start, true
	for _, id := range m.subs {
		for o, x := range m.lines[id] {
			if o.Place == at && o.Offset < start && !x.lies && !x.settled {
				x.settled, x.holder, x.bury = true, 0, false
			}
		}
	}
	m.feed()
	m.take()
	m.settleFrame() // a crash would bring back what is gone from the log
}

// suspend also resumes, or gives the subscription something else to look for.
func (m *model) suspend() {
	id := m.subs[m.r.IntN(3)]
	p := *m.head.Subs[id].Policy
	class := m.head.Subs[id].Class
	if m.r.IntN(2) == 0 {
		p.Suspended = !p.Suspended
	} else {
		class = ClassID(2 + m.r.IntN(2))
	}
	m.note("%d is suspended: %v; class %d", id, p.Suspended, class)
	if _, err := m.head.Put(id, p, class, m.open()); err != nil {
		m.t.Fatal(err)
	}
	m.feed()
}

// finish hands over and settles whatever is left.
func (m *model) finish() {
	m.settleFrame()
	m.crash()
	for _, id := range m.subs {
		if p := *m.head.Subs[id].Policy; p.Suspended {
			p.Suspended = false
			if _, err := m.head.Put(id, p, m.head.Subs[id].Class, m.open()); err != nil {
				m.t.Fatal(err)
			}
		}
		m.next++
		m.alive[m.next] = id
		if err := m.head.Attach(id, Member{ID: m.next, Credit: Endless}); err != nil {
			m.t.Fatal(err)
		}
	}
	m.feed()
	for range 2000 {
		m.take()
		left := 0
		for _, id := range m.subs {
			for _, x := range m.lines[id] {
				if !x.settled {
					left++
				}
			}
		}
		if left == 0 {
			break
		}
		for k := len(m.hands) - 1; k >= 0 && k >= len(m.hands)-60; k-- {
			if x := m.lines[m.hands[k].Sub][m.hands[k].At]; x != nil && x.holder == m.hands[k].Member && m.hands[k].Epoch == m.epoch {
				m.head.Settle(nil, []Handle{m.hands[k].Handle}, Acked)
				x.settled, x.holder = true, 0
			}
		}
		m.bury()
		m.now += 500
		m.head.Tick(m.now)
		m.feed()
		m.take()
		m.settleFrame()
	}
	for _, id := range m.subs {
		if d, _ := m.head.Depth(id); d.Total.Count != 0 || d.Total.Bytes != 0 && !m.loose || !d.Exact {
			m.t.Fatalf("at the end %d has %+v", id, d)
		}
	}
	if n, err := m.state.Needed(m.store, m.ends); err != nil || len(n) > 0 {
		m.t.Fatalf("at the end %v is needed: %v", n, err)
	}
}
