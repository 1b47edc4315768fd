package filter

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"leat/broker/fault"
)

// tokenKind is what a token of a selector is.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted // an identifier in quotes or brackets: never a keyword
	tokenText
	tokenNumber
	tokenSign
	tokenParam
)

// token is one token; text is the word, the sign or the value of a text.
type token struct {
	kind  tokenKind
	text  string
	upper string // of a word, for keywords
	value Value  // of a number
	at    int    // in bytes, from 0
}

// shown is the token for people.
func (t token) shown() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return "'" + clip(t.text) + "'"
	case tokenNumber:
		return t.value.String()
	}
	return clip(t.text)
}

// lexer cuts a selector into tokens.
type lexer struct {
	s       string
	i       int
	dialect Dialect
}

func (l *lexer) bad(at int, format string, args ...any) error {
	return fault.New(fault.Invalid, "selector", "selector", "character %d: %s", utf8.RuneCountInString(l.s[:at])+1, fmt.Sprintf(format, args...))
}

func (l *lexer) next() (token, error) {
	for l.i < len(l.s) && strings.IndexByte(" \t\r\n\f", l.s[l.i]) >= 0 {
		l.i++
	}
	at := l.i
	if at == len(l.s) {
		return token{at: at}, nil
	}
	c := l.s[at]
	switch {
	case c == '\'':
		s, err := l.quoted('\'', "a text")
		return token{kind: tokenText, text: s, at: at}, err
	case c == '"':
		s, err := l.quoted('"', "a name")
		return token{kind: tokenQuoted, text: s, at: at}, err
	case c == '[' && l.dialect == Rules:
		s, err := l.quoted(']', "a name")
		return token{kind: tokenQuoted, text: s, at: at}, err
	case isDigit(c), c == '.' && at+1 < len(l.s) && isDigit(l.s[at+1]):
		return l.number()
	case c == '@' && l.dialect == Rules:
		l.i++
		w := l.word()
		if w == "" {
			return token{}, l.bad(at, "a name was expected after @")
		}
		return token{kind: tokenParam, text: w, at: at}, nil
	}
	if w := l.word(); w != "" {
		return token{kind: tokenWord, text: w, upper: strings.ToUpper(w), at: at}, nil
	}
	return l.sign()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// word takes an identifier: a letter, "_" or "$", then letters, digits and these. Dots join parts.
func (l *lexer) word() string {
	start := l.i
	for i, r := range l.s[start:] {
		first := i == 0
		if unicode.IsLetter(r) || r == '_' || r == '$' || !first && (unicode.IsDigit(r) || r == '.') {
			l.i = start + i + utf8.RuneLen(r)
			continue
		}
		break
	}
	return l.s[start:l.i]
}

// quoted takes what stands up to the end sign; twice the end sign is the sign itself.
func (l *lexer) quoted(end byte, what string) (string, error) {
	start := l.i
	var b strings.Builder
	for l.i++; l.i < len(l.s); l.i++ {
		if l.s[l.i] != end {
			b.WriteByte(l.s[l.i])
			continue
		}
		if l.i++; l.i == len(l.s) || l.s[l.i] != end {
			return b.String(), nil
		}
		b.WriteByte(end)
	}
	return "", l.bad(start, "%s is not closed", what)
}

// number takes 57, 57L, 0x1F, 7., .5, 7E3, -57.9E2 without its sign, 1.5f and 1.5d.
func (l *lexer) number() (token, error) {
	start := l.i
	t := token{kind: tokenNumber, at: start}
	if strings.HasPrefix(l.s[start:], "0x") || strings.HasPrefix(l.s[start:], "0X") {
		for l.i += 2; l.i < len(l.s) && strings.IndexByte("0123456789abcdefABCDEF", l.s[l.i]) >= 0; l.i++ {
		}
		n, err := strconv.ParseInt(l.s[start:l.i], 0, 64)
		if err != nil {
			return t, l.bad(start, "%s is no number of 64 bits", clip(l.s[start:l.i]))
		}
		t.value = IntValue(n)
		return t, l.afterNumber(start, true)
	}
	exact := true
	l.digits()
	if l.i < len(l.s) && l.s[l.i] == '.' {
		exact = false
		l.i++
		l.digits()
	}
	if l.i < len(l.s) && (l.s[l.i] == 'e' || l.s[l.i] == 'E') {
		exact = false
		if l.i++; l.i < len(l.s) && (l.s[l.i] == '+' || l.s[l.i] == '-') {
			l.i++
		}
		l.digits()
	}
	text := l.s[start:l.i]
	if exact {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return t, l.bad(start, "%s is no number of 64 bits", clip(text))
		}
		t.value = IntValue(n)
	} else {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return t, l.bad(start, "%s is no number", clip(text))
		}
		t.value = FloatValue(f)
	}
	return t, l.afterNumber(start, exact)
}

func (l *lexer) digits() {
	for l.i < len(l.s) && isDigit(l.s[l.i]) {
		l.i++
	}
}

// afterNumber takes the suffix of a number and refuses a word that follows at once.
func (l *lexer) afterNumber(start int, exact bool) error {
	if l.i < len(l.s) {
		switch c := l.s[l.i] | 0x20; {
		case exact && c == 'l', !exact && (c == 'f' || c == 'd'):
			l.i++
		}
	}
	if end := l.i; l.word() != "" {
		return l.bad(start, "%s is no number", clip(l.s[start:l.i]))
	} else {
		l.i = end
	}
	return nil
}

func (l *lexer) sign() (token, error) {
	at := l.i
	for _, s := range []string{"<>", "<=", ">=", "!=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","} {
		if strings.HasPrefix(l.s[at:], s) {
			l.i += len(s)
			if s == "!=" {
				s = "<>"
			}
			return token{kind: tokenSign, text: s, at: at}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.s[at:])
	return token{}, l.bad(at, "%q has no meaning here", r)
}
