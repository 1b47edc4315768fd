package wire

// How lists and maps stand in the query form and in XML:
//
//	flat list     Name.1 Name.2                                 <Name>…</Name><Name>…</Name>
//	member list   Name.member.1 Name.member.2                   <Name><member>…</member><member>…</member></Name>
//	flat map      Name.1.<key> Name.1.<value>                   <Name><key/><value/></Name>
//	entry map     Name.entry.1.<key> Name.entry.1.<value>       <Name><entry><key/><value/></entry></Name>
//
// SQS has the flat ones, SNS the others. A flat list or map of one may leave out its number (Name=…, Name.<key>=…), as it does in Amazon's
// oldest examples.

// style is which of them.
type style struct {
	inside string // the element between a list and its items, "" for flat ones
}

var (
	flat    = style{}
	members = style{inside: "member"}
	entries = style{inside: "entry"}
)

// list is a kind of lists of k.
func list[V any](k *kind[V], st style) *kind[[]V] {
	l := &kind[[]V]{most: ItemsMax}
	l.readJSON = func(r *reader, v *[]V) {
		*v = (*v)[:0]
		if !r.open('[') {
			return
		}
		for r.item() {
			if len(*v) == l.most {
				r.fail(malformed("too many elements in a list"))
				return
			}
			if e := extend(v); !r.null() {
				k.readJSON(r, e)
			}
		}
	}
	l.appendJSON = func(b []byte, v *[]V) []byte {
		b = append(b, '[')
		for i := range *v {
			if i > 0 {
				b = append(b, ',')
			}
			b = k.appendJSON(b, &(*v)[i])
		}
		return append(b, ']')
	}
	l.readForm = func(f *form, v *[]V) bool {
		*v = (*v)[:0]
		return f.each(st, func() bool {
			if len(*v) == l.most {
				f.fail(malformed("too many elements in a list"))
				return false
			}
			if !k.readForm(f, extend(v)) { // there is something below the path that is not ours
				if *v = (*v)[:len(*v)-1]; len(*v) == 0 {
					*v = nil
				}
				return false
			}
			return true
		})
	}
	l.appendForm = func(w *formWriter, v *[]V) {
		w.each(st, len(*v), func(i int) { k.appendForm(w, &(*v)[i]) })
	}
	l.appendXML = func(b []byte, name string, v *[]V) []byte {
		if st.inside == "" {
			for i := range *v {
				b = k.appendXML(b, name, &(*v)[i])
			}
			return b
		}
		b = appendStart(b, name)
		for i := range *v {
			b = k.appendXML(b, st.inside, &(*v)[i])
		}
		return appendEnd(b, name)
	}
	l.absent = func(v *[]V) bool { return len(*v) == 0 }
	return l
}

// always is a kind of lists that answers write even when they are empty.
func always[V any](k *kind[[]V]) *kind[[]V] {
	a := *k
	a.absent = func(*[]V) bool { return false }
	return &a
}

// dict is a kind of maps: lists of E, where s has two members, the key first. In JSON they are an object, elsewhere like a list.
func dict[E any](s *shape[E], key func(*E) *string, st style) *kind[[]E] {
	d := list(s.kind(), st)
	value := &s.fields[1]
	d.readJSON = func(r *reader, v *[]E) {
		*v = (*v)[:0]
		if !r.open('{') {
			return
		}
		for r.member() {
			if len(*v) == d.most {
				r.fail(malformed("too many members in a map"))
				return
			}
			e := extend(v)
			*key(e) = view(r.key)
			if !r.null() {
				value.readJSON(r, e)
			}
		}
	}
	d.appendJSON = func(b []byte, v *[]E) []byte {
		b = append(b, '{')
		for i := range *v {
			if i > 0 {
				b = append(b, ',')
			}
			e := &(*v)[i]
			b = append(AppendQuoted(b, *key(e)), ':')
			b = value.appendJSON(b, e)
		}
		return append(b, '}')
	}
	return d
}

// pairs is a map of texts.
func pairs(st style, key, value string) *kind[Pairs] {
	d := dict(of(
		member(key, keepEmpty, func(p *Pair) *string { return &p.Name }),
		member(value, keepEmpty, func(p *Pair) *string { return &p.Value }),
	), func(p *Pair) *string { return &p.Name }, st)
	// Pairs is a []Pair with a method; the functions of its kind see the one as the other.
	return &kind[Pairs]{
		readJSON:   func(r *reader, v *Pairs) { d.readJSON(r, (*[]Pair)(v)) },
		appendJSON: func(b []byte, v *Pairs) []byte { return d.appendJSON(b, (*[]Pair)(v)) },
		readForm:   func(f *form, v *Pairs) bool { return d.readForm(f, (*[]Pair)(v)) },
		appendForm: func(w *formWriter, v *Pairs) { d.appendForm(w, (*[]Pair)(v)) },
		appendXML:  func(b []byte, name string, v *Pairs) []byte { return d.appendXML(b, name, (*[]Pair)(v)) },
		absent:     func(v *Pairs) bool { return len(*v) == 0 },
	}
}

// keepEmpty is text that is written even when it is empty.
var keepEmpty = func() *kind[string] {
	k := *text
	k.absent = func(*string) bool { return false }
	return &k
}()

// extend adds an element to a list and returns it. Batches have ten at most, and nearly always full ones are sent.
func extend[V any](v *[]V) *V {
	if cap(*v) == 0 {
		*v = make([]V, 0, 4)
	} else if len(*v) == cap(*v) && len(*v) < BatchMax {
		*v = append(make([]V, 0, BatchMax), *v...)
	}
	var zero V
	*v = append(*v, zero)
	return &(*v)[len(*v)-1]
}
