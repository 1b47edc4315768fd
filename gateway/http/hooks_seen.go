package http

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker/fault"
	"leat/internal/hooks"
)

// hookRefusalsMax is how many refusals of a hook are remembered, the newest.
const hookRefusalsMax = 16

// Outcomes of deliveries, as in metrics and in the API.
const (
	hookStored    = "stored"
	hookDuplicate = "duplicate"
	hookHandshake = "handshake" // a ping, a challenge, a validation
)

// hookRefusal is one delivery that was refused. It holds nothing of the body and no header.
type hookRefusal struct {
	Time    string `json:"time"`
	Reason  string `json:"reason"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Address string `json:"address,omitempty"` // where it came from
}

// hookCounts is what a hook has seen since the node started.
type hookCounts struct {
	Stored     int64            `json:"stored"`
	Duplicates int64            `json:"duplicates"`
	Handshakes int64            `json:"handshakes"`
	Refused    map[string]int64 `json:"refused"` // by reason
	Last       string           `json:"last_stored,omitempty"`
}

// hookSeen is what came to a hook and what was refused, since the node started. Who is refused all the time learns of it from his own answers;
// this is for who looks after the hook.
type hookSeen struct {
	m  *metrics
	of hookName

	mu       sync.Mutex
	counts   hookCounts
	last     time.Time
	refusals []hookRefusal // a ring once it is full
	next     int
}

func (m *metrics) newHookSeen(k hookName) *hookSeen {
	return &hookSeen{m: m, of: k, counts: hookCounts{Refused: map[string]int64{}}}
}

func (m *metrics) forgetHook(k hookName) {
	labels := prometheus.Labels{"namespace": k.namespace, "hook": k.name}
	m.hookDeliveries.DeletePartialMatch(labels)
	m.hookRefusals.DeletePartialMatch(labels)
}

// accepted counts a delivery that was answered 200.
func (s *hookSeen) accepted(outcome string, at time.Time) {
	s.m.hookDeliveries.WithLabelValues(s.of.namespace, s.of.name, outcome).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch outcome {
	case hookStored:
		s.counts.Stored++
		s.last = at
	case hookDuplicate:
		s.counts.Duplicates++
	case hookHandshake:
		s.counts.Handshakes++
	}
}

// refused counts and remembers a delivery that was not taken.
func (s *hookSeen) refused(r hookRefusal) {
	s.m.hookRefusals.WithLabelValues(s.of.namespace, s.of.name, r.Reason).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Refused[r.Reason]++
	if len(s.refusals) < hookRefusalsMax {
		s.refusals = append(s.refusals, r)
		return
	}
	s.refusals[s.next] = r
	s.next = (s.next + 1) % hookRefusalsMax
}

// tell copies what was seen, the newest refusal first.
func (s *hookSeen) tell() (hookCounts, []hookRefusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Refused = maps.Clone(s.counts.Refused)
	if !s.last.IsZero() {
		c.Last = s.last.UTC().Format(time.RFC3339Nano)
	}
	list := append(slices.Clone(s.refusals[s.next:]), s.refusals[:s.next]...)
	slices.Reverse(list)
	return c, list
}

// hookReason is why a delivery was refused, one of few words.
func hookReason(err error) string {
	var r *hooks.Refusal
	if errors.As(err, &r) {
		return r.Reason.String()
	}
	f := fault.As(err)
	switch f.Kind {
	case fault.TooLarge:
		return "too-large"
	case fault.Denied:
		if f.Reason == fault.ReasonLogin {
			return "login"
		}
		return "not-allowed"
	case fault.QuotaSpent:
		return "quota"
	case fault.ContractBroken:
		return "contract"
	case fault.Invalid, fault.Unsupported:
		return "unreadable"
	case fault.Unavailable, fault.Unknown, fault.Conflict:
		return "unavailable"
	case fault.NotFound, fault.Exists, fault.Fenced, fault.Trimmed, fault.Corrupt, fault.Internal:
	}
	return "other"
}
