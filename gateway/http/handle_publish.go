package http

import (
	nethttp "net/http"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// POST /v1/streams/{stream}/events
//
//	application/cloudevents+json         one CloudEvent, structured mode
//	application/cloudevents-batch+json   an array of them, appended as one or not at all
//	anything else                        with ce-* headers one CloudEvent, binary mode; without, a plain body with defaults
//
// 201 {"ref","id","position","duplicate":false}, a list for a batch. 200 when the same (source, id) was there: the first ref.

// publish is the busiest handler. It allocates the call, the event's headers and what the broker needs.
func publish(x *call) error {
	x.forStream(x.params[0])
	if x.r.URL.RawQuery != "" {
		if err := x.onlyParams(); err != nil {
			return err
		}
	}
	expect, err := expectHeader(x.r.Header)
	if err != nil {
		return err
	}
	media, params := mediaType(x.r.Header["Content-Type"])
	if err := checkMedia(x.r.Header, media, params); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if media == mediaBatch {
		return x.publishBatch(x.body.bytes, expect)
	}
	var e record.Event
	plain := false
	if media == mediaEvent {
		if err := record.ParseEventJSON(x.body.bytes, &e); err != nil {
			return pointerFault(err, "")
		}
	} else {
		if plain, err = binaryEvent(x.r.Header, &e); err != nil {
			return err
		}
		if len(x.body.bytes) > 0 || plain {
			e.Data = x.body.bytes
		}
	}
	if err := takeKey(x.r.Header, &e); err != nil {
		return err
	}
	entry, err := x.entry(&e, plain)
	if err != nil {
		if media == mediaEvent {
			return pointerFault(err, "")
		}
		return headerFault(err)
	}
	if expect.Kind != broker.ExpectAny && entry.Record.Key == nil {
		return needsKey()
	}
	entry.Expect = expect
	var one [1]broker.EventEntry
	one[0] = entry
	unless, err := unlessHeader(x.r.Header, x.target.stream)
	if err != nil {
		return err
	}
	results, err := x.appendEvents(broker.EventsAppend{Events: one[:], Unless: unless}, e.ID)
	if err != nil {
		return err
	}
	var room [512]byte
	out := append(appendAppended(room[:0], &results[0], e.ID), '\n')
	code := nethttp.StatusCreated
	if results[0].Duplicate {
		code = nethttp.StatusOK
	}
	x.answer(code, contentTypeJSON, out)
	return nil
}

// headerFault names the header that an attribute came in by.
func headerFault(err error) error {
	p := asProblem(err)
	if p.field == "" && p.fault.Subject == "datacontenttype" {
		p.field = "Content-Type"
	}
	return attributeFault(p, "ce-")
}

func needsKey() error {
	return wrong("publish", "Leat-Expected-Version", "an expected version needs a key: give the event a partitionkey or a subject")
}

// publishBatch appends all events of a batch, or none. An expected version is of the key that all of them have.
func (x *call) publishBatch(p []byte, expect broker.Expect) error {
	r := x.takeRoom()
	entries, ids := r.events, r.ids
	err := record.ParseEventsJSON(p, x.g.config.EventsMax, func(i int, e *record.Event) error {
		entry, err := x.entry(e, false)
		if err != nil {
			return record.AtIndex(err, i)
		}
		entries, ids = append(entries, entry), append(ids, e.ID)
		return nil
	})
	r.events, r.ids = entries, ids
	if err != nil {
		return pointerFault(err, "")
	}
	if len(x.r.Header["Leat-Key"]) > 0 {
		return wrong("publish", "Leat-Key", "in a batch each event has its own partitionkey")
	}
	if len(entries) == 0 { // the binding allows an empty batch
		x.answer(nethttp.StatusOK, contentTypeJSON, []byte("[]\n"))
		return nil
	}
	unless, err := unlessHeader(x.r.Header, x.target.stream)
	if err != nil {
		return err
	}
	a := broker.EventsAppend{Events: entries, Unless: unless}
	if expect.Kind != broker.ExpectAny {
		key := entries[0].Record.Key
		if key == nil {
			return needsKey()
		}
		for i := range entries {
			if string(entries[i].Record.Key) != string(key) || entries[i].Record.Key == nil {
				return wrong("publish", "Leat-Expected-Version", "in a batch it needs events of one key; event %d has another", i).at("/" + strconv.Itoa(i))
			}
		}
		a.If = []broker.Condition{{Stream: x.target.stream, Key: key, Expect: expect}}
	}
	results, err := x.appendEvents(a, ids[0])
	if err != nil {
		return err
	}
	return x.answerAppended(results, ids, "", "\n")
}

// answerAppended answers with the list of what was appended, 200 when nothing had to be.
func (x *call) answerAppended(results []broker.EventResult, ids []string, before, after string) error {
	code := nethttp.StatusOK
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	b := append(append((*buf)[:0], before...), '[')
	for i := range results {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAppended(b, &results[i], ids[i])
		if !results[i].Duplicate {
			code = nethttp.StatusCreated
		}
	}
	b = append(append(b, ']'), after...)
	*buf = b
	x.answer(code, contentTypeJSON, b)
	return nil
}

// appendEvents appends with what HTTP gives streams that it creates. id is told when the outcome is unknown.
func (x *call) appendEvents(a broker.EventsAppend, id string) ([]broker.EventResult, error) {
	a.AutoCreate, a.Defaults, a.Reserved = true, streamDefaults(), x.began
	results, err := x.g.broker.AppendEvents(x.r.Context(), x.caller(), a)
	if err == nil {
		return results, nil
	}
	if f := fault.As(err); f.Kind == fault.Unknown {
		return nil, unknownOutcome(f, id)
	}
	return nil, err
}

// unknownOutcome tells how to find out: with an id of the client's, sending the same again is safe and answers 200 if it had happened.
func unknownOutcome(f *fault.Error, id string) error {
	check := "send the same request again: an event of the same source and id is stored once, and answered 200 with its first ref; id " +
		id + " can also be looked for among the newest events, with direction=backward"
	return &problem{fault: f, members: [][2]string{{"check", string(appendString(nil, check))}}}
}

// appendAppended appends {"ref":…,"id":…,"position":…,"duplicate":…}, the key's version where the stream keeps them, and why the event is not in its
// stream where it is not.
func appendAppended(b []byte, r *broker.EventResult, id string) []byte {
	b = r.Ref.Append(append(b, `{"ref":"`...))
	b = appendString(append(b, `","id":`...), id)
	b = r.Position.Append(append(b, `,"position":"`...))
	b = append(b, '"')
	if r.Version != 0 {
		b = strconv.AppendUint(appendName(b, "version"), r.Version, 10)
	}
	b = append(b, `,"duplicate":`...)
	b = strconv.AppendBool(b, r.Duplicate)
	if r.Quarantined != nil {
		b = appendQuarantined(appendName(b, "quarantined"), r.Quarantined)
	}
	return append(b, '}')
}

// appendQuarantined says why an event lies in quarantine.
func appendQuarantined(b []byte, d *broker.ContractBreak) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(d.Index), 10)
	b = appendMember(b, "contract", d.Contract)
	if d.Field != "" {
		b = appendMember(b, "field", d.Field)
	}
	return append(appendMember(b, "reason", d.Text), '}')
}

// checkMedia refuses what would be stored as something it is not: an event format that is not spoken, JSON in another charset, a
// compressed body, a content type that is none.
func checkMedia(h nethttp.Header, media, params string) error {
	if enc := h["Content-Encoding"]; len(enc) > 0 && !strings.EqualFold(enc[0], "identity") {
		p := unsupportedMedia(enc[0], acceptPost, "bodies are taken as they are, without Content-Encoding")
		p.field = "Content-Encoding"
		return p.with("Accept-Encoding", "identity")
	}
	switch {
	case media == mediaEvent || media == mediaBatch:
		if cs := charsetOf(params); cs != "" && !strings.EqualFold(cs, "utf-8") {
			return unsupportedMedia(media, acceptPost, "events in JSON are UTF-8")
		}
	case strings.HasPrefix(media, "application/cloudevents"):
		return unsupportedMedia(media, acceptPost, "this event format is not spoken; JSON is, and binary mode takes data of any type")
	case len(h["Content-Type"]) > 1, media == "" && len(h["Content-Type"]) > 0:
		return unsupportedMedia(media, acceptPost, "there must be one Content-Type, and it must name a media type")
	}
	return nil
}

// charsetOf is the charset among the parameters of a media type.
func charsetOf(params string) string {
	for p := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok && strings.EqualFold(name, "charset") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}
