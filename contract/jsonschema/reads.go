package jsonschema

import (
	"math/big"
	"slices"
	"strings"

	"leat/contract"
	"leat/contract/jsontree"
)

// Reads compares what the writer's schema admits with what this one does.
func (s *Schema) Reads(writer contract.Schema, p contract.Policy) []contract.Difference {
	w, ok := writer.(*Schema)
	if !ok {
		return []contract.Difference{{Kind: "FORMAT_CHANGED", Path: "#/", Sentence: "Incompatible because of different schema type"}}
	}
	// A pair of schemas that is being compared is first taken to fit, which ends rings. A pair that did not fit after all is taken not to fit in
	// the next round; the set of those only grows, so there is an end.
	bad := map[pair][]found{}
	for round := 0; ; round++ {
		c := &comparison{policy: p, done: map[pair][]found{}, open: map[pair]bool{}, bad: bad}
		out := c.compare(w.tops(), s.tops())
		if c.steps > stepsMax {
			return []contract.Difference{{Kind: "TOO_COMPLEX", Path: "#/", Sentence: "The %[1]s and the %[2]s schema have too many combinations to be compared"}}
		}
		next := map[pair][]found{}
		for k, v := range c.done {
			if len(v) > 0 {
				next[k] = v
			}
		}
		if !c.assumed || len(next) == len(bad) || round > roundsMax {
			return told(out)
		}
		bad = next
	}
}

const (
	stepsMax  = 200_000 // pairs of schemas compared in one round
	roundsMax = 50
	toldMax   = 1000 // differences told of one comparison
)

// found is a change that cannot be borne, at a path relative to the pair compared.
type found struct {
	kind string
	path []string
}

func told(all []found) (out []contract.Difference) {
	for _, f := range all[:min(len(all), toldMax)] {
		at := "#/" + strings.Join(f.path, "/")
		w := about[f.kind]
		if w.sentence == "" {
			w = boundWords(f.kind)
		}
		out = append(out, contract.Difference{Kind: f.kind, Path: at, Hint: w.hint, Sentence: strings.ReplaceAll(w.sentence, "$path", at)})
	}
	return out
}

func boundWords(kind string) words {
	switch {
	case strings.HasSuffix(kind, "_ADDED"):
		return words{sayPresent, "leave the limit out"}
	case strings.HasSuffix(kind, "_INCREASED"):
		return words{sayMore, "keep the limit"}
	}
	return words{sayLess, "keep the limit"}
}

type pair struct{ old, new *node }

type comparison struct {
	policy  contract.Policy
	done    map[pair][]found
	open    map[pair]bool
	bad     map[pair][]found // of the round before
	assumed bool             // a ring was taken to fit
	steps   int
}

// result collects what is found below a path.
type result struct {
	c    *comparison
	path []string
	out  []found
}

func (r *result) add(kind string, more ...string) {
	if !bears(kind, r.c.policy) {
		r.out = append(r.out, found{kind, append(slices.Clone(r.path), more...)})
	}
}

func (r *result) under(all []found, more ...string) {
	for _, f := range all {
		r.out = append(r.out, found{f.kind, append(append(slices.Clone(r.path), more...), f.path...)})
	}
}

// compare is from the old (the writer's) schema to the new one (the reader's).
func (c *comparison) compare(old, new *node) []found {
	switch {
	case old == new || old == nil && new == nil:
		return nil
	case old == nil:
		return []found{{kind: schemaAdded}}
	case new == nil:
		return nil
	}
	p := pair{old, new}
	if d, ok := c.done[p]; ok {
		return d
	}
	if c.open[p] {
		c.assumed = true
		return c.bad[p]
	}
	if c.steps++; c.steps > stepsMax {
		return nil
	}
	c.open[p] = true
	r := &result{c: c}
	r.pair(old, new)
	delete(c.open, p)
	c.done[p] = r.out
	return r.out
}

func (r *result) pair(old, new *node) {
	switch {
	case old.kind != combined && new.kind == combined && r.intoOne(old, new):
		return
	case old.kind == combined && new.kind != combined && r.fromOne(old, new):
		return
	case old.kind != new.kind:
		if old.kind != nothing && new.kind != anything && !(old.connectBytes() && new.connectBytes()) {
			r.add(typeChanged)
		}
		return
	}
	for _, b := range bounds[new.kind] {
		r.bound(b, old, new)
	}
	switch new.kind {
	case str:
		r.pattern(old, new)
	case number:
		r.multiple(old, new)
		if !old.integer && new.integer {
			r.add(typeNarrow)
		}
	case enum:
		r.enum(old, new)
	case constant:
		if !jsontree.Equal(old.values[0], new.values[0]) {
			r.add(enumChanged, "const")
		}
	case combined:
		r.combined(old, new)
	case not:
		if len(r.c.compare(new.subs[0], old.subs[0])) > 0 { // what is excluded is compared the other way around
			r.add(notExtended, "not")
		}
	case object:
		r.object(old, new)
	case array:
		r.array(old, new)
	default:
	}
}

// connectBytes: what Kafka Connect writes for bytes and decimals has changed its type over time.
func (n *node) connectBytes() bool {
	t, _ := n.src.String("connect.type")
	return t == "bytes"
}

func (n *node) num(word string) *big.Rat {
	v := n.src.Get(word)
	if v == nil || v.Kind != jsontree.Number || len(v.Text) > numberBytesMax {
		return nil
	}
	r, ok := new(big.Rat).SetString(v.Text)
	if !ok {
		return nil
	}
	return r
}

const numberBytesMax = 40 // digits of a limit; 1e999999999 would be a number of a billion

func (r *result) bound(b bound, old, new *node) {
	was, is := old.num(b.word), new.num(b.word)
	switch {
	case is == nil:
	case was == nil:
		r.add(b.stem+"_ADDED", b.word)
	case b.upper && is.Cmp(was) < 0:
		r.add(b.stem+"_DECREASED", b.word)
	case !b.upper && is.Cmp(was) > 0:
		r.add(b.stem+"_INCREASED", b.word)
	}
}

func (r *result) pattern(old, new *node) {
	was, had := old.src.String("pattern")
	is, has := new.src.String("pattern")
	switch {
	case has && !had:
		r.add(patternAdded, "pattern")
	case has && was != is:
		r.add(patternChanged, "pattern")
	}
}

func (r *result) multiple(old, new *node) {
	was, is := old.num("multipleOf"), new.num("multipleOf")
	divides := func(a, b *big.Rat) bool { var q big.Rat; return b.Sign() != 0 && q.Quo(a, b).IsInt() }
	switch {
	case is == nil || was != nil && was.Cmp(is) == 0:
	case was == nil:
		r.add(multipleAdded, "multipleOf")
	case divides(is, was):
		r.add(multipleExpanded, "multipleOf")
	case !divides(was, is):
		r.add(multipleChanged, "multipleOf")
	}
}

func (r *result) enum(old, new *node) {
	holds := func(all []*jsontree.Value, v *jsontree.Value) bool {
		return slices.ContainsFunc(all, func(x *jsontree.Value) bool { return jsontree.Equal(x, v) })
	}
	missing, extra := false, false
	for _, v := range old.values {
		missing = missing || !holds(new.values, v)
	}
	for _, v := range new.values {
		extra = extra || !holds(old.values, v)
	}
	switch {
	case missing && extra:
		r.add(enumChanged, "enum")
	case missing:
		r.add(enumNarrowed, "enum")
	}
}
