package http

import (
	"errors"
	"log/slog"
	nethttp "net/http"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway"
)

// problem is a refusal in the words of HTTP, told as an RFC 9457 problem document:
//
//	{"type":"urn:leat:problem:invalid","title":…,"status":400,"detail":…,"instance":"urn:leat:request:…","kind":"invalid",
//	 "subject":"orders","field":"limit","pointer":"/events/2/type","retry_after_ms":250, …}
//
// Members that have nothing to say are left out. It never tells how we are built; the log has the cause, under the instance.
type problem struct {
	fault   *fault.Error
	status  int         // 0: what faults.go says
	title   string      // with status
	kind    string      // with status; the last part of the type
	field   string      // the header, query parameter or attribute that is wrong
	pointer string      // RFC 6901, into the request body
	header  [][2]string // Allow, Accept-Post, …
	members [][2]string // more members: name, and JSON
	close   bool        // the connection cannot go on: its body was not read
}

func (p *problem) Error() string { return p.fault.Error() }
func (p *problem) Unwrap() error { return p.fault }

// wrong is an Invalid refusal that names the field.
func wrong(op, field, format string, args ...any) *problem {
	return &problem{fault: fault.New(fault.Invalid, op, field, format, args...), field: field}
}

// at names the place in the body.
func (p *problem) at(pointer string) *problem { p.pointer = pointer; return p }

// with adds a header.
func (p *problem) with(name, value string) *problem {
	p.header = append(p.header, [2]string{name, value})
	return p
}

// asProblem is err as a problem, whatever it was.
func asProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	f := fault.As(err)
	return &problem{fault: f}
}

// document writes the problem in full. op is what the client was doing and instance the name of this request.
func (p *problem) document(instance string) (code int, body []byte) {
	f := p.fault
	code, title := status(f)
	kind := f.Kind.String()
	if p.status != 0 {
		code, title, kind = p.status, p.title, p.kind
	}
	b := append(make([]byte, 0, 512), `{"type":"urn:leat:problem:`...)
	b = append(append(b, kind...), '"')
	b = appendMember(b, "title", title)
	b = strconv.AppendInt(appendName(b, "status"), int64(code), 10)
	b = appendMember(b, "detail", f.Text)
	b = appendMember(b, "instance", instance)
	b = appendMember(b, "kind", kind)
	pointer := p.pointer
	if at, ok := f.Detail.(string); ok && f.Kind == fault.ContractBroken { // where in the event
		pointer += at
	}
	field := p.field
	if d, ok := f.Detail.(*broker.ContractBreak); ok {
		field = d.Field
	}
	for _, m := range [...][2]string{
		{"reason", string(f.Reason)}, {"subject", f.Subject}, {"field", field}, {"pointer", pointer},
	} {
		if m[1] != "" {
			b = appendMember(b, m[0], m[1])
		}
	}
	if f.Retry == fault.Later && f.AfterMS > 0 {
		b = strconv.AppendInt(appendName(b, "retry_after_ms"), f.AfterMS, 10)
	}
	if failed, ok := f.Detail.([]broker.FailedCondition); ok {
		b = appendFailed(appendName(b, "failed"), failed)
	}
	if outcomes, ok := f.Detail.([]broker.Outcome); ok {
		b = append(appendName(b, "outcomes"), '[')
		for i, o := range outcomes {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, o.String())
		}
		b = append(b, ']')
	}
	if f.Kind == fault.Trimmed { // what to give as from instead
		if earliest, ok := f.Detail.(record.Offset); ok {
			b = appendMember(b, "earliest", "offset:"+strconv.FormatInt(int64(earliest), 10))
		} else {
			b = appendMember(b, "earliest", "earliest")
		}
	}
	for _, m := range p.members {
		b = append(appendName(b, m[0]), m[1]...)
	}
	return code, append(b, '}', '\n')
}

// appendFailed appends every condition that failed, with what is there now; version 0 is "none".
func appendFailed(b []byte, failed []broker.FailedCondition) []byte {
	b = append(b, '[')
	for i, c := range failed {
		if i > 0 {
			b = append(b, ',')
		}
		if c.Found != nil {
			b = appendFound(b, &failed[i])
			continue
		}
		if c.If >= 0 {
			b = append(append(strconv.AppendInt(append(b, `{"pointer":"/if/`...), int64(c.If), 10), '"'), `,"if":`...)
			b = strconv.AppendInt(b, int64(c.If), 10)
		} else {
			b = strconv.AppendInt(append(b, `{"event":`...), int64(c.Event), 10)
		}
		b = appendMember(b, "stream", c.Stream)
		b = appendMember(b, "key", c.Key)
		b = appendMember(b, "expected", c.Expected)
		b = appendName(b, "current")
		if c.Current == 0 {
			b = append(b, `"none"}`...)
		} else {
			b = append(strconv.AppendUint(b, c.Current, 10), '}')
		}
	}
	return append(b, ']')
}

// refuse answers with the problem. What is our own doing is logged with its cause under the instance the client was told.
func (g *Gateway) refuse(w nethttp.ResponseWriter, r *nethttp.Request, err error) {
	p := asProblem(err)
	instance := instanceOf(r)
	code, body := p.document(instance)
	h := w.Header()
	h["Content-Type"] = contentTypeProblem
	h["Cache-Control"] = headerNoStore
	switch code {
	case nethttp.StatusUnauthorized:
		h["Www-Authenticate"] = headerChallenges
	case nethttp.StatusTooManyRequests, nethttp.StatusServiceUnavailable, nethttp.StatusInsufficientStorage:
		h.Set("Retry-After", strconv.FormatInt(retrySeconds(p.fault.AfterMS, g.config.RetryAfter), 10))
	}
	for _, kv := range p.header {
		h.Set(kv[0], kv[1])
	}
	if p.close {
		h.Set("Connection", "close")
	}
	g.logRefusal(r, code, instance, p.fault)
	w.WriteHeader(code)
	if r.Method != nethttp.MethodHead {
		_, _ = w.Write(body) // the client has gone; there is nobody to tell
	}
}

// logRefusal keeps quiet about what is the client's doing. What is ours fails again with every request: of each kind of it there is one
// line in gateway.FaultLineInterval, with how many were held back.
func (g *Gateway) logRefusal(r *nethttp.Request, code int, instance string, f *fault.Error) {
	level := slog.LevelDebug
	if f.Kind == fault.Internal || f.Kind == fault.Corrupt || f.Kind == fault.Unknown {
		level = slog.LevelError
	}
	if !g.log.Enabled(r.Context(), level) {
		return
	}
	held := 0
	if level == slog.LevelError {
		var pass bool
		if held, pass = g.failures[f.Kind].Pass(); !pass {
			return
		}
	}
	args := []slog.Attr{
		slog.String("instance", instance), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", code),
		slog.String("client", r.RemoteAddr), slog.Any("fault", f),
	}
	if held > 0 {
		args = append(args, slog.Int("held_back", held))
	}
	g.log.LogAttrs(r.Context(), level, "request refused", args...)
}

// retrySeconds is Retry-After: whole seconds, at least one, rounded up so that nobody comes back too soon.
func retrySeconds(afterMS int64, least time.Duration) int64 {
	return max(1, (max(afterMS, least.Milliseconds())+999)/1000)
}

// instanceOf names the request, as the log does.
func instanceOf(r *nethttp.Request) string {
	c := gateway.ConnOf(r.Context())
	if c == nil { // not behind the harness
		return "urn:leat:request:unnumbered"
	}
	return "urn:leat:request:" + c.LastRequest().String()
}

// pointerToken escapes a member name for a JSON Pointer (RFC 6901).
func pointerToken(s string) string {
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
