package kafka

import (
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/kafka/wire"
	"leat/internal/clock"
)

// writer is what the writing goroutine of a connection owns.
type writer struct {
	buf       []byte // answers that are not written yet
	unsent    []*slot
	answering *slot
	bufs      net.Buffers
	pieces    []wire.Piece
	names     names
	failures  failures
	fetch     wire.Fetch
	answer    wire.FetchResponse
	reader    reader
	ahead     ahead
	sessions  []*session // that the connection has used, and not seen the end of
}

// What is gathered before it is written even though more answers could join, and what a buffer may keep once it is empty.
const (
	gatherBytesMax = 64 << 10
	gatherSlotsMax = 64
	bufferBytesMax = 1 << 20
)

func (w *writer) begin(correlation int32, flexible bool) (start int) {
	start = len(w.buf)
	w.buf = wire.AppendResponseHeader(w.buf, correlation, flexible)
	return start
}

func (w *writer) end(start int) { wire.EndFrame(w.buf, start, 0) }

// abandon lets go of what will not be answered, after a panic.
func (w *writer) abandon() {
	if w.answering != nil {
		w.answering.done()
	}
	for _, s := range w.unsent {
		s.done()
	}
	w.answering, w.unsent = nil, nil
	w.ahead.drop()
	w.reader.rooms.give()
}

// writeLoop answers the slots of the queue in order, until it is closed. After a failure it only waits for what is under way, whose
// memory is in use until then, and answers nothing more.
func (k *conn) writeLoop(ctx context.Context) {
	var failed error
	fail := func(err error) {
		if err == nil || failed != nil {
			return
		}
		failed = err
		k.c.Log().Info("connection ends", "error", err)
		_ = k.c.Close() // which ends the reader
	}
	for {
		s, ok := k.next(ctx, fail)
		if !ok {
			k.out.ahead.drop()
			k.out.reader.rooms.give()
			k.logHeldBack()
			return
		}
		if failed != nil {
			if s.pending != nil {
				s.pending.Wait(ctx)
			}
			s.done()
			continue
		}
		if s.pending != nil && len(k.out.buf) > 0 && !isDone(s.pending) {
			fail(k.flush())
		}
		k.out.answering = s
		err := k.respond(ctx, s)
		k.logFailures(s)
		k.out.answering = nil
		k.out.unsent = append(k.out.unsent, s)
		last := s.last
		if err == nil && (last || len(k.out.buf) > gatherBytesMax || len(k.out.unsent) > gatherSlotsMax) {
			err = k.flush()
		}
		if err != nil {
			fail(err)
			k.settle(err)
		}
		if last {
			fail(fmt.Errorf("login refused: %w", errLogin))
		}
	}
}

// next takes the next slot; before it waits for one, it writes what is there, and reads what is likely to be asked for.
func (k *conn) next(ctx context.Context, fail func(error)) (*slot, bool) {
	select {
	case s, ok := <-k.queue:
		if ok {
			return s, true
		}
	default:
	}
	if len(k.out.unsent) > 0 {
		if err := k.flush(); err != nil {
			fail(err)
		}
	}
	a := &k.out.ahead
	if a.due && len(k.queue) == 0 && ctx.Err() == nil {
		w := k.startWork()
		a.read(ctx, k.g.b)
		w.spent(a.caller) // who is over what he may use is told so with the next answer
	}
	if a.held > 0 {
		t := clock.NewTimer(aheadKeep)
		defer t.Stop()
		select {
		case s, ok := <-k.queue:
			return s, ok
		case <-t.C:
			a.drop()
		}
	}
	s, ok := <-k.queue
	return s, ok
}

// respond encodes the answer to s, or writes it, if it is one that should not be copied.
func (k *conn) respond(ctx context.Context, s *slot) error {
	switch {
	case s.ready != nil:
		k.out.buf = append(k.out.buf, s.ready...)
		return nil
	case s.header.Key == wire.KeyProduce:
		return k.answerProduce(ctx, s)
	case s.header.Key == wire.KeyFetch:
		return k.answerFetch(ctx, s)
	case s.header.Key == wire.KeyMetadata:
		return k.answerMetadata(ctx, s)
	}
	q := kmsg.RequestForKey(s.header.Key)
	q.SetVersion(s.header.Version)
	if err := decode(q, s.body); err != nil {
		return fmt.Errorf("request %d version %d: %w", s.header.Key, s.header.Version, err)
	}
	work := k.startWork()
	r, err := findAPI(s.header.Key).handle(k, ctx, s, q)
	if t, ok := r.(kmsg.SetThrottleResponse); ok && !waits[s.header.Key] {
		if ms := k.mute.keep(work.spent(s.caller)); ms > 0 {
			t.SetThrottle(ms)
		}
	}
	if err != nil {
		s.err = err
		k.report("", -1, err)
	}
	k.out.buf = appendResponse(k.out.buf, s, r)
	return nil
}

// waits are the requests that are answered when others have done something: the time is not theirs.
var waits = map[int16]bool{11: true, 14: true} // JoinGroup, SyncGroup

// appendResponse appends a whole frame.
func appendResponse(dst []byte, s *slot, r kmsg.Response) []byte {
	r.SetVersion(s.header.Version)
	start := len(dst)
	dst = wire.AppendResponseHeader(dst, s.header.Correlation, r.IsFlexible() && s.header.Key != keyAPIVersions)
	dst = r.AppendTo(dst)
	wire.EndFrame(dst, start, 0)
	return dst
}

// flush writes what has been gathered and counts it.
func (k *conn) flush() error {
	var err error
	if len(k.out.buf) > 0 {
		_, err = k.c.Write(k.out.buf)
	}
	k.settle(err)
	return err
}

// settle counts what was answered and lets go of it.
func (k *conn) settle(err error) {
	now := clock.Now()
	for i, s := range k.out.unsent {
		if err == nil && s.op != nil {
			s.op.Done(now.Sub(s.begun), s.err)
		}
		s.done()
		k.out.unsent[i] = nil
	}
	k.out.unsent = k.out.unsent[:0]
	if cap(k.out.buf) > bufferBytesMax {
		k.out.buf = nil
	}
	k.out.buf = k.out.buf[:0]
}

// isDone reports whether the results of p are there.
func isDone(p *broker.PendingBatches) bool {
	done := p.Done()
	if done == nil {
		return true
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}
