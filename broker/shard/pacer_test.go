package shard

import (
	"sync/atomic"
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

// The whole speed of the disk is for when nobody appends and nobody reads. A minute of the clock passes between two looks, so that one of them tells.
func TestPacer_GivesWayToReaders(t *testing.T) {
	for _, c := range []struct {
		what         string
		append, read int64
		fast         bool
	}{
		{"nothing", 0, 0, true}, {"appends", 1 << 40, 0, false}, {"readers", 0, 1 << 40, false}, {"both", 1 << 40, 1 << 40, false},
	} {
		var read atomic.Int64
		p := pacer{read: &read}
		for range 8 {
			if err := p.took(1, 0, nil); err != nil {
				t.Fatal(err)
			}
			p.foreground.Add(c.append)
			read.Add(c.read)
			p.looked = p.looked.Add(-time.Minute)
		}
		if fast := p.limit(0) == paceIdle; fast != c.fast {
			t.Errorf("%s: appended %.0f and read %.0f bytes a second, at full speed: %v", c.what, p.rate, p.reading, fast)
		}
	}
}
