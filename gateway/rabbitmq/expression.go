package rabbitmq

import (
	"regexp"
	"strings"
)

// Permissions of RabbitMQ are regular expressions, patterns of grants a name or its beginning. What says no more than that is taken:
//
//	""  ^$               nothing             ^orders$   ^orders\.eu$   a name            ^orders   ^orders.*   ^orders.*$   what begins so
//	.*  ^.*$             all                 ^(orders|billing.*)$       several of these

// namePattern is a name or, with more, the beginning of names.
type namePattern struct {
	text string
	more bool
}

// of is the pattern of a grant, of names as they are kept.
func (n namePattern) of(kept func(string) string) string {
	switch {
	case n.text == "" && n.more:
		return "*"
	case n.more:
		return n.text + "*"
	case n.text == "amq.default":
		return kept("")
	}
	return kept(n.text)
}

// patternsOf reads a regular expression; it refuses one that says what no grant says.
func patternsOf(expression string) (out []namePattern, err error) {
	refuse := badRequest("the expression " + clip(expression) + " cannot be told as grants: use .*, ^name$, ^beginning.*, ^(name|beginning.*)$, or nothing")
	switch expression {
	case "", "^$":
		return nil, nil
	case ".*", "^.*$", "^.*", ".*$":
		return []namePattern{{"", true}}, nil
	}
	e, anchored := strings.CutPrefix(expression, "^")
	if !anchored {
		return nil, refuse
	}
	e, whole := strings.CutSuffix(e, "$")
	if inner, is := strings.CutPrefix(e, "("); is {
		if e, is = strings.CutSuffix(inner, ")"); !is {
			return nil, refuse
		}
	} else if strings.Contains(e, "|") {
		return nil, refuse // "^a|b$" is not what it looks like
	}
	for part := range strings.SplitSeq(e, "|") {
		text, more := strings.CutSuffix(part, ".*")
		name, ok := literal(text)
		if !ok || name == "" && !more {
			return nil, refuse
		}
		out = append(out, namePattern{name, more || !whole})
	}
	return out, nil
}

// literal is the text that an expression without anything special matches.
func literal(e string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(e); i++ {
		switch c := e[i]; {
		case c == '\\' && i+1 < len(e) && strings.IndexByte(`.\+*?()|[]{}^$-_`, e[i+1]) >= 0:
			i++
			b.WriteByte(e[i])
		case strings.IndexByte(`.\+*?()|[]{}^$`, c) >= 0:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// expressionOf is what patterns of grants are as a regular expression.
func expressionOf(patterns []string) string {
	var parts []string
	for _, p := range patterns {
		if p == "*" {
			return ".*"
		}
		text, more := strings.CutSuffix(p, "*")
		if text = regexp.QuoteMeta(text); more {
			text += ".*"
		}
		parts = append(parts, text)
	}
	switch len(parts) {
	case 0:
		return ""
	case 1:
		return "^" + parts[0] + "$"
	}
	return "^(" + strings.Join(parts, "|") + ")$"
}
