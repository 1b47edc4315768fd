package record

// JSONReader reads, in one pass over its bytes, a JSON document that has events among other things: requests that are a gateway's own
// make. It is as strict as ParseEventJSON. What it gives shares the document's memory where JSON allows; the document must not change
// while that lives.
//
// The first thing that is wrong ends the reading: from then on nothing more is found, and Err says what it was.
//
//	for more := r.Enter('{'); more; more = r.More('}') {
//		switch r.Name() { … r.Text() … }
//	}
//	if !r.End() { … r.Err() … }
//
// The zero JSONReader reads an empty document.
type JSONReader struct {
	p eventParser
	e Event
}

// NewJSONReader reads p.
func NewJSONReader(p []byte) *JSONReader {
	return &JSONReader{p: eventParser{scanner: scanner{p: p}}}
}

// Err says what is wrong and at which byte; "" while nothing is.
func (r *JSONReader) Err() (bad string, at int) { return r.p.bad, r.p.at }

// Left is how many bytes have not been read.
func (r *JSONReader) Left() int { return len(r.p.p) - r.p.i }

// Next gives the byte that the next token begins with, which tells what sort of value it is: 0 at the end.
func (r *JSONReader) Next() byte { return r.p.space() }

// Enter reads an opening bracket and reports whether anything stands behind it; an empty array or object is left at once.
func (r *JSONReader) Enter(open byte) (more bool) {
	s := &r.p.scanner
	if s.bad != "" {
		return false
	}
	if s.space() != open {
		return s.expected(open)
	}
	s.i++
	if s.space() == open+2 { // both brackets are two apart from their counterparts in ASCII
		s.i++
		return false
	}
	return true
}

// More reads the comma behind a member or element, or the closing bracket, which it reports as false.
func (r *JSONReader) More(end byte) bool {
	if r.p.bad != "" {
		return false
	}
	done, ok := r.p.more(end)
	return ok && !done
}

// Name reads the name of a member and the colon behind it. When that fails it is "".
func (r *JSONReader) Name() string {
	name := r.Text()
	if r.p.bad != "" || !r.p.colon() {
		return ""
	}
	return name
}

// Text reads a string. When that fails it is "".
func (r *JSONReader) Text() string {
	s := &r.p.scanner
	if s.bad != "" {
		return ""
	}
	if s.space() != '"' {
		s.expected('"')
		return ""
	}
	raw, escaped, ok := s.str()
	if !ok {
		return ""
	}
	if escaped {
		raw = unescape(raw)
	}
	return stringOf(raw)
}

// Value reads any value and gives it as it stands. When that fails it is "".
func (r *JSONReader) Value() string {
	s := &r.p.scanner
	if s.bad != "" {
		return ""
	}
	s.space()
	start := s.i
	if !s.value(1) {
		return ""
	}
	return stringOf(s.p[start:s.i])
}

// End reports whether the document has been read to its end without fault.
func (r *JSONReader) End() bool { return r.p.bad == "" && r.p.end() }

// PartialEvents reads an array of events as ParsePartialEventsJSON does, with its errors. Byte offsets in them count from the beginning
// of the document.
func (r *JSONReader) PartialEvents(limit int, each func(i int, e *Event) error) error {
	r.p.e = &r.e
	return r.p.events(limit, each)
}

// expected refuses what does not begin with c.
func (s *scanner) expected(c byte) bool {
	if s.i >= len(s.p) {
		return s.fail(s.i, "it ends too early")
	}
	switch c {
	case '{':
		return s.fail(s.i, "an object was expected")
	case '[':
		return s.fail(s.i, "an array was expected")
	}
	return s.fail(s.i, "a string was expected")
}
