package access

import (
	"fmt"
	"math"
	"time"

	"leat/broker/fault"
)

// Quota is how much a principal may append a second. 0 is no limit.
type Quota struct {
	EventsPerSecond int64 `json:"events_per_second,omitempty"`
	BytesPerSecond  int64 `json:"bytes_per_second,omitempty"`
}

// Bounds of what a quota can be.
const (
	QuotaEventsMax = 1 << 40
	QuotaBytesMax  = 1 << 50
)

// Check refuses a quota that cannot mean anything.
func (q Quota) Check() error {
	if q.EventsPerSecond < 0 || q.EventsPerSecond > QuotaEventsMax {
		return fault.New(fault.Invalid, "quota", "events_per_second", "events_per_second is %d; it must be between 0 (no limit) and %d", q.EventsPerSecond, int64(QuotaEventsMax))
	}
	if q.BytesPerSecond < 0 || q.BytesPerSecond > QuotaBytesMax {
		return fault.New(fault.Invalid, "quota", "bytes_per_second", "bytes_per_second is %d; it must be between 0 (no limit) and %d", q.BytesPerSecond, int64(QuotaBytesMax))
	}
	return nil
}

func (q Quota) String() string {
	switch {
	case q.EventsPerSecond > 0 && q.BytesPerSecond > 0:
		return fmt.Sprintf("%d events and %d bytes a second", q.EventsPerSecond, q.BytesPerSecond)
	case q.EventsPerSecond > 0:
		return fmt.Sprintf("%d events a second", q.EventsPerSecond)
	case q.BytesPerSecond > 0:
		return fmt.Sprintf("%d bytes a second", q.BytesPerSecond)
	}
	return "as much as you like"
}

// Limits reports whether the quota limits anything.
func (q Quota) Limits() bool { return q.EventsPerSecond > 0 || q.BytesPerSecond > 0 }

// Bucket counts what a principal has appended against its quota. The zero Bucket is full. It is for one goroutine at a time.
//
// A full bucket holds what one second gives, so a second's worth may come at once. What is asked for is taken whole, also when it is
// more than is there: the bucket is then in debt, and nothing is given until time has paid it. So one append may be as large as any
// other limit lets it be, and the rate holds all the same.
type Bucket struct {
	events, bytes float64 // spent and not yet given back; more than a second's worth is debt
	at            int64   // ns, when that was so
}

// Take asks for an append. ok says that it may be made, and then it is counted. wait is how long the bucket will be in debt after it, or,
// when it may not be made, until it may: never nothing then. grace is how much debt is let pass: who tells its clients to wait gives
// those the time to hear of it. Time that goes backwards gives nothing.
func (b *Bucket) Take(q Quota, now time.Time, events, bytes int, grace time.Duration) (wait time.Duration, ok bool) {
	passed := max(float64(now.UnixNano()-b.at)/1e9, 0)
	if b.at == 0 {
		passed = math.Inf(1)
	}
	b.at = max(now.UnixNano(), b.at)
	debt := max(give(&b.events, q.EventsPerSecond, passed), give(&b.bytes, q.BytesPerSecond, passed))
	if debt > grace.Seconds()+debtUnseen {
		return seconds(debt - grace.Seconds()), false
	}
	debt = max(spend(&b.events, q.EventsPerSecond, events), spend(&b.bytes, q.BytesPerSecond, bytes))
	return seconds(debt), true
}

// debtUnseen is how many seconds of debt are none, so that who comes back to the millisecond is not refused for a rounding.
const debtUnseen = 1e-6

// give gives back what some seconds are worth, and tells how many seconds of debt are left; below 0 there is none.
func give(spent *float64, perSecond int64, passed float64) (debt float64) {
	if perSecond <= 0 {
		*spent = 0
		return -1
	}
	*spent = max(*spent-passed*float64(perSecond), 0)
	return *spent/float64(perSecond) - 1
}

func spend(spent *float64, perSecond int64, n int) (debt float64) {
	if perSecond <= 0 {
		return -1
	}
	*spent += float64(n)
	return *spent/float64(perSecond) - 1
}

// seconds is a time to wait, rounded up to milliseconds, and not longer than anybody waits.
func seconds(s float64) time.Duration {
	const most = 3600
	return time.Duration(math.Ceil(max(min(s, most)-debtUnseen, 0)*1000)) * time.Millisecond
}
