package gateway

import (
	"testing"
	"time"
)

func TestSparse_OneLineAnIntervalAndTheCountOfTheOthers(t *testing.T) {
	var s Sparse
	at := time.UnixMilli(1_700_000_000_000)
	for i, c := range []struct {
		after time.Duration
		held  int
		ok    bool
	}{
		{0, 0, true},
		{0, 0, false},
		{FaultLineInterval - 1, 0, false},
		{1, 2, true},
		{FaultLineInterval, 0, true},
		{1, 0, false},
		{time.Hour, 1, true},
		{1, 0, false},
	} {
		at = at.Add(c.after)
		if held, ok := s.pass(at); held != c.held || ok != c.ok {
			t.Fatalf("%d: got %d %v, want %d %v", i, held, ok, c.held, c.ok)
		}
	}
	if n := s.Rest(); n != 1 {
		t.Fatalf("rest %d, want 1", n)
	}
	if n := s.Rest(); n != 0 {
		t.Fatalf("rest %d once it was told", n)
	}
}
