package jsonschema

import (
	"regexp"
	"slices"

	"leat/contract/jsontree"
)

type kind uint8

const (
	anything kind = iota // {} and true
	nothing              // false
	object
	array
	str
	number
	boolean
	null
	enum
	constant
	not
	combined
	condition
)

var kindNames = [...]string{"anything", "nothing", "object", "array", "string", "number", "boolean", "null", "enum", "const", "not", "combined", "condition"}

func (k kind) String() string { return kindNames[k] }

// node is one kind of restriction. A schema that has several (a type and an enum, a type and a oneOf) is an allOf of them.
type node struct {
	kind kind
	src  *jsontree.Value // the keywords, for those that are numbers or texts
	key  string          // two subschemas of one key are one

	// object
	props    []prop
	required map[string]bool
	patterns []pattern
	more     *node // additionalProperties; nil: absent or true
	rest     *node // unevaluatedProperties or unevaluatedItems
	lists    map[string][]string
	schemas  map[string]*node

	// array
	items *node
	tuple []*node

	integer   bool
	values    []*jsontree.Value // enum, const
	subs      []*node           // combined; not
	criterion string
}

type prop struct {
	name string
	node *node
}

type pattern struct {
	re   *regexp.Regexp // nil: one that Go does not know
	node *node
}

func (n *node) prop(name string) *node {
	for i := range n.props {
		if n.props[i].name == name {
			return n.props[i].node
		}
	}
	return nil
}

// builder makes each schema of a text one node, so that rings are rings.
type builder struct {
	docs   *documents
	made   map[*jsontree.Value]*node
	modern bool
}

func (b *builder) of(v *jsontree.Value) *node {
	if v == nil {
		return nil
	}
	if n := b.made[v]; n != nil {
		return n
	}
	if target := b.follow(v); target != v {
		n := b.of(target)
		if n == nil { // of a metaschema: it is taken for anything
			n = &node{src: v, key: string(v.Append(nil, true))}
		}
		b.made[v] = n
		return n
	}
	n := &node{src: v, key: string(v.Append(nil, true))}
	b.made[v] = n
	parts := b.parts(v)
	switch len(parts) {
	case 0:
		if v.Kind == jsontree.Bool && v.Text == "false" {
			n.kind = nothing
		}
	case 1:
		parts[0](n)
	default:
		n.kind, n.criterion = combined, "allOf"
		for _, fill := range parts {
			p := &node{src: v}
			fill(p)
			p.key = p.kind.String() + p.criterion + n.key
			n.subs = append(n.subs, p)
		}
	}
	return n
}

// follow is where references that say nothing else lead; nil: nowhere that is known here.
func (b *builder) follow(v *jsontree.Value) *jsontree.Value {
	for range refHopsMax {
		ref, ok := v.String("$ref")
		if !ok || b.modern && b.beside(v) {
			return v
		}
		if v = b.docs.find(v, ref); v == nil {
			return nil
		}
	}
	return nil
}

const refHopsMax = 200

var annotations = []string{
	"$ref", "$schema", "$id", "id", "$anchor", "$comment", "title", "description", "default", "examples", "definitions", "$defs",
	"readOnly", "writeOnly", "deprecated",
}

// beside reports whether something that counts stands beside a $ref.
func (b *builder) beside(v *jsontree.Value) bool {
	for i := range v.Members {
		if !slices.Contains(annotations, v.Members[i].Name) {
			return true
		}
	}
	return false
}

type part = func(n *node)

// parts are the kinds of restriction that an object has, each as what makes a node of it.
func (b *builder) parts(v *jsontree.Value) (out []part) {
	if v.Kind != jsontree.Object {
		return nil
	}
	if ref, ok := v.String("$ref"); ok {
		if target := b.docs.find(v, ref); target != nil {
			out = append(out, func(n *node) { n.kind, n.criterion, n.subs = combined, "allOf", []*node{b.of(target)} })
		}
	}
	for _, criterion := range []string{"allOf", "anyOf", "oneOf"} {
		if list := v.Get(criterion); list != nil && list.Kind == jsontree.Array {
			out = append(out, func(n *node) { b.combine(n, criterion, list.Items) })
		}
	}
	if w := v.Get("not"); w != nil {
		out = append(out, func(n *node) { n.kind, n.subs = not, []*node{b.of(w)} })
	}
	if v.Get("if") != nil {
		out = append(out, func(n *node) { n.kind = condition })
	}
	if w := v.Get("const"); w != nil {
		out = append(out, func(n *node) { n.kind, n.values = constant, []*jsontree.Value{w} })
	}
	if w := v.Get("enum"); w != nil && w.Kind == jsontree.Array {
		out = append(out, func(n *node) { n.kind, n.values = enum, w.Items })
	}
	return append(out, b.types(v)...)
}

func (b *builder) combine(n *node, criterion string, list []*jsontree.Value) {
	n.kind, n.criterion = combined, criterion
	for _, e := range list {
		n.subs = append(n.subs, b.of(e))
	}
}

// ofKind are the keywords that a type is known by where it is not said.
var ofKind = []struct {
	kind kind
	is   []string
}{
	{object, []string{"properties", "required", "minProperties", "maxProperties", "dependencies", "dependentRequired", "dependentSchemas", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties"}},
	{array, []string{"items", "additionalItems", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems"}},
	{str, []string{"minLength", "maxLength", "pattern", "format"}},
	{number, []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
}

func (b *builder) types(v *jsontree.Value) (out []part) {
	t := v.Get("type")
	switch {
	case t == nil:
		for _, k := range ofKind {
			if slices.ContainsFunc(k.is, func(word string) bool { return v.Get(word) != nil }) {
				out = append(out, func(n *node) { b.typed(n, v, k.kind, false) })
			}
		}
	case t.Kind == jsontree.String:
		out = append(out, func(n *node) { b.named(n, v, t.Text) })
	case t.Kind == jsontree.Array:
		out = append(out, func(n *node) {
			n.kind, n.criterion = combined, "anyOf"
			for _, e := range t.Items {
				p := &node{src: v, key: e.Text}
				b.named(p, v, e.Text)
				n.subs = append(n.subs, p)
			}
		})
	}
	return out
}

func (b *builder) named(n *node, v *jsontree.Value, t string) {
	kinds := map[string]kind{"object": object, "array": array, "string": str, "number": number, "integer": number, "boolean": boolean, "null": null}
	b.typed(n, v, kinds[t], t == "integer")
}

func (b *builder) typed(n *node, v *jsontree.Value, k kind, integer bool) {
	n.kind, n.integer = k, integer
	switch k {
	case object:
		b.object(n, v)
	case array:
		b.array(n, v)
	default:
	}
}

func (b *builder) object(n *node, v *jsontree.Value) {
	n.required, n.lists, n.schemas = map[string]bool{}, map[string][]string{}, map[string]*node{}
	for _, m := range members(v, "properties") {
		n.props = append(n.props, prop{m.Name, b.of(m.Value)})
	}
	if list := v.Get("required"); list != nil {
		for _, e := range list.Items {
			n.required[e.Text] = true
		}
	}
	for _, m := range members(v, "patternProperties") {
		re, err := regexp.Compile(m.Name)
		if err != nil {
			re = nil
		}
		n.patterns = append(n.patterns, pattern{re, b.of(m.Value)})
	}
	n.more, n.rest = b.narrows(v, "additionalProperties"), b.of(v.Get("unevaluatedProperties"))
	for _, word := range []string{"dependencies", "dependentRequired", "dependentSchemas"} {
		for _, m := range members(v, word) {
			if m.Value.Kind != jsontree.Array {
				n.schemas[m.Name] = b.of(m.Value)
				continue
			}
			n.lists[m.Name] = []string{}
			for _, e := range m.Value.Items {
				n.lists[m.Name] = append(n.lists[m.Name], e.Text)
			}
		}
	}
}

func members(v *jsontree.Value, name string) []jsontree.Member {
	if m := v.Get(name); m != nil {
		return m.Members
	}
	return nil
}

// narrows is a schema that is nil where it lets everything through.
func (b *builder) narrows(v *jsontree.Value, word string) *node {
	m := v.Get(word)
	if m == nil || m.Kind == jsontree.Bool && m.Text == "true" {
		return nil
	}
	return b.of(m)
}

func (b *builder) array(n *node, v *jsontree.Value) {
	n.rest = b.of(v.Get("unevaluatedItems"))
	tuple, more := v.Get("prefixItems"), "items"
	items := v.Get("items")
	if tuple == nil && items != nil && items.Kind == jsontree.Array {
		tuple, more = items, "additionalItems"
	}
	if tuple == nil {
		if b.modern && items != nil && items.Kind == jsontree.Bool {
			n.more = b.narrows(v, "items") // of 2020-12: nothing stands before what it is about
			return
		}
		n.items = b.of(items)
		if items == nil {
			n.more = b.narrows(v, "additionalItems")
		}
		return
	}
	for _, e := range tuple.Items {
		n.tuple = append(n.tuple, b.of(e))
	}
	n.more = b.narrows(v, more)
}
