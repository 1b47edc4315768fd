package registry

import (
	"slices"
)

// DeleteVersion takes a version away: first softly, so that it can still be read by its id, then for good.
func (r *Registry) DeleteVersion(subject string, n int, permanent bool) (*Version, Change, error) {
	none := Change{}
	if err := r.mayDelete(subject); err != nil {
		return nil, none, err
	}
	v := r.whole(r.version(subject, n, true))
	switch {
	case v == nil && !r.Has(subject, true):
		return nil, none, subjectNotFound(subject)
	case v == nil:
		return nil, none, versionNotFound(n)
	case v.Deleted && !permanent:
		return nil, none, refuse(VersionSoftDeleted, "Subject '%s' Version %d was soft deleted.Set permanent=true to delete permanently", subject, v.Version)
	case !v.Deleted && permanent:
		return nil, none, refuse(VersionNotSoftDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", subject, v.Version)
	}
	if by := r.ReferencedBy(v.Subject, v.Version, permanent); len(by) > 0 {
		return nil, none, referenced(v.Subject, v.Version)
	}
	return v, r.deletion([]*Version{v}, permanent), nil
}

func referenced(subject string, version int) error {
	return refuse(ReferenceExists, "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%s,version=%d}.", subject, version)
}

func (r *Registry) mayDelete(subject string) error {
	if m := r.ModeInScope(subject); m == ReadOnly || m == ReadOnlyOverride {
		context, _ := Split(subject)
		return refuse(OperationNotPermitted, "Subject %s in context %s is in read-only mode", subject, context)
	}
	return nil
}

// deletion keeps the highest id before what has it goes: no id is given twice.
func (r *Registry) deletion(all []*Version, permanent bool) (c Change) {
	high := map[string]int{}
	for _, v := range all {
		if permanent {
			context, _ := Split(v.Subject)
			high[context] = max(high[context], r.MaxID(v.Subject))
			c.Delete = append(c.Delete, versionName(v.Subject, v.Version))
			continue
		}
		gone := *v
		gone.Deleted = true
		c.put(versionName(v.Subject, v.Version), &gone)
	}
	for context, id := range high {
		c.put(kindHigh+context, highDocument{id})
	}
	return c
}

// DeleteSubject takes all versions of a subject away, and for good its settings too.
func (r *Registry) DeleteSubject(subject string, permanent bool) ([]*Version, Change, error) {
	none := Change{}
	if err := r.mayDelete(subject); err != nil {
		return nil, none, err
	}
	if !r.Has(subject, true) {
		return nil, none, subjectNotFound(subject)
	}
	if !permanent && !r.Has(subject, false) {
		return nil, none, refuse(SubjectSoftDeleted, "Subject '%s' was soft deleted.Set permanent=true to delete permanently", subject)
	}
	which := Live
	if permanent {
		which = WithDeleted
	}
	all, err := r.Versions(subject, which)
	if err != nil {
		return nil, none, err
	}
	for _, v := range all {
		if permanent && !v.Deleted {
			return nil, none, refuse(SubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", subject)
		}
		for _, by := range r.ReferencedBy(v.Subject, v.Version, permanent) {
			if by.Subject != subject {
				return nil, none, referenced(v.Subject, v.Version)
			}
		}
	}
	c := r.deletion(all, permanent)
	if permanent {
		c.Delete = append(c.Delete, r.settingsOf(subject)...)
	}
	return all, c, nil
}

// settingsOf are the documents of a subject's settings and mode.
func (r *Registry) settingsOf(subject string) (out []string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.configs[subject] != nil {
		out = append(out, kindConfig+subject)
	}
	if _, ok := r.modes[subject]; ok {
		out = append(out, kindMode+subject)
	}
	return out
}

// DeleteContext takes the settings of a context away that has no versions any more.
func (r *Registry) DeleteContext(context string) (Change, error) {
	prefix := ":" + context + ":"
	if len(r.Subjects(prefix, WithDeleted)) > 0 {
		return Change{}, refuse(ContextNotEmpty, "The specified context '%s' is not empty.", clip(context))
	}
	return Change{Delete: r.settingsOf(prefix)}, nil
}

// sorted is for answers.
func numbers(all []*Version) []int {
	out := make([]int, 0, len(all))
	for _, v := range all {
		out = append(out, v.Version)
	}
	slices.Sort(out)
	return out
}

// Numbers are the numbers of versions, ascending.
func Numbers(all []*Version) []int { return numbers(all) }
