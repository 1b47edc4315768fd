package registry

import (
	"cmp"
	"encoding/hex"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Which says which versions count.
type Which int

// Versions that count.
const (
	Live Which = iota
	WithDeleted
	OnlyDeleted
)

func (w Which) takes(e *entry) bool {
	return w == WithDeleted || e.deleted == (w == OnlyDeleted)
}

func (r *Registry) all(subject string) []*entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.subjects[subject]
}

// version is a version of a subject, or the latest that is not deleted; nil where there is none.
func (r *Registry) version(subject string, n int, deleted bool) *entry {
	all := r.all(subject)
	if n == Latest {
		for i := len(all) - 1; i >= 0; i-- {
			if !all[i].deleted {
				return all[i]
			}
		}
		return nil
	}
	at, ok := slices.BinarySearchFunc(all, n, func(x *entry, n int) int { return x.version - n })
	if !ok || all[at].deleted && !deleted {
		return nil
	}
	return all[at]
}

// Has reports whether there is a version of a subject.
func (r *Registry) Has(subject string, deleted bool) bool {
	if deleted {
		return len(r.all(subject)) > 0
	}
	return r.version(subject, Latest, false) != nil
}

// Version is one version of a subject. Where a subject without a context is not there, it is looked for in the others, as an alias says first.
func (r *Registry) Version(subject string, n int, deleted bool) (*Version, error) {
	for _, s := range r.places(subject) {
		if v := r.whole(r.version(s, n, deleted)); v != nil {
			return v, nil
		}
	}
	if !r.Has(subject, deleted) {
		return nil, subjectNotFound(subject)
	}
	return nil, versionNotFound(n)
}

// places are the subjects that one may mean: itself, or what it is an alias of.
func (r *Registry) places(subject string) []string {
	if c := r.config(subject); c != nil && c.Alias != "" {
		return []string{within(subject, c.Alias)}
	}
	return []string{subject}
}

// Versions are a subject's versions, oldest first.
func (r *Registry) Versions(subject string, w Which) ([]*Version, error) {
	subject = r.places(subject)[0]
	if !r.Has(subject, w != Live) {
		return nil, subjectNotFound(subject)
	}
	return r.wholes(r.some(subject, w)), nil
}

// Places are where a subject's versions are, oldest first.
func (r *Registry) Places(subject string, w Which) ([]Place, error) {
	subject = r.places(subject)[0]
	if !r.Has(subject, w != Live) {
		return nil, subjectNotFound(subject)
	}
	var out []Place
	for _, e := range r.some(subject, w) {
		out = append(out, e.place())
	}
	return out, nil
}

func (r *Registry) some(subject string, w Which) []*entry {
	return slices.DeleteFunc(slices.Clone(r.all(subject)), func(e *entry) bool { return !w.takes(e) })
}

// matches reports whether a subject begins with a prefix, which may name a context or all of them; without one the default context is meant.
func matches(subject, prefix string) bool {
	if rest, ok := strings.CutPrefix(prefix, AllContexts); ok {
		_, name := Split(subject)
		return strings.HasPrefix(name, rest)
	}
	context, name := Split(subject)
	in, start := Split(prefix)
	return context == in && strings.HasPrefix(name, start)
}

// Subjects are the names of those that begin with a prefix, in their order.
func (r *Registry) Subjects(prefix string, w Which) []string {
	out := []string{}
	r.mu.RLock()
	for s, all := range r.subjects {
		if !matches(s, prefix) {
			continue
		}
		live := slices.ContainsFunc(all, func(e *entry) bool { return !e.deleted })
		if w == WithDeleted || live == (w == Live) {
			out = append(out, s)
		}
	}
	r.mu.RUnlock()
	slices.Sort(out)
	return out
}

// Schemas are the versions of the subjects that begin with a prefix, each read when it is its turn.
func (r *Registry) Schemas(prefix string, w Which, latestOnly bool) iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		for _, s := range r.Subjects(prefix, WithDeleted) {
			all := r.some(s, w)
			if latestOnly && len(all) > 0 {
				all = all[len(all)-1:]
			}
			for _, e := range all {
				if v := r.whole(e); v != nil && !yield(v) {
					return
				}
			}
		}
	}
}

// PlacesOfID are the places of an id in the context of a subject, by subject; "" is the default context, and the others where it has none.
func (r *Registry) PlacesOfID(id int, subject string) []Place { return placesOf(r.ofID(id, subject)) }

// PlacesOfGUID are the places of one content, in all contexts.
func (r *Registry) PlacesOfGUID(guid string) []Place { return placesOf(r.ofGUID(guid)) }

// At is the version at a place; nil: it is gone.
func (r *Registry) At(p Place) *Version { return r.whole(r.version(p.Subject, p.Version, true)) }

// ByID are the versions that PlacesOfID says.
func (r *Registry) ByID(id int, subject string) []*Version { return r.wholes(r.ofID(id, subject)) }

// ByGUID are the versions of one content, in all contexts.
func (r *Registry) ByGUID(guid string) []*Version { return r.wholes(r.ofGUID(guid)) }

func placesOf(all []*entry) []Place {
	out := make([]Place, len(all))
	for i, e := range all {
		out[i] = e.place()
	}
	return out
}

func (r *Registry) ofID(id int, subject string) []*entry {
	context, name := Split(subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.contexts[context]; c != nil && c.ids[id] != nil {
		return c.of(id)
	}
	if subject == "" || context != DefaultContext || name == "" {
		return nil
	}
	// A subject that says no context may be one of another context.
	for _, other := range r.names() {
		if c := r.contexts[other]; c != nil {
			all := c.of(id)
			if slices.ContainsFunc(all, func(e *entry) bool { _, n := Split(e.subject); return n == name }) {
				return all
			}
		}
	}
	return nil
}

func (c *contextIndex) of(id int) (all []*entry) {
	for e := c.ids[id]; e != nil; e = e.sameID {
		all = append(all, e)
	}
	return ordered(all)
}

func (r *Registry) ofGUID(guid string) (all []*entry) {
	b, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
	if err != nil || len(b) != 16 {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for e := r.guids[[16]byte(b)]; e != nil; e = e.sameContent {
		all = append(all, e)
	}
	return ordered(all)
}

// HasID reports whether an id of the default context is given.
func (r *Registry) HasID(id int) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c := r.contexts[DefaultContext]
	return c != nil && c.ids[id] != nil
}

func ordered(all []*entry) []*entry {
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.subject, b.subject), a.version-b.version) })
	return all
}

// MaxID is the highest id of a context so far.
func (r *Registry) MaxID(subject string) int {
	context, _ := Split(subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.contexts[context]; c != nil {
		return c.high
	}
	return 0
}

// ReferencedBy are the places of what refers to a version.
func (r *Registry) ReferencedBy(subject string, version int, deleted bool) []Place {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []*entry
	for _, e := range r.refs[target{subject, version}] {
		if deleted || !e.deleted {
			out = append(out, e)
		}
	}
	return placesOf(ordered(out))
}

// Contexts are those in which there are versions; the default one is always there.
func (r *Registry) Contexts() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names()
}

func (r *Registry) names() []string {
	seen := map[string]bool{DefaultContext: true}
	for name, c := range r.contexts {
		if len(c.ids) > 0 {
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Find is the version of a subject that has a content; the text may be written in another way.
func (r *Registry) Find(subject string, in *Content, normalize, deleted bool) (*Version, error) {
	c, _, err := r.canonical(subject, in, normalize || r.InScope(subject).Normalized(), false)
	if err != nil {
		return nil, err
	}
	subject = r.places(subject)[0]
	all := r.all(subject)
	sum := c.sum()
	for i := len(all) - 1; i >= 0; i-- {
		if e := all[i]; (deleted || !e.deleted) && e.hash == sum {
			if v := r.whole(e); v != nil {
				return v, nil
			}
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if !deleted && all[i].deleted || !all[i].rich && c.Metadata == nil && c.RuleSet == nil { // else its sum would be that of c
			continue
		}
		if v := r.whole(all[i]); v != nil && (c.looksLike(&v.Content) || c.Metadata == nil && c.RuleSet == nil && (&Content{Type: v.Type, Text: v.Text, References: v.References}).looksLike(c)) {
			return v, nil
		}
	}
	if !r.Has(subject, deleted) {
		return nil, subjectNotFound(subject)
	}
	return nil, refuse(SchemaNotFound, "Schema not found")
}

// WithMetadata is the newest version of a subject whose metadata have all these properties.
func (r *Registry) WithMetadata(subject string, want map[string]string, deleted bool) (*Version, error) {
	all := r.all(subject)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].deleted && !deleted || !all[i].rich {
			continue
		}
		v := r.whole(all[i])
		if v == nil || v.Metadata == nil {
			continue
		}
		fits := true
		for k, x := range want {
			fits = fits && v.Metadata.Properties[k] == x
		}
		if fits {
			return v, nil
		}
	}
	if !r.Has(subject, deleted) {
		return nil, subjectNotFound(subject)
	}
	return nil, refuse(SchemaNotFound, "Schema not found")
}
