package record

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// AppendJSON appends the event in the JSON format of CloudEvents 1.0.2, on one line whatever the data, so that it can be a line of
// NDJSON or the data of a server-sent event. Members come in a fixed order, extensions sorted. extra, when not nil, appends further
// members between the attributes and the data, each beginning with a comma.
//
// Data stands as JSON when its media type is JSON or absent and the bytes are one JSON value; as a string when the type is text and
// the bytes are UTF-8; else in data_base64. JSON data keeps its bytes but for line breaks between tokens. It allocates nothing when
// dst has room.
func (e *Event) AppendJSON(dst []byte, extra func(dst []byte) []byte) []byte {
	dst = append(dst, `{"specversion":"1.0","id":`...)
	dst = appendJSONString(dst, e.ID)
	dst = appendJSONString(append(dst, `,"source":`...), e.Source)
	dst = appendJSONString(append(dst, `,"type":`...), e.Type)
	if e.Time != "" {
		dst = appendJSONString(append(dst, `,"time":`...), e.Time)
	}
	if e.Subject != "" {
		dst = appendJSONString(append(dst, `,"subject":`...), e.Subject)
	}
	if e.Key != nil {
		dst = appendKey(dst, e.Key)
	}
	if e.DataContentType != "" {
		dst = appendJSONString(append(dst, `,"datacontenttype":`...), e.DataContentType)
	}
	if e.DataSchema != "" {
		dst = appendJSONString(append(dst, `,"dataschema":`...), e.DataSchema)
	}
	if len(e.Extensions) > 0 {
		eachExtension(e.Extensions, func(a *Attribute) {
			dst = append(append(append(dst, `,"`...), a.Name...), `":`...) // a name is a-z0-9
			dst = appendJSONString(dst, a.Value)
		})
	}
	if len(e.Headers) > 0 {
		dst = append(dst, `,"`+HeadersAttribute+`":"`...)
		dst = append(AppendHeadersAttribute(dst, e.Headers), '"') // percent-encoded: nothing to escape
	}
	if extra != nil {
		dst = extra(dst)
	}
	if e.HasData() {
		dst = e.appendData(dst)
	}
	return append(dst, '}')
}

func appendKey(dst, key []byte) []byte {
	if len(key) > 0 && isText(key) {
		return appendJSONString(append(dst, `,"`+partitionKey+`":`...), stringOf(key))
	}
	dst = append(dst, `,"`+KeyAttribute+`":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, key), '"')
}

func (e *Event) appendData(dst []byte) []byte {
	switch formOf(e.DataContentType) {
	case DataJSON:
		if ValidJSON(e.Data) {
			return appendOneLine(append(dst, `,"data":`...), e.Data)
		}
	case DataText:
		if utf8.Valid(e.Data) {
			return appendJSONString(append(dst, `,"data":`...), stringOf(e.Data))
		}
	}
	dst = append(dst, `,"data_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, e.Data), '"')
}

// appendOneLine appends valid JSON without its line breaks, which can only stand between tokens.
func appendOneLine(dst, p []byte) []byte {
	p = bytes.Trim(p, " \t\r\n")
	if bytes.IndexByte(p, '\n') < 0 && bytes.IndexByte(p, '\r') < 0 {
		return append(dst, p...)
	}
	for _, c := range p {
		if c != '\n' && c != '\r' {
			dst = append(dst, c)
		}
	}
	return dst
}

// jsonPlain are the bytes that stand in a JSON string as they are.
var jsonPlain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendJSONString appends s in quotes. What is not UTF-8 becomes U+FFFD.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if jsonPlain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "�"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
