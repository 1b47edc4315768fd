package wire

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParamsMax is the number of parameters of a request in the query form. A full batch with ten attributes each has 450.
const ParamsMax = 8192

// param is one Name=value, both unescaped.
type param struct{ name, value string }

// form is the parameters of a request in the query form, sorted by name, and the path of the member that is being read:
//
//	SendMessageBatchRequestEntry.1.MessageAttribute.2.Value.StringValue
type form struct {
	params []param
	at     []byte
	err    *Error
}

func (f *form) fail(e *Error) {
	if f.err == nil {
		f.err = e
	}
}

// parseForm reads parameters from as many places as they may stand in: the URL's query and the body.
func parseForm(places ...string) (*form, *Error) {
	f := &form{}
	for _, rest := range places {
		for rest != "" {
			var pair string
			if pair, rest, _ = strings.Cut(rest, "&"); pair == "" {
				continue
			}
			if len(f.params) == ParamsMax {
				return nil, malformed("too many parameters")
			}
			name, value, _ := strings.Cut(pair, "=")
			name, ok := unquote(name)
			if !ok {
				return nil, malformed("a parameter's name is not well escaped")
			}
			if value, ok = unquote(value); !ok {
				return nil, malformed("the value of parameter " + name + " is not well escaped")
			}
			f.params = append(f.params, param{name, value})
		}
	}
	// Of two parameters of one name the first counts.
	slices.SortStableFunc(f.params, func(a, b param) int { return strings.Compare(a.name, b.name) })
	return f, nil
}

// unquote undoes the escapes of a name or value, which has to be UTF-8 then.
func unquote(s string) (string, bool) {
	if strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '+') >= 0 {
		u, err := url.QueryUnescape(s)
		if err != nil {
			return "", false
		}
		s = u
	}
	return s, utf8.ValidString(s)
}

// get returns a parameter by its whole name.
func (f *form) get(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(f.params, name, func(p param, n string) int { return strings.Compare(p.name, n) })
	if !ok {
		return "", false
	}
	return f.params[i].value, true
}

// value returns the parameter at the path.
func (f *form) value() (string, bool) { return f.get(view(f.at)) }

// has reports whether there is a parameter at the path or below it.
func (f *form) has() bool {
	if _, ok := f.value(); ok {
		return true
	}
	mark := len(f.at)
	f.at = append(f.at, '.')
	below := view(f.at)
	i, _ := slices.BinarySearchFunc(f.params, below, func(p param, n string) int { return strings.Compare(p.name, n) })
	ok := i < len(f.params) && strings.HasPrefix(f.params[i].name, below)
	f.at = f.at[:mark]
	return ok
}

// path is the path, for texts of errors.
func (f *form) path() string { return string(f.at) }

// push makes the path longer by a part, and returns what pop needs to make it short again.
func (f *form) push(part string) (mark int) {
	mark = len(f.at)
	if mark > 0 {
		f.at = append(f.at, '.')
	}
	f.at = append(f.at, part...)
	return mark
}

func (f *form) pop(mark int) { f.at = f.at[:mark] }

// each calls read at the paths of the first, second, … element, until one is not there or read has had enough. It reports whether there
// was any.
func (f *form) each(st style, read func() (more bool)) bool {
	if !f.has() {
		return false
	}
	begin := len(f.at)
	defer func() { f.at = f.at[:begin] }()
	if st.inside != "" {
		f.push(st.inside)
	}
	for i := 1; ; i++ {
		mark := f.push(strconv.Itoa(i))
		there := f.has()
		more := there && read()
		f.pop(mark)
		if more {
			continue
		}
		if i == 1 && !there && st.inside == "" {
			read() // without a number
			return true
		}
		return i > 1 || there
	}
}

// formWriter writes a request in the query form, as clients do. The gateway has no use for it; tests and tools have.
type formWriter struct {
	b  []byte
	at []byte
}

func (w *formWriter) push(part string) (mark int) {
	mark = len(w.at)
	if mark > 0 {
		w.at = append(w.at, '.')
	}
	w.at = append(w.at, part...)
	return mark
}

func (w *formWriter) pop(mark int) { w.at = w.at[:mark] }

func (w *formWriter) value(v string) {
	if len(w.b) > 0 {
		w.b = append(w.b, '&')
	}
	w.b = append(w.b, url.QueryEscape(string(w.at))...)
	w.b = append(w.b, '=')
	w.b = append(w.b, url.QueryEscape(v)...)
}

func (w *formWriter) each(st style, n int, write func(i int)) {
	begin := len(w.at)
	if st.inside != "" {
		w.push(st.inside)
	}
	for i := range n {
		mark := w.push(strconv.Itoa(i + 1))
		write(i)
		w.pop(mark)
	}
	w.pop(begin)
}
