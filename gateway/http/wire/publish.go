package wire

import (
	"bytes"
	"net/textproto"
	"strings"
)

// The one shape (RFC 9112), where · is one space and the order of fields is free:
//
//	POST·/v1/streams/<name>/events·HTTP/1.1 CR LF      name: A-Z a-z 0-9 . _ -
//	or POST·/v1/append·HTTP/1.1 CR LF
//	Host:·<host> CR LF                                 once; A-Z a-z 0-9 . : [ ] _ -
//	Content-Length:·<digits> CR LF                     once; no sign, no leading zero, not over the limit
//	<token>:[·]<text> CR LF                            any other fields but those named below
//	CR LF
//
// Names are tokens with the colon right behind; values are free of control characters, tab included, and lose spaces at both ends.
// A field is not simple when it can change where the message ends, who it is for, or what becomes of the connection:
// Transfer-Encoding, Trailer, TE, Expect, Upgrade, HTTP2-Settings, Proxy-Connection, and Connection unless it is keep-alive once.
// Neither is Pragma, which net/http rewrites.

// Limits of a head that is simple.
const (
	HeadBytesMax = 4 << 10
	FieldsMax    = 64
)

const (
	startOfLine = "POST /v1/"
	streamPath  = "streams/"
	eventsPath  = "/events"
	appendPath  = "append"
	restOfLine  = " HTTP/1.1\r\n"
)

// Verdict is what Decode says of the bytes that are there.
type Verdict uint8

const (
	// More is for the beginning of what may become a simple head.
	More Verdict = iota
	// Taken is for a simple head.
	Taken
	// Other is for all that is not simple: net/http's business.
	Other
)

// Publish is the head of a request that publishes. It is used again for the next request of the connection: what Decode filled in is
// good until then, the strings for ever. The zero value is ready.
type Publish struct {
	Path          string
	Host          string
	ContentLength int64
	Header        map[string][]string // by canonical name, without Host, as net/http has them

	values [FieldsMax]string
}

// Decode reads the head at the beginning of p, and its length n when it is Taken. most is the largest content length that is taken.
func (h *Publish) Decode(p []byte, most int64) (n int, v Verdict) {
	if begin := p[:min(len(p), len(startOfLine))]; string(begin) != startOfLine[:len(begin)] {
		return 0, Other
	}
	end := bytes.Index(p[:min(len(p), HeadBytesMax)], []byte("\r\n\r\n"))
	if end < 0 {
		if len(p) >= HeadBytesMax {
			return 0, Other
		}
		return 0, More
	}
	n = end + len("\r\n\r\n")
	head := string(p[:end+len("\r\n")])
	rest, ok := h.line(head)
	if !ok || !h.fields(rest, most) {
		return 0, Other
	}
	return n, Taken
}

// line reads the request line off the head.
func (h *Publish) line(head string) (rest string, ok bool) {
	at := len(startOfLine)
	switch path := head[at:]; {
	case strings.HasPrefix(path, streamPath):
		name := at + len(streamPath)
		for at = name; at < len(head) && kinds[head[at]]&inName != 0; at++ {
		}
		if at == name || !strings.HasPrefix(head[at:], eventsPath) {
			return "", false
		}
		at += len(eventsPath)
	case strings.HasPrefix(path, appendPath):
		at += len(appendPath)
	default:
		return "", false
	}
	if !strings.HasPrefix(head[at:], restOfLine) {
		return "", false
	}
	h.Path = head[len("POST "):at]
	return head[at+len(restOfLine):], true
}

// fields reads the lines of the header.
func (h *Publish) fields(rest string, most int64) bool {
	if h.Header == nil {
		h.Header = make(map[string][]string, 16)
	}
	clear(h.Header)
	h.Host, h.ContentLength = "", -1
	for i := 0; rest != ""; i++ {
		if i == FieldsMax {
			return false
		}
		name, value, after, ok := field(rest)
		if !ok || !h.take(i, name, value, most) {
			return false
		}
		rest = after
	}
	return h.Host != "" && h.ContentLength >= 0
}

// field cuts one line: name, colon, value, CR LF.
func field(s string) (name, value, rest string, ok bool) {
	colon := 0
	for colon < len(s) && kinds[s[colon]]&inToken != 0 {
		colon++
	}
	if colon == 0 || colon == len(s) || s[colon] != ':' {
		return "", "", "", false
	}
	end := colon + 1
	for end < len(s) && kinds[s[end]]&inText != 0 {
		end++
	}
	if end+2 > len(s) || s[end] != '\r' || s[end+1] != '\n' {
		return "", "", "", false
	}
	return s[:colon], strings.Trim(s[colon+1:end], " "), s[end+2:], true
}

// take puts field i into its place, or finds that it is not simple.
func (h *Publish) take(i int, name, value string, most int64) bool {
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch name {
	case "Host":
		if h.Host != "" || !isHost(value) {
			return false
		}
		h.Host = value
		return true
	case "Content-Length":
		if h.ContentLength >= 0 {
			return false
		}
		var ok bool
		if h.ContentLength, ok = length(value, most); !ok {
			return false
		}
	case "Connection":
		if h.Header[name] != nil || !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Transfer-Encoding", "Trailer", "Te", "Expect", "Upgrade", "Http2-Settings", "Proxy-Connection", "Pragma":
		return false
	}
	if had := h.Header[name]; had != nil {
		h.Header[name] = append(had, value)
		return true
	}
	h.values[i] = value
	h.Header[name] = h.values[i : i+1 : i+1]
	return true
}

func isHost(s string) bool {
	for i := range len(s) {
		if kinds[s[i]]&inHost == 0 {
			return false
		}
	}
	return s != ""
}

// length reads a content length: digits, and as few as will do.
func length(s string, most int64) (n int64, ok bool) {
	const digitsMost = 18 // fit into an int64
	if s == "" || len(s) > digitsMost || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, n <= most
}

// What a byte may be part of.
const (
	inToken = 1 << iota // RFC 9110, section 5.6.2
	inText              // of a value: no control characters
	inName              // of a stream
	inHost
)

var kinds = func() (k [256]uint8) {
	for c := 0x20; c < 0x100; c++ {
		if c != 0x7f {
			k[c] |= inText
		}
	}
	for _, set := range []struct {
		of   uint8
		more string
	}{{inToken, "!#$%&'*+-.^_`|~"}, {inName, "._-"}, {inHost, ".:[]_-"}} {
		for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + set.more) {
			k[c] |= set.of
		}
	}
	return k
}()
