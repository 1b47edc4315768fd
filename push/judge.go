package push

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/internal/outbound"
)

// Waits before another attempt where the subscription says nothing (its backoff is 0), doubled from the first to the last; and the wait after
// something that is our own fault.
const (
	backoffFirst = time.Second
	backoffLast  = 5 * time.Minute
	ownFault     = time.Second
)

// What a dead letter keeps of an answer.
const answerBytesMax = 256

// judge says what becomes of deliveries after an attempt:
//
//	2xx                       acknowledged
//	410, and what we ended    given back, no attempt; after 410 the endpoint is paused
//	413, 415, Webhook-Delivery: abort-message   dead letter
//	429                       given back, no attempt; after Retry-After
//	an address that may not be reached, nothing sent   given back, no attempt
//	all else                  an attempt that failed: after the backoff, and no sooner than Retry-After; a dead letter after the last
func (u *pump) judge(ds []broker.Delivery, res *outbound.Result) {
	u.l.tally.count(res, len(ds))
	v := verdict{verb: verbRelease, handles: handlesOf(ds), counts: true}
	switch {
	case res.Outcome == outbound.Delivered:
		v.verb = verbAck
	case res.Outcome == outbound.Refused:
		v.verb = verbReject
		u.because(ds, res)
	case res.Outcome == outbound.Gone, u.sending.Err() != nil: // or we ended it
		v.counts = false
	case res.Outcome == outbound.Unsent:
		v.counts = false
		if res.Err != outbound.ErrPaused { //nolint:errorlint // it is returned as it is
			v.after = ownFault
		}
	case res.Outcome == outbound.Blocked, res.Status == http.StatusTooManyRequests:
		v.counts, v.after = false, u.backoff(ds, res.RetryAfter)
	default:
		v.after = u.backoff(ds, res.RetryAfter)
		if most, _ := u.l.policy(); most > 0 && ds[0].Attempt >= most {
			u.because(ds, res)
		}
	}
	u.settler.add(v)
	if res.Outcome != outbound.Delivered && res.Outcome != outbound.Unsent {
		u.l.tally.failed(res)
	}
	if res.Change != nil {
		u.changed(res.Change) //nolint:contextcheck // it is told of whatever ends meanwhile
	}
}

// backoff is how long to wait before another attempt.
func (u *pump) backoff(ds []broker.Delivery, asked time.Duration) time.Duration {
	_, own := u.l.policy()
	if own && asked == 0 {
		return broker.ByPolicy
	}
	wait := backoffFirst
	for n := ds[0].Attempt; n > 1 && wait < backoffLast; n-- {
		wait *= 2
	}
	return max(min(wait, backoffLast), asked)
}

// because remembers what a dead letter should say.
func (u *pump) because(ds []broker.Delivery, res *outbound.Result) {
	var why []record.Header
	if res.Status > 0 {
		why = append(why, record.Header{Key: broker.HeaderDeadStatus, Value: []byte(strconv.Itoa(res.Status))})
	}
	if n := min(len(res.Body), answerBytesMax); n > 0 {
		why = append(why, record.Header{Key: broker.HeaderDeadAnswer, Value: []byte(strings.ToValidUTF8(string(res.Body[:n]), "�"))})
	}
	if res.Err != nil {
		why = append(why, record.Header{Key: broker.HeaderDeadError, Value: []byte(strings.ToValidUTF8(res.Err.Error(), "�"))})
	}
	for i := range ds {
		u.l.s.broker.Because(ds[i].Handle, why)
	}
}

// changed tells of a change of the endpoint's health, and keeps a pause over a restart.
func (u *pump) changed(c *outbound.Change) {
	data := map[string]any{"why": c.Why}
	switch {
	case c.To == outbound.Paused:
		ctx, cancel := context.WithTimeout(context.Background(), settleTime)
		defer cancel()
		err := u.l.remember(ctx, func(d *Document) {
			if d.same(u.doc) {
				d.Paused = &Mark{Why: c.Why, AtMS: c.At.UnixMilli()}
			}
		})
		if err != nil {
			u.l.s.log.Warn("a pause of a push is not remembered over a restart", "subscription", u.l.key.name, "error", err)
		}
		u.l.s.tell(broker.TypePushPaused, u.l.key, nil, data)
	case c.From == outbound.Closed && c.To == outbound.Open:
		data["until"], data["failures"] = c.Until.UTC().Format(time.RFC3339Nano), c.Failures
		u.l.s.tell(broker.TypePushFailing, u.l.key, nil, data)
	case c.To == outbound.Closed:
		data["after_ms"] = clock.Since(c.Since).Milliseconds()
		u.l.s.tell(broker.TypePushRecovered, u.l.key, nil, data)
	}
}
