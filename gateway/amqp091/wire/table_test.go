package wire

import (
	"bytes"
	"strings"
	"testing"
)

func table(t testing.TB, entries ...any) Table {
	t.Helper()
	var tb Table
	for i := 0; i < len(entries); i += 2 {
		var err error
		if tb, err = tb.Add(entries[i].(string), entries[i+1].(Value)); err != nil {
			t.Fatal(err)
		}
	}
	return tb
}

// Every kind, with bytes written by hand from RabbitMQ's list of types.
var kinds = []struct {
	hex  string
	text string
}{
	{"74 01", "true"}, {"74 00", "false"},
	{"62 ff", "-1"}, {"42 ff", "255"}, {"73 fffe", "-2"}, {"75 fffe", "65534"},
	{"49 fffffffd", "-3"}, {"69 fffffffd", "4294967293"}, {"6c fffffffffffffffc", "-4"}, {"4c fffffffffffffffb", "-5"},
	{"66 3f000000", "0.5"}, {"64 3ff4000000000000", "1.25"}, {"44 02 0000013a", "314e-2"},
	{"53 00000002 6869", `"hi"`}, {"78 00000002 00ff", `"\x00\xff"`}, {"54 0000000069573625", "@1767323173"}, {"56", "void"},
	{"41 00000003 7401 56", "[true void]"}, {"46 00000004 0161 7401", "{a=true}"}, {"41 00000000", "[]"}, {"46 00000000", "{}"},
}

func TestTable_EveryKind(t *testing.T) {
	var all []byte
	for i, k := range kinds {
		entry := append([]byte{1, 'a' + byte(i)}, unhex(t, k.hex)...)
		all = append(all, entry...)
		tb := Table(entry)
		if fault := checkTable(tb, true, 1); fault != "" {
			t.Fatalf("%s: %s", k.hex, fault)
		}
		v, ok := tb.Get(string([]byte{'a' + byte(i)}))
		if got := string(appendValueText(nil, v)); !ok || got != k.text {
			t.Errorf("%s is %s, want %s", k.hex, got, k.text)
		}
		again, err := Table(nil).Add(string([]byte{'a' + byte(i)}), v)
		if err != nil || !bytes.Equal(again, tb) {
			t.Errorf("%x encodes to %x", tb, again)
		}
		for n := 1; n < len(entry); n++ {
			if checkTable(entry[:n], true, 1) == "" {
				t.Errorf("%x is taken for a table", entry[:n])
			}
		}
	}
	n := 0
	for range Table(all).All() {
		n++
	}
	if n != len(kinds) || checkTable(all, true, 1) != "" {
		t.Errorf("%d entries of %d", n, len(kinds))
	}
}

func TestTable_Accessors(t *testing.T) {
	tb := table(t, "i", Int64(-7), "f", Float64(2.5), "s", String("text"), "b", Bool(true), "t", Timestamp(99), "x", Bytes([]byte{1}),
		"T", TableValue(table(t, "in", Int32(3))), "A", ArrayValue(Array(nil).Add(Bool(false)).Add(StringBytes([]byte("z")))), "i", Int32(8))
	if fault := checkTable(tb, true, 1); fault != "" {
		t.Fatal(fault)
	}
	if got, want := tb.String(), `{i=-7 f=2.5 s="text" b=true t=@99 x="\x01" T={in=3} A=[false "z"] i=8}`; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if v, _ := tb.Get("i"); !v.Equal(Int32(-7)) || v.Equal(Int32(7)) || v.Equal(String("-7")) {
		t.Error("whole numbers are equal by value, and the first of a name counts")
	}
	if f := (Value{KindFloat32, unhex(t, "40200000")}); !f.Equal(Float64(2.5)) || f.Equal(Float64(2)) || f.Equal(String("2.5")) || Int32(2).Equal(Float64(2)) {
		t.Error("numbers with a fraction are equal by value")
	}
	if got := tb.Without("i", "T", "none").String(); got != `{f=2.5 s="text" b=true t=@99 x="\x01" A=[false "z"]}` {
		t.Error(got)
	}
	if v, ok := tb.Get("none"); ok || v.Kind() != 0 {
		t.Error(v)
	}
	for _, name := range []string{"i", "f", "s", "b", "t", "x", "T", "A"} {
		v, _ := tb.Get(name)
		n := 0
		for _, ok := range []bool{second(v.Int()), second(v.Float()), second(v.Text()), second(v.Bool()), second(v.Seconds()), second(v.Table()), second(v.Array())} {
			if ok {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is %d things", name, n)
		}
	}
}

func second[T any](_ T, ok bool) bool { return ok }

func TestTable_Limits(t *testing.T) {
	if _, err := Table(nil).Add(strings.Repeat("n", 256), Bool(true)); err == nil {
		t.Error("a name of 256 bytes")
	}
	if _, err := Table(nil).Add(strings.Repeat("n", 255), Bool(true)); err != nil {
		t.Error(err)
	}
	deep := Table(nil)
	for range TableDepthMax - 1 {
		deep = table(t, "d", TableValue(deep))
	}
	if fault := checkTable(deep, true, 1); fault != "" {
		t.Error(fault)
	}
	if fault := checkTable(table(t, "d", TableValue(deep)), true, 1); fault != tableDepth {
		t.Errorf("%q", fault)
	}
	arrays := Array(nil)
	for range TableDepthMax {
		arrays = Array(nil).Add(ArrayValue(arrays))
	}
	if fault := checkTable(table(t, "d", ArrayValue(arrays)), true, 1); fault != tableDepth {
		t.Errorf("%q", fault)
	}
}

// What was not checked is gone through as far as it can be read.
func TestTable_UncheckedEnds(t *testing.T) {
	n := 0
	for range Table("\x01aV\x01bZ\x01cV").All() {
		n++
	}
	for range Array("V\x53\x00\x00").All() {
		n++
	}
	if n != 2 {
		t.Error(n)
	}
}
