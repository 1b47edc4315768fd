package registry

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
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
	fmt.Fprint(&out, r.Subjects(AllContexts, WithDeleted), r.Contexts(), r.count, r.BindingCount(), len(r.refs), len(r.ids), len(r.contents), len(r.guids))
	for _, v := range r.Schemas(AllContexts, WithDeleted, false) {
		fmt.Fprint(&out, "\n", v.Subject, v.Version, v.ID, v.Deleted, v.Text, len(r.ByID(v.ID, v.Subject)), len(r.ByGUID(v.GUID())), len(r.ReferencedBy(v, true)), r.MaxID(v.Subject))
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
	if a, b := told(s.r), told(again); a != b {
		t.Errorf("step by step:\n%s\nfolded:\n%s", a, b)
	}
	if err := again.Take("z:what", nil); err == nil {
		t.Error("a document of a kind that nobody knows is taken")
	}
}
