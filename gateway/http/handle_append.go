package http

import (
	"strconv"
	"strings"
	"unsafe"

	"leat/broker"
	"leat/broker/record"
)

// POST /v1/append: events for several streams, all or nothing.
//
//	{"events": [{"stream":"orders","type":"order.placed","partitionkey":"42","data":{…}}, …],
//	 "if":     [{"stream":"orders","key":"42","version":3}, {"stream":"stock","key":"7","version":"exists"}],
//	 "unless": [{"stream":"orders","types":["order.placed"],"tags":["customer:7"],"after":"AQ…"}],
//	 "ack":    ["AYr…", …]}
//
// unless is what there must not be: an event of one of the types with all of the tags, after a position.
// ack is handles of deliveries, which are acknowledged in the same frame: what was made of them is there if and only if they are done with.
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
	var a broker.EventsAppend
	ids, err := x.readAppend(x.body.bytes, &a)
	if err != nil {
		return err
	}
	results, err := x.appendEvents(a, ids[0])
	if err != nil {
		return err
	}
	return x.answerAppended(results, ids, `{"events":`, "}\n")
}

// readAppend reads the request into a, in one pass over its bytes, and gives the ids of the events. What it reads shares the body's
// memory, which lasts as long as the call.
func (x *call) readAppend(p []byte, a *broker.EventsAppend) (ids []string, err error) {
	r := record.NewJSONReader(p)
	if r.Next() != '{' {
		return nil, wrong("append", "body", "the body must be an object: {\"events\":[…],\"if\":[…]}")
	}
	for more := r.Enter('{'); more; more = r.More('}') {
		name := r.Name()
		if bad, _ := r.Err(); bad != "" {
			break
		}
		known := name == "events" || name == "if" || name == "unless" || name == "ack"
		switch {
		case !known:
			err = unknownMember(name, "", "events, if, unless and ack are")
		case name == "events" && a.Events != nil, name == "if" && a.If != nil, name == "ack" && a.Acks != nil, name == "unless" && a.Unless != nil:
			err = wrong("append", name, "it is there twice").at("/" + name)
		case r.Next() != '[':
			err = wrong("append", name, "%s must be an array", name).at("/" + name)
		case name == "events":
			ids, err = x.readEvents(r, a)
		case name == "unless":
			a.Unless, err = readUnless(r)
		case name == "ack":
			a.Acks, err = x.readAcks(r)
		default:
			a.If, err = x.readConditions(r)
		}
		if err != nil {
			return nil, err
		}
	}
	if !r.End() {
		return nil, notJSON(r)
	}
	if len(ids) == 0 {
		return nil, wrong("append", "events", "there are no events to append").at("/events")
	}
	return ids, nil
}

// notJSON says where the JSON breaks.
func notJSON(r *record.JSONReader) error {
	bad, at := r.Err()
	return wrong("append", "body", "the body is not JSON: %s (at byte %d)", bad, at)
}

func unknownMember(name, under, known string) error {
	return wrong("append", clip(name), "there is no member %q; %s", clip(name), known).at(under + "/" + pointerToken(clip(name)))
}

// readEvents reads the events into a, and gives their ids.
func (x *call) readEvents(r *record.JSONReader, a *broker.EventsAppend) (ids []string, err error) {
	x.takeRoom()
	a.Events, ids = x.room.events, x.room.ids
	err = r.PartialEvents(x.g.config.EventsMax, func(i int, e *record.Event) error {
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
	x.room.events, x.room.ids = a.Events, ids
	if bad, at := r.Err(); bad != "" && at >= len(x.body.bytes) {
		return nil, notJSON(r) // it ends in its middle: no event's fault
	}
	if err != nil {
		return nil, pointerFault(err, "/events")
	}
	return ids, nil
}

// readAcks reads an array of handles.
func (x *call) readAcks(r *record.JSONReader) ([]broker.Handle, error) {
	texts := []string{}
	for more := r.Enter('['); more; more = r.More(']') {
		at := "/ack/" + strconv.Itoa(len(texts))
		if c := r.Next(); c != '"' && c != 0 {
			return nil, wrong("append", "ack", "a handle is a string").at(at)
		}
		if len(texts) == broker.SettleMax {
			return nil, wrong("append", "ack", "there are more than %d handles", broker.SettleMax).at("/ack")
		}
		texts = append(texts, r.Text())
	}
	if bad, _ := r.Err(); bad != "" {
		return nil, notJSON(r)
	}
	return x.handles("append", "ack", "", texts)
}

// readConditions reads [{"stream","key","version"}].
func (x *call) readConditions(r *record.JSONReader) ([]broker.Condition, error) {
	x.takeRoom()
	out := x.room.conditions
	for more := r.Enter('['); more; more = r.More(']') {
		if len(out) == x.g.config.EventsMax {
			return nil, wrong("append", "if", "there are more than %d conditions", x.g.config.EventsMax).at("/if")
		}
		one, err := readCondition(r, len(out))
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && one.Stream == out[n-1].Stream {
			one.Stream = out[n-1].Stream
		} else {
			one.Stream = strings.Clone(one.Stream) // the broker may keep it, and the body is reused
		}
		out = append(out, one)
	}
	x.room.conditions = out
	if bad, _ := r.Err(); bad != "" {
		return nil, notJSON(r)
	}
	return out, nil
}

// readCondition reads the i-th condition.
func readCondition(r *record.JSONReader, i int) (out broker.Condition, err error) {
	if c := r.Next(); c != '{' && c != 0 {
		return out, wrong("append", "if", "a condition is an object: {\"stream\",\"key\",\"version\"}").at(conditionAt(i, ""))
	}
	var seen [3]bool // stream, key, version
	for more := r.Enter('{'); more && err == nil; more = r.More('}') {
		switch name := r.Name(); name {
		case "stream":
			out.Stream, err = conditionText(r, name, i, &seen[0])
		case "key":
			var key string
			key, err = conditionText(r, name, i, &seen[1])
			out.Key = bytesOf(key)
		case "version":
			out.Expect, err = conditionVersion(r, i, &seen[2])
		default:
			if bad, _ := r.Err(); bad == "" {
				err = unknownMember(name, conditionAt(i, ""), "stream, key and version are")
			}
		}
	}
	if bad, _ := r.Err(); err == nil && bad != "" {
		err = notJSON(r)
	}
	switch {
	case err != nil:
	case out.Stream == "":
		err = wrong("append", "stream", "a condition needs a stream").at(conditionAt(i, "/stream"))
	case len(out.Key) == 0:
		err = wrong("append", "key", "a condition needs a key").at(conditionAt(i, "/key"))
	case !seen[2]:
		err = badVersion("nothing", i)
	}
	return out, err
}

// conditionText reads a member of the i-th condition that is a string.
func conditionText(r *record.JSONReader, name string, i int, seen *bool) (string, error) {
	if *seen {
		return "", wrong("append", name, "it is there twice").at(conditionAt(i, "/"+name))
	}
	*seen = true
	if c := r.Next(); c != '"' && c != 0 {
		return "", wrong("append", name, "%s must be a string", name).at(conditionAt(i, "/"+name))
	}
	return r.Text(), nil
}

// conditionVersion reads the version of the i-th condition: a number, or the same as a string, none or exists.
func conditionVersion(r *record.JSONReader, i int, seen *bool) (broker.Expect, error) {
	if *seen {
		return broker.Expect{}, wrong("append", "version", "it is there twice").at(conditionAt(i, "/version"))
	}
	*seen = true
	text := ""
	switch c := r.Next(); {
	case c == '"':
		text = r.Text()
	case c == '-' || '0' <= c && c <= '9':
		text = r.Value()
	default:
		value := r.Value()
		if bad, _ := r.Err(); bad == "" {
			return broker.Expect{}, badVersion(clip(value), i)
		}
	}
	if bad, _ := r.Err(); bad != "" {
		return broker.Expect{}, notJSON(r)
	}
	expect, ok := parseExpect(text)
	if !ok {
		return broker.Expect{}, badVersion(clip(text), i)
	}
	return expect, nil
}

// conditionAt points to a place in the i-th condition.
func conditionAt(i int, member string) string { return "/if/" + strconv.Itoa(i) + member }

func badVersion(is string, i int) error {
	return wrong("append", "version", "%s is no version; a number, \"none\" and \"exists\" are", is).at(conditionAt(i, "/version"))
}

// bytesOf shares memory: what it gives is used while the body is there, and not changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
