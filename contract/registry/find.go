package registry

import (
	"cmp"
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

func (w Which) takes(v *Version) bool {
	return w == WithDeleted || v.Deleted == (w == OnlyDeleted)
}

func (r *Registry) all(subject string) []*Version {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.subjects[subject]
}

// version is a version of a subject, or the latest that is not deleted; nil where there is none.
func (r *Registry) version(subject string, n int, deleted bool) *Version {
	all := r.all(subject)
	if n == Latest {
		for i := len(all) - 1; i >= 0; i-- {
			if !all[i].Deleted {
				return all[i]
			}
		}
		return nil
	}
	at, ok := slices.BinarySearchFunc(all, n, func(x *Version, n int) int { return x.Version - n })
	if !ok || all[at].Deleted && !deleted {
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
		if v := r.version(s, n, deleted); v != nil {
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

// Versions are the numbers of a subject's versions.
func (r *Registry) Versions(subject string, w Which) ([]*Version, error) {
	subject = r.places(subject)[0]
	if !r.Has(subject, w != Live) {
		return nil, subjectNotFound(subject)
	}
	return slices.DeleteFunc(slices.Clone(r.all(subject)), func(v *Version) bool { return !w.takes(v) }), nil
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
		live := slices.ContainsFunc(all, func(v *Version) bool { return !v.Deleted })
		if w == WithDeleted || live == (w == Live) {
			out = append(out, s)
		}
	}
	r.mu.RUnlock()
	slices.Sort(out)
	return out
}

// Schemas are the versions of the subjects that begin with a prefix.
func (r *Registry) Schemas(prefix string, w Which, latestOnly bool) (out []*Version) {
	for _, s := range r.Subjects(prefix, WithDeleted) {
		all := slices.DeleteFunc(slices.Clone(r.all(s)), func(v *Version) bool { return !w.takes(v) })
		if latestOnly && len(all) > 0 {
			all = all[len(all)-1:]
		}
		out = append(out, all...)
	}
	return out
}

// ByID are the versions that have an id in the context of a subject; "" is the default context, and the others where it has none.
func (r *Registry) ByID(id int, subject string) []*Version {
	context, name := Split(subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if all := r.ids[idKey{context, id}]; len(all) > 0 {
		return ordered(all)
	}
	if subject == "" || context != DefaultContext || name == "" {
		return nil
	}
	// A subject that says no context may be one of another context.
	for _, c := range r.contexts() {
		all := r.ids[idKey{c, id}]
		if slices.ContainsFunc(all, func(v *Version) bool { _, n := Split(v.Subject); return n == name }) {
			return ordered(all)
		}
	}
	return nil
}

// HasID reports whether an id of the default context is given.
func (r *Registry) HasID(id int) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.ids[idKey{DefaultContext, id}]) > 0
}

func ordered(all []*Version) []*Version {
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b *Version) int { return cmp.Or(cmp.Compare(a.Subject, b.Subject), a.Version-b.Version) })
	return out
}

// MaxID is the highest id of a context so far.
func (r *Registry) MaxID(subject string) int {
	context, _ := Split(subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.high[context]
}

// ByGUID are the versions of one content, in all contexts.
func (r *Registry) ByGUID(guid string) []*Version {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return ordered(r.guids[strings.ToLower(guid)])
}

// ReferencedBy are the versions that refer to one.
func (r *Registry) ReferencedBy(v *Version, deleted bool) (out []*Version) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, x := range r.refs[target{v.Subject, v.Version}] {
		if deleted || !x.Deleted {
			out = append(out, x)
		}
	}
	return ordered(out)
}

// Contexts are those in which there are versions; the default one is always there.
func (r *Registry) Contexts() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.contexts()
}

func (r *Registry) contexts() []string {
	seen := map[string]bool{DefaultContext: true}
	for k := range r.ids {
		seen[k.context] = true
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
	for i := len(all) - 1; i >= 0; i-- {
		if v := all[i]; (deleted || !v.Deleted) && v.hash == c.sum() {
			return v, nil
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		v := all[i]
		if deleted || !v.Deleted {
			if c.looksLike(&v.Content) || c.Metadata == nil && c.RuleSet == nil && (&Content{Type: v.Type, Text: v.Text, References: v.References}).looksLike(c) {
				return v, nil
			}
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
		v := all[i]
		if v.Deleted && !deleted || v.Metadata == nil {
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
