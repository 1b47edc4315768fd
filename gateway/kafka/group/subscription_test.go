package group

import (
	"slices"
	"testing"
)

// metadataOf is what a reader says of itself.
func metadataOf(topics ...string) []byte {
	p := []byte{0, 1, 0, 0, 0, byte(len(topics))}
	for _, t := range topics {
		p = append(p, 0, byte(len(t)))
		p = append(p, t...)
	}
	return append(p, 0xff, 0xff, 0xff, 0xff)
}

func TestTopicsOf(t *testing.T) {
	whole := metadataOf("orders", "", "b")
	if got, ok := topicsOf(whole); !ok || !slices.Equal(got, []string{"orders", "", "b"}) {
		t.Fatal(got, ok)
	}
	for n := range len(whole) - 4 {
		if got, ok := topicsOf(whole[:n]); ok {
			t.Fatalf("%d bytes of it: %v", n, got)
		}
	}
}

func FuzzTopicsOf(f *testing.F) {
	f.Add(metadataOf("orders", "b"))
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, p []byte) {
		names, ok := topicsOf(p)
		n := 0
		for _, name := range names {
			n += 2 + len(name)
		}
		if ok && 6+n > len(p) {
			t.Fatalf("%d bytes of names in %d", n, len(p))
		}
	})
}

// What a reader says, and what it is assigned, comes back as it was written.
func TestAssignment_ThereAndBack(t *testing.T) {
	w := newWorld(t, 1)
	w.topic("a", 4)
	w.topic("b", 2)
	ids := map[ID]Topic{w.topics["a"].ID: w.topics["a"], w.topics["b"].ID: w.topics["b"]}
	owned := Parts{w.topics["a"].ID: {0, 3}, w.topics["b"].ID: {1}}
	p := encodeAssignment([]byte{0, 9}, owned, ids)
	if p[1] != assignmentVersion {
		t.Errorf("version %d", p[1])
	}
	if got, ok := parseAssignment(p, w); !ok || !got.equal(owned) {
		t.Fatal(got, ok)
	}
	says := slices.Concat(metadataOf("a", "b"), p[2:len(p)-4], []byte{0, 0, 0, 7, 0, 4, 'r', 'a', 'c', 'k'})
	says[1] = 3
	s, ok := parseSaid(says)
	if !ok || !slices.Equal(s.topics, []string{"a", "b"}) || !s.owns(w).equal(owned) || s.rack == nil || *s.rack != "rack" {
		t.Fatalf("%+v %v", s, ok)
	}
	for n := range says {
		if n == len(metadataOf("a", "b")) || n == len(says)-6 || n == len(says)-10 {
			continue // it leaves out what a version brings
		}
		if s, ok := parseSaid(says[:n]); ok {
			t.Fatalf("%d bytes of it: %+v", n, s)
		}
	}
}

func FuzzSaid(f *testing.F) {
	f.Add(metadataOf("orders", "b"))
	f.Add([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 'a', 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 7, 0, 1, 'r'})
	f.Fuzz(func(t *testing.T, p []byte) {
		s, _ := parseSaid(p)
		n := 0
		for _, x := range s.owned {
			n += 6 + len(x.topic) + 4*len(x.partitions)
		}
		if n > len(p) {
			t.Fatalf("%d bytes are owned of %d", n, len(p))
		}
	})
}
