package clock

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestManual_MovesOnlyWhenTold(t *testing.T) {
	m := NewManual(time.Unix(100, 0))
	m.Advance(5 * time.Second)
	m.Advance(-2 * time.Second)
	if got, want := m.Now(), time.Unix(103, 0); !got.Equal(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got := new(Manual).Now(); !got.Equal(time.Unix(0, 0)) {
		t.Fatalf("zero Manual stands at %v", got)
	}
}

func TestSleep_EndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Sleep(ctx, time.Hour); err != context.DeadlineExceeded {
			t.Fatalf("got %v", err)
		}
		if err := Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}
