package address

import (
	"bytes"
	"slices"
	"testing"

	"leat/broker/fault"
)

func TestRoutes(t *testing.T) {
	r0 := NewRoutes()
	r1, err := r0.Define(r0.Next(), []ID{1, 2, 9})
	if err != nil {
		t.Fatal(err)
	}
	r2, err := r1.Define(7, []ID{2}) // as facts came, with numbers between
	if err != nil || r2.Next() != 8 || r2.Len() != 2 {
		t.Fatal(err, r2.Next())
	}
	for _, c := range []struct {
		id  RouteID
		set []ID
	}{{7, []ID{3}}, {0, []ID{3}}, {8, nil}, {8, []ID{2, 1}}, {8, []ID{2, 2}}, {8, []ID{1, 2, 9}}} {
		if _, err := r2.Define(c.id, c.set); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d %v: %v", c.id, c.set, err)
		}
	}
	if id, ok := r2.Find([]ID{1, 2, 9}); !ok || id != 1 {
		t.Error(id, ok)
	}
	if id, ok := r2.Find(nil); !ok || id != NoRoute {
		t.Error(id, ok)
	}
	if _, ok := r1.Find([]ID{2}); ok {
		t.Error("an older one knows it")
	}
	if !r2.Reaches(1, 9) || r2.Reaches(1, 3) || r2.Reaches(99, 1) || r2.Reaches(NoRoute, 1) {
		t.Error("reaches")
	}
	r3, ok := r2.Drop(7)
	if _, there := r3.Set(7); !ok || there || r3.Next() != 8 || r3.members != 3 {
		t.Error("dropped wrongly")
	}
	if _, ok := r3.Find([]ID{2}); ok {
		t.Error("found by its set")
	}
	if _, ok := r3.Drop(7); ok {
		t.Error("dropped twice")
	}
	if _, err := r0.Define(1, slices.Repeat([]ID{1}, RouteIDsMax+1)); err == nil {
		t.Error("too many")
	}
}

// A head defines a route, is thrown away, and the next head gives the number to another set: nobody may remember the first.
func TestRoutes_ForkForgets(t *testing.T) {
	x := add(t, New(), 1, Clause{Subject: Pattern{Exact, "a"}})
	x = add(t, x, 2, Clause{Subject: Pattern{Exact, "b"}})
	x = add(t, x, 3, Clause{Subject: Pattern{Words, "*"}})
	for _, both := range []bool{false, true} {
		y := x
		if !both {
			y, _ = x.Remove(3, Clause{Subject: Pattern{Words, "*"}})
		}
		m, published := NewMatcher(), NewRoutes()
		m.Match(y, &Record{Subject: "a"})
		head, err := published.Define(1, m.IDs())
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := m.Route(head); !ok || id != 1 {
			t.Fatal(id, ok)
		}
		head = published.Fork()
		m.Match(y, &Record{Subject: "b"})
		if head, err = head.Define(1, m.IDs()); err != nil {
			t.Fatal(err)
		}
		if id, ok := m.Route(head); !ok || id != 1 {
			t.Fatal(id, ok)
		}
		m.Match(y, &Record{Subject: "a"})
		if id, ok := m.Route(head); ok {
			t.Errorf("route %d of a head that is gone", id)
		}
	}
}

func TestSet_Bytes(t *testing.T) {
	for _, c := range []struct {
		set  []ID
		want string
	}{
		{[]ID{0}, "\x01\x00"}, {[]ID{1, 2, 9}, "\x03\x01\x00\x06"}, {[]ID{300}, "\x01\xac\x02"},
		{[]ID{0, 1<<64 - 1}, "\x02\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	} {
		got := AppendSet(nil, c.set)
		if string(got) != c.want {
			t.Errorf("%v: %x, want %x", c.set, got, c.want)
		}
		if back, err := ParseSet(nil, got); err != nil || !slices.Equal(back, c.set) {
			t.Errorf("%v: %v %v", c.set, back, err)
		}
	}
	for _, bad := range []string{"", "\x00", "\x01", "\x02\x00", "\x01\x00\x00", "\x01\x80\x00", "\x81\x00\x01", "\xff\xff\xff\xff\x0f\x00",
		"\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if got, err := ParseSet(nil, []byte(bad)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%x: %v %v", bad, got, err)
		}
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte("\x03\x01\x00\x06"))
	f.Add([]byte("\x02\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		set, err := ParseSet(nil, p)
		if err != nil {
			return
		}
		if !ascending(set) || !bytes.Equal(AppendSet(nil, set), p) {
			t.Fatalf("%x is %v", p, set)
		}
	})
}

// Any pattern against any text: the index, the single pattern and the definition agree.
func FuzzPattern(f *testing.F) {
	f.Add(byte(Words), "a.#.*.b", "a.x.b")
	f.Add(byte(Levels), "+/a/#", "$x/a")
	f.Add(byte(Prefix), "a", "ab")
	f.Fuzz(func(t *testing.T, syntax byte, pattern, s string) {
		if len(pattern) > 24 || len(s) > 48 { // the definition takes exponential time
			return
		}
		p := Pattern{Syntax(syntax), pattern}
		x, err := New().Add(1, Clause{Subject: p})
		if err != nil {
			return
		}
		op, canonical, _ := p.canonical()
		want := naivePattern(p, s)
		if got := op.match(canonical, s); got != want {
			t.Fatalf("%v of %q: %v", p, s, got)
		}
		if got := NewMatcher().Match(x, &Record{Subject: s}); got != want {
			t.Fatalf("%v of %q in the index: %v", p, s, got)
		}
	})
}
