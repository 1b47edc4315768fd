package outbound

import (
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestSchedule_StandardWebhooksExample(t *testing.T) {
	s := StandardSchedule()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	s.Jitter = 0
	at := noon
	want := []string{"5s", "5m5s", "35m5s", "2h35m5s", "7h35m5s", "17h35m5s", "31h35m5s", "51h35m5s", "75h35m5s"}
	for n, w := range want {
		next, ok := s.Next(Failed{Attempts: n + 1, First: noon, Now: at})
		if d, _ := time.ParseDuration(w); !ok || next.Sub(noon) != d {
			t.Fatalf("after attempt %d: %v %v, want %s", n+1, next.Sub(noon), ok, w)
		}
		at = next
	}
	if _, ok := s.Next(Failed{Attempts: 10, First: noon, Now: at}); ok {
		t.Error("an eleventh attempt")
	}
}

func TestSchedule_GrowsToItsMost(t *testing.T) {
	s := Schedule{First: time.Second, Factor: 2, Most: time.Minute}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute, math.MaxInt: time.Minute} {
		if at, ok := s.Next(Failed{Attempts: n, First: noon, Now: noon}); !ok || at.Sub(noon) != want {
			t.Errorf("attempt %d: %v %v, want %v", n, at.Sub(noon), ok, want)
		}
	}
}

func TestSchedule_JitterDependsOnSeedAlone(t *testing.T) {
	s := Schedule{First: time.Second, Factor: 1, Most: time.Second, Jitter: 0.5}
	seen := map[time.Duration]bool{}
	for seed := range uint64(1000) {
		f := Failed{Attempts: 1, First: noon, Now: noon, Seed: seed}
		a, _ := s.Next(f)
		b, _ := s.Next(f)
		d := a.Sub(noon)
		if a != b || d < time.Second || d >= 1500*time.Millisecond {
			t.Fatalf("seed %d: %v, then %v", seed, d, b.Sub(noon))
		}
		seen[d/(100*time.Millisecond)] = true
	}
	if len(seen) != 5 {
		t.Errorf("the jitter fell into %d of 5 tenths", len(seen))
	}
}

func TestSchedule_NeverEarlierThanAskedNorLaterThanAllowed(t *testing.T) {
	s := Schedule{First: time.Second, Factor: 2, Most: time.Minute, Jitter: 0.2, For: time.Hour}
	if at, ok := s.Next(Failed{Attempts: 1, First: noon, Now: noon, RetryAfter: 10 * time.Minute}); !ok || at.Sub(noon) < 10*time.Minute {
		t.Errorf("at %v %v", at.Sub(noon), ok)
	}
	if at, ok := s.Next(Failed{Attempts: 1, First: noon, Now: noon, RetryAfter: 2 * time.Hour}); ok {
		t.Errorf("at %v although all must be over after an hour", at.Sub(noon))
	}
}

func TestSchedule_Limits(t *testing.T) {
	good := Schedule{First: PauseLeast, Factor: 1, Most: PauseMost, Jitter: 1, Attempts: AttemptsMax}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Schedule){
		"first too short": func(s *Schedule) { s.First = PauseLeast - 1 },
		"most too long":   func(s *Schedule) { s.Most = PauseMost + 1 },
		"most below first": func(s *Schedule) {
			s.First, s.Most = time.Hour, time.Minute
		},
		"factor below 1": func(s *Schedule) { s.Factor = 0.9 },
		"factor NaN":     func(s *Schedule) { s.Factor = math.NaN() },
		"jitter NaN":     func(s *Schedule) { s.Jitter = math.NaN() },
		"jitter over 1":  func(s *Schedule) { s.Jitter = 1.1 },
		"attempts":       func(s *Schedule) { s.Attempts = AttemptsMax + 1 },
		"a step of 0":    func(s *Schedule) { s.Steps = []time.Duration{0} },
		"steps":          func(s *Schedule) { s.Steps = make([]time.Duration, StepsMax+1) },
		"for":            func(s *Schedule) { s.For = -1 },
	} {
		s := good
		change(&s)
		if s.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2015, 10, 21, 7, 27, 0, 0, time.UTC)
	const most = time.Hour
	for _, c := range []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"120", "", 2 * time.Minute, true},
		{" 7 ", "", 7 * time.Second, true},
		{"0", "", 0, true},
		{"3601", "", most, true},
		{"99999999999999999999999999", "", most, true},
		{"Wed, 21 Oct 2015 07:28:00 GMT", "", time.Minute, true},
		{"Wednesday, 21-Oct-15 07:28:00 GMT", "", time.Minute, true},
		{"Wed Oct 21 07:28:00 2015", "", time.Minute, true},
		{"Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:27:50 GMT", 10 * time.Second, true}, // its clock, not ours
		{"Wed, 21 Oct 2015 07:26:00 GMT", "", 0, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", most, true},
		{"", "", 0, false}, {"-1", "", 0, false}, {"1.5", "", 0, false}, {"soon", "", 0, false}, {"1 2", "", 0, false}, {"+1", "", 0, false},
	} {
		if got, ok := ParseRetryAfter(c.value, c.date, now, most); got != c.want || ok != c.ok {
			t.Errorf("%q %q: got %v %v, want %v %v", c.value, c.date, got, ok, c.want, c.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "Wed, 21 Oct 2015 07:28:00 GMT", "Wednesday, 21-Oct-15 07:28:00 GMT", "-1", "9223372036854775808", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(s, "", int64(1445412420), int64(3600))
		f.Add(s, s, int64(math.MinInt64), int64(1))
	}
	f.Fuzz(func(t *testing.T, value, date string, now, seconds int64) {
		most := time.Duration(seconds)
		if most <= 0 {
			return
		}
		wait, ok := ParseRetryAfter(value, date, time.Unix(now, 0), most)
		if wait < 0 || wait > most || !ok && wait != 0 {
			t.Errorf("%q %q: %v %v of %v", value, date, wait, ok, most)
		}
	})
}
