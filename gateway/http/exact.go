package http

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// A stored event on one line, such that the record can be made of it again byte for byte: a CloudEvent in JSON with members that say what a
// CloudEvent does not.
//
//	{"specversion":"1.0","id":…,"source":…,"type":…, …,
//	 "leatref":"orders/0/12",                where it was
//	 "leattimestamp":"1700000000000",        of the record, ms; numbers of CloudEvents have 32 bits
//	 "leatderived":"time subject",           these attributes are there for the reader; the record has no header for them
//	 "leatrecordheaders":"2:a=1&b",          instead of leatderived: the record has these headers and no others, so many of them; attributes are
//	                                         for the reader only, and the key is what partitionkey or leatkeybase64 says
//	 "data":…}                               or data_base64 where the bytes would not stand as they are; none: the value is null
//
// Writing makes the record of the line again before it writes it, so it does not have to know which of the rules of the binding apply: when
// the two differ, all headers are written out.
const (
	memberRef       = "leatref"
	memberTimestamp = "leattimestamp"
	memberDerived   = "leatderived"
	memberHeaders   = "leatrecordheaders"

	ownPrefix  = "leat"
	ownMembers = 6 // attributes that are set aside for these members
)

// exactWriter writes lines. One goroutine uses it; its slices are used again.
type exactWriter struct {
	event, check record.Event
	made         record.Record
	extra        []byte
}

// append appends the line of one event, without a line break.
func (w *exactWriter) append(dst []byte, d *broker.Delivered) []byte {
	return w.appendRecord(dst, d, d.Event())
}

func (w *exactWriter) appendRecord(dst []byte, d *broker.Delivered, ev record.Event) []byte {
	r, e := d.Record, &w.event
	*e = ev
	w.extra = append(d.Ref.Append(append(w.extra[:0], `,"`+memberRef+`":"`...)), `","`+memberTimestamp+`":"`...)
	w.extra = append(strconv.AppendInt(w.extra, r.Timestamp, 10), '"')
	if derived, ok := w.derived(r); ok {
		if derived != "" {
			w.extra = append(append(append(w.extra, `,"`+memberDerived+`":"`...), derived...), '"')
		}
	} else {
		w.verbatim(r)
	}
	if e.HasData() && !standsAsItIs(e) {
		data := e.Data
		e.Data, e.DataNull = nil, true
		w.extra = append(base64.StdEncoding.AppendEncode(append(w.extra, `,"data_base64":"`...), data), '"')
	}
	return e.AppendJSON(dst, func(b []byte) []byte { return append(b, w.extra...) })
}

// derived says which attributes the reader of a line must forget to get the record; false when that is not all there is to it.
func (w *exactWriter) derived(r *record.Record) (string, bool) {
	e, c := &w.event, &w.check
	if len(e.Extensions) > record.ExtensionsMax-ownMembers || e.Validate() != nil {
		return "", false
	}
	for i := range e.Extensions {
		if strings.HasPrefix(e.Extensions[i].Name, ownPrefix) {
			return "", false
		}
	}
	*c = *e
	var out string
	has := func(name string) bool { _, ok := r.Header(name); return ok }
	forget := func(name string) {
		if out != "" {
			out += " "
		}
		out += name
		forgetAttribute(c, name)
	}
	if e.Time != "" && !has("ce_time") {
		forget("time")
	}
	if e.Subject != "" && !has("ce_subject") {
		forget("subject")
	}
	if e.Key != nil && c.Subject == string(e.Key) && !has("ce_partitionkey") {
		forget("partitionkey")
	}
	c.IntoRecord(&w.made, r.Timestamp)
	w.made.Timestamp = r.Timestamp
	return out, sameRecord(&w.made, r)
}

// forgetAttribute takes away one of the attributes that memberDerived may name; false for any other.
func forgetAttribute(e *record.Event, name string) bool {
	switch name {
	case "time":
		e.Time = ""
	case "subject":
		e.Subject = ""
	case "partitionkey":
		e.Key = nil
	default:
		return false
	}
	return true
}

// verbatim writes all headers of the record out, and keeps of the attributes what helps a reader.
func (w *exactWriter) verbatim(r *record.Record) {
	e := &w.event
	w.extra = strconv.AppendInt(append(w.extra, `,"`+memberHeaders+`":"`...), int64(len(r.Headers)), 10)
	w.extra = append(record.AppendHeadersAttribute(append(w.extra, ':'), r.Headers), '"')
	e.Key, e.Headers, e.Extensions = r.Key, nil, nil
	if ct, ok := r.Header("content-type"); ok && e.DataContentType == "" || !bytes.Equal(e.Data, r.Value) {
		e.DataContentType = strings.ToValidUTF8(string(ct), "\ufffd")
	}
	e.Data, e.DataNull = r.Value, r.Value == nil
}

// standsAsItIs reports whether the data, in the form AppendJSON gives it, is read as the same bytes.
func standsAsItIs(e *record.Event) bool {
	if e.DataForm() != record.DataJSON || len(e.Data) == 0 {
		return true // text is escaped, anything else is in base64
	}
	first, last := e.Data[0], e.Data[len(e.Data)-1]
	return first > ' ' && last > ' ' && bytes.IndexByte(e.Data, '\n') < 0 && bytes.IndexByte(e.Data, '\r') < 0
}

func sameRecord(a, b *record.Record) bool {
	if !sameBytes(a.Key, b.Key) || !sameBytes(a.Value, b.Value) || len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if a.Headers[i].Key != b.Headers[i].Key || !sameBytes(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}

// sameBytes tells null from empty.
func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// exactLine is what a line says beside its event.
type exactLine struct {
	ref       record.Ref
	timestamp int64
	headers   []record.Header
	verbatim  bool
}

// takeExact takes the members of a line out of its event, and leaves the event that the record is made of. Without memberRef the line is any
// CloudEvent, and ok is false.
func takeExact(e *record.Event) (x exactLine, ok bool, err error) {
	text, ok := e.RemoveExtension(memberRef)
	if !ok {
		return x, false, nil
	}
	if x.ref, err = record.ParseRef(text); err != nil {
		return x, false, wrongMember(memberRef, "%s", fault.As(err).Text)
	}
	text, ok = e.RemoveExtension(memberTimestamp)
	if x.timestamp, err = strconv.ParseInt(text, 10, 64); err != nil || !ok {
		return x, false, wrongMember(memberTimestamp, "it must be there and be a number of milliseconds since 1970")
	}
	if text, ok := e.RemoveExtension(memberDerived); ok {
		for name := range strings.FieldsSeq(text) {
			if !forgetAttribute(e, name) {
				return x, false, wrongMember(memberDerived, "%q is none of time, subject, partitionkey", clip(name))
			}
		}
	}
	if text, ok := e.RemoveExtension(memberHeaders); ok {
		x.verbatim = true
		if x.headers, ok = readHeaders(text); !ok {
			return x, false, wrongMember(memberHeaders, "it must be a number, a colon, and so many percent-encoded headers with & between them")
		}
	}
	return x, true, nil
}

func wrongMember(name, format string, args ...any) error {
	return fault.New(fault.Invalid, "import", name, format, args...)
}

// readHeaders reads what verbatim has written.
func readHeaders(s string) ([]record.Header, bool) {
	count, s, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 0 || n > len(s)+1 || n == 0 && s != "" {
		return nil, false
	}
	out := make([]record.Header, 0, n)
	for n > 0 {
		pair, rest, more := strings.Cut(s, "&")
		key, value, has := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(key)
		if err != nil {
			return nil, false
		}
		h := record.Header{Key: name}
		if has {
			v, err := url.QueryUnescape(value)
			if err != nil {
				return nil, false
			}
			h.Value = []byte(v)
		}
		out = append(out, h)
		if s = rest; !more {
			break
		}
	}
	return out, len(out) == n
}

// record makes the record of a line.
func (x *exactLine) record(e *record.Event, r *record.Record) {
	if x.verbatim {
		*r = record.Record{Key: e.Key, Value: e.Data, Headers: x.headers}
		if e.DataNull {
			r.Value = nil
		}
	} else {
		e.IntoRecord(r, x.timestamp)
	}
	r.Timestamp = x.timestamp
}
