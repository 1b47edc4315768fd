package broker

import (
	"leat/broker/filter/address"
	"leat/broker/record"
)

// Reaches reports whether a record would reach, by its address, any subscription that is routed, were it appended to a stream now. It says
// nothing of subscriptions that take all there is. NotFound and Denied as an append would be.
func (b *Broker) Reaches(c *Caller, stream string, rec *record.Record) (bool, error) {
	if err := b.allow(c, "append", ActionWrite, KindStream, stream); err != nil {
		return false, err
	}
	n, err := b.find(c, "append", stream)
	if err != nil {
		return false, err
	}
	index := b.subs.routing[n.shard].Load()
	if !index.Reads(n.id) {
		return false, nil
	}
	typ := DefaultEventType
	if n.config.DefaultType != "" {
		typ = n.config.DefaultType
	}
	x := b.subs.matchers.Get().(*matching)
	x.rec.Of(n.id, rec, typ, &x.scratch)
	reached := x.m.Match(index, &x.rec)
	x.rec = address.Record{} // it refers to the caller's memory
	b.subs.matchers.Put(x)
	return reached, nil
}
