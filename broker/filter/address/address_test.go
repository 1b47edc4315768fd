package address

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/broker/fault"
	"leat/broker/record"
)

func add(t testing.TB, x *Index, id ID, c Clause) *Index {
	t.Helper()
	y, err := x.Add(id, c)
	if err != nil {
		t.Fatalf("%d %+v: %v", id, c, err)
	}
	return y
}

func reached(m *Matcher, x *Index, r *Record) []ID {
	if !m.Match(x, r) {
		return nil
	}
	return slices.Clone(m.IDs())
}

// The bindings and routing keys of RabbitMQ's own test of topic routing, as facts: which keys reach which bindings.
func TestMatch_WordsAsPublished(t *testing.T) {
	x := New()
	for i, p := range []string{"a.b.c", "a.*.c", "a.#.b", "a.b.b.c", "#", "#.#", "#.b", "*.*", "a.*", "*.b.c", "a.#", "a.#.#", "b.b.c", "a.b.b",
		"a.b", "b.c", "", "*.*.*", "vodka.martini", "a.b.c", "*.#", "#.*.#", "*.#.#", "#.#.#", "*", "#.b.#"} {
		x = add(t, x, ID(i+1), Clause{Stream: 1, Subject: Pattern{Words, p}})
	}
	m := NewMatcher()
	for subject, want := range map[string][]ID{
		"a.b.c":               {1, 2, 5, 6, 10, 11, 12, 18, 20, 21, 22, 23, 24, 26},
		"a.b":                 {3, 5, 6, 7, 8, 9, 11, 12, 15, 21, 22, 23, 24, 26},
		"a.b.b":               {3, 5, 6, 7, 11, 12, 14, 18, 21, 22, 23, 24, 26},
		"":                    {5, 6, 17, 24},
		"b.c.c":               {5, 6, 18, 21, 22, 23, 24, 26},
		"a.a.a.a.a":           {5, 6, 11, 12, 21, 22, 23, 24},
		"vodka.gin":           {5, 6, 8, 21, 22, 23, 24},
		"vodka.martini":       {5, 6, 8, 19, 21, 22, 23, 24},
		"b.b.c":               {5, 6, 10, 13, 18, 21, 22, 23, 24, 26},
		"nothing.here.at.all": {5, 6, 21, 22, 23, 24},
		"oneword":             {5, 6, 21, 22, 23, 24, 25},
	} {
		if got := reached(m, x, &Record{Stream: 1, Subject: subject}); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", subject, got, want)
		}
	}
}

// The examples of the MQTT 5.0 specification, section 4.7, as facts.
func TestMatch_LevelsAsPublished(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true}, {"#", "sport", true}, {"#", "", true}, {"#", "/", true},
		{"sport/tennis/+", "sport/tennis/player1", true}, {"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false}, {"sport/+", "sport/", true},
		{"+", "sport", true}, {"+/tennis/#", "sport/tennis", true}, {"sport/+/player1", "sport/tennis/player1", true},
		{"+/+", "/finance", true}, {"/+", "/finance", true}, {"+", "/finance", false},
		{"#", "$SYS/uptime", false}, {"+/monitor/Clients", "$SYS/monitor/Clients", false}, {"$SYS/#", "$SYS/uptime", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true}, {"sport", "Sport", false}, {"a/*/c", "a/b/c", false}, {"a/*/c", "a/*/c", true},
		{"a.b/+", "a.b/c", true}, {"a/+", "a/$b", true},
	} {
		x := add(t, New(), 7, Clause{Stream: 1, Subject: Pattern{Levels, c.pattern}})
		if got := NewMatcher().Match(x, &Record{Stream: 1, Subject: c.subject}); got != c.want {
			t.Errorf("%q of %q: %v", c.pattern, c.subject, got)
		}
		// The same as a condition that is held against records found by another one.
		x = add(t, New(), 7, Clause{Stream: 1, Subject: Pattern{Levels, c.pattern}, Type: Pattern{Exact, "t"}})
		if got := NewMatcher().Match(x, &Record{Stream: 1, Subject: c.subject, Type: "t"}); got != c.want {
			t.Errorf("%q of %q, held: %v", c.pattern, c.subject, got)
		}
	}
}

func TestMatch_Conditions(t *testing.T) {
	type h = record.Header
	r := &Record{Stream: 3, Subject: "eu.orders.7", Type: "order.created", Key: []byte("k-7"),
		Headers: []h{{Key: "region", Value: []byte("eu")}, {Key: "ce_tenant", Value: []byte("acme")}, {Key: "nil"}, {Key: "region", Value: []byte("us")}}}
	for _, c := range []struct {
		name   string
		clause Clause
		want   bool
	}{
		{"all", Clause{}, true},
		{"another stream", Clause{Stream: 4}, false},
		{"subject", Clause{Subject: Pattern{Exact, "eu.orders.7"}}, true},
		{"no subject", Clause{Subject: Pattern{Exact, ""}}, false},
		{"prefix", Clause{Subject: Pattern{Prefix, "eu.or"}}, true},
		{"the whole as prefix", Clause{Subject: Pattern{Prefix, "eu.orders.7"}}, true},
		{"longer prefix", Clause{Subject: Pattern{Prefix, "eu.orders.77"}}, false},
		{"key", Clause{Key: Pattern{Exact, "k-7"}}, true},
		{"key prefix", Clause{Key: Pattern{Prefix, "k-"}}, true},
		{"type words", Clause{Type: Pattern{Words, "order.*"}}, true},
		{"all four", Clause{Subject: Pattern{Words, "*.orders.#"}, Key: Pattern{Exact, "k-7"}, Type: Pattern{Prefix, "order."}, Headers: []HeaderTest{{Name: "region", Value: "eu"}}}, true},
		{"three of four", Clause{Subject: Pattern{Words, "*.orders.#"}, Key: Pattern{Exact, "k-8"}, Type: Pattern{Prefix, "order."}, Headers: []HeaderTest{{Name: "region", Value: "eu"}}}, false},
		{"header", Clause{Headers: []HeaderTest{{Name: "region", Value: "eu"}}}, true},
		{"second value", Clause{Headers: []HeaderTest{{Name: "region", Value: "us"}}}, true},
		{"attribute", Clause{Headers: []HeaderTest{{Name: "tenant", Value: "acme"}}}, true},
		{"present", Clause{Headers: []HeaderTest{{Name: "nil", Present: true}}}, true},
		{"null is not empty", Clause{Headers: []HeaderTest{{Name: "nil"}}}, false},
		{"absent", Clause{Headers: []HeaderTest{{Name: "nope", Present: true}}}, false},
		{"all headers", Clause{Headers: []HeaderTest{{Name: "region", Value: "eu"}, {Name: "tenant", Present: true}}}, true},
		{"not all headers", Clause{Headers: []HeaderTest{{Name: "region", Value: "eu"}, {Name: "tenant", Value: "x"}}}, false},
		{"any header", Clause{Any: true, Headers: []HeaderTest{{Name: "region", Value: "asia"}, {Name: "tenant", Value: "acme"}}}, true},
		{"no header", Clause{Any: true, Headers: []HeaderTest{{Name: "region", Value: "asia"}, {Name: "tenant", Value: "x"}}}, false},
		{"any of both", Clause{Any: true, Headers: []HeaderTest{{Name: "region", Value: "eu"}, {Name: "tenant", Value: "acme"}}}, true},
		{"any header, with subject", Clause{Any: true, Subject: Pattern{Prefix, "eu"}, Headers: []HeaderTest{{Name: "region", Value: "asia"}, {Name: "tenant", Value: "acme"}}}, true},
		{"any header, other subject", Clause{Any: true, Subject: Pattern{Prefix, "us"}, Headers: []HeaderTest{{Name: "region", Value: "eu"}, {Name: "tenant", Value: "acme"}}}, false},
	} {
		if c.clause.Stream == 0 {
			c.clause.Stream = 3
		}
		x := add(t, New(), 9, c.clause)
		want := []ID{9}
		if !c.want {
			want = nil
		}
		if got := reached(NewMatcher(), x, r); !slices.Equal(got, want) {
			t.Errorf("%s: got %v", c.name, got)
		}
		if _, err := x.Add(9, c.clause); !fault.Is(err, fault.Exists) {
			t.Errorf("%s again: %v", c.name, err)
		}
		y, err := x.Remove(9, c.clause)
		if err != nil || y.Len() != 0 || y.Version() != 2 || y.streams.n != 0 {
			t.Errorf("%s: %v, %d left", c.name, err, y.Len())
			continue
		}
		if _, err := y.Remove(9, c.clause); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s removed twice: %v", c.name, err)
		}
	}
}

func TestAdd_Refusals(t *testing.T) {
	many := make([]HeaderTest, ClauseHeadersMax+1)
	for i := range many {
		many[i] = HeaderTest{Name: fmt.Sprint(i)}
	}
	for _, c := range []struct {
		clause        Clause
		subject, text string
	}{
		{Clause{Subject: Pattern{Levels, "a/#/b"}}, "subject", "after #"},
		{Clause{Key: Pattern{Levels, "a/b+"}}, "key", "beside other"},
		{Clause{Type: Pattern{Levels, "a#"}}, "type", "beside other"},
		{Clause{Subject: Pattern{Anything, "x"}}, "subject", "no syntax"},
		{Clause{Subject: Pattern{Syntax(99), "x"}}, "subject", "syntax 99"},
		{Clause{Subject: Pattern{present, "x"}}, "subject", "syntax 5"},
		{Clause{Subject: Pattern{Exact, strings.Repeat("x", PatternBytesMax+1)}}, "subject", "at most 4096"},
		{Clause{Subject: Pattern{Prefix, strings.Repeat("x", PrefixBytesMax+1)}}, "subject", "at most 255"},
		{Clause{Subject: Pattern{Words, strings.Repeat("*.", PatternWordsMax)}}, "subject", "at most 128"},
		{Clause{Subject: Pattern{Words, strings.Repeat("#.a.", PatternRestsMax+1)}}, "subject", "5 times #; at most 4"},
		{Clause{Subject: Pattern{Levels, strings.Repeat("+/", PatternWordsMax)}}, "subject", "at most 128"},
		{Clause{Headers: many}, "headers", "at most 32"},
		{Clause{Any: true}, "headers", "one of no headers"},
		{Clause{Headers: []HeaderTest{{}}}, "headers", "empty"},
		{Clause{Headers: []HeaderTest{{Name: strings.Repeat("x", HeaderNameBytesMax+1)}}}, "headers", "at most 255"},
		{Clause{Headers: []HeaderTest{{Name: "a", Value: strings.Repeat("x", PatternBytesMax+1)}}}, "headers", "at most 4096"},
		{Clause{Headers: []HeaderTest{{Name: "a", Value: "x", Present: true}}}, "headers", "with any value"},
	} {
		_, err := New().Add(1, c.clause)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Subject != c.subject || !strings.Contains(f.Text, c.text) {
			t.Errorf("%.60v: %v", c.clause, err)
		}
	}
	// At the limits themselves all is well.
	for _, c := range []Clause{{Headers: many[1:]}, {Subject: Pattern{Words, strings.Repeat("#.#.a.", PatternRestsMax) + "b"}}, {Subject: Pattern{Words, strings.Repeat("*.", PatternWordsMax-1) + "*"}},
		{Subject: Pattern{Prefix, strings.Repeat("x", PrefixBytesMax)}}, {Subject: Pattern{Exact, strings.Repeat("x", PatternBytesMax)}}} {
		add(t, New(), 1, c)
	}
}

// world makes clauses and records that meet often: few words, all syntaxes.
type world struct{ *rand.Rand }

func (w world) of(words ...string) string { return words[w.IntN(len(words))] }

func (w world) joined(sep string, most int, words ...string) string {
	parts := make([]string, w.IntN(most)+1)
	for i := range parts {
		parts[i] = w.of(words...)
	}
	return strings.Join(parts, sep)
}

func (w world) pattern() Pattern {
	switch w.IntN(7) {
	case 0:
		return Pattern{Exact, w.text()}
	case 1:
		return Pattern{Prefix, w.of("", "a", "a.", "a.b", "$a/", "b/a")}
	case 2, 3:
		return Pattern{Words, w.joined(".", 4, "a", "b", "*", "#", "#", "")}
	case 4, 5:
		s := w.joined("/", 4, "a", "b", "+", "$a", "")
		return Pattern{Levels, s + w.of("", "", "/#")}
	}
	return Pattern{}
}

func (w world) text() string {
	if w.IntN(2) == 0 {
		return w.joined(".", 5, "a", "b", "*", "")
	}
	return w.joined("/", 5, "a", "b", "$a", "")
}

func (w world) clause() Clause {
	c := Clause{Stream: record.StreamID(w.IntN(2)), Subject: w.pattern()}
	if w.IntN(3) == 0 {
		c.Key = w.pattern()
	}
	if w.IntN(3) == 0 {
		c.Type = w.pattern()
	}
	for range w.IntN(6) - 2 {
		c.Headers = append(c.Headers, HeaderTest{Name: w.of("x", "y", "z"), Value: w.of("1", "2")})
		if w.IntN(4) == 0 {
			c.Headers[len(c.Headers)-1] = HeaderTest{Name: w.of("x", "y", "z"), Present: true}
		}
	}
	c.Any = len(c.Headers) > 0 && w.IntN(2) == 0
	return c
}

func (w world) record() *Record {
	r := &Record{Stream: record.StreamID(w.IntN(2)), Subject: w.text(), Type: w.text(), Key: []byte(w.text())}
	for range w.IntN(4) {
		h := record.Header{Key: w.of("x", "ce_y", "z", "w"), Value: []byte(w.of("1", "2", "3"))}
		if w.IntN(5) == 0 {
			h.Value = nil
		}
		r.Headers = append(r.Headers, h)
	}
	return r
}

// naive says by the definitions, word lists and recursion, whether a clause holds.
func naive(c Clause, r *Record) bool {
	if c.Stream != r.Stream || !naivePattern(c.Subject, r.Subject) || !naivePattern(c.Key, string(r.Key)) || !naivePattern(c.Type, r.Type) {
		return false
	}
	met := 0
	for _, t := range c.Headers {
		if slices.ContainsFunc(r.Headers, func(h record.Header) bool {
			return strings.TrimPrefix(h.Key, "ce_") == t.Name && (t.Present || h.Value != nil && string(h.Value) == t.Value)
		}) {
			met++
		}
	}
	return met == len(c.Headers) || c.Any && met > 0
}

func naivePattern(p Pattern, s string) bool {
	switch p.Syntax {
	case Anything:
		return true
	case Exact:
		return p.Text == s
	case Prefix:
		return strings.HasPrefix(s, p.Text)
	case Words:
		words := strings.Split(s, ".")
		if s == "" {
			words = nil
		}
		pattern := strings.Split(p.Text, ".")
		if p.Text == "" {
			pattern = nil
		}
		return naiveWords(pattern, words, "*")
	}
	if strings.HasPrefix(s, "$") && strings.IndexAny(p.Text, "+#") == 0 {
		return false
	}
	return naiveWords(strings.Split(p.Text, "/"), strings.Split(s, "/"), "+")
}

func naiveWords(p, s []string, one string) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == "#":
		return naiveWords(p[1:], s, one) || len(s) > 0 && naiveWords(p, s[1:], one)
	case len(s) == 0:
		return false
	}
	return (p[0] == one || p[0] == s[0]) && naiveWords(p[1:], s[1:], one)
}

func TestIndex_AgainstNaiveModel(t *testing.T) {
	type given struct {
		id ID
		c  Clause
		k  *clause
	}
	for seed := range uint64(30) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		x, m := New(), NewMatcher()
		var all []given
		check := func(x *Index, all []given) {
			t.Helper()
			for range 10 {
				r := w.record()
				var want []ID
				for _, g := range all {
					if naive(g.c, r) {
						want = append(want, g.id)
					}
				}
				slices.Sort(want)
				want = slices.Compact(want)
				got := reached(m, x, r)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d, %+v: got %v, want %v", seed, r, got, want)
				}
			}
		}
		var old *Index
		var oldAll []given
		for step := range 150 {
			if i := w.IntN(len(all) + 1); i < len(all) && w.IntN(3) == 0 {
				y, err := x.Remove(all[i].id, all[i].c)
				if err != nil {
					t.Fatalf("seed %d, remove %+v: %v", seed, all[i], err)
				}
				x, all = y, slices.Delete(slices.Clone(all), i, i+1)
			} else {
				g := given{id: ID(w.IntN(40)), c: w.clause()}
				k, err := g.c.canonical()
				if err != nil {
					t.Fatal(err)
				}
				g.k = k
				twice := slices.ContainsFunc(all, func(o given) bool { return o.id == g.id && o.c.Stream == g.c.Stream && o.k.compare(k) == 0 })
				y, err := x.Add(g.id, g.c)
				if twice != fault.Is(err, fault.Exists) || err != nil && !twice {
					t.Fatalf("seed %d, add %+v: %v, there: %v", seed, g, err, twice)
				}
				if err == nil {
					x, all = y, append(slices.Clip(all), g)
				}
			}
			if x.Len() != len(all) {
				t.Fatalf("%d clauses, want %d", x.Len(), len(all))
			}
			if step == 75 {
				old, oldAll = x, all
			}
			if step%5 == 0 {
				check(x, all)
			}
		}
		check(old, oldAll) // a snapshot stays what it was
		for len(all) > 0 {
			y, err := x.Remove(all[0].id, all[0].c)
			if err != nil {
				t.Fatal(err)
			}
			x, all = y, all[1:]
		}
		if x.streams.n != 0 || x.streams.root != nil {
			t.Fatalf("seed %d: something is left of nothing", seed)
		}
	}
}

// Subjects of more than SubjectWordsMax words.
// naiveWild counts places behind a wildcard that are not the end, by the beginnings of patterns.
func naiveWild(clauses []Clause) int {
	places := map[string]bool{}
	for _, c := range clauses {
		for a, p := range []Pattern{c.Subject, c.Key, c.Type} {
			op, text, err := p.canonical()
			if err != nil || op != Words && op != Levels {
				continue
			}
			sep, one := ".", "*"
			if op == Levels {
				sep, one = "/", "+"
			}
			words := strings.Split(text, sep)
			for i := range words[:len(words)-1] {
				if words[i] == one || words[i] == "#" {
					places[fmt.Sprint(a, op, strings.Join(words[:i+1], sep))] = true
				}
			}
		}
	}
	return len(places)
}

func TestIndex_Wild(t *testing.T) {
	for seed := range uint64(20) {
		w, x := world{rand.New(rand.NewPCG(seed, 4))}, New()
		var all []Clause
		for i := range 200 {
			if len(all) > 0 && w.IntN(3) == 0 {
				k := w.IntN(len(all))
				y, err := x.Remove(1, all[k])
				if err != nil {
					t.Fatal(err)
				}
				x, all = y, slices.Delete(all, k, k+1)
			} else {
				c := Clause{Subject: w.pattern()}
				if w.IntN(3) == 0 {
					c = Clause{Key: w.pattern()}
				}
				if y, err := x.Add(1, c); err == nil {
					x, all = y, append(all, c)
				}
			}
			if got, want := x.Wild(0), naiveWild(all); got != want {
				t.Fatalf("seed %d, change %d: %d, want %d of %+v", seed, i, got, want, all)
			}
		}
	}
}

// One pattern against one text costs at most the words of the one times those of the other, and holds as the definition says.
func TestMatch_OnePatternIsNotTriedAgainAndAgain(t *testing.T) {
	long := strings.Repeat("a.", SubjectWordsMax-2) + "b"
	for _, p := range []string{"#.a.#.a.#.a.#.a.c", "a.#.a.#.a.#.a.#.c", strings.Repeat("*.", 60) + "#." + strings.Repeat("a.", 60) + "c"} {
		x := add(t, New(), 1, Clause{Subject: Pattern{Words, p}})
		m := NewMatcher()
		if m.Match(x, &Record{Subject: long}) {
			t.Errorf("%s holds", p)
		}
		if steps := cap(m.now) + cap(m.loops); steps > 2*PatternWordsMax {
			t.Errorf("%s: %d places were kept at once", p, steps)
		}
		if op, text, err := (Pattern{Words, p}).canonical(); err != nil || op.match(text, long) {
			t.Errorf("%s holds, or %v", p, err)
		}
	}
	if _, err := New().Add(1, Clause{Subject: Pattern{Words, strings.Repeat("#.a.", PatternRestsMax+1) + "b"}}); err == nil {
		t.Error("a pattern with many # is taken")
	}
}

func TestMatch_LongSubjects(t *testing.T) {
	long := strings.Repeat("a.", SubjectWordsMax-1) + "a"
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"#.a", long, true}, {"#.b", long + ".b", false}, {"a.#", long + ".b", true}, {"*.#", long + "." + long, true}, {"#.b.#", long + ".b", false}, {"#.a.#", long + ".b", true},
	} {
		for _, clause := range []Clause{{Subject: Pattern{Words, c.pattern}}, {Subject: Pattern{Words, c.pattern}, Type: Pattern{Exact, ""}}} {
			if got := NewMatcher().Match(add(t, New(), 1, clause), &Record{Subject: c.subject}); got != c.want {
				t.Errorf("%s of %d bytes: %v", c.pattern, len(c.subject), got)
			}
		}
	}
}

// Patterns made to have as many ways through a subject as there can be: each node is reached once a word, so the work has a bound.
func TestMatch_HostilePatterns(t *testing.T) {
	x := New()
	w := world{rand.New(rand.NewPCG(1, 2))}
	for id := range ID(3000) {
		p := w.joined(".", 6, "a", "*", "#", "a.a", "*.#.a") + ".never"
		if y, err := x.Add(id, Clause{Subject: Pattern{Words, p}}); err == nil {
			x = y
		}
	}
	m := NewMatcher()
	r := &Record{Subject: strings.Repeat("a.", SubjectWordsMax-2) + "a"}
	if m.Match(x, r) {
		t.Fatal("a match")
	}
	nodes := 0
	_, s := x.stream(0)
	count(s.attrs[attrSubject].words, &nodes)
	if len(m.now)+len(m.loops) > nodes {
		t.Errorf("%d nodes are active of %d there are", len(m.now)+len(m.loops), nodes)
	}
	if n := testing.AllocsPerRun(1, func() { m.Match(x, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// One pattern against one subject, the way conditions are held.
	p := strings.Repeat("#.a.", 60) + "#.b"
	if Words.match(p, r.Subject) {
		t.Error("a match of one")
	}
}

func count(n *wordNode, sum *int) {
	if n == nil {
		return
	}
	*sum++
	count(n.one, sum)
	count(n.rest, sum)
	n.kids.each(func(e *wordEdge) { count(e.to, sum) })
}

func TestMatch_AllocatesNothing(t *testing.T) {
	x := New()
	for i := range ID(1000) {
		x = add(t, x, i, Clause{Subject: Pattern{Exact, fmt.Sprint("s.", i)}})
		x = add(t, x, i, Clause{Subject: Pattern{Words, fmt.Sprintf("s.*.%d.#", i%10)}})
		x = add(t, x, i, Clause{Key: Pattern{Prefix, fmt.Sprint(i)}, Headers: []HeaderTest{{Name: "h", Value: fmt.Sprint(i % 7)}}})
	}
	m := NewMatcher()
	r := &Record{Subject: "s.7.3.x", Key: []byte("123"), Headers: []record.Header{{Key: "h", Value: []byte("3")}}}
	m.Match(x, r)
	if n := testing.AllocsPerRun(100, func() {
		if !m.Match(x, r) {
			t.Fatal("no match")
		}
		if len(m.IDs()) == 0 {
			t.Fatal("nobody")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRecord_Of(t *testing.T) {
	type h = record.Header
	var scratch record.Event
	for _, c := range []struct {
		name          string
		rec           record.Record
		subject, kind string
	}{
		{"plain", record.Record{Key: []byte("k/1")}, "k/1", "def"},
		{"binary key", record.Record{Key: []byte{0xff}}, "", "def"},
		{"nothing", record.Record{}, "", "def"},
		{"event", record.Record{Key: []byte("k"), Headers: []h{{Key: "ce_type", Value: []byte("t")}, {Key: "ce_subject", Value: []byte("s")}}}, "s", "t"},
		{"structured", record.Record{Headers: []h{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
			Value: []byte(`{"specversion":"1.0","id":"1","source":"/","type":"in","subject":"sub"}`)}, "sub", "in"},
	} {
		var r Record
		r.Of(4, &c.rec, "def", &scratch)
		if r.Subject != c.subject || r.Type != c.kind || r.Stream != 4 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// Hashes that are equal: the values hang on one leaf.
func TestTrie_EqualHashes(t *testing.T) {
	dup := func(to, from *string) { *to = *from }
	find := func(tr trie[string], v string) *leaf[string] {
		for l := tr.find(5); l != nil; l = l.next {
			if l.v == v {
				return l
			}
		}
		return nil
	}
	var tr trie[string]
	for _, v := range []string{"a", "b", "c"} {
		tr = tr.with(5, nil, &leaf[string]{v: v}, dup)
	}
	old := tr
	for _, v := range []string{"b", "c", "a"} {
		if find(tr, v) == nil || find(old, v) == nil {
			t.Fatal(v, "is not there")
		}
		tr = tr.with(5, find(tr, v), nil, dup)
		if find(tr, v) != nil || find(old, v) == nil {
			t.Fatal(v, "went from the wrong one")
		}
	}
	if tr.n != 0 || tr.root != nil || old.n != 3 {
		t.Error("not empty")
	}
	tr = old.with(5, find(old, "a"), &leaf[string]{v: "A"}, dup)
	if find(tr, "A") == nil || find(tr, "a") != nil || find(tr, "b") == nil || find(tr, "c") == nil {
		t.Error("replaced wrongly")
	}
	// Hashes that differ only in their last bits.
	tr = trie[string]{}.with(1<<63, nil, &leaf[string]{v: "x"}, dup).with(0, nil, &leaf[string]{v: "y"}, dup)
	if tr.find(1<<63).v != "x" || tr.find(0).v != "y" || tr.find(1<<62) != nil {
		t.Error("deep fork")
	}
}

// each calls fn for every value, in no order.
func (t *trie[V]) each(fn func(*V)) { t.root.each(fn) }

func (n *node[V]) each(fn func(*V)) {
	if n == nil {
		return
	}
	for _, s := range n.slots {
		s.kid.each(fn)
		for l := s.leaf; l != nil; l = l.next {
			fn(&l.v)
		}
	}
}
