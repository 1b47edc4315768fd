package filter

import (
	"testing"

	"leat/broker/record"
)

func TestTyped(t *testing.T) {
	d := Typed("v-", "t-")
	if d != Typed("v-", "t-") {
		t.Error("not the same decoder")
	}
	for _, c := range []struct{ value, kind, want string }{
		{"a", "String", `"a"`}, {"a", "", `"a"`}, {"5", "String", `"5"`}, {"a", "String.custom", `"a"`},
		{"5", "Number", "5"}, {"+5", "Number.int", "5"}, {"-05.50", "Number", "-5.5"}, {".5", "Number", "0.5"}, {"5.", "Number", "5"}, {"1e3", "Number", "1000"},
		{"0", "Number", "0"}, {"00", "Number", "0"}, {"-.5e1", "Number", "-5"}, {"5.e1", "Number", "50"},
		{"x", "Number", "unreadable"}, {"", "Number", "unreadable"}, {"0x1", "Number", "unreadable"}, {"Inf", "Number", "unreadable"}, {"--1", "Number", "unreadable"},
		{`["a",1]`, "String.Array", `["a",1]`}, {` [1] `, "String.Array", `[1]`}, {`[1`, "String.Array", `"[1"`}, {"a", "Binary", "nothing"},
	} {
		e := &record.Event{Headers: []record.Header{{Key: "t-x", Value: []byte(c.kind)}, {Key: "v-x", Value: []byte(c.value)}, {Key: "x", Value: []byte("plain")}}}
		if got := d.Value(e, "x").String(); got != c.want {
			t.Errorf("%q as %q: %s, want %s", c.value, c.kind, got, c.want)
		}
	}
	e := &record.Event{Headers: []record.Header{{Key: "x", Value: []byte("plain")}}}
	if got := d.Value(e, "x").String(); got != `"plain"` {
		t.Errorf("a plain header: %s", got)
	}
	if got := d.Value(e, "y").String(); got != "nothing" {
		t.Errorf("none: %s", got)
	}
}

func FuzzTyped(f *testing.F) {
	f.Add("5", "Number")
	f.Add(`["a"]`, "String.Array")
	d := Typed("v-", "t-")
	p, err := CompilePolicy([]byte(`{"x":[{"numeric":[">",0]},"a",{"exists":false}]}`), PolicyScope{Decode: d})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, kind string) {
		e := &record.Event{Headers: []record.Header{{Key: "v-x", Value: []byte(value)}, {Key: "t-x", Value: []byte(kind)}}}
		var in Input
		in.Reset(e, "s", 0, 0)
		x := NewExtract()
		x.Reset(&in)
		_, _ = p.Match(x) // must not panic, whatever is there
	})
}
