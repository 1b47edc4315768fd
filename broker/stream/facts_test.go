package stream

import (
	"slices"
	"testing"
)

func TestKeyed_BothVersionsComeBack(t *testing.T) {
	keys := []KeyAt{
		{Index: 0, Key: []byte("a"), Version: 3},
		{Index: 2, Key: []byte("b"), Tombstone: true},
		{Index: 9, Key: []byte{}, Version: 1, Tombstone: true},
	}
	for _, version := range []uint64{keyedPlain, keyedFlagged} {
		var got []KeyAt
		if err := readKeyed(appendKeyed(nil, version, keys), version, func(k KeyAt) { got = append(got, k) }); err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(keys)
		if version == keyedPlain {
			for i := range want {
				want[i].Tombstone = false
			}
		}
		if !slices.EqualFunc(got, want, func(a, b KeyAt) bool {
			return a.Index == b.Index && string(a.Key) == string(b.Key) && a.Version == b.Version && a.Tombstone == b.Tombstone
		}) {
			t.Errorf("version %d: got %+v, want %+v", version, got, want)
		}
	}
	// A body of one version is not taken for the other.
	if err := readKeyed(appendKeyed(nil, keyedPlain, keys[:1]), keyedFlagged, func(KeyAt) {}); err == nil {
		t.Error("a body without flags was read as one with")
	}
}

func TestTrimmed_ComesBack(t *testing.T) {
	for _, want := range []Trimmed{{Stream: 1, Start: 1, Gone: Point{9, 8, 7}, Why: WhyRequest, Origin: 7}, {Stream: 1 << 31, Partition: 9999, Start: 1 << 60, Why: WhyBytes}} {
		p := want.append(nil)
		got, err := ReadTrimmed(p)
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if _, err := ReadTrimmed(p[:len(p)-1]); err == nil {
			t.Error("a cut body was read")
		}
		if _, err := ReadTrimmed(append(p, 0)); err == nil {
			t.Error("a body with more behind it was read")
		}
	}
}
