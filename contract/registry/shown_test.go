package registry

import (
	"fmt"
	"strings"
	"testing"
)

// What is shown is remembered, within a limit, and never longer than the document is what it was.
func TestShown_IsRemembered(t *testing.T) {
	docs, reads := map[string][]byte{}, 0
	r := NewOver(func(name string) ([]byte, error) { reads++; return docs[name], nil })
	take := func(subject, text string, deleted bool) {
		t.Helper()
		var c Change
		c.put(versionName(subject, 1), &Version{Subject: subject, Version: 1, ID: len(docs) + 1, Deleted: deleted, Content: Content{Type: "AVRO", Text: text}})
		docs[c.Put[0].Name] = c.Put[0].Body
		if err := r.Take(c.Put[0].Name, c.Put[0].Body); err != nil {
			t.Fatal(err)
		}
	}
	take("s", `"string"`, false)
	for range 3 {
		if s, ok := r.ShownVersion("s", 1, true); !ok || string(s.Quoted) != `"\"string\""` || s.Deleted || s.ID != 1 {
			t.Fatalf("%+v, %v", s, ok)
		}
	}
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
	take("s", `"string"`, true)
	if s, ok := r.ShownVersion("s", 1, true); !ok || !s.Deleted {
		t.Errorf("it is deleted: %+v, %v", s, ok)
	}
	r.Drop(versionName("s", 1))
	if _, ok := r.ShownVersion("s", 1, true); ok {
		t.Error("it is gone and shown")
	}

	const n = 100
	long := strings.Repeat(" ", 150<<10)
	for i := range n {
		take(fmt.Sprint("t", i), `"string"`+long, false)
	}
	for i := range 3 * n { // all, then some again and again
		if i >= 2*n {
			i = 90 + i%10
		}
		if _, ok := r.ShownVersion(fmt.Sprint("t", i%n), 1, true); !ok {
			t.Fatal(i)
		}
	}
	kept := 0
	for _, all := range r.subjects {
		if s := all[0].shown.Load(); s != nil {
			kept += cap(s.Quoted)
		}
	}
	if r.seen.bytes > shownBytesMax || kept > r.seen.bytes || kept < shownBytesMax*3/4 {
		t.Errorf("%d bytes are remembered, counted as %d, of %d", kept, r.seen.bytes, shownBytesMax)
	}
	if got := len(r.seen.queue) - r.seen.first; got > n {
		t.Errorf("%d are in the queue", got)
	}
	if reads > 3+2*n+10 {
		t.Errorf("read %d times", reads)
	}
}
