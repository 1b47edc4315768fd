package address

import (
	"slices"
	"strings"

	"leat/broker/record"
)

// SubjectWordsMax is how many words of a record's text patterns look at: of a longer one only patterns hold whose last word is # and whose
// others hold within that many.
const SubjectWordsMax = 256

// Record is what address filters see of a record. The zero values stand for what is not there.
type Record struct {
	Stream  record.StreamID
	Subject string
	Type    string
	Key     []byte
	Headers []record.Header
}

// Of fills r from a stored record: the subject is that of the event, else the key where that is text; the type is that of the event,
// else the stream's default. r shares the record's memory. An event in structured mode is decoded into scratch.
func (r *Record) Of(stream record.StreamID, rec *record.Record, defaultType string, scratch *record.Event) {
	*r = Record{Stream: stream, Type: defaultType, Key: rec.Key, Headers: rec.Headers}
	for i := range rec.Headers {
		switch h := &rec.Headers[i]; h.Key {
		case "ce_subject":
			r.Subject = text(h.Value)
		case "ce_type":
			r.Type = text(h.Value)
		case "content-type":
			if strings.HasPrefix(text(h.Value), "application/cloudevents") {
				scratch.FromRecord(rec, record.Defaults{DefaultType: defaultType})
				r.Subject, r.Type = scratch.Subject, scratch.Type
				return
			}
		}
	}
	if r.Subject == "" {
		r.Subject = record.SubjectOfKey(rec.Key)
	}
}

// headerName is the name under which filters know a header: that of the attribute it carries, else its own.
func headerName(key string) string {
	if len(key) > 3 && key[:3] == "ce_" {
		return key[3:]
	}
	return key
}

// Matcher is the memory that matching needs. It is for one goroutine at a time; make it once and use it for every record.
type Matcher struct {
	hits []*posting // whose sure entries are reached
	some []entry    // reached because the rest of their clause holds
	ids  []ID

	now, then, loops []*wordNode
	ended            []*wordNode // after a # that ends a pattern
	inLoops          map[*wordNode]struct{}
}

// NewMatcher makes a matcher.
func NewMatcher() *Matcher {
	return &Matcher{inLoops: map[*wordNode]struct{}{}}
}

// Match holds a record against all clauses and reports whether anyone is reached; IDs says who. What it found is good until the
// next call. It allocates nothing once the matcher has grown to what the records need.
func (m *Matcher) Match(x *Index, r *Record) bool {
	m.hits, m.some = m.hits[:0], m.some[:0]
	_, s := x.stream(r.Stream)
	if s == nil {
		return false
	}
	m.consider(s.all, r)
	for a := range patterned {
		m.attribute(s, attr(a), r)
	}
	if s.used[attrHeader]+s.used[kindPresent] > 0 {
		m.headers(s, r)
	}
	return len(m.hits)+len(m.some) > 0
}

func (r *Record) attribute(a attr) string {
	switch a {
	case attrSubject:
		return r.Subject
	case attrKey:
		return text(r.Key)
	}
	return r.Type
}

func (m *Matcher) attribute(s *streamIndex, a attr, r *Record) {
	in := &s.attrs[a]
	if s.used[a] == 0 && len(in.lengths) == 0 && in.words == nil && in.levels == nil {
		return
	}
	v := r.attribute(a)
	if s.used[a] > 0 {
		m.lookup(s, termHash(int(a), 0, hashOf(v)), int(a), "", v, r)
	}
	for _, l := range in.lengths {
		if l.bytes > len(v) {
			break
		}
		m.lookup(s, termHash(kindPrefix+int(a), 0, hashOf(v[:l.bytes])), kindPrefix+int(a), "", v[:l.bytes], r)
	}
	if in.words != nil || in.levels != nil {
		from := len(m.hits)
		m.walk(in.words, Words, v)
		m.walk(in.levels, Levels, v)
		walked := m.hits[from:]
		m.hits = m.hits[:from]
		for _, p := range walked {
			m.consider(p, r)
		}
	}
}

// headers looks up each header with its value and by its name. A name that repeats counts with each of its values.
func (m *Matcher) headers(s *streamIndex, r *Record) {
	for i := range r.Headers {
		h := &r.Headers[i]
		name := headerName(h.Key)
		hash := hashOf(name)
		if s.used[kindPresent] > 0 && !named(r.Headers[:i], name) {
			m.lookup(s, termHash(kindPresent, hash, hashOf("")), kindPresent, name, "", r)
		}
		if s.used[attrHeader] > 0 && h.Value != nil {
			m.lookup(s, termHash(int(attrHeader), hash, hashOf(text(h.Value))), int(attrHeader), name, text(h.Value), r)
		}
	}
}

func named(hs []record.Header, name string) bool {
	return slices.ContainsFunc(hs, func(h record.Header) bool { return headerName(h.Key) == name })
}

func (m *Matcher) lookup(s *streamIndex, hash uint64, kind int, name, value string, r *Record) {
	for l := s.terms.find(hash); l != nil; l = l.next {
		if l.v.is(kind, name, value) {
			m.consider(&l.v.posting, r)
			return
		}
	}
}

// hit notes a posting that the walk through patterns came to.
func (m *Matcher) hit(p *posting) {
	if p != nil {
		m.hits = append(m.hits, p)
	}
}

// consider takes what a posting is sure of and holds the rest against the record.
func (m *Matcher) consider(p *posting, r *Record) {
	if p == nil {
		return
	}
	if p.sure != nil {
		m.hits = append(m.hits, p)
	}
	if p.held == nil {
		return
	}
	for _, c := range p.held.chunks {
		for i := range c {
			if c[i].clause.holds(r) {
				m.some = append(m.some, c[i])
			}
		}
	}
}

// IDs are the subscriptions that the last record reached, ascending, each once. The slice is good until the next call.
func (m *Matcher) IDs() []ID {
	m.ids = m.ids[:0]
	for _, p := range m.hits {
		for _, c := range p.sure.chunks {
			for i := range c {
				m.ids = append(m.ids, c[i].id)
			}
		}
	}
	for i := range m.some {
		m.ids = append(m.ids, m.some[i].id)
	}
	if len(m.hits)+len(m.some) > 1 {
		slices.Sort(m.ids)
	}
	m.ids = slices.Compact(m.ids)
	return m.ids
}
