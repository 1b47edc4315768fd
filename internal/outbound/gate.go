package outbound

import "time"

// State is how an endpoint fares.
type State uint8

// The states:
//
//	          FailuresMax in a row                wait is over
//	Closed ------------------------> Open <-------------------> Half ---> Closed
//	   ^                               |     the probe failed         Probes in a row succeeded
//	   |  Resume                       | nothing but failures for PauseAfter, or 410, or Pause
//	   +----------- Paused <-----------+
//
// While it is open nothing is sent, so that no delivery loses attempts to an endpoint that is down.
const (
	Closed State = iota // requests flow
	Open                // none is sent until a time
	Half                // one at a time is sent, to see
	Paused              // none is sent until somebody says so
	states
)

var stateNames = [states]string{"closed", "open", "half-open", "paused"}

func (s State) String() string { return stateNames[s] }

// Change is a step from one state to another, fit for an event about it.
type Change struct {
	From, To State
	At       time.Time
	Until    time.Time // of Open: when it is probed
	Why      string
	Failures int       // in a row
	Since    time.Time // of the first of them
	Seq      uint64    // changes of one endpoint are numbered, since they may be told out of order
}

type signal uint8

const (
	nothing   signal = iota // says nothing about the endpoint
	alive                   // it answered, and took or refused the delivery
	declined                // it answered, and did not take it; if it never takes any, something is wrong with it
	failed                  // it did not answer, or says itself that it is not well
	throttled               // it is there, and wants less
	gone                    // it wants nothing any more
)

// ticket is the permission to send one request.
type ticket struct {
	generation uint64 // of the gate's state when it was given
	probe      bool
}

// gate decides when an endpoint may be sent to. It is a machine without clock or chance: time comes in.
//
// How many requests may be under way at once (allow) starts at one, grows by one with each success up to Concurrency, and halves with each
// that fails: an endpoint that is new or ill holds few connections, one that is well is at full speed after a few answers.
type gate struct {
	policy Policy
	seed   uint64

	state      State
	generation uint64 // grows with the state: a late answer to a request of an earlier state moves nothing
	seq        uint64
	inflight   int // tickets that are out
	allow      int
	probing    bool
	passed     int // probes in a row that succeeded

	failures  int // in a row
	since     time.Time
	opened    int // times in a row that it opened
	openUntil time.Time
	why       string

	throttles int // in a row
	holdUntil time.Time
	rate      bucket
}

// forever is the wait of enter that ends only when something changes: an answer comes, or somebody resumes.
const forever time.Duration = -1

func newGate(p Policy, seed uint64) *gate {
	return &gate{policy: p, seed: seed, allow: 1, rate: newBucket(p.Rate, p.Burst)}
}

// enter asks to send one request now. Without ok, wait says when to ask again.
func (g *gate) enter(now time.Time) (t ticket, wait time.Duration, ok bool) {
	if g.state == Paused {
		return t, forever, false
	}
	if now.Before(g.holdUntil) {
		return t, g.holdUntil.Sub(now), false
	}
	if g.state == Open {
		if now.Before(g.openUntil) {
			return t, g.openUntil.Sub(now), false
		}
		g.state, g.probing, g.passed = Half, false, 0
		g.generation++
	}
	if g.state == Half && g.probing || g.state == Closed && g.inflight >= g.allow {
		return t, forever, false
	}
	if wait := g.rate.take(now); wait > 0 {
		return t, wait, false
	}
	g.inflight++
	g.probing = g.state == Half
	return ticket{g.generation, g.probing}, 0, true
}

// stillGood reports whether a ticket that was held for a while may be used.
func (g *gate) stillGood(t ticket) bool {
	return g.state != Paused && g.state != Open && t.generation == g.generation
}

// unused takes back a ticket that nothing was sent with.
func (g *gate) unused(t ticket) {
	g.rate.giveBack()
	g.out(t)
}

func (g *gate) out(t ticket) {
	g.inflight--
	if t.probe && t.generation == g.generation {
		g.probing = false
	}
}

// leave takes the ticket of a request that ended, and what it said about the endpoint. hold is how long the receiver asked for peace.
func (g *gate) leave(now time.Time, t ticket, s signal, hold time.Duration, why string) (c Change, changed bool) {
	g.out(t)
	if hold > 0 {
		g.hold(now.Add(hold))
	}
	if s == gone && g.state != Paused { // whenever it was asked, it is meant
		return g.move(now, Paused, why), true
	}
	if t.generation != g.generation {
		return c, false
	}
	switch s {
	case alive:
		g.failures, g.throttles = 0, 0
		g.allow = min(g.allow+1, g.policy.Concurrency)
		return g.well(now)
	case throttled:
		// It is there: no failure. Without a Retry-After, wait a little longer each time.
		if hold <= 0 {
			g.hold(now.Add(doubled(throttleFirst, throttleMost, g.throttles)))
		}
		g.throttles++
		g.failures = 0
		g.allow = max(g.allow/2, 1)
		return g.well(now)
	case failed, declined:
		if g.failures++; g.failures == 1 {
			g.since = now
		}
		if s == failed {
			g.allow = max(g.allow/2, 1) // fewer requests help one that is not well, and no other
		}
		return g.ill(now, why)
	default: // nothing was learned; gone was dealt with above
		return c, false
	}
}

// Pauses after a 429 that does not say how long.
const (
	throttleFirst = time.Second
	throttleMost  = time.Minute
)

// well is what a sign of life changes.
func (g *gate) well(now time.Time) (Change, bool) {
	if g.state != Half {
		return Change{}, false
	}
	if g.passed++; g.passed < g.policy.Probes {
		return Change{}, false
	}
	g.opened, g.allow = 0, 1
	return g.move(now, Closed, "it answers again"), true
}

// ill is what a failure changes.
func (g *gate) ill(now time.Time, why string) (Change, bool) {
	if g.failures >= g.policy.FailuresMax && g.policy.PauseAfter > 0 && now.Sub(g.since) >= g.policy.PauseAfter {
		return g.move(now, Paused, why), true
	}
	if g.state == Closed && g.failures < g.policy.FailuresMax {
		return Change{}, false
	}
	pause := doubled(g.policy.OpenFirst, g.policy.OpenMost, g.opened)
	pause += time.Duration(float64(pause) * 0.1 * chance(g.seed, uint64(g.opened))) // what went down together is not probed together
	g.opened++
	g.openUntil = now.Add(pause)
	return g.move(now, Open, why), true
}

// doubled is first, doubled n times, at most most.
func doubled(first, most time.Duration, n int) time.Duration {
	for ; n > 0 && first < most; n-- {
		first *= 2
	}
	return min(first, most)
}

func (g *gate) hold(until time.Time) {
	if until.After(g.holdUntil) {
		g.holdUntil = until
	}
}

func (g *gate) move(now time.Time, to State, why string) Change {
	c := Change{From: g.state, To: to, At: now, Why: why, Failures: g.failures, Since: g.since}
	if to == Open {
		c.Until = g.openUntil
	}
	if to != Closed {
		g.why = why
	} else {
		g.why = ""
	}
	g.state, g.probing, g.passed = to, false, 0
	g.generation++
	g.seq++
	c.Seq = g.seq
	return c
}

// pause and resume are what somebody says. Resuming also ends a hold, and closes what is open: the next requests show whether that was right.
func (g *gate) pause(now time.Time, why string) (Change, bool) {
	if g.state == Paused {
		return Change{}, false
	}
	return g.move(now, Paused, why), true
}

func (g *gate) resume(now time.Time) (Change, bool) {
	g.failures, g.throttles, g.opened = 0, 0, 0
	g.since, g.holdUntil = time.Time{}, time.Time{}
	if g.state == Closed {
		return Change{}, false
	}
	g.allow = 1
	return g.move(now, Closed, "resumed"), true
}

// chance is a number from 0 to below 1 that depends on nothing but its arguments (splitmix64).
func chance(seed, n uint64) float64 {
	x := seed + (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
