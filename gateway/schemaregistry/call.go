package schemaregistry

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"leat/broker"
	"leat/broker/fault"
	"leat/contract/registry"
	"leat/gateway"
)

// call is one request.
type call struct {
	g        *Gateway
	w        http.ResponseWriter
	r        *http.Request
	conn     *gateway.Conn
	listener string

	caller broker.Caller
	vars   map[string]string
	query  url.Values
	within string // the context of the path, "" where it has none
	media  string // of the answer
}

// Media types; the first is what is answered where the client does not care.
var mediaTypes = []string{"application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/json"}

// charsets are those of bodies; which one it is the body itself says.
var charsets = []string{"", "utf-8", "us-ascii", "utf-16", "utf-16le", "utf-16be"}

func (x *call) registry() *registry.Registry { return x.g.b.Contracts(x.caller.Namespace) }

// inContext has subjects of the path be those of a context.
func (x *call) inContext(context string) {
	if context == "" {
		return
	}
	x.within = ":" + strings.Trim(context, ":") + ":"
	if s, ok := x.vars["subject"]; ok && !strings.HasPrefix(s, ":.") {
		x.vars["subject"] = x.within + s
	}
	for _, q := range []string{"subjectPrefix", "subject"} {
		if !strings.HasPrefix(x.query.Get(q), ":") {
			x.query.Set(q, x.within+x.query.Get(q))
		}
	}
}

// subject is that of the path, or the context as a whole; "" is all.
func (x *call) subject() string {
	s, ok := x.vars["subject"]
	if !ok {
		s = x.within
	}
	if registry.IsDefault(s) {
		return ""
	}
	return registry.Normalize(s)
}

func (x *call) is(name string) bool {
	v := x.query.Get(name)
	return strings.EqualFold(v, "true") || v == "1" || v == "" && x.query.Has(name)
}

// negotiate finds the media type of the answer, and refuses bodies of others.
func (x *call) negotiate() error {
	x.media = mediaTypes[0]
	if accept := x.r.Header.Get("Accept"); slices.Contains(mediaTypes, accept) {
		x.media = accept
	} else if accept != "" && accept != "*/*" {
		best, quality := "", 0.0
		for part := range strings.SplitSeq(accept, ",") {
			part = strings.TrimSpace(part)
			if rest, ok := strings.CutPrefix(part, "*"); ok && !strings.HasPrefix(rest, "/") {
				part = "*/*" + rest // as some clients write it
			}
			t, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			q := 1.0
			if f, err := strconv.ParseFloat(params["q"], 64); err == nil {
				q = f
			}
			if strings.HasPrefix(t, "*/") || t == "application/*" {
				t = mediaTypes[0]
			}
			if slices.Contains(mediaTypes, t) && q > quality {
				best, quality = t, q
			}
		}
		if best == "" {
			return &problem{http.StatusNotAcceptable, http.StatusNotAcceptable, "HTTP 406 Not Acceptable"}
		}
		x.media = best
	}
	if x.r.Method != http.MethodPost && x.r.Method != http.MethodPut || x.r.ContentLength == 0 {
		return nil
	}
	if t := x.r.Header.Get("Content-Type"); t != "" {
		t, params, err := mime.ParseMediaType(t)
		if err != nil || !slices.Contains(mediaTypes, t) && t != "application/octet-stream" || !slices.Contains(charsets, strings.ToLower(params["charset"])) {
			return &problem{http.StatusUnsupportedMediaType, http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type"}
		}
	}
	return nil
}

const textBytesKept = 256

// login finds out who it is: by Basic, or by a token as Bearer.
func (x *call) login(ctx context.Context) error {
	agent := x.r.UserAgent()
	x.caller = broker.Caller{Listener: x.listener, Protocol: "schema-registry", Address: hostOnly(x.r.RemoteAddr), Client: agent[:min(len(agent), textBytesKept)]}
	if !x.g.b.UsersExist() {
		return nil
	}
	if name, password, ok := x.r.BasicAuth(); ok {
		if err := x.g.b.CheckPassword(ctx, &x.caller, name, password); err != nil {
			return loginError(err)
		}
		x.caller.Principal = name
	} else if token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer "); ok {
		name, err := x.g.b.CheckToken(ctx, &x.caller, token)
		if err != nil {
			return loginError(err)
		}
		x.caller.Principal = name
	} else {
		return errLogin
	}
	x.caller.Namespace = x.g.b.NamespaceOf(x.caller.Principal)
	return nil
}

func loginError(err error) error {
	if fault.Is(err, fault.Denied) {
		return errLogin
	}
	return err
}

const bodyCopies = 5 // how often a body is in memory while it is worked on

// body decodes the request's body, an object without members that nobody knows.
func (x *call) body(ctx context.Context, v any) error {
	most := x.g.cfg.BodyBytesMax
	if x.r.ContentLength > most {
		return errTooLong
	}
	room := x.r.ContentLength
	if room < 0 {
		room = most
	}
	release, err := x.g.b.Reserve(ctx, &x.caller, int(room)*bodyCopies)
	if err != nil {
		return err
	}
	defer release()
	b, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, most))
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return errTooLong
	}
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(inUTF8(b)))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return &problem{http.StatusUnprocessableEntity, http.StatusUnprocessableEntity, "Invalid value for field " + wrong.Field + ": it cannot be a " + wrong.Value}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return &problem{http.StatusUnprocessableEntity, http.StatusUnprocessableEntity, "Unrecognized field: " + strings.Trim(name, `"`)}
	}
	return &problem{http.StatusBadRequest, http.StatusBadRequest, "HTTP 400 Bad Request: the body is no JSON object"}
}

// inUTF8 turns JSON in UTF-16 into UTF-8. Its first character is ASCII, so a zero in one of the first two bytes, or a mark of the order, tells.
func inUTF8(b []byte) []byte {
	if len(b) < 2 || len(b)%2 != 0 {
		return b
	}
	var order binary.ByteOrder
	switch {
	case b[0] == 0xfe && b[1] == 0xff:
		order, b = binary.BigEndian, b[2:]
	case b[0] == 0xff && b[1] == 0xfe:
		order, b = binary.LittleEndian, b[2:]
	case b[0] == 0 && b[1] != 0:
		order = binary.BigEndian
	case b[0] != 0 && b[1] == 0:
		order = binary.LittleEndian
	default:
		return b
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}

// page is the part of a list that is asked for.
func page[T any](x *call, all []T) ([]T, error) {
	offset, limit, err := x.window()
	if err != nil {
		return nil, err
	}
	if all == nil {
		all = []T{}
	}
	all = all[min(offset, len(all)):]
	return all[:min(limit, len(all))], nil
}

// window is which part of a list is asked for; without a limit it is all there is.
func (x *call) window() (offset, limit int, err error) {
	limit = -1
	for name, to := range map[string]*int{"offset": &offset, "limit": &limit} {
		if s := x.query.Get(name); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil {
				return 0, 0, &problem{http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found"}
			}
			*to = n
		}
	}
	if limit < 0 {
		limit = math.MaxInt
	}
	return max(offset, 0), limit, nil
}
