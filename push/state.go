package push

import (
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/clock"
	"leat/internal/outbound"
)

// What a push is at.
const (
	StateStarting = "starting"
	StatePending  = "pending" // the handshake was not answered yet
	StateRefused  = "refused" // the handshake was: until somebody resumes, or sets it anew
	StateSending  = "sending" // events are sent as they come
	StateHeld     = "held"    // the endpoint asked for a pause (Retry-After)
	StateFailing  = "failing" // the endpoint is left alone for a while, and tried again
	StatePaused   = "paused"  // until somebody resumes
	StateWaiting  = "waiting" // for the subscription: somebody else has it to himself, or it recovers
	StateDenied   = "denied"  // who set it up may not read the subscription any more
	StateInvalid  = "invalid" // the node's configuration does not allow it
)

// States are all of them, for labels of metrics.
func States() []string {
	return []string{StateStarting, StatePending, StateRefused, StateSending, StateHeld, StateFailing, StatePaused, StateWaiting, StateDenied, StateInvalid}
}

// State is how a push fares. What is counted is counted since the node started.
type State struct {
	State     string
	Why       string
	Since     time.Time
	Until     time.Time // when it is tried again by itself
	Sending   int       // requests under way
	Delivered int64     // events that were acknowledged
	Attempts  map[string]int64
	Last      *Failure // the last attempt that failed
}

// Failure is an attempt that failed.
type Failure struct {
	At     time.Time
	Status int // 0: there was no answer
	Why    string
	Answer string // the first bytes of it
}

// state is the line's at this moment.
func (l *line) state() State {
	l.mu.Lock()
	now, e, paused := l.now, l.endpoint, l.doc.Paused
	l.mu.Unlock()
	st := State{State: now.state, Why: now.why, Since: now.since, Until: now.until}
	if st.State == "" {
		st.State = StateStarting
	}
	st.Delivered, st.Attempts, st.Last = l.tally.tell()
	if e == nil {
		return st
	}
	f := e.Figures()
	st.Sending = f.Sending
	if st.State != StateSending {
		return st
	}
	switch {
	case f.State == outbound.Paused:
		st.State, st.Why = StatePaused, f.Why
		if paused != nil {
			st.Since = time.UnixMilli(paused.AtMS)
		}
	case f.State != outbound.Closed:
		st.State, st.Why, st.Since, st.Until = StateFailing, f.Why, f.Since, f.OpenUntil
	case f.Wait > 0:
		st.State, st.Why, st.Until = StateHeld, "the endpoint asked for a pause", clock.Now().Add(f.Wait)
	}
	return st
}

// tally counts what a line did, over changes of its settings.
type tally struct {
	attempts  [outcomesMax]atomic.Int64
	took      [len(outbound.TookBounds) + 1]atomic.Int64
	tookTotal atomic.Int64 // nanoseconds
	delivered atomic.Int64 // events
	mu        sync.Mutex
	last      *Failure
}

const outcomesMax = 16

func (t *tally) count(r *outbound.Result, events int) {
	t.attempts[r.Outcome].Add(1)
	if r.Outcome == outbound.Delivered {
		t.delivered.Add(int64(events))
	}
	if !r.Reached {
		return
	}
	t.tookTotal.Add(int64(r.Took))
	i := 0
	for i < len(outbound.TookBounds) && r.Took > outbound.TookBounds[i] {
		i++
	}
	t.took[i].Add(1)
}

func (t *tally) failed(r *outbound.Result) {
	f := &Failure{At: clock.Now(), Status: r.Status, Answer: string(r.Body[:min(len(r.Body), answerBytesMax)])}
	if r.Err != nil {
		f.Why = r.Err.Error()
	}
	t.mu.Lock()
	t.last = f
	t.mu.Unlock()
}

func (t *tally) tell() (delivered int64, attempts map[string]int64, last *Failure) {
	attempts = map[string]int64{}
	for _, o := range outbound.Outcomes() {
		if n := t.attempts[o].Load(); n > 0 {
			attempts[o.String()] = n
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.delivered.Load(), attempts, t.last
}
