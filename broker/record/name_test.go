package record

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"leat/broker/fault"
)

func TestCheckStreamName(t *testing.T) {
	for _, ok := range []string{"a", "orders", "Orders.v1_x-y", "...", strings.Repeat("x", 249)} {
		if err := CheckStreamName(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for name, text := range map[string]string{
		"": "empty", ".": "may not be", "..": "may not be", "a b": "' ' at place 2", "a/b": "'/' at place 2", "aü": "'ü' at place 2", "\xff": "place 1",
		strings.Repeat("x", 250): "250", "a\n": `'\n'`,
	} {
		if err := CheckStreamName(name); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.As(err).Text, text) {
			t.Errorf("%q: %v, want %q", name, err, text)
		}
	}
}

func TestParseRef(t *testing.T) {
	for _, s := range []string{"orders/0/1234", "a.b_c-d/2147483647/9223372036854775807", "x/0/0"} {
		r, err := ParseRef(s)
		if err != nil || r.String() != s {
			t.Errorf("%q: %v %v", s, r, err)
		}
	}
	for _, s := range []string{"", "orders", "orders/0", "orders/0/", "orders//1", "/0/1", "orders/0/1/2", "orders/-1/1", "orders/00/1", "orders/0/01", "orders/0/+1",
		"orders/2147483648/1", "orders/0/9223372036854775808", "or ders/0/1", "orders/0/1 "} {
		if r, err := ParseRef(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v %v", s, r, err)
		}
	}
}

func genPosition(t *rapid.T) Position {
	return Position{rapid.Uint16().Draw(t, "shard"), rapid.Uint32().Draw(t, "lineage"), rapid.Uint64().Draw(t, "seq"), rapid.Uint32().Draw(t, "batch"), rapid.Uint32().Draw(t, "record")}
}

func TestPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := genPosition(t), genPosition(t)
		got, err := ParsePosition(p.String())
		if err != nil || got != p {
			t.Fatalf("%+v came back as %+v: %v", p, got, err)
		}
		if p.Compare(q) != -q.Compare(p) || (p.Compare(q) == 0) != (p == q) {
			t.Fatal("Compare is no order")
		}
		next := p
		next.Record++
		if next.Record != 0 && p.Compare(next) >= 0 {
			t.Fatal("the next record does not come later")
		}
	})
	all := Position{math.MaxUint16, math.MaxUint32, math.MaxUint64, math.MaxUint32, math.MaxUint32}
	if got, err := ParsePosition(all.String()); err != nil || got != all {
		t.Error(got, err)
	}
	for _, s := range []string{"", "!", "AQ", "AQAAAAA", "AQAAAAAAAA", "AYAAAAAAAA", strings.Repeat("A", 200), "AQAAAAAA\n", "AQAAAAAB=="} {
		if p, err := ParsePosition(s); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Unsupported) {
			t.Errorf("%q: %v %v", s, p, err)
		}
	}
	if _, err := ParsePosition("AgAAAAAA"); !fault.Is(err, fault.Unsupported) {
		t.Error(err)
	}
}
