package push

import (
	"context"
	"errors"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
	"leat/internal/hooks"
	"leat/internal/outbound"
)

const (
	leaseBeyond = 30 * time.Second // a delivery is ours for so long beyond the time one attempt may take
	holdMost    = time.Second      // what was taken waits so long for the endpoint; then it is given back
	ageMost     = time.Second      // a delivery that waited longer here was taken too early
	starvedLess = 2 * time.Millisecond
	syncAfter   = time.Second // without anything coming, the credit is counted anew

	windowFirst = 16
	windowMost  = 8_192
	takeMost    = 256
)

// pump moves deliveries from a member of the subscription to the endpoint:
//
//	ticket of the endpoint -> delivery of the member -> request, in a goroutine of its own -> settler
//
// A lease runs from when the broker hands a delivery over, so no more may be handed over than are soon sent. How many that are, the window,
// is learned: it doubles when the pump has a ticket and waits for deliveries that are there, and halves when one has waited here. What has been handed
// over when the endpoint stops taking is given back, which costs it no attempt.
type pump struct {
	l      *line
	doc    *Document
	e      *outbound.Endpoint
	signer *hooks.Signer
	m      *broker.Member
	c      *broker.Caller
	lease  time.Duration

	window  int
	credit  int // granted and not come yet, as far as is known
	unsure  bool
	pending []broker.Delivery // came, not sent
	settler *settler
	sending context.Context // of requests: it outlives the pump's for those under way
	under   sync.WaitGroup
}

func newPump(l *line, doc *Document, e *outbound.Endpoint, signer *hooks.Signer, m *broker.Member, c *broker.Caller, lease time.Duration) *pump {
	return &pump{l: l, doc: doc, e: e, signer: signer, m: m, c: c, lease: lease, window: max(windowFirst, doc.batch())}
}

// run pumps until ctx ends or the member is gone. When it returns, nothing is under way.
func (u *pump) run(ctx context.Context) error {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	u.sending = sending
	u.settler = newSettler(u.l.s.broker, u.c, u.l.s.log) //nolint:contextcheck // what happened is noted, whatever ends meanwhile
	defer u.settler.close()
	err := u.take(ctx)
	if !fault.Is(err, fault.Denied) { // who may not read may not give back; the member's leaving does
		u.giveBack(context.WithoutCancel(ctx)) //nolint:contextcheck // what was taken must go back, whatever ended
	}
	stop := clock.AfterFunc(stopGrace, cut)
	defer stop.Stop()
	u.under.Wait()
	return err
}

func (u *pump) take(ctx context.Context) error {
	for {
		t, err := u.acquire(ctx)
		if err != nil {
			return err
		}
		if err := u.fill(ctx); err != nil {
			u.e.Release(t)
			return err
		}
		ds := u.next()
		u.under.Go(func() { u.send(t, ds) }) //nolint:contextcheck // likewise
	}
}

// acquire waits for the endpoint to take one more. When that takes long, what came for it is given back.
func (u *pump) acquire(ctx context.Context) (outbound.Ticket, error) {
	if t, ok := u.e.TryAcquire(); ok && ctx.Err() == nil {
		return t, nil
	} else if ok {
		u.e.Release(t)
	}
	if u.credit+len(u.pending) > 0 {
		short, cancel := context.WithTimeout(ctx, holdMost)
		t, err := u.e.Acquire(short)
		cancel()
		if err == nil || ctx.Err() != nil || errors.Is(err, outbound.ErrClosed) {
			return t, err
		}
		u.window = max(u.window/2, 1)
		u.giveBack(ctx)
	}
	return u.e.Acquire(ctx)
}

// fill waits until there is something to send.
func (u *pump) fill(ctx context.Context) error {
	for first := true; len(u.pending) == 0; first = false {
		if u.credit <= u.window/2 {
			n := u.window - u.credit
			if err := u.m.Grant(ctx, n); err != nil {
				return err
			}
			u.credit += n
		}
		ds, err := u.m.TryNext(takeMost) //nolint:contextcheck // what is given back or counted is no part of the request
		if err != nil {
			return err
		}
		if len(ds) == 0 {
			if ds, err = u.await(ctx, first); err != nil {
				return err
			}
		}
		if u.credit = max(u.credit-len(ds), 0); len(ds) > 0 {
			u.unsure = true
			if now := clock.Now(); u.lease-ds[0].Until.Sub(now) > ageMost {
				u.window = max(u.window/2, 1)
			}
		}
		u.pending = ds
	}
	// Looked at each time something came: nothing is sent for somebody who may not read it any more.
	if k := u.l.key; !u.l.s.broker.Allowed(u.c, broker.ActionRead, broker.KindSubscription, k.name) {
		return fault.New(fault.Denied, "push", k.name, "%q, who set up the push, may not read the subscription", u.c.Principal)
	}
	return nil
}

// await waits for deliveries. Those that come at once were there already: more could have been under way.
func (u *pump) await(ctx context.Context, first bool) ([]broker.Delivery, error) {
	began := clock.Now()
	timer := clock.NewTimer(syncAfter)
	defer timer.Stop()
	select {
	case <-u.m.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		// A delivery that nobody got to see (its event is gone, its lease ran out) has used up credit that is counted here still.
		if u.unsure {
			u.unsure = false
			if err := u.m.Grant(ctx, -1); err != nil {
				return nil, err
			}
			u.credit = 0
		}
	}
	ds, err := u.m.TryNext(takeMost) //nolint:contextcheck // what is given back or counted is no part of the request
	if len(ds) > 0 && first && clock.Since(began) < starvedLess {
		u.window = min(2*u.window, max(windowMost, u.doc.batch()))
	}
	return ds, err
}

// next takes what one request carries: one, or a batch of what was never tried. So what was refused in a batch comes alone the next time.
func (u *pump) next() []broker.Delivery {
	n := 1
	if most := u.doc.batch(); most > 1 && u.pending[0].Attempt == 1 {
		bytes := len(u.pending[0].Record.Value)
		for n < min(most, len(u.pending)) && u.pending[n].Attempt == 1 {
			if bytes += len(u.pending[n].Record.Value); bytes > BatchBytesMax {
				break
			}
			n++
		}
	}
	ds := u.pending[:n:n]
	u.pending = u.pending[n:]
	return ds
}

// giveBack returns what was handed over and is not under way, as if it had never been.
func (u *pump) giveBack(ctx context.Context) {
	back := u.pending
	u.pending = nil
	if u.m.Grant(ctx, -1) == nil {
		u.credit = 0
	}
	for {
		ds, err := u.m.TryNext(takeMost) //nolint:contextcheck // what is given back or counted is no part of the request
		if err != nil || len(ds) == 0 {
			break
		}
		back = append(back, ds...)
	}
	if len(back) > 0 {
		u.settler.add(verdict{verb: verbRelease, handles: handlesOf(back)})
	}
}

// send makes one attempt.
func (u *pump) send(t outbound.Ticket, ds []broker.Delivery) {
	r, err := u.request(ds)
	if err != nil {
		u.e.Release(t)
		u.judge(ds, &outbound.Result{Outcome: outbound.Refused, Err: err})
		return
	}
	if ds[0].Until.Sub(clock.Now()) < u.doc.timeout()+time.Second {
		// It waited here for longer than was thought. When it cannot be kept, somebody else may have it.
		if out, err := u.l.s.broker.Renew(u.sending, u.c, handlesOf(ds), u.lease); err != nil || !allDone(out) {
			u.e.Release(t)
			u.settler.add(verdict{verb: verbRelease, handles: handlesOf(ds)})
			return
		}
	}
	res := u.e.Send(u.sending, t, r)
	u.judge(ds, &res)
}

func allDone(out []broker.Outcome) bool {
	for _, o := range out {
		if o != broker.OutcomeDone {
			return false
		}
	}
	return true
}

func handlesOf(ds []broker.Delivery) []broker.Handle {
	hs := make([]broker.Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	return hs
}
