package filter

import "strings"

// clausesOf cuts a CEL expression whose tree is root at each && that is in no brackets and no text: into as many clauses as the tree has, or nil where
// those are not what stands there.
func clausesOf(expr string, root node) []string {
	top, ok := root.(all)
	if !ok {
		return nil
	}
	var parts []node
	top.parts(&parts)
	out := cutAnds(expr)
	if len(out) != len(parts) {
		return nil
	}
	return out
}

// cutAnds cuts at each && at the top. An expression with || or ? there is one clause: those bind less.
func cutAnds(expr string) (out []string) {
	depth, from := 0, 0
	var quote byte
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		case depth > 0:
		case c == '?' || strings.HasPrefix(expr[i:], "||"):
			return []string{strings.TrimSpace(expr)}
		case strings.HasPrefix(expr[i:], "&&"):
			out = append(out, strings.TrimSpace(expr[from:i]))
			from = i + 2
			i++
		}
	}
	return append(out, strings.TrimSpace(expr[from:]))
}
