package aws

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"leat/broker"
)

// An answer may be lost after it was written: the connection ends before the client has read it all. (The SDK for Go closes it itself when it is
// answered before it has seen that its request is written.) SDKs then try again without a word to the program, and tell the server: all attempts at
// a call have its Amz-Sdk-Invocation-Id. What an earlier attempt was handed nobody has, so it is given back, uncounted, before the next one receives:
//
//	client                     node
//	receive, attempt=1    ──▶  a1…a10 are leased, noted under the call's id, and written
//	the connection ends
//	receive, attempt=2    ──▶  a1…a10 are given back, and received
//
// Else they would be hidden until their visibility timeout is over, and all that follows them in their group with them.
//
// The attempts may come in any order: one that finds a later one noted gives back what it has itself. A note goes with the next request of the
// connection, for the client has read the answer before it makes one.
const (
	headerInvocation = "Amz-Sdk-Invocation-Id"
	headerAttemptNo  = "Amz-Sdk-Request" // attempt=2; max=3

	invocationBytesMax = 128
	notesKeptMax       = 4096 // of each map
)

// invocation is a call of a client's, whatever the number of attempts at it.
type invocation struct{ namespace, principal, queue, id string }

// note is what the last attempt at a call was handed.
type note struct {
	attempt int
	handles []broker.Handle
}

// notes are those of calls whose answers may not have been read yet.
type notes struct {
	mu         sync.Mutex
	young, old map[invocation]note
}

func (n *notes) at(k invocation) note {
	if is, ok := n.young[k]; ok {
		return is
	}
	return n.old[k]
}

// begin notes an attempt that is not the first, and returns what is to be given back of those before it.
func (n *notes) begin(k invocation, attempt int) []broker.Handle {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.at(k)
	if was.attempt >= attempt {
		return nil
	}
	n.put(k, note{attempt: attempt})
	return was.handles
}

// end notes what an attempt was handed; false: a later one has begun, and nobody reads this one's answer.
func (n *notes) end(k invocation, attempt int, hs []broker.Handle) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at(k).attempt > attempt {
		return false
	}
	n.put(k, note{attempt, hs})
	return true
}

func (n *notes) put(k invocation, is note) {
	if n.young == nil || len(n.young) >= notesKeptMax {
		n.old, n.young = n.young, make(map[invocation]note)
	}
	n.young[k] = is
}

// drop forgets an attempt, unless a later one was noted.
func (n *notes) drop(k invocation, attempt int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at(k).attempt == attempt {
		delete(n.young, k)
		delete(n.old, k)
	}
}

// line is what is known of a connection: the call whose answer was written last, if that was noted.
type line struct {
	mu      sync.Mutex
	of      invocation
	attempt int
}

type lineKey struct{}

func withLine(ctx context.Context) context.Context {
	return context.WithValue(ctx, lineKey{}, &line{})
}

// nextOn drops the note of the request before this one on the connection.
func (s *server) nextOn(ctx context.Context) {
	if l, ok := ctx.Value(lineKey{}).(*line); ok {
		if k, n := l.swap(invocation{}, 0); n > 0 {
			s.notes.drop(k, n)
		}
	}
}

func (l *line) swap(k invocation, attempt int) (invocation, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, n := l.of, l.attempt
	l.of, l.attempt = k, attempt
	return was, n
}

// attemptAt is the call that a receive is an attempt at, and its number from 1 on; 0: the client does not say.
func (x *call) attemptAt(q *queue) (invocation, int) {
	id := x.r.Header.Get(headerInvocation)
	first, _, _ := strings.Cut(x.r.Header.Get(headerAttemptNo), ";")
	number, is := strings.CutPrefix(strings.TrimSpace(first), "attempt=")
	n, err := strconv.Atoi(number)
	if id == "" || len(id) > invocationBytesMax || !is || err != nil || n < 1 {
		return invocation{}, 0
	}
	return invocation{x.who.Namespace, x.who.Principal, q.name, id}, n
}

// receiveAgain is receive for a client that numbers its attempts.
func (x *call) receiveAgain(q *queue, ask broker.ReceiveRequest) ([]broker.Delivery, error) {
	k, n := x.attemptAt(q)
	if n > 1 {
		if hs := x.g.notes.begin(k, n); len(hs) > 0 {
			x.giveBack(hs)
		}
		x.noted(k, n)
	}
	ds, err := x.receive(q, ask)
	if n == 0 || len(ds) == 0 {
		return ds, err
	}
	if !x.g.notes.end(k, n, handlesOf(ds)) {
		x.giveBack(handlesOf(ds))
		return nil, nil
	}
	x.noted(k, n)
	return ds, err
}

func (x *call) noted(k invocation, attempt int) {
	if l, ok := x.ctx.Value(lineKey{}).(*line); ok {
		l.swap(k, attempt)
	}
}

// handOver answers a receive, and gives back what could not be written.
func (x *call) handOver() {
	if x.ctx.Err() == nil && x.answer(http.StatusOK) == nil {
		return
	}
	x.g.log.Debug("an answer could not be written: its messages are given back", "request", x.id)
	x.giveBack(x.held)
}
