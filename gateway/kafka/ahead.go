package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// ahead reads for a consumer that catches up what it will ask for next. A client asks for more when it has taken in what it got, and then waits for the
// disk and for sums; while it is taking in, nobody has anything to do:
//
//	client  ask ............ [ take in 16 MiB ] ask ...... [ take in 16 MiB ]
//	node    [ read ][ send ][ read ahead ]      [ send ][ read ahead ]
//
// The connection's writer does it when an answer has gone and nothing else waits, so there is no race: a request that comes meanwhile waits for what it
// most likely needs. That is what follows on the batches it was sent, in the order of this time, turned by as many partitions as from the time before
// to this one: clients turn their lists, so that a partition with much in it does not keep the others waiting.
//
// Only the bytes are there already. What any reading is asked, whether it may, and where the partition ends, is asked when the request has come: see
// broker.Cursor.Ahead. Memory is taken from the node's budget, without waiting for it, and given back when the client takes long to ask.
type ahead struct {
	due     bool // the last answer was long: what comes next is worth reading
	places  bool // batches may be sent from where they lie
	held    int64
	release func()
	rooms   rooms
	buffer  func(int) []byte
	cursors []broker.Cursor
	results []broker.ReadResult

	caller *broker.Caller
	last   []broker.Cursor // of the last long answer, in its order, each going on behind it
	spare  []broker.Cursor
	turn   int // by how many partitions it was turned
	most   int
}

const (
	aheadAnswerMin = 1 << 20  // who gets less is nearly there, or takes little at a time
	aheadReadMax   = 16 << 20 // of one connection
	aheadBytesMax  = 64 << 20 // of all connections
	aheadLookMax   = 64       // partitions passed over to find one that was read
	aheadKeep      = time.Second
)

// aheadHeld is what all connections hold.
var aheadHeld atomic.Int64

// unwilling is a context for taking memory only where there is some.
var unwilling = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// note remembers an answer of n bytes that had to be read.
func (a *ahead) note(caller *broker.Caller, cursors []broker.Cursor, results []broker.ReadResult, refused []int16, n, most int) {
	if a.due = n >= aheadAnswerMin; !a.due {
		return
	}
	a.places = cursors[0].Keep != nil
	a.caller, a.most = caller, min(most, aheadReadMax)
	now := a.spare[:0]
	for i := range cursors {
		c, x := cursors[i], &results[i]
		c.Ahead, c.Buffer, c.Keep = nil, nil, nil
		if b := x.Batches; len(b) > 0 {
			c.From = b[len(b)-1].Next
		}
		if x.Err != nil || refused[i] != codeNone || c.From >= x.End {
			c.BytesMax = 0 // nothing to read
		}
		now = append(now, c)
	}
	a.turn = turnOf(a.last, now)
	a.last, a.spare = now, a.last
}

// turnOf is where the first partition of now was before, 0 where that says nothing.
func turnOf(before, now []broker.Cursor) int {
	if len(before) != len(now) {
		return 0
	}
	for i := range before {
		if b, n := &before[i], &now[0]; b.Partition == n.Partition && b.Stream == n.Stream {
			return i
		}
	}
	return 0
}

// read reads what is due.
func (a *ahead) read(ctx context.Context, b *broker.Broker) {
	a.due = false
	if aheadHeld.Add(int64(a.most)) > aheadBytesMax {
		aheadHeld.Add(-int64(a.most))
		return
	}
	release, err := b.Reserve(unwilling, a.caller, a.most) //nolint:contextcheck // it must not wait
	if err != nil {
		aheadHeld.Add(-int64(a.most))
		return
	}
	a.held, a.release = int64(a.most), release
	if a.buffer == nil {
		a.buffer = a.rooms.take
	}
	a.cursors = a.cursors[:0]
	for i := range a.last {
		if c := a.last[(i+a.turn)%len(a.last)]; c.BytesMax > 0 {
			c.Buffer = a.buffer
			if a.places {
				c.Keep = a.rooms.keep
			}
			a.cursors = append(a.cursors, c)
		}
	}
	a.results = b.Read(ctx, a.caller, a.cursors, a.most)
	if len(a.rooms.taken) == 0 {
		a.drop() // it is in memory anyway
	}
}

// offer has cursors say what was read for them.
func (a *ahead) offer(cursors []broker.Cursor) {
	if a.held == 0 {
		return
	}
	at := 0
	for i := range cursors {
		c := &cursors[i]
		for j := range min(aheadLookMax, len(a.cursors)) {
			n := (at + j) % len(a.cursors)
			if x := &a.cursors[n]; x.Partition == c.Partition && x.From == c.From && x.Committed == c.Committed && x.Stream == c.Stream {
				c.Ahead, at = &a.results[n], n+1
				break
			}
		}
	}
}

// hand gives the memory of what was read to whoever answers from it, who reserves some for the answer.
func (a *ahead) hand(to *rooms) {
	if a.held == 0 {
		return
	}
	to.taken = append(to.taken, a.rooms.taken...)
	clear(a.rooms.taken)
	a.rooms.taken = a.rooms.taken[:0]
	to.kept = append(to.kept, a.rooms.kept...)
	clear(a.rooms.kept)
	a.rooms.kept = a.rooms.kept[:0]
	a.drop()
}

// drop forgets what was read, if anything was.
func (a *ahead) drop() {
	if a.held == 0 {
		return
	}
	a.rooms.give()
	aheadHeld.Add(-a.held)
	a.release()
	a.held, a.release = 0, nil
	clear(a.results)
	a.results = nil
}

// partitionID is the number of a partition as it is sent.
func partitionID(p int32) record.PartitionID { return record.PartitionID(p) }
