package registry

import (
	"slices"
	"strings"
)

// Mode says what may be done to subjects.
type Mode string

// Modes. FORWARD, which sends changes to another registry, is not offered.
const (
	ReadWrite        Mode = "READWRITE"
	ReadOnly         Mode = "READONLY"
	ReadOnlyOverride Mode = "READONLY_OVERRIDE" // of all: counts before what subjects say
	Import           Mode = "IMPORT"
)

func (m Mode) valid() bool {
	return slices.Contains([]Mode{ReadWrite, ReadOnly, ReadOnlyOverride, Import}, m)
}

func (r *Registry) mode(scope string) Mode {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.modes[scope]
}

// Mode is that of a subject or context itself; "" is all.
func (r *Registry) Mode(scope string) (Mode, error) {
	switch m := r.mode(scope); {
	case m != "":
		return m, nil
	case scope == "":
		return ReadWrite, nil
	}
	return "", refuse(ModeNotSet, "Subject '%s' does not have subject-level mode configured", scope)
}

// ModeInScope is the mode that counts for a subject.
func (r *Registry) ModeInScope(subject string) Mode {
	all := scopes(subject)
	for _, s := range all {
		if r.mode(s) == ReadOnlyOverride {
			return ReadOnlyOverride
		}
	}
	for _, s := range all {
		if m := r.mode(s); m != "" {
			return m
		}
	}
	return ReadWrite
}

// SetMode sets a mode. IMPORT needs a subject without versions, unless force is said; those that are deleted softly go for good then.
func (r *Registry) SetMode(scope, mode string, force bool) (Mode, Change, error) {
	m := Mode(strings.ToUpper(mode))
	if !m.valid() {
		return "", Change{}, refuse(InvalidMode, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")
	}
	if scope != "" {
		if err := checkSubject(scope, true); err != nil {
			return "", Change{}, err
		}
	}
	var c Change
	if m == Import && r.ModeInScope(scope) != Import && !force {
		subjects := []string{scope}
		if scope == "" || IsContext(scope) {
			subjects = r.Subjects(scope, WithDeleted)
		}
		var gone []*Version
		for _, s := range subjects {
			if r.Has(s, false) {
				return "", Change{}, refuse(OperationNotPermitted, "Cannot import since found existing subjects")
			}
			for _, e := range r.all(s) {
				if by := r.ReferencedBy(e.subject, e.version, true); len(by) > 0 {
					return "", Change{}, referenced(e.subject, e.version)
				}
				gone = append(gone, &Version{Subject: e.subject, Version: e.version, ID: e.id})
			}
		}
		c = r.deletion(gone, true)
	}
	c.put(kindMode+scope, modeDocument{m})
	return m, c, nil
}

// DeleteMode takes a mode away, and says what it was. recursive takes those of the subjects of a context too.
func (r *Registry) DeleteMode(scope string, recursive bool) (Mode, Change, error) {
	m := r.mode(scope)
	var c Change
	switch {
	case m != "":
		c.Delete = append(c.Delete, kindMode+scope)
	case !recursive && scope != "":
		return "", c, subjectNotFound(scope)
	}
	if recursive {
		r.mu.RLock()
		for s := range r.modes {
			if _, name := Split(s); name != "" && matches(s, scope) {
				c.Delete = append(c.Delete, kindMode+s)
			}
		}
		r.mu.RUnlock()
	}
	if m == "" && scope == "" {
		m = ReadWrite
	}
	return m, c, nil
}
