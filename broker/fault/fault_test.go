package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestAs_FindsTheRefusalInsideOthers(t *testing.T) {
	f := New(Conflict, "append", "orders", "at %d", 3).Because(ReasonVersion)
	wrapped := fmt.Errorf("outer: %w", f)
	if got := As(wrapped); got != f || !Is(wrapped, Conflict) || Is(wrapped, Invalid) {
		t.Fatalf("got %v", got)
	}
	if As(nil) != nil {
		t.Fatal("no error became a refusal")
	}
	cause := errors.New("disk")
	got := As(cause)
	if got.Kind != Internal || !errors.Is(got, cause) {
		t.Fatalf("got %v", got)
	}
}

func TestNew_SaysWhetherToTryAgain(t *testing.T) {
	for k := Internal; k <= Unsupported; k++ {
		want := Never
		switch k {
		case Unavailable, QuotaSpent:
			want = Later
		case Unknown:
			want = Check
		}
		if got := New(k, "op", "x", "y").Retry; got != want {
			t.Errorf("%s: got %d, want %d", k, got, want)
		}
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}
