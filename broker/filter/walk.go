package filter

import (
	"bytes"
	"strings"

	"leat/broker/record"
)

// walker goes through JSON that is known to be valid, so it need not look at what it skips.
type walker struct {
	x *Extract
	p []byte
	i int
}

// exact takes the members of the object that is next: nested objects by their names, of a name that repeats the last.
func (w *walker) exact(node *pathNode) {
	w.enter()
	for name, ok := w.member(); ok; name, ok = w.member() {
		next := node.kids[name]
		if next == nil {
			w.skip()
			continue
		}
		w.forget(next)
		if w.space(); w.p[w.i] == '{' && next.kids != nil {
			start := w.i
			w.exact(next)
			if next.field > 0 {
				w.x.vals[next.field-1] = JSONValue(textOf(w.p[start:w.i]))
			}
			continue
		}
		raw := w.skip()
		if next.field > 0 {
			w.x.vals[next.field-1] = valueOfRaw(raw)
		}
	}
}

// forget empties what an earlier member of the same name has left.
func (w *walker) forget(node *pathNode) {
	if node.field > 0 {
		w.x.vals[node.field-1] = Value{}
	}
	for _, kid := range node.kids {
		w.forget(kid)
	}
}

// flatten takes the value that is next, and all that lies in it: arrays as if each element stood in their place.
func (w *walker) flatten(node *pathNode) {
	switch w.space(); w.p[w.i] {
	case '{':
		if node.kids == nil {
			w.skip()
			return
		}
		w.enter()
		for name, ok := w.member(); ok; name, ok = w.member() {
			if next := node.dotted(name); next != nil {
				w.flatten(next)
			} else {
				w.skip()
			}
		}
	case '[':
		w.i++
		for w.space(); w.p[w.i] != ']'; w.space() {
			w.flatten(node)
			if w.space(); w.p[w.i] == ',' {
				w.i++
			}
		}
		w.i++
	default:
		raw := w.skip()
		if node.field > 0 {
			if l := &w.x.flat[node.field-1]; len(*l) < FlatValuesMax {
				*l = append(*l, valueOfRaw(raw))
			}
		}
	}
}

// dotted finds the node after a name, which may have dots.
func (n *pathNode) dotted(name string) *pathNode {
	for n != nil {
		head, rest, more := strings.Cut(name, ".")
		n = n.kids[head]
		if !more {
			return n
		}
		name = rest
	}
	return nil
}

// enter goes into the object that is next.
func (w *walker) enter() {
	w.space()
	w.i++
}

// member goes to the value of the next member, which the caller takes; ok is false behind the last.
func (w *walker) member() (name string, ok bool) {
	if w.space(); w.p[w.i] == ',' {
		w.i++
		w.space()
	}
	if w.p[w.i] == '}' {
		w.i++
		return "", false
	}
	raw := w.skip()
	name = textOf(raw[1 : len(raw)-1])
	if bytes.IndexByte(raw, '\\') >= 0 {
		v, _ := record.JSONValue(raw)
		name, _ = v.(string)
	}
	w.space()
	w.i++ // the colon
	return name, true
}

func (w *walker) space() {
	for w.p[w.i] <= ' ' {
		w.i++
	}
}

// skip goes behind the value that is next and gives it.
func (w *walker) skip() []byte {
	w.space()
	start := w.i
	switch w.p[w.i] {
	case '"':
		w.skipText()
	case '{', '[':
		w.skipNested()
	default:
		for w.i < len(w.p) && !ends(w.p[w.i]) {
			w.i++
		}
	}
	return w.p[start:w.i]
}

func (w *walker) skipNested() {
	depth := 0
	for {
		switch w.p[w.i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				w.i++
				return
			}
		case '"':
			w.skipText()
			continue
		}
		w.i++
	}
}

func ends(c byte) bool { return c <= ' ' || c == ',' || c == '}' || c == ']' }

func (w *walker) skipText() {
	for w.i++; ; w.i++ {
		switch w.p[w.i] {
		case '\\':
			w.i++
		case '"':
			w.i++
			return
		}
	}
}
