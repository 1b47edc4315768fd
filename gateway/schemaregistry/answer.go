package schemaregistry

import (
	"bytes"
	"encoding/json"
	"net/http"

	"leat/internal/clock"
)

// plain is an answer that is a text as it stands.
type plain string

// written is JSON that stands already.
type written []byte

// nothing is an answer without a body.
type nothing struct{}

// answer writes JSON. A failure to write is the connection's: it is found out by whoever reads next.
func (x *call) answer(status int, v any) error {
	var b []byte
	switch v := v.(type) {
	case nothing:
		x.w.WriteHeader(http.StatusNoContent)
		return nil
	case plain:
		b = []byte(v)
	case written:
		b = v
	default:
		var buf bytes.Buffer
		e := json.NewEncoder(&buf)
		e.SetEscapeHTML(false) // a schema is shown as it is
		if err := e.Encode(v); err != nil {
			return err
		}
		b = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	}
	if x.conn != nil {
		_ = http.NewResponseController(x.w).SetWriteDeadline(clock.Now().Add(x.conn.Listener().Limits().WriteTimeout)) // fails when closed, and so will the write
	}
	h := x.w.Header()
	if status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close") // what is still to come is not read
	}
	media := x.media
	if media == "" {
		media = mediaTypes[0]
	}
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(b)
	return nil
}

// refuse answers an error, and returns it.
func (x *call) refuse(err error) error {
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError && x.conn != nil {
		path := x.r.URL.Path
		x.conn.Log().Warn("a request failed", "request", x.r.Method+" "+path[:min(len(path), textBytesKept)], "error", err)
	}
	if p.status == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", `Basic realm="SchemaRegistry"`)
	}
	_ = x.answer(p.status, struct { // text can always be written
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{p.code, p.text})
	return err
}
