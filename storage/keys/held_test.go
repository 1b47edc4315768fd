package keys

import (
	"fmt"
	"strings"
	"testing"
)

func TestHeld_LeavesOutWhatIsSupersededAndNeverTheLast(t *testing.T) {
	upTo := func(n uint64) Superseded { return func(_, by *Entry) bool { return by.Seq <= n } }
	for _, c := range []struct {
		after    Superseded
		in, want string
	}{
		{nil, "k3 k7 k9 l4", "k3 k7 k9 l4"},
		{upTo(7), "k3 k7 k9 l4", "k7 k9 l4"},
		{upTo(100), "k3 k7 k9 l4", "k9 l4"},
		{upTo(0), "k3 k7 k9 l4", "k3 k7 k9 l4"},
		{upTo(100), "k3", "k3"},
		{upTo(100), "", ""},
	} {
		var h held
		var out []string
		put := func(e *Entry) error { out = append(out, fmt.Sprintf("%s%d", e.Key, e.Seq)); return nil }
		left := 0
		key := make([]byte, 1) // reused, as the merged files do
		for w := range strings.FieldsSeq(c.in) {
			key[0] = w[0]
			gone, err := h.pass(&Entry{Stream: 1, Key: key, Seq: uint64(w[1] - '0')}, c.after, put)
			if err != nil {
				t.Fatal(err)
			}
			if gone {
				left++
			}
		}
		if err := h.end(put); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(out, " "); got != c.want || left+len(out) != len(strings.Fields(c.in)) {
			t.Errorf("%s: %q with %d left out, expected %q", c.in, got, left, c.want)
		}
	}
	// Keys of two streams that are equal are two keys.
	var h held
	n := 0
	put := func(*Entry) error { n++; return nil }
	for s := range uint32(3) {
		if _, err := h.pass(&Entry{Stream: s, Key: []byte("k"), Seq: uint64(s) + 1}, upTo(100), put); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.end(put); err != nil || n != 3 {
		t.Errorf("%d of 3 entries: %v", n, err)
	}
}
