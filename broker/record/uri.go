package record

import "strings"

// URI syntax as RFC 3986 has it, as far as a broker should judge: the characters and the scheme, not what lies behind it.

// inURI are the characters that may stand in a URI by themselves.
var inURI = func() (t [256]bool) {
	for c := range t {
		t[c] = isAlnum(byte(c)) || strings.IndexByte("-._~:/?[]@!$&'()*+,;=", byte(c)) >= 0
	}
	return t
}()

// badURIReference says why s is not a URI-reference.
func badURIReference(s string) string {
	fragment := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case inURI[c]:
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "a % is not followed by two hexadecimal digits"
			}
			i += 2
		case c == '#':
			if fragment {
				return "it has more than one #"
			}
			fragment = true
		case c >= 0x80:
			return "it has a character outside ASCII; percent-encode it"
		default:
			return "character " + string(rune(c)) + " may not be in it; percent-encode it"
		}
	}
	// A colon in the first segment ends a scheme.
	if i := strings.IndexAny(s, ":/?#"); i >= 0 && s[i] == ':' && !isScheme(s[:i]) {
		return "what stands before the first colon is not a scheme"
	}
	return ""
}

// badAbsoluteURI says why s is not an absolute URI.
func badAbsoluteURI(s string) string {
	if why := badURIReference(s); why != "" {
		return why
	}
	if i := strings.IndexAny(s, ":/?#"); i < 0 || s[i] != ':' {
		return "it has no scheme, such as https:"
	}
	return ""
}

func isScheme(s string) bool {
	if s == "" || !isAlpha(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// isMediaType reports whether s is type/subtype, with parameters that are not looked into.
func isMediaType(s string) bool {
	s, params, _ := strings.Cut(s, ";")
	typ, sub, ok := strings.Cut(strings.TrimRight(s, " \t"), "/")
	return ok && isToken(typ) && isToken(sub) && badText(params) == ""
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// DataForm is how data of a media type is to be understood, and how it stands in JSON.
type DataForm uint8

// The forms of data.
const (
	DataBinary DataForm = iota
	DataJSON
	DataText
)

// DataForm goes by the media type alone: the bytes may still be something else.
func (e *Event) DataForm() DataForm { return formOf(e.DataContentType) }

// formOf takes an absent type for JSON, as the JSON event format says.
func formOf(s string) DataForm {
	if s == "" || s == "application/json" {
		return DataJSON
	}
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimRight(s, " \t")
	typ, sub, _ := strings.Cut(s, "/")
	switch {
	case strings.EqualFold(sub, "json") || hasSuffixFold(sub, "+json"):
		return DataJSON
	case strings.EqualFold(typ, "text") || strings.EqualFold(sub, "xml") || hasSuffixFold(sub, "+xml"),
		strings.EqualFold(s, "application/x-www-form-urlencoded"), strings.EqualFold(sub, "yaml"):
		return DataText
	}
	return DataBinary
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
