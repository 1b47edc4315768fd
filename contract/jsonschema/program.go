package jsonschema

import (
	"encoding/json"
	"math"
	"math/bits"
	"reflect"

	js "github.com/santhosh-tekuri/jsonschema/v6"
)

// program is a compiled schema as rules that run over a tape. It says what the library would say, in a small part of the time; why something is
// refused the library says.
type program struct {
	root      *rule
	dynamic   bool // some rule leads to where the way here decides
	resources []resource
}

// resource is a schema with a name of its own and what is in it: what $dynamicRef and $recursiveRef look for.
type resource struct {
	anchors   map[string]*rule
	recursive bool
}

// rule is what one schema asks for. Parts that it has none of are nil.
type rule struct {
	types    uint8
	anything bool
	cyclic   bool  // it may come back to itself without going into the value
	resource int32 // which it is in

	enum, is *choices
	text     *textRule
	num      *numberRule
	obj      *objectRule
	arr      *arrayRule
	apply    *applied
}

// applied are the rules for the same value.
type applied struct {
	only          *rule // the one reference that is all there is
	ref           *rule
	dynamic       *dynamicRef
	all, any, one []*rule
	not           *rule
	cond          *rule
	then, other   *rule
	restProps     *rule // unevaluatedProperties
	restItems     *rule
}

type dynamicRef struct {
	to     *rule
	anchor string // "" of $recursiveRef
}

type textRule struct {
	least, most int
	pattern     *matcher
	format      func([]byte) bool
}

type numberRule struct {
	least, most, above, below, divisor *quantity
}

type objectRule struct {
	names       nameTable
	patterns    []patternRule
	more        *rule
	closed      bool
	covers      bool // additionalProperties is there: all members are evaluated
	least, most int
	required    int
	nameRule    *rule
	depends     []dependency
}

type patternRule struct {
	re   *matcher // nil: one that Go does not know, which matches everything
	rule *rule
}

type dependency struct {
	name  nameKey
	needs []nameKey
	rule  *rule
}

type nameKey struct {
	text string
	hash uint32
}

type arrayRule struct {
	least, most         int
	unique              bool
	tuple               []*rule
	items               *rule // of those behind the tuple
	closed              bool  // there may be none
	covers              bool
	contains            *rule
	containsMin         int
	containsMax         int
	containsIsEvaluated bool
}

// nameTable finds what is known of a name.
type nameTable struct {
	entries []nameEntry
	slots   []uint32
}

type nameEntry struct {
	nameKey
	rule     *rule // nil: it is only required
	required bool
}

func (t *nameTable) build() {
	if len(t.entries) == 0 {
		return
	}
	t.slots = make([]uint32, 1<<bits.Len(uint(2*len(t.entries))))
	for i := range t.entries {
		s := t.entries[i].hash & uint32(len(t.slots)-1)
		for t.slots[s] != 0 {
			s = (s + 1) & uint32(len(t.slots)-1)
		}
		t.slots[s] = uint32(i + 1)
	}
}

func (t *nameTable) find(hash uint32, name []byte) *nameEntry {
	if len(t.slots) == 0 {
		return nil
	}
	mask := uint32(len(t.slots) - 1)
	for s := hash & mask; t.slots[s] != 0; s = (s + 1) & mask {
		if e := &t.entries[t.slots[s]-1]; e.hash == hash && e.text == string(name) {
			return e
		}
	}
	return nil
}

func keyOf(name string) nameKey { return nameKey{name, hashOf([]byte(name))} }

// maker makes each schema of the library one rule, so that rings are rings.
type maker struct {
	program
	made     map[*js.Schema]*rule
	numbered map[*js.Schema]int32
	left     []*js.Schema // to be filled
}

func newProgram(s *js.Schema) *program {
	m := &maker{made: map[*js.Schema]*rule{}, numbered: map[*js.Schema]int32{}}
	m.root = m.of(s)
	for len(m.left) > 0 {
		next := m.left[len(m.left)-1]
		m.left = m.left[:len(m.left)-1]
		m.fill(m.made[next], next)
	}
	m.markCyclic()
	for _, r := range m.made {
		if r.apply != nil && (m.dynamic || r.cyclic) { // who is on the way counts
			r.apply.only = nil
		}
	}
	p := m.program
	return &p
}

func (m *maker) of(s *js.Schema) *rule {
	if s == nil {
		return nil
	}
	if r := m.made[s]; r != nil {
		return r
	}
	r := &rule{types: isAny}
	m.made[s] = r
	m.left = append(m.left, s)
	return r
}

func (m *maker) list(all []*js.Schema) (out []*rule) {
	for _, s := range all {
		out = append(out, m.of(s))
	}
	return out
}

// resourceOf numbers the resource that a schema is in. The library keeps resources and their anchors to itself, and there is no other way to them:
// schemas that only they lead to are not found from the root. A test has schemas that are wrong without.
func (m *maker) resourceOf(s *js.Schema) int32 {
	base := (*js.Schema)(reflect.ValueOf(s).Elem().FieldByName("resource").UnsafePointer())
	if base == nil {
		base = s
	}
	if n, ok := m.numbered[base]; ok {
		return n
	}
	n := int32(len(m.resources))
	m.numbered[base] = n
	m.resources = append(m.resources, resource{recursive: base.RecursiveAnchor})
	anchors := map[string]*rule{}
	for it := reflect.ValueOf(base).Elem().FieldByName("dynamicAnchors").MapRange(); it.Next(); {
		anchors[it.Key().String()] = m.of((*js.Schema)(it.Value().UnsafePointer()))
	}
	m.resources[n].anchors = anchors
	return n
}

func (m *maker) fill(r *rule, s *js.Schema) {
	r.resource = m.resourceOf(s)
	if s.Bool != nil {
		if r.anything = *s.Bool; !r.anything {
			r.types = 0
		}
		return
	}
	if s.Types != nil && !s.Types.IsEmpty() {
		r.types = 0
		for _, name := range s.Types.ToStrings() {
			r.types |= typeBits[name]
		}
	}
	if s.Const != nil {
		r.is = choicesOf([]any{*s.Const})
	}
	if s.Enum != nil {
		r.enum = choicesOf(s.Enum.Values)
	}
	if s.Ref != nil && s.DraftVersion < 2019 { // nothing counts beside it; but const does, as the library has it
		r.apply = &applied{ref: m.of(s.Ref)}
		if r.is == nil {
			r.apply.only = r.apply.ref
		}
		return
	}
	m.fillText(r, s)
	if s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil {
		r.num = &numberRule{quantityOf(s.Minimum), quantityOf(s.Maximum), quantityOf(s.ExclusiveMinimum), quantityOf(s.ExclusiveMaximum), quantityOf(s.MultipleOf)}
	}
	m.fillObject(r, s)
	m.fillArray(r, s)
	m.fillApplied(r, s)
	r.anything = r.types == isAny && r.is == nil && r.enum == nil && r.text == nil && r.num == nil && r.obj == nil && r.arr == nil && r.apply == nil
}

var typeBits = map[string]uint8{"null": isNull, "boolean": isBool, "object": isObject, "array": isArray, "number": isNumber, "integer": isInteger, "string": isString}

func from0(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func upTo(n *int) int {
	if n == nil {
		return math.MaxInt
	}
	return *n
}

func (m *maker) fillText(r *rule, s *js.Schema) {
	t := textRule{least: from0(s.MinLength), most: upTo(s.MaxLength), pattern: patternOf(s.Pattern)}
	if s.Format != nil && s.Format.Name != "regex" { // patterns that Go does not know are patterns, too
		t.format = formatOf(s.Format)
	}
	if t.least > 0 || t.most < math.MaxInt || t.pattern != nil || t.format != nil {
		r.text = &t
	}
}

func (m *maker) fillObject(r *rule, s *js.Schema) {
	o := objectRule{least: from0(s.MinProperties), most: upTo(s.MaxProperties), nameRule: m.of(s.PropertyNames)}
	at := map[string]int{}
	entry := func(name string) *nameEntry {
		i, ok := at[name]
		if !ok {
			i = len(o.names.entries)
			at[name] = i
			o.names.entries = append(o.names.entries, nameEntry{nameKey: keyOf(name)})
		}
		return &o.names.entries[i]
	}
	for name, p := range s.Properties {
		entry(name).rule = m.of(p)
	}
	for _, name := range s.Required {
		if e := entry(name); !e.required {
			e.required = true
			o.required++
		}
	}
	for re, p := range s.PatternProperties {
		o.patterns = append(o.patterns, patternRule{patternOf(re), m.of(p)})
	}
	switch more := s.AdditionalProperties.(type) {
	case bool:
		o.closed, o.covers = !more, true
	case *js.Schema:
		o.more, o.covers = m.of(more), true
	}
	for name, d := range s.Dependencies {
		switch d := d.(type) {
		case []string:
			o.depends = append(o.depends, dependency{keyOf(name), keysOf(d), nil})
		case *js.Schema:
			o.depends = append(o.depends, dependency{keyOf(name), nil, m.of(d)})
		}
	}
	for name, d := range s.DependentRequired {
		o.depends = append(o.depends, dependency{keyOf(name), keysOf(d), nil})
	}
	for name, d := range s.DependentSchemas {
		o.depends = append(o.depends, dependency{keyOf(name), nil, m.of(d)})
	}
	if len(o.names.entries) == 0 && o.patterns == nil && !o.covers && o.depends == nil && o.nameRule == nil && o.least <= 0 && o.most == math.MaxInt {
		return
	}
	o.names.build()
	r.obj = &o
}

func keysOf(names []string) (out []nameKey) {
	for _, n := range names {
		out = append(out, keyOf(n))
	}
	return out
}

func (m *maker) fillArray(r *rule, s *js.Schema) {
	a := arrayRule{least: from0(s.MinItems), most: upTo(s.MaxItems), unique: s.UniqueItems, contains: m.of(s.Contains), containsMin: 1, containsMax: upTo(s.MaxContains)}
	if s.DraftVersion < 2020 {
		switch items := s.Items.(type) {
		case *js.Schema:
			a.items, a.covers = m.of(items), true
		case []*js.Schema:
			a.tuple = m.list(items)
		}
		switch more := s.AdditionalItems.(type) {
		case bool:
			a.closed, a.covers = !more, true
		case *js.Schema:
			a.items, a.covers = m.of(more), true
		}
	} else {
		a.tuple, a.items, a.covers, a.containsIsEvaluated = m.list(s.PrefixItems), m.of(s.Items2020), s.Items2020 != nil, true
	}
	if s.MinContains != nil {
		a.containsMin = *s.MinContains
	}
	if a.least > 0 || a.most < math.MaxInt || a.unique || a.tuple != nil || a.covers || a.contains != nil {
		r.arr = &a
	}
}

func (m *maker) fillApplied(r *rule, s *js.Schema) {
	a := applied{ref: m.of(s.Ref), not: m.of(s.Not), all: m.list(s.AllOf), any: m.list(s.AnyOf), one: m.list(s.OneOf)}
	if s.If != nil {
		a.cond, a.then, a.other = m.of(s.If), m.of(s.Then), m.of(s.Else)
	}
	if s.DraftVersion >= 2019 {
		a.restProps, a.restItems = m.of(s.UnevaluatedProperties), m.of(s.UnevaluatedItems)
		switch {
		case s.RecursiveRef != nil && s.RecursiveRef.RecursiveAnchor:
			a.dynamic = &dynamicRef{to: m.of(s.RecursiveRef)}
		case s.RecursiveRef != nil:
			a.all = append(a.all, m.of(s.RecursiveRef))
		}
		switch d := s.DynamicRef; {
		case d != nil && d.Anchor != "" && d.Ref.DynamicAnchor == d.Anchor && a.dynamic == nil:
			a.dynamic = &dynamicRef{m.of(d.Ref), d.Anchor}
		case d != nil:
			a.all = append(a.all, m.of(d.Ref))
		}
	}
	m.dynamic = m.dynamic || a.dynamic != nil
	others := a.not != nil || a.cond != nil || a.restProps != nil || a.restItems != nil || a.dynamic != nil || len(a.all)+len(a.any)+len(a.one) > 0
	depends := r.obj != nil && len(r.obj.depends) > 0
	if a.ref == nil && !others && !depends {
		return
	}
	if !others && r.types == isAny && r.is == nil && r.enum == nil && r.text == nil && r.num == nil && r.obj == nil && r.arr == nil {
		a.only = a.ref
	}
	r.apply = &a
}

// same are the rules that a rule applies to the value it is for.
func (m *maker) same(r *rule) (out []*rule) {
	if r.obj != nil {
		for i := range r.obj.depends {
			out = append(out, r.obj.depends[i].rule)
		}
	}
	if a := r.apply; a != nil {
		out = append(append(append(append(out, a.ref, a.not, a.cond, a.then, a.other), a.all...), a.any...), a.one...)
		if d := a.dynamic; d != nil {
			out = append(out, d.to)
			for i := range m.resources {
				out = append(out, m.resources[i].anchors[d.anchor])
			}
		}
	}
	return out
}

// markCyclic finds the rules that lead back to themselves without going into the value (Tarjan's components). Of $recursiveRef the way decides which
// of all rules it is to.
func (m *maker) markCyclic() {
	if m.recursive() {
		for _, r := range m.made {
			r.cyclic = r.apply != nil
		}
		return
	}
	order, low, onStack := map[*rule]int{}, map[*rule]int{}, map[*rule]bool{}
	var stack []*rule
	var visit func(r *rule)
	visit = func(r *rule) {
		order[r] = len(order) + 1
		low[r] = order[r]
		stack, onStack[r] = append(stack, r), true
		for _, to := range m.same(r) {
			switch {
			case to == nil:
			case order[to] == 0:
				visit(to)
				low[r] = min(low[r], low[to])
			case onStack[to]:
				r.cyclic = r.cyclic || to == r
				low[r] = min(low[r], order[to])
			}
		}
		if low[r] != order[r] {
			return
		}
		for n := 0; ; n++ {
			x := stack[len(stack)-1]
			stack, onStack[x] = stack[:len(stack)-1], false
			x.cyclic = x.cyclic || n > 0 || x != r
			if x == r {
				return
			}
		}
	}
	for _, r := range m.made {
		if order[r] == 0 {
			visit(r)
		}
	}
}

func (m *maker) recursive() bool {
	for _, r := range m.made {
		if r.apply != nil && r.apply.dynamic != nil && r.apply.dynamic.anchor == "" {
			return true
		}
	}
	return false
}

// choices are values of which one must be there.
type choices struct {
	texts  nameTable
	others []literal
}

type literal struct {
	tape *tape
	hash uint64
}

func choicesOf(all []any) *choices {
	c := &choices{}
	for _, v := range all {
		if s, ok := v.(string); ok {
			c.texts.entries = append(c.texts.entries, nameEntry{nameKey: keyOf(s)})
			continue
		}
		b, err := json.Marshal(v)
		t := &tape{}
		if err == nil {
			err = t.read(b)
		}
		if err != nil {
			panic("jsonschema: a value of a schema cannot be read again: " + err.Error())
		}
		c.others = append(c.others, literal{t, t.hashValue(0)})
	}
	c.texts.build()
	return c
}
