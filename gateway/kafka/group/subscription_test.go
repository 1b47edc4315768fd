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
