package fact

import (
	"bytes"
	"errors"
	"testing"
)

func TestEach_ReadsBackWhatWasAppended(t *testing.T) {
	h := Head{Shard: 3, Lineage: 77, TimeMS: 1_700_000_000_123}
	p := AppendHead(nil, h)
	p = Append(p, Appended, 1, []byte("one"))
	p = Append(p, CatalogPut, 2, nil)
	got, rest, err := ReadHead(p)
	if err != nil || got != h {
		t.Fatalf("got %+v, %v", got, err)
	}
	var kinds []Kind
	var bodies [][]byte
	if err := Each(rest, func(f Fact) error { kinds = append(kinds, f.Kind); bodies = append(bodies, f.Body); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(kinds) != 2 || kinds[0] != Appended || kinds[1] != CatalogPut || string(bodies[0]) != "one" || len(bodies[1]) != 0 {
		t.Fatalf("got %v %q", kinds, bodies)
	}
}

func TestEach_RefusesWhatItDoesNotKnow(t *testing.T) {
	var unknown *UnknownError
	if err := Each(Append(nil, kindEnd, 1, nil), func(Fact) error { return nil }); !errors.As(err, &unknown) {
		t.Fatalf("unknown kind: got %v", err)
	}
	p := AppendHead(nil, Head{})
	p[0] = 9
	if _, _, err := ReadHead(p); !errors.As(err, &unknown) {
		t.Fatalf("unknown head version: got %v", err)
	}
}

func FuzzEach(f *testing.F) {
	f.Add(Append(Append(nil, Appended, 1, []byte("x")), Keyed, 1, nil))
	f.Add([]byte{7, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		var again []byte
		if err := Each(p, func(x Fact) error { again = Append(again, x.Kind, x.Version, x.Body); return nil }); err != nil {
			return
		}
		var third []byte
		if err := Each(again, func(x Fact) error { third = Append(third, x.Kind, x.Version, x.Body); return nil }); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("re-encoding is not stable: %v", err)
		}
	})
}
