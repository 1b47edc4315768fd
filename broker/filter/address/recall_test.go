package address

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// What is remembered is what a match would find, whatever changes between, and is found.
func TestRecall_IsWhatAMatchFinds(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			x, m, found := New(), NewMatcher(), 0
			var recall Recall
			typed := Clause{Stream: 1, Subject: Pattern{Syntax: Exact, Text: "s.1"}, Type: Pattern{Syntax: Exact, Text: "t"}}
			add := func(id ID, c Clause) {
				if next, err := x.Add(id, c); err == nil {
					x = next
				}
			}
			if seed%2 == 0 {
				for i := range recallTermsMin {
					add(ID(i+1000), Clause{Stream: 1, Subject: Pattern{Syntax: Exact, Text: fmt.Sprint("many.", i)}})
				}
			} else {
				add(900, Clause{Stream: 1, Subject: Pattern{Syntax: Words, Text: "s.*"}})
			}
			for k := range 300 {
				c := Clause{Stream: 1, Subject: Pattern{Syntax: Exact, Text: fmt.Sprint("s.", r.IntN(12))}}
				switch r.IntN(12) {
				case 0:
					c.Subject = Pattern{Syntax: Words, Text: "*." + fmt.Sprint(r.IntN(12))}
				case 1:
					c.Stream = 2
				}
				if k%100 == 60 { // for a while a clause asks for more than a subject
					add(7, typed)
				} else if k%100 == 90 {
					x, _ = x.Remove(7, typed)
				}
				if id := ID(r.IntN(5)); r.IntN(2) == 0 {
					add(id, c)
				} else if next, err := x.Remove(id, c); err == nil {
					x = next
				}
				for range 30 {
					rec := Record{Stream: 1, Subject: fmt.Sprint("s.", r.IntN(12)), Type: []string{"t", "u"}[r.IntN(2)]}
					id, reached, known, at := recall.Find(x, &rec)
					var want []ID
					if m.Match(x, &rec) {
						want = m.IDs()
					}
					if known {
						found++
						if reached && (len(want) != 1 || want[0] != id) || !reached && len(want) > 0 {
							t.Fatalf("%+v reaches %v; %d, %v is remembered", rec, want, id, reached)
						}
						continue
					}
					recall.Keep(at, want)
				}
			}
			if found < 50 {
				t.Fatalf("%d were found of 9,000", found)
			}
		})
	}
}

// Many may look and remember at once, with different snapshots of the filters, in few slots.
func TestRecall_ManyAtOnce(t *testing.T) {
	x := New()
	for i := range recallTermsMin + 500 {
		x, _ = x.Add(ID(i), Clause{Stream: 1, Subject: Pattern{Syntax: Exact, Text: fmt.Sprint(i)}})
	}
	y, err := x.Add(1, Clause{Stream: 1, Subject: Pattern{Syntax: Exact, Text: "0"}}) // there 0 and 1 are reached
	if err != nil {
		t.Fatal(err)
	}
	var recall Recall
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			m := NewMatcher()
			for range 20_000 {
				n := r.IntN(recallTermsMin + 500)
				index := x
				if r.IntN(2) == 0 {
					index = y
				}
				rec := Record{Stream: 1, Subject: fmt.Sprint(n)}
				id, reached, known, at := recall.Find(index, &rec)
				if known && (!reached || id != ID(n) || n == 0 && index == y) {
					t.Errorf("%d reaches %d, %v", n, id, reached)
				}
				if !known {
					m.Match(index, &rec)
					recall.Keep(at, m.IDs())
				}
			}
		})
	}
	wg.Wait()
}
