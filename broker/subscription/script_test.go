package subscription

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"leat/broker/fact"
	"leat/broker/record"
)

var update = flag.Bool("update", false, "rewrite the scripts with what happens now")

// A script is a conversation: a line that begins with ">" is said to the machine, the lines below are what it answers. Others are prose.
// Every line that is said is a frame of its own, which is published, unless it ends in "...".
//
//	> sub delivery lease=30s attempts=3 backoff=1s bury       makes one; the next has the next number
//	> put 1 delivery ...                                      gives it another policy
//	> begin 1 1/0 all from=0                                  it reads partition 0 of stream 1; without all: what is said to match
//	> append 1/0 a b:key c!9 d+5s e~5s f>1,2                   records by name: with a key, a priority, a delay, a time to live, matching 1 and 2
//	> join 1 ann prefetch=2 credit=5 rank=1 lease=10s         somebody receives
//	> grant 1 ann 3 | leave 1 ann [free] | depart 1 ann | rest 1 ann | delete 1
//	> ack a b | skip a | release a [5s | policy] [free] | reject a | renew a 10s    what was handed over last under that name; a#1: the first time
//	> bury a exhausted | cancel 1 d | drop 1 a b
//	> rewind 1 1/0 0 | revive 1 a b | straggle 1 1/0 9 | aside 1 a | trim 1/0 3 [2=1: of 2 one more that was not shown] | count 1 1/0 5 | move 1 1/0 7 text
//	> after 5s                                                time passes, timers ring
//	> end 1 1/0 2/0                                         the subscription reads that no more
//	> gone 1                                                 the stream is deleted
//	> format 2                                                of the data directory
//	> flush                                                   what is lazy is written, too
//	> vanish 1/0 a                                          compacted away
//	> crash | lose                                            a new head, of what is published
//	> depth 1 | oldest 1 | explain 1 a | needed | state
type script struct {
	*world
	out     strings.Builder
	handles map[string]Handle // by name, and name#attempt
	names   map[At]string
	places  map[string]At
	members map[string]MemberID
	who     map[MemberID]string
	dying   map[string]Reason
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{
				world: newWorld(t), handles: map[string]Handle{}, names: map[At]string{}, places: map[string]At{}, members: map[string]MemberID{}, who: map[MemberID]string{}, dying: map[string]Reason{},
			}
			prose := true
			for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
				switch {
				case strings.HasPrefix(line, "> "):
					s.say("%s", line)
					rest, open := strings.CutSuffix(line[2:], " ...")
					s.run(strings.Fields(rest))
					s.tell()
					if !open {
						s.publish()
						s.tell()
						s.check()
					}
					prose = false
				case line == "" || prose || strings.HasPrefix(line, "# "):
					s.say("%s", line)
					prose = prose || line == ""
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(s.out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if s.out.String() != string(text) {
				t.Fatalf("the machine says something else (go test -update rewrites it):\n%s", s.out.String())
			}
		})
	}
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) name(at At) string {
	if n, ok := s.names[at]; ok {
		return n
	}
	return fmt.Sprint(at)
}

// tell says what came out.
func (s *script) tell() {
	for o := s.head.Drain(); !o.Empty(); o = s.head.Drain() {
		s.tellOf(o)
		s.head.Drained()
	}
}

func (s *script) tellOf(o *Output) {
	for _, l := range o.Lost {
		s.say("%s lost %s of %d", s.who[l.Member], s.name(l.At), l.Sub)
	}
	for _, l := range o.Deliveries {
		n := s.name(l.At)
		s.handles[n], s.handles[fmt.Sprintf("%s#%d", n, l.Attempt)] = l.Handle, l.Handle
		again, lies := "", ""
		if l.Again {
			again = ", again"
		}
		if l.Lies != l.At {
			lies = fmt.Sprintf(", from %d/%d/%d", l.Lies.Stream, l.Lies.Partition, l.Lies.Offset)
		}
		s.say("%s gets %s from %d: attempt %d, until %d%s%s", s.who[l.Member], n, l.Sub, l.Attempt, l.UntilMS, again, lies)
	}
	for _, r := range o.Rests {
		left := ""
		if r.Left {
			left = ", and could take more"
		}
		s.say("%s rests%s", s.who[r.Member], left)
	}
	for _, b := range o.Burials {
		s.dying[s.name(b.At)] = b.Reason
		s.say("to bury: %s of %d, %s after %d attempts", s.name(b.At), b.Sub, b.Reason, b.Attempts)
	}
	for _, g := range o.Gaps {
		more := ""
		if g.More {
			more = " and more"
		}
		s.say("gap of %d in %d/%d: from %d to %d, %d records, %d bytes%s", g.Sub, g.At.Stream, g.At.Partition, g.From, g.To, g.Lost.Count, g.Lost.Bytes, more)
	}
}

func ms(w string) int64 {
	for unit, n := range map[string]int64{"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000} {
		if v, ok := strings.CutSuffix(w, unit); ok {
			if x, err := strconv.ParseInt(v, 10, 64); err == nil {
				return x * n
			}
		}
	}
	x, _ := strconv.ParseInt(w, 10, 64)
	return x
}

func num(w string) int64 { x, _ := strconv.ParseInt(w, 10, 64); return x }

func id(w string) ID { return ID(num(w)) }

func place(w string) Place {
	a, b, _ := strings.Cut(w, "/")
	return Place{record.StreamID(num(a)), record.PartitionID(num(b))}
}

func (s *script) run(w []string) {
	switch f := s.open(); w[0] {
	case "sub", "put":
		s.put(w, f)
	case "begin":
		st := Start{Place: place(w[2]), End: record.Offset(len(s.log[place(w[2])]))}
		st.From = st.End
		for _, o := range w[3:] {
			if o == "all" {
				st.All = true
			} else if v, ok := strings.CutPrefix(o, "from="); ok {
				st.From = record.Offset(num(v))
			}
		}
		if err := s.head.Begin(id(w[1]), []Start{st}, f); err != nil {
			s.say("%s: %s", err.Kind, err.Text)
		}
	case "append":
		s.add(w)
	case "join":
		s.join(w)
	case "leave":
		s.head.Detach(id(w[1]), s.members[w[2]], len(w) < 4)
	case "depart":
		s.head.Depart(id(w[1]), s.members[w[2]])
	case "rest":
		s.head.AskRest(id(w[1]), s.members[w[2]])
	case "grant":
		s.say("credit %d", s.head.Grant(id(w[1]), s.members[w[2]], num(w[3])))
	case "delete":
		s.head.Delete(id(w[1]), f)
	case "after":
		s.now += ms(w[1])
		for s.head.Tick(s.now) {
		}
		s.feed()
	case "end":
		var places []Place
		for _, p := range w[2:] {
			places = append(places, place(p))
		}
		s.head.End(id(w[1]), places, f)
	case "gone":
		s.head.Vanish(record.StreamID(num(w[1])), f)
	case "format":
		s.head.Format = int(num(w[1]))
	case "flush":
		s.head.Flush(f, true)
	case "crash":
		s.start()
	case "lose":
		s.say("the frame is lost")
		s.start()
	case "vanish":
		for _, n := range w[2:] {
			s.log[place(w[1])][s.places[n].Offset].missing = true
		}
	case "count":
		s.head.Counted(id(w[1]), place(w[2]), Amount{num(w[3]), num(w[3])}, f)
	case "move":
		if err := s.head.Commit(id(w[1]), []Move{{Place: place(w[2]), To: record.Offset(num(w[3])), Metadata: []byte(strings.Join(w[4:], " ")), Epoch: int32(num(w[3])) % 3}}, f); err != nil {
			s.say("%s: %s", err.Kind, err.Text)
		}
	default:
		if !s.records(w, f) && !s.ask(w) {
			s.t.Fatalf("what is %q?", w[0])
		}
	}
}

func (s *script) put(w []string, f *fact.Frame) {
	n := ID(0)
	if w[0] == "put" {
		n = id(w[1])
		w = w[1:]
	}
	class := ClassID(s.head.Next)
	if x := s.head.Subs[n]; x != nil {
		class = x.Class
	}
	p := Policy{Kind: map[string]Kind{"cursor": Cursor, "delivery": Delivery}[w[1]]}
	for _, o := range w[2:] {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "class":
			class = ClassID(num(v))
		case "key":
			p.Order = OrderKey
		case "total":
			p.Order = OrderTotal
		case "exclusive":
			p.Members = Exclusive
		case "single":
			p.Members = SingleActive
		case "reject":
			p.Overflow = RejectAppend
		case "volatile":
			p.Volatile = true
		case "suspended":
			p.Suspended = true
		case "bury":
			p.Bury = true
		case "expires":
			p.Expires = true
		case "lease":
			p.LeaseMS = ms(v)
		case "attempts":
			p.AttemptsMax = int32(num(v))
		case "backoff":
			p.BackoffMS = ms(v)
		case "most":
			p.BackoffMaxMS = ms(v)
		case "jitter":
			p.JitterPercent = int32(num(v))
		case "delay":
			p.DelayMS = ms(v)
		case "ttl":
			p.TTLMS = ms(v)
		case "priorities":
			p.Priorities = int32(num(v))
		case "unacked":
			p.UnackedMax = int32(num(v))
		case "run":
			p.RunMax = int32(num(v))
		case "length":
			p.LengthMax = num(v)
		case "bytes":
			p.BytesMax = num(v)
		case "backlog":
			p.BacklogMax = num(v)
		default:
			s.t.Fatalf("what is %q?", o)
		}
	}
	made, err := s.head.Put(n, p, class, f)
	switch {
	case err != nil:
		s.say("%s %s: %s", err.Kind, err.Subject, err.Text)
	case n == 0:
		s.say("subscription %d", made)
	}
}

// add appends records that are spelled name, then any of :key !priority +delay ~ttl >subs, in that order.
func (s *script) add(w []string) {
	at := place(w[1])
	var rs []logged
	for i, t := range w[2:] {
		r := logged{Meta: Meta{Size: 1, AppendedMS: s.now}}
		t, to, _ := strings.Cut(t, ">")
		for v := range strings.SplitSeq(to, ",") {
			if v != "" {
				r.to = append(r.to, id(v))
			}
		}
		t, ttl, ok := strings.Cut(t, "~")
		if ok {
			r.ExpiresMS = s.now + ms(ttl)
		}
		t, delay, ok := strings.Cut(t, "+")
		if ok {
			r.DueMS = s.now + ms(delay)
		}
		t, prio, _ := strings.Cut(t, "!")
		r.Priority = uint8(num(prio))
		t, key, _ := strings.Cut(t, ":")
		for _, c := range key {
			r.Key = r.Key*131 + uint64(c)
		}
		o := At{at, record.Offset(len(s.log[at]) + i)}
		s.names[o], s.places[t] = t, o
		rs = append(rs, r)
	}
	var to []RouteRun
	for _, r := range rs {
		route, _ := s.head.Route(classes(r.to), s.open())
		to = append(to, RouteRun{Route: route, Amount: Amount{1, 1}})
	}
	if err := s.head.Admit(&Arrival{Place: at, Runs: to}); err != nil {
		s.say("%s: %s", err.Kind, err.Text)
		return
	}
	s.append(at, rs)
}

func (s *script) join(w []string) {
	m := Member{ID: MemberID(len(s.members) + 1), Credit: Endless}
	for _, o := range w[3:] {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "prefetch":
			m.Prefetch = int32(num(v))
		case "credit":
			m.Credit = num(v)
		case "rank":
			m.Rank = int32(num(v))
		case "lease":
			m.LeaseMS = ms(v)
		case "apart":
			m.Apart = true
		}
	}
	s.members[w[2]], s.who[m.ID] = m.ID, w[2]
	if err := s.head.Attach(id(w[1]), m); err != nil {
		s.say("%s: %s", err.Kind, err.Text)
	}
	s.feed()
}

// records runs what is said about records.
func (s *script) records(w []string, f *fact.Frame) bool {
	var hs []Handle
	for _, n := range w[1:] {
		if h, ok := s.handles[n]; ok {
			hs = append(hs, h)
		}
	}
	last := w[len(w)-1]
	var out []Outcome
	switch w[0] {
	case "ack":
		out = s.head.Settle(nil, hs, Acked)
	case "skip":
		out = s.head.Settle(nil, hs, Skipped)
	case "reject":
		out = s.head.Reject(nil, hs)
	case "release":
		counts := last != "free"
		if !counts {
			last = w[len(w)-2]
		}
		after := ms(last)
		if last == "policy" {
			after = ByPolicy
		}
		out = s.head.Release(nil, hs, after, counts)
	case "renew":
		out = s.head.Renew(nil, hs, ms(last))
	case "postpone":
		out = s.head.Postpone(nil, hs, ms(last))
	case "bury":
		s.say("%v", s.head.Bury(id(w[1]), s.places[w[2]], s.dying[w[2]]))
	case "drop":
		for _, n := range w[2:] {
			s.say("%s", s.head.Cancel(id(w[1]), s.places[n], 1, true))
		}
	case "cancel":
		s.say("%v", s.head.Bury(id(w[1]), s.places[w[2]], Cancelled))
	case "rewind":
		end := record.Offset(len(s.log[place(w[2])]))
		if err := s.head.Rewind(id(w[1]), []Start{{Place: place(w[2]), From: record.Offset(num(w[3])), End: end}}, f); err != nil {
			s.say("%s: %s", err.Kind, err.Text)
		}
	case "revive", "aside":
		at := s.places[w[2]].Place
		var rs []Revival
		var as []Aside
		for i, n := range w[2:] {
			o := s.places[n].Offset
			rs = append(rs, Revival{Meta: s.log[at][o].Meta})
			as = append(as, Aside{o, At{Place{99, 0}, record.Offset(i)}})
		}
		if w[0] == "aside" {
			s.say("%d set aside", s.head.SetAside(id(w[1]), at, as))
			break
		}
		n, err := s.head.Revive(id(w[1]), at, rs, f)
		if err != nil {
			s.say("%s: %s", err.Kind, err.Text)
		}
		s.say("%d brought back", n)
	case "straggle":
		os, known := s.head.Straggle(nil, id(w[1]), place(w[2]), record.Offset(num(w[3])))
		s.say("%v, known %v", os, known)
	case "trim":
		lost := map[ID]Amount{}
		for _, v := range w[3:] {
			k, n, _ := strings.Cut(v, "=")
			lost[id(k)] = Amount{num(n), num(n)}
		}
		s.head.Trimmed(place(w[1]), record.Offset(num(w[2])), lost, f)
	default:
		return false
	}
	if len(out) > 0 {
		s.say("%s", strings.Trim(fmt.Sprint(out), "[]"))
	}
	s.feed()
	return true
}

func (s *script) ask(w []string) bool {
	switch w[0] {
	case "depth":
		d, ok := s.head.Depth(id(w[1]))
		if !ok {
			s.say("there is none")
			return true
		}
		var by []string
		for r, n := range d.Reasons {
			if n > 0 {
				by = append(by, fmt.Sprintf("%s %d", Reason(r), n))
			}
		}
		exact := ""
		if !d.Exact {
			exact = " and some to be counted"
		}
		s.say("%d records, %d bytes%s: %d leased, %d waiting, %d dying; settled: %s", d.Total.Count, d.Total.Bytes, exact, d.Leased, d.Waiting, d.Dying, strings.Join(by, ", "))
	case "oldest":
		s.head.Oldest(id(w[1]), func(at At, ms int64) { s.say("%s of %d", s.name(at), ms) })
	case "explain":
		c, _ := s.head.Explain(id(w[1]), s.places[w[2]])
		s.say("%s, %d attempts, until %d, %s", c.State, c.Attempts, c.UntilMS, s.who[c.Member])
	case "needed":
		n, err := s.state.Needed(s.store, s.ends)
		if err != nil {
			s.t.Fatal(err)
		}
		var ps []Place
		for at := range n {
			ps = append(ps, at)
		}
		slices.SortFunc(ps, Place.compare)
		for _, at := range ps {
			s.say("%d/%d from %d on", at.Stream, at.Partition, n[at])
		}
		if len(ps) == 0 {
			s.say("nothing")
		}
	case "state":
		for _, i := range sortedIDs(s.state.Subs) {
			for _, src := range s.state.Subs[i].Sources {
				s.say("%d at %d/%d: floor %d, %d chunks, %d carried, %q", i, src.Stream, src.Partition, src.Floor, len(src.chunks), src.Carried, src.Metadata)
			}
		}
	default:
		return false
	}
	return true
}
