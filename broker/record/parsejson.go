package record

import (
	"encoding/base64"
	"slices"
	"strconv"

	"leat/broker/fault"
)

// ParseEventJSON reads one event in the JSON format of CloudEvents 1.0.2 (structured mode) into e, which is reset first and whose
// slices are used again. Strings and data share p's memory where JSON allows; p must not change while e lives.
//
// data becomes bytes by its media type: of JSON (or of none) the JSON as it stands in p; of any other type it must be a string,
// whose text is the data; data_base64 is decoded. null stands for an attribute that is not there, and for the JSON value null as
// data; an event without data has neither member.
//
// It is strict: a member that occurs twice, a value of the wrong type, bad UTF-8, or anything after the event is Invalid; the
// Subject is a JSON Pointer and the Text has the byte offset. Only specversion is required here: Validate judges the rest.
func ParseEventJSON(p []byte, e *Event) error {
	return parseOne(p, e, true)
}

// ParsePartialEventJSON is ParseEventJSON for requests where specversion may be left out.
func ParsePartialEventJSON(p []byte, e *Event) error {
	return parseOne(p, e, false)
}

func parseOne(p []byte, e *Event, needVersion bool) error {
	ep := eventParser{scanner: scanner{p: p}, e: e, needVersion: needVersion}
	if !ep.event() || !ep.end() {
		return ep.refusal(-1)
	}
	return nil
}

// ParseEventsJSON reads a JSON array of events (batch mode) and calls each for every one, i counting from 0. e is used again for the
// next event; its strings and data share p's memory or are new, and stay. More than limit events are TooLarge. An error of each ends
// the reading and is returned as it is (AtIndex names the event in it). Errors are those of ParseEventJSON, the pointer beginning
// with the index. Events before a broken one have been handed out: act on none of them before the whole has been read.
func ParseEventsJSON(p []byte, limit int, each func(i int, e *Event) error) error {
	return parseMany(p, limit, true, each)
}

// ParsePartialEventsJSON is ParseEventsJSON for requests where specversion may be left out.
func ParsePartialEventsJSON(p []byte, limit int, each func(i int, e *Event) error) error {
	return parseMany(p, limit, false, each)
}

func parseMany(p []byte, limit int, needVersion bool, each func(i int, e *Event) error) error {
	var e Event
	ep := eventParser{scanner: scanner{p: p}, e: &e, needVersion: needVersion}
	if err := ep.events(limit, each); err != nil {
		return err
	}
	if !ep.end() {
		return ep.refusal(-1)
	}
	return nil
}

// events reads an array of events.
func (p *eventParser) events(limit int, each func(i int, e *Event) error) error {
	if p.space() != '[' {
		p.fail(p.i, "an array of events was expected")
		return p.refusal(-1)
	}
	p.i++
	if p.space() == ']' {
		p.i++
		return nil
	}
	for i := 0; ; i++ {
		if i >= limit {
			return fault.New(fault.TooLarge, opEvent, pointerTo(i), "more than %d events in one request", limit)
		}
		if !p.event() {
			return p.refusal(i)
		}
		if err := each(i, p.e); err != nil {
			return err
		}
		p.name = ""
		done, ok := p.more(']')
		if !ok {
			return p.refusal(-1)
		}
		if done {
			return nil
		}
	}
}

// pointerTo is the JSON Pointer to element i.
func pointerTo(i int) string { return "/" + strconv.Itoa(i) }

// AtIndex puts the index of an event before the Subject of a refusal, in the form of a JSON Pointer: source becomes /3/source.
func AtIndex(err error, i int) error {
	f := *fault.As(err)
	f.Subject = pointerTo(i) + "/" + f.Subject
	return &f
}

// eventParser reads events in one pass.
type eventParser struct {
	scanner
	e           *Event
	needVersion bool
	name        string   // of the member being read, for the refusal
	seen        uint16   // which of the known members were there
	nulls       []string // which others were null
	data        dataMember
}

// dataMember is a data member whose meaning waits for datacontenttype, which may come later.
type dataMember struct {
	raw     []byte // the JSON
	text    []byte // between the quotes, when it is a string
	isText  bool
	escaped bool
	at      int
}

// Known members, one bit each.
const (
	seenSpecVersion = 1 << iota
	seenID
	seenSource
	seenType
	seenSubject
	seenTime
	seenContentType
	seenSchema
	seenData
	seenBase64
)

func (p *eventParser) refusal(index int) error {
	subject := ""
	if index >= 0 {
		subject = pointerTo(index)
	}
	if p.name != "" {
		subject += "/" + clip(pointerEscape(p.name))
	}
	if subject == "" {
		subject = "/"
	}
	return fault.New(fault.Invalid, opEvent, subject, "%s (at byte %d)", p.bad, p.at)
}

// pointerEscape writes a name as JSON Pointer (RFC 6901) does.
func pointerEscape(s string) string {
	var out []byte
	for i := range len(s) {
		switch c := s[i]; c {
		case '~':
			out = append(out, "~0"...)
		case '/':
			out = append(out, "~1"...)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func (p *eventParser) end() bool {
	p.name = ""
	if p.space(); p.i != len(p.p) {
		return p.fail(p.i, "something follows the end")
	}
	return true
}

func (p *eventParser) event() bool {
	p.e.Reset()
	p.e.DataNull = true
	p.seen, p.nulls, p.data, p.name = 0, p.nulls[:0], dataMember{}, ""
	start := p.i
	if p.space() != '{' {
		return p.fail(p.i, "an event, which is an object, was expected")
	}
	p.i++
	if p.space() == '}' {
		p.i++
	} else {
		for done := false; !done; {
			if !p.member() {
				return false
			}
			p.name = ""
			var ok bool
			if done, ok = p.more('}'); !ok {
				return false
			}
		}
	}
	if p.needVersion && p.e.SpecVersion == "" {
		p.name = "specversion"
		return p.fail(start, "it is required: \"1.0\"")
	}
	return p.finishData()
}

// member reads one name and its value.
func (p *eventParser) member() bool {
	if p.space() != '"' {
		return p.fail(p.i, "a name in quotes was expected")
	}
	at := p.i
	raw, escaped, ok := p.str()
	if !ok {
		return false
	}
	if escaped {
		raw = unescape(raw)
	}
	p.name = stringOf(raw)
	if !p.colon() {
		return false
	}
	c := p.space()
	switch p.name {
	case "specversion":
		return p.once(seenSpecVersion, at) && p.text(&p.e.SpecVersion) && p.version(at)
	case "id":
		return p.once(seenID, at) && p.text(&p.e.ID)
	case "source":
		return p.once(seenSource, at) && p.text(&p.e.Source)
	case "type":
		return p.once(seenType, at) && p.text(&p.e.Type)
	case "subject":
		return p.once(seenSubject, at) && p.text(&p.e.Subject)
	case "time":
		return p.once(seenTime, at) && p.text(&p.e.Time)
	case "datacontenttype":
		return p.once(seenContentType, at) && p.text(&p.e.DataContentType)
	case "dataschema":
		return p.once(seenSchema, at) && p.text(&p.e.DataSchema)
	case "data":
		return p.once(seenData, at) && p.dataValue(c)
	case "data_base64":
		return p.once(seenBase64, at) && p.base64(c)
	}
	return p.extension(c, at)
}

func (p *eventParser) once(bit uint16, at int) bool {
	if p.seen&bit != 0 {
		return p.fail(at, "it occurs twice")
	}
	p.seen |= bit
	return true
}

func (p *eventParser) version(at int) bool {
	if p.e.SpecVersion != "" && p.e.SpecVersion != SpecVersion {
		return p.fail(at, "it is "+strconv.Quote(clip(p.e.SpecVersion))+"; \"1.0\" is supported")
	}
	return true
}

// text reads the string of a known attribute, or null for none. An empty string would read as none and is refused.
func (p *eventParser) text(to *string) bool {
	at := p.i
	switch p.peek() {
	case 'n':
		return p.word("null")
	case '"':
		raw, escaped, ok := p.str()
		if !ok {
			return false
		}
		if len(raw) == 0 {
			return p.fail(at, "it may not be empty")
		}
		if escaped {
			raw = unescape(raw)
		}
		*to = stringOf(raw)
		return true
	}
	return p.wrongType(at, "a string was expected")
}

// wrongType prefers to say that the JSON is broken, when it is.
func (p *eventParser) wrongType(at int, bad string) bool {
	if !p.value(1) {
		return false
	}
	return p.fail(at, bad)
}

func (p *eventParser) dataValue(c byte) bool {
	start := p.i
	if c == '"' {
		raw, escaped, ok := p.str()
		p.data = dataMember{raw: p.p[start:p.i:p.i], text: raw, isText: true, escaped: escaped, at: start}
		return ok
	}
	if !p.value(1) {
		return false
	}
	p.data = dataMember{raw: p.p[start:p.i:p.i], at: start}
	return true
}

func (p *eventParser) base64(c byte) bool {
	at := p.i
	if c == 'n' {
		return p.word("null")
	}
	if c != '"' {
		return p.wrongType(at, "a string of base64 was expected")
	}
	raw, escaped, ok := p.str()
	if !ok {
		return false
	}
	if escaped {
		raw = unescape(raw)
	}
	out, err := base64.StdEncoding.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(raw))), raw)
	if err != nil {
		return p.fail(at, "it is not base64 as in RFC 4648, section 4")
	}
	p.e.Data, p.e.DataNull = out, false
	return true
}

// finishData gives the data member its meaning, now that all members are known.
func (p *eventParser) finishData() bool {
	if p.seen&seenData == 0 {
		return true
	}
	p.name = "data"
	if p.e.Data != nil { // from data_base64
		return p.fail(p.data.at, "data and data_base64 are both there")
	}
	p.e.DataNull = false
	switch {
	case formOf(p.e.DataContentType) == DataJSON:
		p.e.Data = p.data.raw
	case string(p.data.raw) == "null":
		p.e.DataNull = true
	case !p.data.isText:
		return p.fail(p.data.at, "datacontenttype "+strconv.Quote(clip(p.e.DataContentType))+" is not JSON, so data must be a string; or use data_base64")
	case p.data.escaped:
		p.e.Data = unescape(p.data.text)
	default:
		p.e.Data = p.data.text
	}
	return true
}

// null notes an attribute that is null, which is none, so that a second one of the name is found.
func (p *eventParser) null(at int) bool {
	_, twice := p.e.Extension(p.name)
	switch p.name {
	case partitionKey, KeyAttribute:
		twice = p.e.Key != nil
	case HeadersAttribute:
		twice = len(p.e.Headers) > 0
	}
	if twice {
		return p.fail(at, "it occurs twice")
	}
	if len(p.nulls) >= ExtensionsMax {
		return p.fail(at, "there are too many extension attributes")
	}
	p.nulls = append(p.nulls, p.name)
	return true
}

// extension reads an extension attribute: a string, a boolean, or an integer of 32 bits; null is none.
func (p *eventParser) extension(c byte, at int) bool {
	if why := badName(p.name); why != "" {
		return p.fail(at, why)
	}
	if slices.Contains(p.nulls, p.name) {
		return p.fail(at, "it occurs twice")
	}
	start := p.i
	var value []byte
	switch c {
	case '"':
		raw, escaped, ok := p.str()
		if !ok {
			return false
		}
		if value = raw; escaped {
			value = unescape(raw)
		}
	case 'n':
		return p.word("null") && p.null(at)
	case 't', 'f':
		if !p.value(1) {
			return false
		}
		value = p.p[start:p.i]
	case '{', '[':
		return p.wrongType(start, "an extension attribute is a string, a boolean or an integer")
	default:
		if !p.value(1) {
			return false
		}
		value = p.p[start:p.i]
		if _, err := strconv.ParseInt(stringOf(value), 10, 32); err != nil {
			return p.fail(start, "a number in an attribute is an integer from -2147483648 to 2147483647; send others as strings")
		}
	}
	if err := p.e.SetAttribute(p.name, stringOf(value)); err != nil {
		return p.fail(at, fault.As(err).Text)
	}
	return true
}
