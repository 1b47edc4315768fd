package registry

import "errors"

// staged is what has been decided by a view and is recorded with what it decides next: ids, and contents that have one. Only views that are made upon it
// see it.
type staged struct {
	before   []*staged // what others decided that is being recorded; they change no more
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
//
// flying are views that have decided and whose registrations are being recorded: theirs count, too. What is decided upon them holds whether they
// are recorded or not: an id that nothing has any more is a gap, and what would need more than ids is ErrStaged.
func (r *Registry) Stage(flying ...*Registry) *Registry {
	s := &staged{
		high: map[string]int{}, contents: map[contentKey]int{}, ids: map[idKey][32]byte{}, written: map[string]bool{}, read: map[string]bool{},
	}
	for _, f := range flying {
		x := *f.staged
		x.before = nil // has been seen, and would hold on to all there ever were
		s.before = append(s.before, &x)
	}
	return &Registry{index: r.index, staged: s}
}

// each are the view's own and those before it.
func (s *staged) each(yield func(*staged) bool) {
	if s == nil {
		return
	}
	for _, x := range s.before {
		if !yield(x) {
			return
		}
	}
	yield(s)
}

// clash reports whether a registration has to wait for what is staged.
func (s *staged) clash(subject string, refs []Reference) bool {
	for x := range s.each {
		if x.written[subject] || x.read[subject] {
			return true
		}
		for _, ref := range refs {
			if x.written[within(subject, ref.Subject)] {
				return true
			}
		}
	}
	return false
}

// idOf is the id that a content was given.
func (s *staged) idOf(k contentKey) (id int, known bool) {
	for x := range s.each {
		if id, known = x.contents[k]; known {
			return id, true
		}
	}
	return 0, false
}

// highest is the highest id that was given in a context.
func (s *staged) highest(context string) (id int) {
	for x := range s.each {
		id = max(id, x.high[context])
	}
	return id
}

// taken reports whether an id was given to another content.
func (s *staged) taken(k idKey, hash [32]byte) bool {
	for x := range s.each {
		if h, ok := x.ids[k]; ok && h != hash {
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
