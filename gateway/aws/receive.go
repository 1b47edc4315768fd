package aws

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

func receiveMessage(x *call, in *wire.ReceiveMessageInput, out *wire.ReceiveMessageOutput) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	ask := broker.ReceiveRequest{Max: int(in.MaxMessages.Or(1)), Wait: q.wait}
	if in.WaitTimeSeconds.Set {
		ask.Wait = time.Duration(in.WaitTimeSeconds.V) * time.Second
	}
	lease := q.lease
	if in.VisibilityTimeout.Set {
		lease = time.Duration(in.VisibilityTimeout.V) * time.Second
	}
	if held := cmp.Or(lease, leaseNone); held != q.lease { // the queue's is what it is leased for anyway
		ask.Lease = held
	}
	x.release() // no memory is held while waiting
	x.release = func() {}
	ds, err := x.receiveOnce(q, ask, in.AttemptID, cmp.Or(lease, leaseNone))
	if err != nil {
		return err
	}
	if len(ds) == 0 && ask.Wait == 0 && !q.fifo {
		return x.overLimit(q)
	}
	if out.Messages, err = x.messagesOf(q, ds, in); err != nil {
		x.giveBack(handlesOf(ds))
		return err
	}
	if x.held = handlesOf(ds); lease == 0 && len(ds) > 0 { // before it is answered: the client may ask for them again at once
		_, err = x.g.broker.Postpone(x.ctx, &x.who, x.held, 0)
		x.held = nil
	}
	return err
}

// messagesOf makes messages of deliveries. Where some are signed, which takes about a millisecond each, that is done on all cores.
func (x *call) messagesOf(q *queue, ds []broker.Delivery, in *wire.ReceiveMessageInput) ([]wire.ReceivedMessage, error) {
	now, ms := clock.Now(), make([]wire.ReceivedMessage, len(ds))
	workers := 1
	if _, topics := x.g.broker.SubscriptionWith(x.who.Namespace, q.name, sourcesName); topics && !x.g.config.UnsignedQueues {
		workers = min(runtime.GOMAXPROCS(0), len(ds))
	}
	if workers <= 1 {
		for i := range ds {
			var err error
			if ms[i], err = x.messageOf(q, &ds[i], in, now); err != nil {
				return nil, err
			}
		}
		return ms, nil
	}
	var all sync.WaitGroup
	var next atomic.Int32
	errs := make([]error, len(ds))
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(ds); i = int(next.Add(1)) - 1 {
				ms[i], errs[i] = x.messageOf(q, &ds[i], in, now)
			}
		})
	}
	all.Wait()
	return ms, errors.Join(errs...)
}

// overLimit refuses who finds nothing while as much is in flight as may be. Long polls are told nothing, as at Amazon.
func (x *call) overLimit(q *queue) error {
	info, err := x.g.broker.DescribeSubscription(x.ctx, &x.who, q.name)
	if err == nil && info.Leased >= unackedMax {
		return wire.Refuse(wire.OverLimit, "Too many messages are in flight in "+q.name+".")
	}
	return nil // it was an answer without messages, whatever became of the question
}

// receiveOnce is receive, but for a FIFO queue and an attempt that was made before: then the same messages are answered, as far as they are
// still held, and held anew.
func (x *call) receiveOnce(q *queue, ask broker.ReceiveRequest, attempt string, lease time.Duration) ([]broker.Delivery, error) {
	if !q.fifo || attempt == "" {
		return x.receiveAgain(q, ask)
	}
	k := attemptKey{x.who.Namespace, q.name, attempt}
	if ds := x.g.attempts.get(k, clock.Now()); len(ds) > 0 {
		outcomes, err := x.g.broker.Renew(x.ctx, &x.who, handlesOf(ds), lease)
		if err != nil {
			return nil, err
		}
		var held []broker.Delivery
		for i := range ds {
			if outcomes[i] == broker.OutcomeDone {
				held = append(held, ds[i])
			}
		}
		if len(held) > 0 {
			return held, nil
		}
	}
	ds, err := x.receive(q, ask)
	if len(ds) > 0 {
		x.g.attempts.put(k, ds, clock.Now())
	}
	return ds, err
}

// receive takes deliveries and waits for them, at most until the client leaves or the gateway stops.
func (x *call) receive(q *queue, ask broker.ReceiveRequest) ([]broker.Delivery, error) {
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	defer context.AfterFunc(x.g.polls, cancel)()
	// Both clocks of net/http started with the request. When that for reading strikes, the context ends as if the client had gone.
	rc, now := http.NewResponseController(x.w), clock.Now()
	_ = rc.SetReadDeadline(now.Add(ask.Wait + x.g.limits.ReadTimeout))   // fails when closed, and so will the answer
	_ = rc.SetWriteDeadline(now.Add(ask.Wait + x.g.limits.WriteTimeout)) // likewise
	ds, err := x.g.broker.Receive(ctx, &x.who, q.name, ask)
	if err != nil && len(ds) == 0 && ctx.Err() != nil && x.ctx.Err() == nil {
		return nil, nil // this node is stopping: nothing came
	}
	if len(ds) > 0 && x.ctx.Err() != nil { // nobody is there to get them
		x.giveBack(handlesOf(ds))
		return nil, x.ctx.Err()
	}
	return ds, err
}

// firsts remembers when messages were received the first time, of those that were received last: an approximation, as its name at Amazon
// says. What was forgotten, or received before a restart, has its time from the receive that asks.
type firsts struct {
	mu         sync.Mutex
	young, old map[string]int64 // ms, by the delivery's id
}

const firstsKeptMax = 65_536 // of each map

func (f *firsts) at(id string, attempt int, nowMS int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if attempt > 1 {
		if ms, ok := f.young[id]; ok {
			return ms
		}
		if ms, ok := f.old[id]; ok {
			return ms
		}
	}
	if f.young == nil || len(f.young) >= firstsKeptMax {
		f.old, f.young = f.young, make(map[string]int64)
	}
	f.young[id] = nowMS
	return nowMS
}

// attempts remembers what was answered to receives with a ReceiveRequestAttemptId.
type attempts struct {
	mu    sync.Mutex
	byKey map[attemptKey]*attempt
	order []attemptKey // the oldest first
	bytes int
}

type attemptKey struct{ namespace, queue, id string }

type attempt struct {
	at    time.Time
	ds    []broker.Delivery
	bytes int
}

const (
	attemptWindow       = 5 * time.Minute
	attemptsKeptMax     = 4096
	attemptsBytesMax    = 16 << 20
	attemptBytesOfEntry = 256 // of a delivery, besides its record
)

func (a *attempts) get(k attemptKey, now time.Time) []broker.Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.byKey[k]; t != nil && now.Sub(t.at) < attemptWindow {
		return t.ds
	}
	return nil
}

func (a *attempts) put(k attemptKey, ds []broker.Delivery, now time.Time) {
	t := &attempt{at: now, ds: ds}
	for i := range ds {
		t.bytes += attemptBytesOfEntry + len(ds[i].Record.Value)
		for h := range ds[i].Record.Headers {
			t.bytes += len(ds[i].Record.Headers[h].Value)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byKey == nil {
		a.byKey = map[attemptKey]*attempt{}
	}
	if was := a.byKey[k]; was != nil {
		a.bytes -= was.bytes // it keeps its place in the order
	} else {
		a.order = append(a.order, k)
	}
	a.byKey[k], a.bytes = t, a.bytes+t.bytes
	for len(a.order) > 0 {
		first := a.byKey[a.order[0]]
		if len(a.order) <= attemptsKeptMax && a.bytes <= attemptsBytesMax && now.Sub(first.at) < attemptWindow {
			return
		}
		a.bytes -= first.bytes
		delete(a.byKey, a.order[0])
		a.order = a.order[1:]
	}
}

func handlesOf(ds []broker.Delivery) []broker.Handle {
	hs := make([]broker.Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	return hs
}
