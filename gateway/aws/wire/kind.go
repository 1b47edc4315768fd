package wire

import (
	"encoding/base64"
	"strconv"
)

// ItemsMax is the number of elements of any list or map of a request. Batches of over ten are refused with their count, so more than that
// is read; what is read takes memory, so not all is.
const ItemsMax = 1000

// Opt is a value that may be left out, where being left out means something else than being zero.
type Opt[V any] struct {
	V   V
	Set bool
}

// Some is an Opt that is there.
func Some[V any](v V) Opt[V] { return Opt[V]{v, true} }

// Or is the value, or what stands for it where it was left out.
func (o Opt[V]) Or(def V) V {
	if o.Set {
		return o.V
	}
	return def
}

// Pair is an element of a map of texts: attributes of queues and topics, tags.
type Pair struct{ Name, Value string }

// Pairs is such a map, in the order in which it was sent.
type Pairs []Pair

// Get returns the value of a name. The last one counts where a name occurs twice.
func (p Pairs) Get(name string) (value string, ok bool) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i].Name == name {
			return p[i].Value, true
		}
	}
	return "", false
}

// optional is a kind whose values may be left out.
func optional[V any](k *kind[V]) *kind[Opt[V]] {
	return &kind[Opt[V]]{
		readJSON:   func(r *reader, v *Opt[V]) { v.Set = true; k.readJSON(r, &v.V) },
		appendJSON: func(b []byte, v *Opt[V]) []byte { return k.appendJSON(b, &v.V) },
		readForm: func(f *form, v *Opt[V]) bool {
			v.Set = k.readForm(f, &v.V)
			return v.Set
		},
		appendForm: func(w *formWriter, v *Opt[V]) { k.appendForm(w, &v.V) },
		appendXML:  func(b []byte, name string, v *Opt[V]) []byte { return k.appendXML(b, name, &v.V) },
		absent:     func(v *Opt[V]) bool { return !v.Set },
	}
}

// The kinds of single values. A text that is empty counts as left out, as it does at AWS.
var (
	text = &kind[string]{
		readJSON:   func(r *reader, v *string) { *v = r.text() },
		appendJSON: func(b []byte, v *string) []byte { return AppendQuoted(b, *v) },
		readForm: func(f *form, v *string) (ok bool) {
			*v, ok = f.value()
			return ok
		},
		appendForm: func(w *formWriter, v *string) { w.value(*v) },
		appendXML: func(b []byte, name string, v *string) []byte {
			return appendEnd(appendEscaped(appendStart(b, name), *v), name)
		},
		absent: func(v *string) bool { return *v == "" },
	}

	optText = optional(text)

	number = &kind[int64]{
		readJSON:   func(r *reader, v *int64) { *v = r.number() },
		appendJSON: func(b []byte, v *int64) []byte { return strconv.AppendInt(b, *v, 10) },
		readForm: func(f *form, v *int64) bool {
			s, ok := f.value()
			if !ok || s == "" {
				return false
			}
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				f.fail(malformed("Value " + s + " for parameter " + f.path() + " is invalid. Reason: must be a number"))
			}
			*v = n
			return true
		},
		appendForm: func(w *formWriter, v *int64) { w.value(strconv.FormatInt(*v, 10)) },
		appendXML: func(b []byte, name string, v *int64) []byte {
			return appendEnd(strconv.AppendInt(appendStart(b, name), *v, 10), name)
		},
		absent: func(*int64) bool { return false },
	}

	optNumber = optional(number)

	flag = &kind[bool]{
		readJSON:   func(r *reader, v *bool) { *v = r.flag() },
		appendJSON: func(b []byte, v *bool) []byte { return strconv.AppendBool(b, *v) },
		readForm: func(f *form, v *bool) bool {
			s, ok := f.value()
			*v = s == "true" || s == "True" || s == "1"
			return ok
		},
		appendForm: func(w *formWriter, v *bool) { w.value(strconv.FormatBool(*v)) },
		appendXML: func(b []byte, name string, v *bool) []byte {
			return appendEnd(strconv.AppendBool(appendStart(b, name), *v), name)
		},
		absent: func(*bool) bool { return false },
	}

	// mark is a flag that is left out unless it is set.
	mark = func() *kind[bool] {
		k := *flag
		k.absent = func(v *bool) bool { return !*v }
		return &k
	}()

	// blob is base64 in every form.
	blob = &kind[[]byte]{
		readJSON:   func(r *reader, v *[]byte) { *v = r.blob() },
		appendJSON: func(b []byte, v *[]byte) []byte { return append(appendBase64(append(b, '"'), *v), '"') },
		readForm: func(f *form, v *[]byte) bool {
			s, ok := f.value()
			if !ok {
				return false
			}
			p, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				f.fail(malformed(f.path() + " is not base64"))
			}
			*v = p
			return true
		},
		appendForm: func(w *formWriter, v *[]byte) { w.value(base64.StdEncoding.EncodeToString(*v)) },
		appendXML: func(b []byte, name string, v *[]byte) []byte {
			return appendEnd(appendBase64(appendStart(b, name), *v), name)
		},
		absent: func(v *[]byte) bool { return *v == nil },
	}
)

func appendBase64(b, p []byte) []byte { return base64.StdEncoding.AppendEncode(b, p) }
