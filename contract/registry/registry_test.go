package registry

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leat/contract"
)

// store is where changes are recorded: documents by name, folded into the registry as they come.
type store struct {
	t    *testing.T
	docs map[string][]byte
	r    *Registry
}

func (s *store) do(c Change, err error) error {
	s.t.Helper()
	if err != nil {
		return err
	}
	for _, d := range c.Put {
		s.docs[d.Name] = d.Body
		if err := s.r.Take(d.Name, d.Body); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, name := range c.Delete {
		delete(s.docs, name)
		s.r.Drop(name)
	}
	return nil
}

// told is all that a registry says of what is in it.
func told(r *Registry) string {
	var out strings.Builder
	fmt.Fprint(&out, r.Subjects(AllContexts, WithDeleted), r.Contexts(), r.count, r.Enforced(), len(r.refs), len(r.guids))
	for v := range r.Schemas(AllContexts, WithDeleted, false) {
		fmt.Fprint(&out, "\n", v.Subject, v.Version, v.ID, v.Deleted, v.Text, len(r.ByID(v.ID, v.Subject)), len(r.ByGUID(v.GUID())), len(r.ReferencedBy(v.Subject, v.Version, true)), r.MaxID(v.Subject))
	}
	return out.String()
}

// Whatever is done, the index is the fold of the documents, and an id never stands for two contents.
func TestRegistry_IsTheFoldOfItsDocuments(t *testing.T) {
	s := &store{t, map[string][]byte{}, New()}
	rnd := rand.New(rand.NewPCG(1, 2))
	ever := map[string]string{} // context and id → content
	_, c, err := s.r.SetConfig("", Settings{Level: "NONE"})
	if err := s.do(c, err); err != nil {
		t.Fatal(err)
	}
	done := map[string]int{}
	for range 1500 {
		subject := []string{"a", "b", "c", ":.x:a", ":.x:b"}[rnd.IntN(5)]
		what := []string{"register", "register", "register", "delete", "purge", "delete version", "purge version"}[rnd.IntN(7)]
		var err error
		switch what {
		case "register":
			text := fmt.Sprintf(`{"type":"record","name":"R%d","fields":[]}`, rnd.IntN(12))
			in := Registration{Content: Content{Text: text}}
			if rnd.IntN(4) == 0 {
				in.References = []Reference{{"other", []string{"a", "b", "c"}[rnd.IntN(3)], 1 + rnd.IntN(3)}}
			}
			var v *Version
			v, c, err = s.r.Register(subject, in)
			if err = s.do(c, err); err == nil {
				context, _ := Split(subject)
				k, is := fmt.Sprint(context, v.ID), fmt.Sprint(v.Text, v.References)
				if was, ok := ever[k]; ok && was != is {
					t.Fatalf("the id %s was %s and is %s", k, was, is)
				}
				ever[k] = is
			}
		case "delete", "purge":
			_, c, err = s.r.DeleteSubject(subject, what == "purge")
			err = s.do(c, err)
		default:
			_, c, err = s.r.DeleteVersion(subject, 1+rnd.IntN(6), what == "purge version")
			err = s.do(c, err)
		}
		if err == nil {
			done[what]++
		}
	}
	for _, what := range []string{"register", "delete", "purge", "delete version", "purge version"} {
		if done[what] == 0 {
			t.Errorf("nothing to %s was found", what)
		}
	}
	again := New()
	for name, body := range s.docs {
		if err := again.Take(name, body); err != nil {
			t.Fatal(err)
		}
	}
	over := NewOver(func(name string) ([]byte, error) { return s.docs[name], nil })
	for name, body := range s.docs {
		if err := over.Take(name, append([]byte(nil), body...)); err != nil {
			t.Fatal(err)
		}
	}
	for what, r := range map[string]*Registry{"folded": again, "folded over documents": over} {
		if a, b := told(s.r), told(r); a != b {
			t.Errorf("step by step:\n%s\n%s:\n%s", a, what, b)
		}
	}
	if err := again.Take("z:what", nil); err == nil {
		t.Error("a document of a kind that nobody knows is taken")
	}
}

// FuzzDocument: a document that is read by its places says what json says, its hash included.
func FuzzDocument(f *testing.F) {
	f.Add("s", 1, 5, false, int64(7), "AVRO", "\"str\\ning<é>\"", "", "")
	f.Add(":.x:\"s", 2, -5, true, int64(0), "JSON", "{}\n", "r", "k")
	f.Fuzz(func(t *testing.T, subject string, version, id int, deleted bool, ts int64, kind, text, ref, property string) {
		text, kind = strings.ToValidUTF8(text, "\ufffd"), strings.ToValidUTF8(kind, "\ufffd") // it came in JSON
		v := &Version{Subject: subject, Version: version, ID: id, Deleted: deleted, TimeMS: ts, Content: Content{Type: kind, Text: text}}
		if ref != "" {
			v.References = []Reference{{ref, ref, 1}}
		}
		if property != "" {
			v.Metadata = &Metadata{Properties: map[string]string{property: text}}
		}
		var c Change
		c.put(versionName(subject, version), v)
		want := &Version{}
		if err := json.Unmarshal(c.Put[0].Body, want); err != nil {
			t.Fatal(err)
		}
		got := readVersion(c.Put[0].Body)
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Version{})); d != "" {
			t.Fatal(d)
		}
		e, err := readEntry(c.Put[0].Name, c.Put[0].Body, true)
		if err != nil {
			t.Fatal(err)
		}
		if e.place() != (Place{want.Subject, want.Version, want.ID, want.Deleted}) || e.hash != want.sum() || len(e.refs) != len(want.References) || e.rich != (want.Metadata != nil) {
			t.Fatalf("%s: %+v", c.Put[0].Body, e)
		}
	})
}

// BenchmarkFold is what a start does for each schema, and what it leaves in memory.
func BenchmarkFold(b *testing.B) {
	docs := map[string][]byte{}
	for n := range 10_000 {
		var c Change
		c.put(versionName(fmt.Sprintf("subject-%d", n), 1), &Version{Subject: fmt.Sprintf("subject-%d", n), Version: 1, ID: n, Content: Content{Type: "AVRO", Text: strings.Repeat(`{"x":"y"},`, 40) + fmt.Sprint(n)}})
		docs[c.Put[0].Name] = c.Put[0].Body
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := NewOver(func(name string) ([]byte, error) { return docs[name], nil })
		for name, body := range docs {
			if err := r.Take(name, body); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(r)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(docs)), "B/schema")
}

// What is parsed has a bound, and what is asked for stays.
func TestParsedCache(t *testing.T) {
	var p parsedCache
	p.init()
	hot := parsedKey{context: "hot"}
	p.put(hot, nothing{}, 1000)
	for n := range 10_000 {
		p.put(parsedKey{context: fmt.Sprint(n)}, nothing{}, 10_000)
		if p.get(hot) == nil {
			t.Fatalf("after %d others it is gone", n)
		}
		if all := 10_000 * (len(p.young) + len(p.old)); all > parsedBytesMax+20_000 {
			t.Fatalf("%d bytes are kept", all)
		}
	}
	if p.get(parsedKey{context: "0"}) != nil || p.get(parsedKey{context: "9999"}) == nil {
		t.Error("the oldest is there, or the newest is not")
	}
}

type nothing struct{ contract.Schema }
