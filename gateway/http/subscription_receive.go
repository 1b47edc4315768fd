package http

import (
	"bytes"
	"context"
	"encoding/json"
	nethttp "net/http"
	"strconv"
	"time"

	"leat/broker"
	"leat/internal/clock"
)

// POST /v1/subscriptions/{name}/receive {"max":10,"wait":20000,"lease":"30s"}
//
// 200 {"deliveries":[{"handle","id","attempt","again","until","ref","position","event":{…}},…]}, an empty list when nothing came within
// the wait, and nothing was there that nobody has. It ends with the client: what was handed to somebody who has gone is given back at once, and counts as no attempt.

// span is a time as it is said in a body: a number of milliseconds, or text with a unit, "20s".
type span struct {
	d     time.Duration
	given bool
	text  string // as it was said, when it is none
}

// UnmarshalJSON takes anything: what is none is refused by of, which knows the member.
func (s *span) UnmarshalJSON(p []byte) error {
	s.given, s.text = true, ""
	if bytes.HasPrefix(p, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(p, &text); err != nil {
			return err
		}
		d, err := time.ParseDuration(text)
		if s.d = d; err != nil {
			s.text = text
		}
		return nil
	}
	ms, err := strconv.ParseInt(string(p), 10, 64)
	if err != nil || ms > int64(spanMax/time.Millisecond) || ms < -int64(spanMax/time.Millisecond) {
		s.text = string(p)
	}
	s.d = time.Duration(ms) * time.Millisecond
	return nil
}

// spanMax is the longest time that is read at all; what asks for it has a limit of its own, or the broker has.
const spanMax = 366 * 24 * time.Hour

// of is the time, or unsaid when nothing was said.
func (s *span) of(op, member string, unsaid, least, most time.Duration) (time.Duration, error) {
	switch {
	case !s.given:
		return unsaid, nil
	case s.text != "":
		return 0, wrong(op, member, `%s is no time; a number of milliseconds, and text such as "30s", are`, clip(s.text)).at("/" + member)
	case s.d < least || s.d > most:
		return 0, wrong(op, member, "%s is outside %s to %s", s.d, least, most).at("/" + member)
	}
	return s.d, nil
}

// leaseLeast and leaseMost bound a lease that is asked for.
const (
	leaseLeast = time.Millisecond
	leaseMost  = 12 * time.Hour
)

func receive(x *call) error {
	var doc struct {
		Max   *int `json:"max"`
		Wait  span `json:"wait"`
		Lease span `json:"lease"`
	}
	if err := x.smallBody("receive", &doc); err != nil {
		return err
	}
	q := broker.ReceiveRequest{Max: 1}
	if doc.Max != nil {
		if q.Max = *doc.Max; q.Max < 1 || q.Max > broker.ReceiveMax {
			return wrong("receive", "max", "max is %d; a number from 1 to %d is", q.Max, broker.ReceiveMax).at("/max")
		}
	}
	var err error
	if q.Wait, err = doc.Wait.of("receive", "wait", 0, 0, broker.ReceiveWaitMax); err != nil {
		return err
	}
	if q.Lease, err = doc.Lease.of("receive", "lease", 0, leaseLeast, leaseMost); err != nil {
		return err
	}
	x.body.free() // its memory is not held while waiting
	ds, err := x.receive(q)
	if err != nil {
		return err
	}
	return x.answerDeliveries(ds)
}

// receive takes deliveries and waits for them, at most until the client leaves or the gateway stops.
func (x *call) receive(q broker.ReceiveRequest) ([]broker.Delivery, error) {
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(x.g.followers.ctx, cancel)()
	// Both clocks of net/http started with the request. When that for reading strikes, the context ends as if the client had gone.
	rc, now := nethttp.NewResponseController(x.w), clock.Now()
	_ = rc.SetReadDeadline(now.Add(q.Wait + x.g.limits.ReadTimeout))   // fails when closed, and so will the answer
	_ = rc.SetWriteDeadline(now.Add(q.Wait + x.g.limits.WriteTimeout)) // likewise
	ds, err := x.g.broker.Receive(ctx, x.caller(), x.params[0], q)
	if err != nil && len(ds) == 0 && ctx.Err() != nil && x.r.Context().Err() == nil {
		return nil, nil // this node is stopping: nothing came
	}
	if len(ds) > 0 && x.r.Context().Err() != nil { // nobody is there to get them
		x.giveBack(ds)
		return nil, x.r.Context().Err()
	}
	return ds, err
}

// giveBack has others handed what was not handed over after all.
func (x *call) giveBack(ds []broker.Delivery) {
	hs := make([]broker.Handle, len(ds))
	for i := range ds {
		hs[i] = ds[i].Handle
	}
	ctx := context.WithoutCancel(x.r.Context())
	if _, err := x.g.broker.Release(ctx, x.caller(), hs, 0, false); err != nil {
		x.g.log.Debug("deliveries could not be given back: their leases run out", "subscription", x.params[0], "error", err)
	}
}

// answerDeliveries answers with as many as fit a page, one at least, and gives the others back.
func (x *call) answerDeliveries(ds []broker.Delivery) error {
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	b := append((*buf)[:0], `{"deliveries":[`...)
	for i := range ds {
		d := &ds[i]
		e := d.Encoded(formatJSON, encodeJSON)
		if i > 0 && len(b)+len(e) > x.g.config.PageBytesMax {
			x.giveBack(ds[i:])
			break
		}
		text, err := x.g.broker.HandleText(d.Handle)
		if err != nil {
			x.giveBack(ds)
			return err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"handle":"`...), text...) // base64url
		b = append(appendMember(append(b, '"'), "id", d.ID), `,"attempt":`...)
		b = strconv.AppendInt(b, int64(d.Attempt), 10)
		b = strconv.AppendBool(appendName(b, "again"), d.Again)
		b = d.Until.UTC().AppendFormat(append(b, `,"until":"`...), time.RFC3339Nano)
		b = append(b, '"', ',')
		if !d.Marks.None() {
			b = append(appendMarks(b, &d.Marks), ',')
		}
		b = appendPlace(b, d.Delivered)
		b = append(append(appendName(b, "event"), e...), '}')
	}
	*buf = append(b, ']', '}', '\n')
	x.answer(nethttp.StatusOK, contentTypeJSON, *buf)
	return nil
}

// appendMarks appends "marks":{"gap":2,"late":true,"duplicate_of":"orders/0/2"}, of which what holds is there.
func appendMarks(b []byte, m *broker.Marks) []byte {
	b = append(b, `"marks":{`...)
	if m.Gap > 0 {
		b = append(strconv.AppendInt(append(b, `"gap":`...), m.Gap, 10), ',')
	}
	if m.Late {
		b = append(b, `"late":true,`...)
	}
	if m.DuplicateOf != "" {
		b = append(appendString(append(b, `"duplicate_of":`...), m.DuplicateOf), ',')
	}
	return append(b[:len(b)-1], '}')
}
