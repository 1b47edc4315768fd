package record

import "strconv"

// exactFloat is up to where every integer is a float64.
const exactFloat = 1 << 53

// JSONValue gives p, exactly one JSON value, as Go values: nil, bool, float64, string, []any, map[string]any. An integer too large to
// be exact as a float64 is an int64 where it fits one. Of names that repeat the last one counts. ok is false when p is no JSON.
func JSONValue(p []byte) (v any, ok bool) {
	s := scanner{p: p}
	if v, ok = s.build(0); !ok || s.space() != 0 || s.i != len(p) {
		return nil, false
	}
	return v, true
}

func (s *scanner) build(depth int) (any, bool) {
	if depth > JSONDepthMax {
		return nil, s.fail(s.i, "it nests too deep")
	}
	switch s.space() {
	case '"':
		return s.buildString()
	case '{':
		return s.buildObject(depth + 1)
	case '[':
		return s.buildArray(depth + 1)
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return nil, s.word("null")
	}
	start := s.i
	if !s.number() {
		return nil, false
	}
	return jsonNumber(string(s.p[start:s.i]))
}

func (s *scanner) buildString() (string, bool) {
	raw, escaped, ok := s.str()
	if !ok {
		return "", false
	}
	if escaped {
		return stringOf(unescape(raw)), true
	}
	return string(raw), true
}

func jsonNumber(text string) (any, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false // over the range
	}
	if f >= exactFloat || f <= -exactFloat {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
	}
	return f, true
}

func (s *scanner) buildObject(depth int) (any, bool) {
	m := map[string]any{}
	s.i++
	if s.space() == '}' {
		s.i++
		return m, true
	}
	for {
		if s.space() != '"' {
			return nil, s.fail(s.i, "a name was expected")
		}
		name, ok := s.buildString()
		if !ok || !s.colon() {
			return nil, false
		}
		v, ok := s.build(depth)
		if !ok {
			return nil, false
		}
		m[name] = v
		if done, ok := s.more('}'); done || !ok {
			return m, ok
		}
	}
}

func (s *scanner) buildArray(depth int) (any, bool) {
	a := []any{}
	s.i++
	if s.space() == ']' {
		s.i++
		return a, true
	}
	for {
		v, ok := s.build(depth)
		if !ok {
			return nil, false
		}
		a = append(a, v)
		if done, ok := s.more(']'); done || !ok {
			return a, ok
		}
	}
}
