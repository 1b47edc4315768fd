package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReads(t *testing.T) {
	r := New()
	put := func(d Reads) error {
		c, err := r.PutReads(d)
		for _, x := range c.Put {
			if err := r.Take(x.Name, x.Body); err != nil {
				t.Fatal(err)
			}
		}
		return err
	}
	for _, d := range []Reads{
		{Type: "t", Fields: []string{"a"}}, {Service: "s", Fields: []string{"a"}}, {Service: "s", Type: "t"}, {Service: "s", Type: "t", Fields: []string{" "}},
		{Service: strings.Repeat("s", SubjectBytesMax+1), Type: "t", Fields: []string{"a"}}, {Service: "s", Type: "t", Fields: make([]string, ReadsFieldsMax+1)},
	} {
		var p *Problem
		if err := put(d); !errors.As(err, &p) || p.Code != InvalidReads {
			t.Errorf("%.80v: %v", d, err)
		}
	}
	for _, d := range []Reads{
		{Service: "s:1/x", Type: "t", Fields: []string{"b", "a", "b"}}, {Service: "s", Type: "1/x:t", Fields: []string{"*"}}, {Service: "s", Type: "1/x:t", Fields: []string{"c"}},
	} {
		if err := put(d); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for _, d := range r.AllReads() {
		got += fmt.Sprintln(d.Service, d.Type, d.Fields)
	}
	if got != "s 1/x:t [c]\ns:1/x t [a b]\n" {
		t.Error(got)
	}
	c, err := r.DeleteReads("s", "1/x:t")
	if err != nil || len(c.Delete) != 1 {
		t.Fatal(c, err)
	}
	r.Drop(c.Delete[0])
	if _, err := r.DeleteReads("s", "1/x:t"); err == nil || len(r.AllReads()) != 1 {
		t.Error(err, r.AllReads())
	}
}

func TestTagged_ByMetadata(t *testing.T) {
	v := &Version{Content: Content{Type: "AVRO", Text: `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"mail","type":"string","confluent:tags":["PII"]},
		{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"note","type":"string"}]}}},{"name":"id","type":"string"}]}`}}
	r := New()
	s, err := r.Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"mail": "mail[GDPR PII]", "shop.Order.mail": "mail[GDPR PII]", "**.note": "lines[].note[GDPR] mail[PII]", "lines.*": "lines[].note[GDPR] mail[PII]", "$.id": "id[GDPR] mail[PII]", "nothing": "mail[PII]",
	} {
		v.Metadata = &Metadata{Tags: map[string][]string{path: {"GDPR"}}}
		var got []string
		for _, f := range v.Tagged(s) {
			got = append(got, f.Path+fmt.Sprint(f.Tags))
		}
		if len(got) > 1 && got[0] > got[1] {
			got[0], got[1] = got[1], got[0]
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", path, s, want)
		}
	}
}

// What is off is not counted as enforced, however a binding comes to be so.
func TestEnforced(t *testing.T) {
	s := &store{t, map[string][]byte{}, New()}
	put := func(b Binding) {
		t.Helper()
		var c Change
		c.put(kindBinding+b.Name, b)
		if err := s.do(c, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, step := range []struct {
		do   func()
		want int
	}{
		{func() { put(Binding{Name: "a", Stream: "s", Enforce: Off}) }, 0},
		{func() { put(Binding{Name: "b", Stream: "s", Enforce: Warn}) }, 1},
		{func() { put(Binding{Name: "a", Stream: "s", Enforce: Reject}) }, 2},
		{func() { put(Binding{Name: "a", Stream: "s", Enforce: Reject}) }, 2},
		{func() { put(Binding{Name: "b", Stream: "s", Enforce: Off}) }, 1},
		{func() { s.r.Drop(kindBinding + "a") }, 0},
		{func() { s.r.Drop(kindBinding + "b"); s.r.Drop(kindBinding + "b") }, 0},
	} {
		if step.do(); s.r.Enforced() != step.want {
			t.Errorf("%d: %d are enforced, want %d", i, s.r.Enforced(), step.want)
		}
	}
}
