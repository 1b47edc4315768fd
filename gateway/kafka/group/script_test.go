package group

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/scripts to what the machine says")

// script narrates a classic group. Members have names; ids are made of them, and a new one each time that a member joins without.
//
//	join NAME [new] [known] [skips] [instance=I] [protocols=a,b] [metadata=TEXT] [session=D] [rebalance=D]
//	sync NAME [who:what ...]    the leader says who has what      beat NAME [generation=N]    leave NAME [instance=I]
//	commit NAME|- [generation=N] [tx]    wait D    crash    group    limit members=N
type script struct {
	t     *testing.T
	out   strings.Builder
	g     *Classic
	cfg   Config
	now   int64
	rows  map[string][]byte
	ids   map[string]string // of members by name
	gens  map[string]int32
	who   map[Token]string
	next  Token
	fresh int
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, cfg: Default(), now: 1000, rows: map[string][]byte{}, ids: map[string]string{}, gens: map[string]int32{}, who: map[Token]string{}}
			s.g = NewClassic(s.cfg, s.now)
			prose := true
			for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
				switch {
				case strings.HasPrefix(line, "> "):
					s.say("%s", line)
					s.run(strings.Fields(line[2:]))
					s.tell()
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

// tell keeps what has changed, and says who is answered what.
func (s *script) tell() {
	rows := s.g.Unsaved()
	var puts, drops []string
	for _, r := range rows {
		name := r.Key
		if id, is := strings.CutPrefix(r.Key, memberPrefix); is {
			name = id
		}
		if r.Value == nil {
			delete(s.rows, r.Key)
			drops = append(drops, name)
		} else {
			s.rows[r.Key] = r.Value
			puts = append(puts, name)
		}
	}
	if len(rows) > 0 {
		slices.Sort(puts)
		slices.Sort(drops)
		line := "kept: " + strings.Join(puts, " ")
		if len(drops) > 0 {
			line += "; no more: " + strings.Join(drops, " ")
		}
		s.say("%s", line)
	}
	s.g.Saved(rows)
	out := s.g.Take()
	for _, j := range out.Joins {
		s.joined(s.who[j.Token], j.Reply)
	}
	for _, y := range out.Syncs {
		if y.Reply.Code != None {
			s.say("%s: %s", s.who[y.Token], codeName(y.Reply.Code))
			continue
		}
		s.say("%s has %q", s.who[y.Token], y.Reply.Assignment)
	}
}

func (s *script) joined(name string, r *JoinReply) {
	if r.Code == MemberIDRequired {
		s.ids[name] = r.Member
	}
	if r.Code != None {
		s.say("%s: %s", name, codeName(r.Code))
		return
	}
	s.ids[name], s.gens[name] = r.Member, r.Generation
	var line strings.Builder
	fmt.Fprintf(&line, "%s is %s in generation %d by %s, led by %s", name, r.Member, r.Generation, r.Protocol, r.Leader)
	if len(r.Members) > 0 {
		line.WriteString(", with")
		for _, m := range r.Members {
			line.WriteString(" " + m.ID)
			if len(m.Metadata) > 0 {
				fmt.Fprintf(&line, "(%s)", m.Metadata)
			}
		}
	}
	if r.Skip {
		line.WriteString(", and need not assign")
	}
	s.say("%s", line.String())
}

func codeName(c Code) string {
	names := map[Code]string{
		IllegalGeneration: "ILLEGAL_GENERATION", InconsistentGroupProtocol: "INCONSISTENT_GROUP_PROTOCOL", UnknownMemberID: "UNKNOWN_MEMBER_ID", RebalanceInProgress: "REBALANCE_IN_PROGRESS",
		InvalidSessionTimeout: "INVALID_SESSION_TIMEOUT", MemberIDRequired: "MEMBER_ID_REQUIRED", GroupMaxSizeReached: "GROUP_MAX_SIZE_REACHED", FencedInstanceID: "FENCED_INSTANCE_ID",
		InvalidRequest: "INVALID_REQUEST", None: "ok",
	}
	if n := names[c]; n != "" {
		return n
	}
	return strconv.Itoa(int(c))
}

// words are the options of a command: what has no = is true.
func words(fields []string) map[string]string {
	m := map[string]string{}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		m[k] = v
	}
	return m
}

func (s *script) run(f []string) {
	name, opt := "", map[string]string{}
	if len(f) > 1 {
		name, opt = f[1], words(f[2:])
	}
	generation := s.gens[name]
	if v, said := opt["generation"]; said {
		n, _ := strconv.Atoi(v)
		generation = int32(n)
	}
	token := func() Token { s.next++; s.who[s.next] = name; return s.next }
	switch f[0] {
	case "join":
		s.join(name, opt, token())
	case "sync":
		y := &Sync{Member: s.ids[name], Instance: opt["instance"], Generation: generation, Assignments: map[string][]byte{}}
		for _, w := range f[2:] {
			if who, what, is := strings.Cut(w, ":"); is {
				y.Assignments[s.ids[who]] = []byte(what)
			}
		}
		s.g.Sync(s.now, y, token())
	case "beat":
		s.say("%s", codeName(s.g.Heartbeat(s.now, s.ids[name], opt["instance"], generation)))
	case "leave":
		id := s.ids[name]
		if name == "-" {
			id = ""
		}
		s.say("%s", codeName(s.g.Leave(s.now, id, opt["instance"])))
	case "commit":
		_, tx := opt["tx"]
		id := s.ids[name]
		if name == "-" && opt["generation"] == "" {
			generation = -1
		}
		s.say("%s", codeName(s.g.MayCommit(id, opt["instance"], generation, tx)))
	case "wait":
		s.wait(name)
	case "crash":
		s.crash()
	case "limit":
		n, _ := strconv.Atoi(strings.TrimPrefix(name, "members="))
		s.g.cfg.MembersMax = n
	case "group":
		d := s.g.Describe()
		s.say("%s, generation %d, %d members, %d bytes", d.State, s.g.generation, len(d.Members), s.g.bytes)
	default:
		s.t.Fatalf("unknown command %v", f)
	}
}

func (s *script) join(name string, opt map[string]string, t Token) {
	s.fresh++
	j := &Join{
		Member: s.ids[name], Instance: opt["instance"], SessionMS: 10_000, RebalanceMS: 30_000, Kind: "consumer", FreshID: fmt.Sprintf("%s-%d", name, s.fresh),
	}
	if _, anew := opt["new"]; anew {
		j.Member = ""
	}
	_, j.KnownFirst = opt["known"]
	_, j.Skips = opt["skips"]
	if v, said := opt["kind"]; said {
		j.Kind = v
	}
	for k, to := range map[string]*int32{"session": &j.SessionMS, "rebalance": &j.RebalanceMS} {
		if v, said := opt[k]; said {
			d, err := time.ParseDuration(v)
			if err != nil {
				s.t.Fatal(err)
			}
			*to = int32(d.Milliseconds())
		}
	}
	protocols := "range"
	if v, said := opt["protocols"]; said {
		protocols = v
	}
	for p := range strings.SplitSeq(protocols, ",") {
		j.Protocols = append(j.Protocols, Protocol{p, []byte(opt["metadata"])})
	}
	s.g.Join(s.now, j, t)
}

// wait lets time pass, step by step as the timer would.
func (s *script) wait(text string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	for end := s.now + d.Milliseconds(); ; {
		next := s.g.NextMS()
		if next > end {
			s.now = end
			return
		}
		s.now = max(s.now, next)
		s.g.Tick(s.now)
		if o := s.g.out; len(o.Joins)+len(o.Syncs) > 0 || len(s.g.Unsaved()) > 0 {
			s.say("after %v:", time.Duration(s.now-(end-d.Milliseconds()))*time.Millisecond)
			s.tell()
		}
	}
}

// crash loses what is not kept.
func (s *script) crash() {
	var rows []Row
	for _, k := range slices.Sorted(maps.Keys(s.rows)) {
		rows = append(rows, Row{k, s.rows[k]})
	}
	g, err := LoadClassic(s.cfg, rows, s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	s.g = g
	clear(s.who)
}
