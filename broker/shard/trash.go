package shard

import (
	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// Truncate lets go of the records of a stream before some offsets. Whoever asks has read the stream's document, which may forbid it, at
// Revision; it is compared, so that nothing is cut from a stream that was made immutable meanwhile.
type Truncate struct {
	Name     catalog.Name
	Revision uint64
	Cuts     []stream.Cut
	Origin   *stream.Origin // nil: nobody asked, it is the stream's own retention
}

func (x *Truncate) kind() string { return "truncate" }

func (x *Truncate) decide(c *Core, r *Request) {
	e, err := c.at(x.Name, x.Revision, "truncate")
	if err != nil {
		r.Fault = err
		return
	}
	if r.Fault = c.head.Trim(record.StreamID(e.ID), x.Cuts, x.Origin, &c.open.Frame); r.Fault == nil {
		for _, cut := range x.Cuts {
			at := subscription.Place{Stream: record.StreamID(e.ID), Partition: cut.Partition}
			c.subs.Trimmed(at, c.head.Partition(at.Stream, at.Partition).Start, nil, &c.open.Frame)
		}
	}
}

// at returns the entry of a stream if it is at a revision, or catalog.AnyRevision is asked for.
func (c *Core) at(n catalog.Name, revision uint64, op string) (*catalog.Entry, *fault.Error) {
	e := c.catalog.Entries[n]
	switch {
	case e == nil:
		return nil, fault.New(fault.NotFound, op, n.Name, "there is no stream of that name")
	case revision != catalog.AnyRevision && e.Revision != revision:
		return nil, fault.New(fault.Conflict, op, n.Name, "the stream was changed by somebody else").Because(fault.ReasonRevision)
	}
	return e, nil
}

// DeleteStream takes a stream's name away. With Trash, the stream itself stays, under that name in the catalog and with Document there, until
// it is restored or purged; without, it is gone for good. Revision is compared as in Truncate.
type DeleteStream struct {
	Name     catalog.Name
	Revision uint64
	Trash    catalog.Name // the zero Name: none
	Document []byte
}

func (x *DeleteStream) kind() string { return "delete-stream" }

func (x *DeleteStream) decide(c *Core, r *Request) {
	e, err := c.at(x.Name, x.Revision, "delete")
	if err != nil {
		r.Fault = err
		return
	}
	if x.Trash == (catalog.Name{}) {
		if r.Fault = c.catalog.Delete(x.Name, x.Revision, &c.open.Frame); r.Fault == nil {
			c.head.Delete(record.StreamID(e.ID), &c.open.Frame)
			c.subs.Vanish(record.StreamID(e.ID), &c.open.Frame)
		}
		return
	}
	if r.Fault = c.head.Needs(fact.Format2, "delete"); r.Fault != nil {
		return
	}
	// What may be refused comes first: nothing is recorded of a change that only one of the two names takes.
	if r.Fault = c.catalog.Check(x.Trash, x.Document, catalog.NoRevision); r.Fault != nil {
		return
	}
	if r.Fault = c.catalog.Delete(x.Name, x.Revision, &c.open.Frame); r.Fault == nil {
		_, r.Fault = c.catalog.Put(x.Trash, e.ID, x.Document, catalog.NoRevision, &c.open.Frame)
	}
}

// RestoreStream gives a deleted stream a name again, and its document.
type RestoreStream struct {
	Trash    catalog.Name
	Revision uint64 // of the trash entry
	Name     catalog.Name
	Document []byte
}

func (x *RestoreStream) kind() string { return "restore-stream" }

func (x *RestoreStream) decide(c *Core, r *Request) {
	e, err := c.at(x.Trash, x.Revision, "undelete")
	if err != nil {
		r.Fault = err
		return
	}
	if r.Fault = c.catalog.Check(x.Name, x.Document, catalog.NoRevision); r.Fault != nil {
		return
	}
	if r.Fault = c.catalog.Delete(x.Trash, x.Revision, &c.open.Frame); r.Fault == nil {
		_, r.Fault = c.catalog.Put(x.Name, e.ID, x.Document, catalog.NoRevision, &c.open.Frame)
	}
}

// PurgeStream removes a deleted stream for good. Its id is never used again.
type PurgeStream struct {
	Trash    catalog.Name
	Revision uint64
}

func (x *PurgeStream) kind() string { return "purge-stream" }

func (x *PurgeStream) decide(c *Core, r *Request) {
	e, err := c.at(x.Trash, x.Revision, "purge")
	if err != nil {
		r.Fault = err
		return
	}
	if r.Fault = c.catalog.Delete(x.Trash, x.Revision, &c.open.Frame); r.Fault == nil {
		c.head.Delete(record.StreamID(e.ID), &c.open.Frame)
		c.subs.Vanish(record.StreamID(e.ID), &c.open.Frame)
	}
}

// Wake wakes all who wait on a stream: something about it has changed that no append tells.
func (p *Published) Wake(id record.StreamID) {
	p.mu.RLock()
	v := p.streams[id]
	p.mu.RUnlock()
	if v == nil {
		return
	}
	for _, part := range v.parts {
		part.mu.RLock()
		for _, w := range part.watches {
			w.fire()
		}
		part.mu.RUnlock()
	}
}
