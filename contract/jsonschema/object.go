package jsonschema

import (
	"maps"
	"slices"
	"sort"
)

// object compares two objects. An object is open where it admits properties that it does not name, closed where it admits none, and partly open
// where they have to keep to a schema.
func (r *result) object(old, new *node) {
	for _, p := range old.props {
		if is := new.prop(p.name); is != nil && !old.required[p.name] && new.required[p.name] && !is.hasDefault() {
			r.add(requiredAdded, "required", p.name)
		}
	}
	for _, name := range names(old, new) {
		r.property(old, new, name)
	}
	r.dependencies(old, new)
	r.more(old, new, "additionalProperties", additionalRemoved, additionalNarrowed)
	r.rest(old, new, "unevaluatedProperties", unevaluatedRemoved, unevaluatedNarrowed)
}

func names(old, new *node) []string {
	all := map[string]bool{}
	for _, n := range []*node{old, new} {
		for _, p := range n.props {
			all[p.name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (n *node) hasDefault() bool { return n.src.Get("default") != nil }

func (n *node) closed() bool { return n.more != nil && n.more.kind == nothing }

func (n *node) open() bool {
	return n.more == nil && len(n.patterns) == 0 && (n.rest == nil || n.rest.kind == anything)
}

// covers is the schema that a property must keep to which is not named.
func (n *node) covers(name string) *node {
	for _, p := range n.patterns {
		if p.re == nil || p.re.MatchString(name) {
			return p.node
		}
	}
	switch {
	case n.more != nil && n.more.kind != nothing:
		return n.more
	case n.more == nil && n.rest != nil && n.rest.kind != nothing && n.rest.kind != anything:
		return n.rest
	}
	return nil
}

func (r *result) property(old, new *node, name string) {
	was, is := old.prop(name), new.prop(name)
	at := []string{"properties", name}
	switch {
	case was != nil && is != nil:
		r.under(r.c.compare(was, is), at...)
	case is == nil && new.open():
	case is == nil:
		cover := new.covers(name)
		switch {
		case cover != nil:
			if d := r.c.compare(was, cover); len(d) > 0 {
				r.under(d)
				r.add(removedNotCovered, at...)
			}
		case was.kind != nothing:
			r.add(removedFromClosed, at...)
		}
	case old.open():
		switch {
		case is.kind == anything:
		case !new.required[name]:
			r.add(optionalToOpen, at...)
		case is.hasDefault():
			r.add(requiredDefaultToOpen, at...)
		default:
			r.add(requiredToOpen, at...)
		}
	default:
		if cover := old.covers(name); cover != nil {
			if d := r.c.compare(cover, is); len(d) > 0 {
				r.under(d)
				r.add(addedNotCovered, at...)
			}
		}
		if new.required[name] && !is.hasDefault() {
			r.add(requiredToUnopen, at...)
		}
	}
}

// more compares additionalProperties or additionalItems.
func (r *result) more(old, new *node, word, removed, narrowed string) {
	switch {
	case new.closed() && !old.closed():
		r.add(removed, word)
	case old.closed():
	case old.more == nil && new.more != nil:
		r.add(narrowed, word)
	case new.more != nil:
		r.under(r.c.compare(old.more, new.more), word)
	}
}

// rest compares unevaluatedProperties or unevaluatedItems.
func (r *result) rest(old, new *node, word, removed, narrowed string) {
	was, is := old.rest, new.rest
	switch {
	case is == nil || was != nil && was.kind == nothing:
	case is.kind == nothing:
		r.add(removed, word)
	case was == nil || was.kind == anything && is.kind != anything:
		r.add(narrowed, word)
	case is.kind != anything:
		r.under(r.c.compare(was, is), word)
	}
}

func (r *result) dependencies(old, new *node) {
	keys := slices.Sorted(maps.Keys(new.lists))
	for _, k := range keys {
		was, had := old.lists[k]
		is := new.lists[k]
		missing := slices.ContainsFunc(was, func(s string) bool { return !slices.Contains(is, s) })
		extra := slices.ContainsFunc(is, func(s string) bool { return !slices.Contains(was, s) })
		switch {
		case !had:
			r.add(listAdded, "dependencies", k)
		case missing && extra:
			r.add(listChanged, "dependencies", k)
		case extra:
			r.add(listExtended, "dependencies", k)
		}
	}
	keys = keys[:0]
	for k := range new.schemas {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if was := old.schemas[k]; was != nil {
			r.under(r.c.compare(was, new.schemas[k]), "dependencies", k)
		} else {
			r.add(dependencyAdded, "dependencies", k)
		}
	}
}
