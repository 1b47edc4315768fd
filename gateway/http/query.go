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

// Queries are about types and tags of events: any of the types, all of the tags.
//
//	GET  /v1/streams/orders/events?type=placed&tag=customer:7&tag=item:3
//	POST /v1/query     {"streams":["orders"],"any":[{"types":["placed"],"tags":["customer:7"]}, {"tags":["item:3"]}],"from":"AQ…","limit":100}
//	POST /v1/append    {"events":[…],"unless":[{"stream":"orders","types":["placed"],"tags":["customer:7"],"after":"AQ…"}]}
//	Leat-Unless: type=placed tag=customer:7 after=AQ…
//
// The answer to a query is a page; when it is caught up, its next is what a condition on the same query is to come after.

// queryJSON is one query.
type queryJSON struct {
	Types []string `json:"types"`
	Tags  []string `json:"tags"`
}

// queryRequest is the body of POST /v1/query.
type queryRequest struct {
	Streams []string    `json:"streams"`
	Any     []queryJSON `json:"any"`
	From    string      `json:"from"`
	Limit   *int        `json:"limit"`
}

// unlessJSON is one condition.
type unlessJSON struct {
	Stream string `json:"stream"`
	queryJSON
	After string `json:"after"`
}

// query answers a page of events that one of some queries asks for.
func query(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	doc := queryRequest{}
	if err := decodeJSON("query", x.body.bytes, &doc); err != nil {
		return err
	}
	q := broker.PageRequest{Streams: doc.Streams, From: broker.Start{Kind: broker.StartEarliest}, Limit: pageLimitDefault}
	switch {
	case len(doc.Streams) == 0 || len(doc.Streams) > readStreamsMax:
		return wrong("query", "streams", "name 1 to %d streams", readStreamsMax).at("/streams")
	case len(doc.Any) == 0:
		return wrong("query", "any", "there is no query; {\"types\":[…],\"tags\":[…]} is one").at("/any")
	case doc.Limit != nil && (*doc.Limit < 1 || *doc.Limit > pageLimitMax):
		return wrong("query", "limit", "%d is no limit; a number from 1 to %d is", *doc.Limit, pageLimitMax).at("/limit")
	case doc.Limit != nil:
		q.Limit = *doc.Limit
	}
	for _, a := range doc.Any {
		q.Any = append(q.Any, broker.EventQuery{Types: a.Types, Tags: a.Tags})
	}
	if doc.From != "" {
		from, err := broker.ParseStart(doc.From, clock.Now())
		if err != nil {
			return pointerFault(fieldOf(err, "from"), "")
		}
		q.From = from
	}
	page, err := x.g.broker.ReadPage(x.r.Context(), x.caller(), q)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	*buf = appendPage((*buf)[:0], &page, nil, x.g.config.PageBytesMax)
	x.answer(nethttp.StatusOK, contentTypeJSON, *buf)
	return nil
}

// readUnless reads an array of conditions. What they say is copied: the broker keeps names.
func readUnless(r *record.JSONReader) ([]broker.Unless, error) {
	out := []broker.Unless{}
	for more := r.Enter('['); more; more = r.More(']') {
		place := "/unless/" + strconv.Itoa(len(out))
		if len(out) == broker.UnlessMax {
			return nil, wrong("append", "unless", "there are more than %d conditions on events", broker.UnlessMax).at("/unless")
		}
		text := r.Value()
		if bad, _ := r.Err(); bad != "" {
			return nil, notJSON(r)
		}
		var one unlessJSON
		if err := decodeJSON("append", []byte(text), &one); err != nil {
			p := asProblem(err)
			return nil, p.at(place + p.pointer)
		}
		u := broker.Unless{Stream: one.Stream, Query: broker.EventQuery{Types: one.Types, Tags: one.Tags}}
		if u.Stream == "" {
			return nil, wrong("append", "stream", "a condition needs a stream").at(place + "/stream")
		}
		if strings.Contains(one.After, "/") {
			u.AfterRef = one.After
		} else if one.After != "" {
			p, err := record.ParsePosition(one.After)
			if err != nil {
				return nil, wrong("append", "after", "%s", fault.As(err).Text).at(place + "/after")
			}
			u.After = p
		}
		out = append(out, u)
	}
	if bad, _ := r.Err(); bad != "" {
		return nil, notJSON(r)
	}
	return out, nil
}

// unlessHeader is what the headers Leat-Unless say, which are about the stream that is appended to unless they name another.
func unlessHeader(h nethttp.Header, stream string) ([]broker.Unless, error) {
	values := h["Leat-Unless"]
	if len(values) == 0 {
		return nil, nil
	}
	out := make([]broker.Unless, len(values))
	for i, text := range values {
		u, err := broker.ParseUnless(text)
		if err != nil {
			return nil, wrong("publish", "Leat-Unless", "%s", fault.As(err).Text)
		}
		if u.Stream == "" {
			u.Stream = stream
		}
		out[i] = u
	}
	return out, nil
}

// appendFound appends what a condition on events has found: {"unless":0,"pointer":"/unless/0","stream":…,"query":…,"found":{"ref":…,"position":…}}
func appendFound(b []byte, c *broker.FailedCondition) []byte {
	b = strconv.AppendInt(append(b, `{"pointer":"/unless/`...), int64(c.Found.Unless), 10)
	b = strconv.AppendInt(append(b, `","unless":`...), int64(c.Found.Unless), 10)
	b = appendMember(b, "stream", c.Stream)
	b = appendMember(b, "query", c.Found.Query)
	b = append(c.Found.Ref.Append(append(appendName(b, "found"), `{"ref":"`...)), `","position":"`...)
	return append(c.Found.Position.Append(b), `"}}`...)
}
