package outbound

import (
	"fmt"
	"math"
	"time"
)

// Schedule says when a delivery that failed is tried again: after the pauses of Steps, the last of which repeats, or, without Steps,
// after First, growing by Factor up to Most. It is a value and a function of what it is given: no clock, no chance.
type Schedule struct {
	Steps  []time.Duration
	First  time.Duration
	Factor float64
	Most   time.Duration

	Jitter   float64       // up to this part of a pause is added to it, so that what failed together does not return together
	Attempts int           // at most this many, the first included; 0 is no limit
	For      time.Duration // no attempt begins later than this after the first; 0 is no limit
}

// Limits of a Schedule.
const (
	StepsMax    = 64
	AttemptsMax = 10_000
	PauseLeast  = time.Millisecond
	PauseMost   = 30 * 24 * time.Hour
	FactorMost  = 100
)

// StandardSchedule is the example of the Standard Webhooks specification: ten attempts in 75 hours.
func StandardSchedule() Schedule {
	return Schedule{
		Steps: []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
			10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		},
		Jitter: 0.1, Attempts: 10,
	}
}

// Validate refuses what would never end, never wait, or overflow.
func (s Schedule) Validate() error {
	switch {
	case len(s.Steps) > StepsMax:
		return fmt.Errorf("retry: %d steps; at most %d", len(s.Steps), StepsMax)
	case len(s.Steps) == 0 && (s.First < PauseLeast || s.First > PauseMost):
		return fmt.Errorf("retry: the first pause is %v; it must be from %v to %v", s.First, PauseLeast, PauseMost)
	case len(s.Steps) == 0 && (s.Most < s.First || s.Most > PauseMost):
		return fmt.Errorf("retry: the longest pause is %v; it must be from the first, %v, to %v", s.Most, s.First, PauseMost)
	case len(s.Steps) == 0 && !(s.Factor >= 1 && s.Factor <= FactorMost):
		return fmt.Errorf("retry: the factor is %v; it must be from 1 to %v", s.Factor, FactorMost)
	case !(s.Jitter >= 0 && s.Jitter <= 1):
		return fmt.Errorf("retry: the jitter is %v; it must be from 0 to 1", s.Jitter)
	case s.Attempts < 0 || s.Attempts > AttemptsMax:
		return fmt.Errorf("retry: %d attempts; it must be from 0, no limit, to %d", s.Attempts, AttemptsMax)
	case s.For < 0 || s.For > 365*24*time.Hour:
		return fmt.Errorf("retry: attempts for %v; it must be from 0, no limit, to a year", s.For)
	}
	for i, d := range s.Steps {
		if d < PauseLeast || d > PauseMost {
			return fmt.Errorf("retry: step %d is %v; it must be from %v to %v", i+1, d, PauseLeast, PauseMost)
		}
	}
	return nil
}

// Failed is a delivery that failed.
type Failed struct {
	Attempts   int           // made so far, at least 1
	First      time.Time     // when the first was made
	Now        time.Time     // when the last one failed
	RetryAfter time.Duration // what the receiver asked for, capped already; 0 for nothing
	Seed       uint64        // of the delivery: the same seed gives the same pauses
}

// Next returns when to try again. No attempt comes earlier than the receiver asked for. Without ok there is no further one.
func (s Schedule) Next(f Failed) (at time.Time, ok bool) {
	if s.Attempts > 0 && f.Attempts >= s.Attempts {
		return time.Time{}, false
	}
	pause := max(s.pause(f.Attempts), f.RetryAfter)
	pause += time.Duration(float64(pause) * s.Jitter * chance(f.Seed, uint64(f.Attempts)))
	at = f.Now.Add(pause)
	if s.For > 0 && at.Sub(f.First) > s.For {
		return time.Time{}, false
	}
	return at, true
}

// pause is the time between attempt n and the next, without jitter.
func (s Schedule) pause(n int) time.Duration {
	n = max(n, 1)
	if len(s.Steps) > 0 {
		return s.Steps[min(n, len(s.Steps))-1]
	}
	d := float64(s.First) * math.Pow(s.Factor, float64(n-1))
	if !(d < float64(s.Most)) { // infinite, too
		return s.Most
	}
	return time.Duration(d)
}

// chance is a number from 0 to below 1 that depends on nothing but its arguments (splitmix64).
func chance(seed, n uint64) float64 {
	x := seed + (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
