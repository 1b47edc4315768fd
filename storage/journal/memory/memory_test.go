package memory_test

import (
	"errors"
	"testing"

	"leat/storage/journal"
	"leat/storage/journal/journaltest"
	"leat/storage/journal/memory"
)

func store(t *testing.T) *memory.Store {
	s, err := memory.NewStore(memory.Config{FrameBytesMax: 64 << 10, BytesMax: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Store {
		s := store(t)
		return journaltest.Store{Fences: true, Open: func(*testing.T) (journal.Journal, error) { return s.Open(), nil }}
	})
}

func TestHook_DecidesTheOutcome(t *testing.T) {
	for _, c := range []struct {
		outcome memory.Outcome
		err     error
		usable  bool // by the same owner afterwards
		there   int  // frames after the next open
	}{
		{memory.Durable, nil, true, 2},
		{memory.NoSpace, journal.ErrNoSpace, true, 1},
		{memory.Lost, journal.ErrUnknown, false, 1},
		{memory.Kept, journal.ErrUnknown, false, 2},
	} {
		s := store(t)
		j := s.Open()
		journaltest.Fill(t, j, 1, 1)
		s.SetHook(func(journal.Frame) memory.Outcome { return c.outcome })
		if _, err := j.Append(journaltest.FrameOf(2)); !errors.Is(err, c.err) {
			t.Errorf("outcome %d: %v, want %v", c.outcome, err, c.err)
		}
		s.SetHook(nil)
		if got := len(journaltest.Seqs(t, s.Open(), 0, 0)); got != c.there {
			t.Errorf("outcome %d: %d frames after the next open, want %d", c.outcome, got, c.there)
		}
	}
}

func TestBytesMax_IsFreedByTrim(t *testing.T) {
	s, err := memory.NewStore(memory.Config{FrameBytesMax: 100, BytesMax: 250})
	if err != nil {
		t.Fatal(err)
	}
	j := s.Open()
	f := journal.Frame{Seq: 1, Facts: make([]byte, 100)}
	for ; f.Seq <= 2; f.Seq++ {
		if _, err := j.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Append(f); !errors.Is(err, journal.ErrNoSpace) {
		t.Fatalf("append beyond the limit: %v, want ErrNoSpace", err)
	}
	if err := j.Trim(2); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(f); err != nil {
		t.Fatalf("append after trim: %v", err)
	}
}
