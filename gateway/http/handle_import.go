package http

import (
	"bytes"
	nethttp "net/http"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// POST /v1/streams/{stream}/import: lines as export writes them, or CloudEvents in JSON, one on each line. All are appended or none.
//
// A line of an export has an identity of its own, made of what tells it from every other: the same piece again, within the dedup window, is
// there already and is not stored twice. That the stream has events of the same id and source is kept as it was: an import is a copy.

func importStream(x *call) error {
	if err := x.onlyParams("partitions"); err != nil {
		return err
	}
	keep := true
	switch how := x.param("partitions"); how {
	case "", "keep":
	case "any":
		keep = false
	default:
		return wrong("import", "partitions", "%q is neither keep nor any", clip(how))
	}
	media, _ := mediaType(x.r.Header["Content-Type"])
	if media != "application/x-ndjson" && media != "application/jsonl" && media != mediaAvro {
		return unsupportedMedia(media, "application/x-ndjson, "+mediaAvro, "this path takes application/x-ndjson and "+mediaAvro)
	}
	if err := x.readBody(); err != nil {
		return err
	}
	x.forStream(x.params[0])
	if media == mediaAvro {
		var a broker.EventsAppend
		if err := x.readAvro(&a, keep); err != nil {
			return err
		}
		return x.importAll(a, nil)
	}
	a := broker.EventsAppend{Events: make([]broker.EventEntry, 0, bytes.Count(x.body.bytes, []byte("\n"))+1)}
	if cap(a.Events) > x.g.config.EventsMax+1 {
		return wrong("import", "body", "the body has more than %d lines; send fewer at a time", x.g.config.EventsMax)
	}
	var e record.Event
	lines := []int{} // of each event
	line := 0
	for text := range bytes.SplitSeq(x.body.bytes, []byte("\n")) {
		if text = bytes.TrimSpace(text); len(text) > 0 {
			entry, err := x.importLine(text, &e, keep)
			if err != nil {
				return importFault(err, line)
			}
			a.Events, lines = append(a.Events, entry), append(lines, line)
		}
		line++
	}
	return x.importAll(a, lines)
}

// importAll appends what was read, of these lines.
func (x *call) importAll(a broker.EventsAppend, lines []int) error {
	if len(a.Events) == 0 {
		return wrong("import", "body", "there are no events to append")
	}
	results, err := x.appendEvents(a, a.Events[0].ID)
	if err != nil {
		if i, ok := atIndex(err); ok && i < len(lines) {
			return importFault(err, lines[i])
		}
		return err
	}
	there, apart := 0, 0
	for i := range results {
		if results[i].Duplicate {
			there++
		}
		if results[i].Quarantined != nil {
			apart++
		}
	}
	b := strconv.AppendInt([]byte(`{"events":`), int64(len(results)), 10)
	b = strconv.AppendInt(append(b, `,"duplicates":`...), int64(there), 10)
	if apart > 0 {
		b = strconv.AppendInt(append(b, `,"quarantined":`...), int64(apart), 10)
	}
	b = results[len(results)-1].Ref.Append(append(b, `,"last_ref":"`...))
	x.answer(nethttp.StatusCreated, contentTypeJSON, append(b, "\"}\n"...))
	return nil
}

// importLine makes the append of one line. The event is used again for the next.
func (x *call) importLine(text []byte, e *record.Event, keep bool) (broker.EventEntry, error) {
	if err := record.ParsePartialEventJSON(text, e); err != nil {
		p := asProblem(err)
		p.field = strings.TrimPrefix(p.fault.Subject, "/")
		p.fault.Subject = p.field
		return broker.EventEntry{}, p
	}
	line, exact, err := takeExact(e)
	if err != nil {
		return broker.EventEntry{}, err
	}
	if !exact {
		return x.entry(e, true)
	}
	entry := broker.EventEntry{Stream: x.target.stream, Partition: record.NoPartition, Dated: true}
	if keep {
		entry.Partition = line.ref.Partition
	}
	if !line.verbatim {
		if err := e.Validate(); err != nil {
			return broker.EventEntry{}, err
		}
		entry.Record.Headers = x.takeRoom().headerRoom(9 + len(e.Extensions) + len(e.Headers))
	}
	line.record(e, &entry.Record)
	if !line.verbatim {
		x.room.keepHeaders(len(entry.Record.Headers))
	}
	entry.Source = "leat:import:" + e.Source
	entry.ID = line.ref.String() + "@" + strconv.FormatInt(line.timestamp, 10) + "#" + e.ID
	return entry, nil
}

// atIndex reads the place that a refusal of the broker names.
func atIndex(err error) (int, bool) {
	_, rest, ok := strings.Cut(fault.As(err).Text, "(at index ")
	digits, _, closed := strings.Cut(rest, ")")
	n, bad := strconv.Atoi(digits)
	return n, ok && closed && bad == nil
}
