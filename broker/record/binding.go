package record

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// An event in a record, binary mode of the CloudEvents Kafka protocol binding:
//
//	headers   ce_specversion ce_id ce_source ce_type [ce_time] [ce_subject] [ce_dataschema] [content-type] [ce_partitionkey]
//	          ce_<extension> ... in alphabetical order, then the plain headers in their order
//	key       partitionkey, else subject, else null
//	value     data, null when there is none
const (
	attributePrefix   = "ce_"
	contentTypeHeader = "content-type"
	structuredType    = "application/cloudevents+json"
)

// headerNames are the header names of attributes that are used often, so that they need no memory.
var headerNames = map[string]string{
	partitionKey: "ce_partitionkey", "traceparent": "ce_traceparent", "tracestate": "ce_tracestate", "sequence": "ce_sequence",
	"sequencetype": "ce_sequencetype", "correlationid": "ce_correlationid", "causationid": "ce_causationid", "dataref": "ce_dataref",
	"authtype": "ce_authtype", "authid": "ce_authid", "severitytext": "ce_severitytext", "severitynumber": "ce_severitynumber",
	"expirytime": "ce_expirytime", "recordedtime": "ce_recordedtime", "sampledrate": "ce_sampledrate", "deprecated": "ce_deprecated",
}

func headerName(attribute string) string {
	if n, ok := headerNames[attribute]; ok {
		return n
	}
	return attributePrefix + attribute
}

// EventToRecord gives the record that stands for the event, which Validate has accepted. Its timestamp is the event's time, or nowMS
// when the event has none or one before 1970. The record shares the event's memory.
func EventToRecord(e *Event, nowMS int64) Record {
	var r Record
	e.IntoRecord(&r, nowMS)
	return r
}

// IntoRecord is EventToRecord into a record whose Headers slice is used again.
func (e *Event) IntoRecord(r *Record, nowMS int64) {
	hs := r.Headers[:0]
	if need := 9 + len(e.Extensions) + len(e.Headers); cap(hs) < need {
		hs = make([]Header, 0, need)
	}
	hs = append(hs, Header{"ce_specversion", specVersionBytes}, Header{"ce_id", bytesOf(e.ID)},
		Header{"ce_source", bytesOf(e.Source)}, Header{"ce_type", bytesOf(e.Type)})
	hs = appendHeader(hs, "ce_time", e.Time)
	hs = appendHeader(hs, "ce_subject", e.Subject)
	hs = appendHeader(hs, "ce_dataschema", e.DataSchema)
	hs = appendHeader(hs, contentTypeHeader, e.DataContentType)
	*r = Record{Timestamp: nowMS, Key: e.Key, Value: e.Data}
	if e.DataNull {
		r.Value = nil
	}
	switch {
	case e.Key == nil && e.Subject != "":
		r.Key = bytesOf(e.Subject)
	case len(e.Key) > 0 && isText(e.Key):
		hs = append(hs, Header{"ce_partitionkey", e.Key})
	}
	eachExtension(e.Extensions, func(a *Attribute) { hs = append(hs, Header{headerName(a.Name), bytesOf(a.Value)}) })
	r.Headers = append(hs, e.Headers...)
	if e.Time != "" {
		if ms, why := parseTime(e.Time); why == "" && ms >= 0 {
			r.Timestamp = ms
		}
	}
}

var specVersionBytes = []byte(SpecVersion)

func appendHeader(hs []Header, name, value string) []Header {
	if value == "" {
		return hs
	}
	return append(hs, Header{name, bytesOf(value)})
}

// eachExtension calls fn in alphabetical order without changing the slice, which others may be reading.
func eachExtension(as []Attribute, fn func(a *Attribute)) {
	sorted := true
	for i := 1; i < len(as) && sorted; i++ {
		sorted = as[i-1].Name <= as[i].Name
	}
	if sorted {
		for i := range as {
			fn(&as[i])
		}
		return
	}
	last := ""
	for range as { // few, and rarely unsorted: the next name above the last one, again and again
		next := -1
		for j := range as {
			if as[j].Name > last && (next < 0 || as[j].Name < as[next].Name) {
				next = j
			}
		}
		if next < 0 {
			return
		}
		last = as[next].Name
		fn(&as[next])
	}
}

// Defaults are the attributes of a record that has none of its own.
type Defaults struct {
	Ref         string // id
	StreamURI   string // source
	DefaultType string // type
}

// EventFromRecord reads a record as a CloudEvent: binary mode, structured mode (content-type application/cloudevents+json with the
// whole event as value), or a record that knows nothing of CloudEvents, which gets the defaults and its timestamp as time. Every
// header that is no attribute is in Headers. The event shares the memory of the record and is valid as long.
func EventFromRecord(r *Record, d Defaults) Event {
	var e Event
	e.FromRecord(r, d)
	return e
}

// FromRecord is EventFromRecord into an event whose slices are used again.
func (e *Event) FromRecord(r *Record, d Defaults) {
	e.Reset()
	if !e.fromStructured(r) {
		e.Data, e.DataNull = r.Value, r.Value == nil
		for i := range r.Headers {
			e.takeHeader(&r.Headers[i])
		}
	}
	if r.Key != nil {
		e.takeKey(r.Key)
	}
	if e.Subject == "" {
		e.Subject = SubjectOfKey(e.Key)
	}
	e.ID = orDefault(e.ID, d.Ref)
	e.Source = orDefault(e.Source, d.StreamURI)
	e.Type = orDefault(e.Type, d.DefaultType)
	if e.Time == "" && r.Timestamp >= 0 {
		var buf [32]byte
		e.Time = string(AppendTime(buf[:0], r.Timestamp))
	}
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// takeKey makes the record's key the event's. A partitionkey that says something else (key mappings are free) stays as the header
// it was.
func (e *Event) takeKey(key []byte) {
	if e.Key != nil && !bytes.Equal(e.Key, key) {
		e.Headers = append(e.Headers, Header{"ce_partitionkey", e.Key})
	}
	e.Key = key
}

// takeHeader makes an attribute of a header that is one, and keeps it as a header otherwise: a name that no attribute may have, a
// value that is no text, another specversion, or an attribute that is there already.
func (e *Event) takeHeader(h *Header) {
	if !e.attributeFromHeader(h) {
		e.Headers = append(e.Headers, *h)
	}
}

func (e *Event) attributeFromHeader(h *Header) bool {
	if h.Value == nil {
		return false
	}
	if h.Key == contentTypeHeader {
		return takeOnce(&e.DataContentType, h.Value)
	}
	name, ok := strings.CutPrefix(h.Key, attributePrefix)
	if !ok || badName(name) != "" {
		return false
	}
	switch name {
	case "specversion":
		return string(h.Value) == SpecVersion && takeOnce(&e.SpecVersion, h.Value)
	case partitionKey:
		if e.Key != nil || len(h.Value) == 0 {
			return false
		}
		e.Key = h.Value
		return true
	case KeyAttribute, HeadersAttribute:
		return false
	}
	if p := e.field(name); p != nil {
		return takeOnce(p, h.Value)
	}
	if _, twice := e.Extension(name); twice || len(e.Extensions) >= ExtensionsMax || !utf8.Valid(h.Value) {
		return false
	}
	e.addExtension(name, stringOf(h.Value))
	return true
}

func takeOnce(p *string, v []byte) bool {
	if *p != "" || len(v) == 0 || !utf8.Valid(v) {
		return false
	}
	*p = stringOf(v)
	return true
}

// fromStructured reads a record whose value is the whole event. One that claims to be and is not is read like any other record.
func (e *Event) fromStructured(r *Record) bool {
	ct, ok := r.Header(contentTypeHeader)
	if !ok || !isStructured(stringOf(ct)) {
		return false
	}
	if ParseEventJSON(r.Value, e) != nil {
		e.Reset()
		return false
	}
	skipped := false
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.Key == contentTypeHeader && !skipped {
			skipped = true
			continue
		}
		// The binding lets producers repeat attributes as headers; what repeats says nothing new.
		if name, isAttr := strings.CutPrefix(h.Key, attributePrefix); isAttr && h.Value != nil && e.says(name, stringOf(h.Value)) {
			continue
		}
		e.Headers = append(e.Headers, *h)
	}
	return true
}

// says reports whether the event has the attribute with that value.
func (e *Event) says(name, value string) bool {
	if name == partitionKey {
		return e.Key != nil && string(e.Key) == value
	}
	if p := e.field(name); p != nil {
		return *p == value
	}
	v, ok := e.Extension(name)
	return ok && v == value
}

func isStructured(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(t), structuredType)
}

// setKey takes the key from an attribute.
func (e *Event) setKey(name, value string) error {
	if e.Key != nil {
		return badAttribute(name, "the key is given twice")
	}
	if name == partitionKey {
		if value == "" {
			return badAttribute(name, "it may not be empty")
		}
		if why := badText(value); why != "" {
			return badAttribute(name, "%s", why)
		}
		e.Key = bytesOf(value)
		return nil
	}
	key, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return badAttribute(name, "it is not base64")
	}
	e.Key = key
	return nil
}

// setHeaders takes the plain headers from their attribute.
func (e *Event) setHeaders(value string) error {
	if len(e.Headers) > 0 {
		return badAttribute(HeadersAttribute, "it is given twice")
	}
	for more := true; more; { // an empty value is one header: no name, null
		var pair string
		pair, value, more = strings.Cut(value, "&")
		k, v, hasValue := strings.Cut(pair, "=")
		key, ok := unescapeQuery(k)
		if !ok || !utf8.Valid(key) {
			return badAttribute(HeadersAttribute, "%q is not a percent-encoded name", clip(k))
		}
		h := Header{Key: string(key)}
		if hasValue {
			if h.Value, ok = unescapeQuery(v); !ok {
				return badAttribute(HeadersAttribute, "the value of %q is not percent-encoded", clip(k))
			}
		}
		e.Headers = append(e.Headers, h)
	}
	return nil
}

// AppendHeadersAttribute appends the value of HeadersAttribute for the headers.
func AppendHeadersAttribute(dst []byte, hs []Header) []byte {
	for i := range hs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = escapeQuery(dst, bytesOf(hs[i].Key))
		if hs[i].Value != nil {
			dst = escapeQuery(append(dst, '='), hs[i].Value)
		}
	}
	return dst
}

const hexDigits = "0123456789ABCDEF"

func escapeQuery(dst, b []byte) []byte {
	for _, c := range b {
		if isAlnum(c) || strings.IndexByte("-._~:/@,", c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

func unescapeQuery(s string) ([]byte, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return nil, false
			}
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out, true
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// stringOf and bytesOf share memory between a string and bytes that nobody changes: records and events are read-only once made.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func bytesOf(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
