package stream

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// encode makes terms of records given as texts.
func encode(records map[int32][]string, order ...int32) *EncodedTerms {
	x := &EncodedTerms{}
	for _, i := range order {
		x.Add(i, len(records[i]), func(k int) []byte { return []byte(records[i][k]) }, func(term []byte) Fingerprint { return Fingerprint{uint64(len(term)), uint64(term[0])} })
	}
	return x
}

func TestTermed_RoundTrip(t *testing.T) {
	many := []string{}
	for i := range 100 {
		many = append(many, fmt.Sprint("t", i), "tsame")
	}
	records := map[int32][]string{0: {"yplaced", "tcustomer:7"}, 1: {"yplaced"}, 7: {}, 300: many}
	x := encode(records, 0, 1, 7, 300)
	got := map[int32][]string{7: {}}
	last := int32(-1)
	if err := readTermed(x.append(nil), func(i int32, term []byte) {
		if i < last {
			t.Errorf("record %d after %d", i, last)
		}
		last = i
		got[i] = append(got[i], string(term))
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(records, got); d != "" {
		t.Fatal(d)
	}
	if len(x.append(nil)) > x.Size() {
		t.Errorf("%d bytes, said %d", len(x.append(nil)), x.Size())
	}
	two := encode(map[int32][]string{0: {"yplaced", "tcustomer:7"}, 1: {"yplaced"}}, 0, 1).append(nil)
	if d := cmp.Diff("02"+"07"+hex.EncodeToString([]byte("yplaced"))+"0b"+hex.EncodeToString([]byte("tcustomer:7"))+"02"+"00020001"+"010100", hex.EncodeToString(two)); d != "" {
		t.Fatalf("docs/formats/facts.md draws it otherwise: %s", d)
	}
}

func FuzzTermed(f *testing.F) {
	f.Add(encode(map[int32][]string{0: {"ya", "tb"}, 5: {"ya"}}, 0, 5).append(nil))
	f.Add([]byte{1, 1, 't', 1, 0, 3, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, p []byte) {
		n := 0
		if readTermed(p, func(i int32, term []byte) {
			if n++; i < 0 || !bytes.Contains(p, term) {
				t.Fatalf("record %d: %q", i, term)
			}
		}) == nil && n > len(p) {
			t.Fatalf("%d terms of %d bytes", n, len(p))
		}
	})
}

func TestTips(t *testing.T) {
	a, b, c := Fingerprint{1}, Fingerprint{2}, Fingerprint{3}
	var x tips
	x.add(5, []Fingerprint{a, b, a})
	x.add(7, []Fingerprint{a})
	u := func(parts ...[]Fingerprint) *Unless { return &Unless{Parts: parts} }
	for _, s := range []struct {
		seq  uint64
		u    *Unless
		want bool
	}{
		{4, u([]Fingerprint{a}), true}, {6, u([]Fingerprint{a}), true}, {7, u([]Fingerprint{a}), false}, {4, u([]Fingerprint{a}, []Fingerprint{b}), true},
		{5, u([]Fingerprint{a}, []Fingerprint{b}), false}, {4, u([]Fingerprint{c, b}), true}, {4, u([]Fingerprint{a}, []Fingerprint{c}), false},
	} {
		if got := x.since(s.seq, s.u); got != s.want {
			t.Errorf("%+v: %v", s, got)
		}
	}
	x.prune(5)
	if x.since(4, u([]Fingerprint{b})) || !x.since(4, u([]Fingerprint{a})) || len(x.of) != 1 {
		t.Errorf("after pruning: %+v", x)
	}
	if x.prune(7); len(x.of)+len(x.frames) != 0 {
		t.Errorf("left: %+v", x)
	}
}
