package record

// JSONMember gives the value of a member of the JSON object p, which ValidJSON has accepted, as it stands there; of a name that
// repeats the last. There is no faster way to a single field: what is not asked for is skipped, and nothing is built.
func JSONMember(p []byte, name string) (raw []byte, found bool) {
	s := scanner{p: p}
	if s.space() != '{' {
		return nil, false
	}
	s.i++
	if s.space() == '}' {
		return nil, false
	}
	for {
		s.space()
		key, escaped, ok := s.str()
		if !ok || !s.colon() {
			return nil, false
		}
		if escaped {
			key = unescape(key)
		}
		s.space()
		start := s.i
		if !s.value(0) {
			return nil, false
		}
		if string(key) == name {
			raw, found = s.p[start:s.i:s.i], true
		}
		if done, ok := s.more('}'); done || !ok {
			return raw, found
		}
	}
}
