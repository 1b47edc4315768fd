package http

import (
	nethttp "net/http"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
)

// Reading: GET /v1/streams/{stream}/events and GET /v1/events?streams=a,b, each as a page, by SSE or by WebSocket, and
// GET /v1/events/{ref} for one event.

const (
	pageLimitDefault = 100
	pageLimitMax     = 1000
	// readStreamsMax is the most streams one request reads.
	readStreamsMax = 100
	// typesMax is the most types one request asks for.
	typesMax = 100
)

func readStream(x *call) error { return x.read([]string{x.params[0]}) }

// readStreams reads several streams in position order.
func readStreams(x *call) error {
	var streams []string
	if x.r.URL.RawQuery != "" {
		for _, v := range x.r.URL.Query()["streams"] {
			for s := range strings.SplitSeq(v, ",") {
				if s != "" {
					streams = append(streams, s)
				}
			}
		}
	}
	if len(streams) == 0 {
		return wrong("read", "streams", "say which streams to read, such as ?streams=orders,payments")
	}
	if len(streams) > readStreamsMax {
		return wrong("read", "streams", "at most %d streams can be read at once; these are %d", readStreamsMax, len(streams))
	}
	return x.read(streams)
}

// read answers in the form that is asked for.
func (x *call) read(streams []string) error {
	if err := x.onlyParams("from", "limit", "direction", "key", "type", "tag", "where", "streams"); err != nil {
		return err
	}
	if x.r.Method == nethttp.MethodGet {
		switch {
		case headerHasToken(x.r.Header["Upgrade"], "websocket"):
			return x.followWebSocket(streams)
		case acceptsEventStream(x.r.Header["Accept"]):
			return x.followSSE(streams)
		}
	}
	m, err := x.selection()
	if err != nil {
		return err
	}
	backward := false
	switch d := x.param("direction"); d {
	case "", "forward":
	case "backward":
		backward = true
	default:
		return wrong("read", "direction", "%q is no direction; forward and backward are", clip(d))
	}
	from, err := x.start("", backward)
	if err != nil {
		return err
	}
	limit, err := x.limit(pageLimitDefault)
	if err != nil {
		return err
	}
	asked := m.query()
	page, err := x.g.broker.ReadPage(x.r.Context(), x.caller(), broker.PageRequest{
		Streams: streams, From: from, Limit: limit, Backward: backward, Key: m.key, Any: asked, Match: m.match(true),
	})
	if err != nil {
		return fieldOf(err, "from")
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	*buf = appendPage((*buf)[:0], &page, m.where, x.g.config.PageBytesMax)
	x.answer(nethttp.StatusOK, contentTypeJSON, *buf)
	return nil
}

// start is where to begin: what is said, else from the start of what is kept, or when late is set from its end.
func (x *call) start(resume string, late bool) (broker.Start, error) {
	from := x.param("from")
	if resume != "" {
		p, err := record.ParsePosition(resume)
		if err != nil {
			return broker.Start{}, fieldOf(err, "Last-Event-ID")
		}
		return broker.Start{Kind: broker.StartPosition, Position: p}, nil
	}
	switch {
	case from == "" && late:
		return broker.Start{Kind: broker.StartLatest}, nil
	case from == "":
		return broker.Start{Kind: broker.StartEarliest}, nil
	}
	s, err := broker.ParseStart(from, clock.Now())
	return s, fieldOf(err, "from")
}

func (x *call) limit(unsaid int) (int, error) {
	s := x.param("limit")
	if s == "" {
		return unsaid, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > pageLimitMax {
		return 0, wrong("read", "limit", "%q is no limit; a number from 1 to %d is", clip(s), pageLimitMax)
	}
	return n, nil
}

// fieldOf names the parameter or header a refusal of the broker is about, when it is what was said there that is wrong: a stream that is
// not there, or whose name cannot be one, is nobody's parameter.
func fieldOf(err error, field string) error {
	if err == nil {
		return nil
	}
	p := asProblem(err)
	said := p.fault.Kind == fault.Invalid || p.fault.Kind == fault.Trimmed || p.fault.Kind == fault.Unsupported
	if p.field == "" && said && p.fault.Op != "name" {
		p.field = field
	}
	return p
}

// appendPage appends {"events":[…],"stored":[…],"next":…,"caught_up":…}. stored says, event by event, where it is. A page of many
// bytes is cut short, and goes on after its last event.
func appendPage(b []byte, page *broker.Page, w *where, bytesMax int) []byte {
	b, fit := appendEvents(b, page.Events, bytesMax)
	if fit < len(page.Events) {
		page.Events, page.Next, page.CaughtUp = page.Events[:fit], page.Events[fit-1].Position, false
	}
	b = append(b, `,"next":"`...)
	b = append(page.Next.Append(b), `","caught_up":`...)
	b = strconv.AppendBool(b, page.CaughtUp)
	if w != nil && w.errors > 0 {
		b = strconv.AppendInt(append(appendName(b, "where_errors"), `{"count":`...), int64(w.errors), 10)
		b = append(appendMember(b, "first", w.first), '}')
	}
	return append(b, '}', '\n')
}

// appendEvents begins a page: {"events":[…],"stored":[…]. It ends before the event that would make it longer than so many bytes, but has one; fit is
// how many it has.
func appendEvents(b []byte, events []*broker.Delivered, bytesMax int) (page []byte, fit int) {
	b = append(b, `{"events":[`...)
	for fit < len(events) {
		e := events[fit].Encoded(formatJSON, encodeJSON)
		if fit > 0 && len(b)+len(e) > bytesMax {
			break
		}
		if fit > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
		fit++
	}
	b = append(b, `],"stored":[`...)
	for i, d := range events[:fit] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendPlace(append(b, '{'), d), '}')
	}
	return append(b, ']'), fit
}

// appendPlace appends "ref":…,"position":… and, where the stream keeps versions, "version":….
func appendPlace(b []byte, d *broker.Delivered) []byte {
	b = append(b, `"ref":"`...)
	b = append(d.Ref.Append(b), `","position":"`...)
	b = append(d.Position.Append(b), '"')
	if d.Version != 0 {
		b = strconv.AppendUint(appendName(b, "version"), d.Version, 10)
	}
	return b
}

// readRef answers with one event as a CloudEvent in JSON; where it is stored is in headers.
func readRef(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	ref, err := record.ParseRef(x.params[0] + "/" + x.params[1] + "/" + x.params[2])
	if err != nil {
		return fieldOf(err, "ref")
	}
	d, err := x.g.broker.ReadRef(x.r.Context(), x.caller(), ref)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Leat-Ref", d.Ref.String())
	h.Set("Leat-Position", d.Position.String())
	if d.Version != 0 {
		h.Set("Leat-Version", strconv.FormatUint(d.Version, 10))
	}
	x.answer(nethttp.StatusOK, contentTypeEvent, d.Encoded(formatJSON, encodeJSON))
	return nil
}

// acceptsEventStream is whether text/event-stream is among what is accepted.
func acceptsEventStream(accept []string) bool {
	for _, v := range accept {
		for part := range strings.SplitSeq(v, ",") {
			media, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
				return true
			}
		}
	}
	return false
}

// headerHasToken is whether a comma-separated header has the token, in any case.
func headerHasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
