package http

import (
	"strings"
	"unicode/utf8"
)

// Values of ce-* headers (CloudEvents HTTP binding 1.0.2, section 3.1.3.2):
//
//	Euro%20%E2%82%AC     each %HH is one byte of UTF-8; what is not UTF-8 after that is refused
//	"Euro \"x\""         a quoted string, as older versions wrote it: unquoted first, then decoded
//	100% Euro            a % that begins no %HH stands for itself: the SDK for Go, among others, sends values as they are

// decodeHeaderValue gives what a header value stands for. why is empty when it could be decoded, and says what is wrong otherwise.
func decodeHeaderValue(v string) (value, why string) {
	if strings.IndexByte(v, '%') < 0 && strings.IndexByte(v, '"') < 0 {
		return checkHeaderText(v)
	}
	b := make([]byte, 0, len(v))
	quoted := len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"'
	if quoted {
		v = v[1 : len(v)-1]
	}
	for i := 0; i < len(v); i++ {
		c := v[i]
		if quoted && c == '\\' {
			if i++; i == len(v) {
				return "", "it ends in a backslash inside its quotes"
			}
			b = append(b, v[i])
			continue
		}
		b = append(b, c)
	}
	if strings.IndexByte(v, '%') < 0 {
		return checkHeaderText(string(b))
	}
	out := b[:0]
	for i := 0; i < len(b); i++ {
		if b[i] != '%' || i+2 >= len(b) || unhex(b[i+1]) < 0 || unhex(b[i+2]) < 0 {
			out = append(out, b[i])
			continue
		}
		out = append(out, byte(unhex(b[i+1])<<4|unhex(b[i+2])))
		i += 2
	}
	return checkHeaderText(string(out))
}

// checkHeaderText refuses what no attribute may hold: bytes that are not UTF-8, and control characters.
func checkHeaderText(s string) (value, why string) {
	ascii := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f {
			return "", "it has a control character"
		} else if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	if ascii {
		return s, ""
	}
	if !utf8.ValidString(s) {
		return "", "it is not UTF-8 after percent-decoding"
	}
	for _, r := range s {
		if r >= 0x80 && r <= 0x9f {
			return "", "it has a control character"
		}
	}
	return s, ""
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// mustEncode is for space, quote, percent and all that is not printable ASCII; record.AppendHTTPValue is the way back.
func mustEncode(c byte) bool { return c <= 0x20 || c >= 0x7f || c == '"' || c == '%' }
