package record

import "testing"

func TestCommits(t *testing.T) {
	plain, err := BuildBatch([]Record{{Key: []byte{0, 0, 0, 1}, Value: make([]byte, 6)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		batch []byte
		want  bool
	}{
		"a marker that committed": {BuildMarker(5, 2, true, 1000), true},
		"a marker that aborted":   {BuildMarker(5, 2, false, 1000), false},
		"a batch that looks like": {plain, false},
	} {
		h, err := ParseBatchHeader(c.batch)
		if err != nil {
			t.Fatal(err)
		}
		if got := Commits(c.batch, &h); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		h.Count = 0
		if Commits(c.batch[:BatchHeaderBytes], &h) {
			t.Errorf("%s without its record commits", name)
		}
	}
}
