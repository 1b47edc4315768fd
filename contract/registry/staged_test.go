package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// flight is what was decided together, on its way.
type flight struct {
	view *Registry
	all  []Change
}

// Views decide upon one another; what they decided is recorded in any order, or not at all. An id never stands for two contents, and a subject has no
// version twice.
func TestStage_UponFlights(t *testing.T) {
	s := &store{t, map[string][]byte{}, New()}
	_, c, err := s.r.SetConfig("", Settings{Level: "NONE"})
	if err := s.do(c, err); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	var flying []flight
	ids, recorded, lost, waited, shared := map[int]string{}, 0, 0, 0, 0
	end := func() {
		i := rnd.IntN(len(flying))
		f := flying[i]
		flying = slices.Delete(flying, i, i+1)
		for _, c := range f.all {
			if rnd.IntN(4) == 0 && len(f.all) == 1 {
				lost++ // its frame failed
				continue
			}
			if err := s.do(c, nil); err != nil {
				t.Fatal(err)
			}
			recorded++
		}
	}
	for range 400 {
		var views []*Registry
		for _, f := range flying {
			views = append(views, f.view)
		}
		f := flight{view: s.r.Stage(views...)}
		for range 1 + rnd.IntN(3) {
			subject, text := fmt.Sprint("s", rnd.IntN(20)), fmt.Sprintf(`{"type":"record","name":"R%d","fields":[]}`, rnd.IntN(200))
			v, c, err := f.view.Register(subject, Registration{Content: Content{Text: text}})
			switch {
			case errors.Is(err, ErrStaged):
				waited++
			case err != nil:
				t.Fatal(err)
			case c.Empty():
			default:
				if len(s.r.ByID(v.ID, "")) == 0 && ids[v.ID] == text {
					shared++ // with one that is not recorded, or never was
				}
				if was, ok := ids[v.ID]; ok && was != text && len(s.r.ByID(v.ID, "")) > 0 {
					t.Fatalf("the id %d was %s and is %s", v.ID, was, text)
				}
				ids[v.ID] = text
				f.all = append(f.all, c)
			}
		}
		if flying = append(flying, f); len(flying) > 3 {
			end()
		}
	}
	for len(flying) > 0 {
		end()
	}
	if recorded == 0 || lost == 0 || waited == 0 || shared == 0 {
		t.Errorf("%d recorded, %d lost, %d waited, %d took over the id of one on its way", recorded, lost, waited, shared)
	}
	was := map[int]string{}
	for v := range s.r.Schemas(AllContexts, WithDeleted, false) {
		if text, ok := was[v.ID]; ok && text != v.Text {
			t.Errorf("the id %d stands for %s and %s", v.ID, text, v.Text)
		}
		was[v.ID] = v.Text
	}
	for i := range 20 {
		for n, p := range s.r.some(fmt.Sprint("s", i), WithDeleted) {
			if p.version != n+1 {
				t.Errorf("s%d has version %d at place %d", i, p.version, n)
			}
		}
	}
}
