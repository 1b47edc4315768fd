package shard

import (
	"time"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
	"leat/internal/clock"
)

// Request is one command on its way. Its maker waits on Done and reads the results; nobody else touches it after Submit.
type Request struct {
	Command Command
	Fault   *fault.Error // set when the request as a whole was refused
	Seq     uint64       // of the frame that its outcome depends on
	TimeMS  int64        // append time of that frame
	Stages  Stages
	done    chan struct{}
}

// Stages are when a request went through what comes before its frame. Zero: not measured.
type Stages struct{ Reserved, Resolved time.Time }

// NewRequest makes a request, which is resolved from now on.
func NewRequest(c Command) *Request {
	return &Request{Command: c, Stages: Stages{Resolved: clock.Now()}, done: make(chan struct{})}
}

// Done is closed when the outcome is known and, if it is a success, durable and published.
func (r *Request) Done() <-chan struct{} { return r.done }

// Command is one of the types below. decide runs on the loop's goroutine: it compares, records, and does nothing else.
type Command interface {
	decide(c *Core, r *Request)
	kind() string
}

// Append appends batches. ResolvedAt is the published sequence that was read before anything the command was resolved with.
type Append struct {
	stream.Append
	ResolvedAt uint64

	// Lane, where it is not nil, is what the command has to keep its place in, and Turn its turn there.
	Lane *Lane
	Turn uint64

	// Reach says, for each entry, whom its records reach by their address; nil: nobody. It has as many elements as Entries, or none.
	Reach [][]Reach

	// Acks are settled in the same frame, or nothing is done: the request is refused with a Conflict, and Acked says why.
	Acks  []subscription.Handle
	Acked []subscription.Outcome

	// LetGo is a record that a subscription settles in the same frame, without anybody having it; nil: none. When it cannot, nothing is done.
	LetGo *LetGo
}

// Reach is so many records, one after the other, that the same classes of subscriptions look for.
type Reach struct {
	Classes []subscription.ClassID // ascending
	subscription.Amount
	Plain bool // as in a RouteRun
}

func (a *Append) kind() string { return "append" }

func (a *Append) decide(c *Core, r *Request) {
	if a.passed() {
		a.Stale, a.Outcomes = stream.StaleNow, a.Outcomes[:0]
		return
	}
	a.judge(c, r)
	a.pass()
}

func (a *Append) judge(c *Core, r *Request) {
	if (len(a.Slots) > 0 || len(a.Unless) > 0 || looksBack(a.Entries)) && !c.head.Current(a.ResolvedAt) {
		a.Stale, a.Outcomes = stream.StaleNow, a.Outcomes[:0]
		return
	}
	if !c.attends() && len(a.Acks) == 0 && a.LetGo == nil {
		c.head.Append(&a.Append, a.ResolvedAt, &c.open.Frame)
		return
	}
	c.appendReaching(a, r)
}

// looksBack reports whether something was looked up for one of the entries.
func looksBack(es []stream.Entry) bool {
	for i := range es {
		if len(es[i].IDs) > 0 || len(es[i].Unless) > 0 {
			return true
		}
	}
	return false
}

// CreateStream makes a stream with its catalog entry.
type CreateStream struct {
	Name       catalog.Name
	Document   []byte
	Partitions int
	Keys       stream.KeyMode
	Terms      bool // it indexes types and tags

	Entry *catalog.Entry // result
}

func (x *CreateStream) kind() string { return "create-stream" }

func (x *CreateStream) decide(c *Core, r *Request) {
	id := c.head.NextStream
	if x.Terms {
		if r.Fault = c.head.Needs(fact.Format5, "create"); r.Fault != nil {
			return
		}
	}
	if x.Entry, r.Fault = c.catalog.Put(x.Name, uint32(id), x.Document, catalog.NoRevision, &c.open.Frame); r.Fault == nil {
		c.head.Create(x.Partitions, x.Keys, &c.open.Frame)
		if x.Terms {
			r.Fault = c.head.SetTerms(id, true, &c.open.Frame)
		}
	}
}

// AlterStream changes a stream's document, and with it partitions and key mode.
type AlterStream struct {
	Name       catalog.Name
	Document   []byte
	Revision   uint64
	Partitions int
	Keys       stream.KeyMode
	Terms      bool

	Entry *catalog.Entry
}

func (x *AlterStream) kind() string { return "alter-stream" }

func (x *AlterStream) decide(c *Core, r *Request) {
	e := c.catalog.Entries[x.Name]
	if e == nil {
		r.Fault = fault.New(fault.NotFound, "alter", x.Name.Name, "there is no stream of that name")
		return
	}
	if e.Revision != x.Revision {
		r.Fault = fault.New(fault.Conflict, "alter", x.Name.Name, "the stream was changed by somebody else").Because(fault.ReasonRevision)
		return
	}
	// The catalog is asked first: nothing is recorded of a change that only one of the two takes.
	if r.Fault = c.catalog.Check(x.Name, x.Document, x.Revision); r.Fault != nil {
		return
	}
	if x.Terms {
		if r.Fault = c.head.Needs(fact.Format5, "alter"); r.Fault != nil {
			return
		}
	}
	was := len(c.head.Streams[record.StreamID(e.ID)].Partitions)
	if r.Fault = c.head.Change(record.StreamID(e.ID), x.Partitions, x.Keys, &c.open.Frame); r.Fault == nil {
		c.readNewPartitions(record.StreamID(e.ID), was)
		if r.Fault = c.head.SetTerms(record.StreamID(e.ID), x.Terms, &c.open.Frame); r.Fault != nil {
			return
		}
		x.Entry, r.Fault = c.catalog.Put(x.Name, e.ID, x.Document, x.Revision, &c.open.Frame)
	}
}

// PutDocument puts a named document.
type PutDocument struct {
	Name     catalog.Name
	Document []byte
	Expected uint64 // catalog.AnyRevision, NoRevision, or the current one

	Entry *catalog.Entry
}

func (x *PutDocument) kind() string { return "put-document" }

func (x *PutDocument) decide(c *Core, r *Request) {
	x.Entry, r.Fault = c.catalog.Put(x.Name, 0, x.Document, x.Expected, &c.open.Frame)
}

// DeleteDocument removes a named document.
type DeleteDocument struct {
	Name     catalog.Name
	Expected uint64
}

func (x *DeleteDocument) kind() string { return "delete-document" }

func (x *DeleteDocument) decide(c *Core, r *Request) {
	r.Fault = c.catalog.Delete(x.Name, x.Expected, &c.open.Frame)
}

// AllocateProducer gives out a producer id.
type AllocateProducer struct{ ID int64 }

func (x *AllocateProducer) kind() string { return "allocate-producer" }

func (x *AllocateProducer) decide(c *Core, r *Request) { x.ID = c.head.AllocateProducer(&c.open.Frame) }
