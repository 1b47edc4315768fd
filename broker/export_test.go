package broker

import (
	"context"

	"leat/broker/record"
)

// ReadLatestAfter is ReadLatest with something that happens between the look into the index and the reading of events.
func (b *Broker) ReadLatestAfter(ctx context.Context, c *Caller, q LatestRequest, between func()) (LatestPage, error) {
	l, err := b.openLatest(c, &q)
	if err != nil {
		return LatestPage{}, err
	}
	defer l.walk.Close()
	between()
	return l.page(ctx, &q)
}

// ToldGaps is of how many events that went before a subscription had them it remembers that they were told.
func (b *Broker) ToldGaps(c *Caller, name string) (n int64) {
	for _, t := range b.subs.get(c.namespace(), name).doc.Told {
		n += t.Events
	}
	return n
}

// ReserveWaiters is how many wait for memory.
func (b *Broker) ReserveWaiters() int {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	return len(b.memory.waiting)
}

// SawAppended counts a batch as if it had been appended.
func (b *Broker) SawAppended(c *Caller, stream string, h *record.BatchHeader, batch []byte) {
	b.sawAppended(c, b.names.get(c.namespace(), stream), h, batch)
}
