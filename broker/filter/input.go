package filter

import (
	"bytes"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"leat/broker/record"
)

// Input is one event as filters see it. Set the exported fields, match any number of filters, Reset for the next. It is for one
// goroutine at a time, and what it holds must not change meanwhile.
//
//	id source type subject   text, empty when there is none; subject is the key's text when the event has none of its own
//	time                     timestamp; an event without one cannot be judged by it
//	data                     JSON as its values (numbers are doubles, so arithmetic needs 2.0 and not 2; integers beyond 2^53 are ints), text as string, other bytes as bytes,
//	                         no data as null
//	headers                  extension attributes and plain headers by name, as strings; of a name that repeats the first,
//	                         null values and values that are not UTF-8 are not in it
//	stream partition offset  where the event is stored
//	key                      the record key as text, empty when there is none; a key that is not UTF-8 cannot be judged
type Input struct {
	Event     *record.Event
	Stream    string
	Partition record.PartitionID
	Offset    record.Offset

	data    ref.Val
	headers ref.Val
}

// Reset makes the input that of another event.
func (in *Input) Reset(e *record.Event, stream string, p record.PartitionID, o record.Offset) {
	*in = Input{Event: e, Stream: stream, Partition: p, Offset: o}
}

// ResolveName is what cel-go asks for the value of a name.
func (in *Input) ResolveName(name string) (any, bool) {
	e := in.Event
	switch name {
	case "id":
		return types.String(e.ID), true
	case "source":
		return types.String(e.Source), true
	case "type":
		return types.String(e.Type), true
	case "subject":
		return types.String(e.Subject), true
	case "time":
		return in.time(), true
	case "data":
		if in.data == nil {
			in.data = dataOf(e)
		}
		return in.data, true
	case "headers":
		if in.headers == nil {
			in.headers = headersOf(e)
		}
		return in.headers, true
	case "stream":
		return types.String(in.Stream), true
	case "key":
		if !utf8.Valid(e.Key) {
			return types.NewErr("the key of this event is not text"), true
		}
		return types.String(e.Key), true
	case "partition":
		return types.Int(in.Partition), true
	case "offset":
		return types.Int(in.Offset), true
	}
	return nil, false
}

// Parent is part of what cel-go asks for; there is none.
func (in *Input) Parent() cel.Activation { return nil }

func (in *Input) time() ref.Val {
	ms, err := record.ParseTime(in.Event.Time)
	if err != nil {
		return types.NewErr("this event has no time")
	}
	return types.Timestamp{Time: time.UnixMilli(ms).UTC()}
}

func dataOf(e *record.Event) ref.Val {
	if !e.HasData() {
		return types.NullValue
	}
	switch e.DataForm() {
	case record.DataJSON:
		if record.ValidJSON(e.Data) {
			return valueOfJSON(bytes.TrimLeft(e.Data, " \t\r\n"))
		}
	case record.DataText:
		if utf8.Valid(e.Data) {
			return types.String(e.Data)
		}
	}
	return types.Bytes(e.Data)
}

func headersOf(e *record.Event) ref.Val {
	m := make(map[string]string, len(e.Extensions)+len(e.Headers))
	for _, a := range e.Extensions {
		m[a.Name] = a.Value
	}
	for _, h := range e.Headers {
		if _, twice := m[h.Key]; !twice && h.Value != nil && utf8.Valid(h.Value) {
			m[h.Key] = string(h.Value)
		}
	}
	return types.NewStringStringMap(types.DefaultTypeAdapter, m)
}
