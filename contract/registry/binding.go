package registry

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Enforce says what becomes of an event that breaks its contract.
type Enforce string

// What becomes of it.
const (
	Off        Enforce = "off"
	Warn       Enforce = "warn"       // taken, counted and told of
	Reject     Enforce = "reject"     // refused, with all that came in the same request or batch
	Quarantine Enforce = "quarantine" // put aside, while the others are taken
)

// Binding binds a contract to streams, or to a type of events wherever they go.
type Binding struct {
	Name    string   `json:"name"`
	Stream  string   `json:"stream,omitempty"`  // a name, or a pattern with *
	Address string   `json:"address,omitempty"` // with Stream: only events whose subject is this, or fits this pattern with *
	Type    string   `json:"type,omitempty"`    // of an event (CloudEvents type), or a pattern with *
	Subject string   `json:"subject,omitempty"` // whose schemas count; "" asks for an owner only
	Key     string   `json:"key,omitempty"`     // subject of the keys' schemas
	Enforce Enforce  `json:"enforce"`
	Framed  bool     `json:"framed,omitempty"` // a payload must say which schema it was written with
	Owner   []string `json:"owner,omitempty"`  // principals who may publish; none: everybody
}

// BindingsMax bounds the bindings of one namespace.
const BindingsMax = 10_000

// PutBinding makes a binding or replaces it.
func (r *Registry) PutBinding(b Binding) (Change, error) {
	fail := func(format string, a ...any) (Change, error) { return Change{}, refuse(InvalidBinding, format, a...) }
	if b.Enforce == "" {
		b.Enforce = Reject
	}
	switch {
	case b.Name == "" || len(b.Name) > SubjectBytesMax || strings.ContainsAny(b.Name, "/ \t\r\n"):
		return fail("a contract needs a name without spaces and slashes")
	case (b.Stream == "") == (b.Type == ""):
		return fail("a contract is bound to streams (stream) or to a type of events (type), and not to both")
	case b.Address != "" && b.Stream == "":
		return fail("an address is one of streams: it stands beside stream, and not beside type")
	case b.Subject == "" && b.Key == "" && len(b.Owner) == 0:
		return fail("a contract has a subject whose schemas count, or an owner, or both")
	case !slices.Contains([]Enforce{Off, Warn, Reject, Quarantine}, b.Enforce):
		return fail("enforce is %q; it must be off, warn, reject or quarantine", clip(string(b.Enforce)))
	}
	for _, p := range []string{b.Stream, b.Address, b.Type} {
		if _, err := path.Match(p, ""); err != nil || len(p) > SubjectBytesMax {
			return fail("the pattern %q cannot be read", clip(p))
		}
	}
	for _, s := range []string{b.Subject, b.Key} {
		if s != "" && !r.Has(s, false) {
			return Change{}, subjectNotFound(s)
		}
	}
	r.mu.RLock()
	full := len(r.bindings) >= BindingsMax && r.bindings[b.Name] == nil
	r.mu.RUnlock()
	if full {
		return Change{}, refuse(RegistryFull, "a namespace keeps %d contracts", BindingsMax)
	}
	var c Change
	c.put(kindBinding+b.Name, b)
	return c, nil
}

// DeleteBinding takes a binding away.
func (r *Registry) DeleteBinding(name string) (Change, error) {
	if _, err := r.Binding(name); err != nil {
		return Change{}, err
	}
	return Change{Delete: []string{kindBinding + name}}, nil
}

// Binding is one by its name.
func (r *Registry) Binding(name string) (*Binding, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if b := r.bindings[name]; b != nil {
		return b, nil
	}
	return nil, refuse(BindingNotFound, "there is no contract %q", clip(name))
}

// Enforced is how many bindings there are that are not off.
func (r *Registry) Enforced() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.enforced
}

// bind puts a binding in place of the one of that name; nil: there is none any more. The lock is held.
func (r *Registry) bind(name string, b *Binding) {
	if was := r.bindings[name]; was != nil && was.Enforce != Off {
		r.enforced--
	}
	if b == nil {
		delete(r.bindings, name)
		return
	}
	if r.bindings[name] = b; b.Enforce != Off {
		r.enforced++
	}
}

// Bindings are all of them, by name.
func (r *Registry) Bindings() []*Binding {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := []*Binding{}
	for _, name := range slices.Sorted(maps.Keys(r.bindings)) {
		out = append(out, r.bindings[name])
	}
	return out
}
