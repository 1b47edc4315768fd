package session

import "time"

// Heartbeat says when a heartbeat is due and when the peer is gone. Times are those of any clock that never goes back. Whatever is
// sent or received counts: heartbeats are for silence only.
type Heartbeat struct {
	interval       time.Duration
	sent, received time.Time
}

// NewHeartbeat begins with the interval that was agreed on; 0 is no heartbeats.
func NewHeartbeat(seconds uint16, now time.Time) *Heartbeat {
	return &Heartbeat{interval: time.Duration(seconds) * time.Second, sent: now, received: now}
}

// Sent notes that something was written.
func (h *Heartbeat) Sent(now time.Time) { h.sent = now }

// Received notes that something was read.
func (h *Heartbeat) Received(now time.Time) { h.received = now }

// Tick says what is due: to send a heartbeat, after half an interval of silence of ours; to give the peer up, after two of its own. next
// is when to ask again, zero for never.
func (h *Heartbeat) Tick(now time.Time) (send, gone bool, next time.Time) {
	if h.interval == 0 {
		return false, false, time.Time{}
	}
	if now.Sub(h.received) >= 2*h.interval {
		return false, true, time.Time{}
	}
	if now.Sub(h.sent) >= h.interval/2 {
		send = true
		h.sent = now
	}
	next = h.sent.Add(h.interval / 2)
	if gone := h.received.Add(2 * h.interval); gone.Before(next) {
		next = gone
	}
	return send, false, next
}
