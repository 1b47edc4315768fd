package kafka

import (
	"sync"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/kafka/wire"
)

// slot is a request between the reader of a connection, which fills it in and starts what must be started in order, and its writer, which
// waits for what there is to wait for and answers. Slots are reused; nothing of one is touched after done.
type slot struct {
	header  wire.Header
	body    []byte // of the frame
	caller  *broker.Caller
	begun   time.Time
	id      gateway.RequestID
	op      *gateway.Operation
	release func() // gives back the memory that was reserved for the frame

	ready []byte // the answer, when the reader has it already
	last  bool   // the connection ends after it
	err   error  // for the numbers

	produce    wire.Produce
	entries    []broker.BatchEntry
	results    []wire.ProduceResult
	throttleMS int32                  // how long the client is told to keep away, as far as the reader knows
	pending    *broker.PendingBatches // nil when results are final
	letters    []*letters             // parts that are not among entries
}

var slots = sync.Pool{New: func() any { return new(slot) }}

// slotPartsMax keeps what a rare, large request made from living on in the pool.
const slotPartsMax = 1024

// done gives the memory and the slot back.
func (s *slot) done() {
	if s.release != nil {
		s.release()
	}
	if cap(s.produce.Parts) > slotPartsMax || cap(s.produce.Topics) > slotPartsMax {
		return
	}
	clear(s.produce.Topics[:cap(s.produce.Topics)]) // they are slices of the frame and would keep it
	clear(s.produce.Parts[:cap(s.produce.Parts)])
	clear(s.entries[:cap(s.entries)])
	clear(s.results[:cap(s.results)])
	*s = slot{
		produce: wire.Produce{Topics: s.produce.Topics[:0], Parts: s.produce.Parts[:0]},
		entries: s.entries[:0], results: s.results[:0],
	}
	slots.Put(s)
}
