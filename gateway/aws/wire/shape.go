package wire

// A shape says once what a type is made of; the four forms of the protocols walk it:
//
//	form     direction             example of one member, Attributes of CreateQueue
//	JSON     requests, answers     "Attributes":{"DelaySeconds":"5"}
//	query    requests              Attribute.1.Name=DelaySeconds&Attribute.1.Value=5
//	XML      answers               <Attribute><Name>DelaySeconds</Name><Value>5</Value></Attribute>
//
// A kind is how values of one Go type stand in the forms: text, numbers, lists, maps, and shapes themselves. Kinds are made of kinds and
// put together when the program starts; nothing is looked up by reflection.

// kind is a type of values in all forms. Every function gets a name where its form needs one: the whole path in the query form, the
// element's in XML.
type kind[V any] struct {
	readJSON   func(r *reader, v *V)
	appendJSON func(b []byte, v *V) []byte
	readForm   func(f *form, v *V) bool // at the path that f has; false where nothing of it is there
	appendForm func(w *formWriter, v *V)
	appendXML  func(b []byte, name string, v *V) []byte
	absent     func(v *V) bool // a value that answers leave out
	most       int             // of a list or map: how many a request may have
}

// field is one member of a T.
type field[T any] struct {
	json     string // its name in JSON
	wire     string // its name in the query form and in XML
	also     string // another name that the query form takes, or ""
	required bool

	readJSON   func(r *reader, t *T)
	appendJSON func(b []byte, t *T) []byte
	readForm   func(f *form, t *T) bool
	appendForm func(w *formWriter, t *T)
	appendXML  func(b []byte, name string, t *T) []byte
	absent     func(t *T) bool
}

// shape is the members of a T, in the order in which they are written.
type shape[T any] struct {
	fields []field[T]
}

// of makes a shape.
func of[T any](fields ...field[T]) *shape[T] { return &shape[T]{fields} }

// member makes a field of kind k that lies at at(t). Where both forms use one name, it is given once.
func member[T, V any](name string, k *kind[V], at func(*T) *V) field[T] {
	return field[T]{
		json: name, wire: name,
		readJSON:   func(r *reader, t *T) { k.readJSON(r, at(t)) },
		appendJSON: func(b []byte, t *T) []byte { return k.appendJSON(b, at(t)) },
		readForm:   func(f *form, t *T) bool { return k.readForm(f, at(t)) },
		appendForm: func(w *formWriter, t *T) { k.appendForm(w, at(t)) },
		appendXML:  func(b []byte, name string, t *T) []byte { return k.appendXML(b, name, at(t)) },
		absent:     func(t *T) bool { return k.absent(at(t)) },
	}
}

// must is a field without which a request is refused.
func (f field[T]) must() field[T] {
	f.required = true
	return f
}

// as is a field that the query form and XML call otherwise, and may call by a second name.
func (f field[T]) as(name string, also ...string) field[T] {
	f.wire = name
	if len(also) > 0 {
		f.also = also[0]
	}
	return f
}

// find returns the field of a JSON name. Clients write members in an order of their own, but mostly the same one: guess is tried first.
func (s *shape[T]) find(name []byte, guess int) (*field[T], int) {
	n := len(s.fields)
	for i := range n {
		at := guess + i
		if at >= n {
			at -= n
		}
		if f := &s.fields[at]; f.json == string(name) {
			return f, at
		}
	}
	return nil, guess
}

// readJSON reads an object. Members that are not of the shape are passed over, and null is as if it were not there.
func (s *shape[T]) readJSON(r *reader, t *T) {
	if !r.open('{') {
		return
	}
	for next := 0; r.member(); {
		f, at := s.find(r.key, next)
		if f == nil {
			r.skip()
			continue
		}
		next = at + 1
		if next == len(s.fields) {
			next = 0
		}
		if !r.null() {
			f.readJSON(r, t)
		}
	}
}

func (s *shape[T]) appendJSON(b []byte, t *T) []byte {
	b = append(b, '{')
	for i := range s.fields {
		f := &s.fields[i]
		if f.absent(t) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, f.json...)
		b = append(b, '"', ':')
		b = f.appendJSON(b, t)
	}
	return append(b, '}')
}

func (s *shape[T]) readForm(f *form, t *T) bool {
	found := false
	for i := range s.fields {
		m := &s.fields[i]
		mark := f.push(m.wire)
		here := m.readForm(f, t)
		f.pop(mark)
		if !here && m.also != "" {
			mark = f.push(m.also)
			here = m.readForm(f, t)
			f.pop(mark)
		}
		found = found || here
	}
	return found
}

func (s *shape[T]) appendForm(w *formWriter, t *T) {
	for i := range s.fields {
		if m := &s.fields[i]; !m.absent(t) {
			mark := w.push(m.wire)
			m.appendForm(w, t)
			w.pop(mark)
		}
	}
}

// appendMembers writes what is inside an element.
func (s *shape[T]) appendMembers(b []byte, t *T) []byte {
	for i := range s.fields {
		if m := &s.fields[i]; !m.absent(t) {
			b = m.appendXML(b, m.wire, t)
		}
	}
	return b
}

// missing returns the first required member that is not there, or "".
func (s *shape[T]) missing(t *T) string {
	for i := range s.fields {
		if f := &s.fields[i]; f.required && f.absent(t) {
			return f.json
		}
	}
	return ""
}

// kind makes a shape usable as a member of another.
func (s *shape[T]) kind() *kind[T] {
	return &kind[T]{
		readJSON:   s.readJSON,
		appendJSON: s.appendJSON,
		readForm:   s.readForm,
		appendForm: s.appendForm,
		appendXML: func(b []byte, name string, t *T) []byte {
			return appendEnd(s.appendMembers(appendStart(b, name), t), name)
		},
		absent: func(*T) bool { return false },
	}
}
