package contract_test

import (
	"testing"

	"leat/contract"
	"leat/contract/avro"
)

func record(t *testing.T, fields string) contract.Schema {
	t.Helper()
	s, err := avro.Format{}.Parse(`{"type":"record","name":"R","fields":[`+fields+`]}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// v1 has a, v2 has none, v3 has a with a default: v3 reads all, v2 is read by v3 only, and v1 reads v3 but not v2.
func TestCheck_Levels(t *testing.T) {
	v1 := record(t, `{"name":"a","type":"string"}`)
	v2 := record(t, ``)
	past := []contract.Past{{Version: 1, Schema: v1, Format: "AVRO"}, {Version: 2, Schema: v2, Format: "AVRO"}}
	for _, c := range []struct {
		level contract.Level
		next  string
		old   int    // that it may not follow
		who   string // reads
	}{
		{contract.None, `{"name":"a","type":"int"}`, 0, ""},
		{contract.Backward, `{"name":"a","type":"int","default":0}`, 0, ""},
		{contract.BackwardTransitive, `{"name":"a","type":"int","default":0}`, 1, "new"},
		{contract.Backward, `{"name":"b","type":"int"}`, 2, "new"},
		{contract.Forward, `{"name":"b","type":"int"}`, 0, ""},
		{contract.ForwardTransitive, `{"name":"b","type":"int"}`, 1, "old"},
		{contract.Full, `{"name":"b","type":"int"}`, 2, "new"},
		{contract.FullTransitive, `{"name":"b","type":"int","default":1}`, 1, "old"},
		{contract.FullTransitive, `{"name":"a","type":"string","default":""}`, 0, ""},
	} {
		b := contract.Check(c.level, "AVRO", record(t, c.next), past, contract.Strict)
		switch {
		case b == nil && c.old == 0:
		case b == nil:
			t.Errorf("%s: %s may follow", c.level, c.next)
		case b.Old.Version != c.old || b.Differences[0].Reader != c.who || b.Differences[0].Message() == "":
			t.Errorf("%s: %s may not follow %d: %+v", c.level, c.next, b.Old.Version, b.Differences)
		}
	}
	if b := contract.Check(contract.Full, "JSON", v1, past, contract.Strict); b == nil || b.Differences[0].Kind != "FORMAT_CHANGED" {
		t.Errorf("%+v", b)
	}
	if contract.Level("full").Valid() || !contract.Level("FULL").Valid() {
		t.Error("levels")
	}
}

// A sentence says what it says, whatever a field is called, and whether it names both schemas or none.
func TestDifference_Message(t *testing.T) {
	for _, c := range []struct{ sentence, want string }{
		{"The name of the schema has changed (path '/name')", "The name of the schema has changed (path '/name')"},
		{"the %[1]s schema lacks '/100%s', which the %[2]s has", "the new schema lacks '/100%s', which the old has"},
		{"", ""},
	} {
		d := contract.Difference{Sentence: c.sentence}
		if got := d.Told("new", "old"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestFrames(t *testing.T) {
	f, rest, err := contract.Unframe([]byte("\x00\x00\x00\x01\x02abc"))
	if f.ID != 258 || string(rest) != "abc" || err != nil || !f.Named() {
		t.Error(f, rest, err)
	}
	if f, rest, err = contract.Unframe([]byte(`{"a":1}`)); f.Named() || string(rest) != `{"a":1}` || err != nil {
		t.Error(f, rest, err)
	}
	if _, _, err = contract.Unframe([]byte("\x00\x01")); err == nil {
		t.Error("half a frame")
	}
	const guid = "89791762-2336-4186-9674-299b90a802e2"
	v := append([]byte{1}, 0x89, 0x79, 0x17, 0x62, 0x23, 0x36, 0x41, 0x86, 0x96, 0x74, 0x29, 0x9b, 0x90, 0xa8, 0x02, 0xe2)
	if f, rest, err = contract.FrameOfHeader(append(v, 0)); f.GUID != guid || len(rest) != 1 || err != nil {
		t.Error(f, rest, err)
	}
	if f, _, err = contract.FrameOfHeader([]byte{0, 0, 0, 0, 7}); f.ID != 7 || err != nil {
		t.Error(f, err)
	}
	if _, _, err = contract.FrameOfHeader([]byte("x")); err == nil {
		t.Error("no name")
	}
	for _, c := range []struct {
		in   string
		want []int
		rest string
		ok   bool
	}{{"\x00abc", nil, "abc", true}, {"\x02\x00abc", []int{0}, "abc", true}, {"\x04\x02\x06x", []int{1, 3}, "x", true}, {"", nil, "", false}, {"\x04\x02", nil, "", false}, {"\x01", nil, "", false}, {"\xfe\xff\x03", nil, "", false}} {
		got, rest, err := contract.Indexes([]byte(c.in))
		if (err == nil) != c.ok || err == nil && (len(got) != len(c.want) || string(rest) != c.rest || len(got) > 0 && got[len(got)-1] != c.want[len(c.want)-1]) {
			t.Errorf("%x: %v, %q, %v", c.in, got, rest, err)
		}
	}
}
