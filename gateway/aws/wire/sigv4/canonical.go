package sigv4

import (
	"net/textproto"
	"slices"
	"strings"
)

// What is signed is the hash of the canonical request:
//
//	POST\n
//	/\n                                   the path, normalized, each byte that is not of a-z A-Z 0-9 - . _ ~ / escaped once more
//	a=1&b=2\n                             the query, decoded, escaped anew, sorted; without X-Amz-Signature
//	host:localhost:4566\n                 each signed header, its name in small letters, spaces in its value run together
//	x-amz-date:20150830T123600Z\n
//	\n
//	host;x-amz-date\n
//	<hex of SHA-256 of the body>

// canonical appends the canonical request.
func (s *Signature) canonical(b []byte, r *Request, payload string) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = appendPath(b, r.Path)
	b = append(b, '\n')
	b = appendQuery(b, r.Query, s.presigned)
	b = append(b, '\n')
	for _, name := range s.headers {
		b = append(b, name...)
		b = append(b, ':')
		if name == "host" {
			b = appendSpaced(b, r.Host)
		} else {
			for i, v := range r.Header[textproto.CanonicalMIMEHeaderKey(name)] {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendSpaced(b, v)
			}
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, strings.Join(s.headers, ";")...)
	b = append(b, '\n')
	return append(b, payload...)
}

// appendPath writes a path without empty and dot segments.
func appendPath(b []byte, path string) []byte {
	var kept []string
	for seg := range strings.SplitSeq(path, "/") {
		switch seg {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, seg)
		}
	}
	for _, seg := range kept {
		b = appendEscaped(append(b, '/'), seg)
	}
	if len(kept) == 0 || strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") {
		b = append(b, '/')
	}
	return b
}

// appendQuery writes parameters sorted by name and value, as they stand when they are escaped.
func appendQuery(b []byte, query string, presigned bool) []byte {
	type param struct{ name, value string }
	var params []param
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name = string(appendEscaped(nil, unescape(name)))
		if presigned && name == "X-Amz-Signature" {
			continue
		}
		params = append(params, param{name, string(appendEscaped(nil, unescape(value)))})
	}
	slices.SortFunc(params, func(x, y param) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// unescape undoes the escapes of a query. What is not one stays: the signer may have meant it, and the signature will tell.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

const upperHex = "0123456789ABCDEF"

func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// appendSpaced writes the value of a header with single spaces inside and none around.
func appendSpaced(b []byte, v string) []byte {
	first := true
	for word := range strings.FieldsSeq(v) {
		if !first {
			b = append(b, ' ')
		}
		b = append(b, word...)
		first = false
	}
	return b
}
