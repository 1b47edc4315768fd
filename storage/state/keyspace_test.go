package state

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestKeyspace_PrefixesAreUniqueSortedAndDescribed(t *testing.T) {
	names := map[string]bool{}
	for i, e := range Keyspace {
		if i > 0 && e.Prefix <= Keyspace[i-1].Prefix {
			t.Errorf("%q (%s) stands after %q: keep the table in the order of the bytes, each byte once", e.Prefix, e.Name, Keyspace[i-1].Prefix)
		}
		if names[e.Name] {
			t.Errorf("two prefixes are named %q", e.Name)
		}
		names[e.Name] = true
		if e.Key == "" || e.Value == "" || e.About == "" {
			t.Errorf("prefix %q lacks a layout or a word about it", e.Prefix)
		}
	}
}

func FuzzEscaped(f *testing.F) {
	for _, s := range []string{"", "a", "a\x00", "a\x00b", "\x00", "\x00\x01", "\x00\xff", "\xff\xff", "ab", "abc"} {
		f.Add([]byte(s), []byte("a"), []byte("tail"))
	}
	f.Fuzz(func(t *testing.T, a, b, tail []byte) {
		ea, eb := AppendEscaped(nil, a), AppendEscaped(nil, b)
		if got, want := bytes.Compare(ea, eb), bytes.Compare(a, b); got != want {
			t.Fatalf("order of %q and %q: got %d, want %d", a, b, got, want)
		}
		// What follows must not change the order of different parts.
		if !bytes.Equal(a, b) && bytes.Compare(append(slices.Clone(ea), tail...), eb) != bytes.Compare(a, b) {
			t.Fatalf("%q with tail %q sorts on the wrong side of %q", a, tail, b)
		}
		part, rest, err := AppendDecoded(nil, append(slices.Clone(ea), tail...))
		if err != nil || !bytes.Equal(part, a) || !bytes.Equal(rest, tail) {
			t.Fatalf("decode of %x: got %q rest %q err %v", ea, part, rest, err)
		}
		// Any bytes: decode refuses, or re-encodes to what was read.
		if part, rest, err := AppendDecoded(nil, tail); err == nil {
			if again := AppendEscaped(nil, part); !bytes.Equal(again, tail[:len(tail)-len(rest)]) {
				t.Fatalf("decoding %x and encoding again gives %x", tail, again)
			}
		}
	})
}

func TestAppendDecoded_RefusesBrokenParts(t *testing.T) {
	for _, src := range []string{"", "a", "a\x00", "\x00\x02", "a\x00\xff", "a\x00\x00\x01"} {
		if part, _, err := AppendDecoded(nil, []byte(src)); !errors.Is(err, ErrEscape) {
			t.Errorf("%q: got %q, %v; want ErrEscape", src, part, err)
		}
	}
}

func TestAfter(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"\xff\xff", ""}, {"", ""},
	} {
		if got := After([]byte(c.prefix)); string(got) != c.want || (c.want == "" && got != nil) {
			t.Errorf("After(%q): got %q, want %q", c.prefix, got, c.want)
		}
	}
}
