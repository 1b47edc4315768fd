package wire

import (
	"strings"
	"unicode/utf8"
)

// Namespaces of the answers in XML.
const (
	sqsNamespace = "http://queue.amazonaws.com/doc/2012-11-05/"
	snsNamespace = "http://sns.amazonaws.com/doc/2010-03-31/"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

const declaration = `<?xml version="1.0"?>`

func appendStart(b []byte, name string) []byte {
	b = append(b, '<')
	b = append(b, name...)
	return append(b, '>')
}

func appendEnd(b []byte, name string) []byte {
	b = append(b, '<', '/')
	b = append(b, name...)
	return append(b, '>')
}

// appendElement writes an element that holds a text.
func appendElement(b []byte, name, text string) []byte {
	return appendEnd(appendEscaped(appendStart(b, name), text), name)
}

// appendEscaped writes a text. What XML 1.0 cannot carry becomes U+FFFD. A carriage return is escaped, for XML readers make a line feed
// of a plain one.
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c, n := s[i], 1
		by := ""
		switch {
		case c >= utf8.RuneSelf:
			var u rune
			if u, n = utf8.DecodeRuneInString(s[i:]); !inXML(u) || u == utf8.RuneError && n == 1 {
				by = "\uFFFD"
			}
		case c == '&':
			by = "&amp;"
		case c == '<':
			by = "&lt;"
		case c == '>':
			by = "&gt;"
		case c == '"':
			by = "&quot;"
		case c == '\r':
			by = "&#xD;"
		case !inXML(rune(c)):
			by = "\uFFFD"
		}
		if by != "" {
			b = append(append(b, s[from:i]...), by...)
			from = i + n
		}
		i += n
	}
	return append(b, s[from:]...)
}

// inXML reports whether a character is of XML 1.0, which is the set that SQS lets into bodies and attributes of messages:
// #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.
func inXML(u rune) bool {
	switch {
	case u < ' ':
		return u == '\t' || u == '\n' || u == '\r'
	case u < 0xD800:
		return true
	case u < 0xE000:
		return false
	}
	return u != 0xFFFE && u != 0xFFFF && u <= 0x10FFFF
}

// ValidText reports whether a text is one that messages of SQS may consist of: UTF-8, and of XML's characters alone.
func ValidText(s string) bool {
	// Eight plain bytes at a time is what nearly all texts are.
	p := bytesOf(s)
	for len(p) > 0 {
		n := plain(p)
		for _, c := range p[:n] {
			if c >= utf8.RuneSelf {
				return validRunes(view(p))
			}
		}
		p = p[n:]
		if len(p) > 0 {
			if !inXML(rune(p[0])) {
				return false
			}
			p = p[1:]
		}
	}
	return true
}

func validRunes(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(u rune) bool { return !inXML(u) })
}
