package http

import (
	"strings"

	"github.com/tidwall/gjson"

	"leat/broker"
	"leat/broker/record"
)

// The reader of /v1/append that came before readAppend, by another library, in two passes: what readAppend is held against.

// readAppendSlowly reads the request into a.
func readAppendSlowly(x *call, p []byte, a *broker.EventsAppend) error {
	parts, err := splitAppend(p)
	if err != nil {
		return err
	}
	n := 0
	err = record.ParsePartialEventsJSON([]byte(parts.events.Raw), x.g.config.EventsMax, func(_ int, e *record.Event) error {
		stream, _ := e.RemoveExtension("stream")
		if stream == "" {
			return wrong("append", "stream", "it is not there")
		}
		x.forStream(stream)
		entry, err := x.entry(e, true)
		a.Events, n = append(a.Events, entry), n+1
		return err
	})
	if err == nil && n == 0 {
		err = wrong("append", "events", "there are no events")
	}
	if err != nil {
		return err
	}
	a.If, err = x.readConditionsSlowly(parts.conditions)
	return err
}

// appendParts are the two members of the request, as they stand.
type appendParts struct{ events, conditions gjson.Result }

// splitAppend finds them. The reader of events is strict about what it is given; the rest is judged here.
func splitAppend(p []byte) (parts appendParts, err error) {
	if !gjson.ValidBytes(p) {
		return parts, wrong("append", "body", "the body is not JSON")
	}
	doc := gjson.ParseBytes(p)
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
			err = unknownMember(name.Str, "", "events and if are")
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

// readConditionsSlowly reads [{"stream","key","version"}].
func (x *call) readConditionsSlowly(list gjson.Result) (out []broker.Condition, err error) {
	if !list.Exists() {
		return nil, nil
	}
	out = nil
	i := 0
	list.ForEach(func(_, c gjson.Result) bool {
		if i == x.g.config.EventsMax {
			err = wrong("append", "if", "there are more than %d conditions", x.g.config.EventsMax).at("/if")
			return false
		}
		var one broker.Condition
		if one, err = readConditionSlowly(c, i); err != nil {
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

// readConditionSlowly reads the i-th condition.
func readConditionSlowly(c gjson.Result, i int) (out broker.Condition, err error) {
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
			err = unknownMember(name.Str, conditionAt(i, ""), "stream, key and version are")
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
