package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMD5_OfPublishedExamples(t *testing.T) {
	// Of Amazon's API reference.
	if got := MD5OfBody("This is a test message"); got != "fafb00f5732ab283681e124bf8747ed1" {
		t.Errorf("body: %s", got)
	}
	for _, c := range []struct {
		a    Attributes
		want string
	}{
		{nil, ""},
		{Attributes{{Name: "timestamp", DataType: "Number", String: Some("1493147359900")}}, "235c5c510d26fb653d073faed50ae77c"},
		{Attributes{{Name: "timestamp", DataType: "Number.java.lang.Long", String: Some("1493147359900")}}, "2e2e4876d8e0bd6b8c2c8f556831c349"},
		{Attributes{{Name: "otherAttribute", DataType: "String", String: Some("other")}, {Name: "timestamp", DataType: "Number", String: Some("1493147359900")}}, ""},
	} {
		got := MD5OfAttributes(c.a)
		if c.want != "" && got != c.want || len(c.a) > 0 && len(got) != 32 {
			t.Errorf("%+v: %s", c.a, got)
		}
	}
}

func TestMD5_DoesNotDependOnTheOrder(t *testing.T) {
	a := Attributes{{Name: "b", DataType: "Binary", Binary: []byte{1}}, {Name: "a", DataType: "String", String: Some("x")}, {Name: "c", DataType: "Number.int", String: Some("1")}}
	b := Attributes{a[2], a[0], a[1]}
	if MD5OfAttributes(a) != MD5OfAttributes(b) {
		t.Error("it does")
	}
	b[0].DataType = "Number"
	if MD5OfAttributes(a) == MD5OfAttributes(b) {
		t.Error("the label does not count")
	}
}

func TestPick(t *testing.T) {
	a := func() Attributes {
		return Attributes{{Name: "Foo.a"}, {Name: "Bar"}, {Name: "Foo.b"}, {Name: "Food"}}
	}
	for _, c := range []struct {
		names []string
		want  Attributes
	}{
		{nil, nil},
		{[]string{"All"}, a()},
		{[]string{".*"}, a()},
		{[]string{"Bar", "x"}, Attributes{{Name: "Bar"}}},
		{[]string{"Foo.*"}, Attributes{{Name: "Foo.a"}, {Name: "Foo.b"}, {Name: "Food"}}},
		{[]string{"nothing"}, Attributes{}},
	} {
		if d := cmp.Diff(c.want, Pick(a(), c.names)); d != "" {
			t.Errorf("%v: %s", c.names, d)
		}
	}
}

func TestIsNumber(t *testing.T) {
	for s, want := range map[string]bool{
		"1": true, "-1.5": true, "+.5": true, "1.": true, "1e10": true, "1E-5": true,
		"": false, "-": false, ".": false, "e5": false, "1e": false, "1e+": false, "0x10": false, "1 ": false, "NaN": false, "1,5": false,
	} {
		if isNumber(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
