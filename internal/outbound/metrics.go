package outbound

import (
	"time"

	"leat/internal/clock"
)

// TookBounds are the upper bounds of Figures.Took; what took longer is in the last, which has none.
var TookBounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Figures are what an endpoint has done and how it fares, fit for metrics.
type Figures struct {
	Outcomes  [outcomes]int64 // attempts by outcome, Unsent ones included
	Bytes     int64           // of bodies that may have been received
	Took      [len(TookBounds) + 1]int64
	TookTotal time.Duration // of all in Took
	Changes   int64         // of state, made by answers
	Sending   int           // under way

	State     State
	Allow     int           // how many may be under way at present
	Wait      time.Duration // until it may be sent to, where that depends on time alone
	Failures  int           // in a row
	Since     time.Time     // of the first of them
	Why       string        // it is not closed
	OpenUntil time.Time
}

func (f *Figures) count(r *Result, bytes int) {
	f.Outcomes[r.Outcome]++
	if !r.Reached {
		return
	}
	f.Bytes += int64(bytes)
	f.TookTotal += r.Took
	i := 0
	for i < len(TookBounds) && r.Took > TookBounds[i] {
		i++
	}
	f.Took[i]++
}

// Figures returns the endpoint's at this moment.
func (e *Endpoint) Figures() Figures {
	now := clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	g, f := e.gate, e.figures
	f.State, f.Allow, f.Failures, f.Since, f.Why = g.state, g.allow, g.failures, g.since, g.why
	f.Wait = max(g.holdUntil.Sub(now), 0)
	if g.state == Open {
		f.OpenUntil = g.openUntil
		f.Wait = max(f.Wait, g.openUntil.Sub(now))
	}
	return f
}

// ClientFigures are what all endpoints share.
type ClientFigures struct {
	Conns        int   // open, of Config.ConnsMax
	Endpoints    int   // that are not closed
	Dials        int64 // begun
	DialFailures int64 // blocked ones included
	Blocked      int64 // that led to an address that may not be reached
	NoRoom       int64 // connections that ConnsMax did not allow
}

// Figures returns the client's at this moment.
func (c *Client) Figures() ClientFigures {
	c.mu.Lock()
	n := len(c.endpoints)
	c.mu.Unlock()
	return ClientFigures{
		Conns: len(c.room), Endpoints: n,
		Dials: c.dials.Load(), DialFailures: c.dialFailures.Load(), Blocked: c.blocked.Load(), NoRoom: c.noRoom.Load(),
	}
}
