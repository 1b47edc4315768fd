package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"unicode/utf8"

	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// object is one thing as JSON.
type object = map[string]any

// answer writes JSON. A failure to write is the connection's: it is found out by whoever reads next.
func (x *call) answer(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if x.conn != nil {
		_ = http.NewResponseController(x.w).SetWriteDeadline(clock.Now().Add(x.conn.Listener().Limits().WriteTimeout)) // fails when closed, and so will the write
	}
	h := x.w.Header()
	if status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close") // what is still to come is not read
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(b)
	return nil
}

func (x *call) text(s string) {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(x.w, s) // as in answer
}

// done answers what has no answer of its own.
func (x *call) done(status int) error {
	x.w.WriteHeader(status)
	return nil
}

// refuse answers an error, and returns it.
func (x *call) refuse(err error) error {
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError && x.conn != nil {
		x.conn.Log().Warn("a request failed", "request", x.r.Method+" "+clip(x.r.URL.Path), "error", err)
	}
	if p.status == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", `Basic realm="RabbitMQ Management"`)
	}
	_ = x.answer(p.status, object{"error": p.name, "reason": p.reason}) // text can always be written
	return err
}

// body decodes the request's body, which has to be a JSON object. Numbers stay as they were written.
func (x *call) body(ctx context.Context, v any) error {
	if x.r.ContentLength > x.g.cfg.BodyBytesMax {
		return errTooLong
	}
	release, err := x.g.b.Reserve(ctx, &x.caller, x.bodyRoom())
	if err != nil {
		return err
	}
	defer release()
	b, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, x.g.cfg.BodyBytesMax))
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return errTooLong
	}
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		b = []byte("{}")
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		var p *problem
		if errors.As(err, &p) {
			return p
		}
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return badRequest("wrong type: " + wrong.Field + " cannot be a " + wrong.Value)
		}
		return badRequest("not_json")
	}
	return nil
}

// bodyCopies is how often a body is in memory while it is decoded.
const bodyCopies = 3

// bodyRoom is the memory that reading the body takes.
func (x *call) bodyRoom() int {
	n := x.r.ContentLength
	if n < 0 {
		n = x.g.cfg.BodyBytesMax
	}
	return int(n) * bodyCopies
}

// tableOf is a JSON object as a table: whole numbers are long, as RabbitMQ makes them.
func tableOf(in object) (wire.Table, error) {
	var t wire.Table
	for _, name := range sortedKeys(in) {
		v, err := valueOf(in[name])
		if err != nil {
			return nil, err
		}
		if t, err = t.Add(name, v); err != nil {
			return nil, badRequest("the name " + clip(name) + " is too long")
		}
	}
	return t, nil
}

func valueOf(v any) (wire.Value, error) {
	switch v := v.(type) {
	case nil:
		return wire.Void(), nil
	case bool:
		return wire.Bool(v), nil
	case string:
		return wire.String(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return wire.Int64(n), nil
		}
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) {
			return wire.Value{}, badRequest("the number " + clip(v.String()) + " is too large")
		}
		return wire.Float64(f), nil
	case []any:
		var a wire.Array
		for _, e := range v {
			w, err := valueOf(e)
			if err != nil {
				return wire.Value{}, err
			}
			a = a.Add(w)
		}
		return wire.ArrayValue(a), nil
	case object:
		t, err := tableOf(v)
		return wire.TableValue(t), err
	}
	return wire.Value{}, badRequest("not_json")
}

// jsonOf is a table as JSON.
func jsonOf(t wire.Table) object {
	out := object{}
	for name, v := range t.All() {
		out[string(name)] = jsonValue(v)
	}
	return out
}

func jsonValue(v wire.Value) any {
	if n, ok := v.Int(); ok {
		return n
	}
	if b, ok := v.Bool(); ok {
		return b
	}
	if f, ok := v.Float(); ok {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
		return f
	}
	if b, ok := v.Text(); ok {
		return strings.ToValidUTF8(string(b), string(utf8.RuneError))
	}
	if s, ok := v.Seconds(); ok {
		return s
	}
	if scale, n, ok := v.Decimal(); ok {
		return float64(n) / math.Pow10(int(scale))
	}
	if t, ok := v.Table(); ok {
		return jsonOf(t)
	}
	if a, ok := v.Array(); ok {
		out := []any{}
		for e := range a.All() {
			out = append(out, jsonValue(e))
		}
		return out
	}
	return nil
}
