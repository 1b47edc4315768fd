package shard

import (
	"testing"
	"time"
)

// What was written in haste is no debt: once the backlog is below its limit again, the keeper goes on at its pace and does not sleep off what it
// wrote, which would hold appends for as long.
func TestPacer_HasteIsNoDebt(t *testing.T) {
	var p pacer
	for range 1024 {
		p.foreground.Add(1 << 20)
		if err := p.took(1<<20, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if err := p.took(64<<10, 0.9, nil); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("slept %v after 1 GiB in haste", d)
	}
}
