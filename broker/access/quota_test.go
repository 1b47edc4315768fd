package access

import (
	"testing"
	"time"
)

func TestBucket_HoldsTheRate(t *testing.T) {
	for _, c := range []struct {
		name          string
		quota         Quota
		events, bytes int
		grace         time.Duration
		least, most   int // appends that are let through in ten seconds
	}{
		{"no limit", Quota{}, 1, 1 << 20, 0, 10_000, 10_000},
		{"events", Quota{EventsPerSecond: 100}, 1, 1 << 20, 0, 1099, 1101}, // the bucket is full at first
		{"bytes", Quota{BytesPerSecond: 1000}, 1000, 10, 0, 1099, 1101},
		{"the tighter of both", Quota{EventsPerSecond: 50, BytesPerSecond: 1000}, 1, 10, 0, 549, 551},
		{"events in batches", Quota{EventsPerSecond: 100}, 30, 1, 0, 35, 38},
		{"one batch is more than a second's worth", Quota{EventsPerSecond: 100}, 500, 1, 0, 3, 3},
		{"with grace the debt is carried", Quota{EventsPerSecond: 100}, 1, 1, time.Second, 1199, 1201},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b Bucket
			start, n := time.Unix(1_000_000, 0), 0
			for ms := range 10_000 {
				wait, ok := b.Take(c.quota, start.Add(time.Duration(ms)*time.Millisecond), c.events, c.bytes, c.grace)
				if ok {
					n++
				} else if wait <= 0 {
					t.Fatalf("refused without a time to wait")
				}
			}
			if n < c.least || n > c.most {
				t.Errorf("%d appends; want %d to %d", n, c.least, c.most)
			}
		})
	}
}

func TestBucket_WaitingAsLongAsToldIsEnough(t *testing.T) {
	q := Quota{EventsPerSecond: 7, BytesPerSecond: 333}
	var b Bucket
	now := time.Unix(1_000_000, 0)
	for i := range 200 {
		wait, ok := b.Take(q, now, 1+i%13, 100*(i%11), 0)
		if !ok {
			now = now.Add(wait)
			if _, ok := b.Take(q, now, 1+i%13, 100*(i%11), 0); !ok {
				t.Fatalf("append %d was refused again after %v", i, wait)
			}
		}
	}
}

func TestBucket_TellsOfDebtThatIsLetPass(t *testing.T) {
	q := Quota{EventsPerSecond: 10}
	var b Bucket
	now := time.Unix(1_000_000, 0)
	if wait, ok := b.Take(q, now, 10, 0, time.Second); !ok || wait != 0 {
		t.Errorf("a second's worth: %v, %v", wait, ok)
	}
	if wait, ok := b.Take(q, now, 5, 0, time.Second); !ok || wait != 500*time.Millisecond {
		t.Errorf("half a second of debt: %v, %v", wait, ok)
	}
	if wait, ok := b.Take(q, now, 10, 0, time.Second); !ok || wait != 1500*time.Millisecond {
		t.Errorf("one and a half: %v, %v", wait, ok)
	}
	if wait, ok := b.Take(q, now, 1, 0, time.Second); ok || wait != 500*time.Millisecond {
		t.Errorf("too much debt: %v, %v", wait, ok)
	}
}

func TestBucket_TimeThatGoesBackwardsGivesNothing(t *testing.T) {
	q := Quota{EventsPerSecond: 10}
	var b Bucket
	now := time.Unix(1_000_000, 0)
	b.Take(q, now, 20, 0, 0)
	for range 100 {
		now = now.Add(-time.Second)
		if _, ok := b.Take(q, now, 1, 0, 0); ok {
			t.Fatal("let through")
		}
	}
	if _, ok := b.Take(q, time.Unix(1_000_000, 0).Add(500*time.Millisecond), 1, 0, 0); ok {
		t.Error("going back and forth paid a debt")
	}
}

func TestQuotaCheck(t *testing.T) {
	for q, ok := range map[Quota]bool{
		{}: true, {1, 1}: true, {QuotaEventsMax, QuotaBytesMax}: true, {-1, 0}: false, {0, -1}: false, {QuotaEventsMax + 1, 0}: false, {0, QuotaBytesMax + 1}: false,
	} {
		if err := q.Check(); (err == nil) != ok {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
