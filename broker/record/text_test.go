package record

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Every byte at every place of a text, so that what is looked at in eights is judged as what is looked at singly.
func TestBadText_IsTheSameAtEveryPlace(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				b := []byte(strings.Repeat("a", n))
				b[at] = byte(c)
				want := ""
				switch {
				case c < 0x20 || c == 0x7f:
					want = "it has a control character"
				case c >= utf8.RuneSelf:
					want = "it is not UTF-8"
				}
				if got := badText(string(b)); got != want {
					t.Fatalf("byte %#x at %d of %d: %q; want %q", c, at, n, got, want)
				}
			}
		}
	}
	for _, s := range []string{"12345678\u0085", "12345678\ufffe", "1234567\ufdd0", "\U0010ffff12345678"} {
		if badText(s) == "" {
			t.Errorf("%q was taken", s)
		}
	}
	for _, s := range []string{"", "12345678é12345678", "~~~~~~~~ ~~~~~~~~€", "1234567\U0001f600"} {
		if why := badText(s); why != "" {
			t.Errorf("%q: %s", s, why)
		}
	}
}
