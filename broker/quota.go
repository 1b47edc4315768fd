package broker

import (
	"sync"
	"time"

	"leat/broker/access"
	"leat/broker/fault"
	"leat/broker/record"
)

// Every append passes here, once, before anything is looked up for it: what a principal may append a second is its own quota, else the
// node's default (broker.principal_events_per_second, broker.principal_bytes_per_second). Who has not logged in shares one with all who have
// not. What is refused later, for a condition or a missing stream, has been counted: it was work.

// meter counts what one principal appends.
type meter struct {
	mu     sync.Mutex
	bucket access.Bucket
}

// throttleGrace is how much debt is let pass where clients are told to wait in the answer to what was taken: several requests are on
// their way before the first answer is back.
const throttleGrace = time.Second

// quotaOf is what the caller may append, and what counts it; nil where nothing limits it. The platform's own events are not limited.
func (b *Broker) quotaOf(c *Caller) (Quota, *meter) {
	q, m := Quota{EventsPerSecond: b.cfg.PrincipalEventsPerSecond, BytesPerSecond: b.cfg.PrincipalBytesPerSecond}, &b.users.nobody
	if c.Principal == SystemPrincipal {
		return q, nil
	}
	perSecond, of, level := b.allotted(c, amountWrite)
	if level >= 0 && level <= allotmentOfPrincipal {
		return Quota{BytesPerSecond: max(int64(perSecond), 1)}, b.allotments.meterOf(amountWrite, of)
	}
	if c.Principal != "" {
		d := b.users.get(c.Principal)
		if d == nil {
			return q, nil // deleted meanwhile: it may do nothing at all
		}
		m = d.meter
		if d.Quota != nil {
			q, level = *d.Quota, -1
		}
	}
	if level >= 0 {
		return Quota{BytesPerSecond: max(int64(perSecond), 1)}, b.allotments.meterOf(amountWrite, of)
	}
	if !q.Limits() {
		return q, nil
	}
	return q, m
}

// spend counts an append against the caller's quota. throttle is how long the caller should keep away although it was taken; the fault says
// when to come back with what was not.
func (b *Broker) spend(q Quota, m *meter, events, bytes int, grace time.Duration) (throttle time.Duration, err error) {
	m.mu.Lock()
	wait, ok := m.bucket.Take(q, b.opt.Clock.Now(), events, bytes, grace)
	m.mu.Unlock()
	if ok {
		return wait, nil
	}
	f := fault.New(fault.QuotaSpent, "append", "quota", "you may append %s; try again in %v", q, wait)
	f.AfterMS = wait.Milliseconds()
	return 0, f
}

// spendEvents is spend for events that come one by one.
func (b *Broker) spendEvents(c *Caller, a *EventsAppend) error {
	q, m := b.quotaOf(c)
	if m == nil {
		return nil
	}
	bytes := 0
	for i := range a.Events {
		r := &a.Events[i].Record
		bytes += len(r.Key) + len(r.Value)
		for k := range r.Headers {
			bytes += len(r.Headers[k].Key) + len(r.Headers[k].Value)
		}
	}
	_, err := b.spend(q, m, len(a.Events), bytes, 0)
	return err
}

// spendBatches is spend for batches, as they came.
func (b *Broker) spendBatches(c *Caller, a *BatchAppend) (throttle time.Duration, err error) {
	q, m := b.quotaOf(c)
	if m == nil {
		return 0, nil
	}
	events, bytes := 0, 0
	for i := range a.Entries {
		bytes += len(a.Entries[i].Batch)
		if h, err := record.ParseBatchHeader(a.Entries[i].Batch); err == nil { // what cannot be read is refused further on
			events += int(h.Count)
		}
	}
	return b.spend(q, m, events, bytes, throttleGrace)
}
