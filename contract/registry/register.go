package registry

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"leat/contract"
)

// Registration asks for a version of a subject.
type Registration struct {
	Content
	ID        int // 0: whichever; with one, the mode must be IMPORT
	Version   int // 0: the next
	Normalize bool
	Force     bool // compatibility is not asked for
	TimeMS    int64
}

// Register says which version a content is or becomes, and what is to be recorded; nothing, where it is there already.
func (r *Registry) Register(subject string, in Registration) (*Version, Change, error) {
	none := Change{}
	if err := checkSubject(subject, false); err != nil {
		return nil, none, err
	}
	subject = r.places(subject)[0]
	if r.staged.clash(subject, in.References) {
		return nil, none, ErrStaged
	}
	mode := r.ModeInScope(subject)
	if err := r.mayRegister(subject, mode, in.ID); err != nil {
		return nil, none, err
	}
	if err := in.RuleSet.check(); err != nil {
		return nil, none, err
	}
	all := r.all(subject)
	next := 1
	var live []*entry
	for _, e := range all {
		next = max(next, e.version+1)
		if !e.deleted {
			live = append(live, e)
		}
	}
	cfg := r.InScope(subject)
	if mode != Import {
		if err := in.fill(cfg, r.last(live), next); err != nil {
			return nil, none, err
		}
	}
	c, s, err := r.canonical(subject, &in.Content, in.Normalize || cfg.Normalized(), in.ID <= 0)
	if err != nil {
		return nil, none, err
	}
	if r.staged.clash(subject, c.References) { // they may be those of the version before
		return nil, none, ErrStaged
	}
	v := &Version{Subject: subject, Version: in.Version, ID: in.ID, TimeMS: in.TimeMS, Content: *c, hash: c.sum()}
	if there := r.there(v, live); there != nil {
		return there, none, nil
	}
	if mode != Import && !in.Force {
		if why := r.follows(cfg, v, s, r.wholes(cfg.compared(live))); len(why) > 0 {
			return nil, none, refuse(Incompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s]", subject, strings.Join(why, ", "))
		}
	}
	return r.record(v, all, next, mode)
}

// last is the newest of some versions; nil: there is none.
func (r *Registry) last(all []*entry) *Version {
	if len(all) == 0 {
		return nil
	}
	return r.whole(all[len(all)-1])
}

// compared are those of the versions before that a new one is compared with.
func (s Settings) compared(before []*entry) []*entry {
	if s.CompatibilityGroup == "" && !s.level().Transitive() && len(before) > 1 && !(s.ValidateFields != nil && *s.ValidateFields) {
		return before[len(before)-1:]
	}
	return before
}

func (r *Registry) mayRegister(subject string, mode Mode, id int) error {
	context, _ := Split(subject)
	switch {
	case mode == ReadOnly || mode == ReadOnlyOverride:
		return refuse(OperationNotPermitted, "Subject %s in context %s is in read-only mode", subject, context)
	case id > 0 && mode != Import:
		return refuse(OperationNotPermitted, "Subject %s in context %s is not in import mode", subject, context)
	case id <= 0 && mode != ReadWrite:
		return refuse(OperationNotPermitted, "Subject %s in context %s is not in read-write mode", subject, context)
	}
	return nil
}

// canonical is a content in its canonical text.
func (r *Registry) canonical(subject string, in *Content, normalize, strict bool) (*Content, contract.Schema, error) {
	c := *in
	c.Type = cmp.Or(c.Type, "AVRO")
	if strings.TrimSpace(c.Text) == "" {
		return nil, nil, refuse(InvalidSchema, "Empty schema")
	}
	s, err := r.parse(subject, &c, strict)
	if err != nil {
		return nil, nil, err
	}
	c.Text = s.Canonical()
	if normalize {
		c.Text = s.Normalized()
		c.References = slices.Clone(c.References)
		slices.SortFunc(c.References, func(a, b Reference) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Subject, b.Subject), a.Version-b.Version)
		})
		c.References = slices.Compact(c.References)
	}
	if len(c.References) == 0 {
		c.References = nil
	}
	if c.Metadata.empty() {
		c.Metadata = nil
	}
	if c.RuleSet.empty() {
		c.RuleSet = nil
	}
	return &c, s, nil
}

// there is the live version of the subject that v is already; the id of a content that is known elsewhere is taken over.
func (r *Registry) there(v *Version, live []*entry) *Version {
	context, _ := Split(v.Subject)
	r.mu.RLock()
	id, known := r.idOf(context, v.hash)
	r.mu.RUnlock()
	if !known {
		id, known = r.staged.idOf(contentKey{context, v.hash})
	}
	if known && (v.ID <= 0 || v.ID == id) {
		v.ID = id
	}
	if v.Version > 0 {
		return nil
	}
	for i := len(live) - 1; i >= 0; i-- {
		e := live[i]
		if v.ID > 0 && v.ID != e.id || v.hash != e.hash && !e.rich && v.Metadata == nil && v.RuleSet == nil {
			continue
		}
		if x := r.whole(e); x != nil && (v.hash == x.hash || v.looksLike(&x.Content)) {
			return x
		}
	}
	return nil
}

func (r *Registry) record(v *Version, all []*entry, next int, mode Mode) (*Version, Change, error) {
	none := Change{}
	switch {
	case v.Version <= 0:
		v.Version = next
	case v.Version != next && mode != Import:
		return nil, none, refuse(InvalidSchema, "Version is not one more than previous version")
	}
	context, _ := Split(v.Subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.count >= VersionsMax {
		return nil, none, refuse(RegistryFull, "a registry keeps %d versions; delete some for good", VersionsMax)
	}
	high, same := 0, (*entry)(nil)
	if c := r.contexts[context]; c != nil {
		high, same = c.high, c.ids[v.ID]
	}
	high = max(high, r.staged.highest(context))
	if r.staged.taken(idKey{context, v.ID}, v.hash) {
		return nil, none, ErrStaged
	}
	if v.ID <= 0 {
		v.ID = high + 1
	} else {
		for x := same; x != nil; x = x.sameID {
			if x.hash != v.hash && !(x.subject == v.Subject && x.version == v.Version) {
				return nil, none, refuse(OperationNotPermitted, "Overwrite new schema with id %d is not permitted.", v.ID)
			}
		}
	}
	var c Change
	for _, x := range all {
		// A deleted version of the same content comes back as the new one; it stays where something refers to it.
		if x.deleted && x.id == v.ID && x.version < v.Version && len(r.refs[target{x.subject, x.version}]) == 0 {
			c.Delete = append(c.Delete, x.name())
		}
	}
	c.put(versionName(v.Subject, v.Version), v)
	r.staged.add(v)
	return v, c, nil
}

// ParseVersion reads the number of a version as it stands in a path.
func ParseVersion(s string) (int, error) {
	if strings.EqualFold(s, "latest") || s == "-1" {
		return Latest, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1<<31-1 {
		return 0, refuse(InvalidVersion, "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", clip(s))
	}
	return n, nil
}
