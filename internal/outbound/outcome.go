package outbound

import (
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Outcome is what an attempt means for the delivery.
type Outcome uint8

// The outcomes. Whether an attempt that did not succeed reached the receiver is Result.Reached, whatever its outcome.
const (
	Delivered Outcome = iota // 2xx
	Retry                    // it failed, and may not fail later: no connection, no answer, 3xx, 5xx, most of 4xx
	Denied                   // 401, 403, 407: the credentials or the signature are not accepted; later perhaps
	Refused                  // this very delivery is not wanted and never will be
	Gone                     // 410: the endpoint wants nothing any more; it is paused
	Blocked                  // the address may not be reached; nothing was sent
	Unsent                   // nothing was sent for a reason of our own: no attempt was made
	outcomes
)

var outcomeNames = [outcomes]string{"delivered", "retry", "denied", "refused", "gone", "blocked", "unsent"}

func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes are all of them, for labels of metrics.
func Outcomes() []Outcome { return []Outcome{Delivered, Retry, Denied, Refused, Gone, Blocked, Unsent} }

// Phase is how far an attempt came.
type Phase uint8

// The phases, in their order.
const (
	PhaseStart   Phase = iota
	PhaseResolve       // looking the name up
	PhaseConnect       // connecting
	PhaseTLS           // shaking hands
	PhaseWrite         // a connection was there; the request was being written
	PhaseWait          // the request was written; no answer yet
	PhaseAnswer        // an answer came
	phases
)

var phaseNames = [phases]string{"start", "resolve", "connect", "tls", "write", "wait", "answer"}

func (p Phase) String() string { return phaseNames[p] }

// Result is what came of an attempt.
type Result struct {
	Outcome    Outcome
	Status     int           // 0 without an answer
	RetryAfter time.Duration // what the receiver asked for, capped; 0 for nothing
	Phase      Phase
	Reached    bool // the receiver may have the request
	Remote     netip.AddrPort
	Header     http.Header   // of the answer
	Body       []byte        // the first Config.ResponseBytesMax of the answer
	Took       time.Duration // until the header of the answer, or the end
	Err        error         // why, unless delivered

	Change *Change // of the endpoint's state, where this attempt made one

	cut bool // we ended it
}

// abortHeader is how a receiver can say of one delivery that it will never take it, without an error of its own (Svix's convention).
const (
	abortHeader = "Webhook-Delivery"
	abortValue  = "abort-message"
)

// classify gives the outcome of an answer. refuse are the statuses that end a delivery.
func classify(status int, h http.Header, refuse []int) Outcome {
	if status >= 200 && status < 300 {
		return Delivered
	}
	if h.Get(abortHeader) == abortValue {
		return Refused
	}
	if slices.Contains(refuse, status) {
		return Refused
	}
	switch status {
	case http.StatusGone:
		return Gone
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return Denied
	}
	return Retry
}

// refuseDefault are statuses about the delivery itself, which is the same at each attempt: too large, and a format that is not read.
// The rest of 4xx is as often a mistake that somebody is about to correct.
var refuseDefault = []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}

// signal is what a result says about the endpoint.
func (r *Result) signal() signal {
	switch {
	case r.cut:
		return nothing
	case r.Outcome == Gone:
		return gone
	case r.Outcome == Delivered || r.Outcome == Refused && r.Status != 0:
		return alive
	case r.Status == http.StatusTooManyRequests:
		return throttled
	case r.Status >= 300 && r.Status < 500 && r.Status != http.StatusRequestTimeout:
		return declined
	case r.Outcome == Retry || r.Outcome == Blocked:
		return failed
	}
	return nothing
}

// holds reports whether Retry-After is about the endpoint and not only about the delivery.
func (r *Result) holds() bool {
	return r.RetryAfter > 0 && (r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable)
}
