package http

import (
	"context"
	"errors"
	nethttp "net/http"
	"strconv"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
)

// GET /v1/streams/{stream}/export?from=&until=&limit=&wait=: a piece of a stream as NDJSON or, with format=avro, as a file of Avro (avro.go), from which import makes the same records again.
// exact.go draws a line. Leat-Next says where the next piece begins, Leat-Caught-Up: true that there is nothing more for now, or up to until.

const (
	exportLimitDefault = 1000
	exportWaitMax      = 30 * time.Second
)

var contentTypeLines = []string{"application/x-ndjson"}

func exportStream(x *call) error {
	if err := x.onlyParams("from", "until", "limit", "wait", "format", "codec"); err != nil {
		return err
	}
	from, err := x.start("", false)
	if err != nil {
		return err
	}
	limit, err := x.limit(exportLimitDefault)
	if err != nil {
		return err
	}
	until, err := x.until()
	if err != nil {
		return err
	}
	codec, err := x.exportFormat()
	if err != nil {
		return err
	}
	q := broker.PageRequest{Streams: []string{x.params[0]}, From: from, Limit: limit, Match: until.match}
	page, err := x.g.broker.ReadPage(x.r.Context(), x.caller(), q)
	if err == nil && len(page.Events) == 0 && page.CaughtUp && !until.passed {
		var again bool
		if again, err = x.waitForMore(page.Next); again && err == nil {
			q.From = broker.Start{Kind: broker.StartPosition, Position: page.Next}
			page, err = x.g.broker.ReadPage(x.r.Context(), x.caller(), q)
		}
	}
	if err != nil {
		return fieldOf(err, "from")
	}
	h := x.w.Header()
	h["Leat-Next"] = []string{page.Next.String()}
	h["Leat-Caught-Up"] = []string{strconv.FormatBool(page.CaughtUp || until.passed)}
	if codec != "" {
		return x.answerAvro(&page, codec)
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	*buf = (*buf)[:0]
	var w exactWriter
	for _, d := range page.Events {
		*buf = append(w.append(*buf, d), '\n')
	}
	x.answer(nethttp.StatusOK, contentTypeLines, *buf)
	return nil
}

// waitForMore waits as long as the request says for something to come after a place.
func (x *call) waitForMore(after record.Position) (more bool, err error) {
	text := x.param("wait")
	if text == "" {
		return false, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > exportWaitMax {
		return false, wrong("export", "wait", "%q is no time to wait; 0s to %s is", clip(text), exportWaitMax)
	}
	if err := x.g.followers.enter(); err != nil {
		return false, err
	}
	defer x.g.followers.leave()
	f, err := x.g.broker.Follow(x.r.Context(), x.caller(), broker.FollowRequest{
		Streams: []string{x.params[0]}, From: broker.Start{Kind: broker.StartPosition, Position: after},
	})
	if err != nil {
		return false, err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(x.r.Context(), wait)
	defer cancel()
	stop := context.AfterFunc(x.g.followers.ctx, cancel) // a drain ends the wait
	defer stop()
	_, err = f.Next(ctx, 1)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false, nil
	}
	_ = nethttp.NewResponseController(x.w).SetWriteDeadline(clock.Now().Add(x.g.limits.WriteTimeout)) // fails when closed, and so will the write
	return err == nil, err
}

// until is where an export ends.
type until struct {
	at     broker.Start
	passed bool // an event beyond it has been met
}

func (x *call) until() (*until, error) {
	text := x.param("until")
	if text == "" || text == "latest" {
		return &until{at: broker.Start{Kind: broker.StartLatest}}, nil
	}
	s, err := broker.ParseStart(text, clock.Now())
	if err != nil || s.Kind != broker.StartTime && s.Kind != broker.StartOffset && s.Kind != broker.StartPosition {
		return nil, wrong("export", "until", "%q is no end; latest, a time as in RFC 3339, a time before now such as -1h, offset:N and a position are", clip(text))
	}
	if s.Kind == broker.StartPosition {
		if s.Position, err = x.g.broker.OwnPosition("until", s.Position); err != nil {
			return nil, err
		}
	}
	return &until{at: s}, nil
}

// match takes what lies before the end: appended before a time, of an offset below one, up to a position.
func (u *until) match(d *broker.Delivered) (bool, error) {
	at := &u.at
	switch {
	case at.Kind == broker.StartOffset: // other partitions may have more
		return d.Ref.Offset < at.Offset, nil
	case at.Kind == broker.StartTime && d.AppendTime >= at.Time, at.Kind == broker.StartPosition && d.Position.Compare(at.Position) > 0:
		u.passed = true
	}
	return !u.passed, nil
}

// importFault places a refusal at a line, counted from 0 in the pointer as in every batch.
func importFault(err error, line int) error {
	p := asProblem(err)
	if p.fault.Kind == fault.Unavailable || p.fault.Kind == fault.QuotaSpent || p.fault.Kind == fault.Denied {
		return p // not of the line
	}
	if p.pointer == "" {
		p.pointer = "/" + strconv.Itoa(line)
		if p.fault.Subject != "" && p.fault.Op != "append" {
			p.field = p.fault.Subject
			p.pointer += "/" + pointerToken(p.fault.Subject)
		}
	}
	return p
}
