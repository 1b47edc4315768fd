package http

import (
	nethttp "net/http"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// This is the only file that knows both vocabularies: CloudEvents over HTTP on one side, entries, records and keys on the other.
// doc.go has the table.

// The formats that events are encoded in, once each for all who read them.
var (
	formatJSON  = broker.RegisterFormat()
	formatSSE   = broker.RegisterFormat()
	formatFrame = broker.RegisterFormat()
)

const (
	mediaEvent = "application/cloudevents+json"
	mediaBatch = "application/cloudevents-batch+json"
	// acceptPost names what may be posted as events, for 415.
	acceptPost = mediaEvent + ", " + mediaBatch + ", */*"
)

// encodeJSON is the event in the JSON format of CloudEvents.
func encodeJSON(d *broker.Delivered) []byte {
	e := d.Event()
	return e.AppendJSON(make([]byte, 0, jsonRoom(d)), nil)
}

// encodeSSE is the event as a server-sent event; see sse.go.
func encodeSSE(d *broker.Delivered) []byte {
	e := d.Event()
	b := append(make([]byte, 0, jsonRoom(d)+64), "id: "...)
	b = append(d.Position.Append(b), "\ndata: "...)
	return append(e.AppendJSON(b, nil), "\n\n"...)
}

// encodeFrame is the event as a text frame with its place; see websocket.go.
func encodeFrame(d *broker.Delivered) []byte {
	e := d.Event()
	b := appendPlace(append(make([]byte, 0, jsonRoom(d)+128), '{'), d)
	return append(e.AppendJSON(append(b, `,"event":`...), nil), '}')
}

// jsonRoom guesses the length of the JSON, so that most are made without growing.
func jsonRoom(d *broker.Delivered) int {
	n := 192 + len(d.Record.Value) + len(d.Record.Value)/8 + 2*len(d.Record.Key)
	for i := range d.Record.Headers {
		n += len(d.Record.Headers[i].Key) + len(d.Record.Headers[i].Value) + 8
	}
	return n
}

// typeOf is the event's type without making the whole event, where its header says it.
func typeOf(d *broker.Delivered) string {
	if v, ok := d.Record.Header("ce_type"); ok && len(v) > 0 {
		return string(v)
	}
	e := d.Event()
	return e.Type
}

// mediaType is the media type of a Content-Type in lower case, and its parameters as they stand.
func mediaType(values []string) (media, params string) {
	if len(values) == 0 {
		return "", ""
	}
	media, params, _ = strings.Cut(values[0], ";")
	return strings.ToLower(strings.TrimSpace(media)), params
}

// binaryEvent reads the headers of a request in binary mode into e. Without any ce-* header the event is plain, which plain reports.
// CloudEvents HTTP binding 1.0.2, section 3.1.
func binaryEvent(h nethttp.Header, e *record.Event) (plain bool, err error) {
	plain = true
	for name, values := range h {
		if len(name) < 3 || name[:3] != "Ce-" {
			continue
		}
		plain = false
		attribute := strings.ToLower(name[3:])
		if len(values) != 1 {
			return false, wrong("event", "ce-"+clip(attribute), "the header is there %d times", len(values))
		}
		value, why := decodeHeaderValue(values[0])
		if why != "" {
			return false, wrong("event", "ce-"+clip(attribute), "its value cannot be read: %s", why)
		}
		if attribute == "source" || attribute == "dataschema" {
			value = uriValue(value, values[0])
		}
		if err := setAttribute(e, attribute, value); err != nil {
			return false, err
		}
	}
	if !plain && e.SpecVersion == "" {
		return false, wrong("event", "ce-specversion",
			"there are ce- headers but ce-specversion is not among them; add ce-specversion: 1.0, or leave all of them out for a plain body")
	}
	if values := h["Content-Type"]; len(values) > 0 {
		e.DataContentType = values[0]
	}
	return plain, nil
}

// uriValue is the value of an attribute that is a URI. Senders that do not encode headers (the SDK for Go) send /a%20b for the URI
// /a%20b, which decoded is none any more: where decoding gives what no URI holds, the header was the URI.
func uriValue(decoded, raw string) string {
	for i := range len(decoded) {
		if mustEncode(decoded[i]) && decoded[i] != '%' {
			return raw
		}
	}
	return decoded
}

func setAttribute(e *record.Event, name, value string) error {
	if name == "datacontenttype" {
		return wrong("event", "ce-datacontenttype", "in binary mode the header Content-Type says it")
	}
	if name == "" {
		return wrong("event", "ce-", "a header is called ce- and nothing more")
	}
	if value == "" && name != record.KeyAttribute && name != record.HeadersAttribute {
		return nil // an empty value is one that is not there; Validate asks for what is required. An empty key is a key
	}
	return attributeFault(e.SetAttribute(name, value), "ce-")
}

// attributeFault makes the name of the attribute the field of the problem.
func attributeFault(err error, prefix string) error {
	if err == nil {
		return nil
	}
	p := asProblem(err)
	if p.field == "" && p.fault.Subject != "" {
		p.field = prefix + p.fault.Subject
	}
	return p
}

// pointerFault makes the JSON Pointer in the Subject of a refusal the pointer of the problem, under the place where the event is.
func pointerFault(err error, under string) error {
	p := asProblem(err)
	if p.pointer == "" && p.fault.Op != "" {
		at := under
		if s := strings.TrimPrefix(p.fault.Subject, "/"); s != "" {
			at += "/" + s
		}
		p.pointer = at
		if i := strings.LastIndexByte(p.fault.Subject, '/'); i >= 0 && p.field == "" {
			p.field = p.fault.Subject[i+1:]
		} else if p.field == "" {
			p.field = p.fault.Subject
		}
	}
	return p
}

// takeKey puts Leat-Key into the event.
func takeKey(h nethttp.Header, e *record.Event) error {
	values := h["Leat-Key"]
	if len(values) == 0 {
		return nil
	}
	key, why := decodeHeaderValue(values[0])
	switch {
	case len(values) > 1:
		return wrong("event", "Leat-Key", "the header is there %d times", len(values))
	case why != "":
		return wrong("event", "Leat-Key", "its value cannot be read: %s", why)
	case key == "":
		return nil
	case e.Key != nil && string(e.Key) != key:
		return wrong("event", "Leat-Key", "it says %q and the attribute partitionkey says %q; one of them is enough", clip(key), clip(string(e.Key)))
	}
	e.Key = []byte(key)
	return nil
}

// target is the stream that events are appended to, and what those that lack it get as source and type. The latter two are looked
// up when first needed: most events have their own.
type target struct{ stream, source, typ string }

// forStream makes stream the target. The name is copied, because the broker may keep it.
func (x *call) forStream(stream string) {
	if x.target.stream != stream {
		x.target = target{stream: strings.Clone(stream)}
	}
}

// defaults fills in what the event lacks. A stream that is not there yet has no default type either.
func (x *call) defaults(e *record.Event) {
	t := &x.target
	if t.typ == "" {
		t.source, t.typ = x.g.broker.StreamURI(x.who.Namespace, t.stream), broker.DefaultEventType
		if info, err := x.g.broker.DescribeStream(x.r.Context(), x.caller(), t.stream); err == nil && info.Config.DefaultType != "" {
			t.typ = info.Config.DefaultType
		}
	}
	if e.ID == "" {
		e.ID = x.takeRoom().newID(x.g.Gateway)
	}
	if e.Source == "" {
		e.Source = t.source
	}
	if e.Type == "" {
		e.Type = t.typ
	}
}

// entry makes the append of an event to the target. The event is judged here; where partial allows it, what the client left open
// gets defaults. An id of the client's own makes (source, id) the event's identity.
func (x *call) entry(e *record.Event, partial bool) (broker.EventEntry, error) {
	own := e.ID != ""
	if partial {
		x.defaults(e)
	}
	if err := e.Validate(); err != nil {
		return broker.EventEntry{}, err
	}
	entry := broker.EventEntry{Stream: x.target.stream, Partition: record.NoPartition}
	r := x.takeRoom()
	entry.Record.Headers = r.headerRoom(9 + len(e.Extensions) + len(e.Headers))
	e.IntoRecord(&entry.Record, x.began.UnixMilli())
	r.keepHeaders(len(entry.Record.Headers))
	if own {
		entry.Source, entry.ID = e.Source, e.ID
	}
	return entry, nil
}

// parseExpect reads a version as it is expected: a number, none or exists.
func parseExpect(s string) (broker.Expect, bool) {
	switch s {
	case "none", "0":
		return broker.Expect{Kind: broker.ExpectNone}, true
	case "exists":
		return broker.Expect{Kind: broker.ExpectExists}, true
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || s[0] == '+' {
		return broker.Expect{}, false
	}
	return broker.Expect{Kind: broker.ExpectVersion, Version: n}, true
}

// expectHeader reads Leat-Expected-Version.
func expectHeader(h nethttp.Header) (broker.Expect, error) {
	values := h["Leat-Expected-Version"]
	if len(values) == 0 {
		return broker.Expect{}, nil
	}
	e, ok := parseExpect(values[0])
	if !ok || len(values) > 1 {
		return broker.Expect{}, wrong("publish", "Leat-Expected-Version", "%q is no version; a number, none and exists are", clip(values[0]))
	}
	return e, nil
}

// unsupportedMedia is 415.
func unsupportedMedia(media, accept, text string) *problem {
	return (&problem{
		fault:  fault.New(fault.Unsupported, "request", clip(media), "%s", text),
		status: nethttp.StatusUnsupportedMediaType, title: "The content type is not taken here", kind: "unsupported-media-type",
		field: "Content-Type",
	}).with("Accept-Post", accept)
}

// streamDefaults is what a stream that HTTP creates is like: the broker's defaults, which keep a history of keys.
func streamDefaults() broker.StreamConfig { return broker.StreamConfig{Keys: broker.KeysUnset} }

var keyModes = [...]string{broker.KeysUnset: "", broker.KeysOff: "off", broker.KeysLatest: "latest", broker.KeysHistory: "history", broker.KeysVersioned: "versioned"}

var timeKinds = [...]string{broker.TimeOfProducer: "producer", broker.TimeOfAppend: "append"}

// change is the document as an edit: what it does not mention stays.
func (c *streamConfigJSON) change() (func(*broker.StreamConfig) error, error) {
	var keys broker.KeyMode
	if c.Keys != nil {
		found := false
		for i, name := range keyModes {
			if name != "" && name == *c.Keys {
				keys, found = broker.KeyMode(i), true
			}
		}
		if !found {
			return nil, wrong("stream", "keys", "%q is no key mode; off, latest, history and versioned are", clip(*c.Keys)).at("/keys")
		}
	}
	var timeOf broker.TimeKind
	if c.TimeOf != nil {
		switch *c.TimeOf {
		case "producer":
			timeOf = broker.TimeOfProducer
		case "append":
			timeOf = broker.TimeOfAppend
		default:
			return nil, wrong("stream", "time_of", "%q is neither producer nor append", clip(*c.TimeOf)).at("/time_of")
		}
	}
	if c.Partitions != nil && *c.Partitions < 1 {
		return nil, wrong("stream", "partitions", "%d; a stream has at least one", *c.Partitions).at("/partitions")
	}
	return func(cfg *broker.StreamConfig) error {
		if c.Partitions != nil {
			cfg.Partitions = *c.Partitions
		}
		if c.Keys != nil {
			cfg.Keys = keys
		}
		if c.TimeOf != nil {
			cfg.TimeOf = timeOf
		}
		if c.BatchBytesMax != nil {
			cfg.BatchBytesMax = *c.BatchBytesMax
		}
		if c.DefaultType != nil {
			cfg.DefaultType = *c.DefaultType
		}
		if c.Tags != nil {
			cfg.Tags = *c.Tags
		}
		if c.Documents != nil {
			cfg.Documents = c.Documents
		}
		c.changeKeep(&cfg.Keep)
		return nil
	}, nil
}

// configJSON is the configuration in JSON, with the key mode that is in force.
func configJSON(info *broker.StreamInfo) streamConfigJSON {
	c := &info.Config
	keys, timeOf := keyModes[info.Keys], timeKinds[c.TimeOf]
	out := streamConfigJSON{Partitions: &c.Partitions, Keys: &keys, TimeOf: &timeOf, Documents: c.Documents}
	if c.BatchBytesMax != 0 {
		out.BatchBytesMax = &c.BatchBytesMax
	}
	if c.DefaultType != "" {
		out.DefaultType = &c.DefaultType
	}
	for _, x := range []struct {
		value *int64
		to    **int64
	}{
		{&c.RetentionMS, &out.RetentionMS}, {&c.RetentionBytes, &out.RetentionBytes},
		{&c.CompactionLagMS, &out.CompactionLagMS}, {&c.TombstoneRetentionMS, &out.TombstoneRetentionMS},
		{&c.CompactionMaxLagMS, &out.CompactionMaxLagMS}, {&c.CompactionTailMS, &out.CompactionTailMS}, {&c.CompactionTailBytes, &out.CompactionTailBytes},
	} {
		if *x.value != 0 {
			*x.to = x.value
		}
	}
	if c.CompactionRatio != 0 {
		out.CompactionRatio = &c.CompactionRatio
	}
	if c.Tags {
		out.Tags = &c.Tags
	}
	if c.Immutable {
		out.Immutable = &c.Immutable
	}
	if c.Protected {
		out.Protected = &c.Protected
	}
	return out
}

// changeKeep edits what the document mentions of how long events are kept.
func (c *streamConfigJSON) changeKeep(k *broker.Keep) {
	for _, x := range []struct{ from, to *int64 }{
		{c.RetentionMS, &k.RetentionMS}, {c.RetentionBytes, &k.RetentionBytes},
		{c.CompactionLagMS, &k.CompactionLagMS}, {c.TombstoneRetentionMS, &k.TombstoneRetentionMS},
		{c.CompactionMaxLagMS, &k.CompactionMaxLagMS}, {c.CompactionTailMS, &k.CompactionTailMS}, {c.CompactionTailBytes, &k.CompactionTailBytes},
	} {
		if x.from != nil {
			*x.to = *x.from
		}
	}
	if c.CompactionRatio != nil {
		k.CompactionRatio = *c.CompactionRatio
	}
	if c.Immutable != nil {
		k.Immutable = *c.Immutable
	}
	if c.Protected != nil {
		k.Protected = *c.Protected
	}
}
