package http

import (
	"strconv"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"leat/broker"
	"leat/broker/record"
)

// POST /v1/append: events for several streams, all or nothing.
//
//	{"events": [{"stream":"orders","type":"order.placed","partitionkey":"42","data":{…}}, …],
//	 "if":     [{"stream":"orders","key":"42","version":3}, {"stream":"stock","key":"7","version":"exists"}]}
//
// An event has the members of a CloudEvent in JSON and "stream"; specversion, id, source and type may be left out and get defaults.
// 201 {"events":[{"ref",…},…]}. When a condition fails, 409 tells all that did, each with the version that is there.

func appendAtomic(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	parts, err := splitAppend(x.body.bytes)
	if err != nil {
		return err
	}
	a := broker.EventsAppend{}
	ids, err := x.readEvents(parts.events, &a)
	if err != nil {
		return err
	}
	if a.If, err = x.readConditions(parts.conditions); err != nil {
		return err
	}
	results, err := x.appendEvents(a, ids[0])
	if err != nil {
		return err
	}
	return x.answerAppended(results, ids, `{"events":`, "}\n")
}

// appendParts are the two members of the request, as they stand.
type appendParts struct{ events, conditions gjson.Result }

// splitAppend finds them. The reader of events is strict about what it is given; the rest is judged here.
func splitAppend(p []byte) (parts appendParts, err error) {
	if !gjson.ValidBytes(p) {
		return parts, notJSON(p)
	}
	doc := gjson.Parse(stringOf(p))
	if !doc.IsObject() {
		return parts, wrong("append", "body", "the body must be an object: {\"events\":[…],\"if\":[…]}")
	}
	doc.ForEach(func(name, value gjson.Result) bool {
		at := &parts.events
		switch name.Str {
		case "events":
		case "if":
			at = &parts.conditions
		default:
			err = unknownMember("append", name.Str, "", "events and if are")
			return false
		}
		if at.Exists() {
			err = wrong("append", name.Str, "it is there twice").at("/" + name.Str)
			return false
		}
		if !value.IsArray() {
			err = wrong("append", name.Str, "%s must be an array", name.Str).at("/" + name.Str)
			return false
		}
		*at = value
		return true
	})
	return parts, err
}

// notJSON says where the JSON breaks; that takes a slower look.
func notJSON(p []byte) error {
	var v any
	if err := decodeJSON("append", p, &v); err != nil {
		return err
	}
	return wrong("append", "body", "the body is not one JSON document")
}

func unknownMember(op, name, under, known string) error {
	return wrong(op, clip(name), "there is no member %q; %s", clip(name), known).at(under + "/" + pointerToken(clip(name)))
}

// readEvents reads the events into a, and gives their ids.
func (x *call) readEvents(events gjson.Result, a *broker.EventsAppend) (ids []string, err error) {
	if !events.Exists() {
		return nil, wrong("append", "events", "there are no events to append").at("/events")
	}
	n := guess(len(events.Raw))
	a.Events, ids = make([]broker.EventEntry, 0, n), make([]string, 0, n)
	err = record.ParsePartialEventsJSON(bytesOf(events.Raw), x.g.config.EventsMax, func(i int, e *record.Event) error {
		stream, ok := e.RemoveExtension("stream")
		if !ok || stream == "" {
			return wrong("append", "stream", "event %d does not say which stream it is for", i).at("/events/" + strconv.Itoa(i) + "/stream")
		}
		x.forStream(stream)
		entry, err := x.entry(e, true)
		if err != nil {
			return record.AtIndex(err, i)
		}
		a.Events, ids = append(a.Events, entry), append(ids, e.ID)
		return nil
	})
	if err != nil {
		return nil, pointerFault(err, "/events")
	}
	if len(ids) == 0 {
		return nil, wrong("append", "events", "there are no events to append").at("/events")
	}
	return ids, nil
}

// readConditions reads [{"stream","key","version"}].
func (x *call) readConditions(list gjson.Result) (out []broker.Condition, err error) {
	if !list.Exists() {
		return nil, nil
	}
	out = make([]broker.Condition, 0, guess(len(list.Raw)))
	i := 0
	list.ForEach(func(_, c gjson.Result) bool {
		if i == x.g.config.EventsMax {
			err = wrong("append", "if", "there are more than %d conditions", x.g.config.EventsMax).at("/if")
			return false
		}
		var one broker.Condition
		if one, err = readCondition(c, i); err != nil {
			return false
		}
		if i > 0 && one.Stream == out[i-1].Stream {
			one.Stream = out[i-1].Stream
		} else {
			one.Stream = strings.Clone(one.Stream) // the broker may keep it, and the body is reused
		}
		out = append(out, one)
		i++
		return true
	})
	return out, err
}

// readCondition reads the i-th condition.
func readCondition(c gjson.Result, i int) (out broker.Condition, err error) {
	if !c.IsObject() {
		return out, wrong("append", "if", "a condition is an object: {\"stream\",\"key\",\"version\"}").at(conditionAt(i, ""))
	}
	versioned := false
	c.ForEach(func(name, value gjson.Result) bool {
		switch {
		case name.Str == "stream" && value.Type == gjson.String:
			out.Stream = value.Str
		case name.Str == "key" && value.Type == gjson.String:
			out.Key = []byte(value.Str)
		case name.Str == "version" && (value.Type == gjson.String || value.Type == gjson.Number):
			text := value.Str
			if value.Type == gjson.Number {
				text = value.Raw
			}
			if out.Expect, versioned = parseExpect(text); !versioned {
				err = badVersion(clip(text), i)
			}
		case name.Str == "version":
			err = badVersion(clip(value.Raw), i)
		case name.Str == "stream", name.Str == "key":
			err = wrong("append", name.Str, "%s must be a string", name.Str).at(conditionAt(i, "/"+name.Str))
		default:
			err = unknownMember("append", name.Str, conditionAt(i, ""), "stream, key and version are")
		}
		return err == nil
	})
	switch {
	case err != nil:
	case out.Stream == "":
		err = wrong("append", "stream", "a condition needs a stream").at(conditionAt(i, "/stream"))
	case len(out.Key) == 0:
		err = wrong("append", "key", "a condition needs a key").at(conditionAt(i, "/key"))
	case !versioned:
		err = badVersion("nothing", i)
	}
	return out, err
}

// conditionAt points to a place in the i-th condition.
func conditionAt(i int, member string) string { return "/if/" + strconv.Itoa(i) + member }

// guess is how many events or conditions so many bytes of JSON may be, for the first size of a slice.
func guess(bytes int) int { return min(bytes/96+1, 1024) }

func badVersion(is string, i int) error {
	return wrong("append", "version", "%s is no version; a number, \"none\" and \"exists\" are", is).at(conditionAt(i, "/version"))
}

// stringOf and bytesOf share memory. What they give is used while the body is there and not changed.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
