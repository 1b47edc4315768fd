package registry

import "errors"

// staged is what has been decided by a view and is recorded with what it decides next: ids, and contents that have one. Nobody else sees it.
type staged struct {
	high     map[string]int
	contents map[contentKey]int
	ids      map[idKey][32]byte
	written  map[string]bool // subjects that get a version
	read     map[string]bool // subjects that are referred to: what is referred to must not go in the same breath
}

// ErrStaged is the answer of a staged view to what needs something that it has decided and that is not recorded yet. It is to be asked again when that
// is.
var ErrStaged = errors.New("registry: depends on what is decided and not recorded yet")

// Stage is a view of the registry for registrations that are recorded together, all or none: each knows the ids that those before it were given. It is
// for Register only, and good until what it decided has been recorded, or not.
func (r *Registry) Stage() *Registry {
	return &Registry{index: r.index, staged: &staged{
		high: map[string]int{}, contents: map[contentKey]int{}, ids: map[idKey][32]byte{}, written: map[string]bool{}, read: map[string]bool{},
	}}
}

// clash reports whether a registration has to wait for what is staged.
func (s *staged) clash(subject string, refs []Reference) bool {
	if s == nil {
		return false
	}
	if s.written[subject] || s.read[subject] {
		return true
	}
	for _, ref := range refs {
		if s.written[within(subject, ref.Subject)] {
			return true
		}
	}
	return false
}

func (s *staged) add(v *Version) {
	if s == nil {
		return
	}
	context, _ := Split(v.Subject)
	s.high[context] = max(s.high[context], v.ID)
	s.contents[contentKey{context, v.hash}] = v.ID
	s.ids[idKey{context, v.ID}] = v.hash
	s.written[v.Subject] = true
	for _, ref := range v.References {
		s.read[within(v.Subject, ref.Subject)] = true
	}
}
