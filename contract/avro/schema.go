package avro

import (
	"slices"
	"sync"

	"leat/contract"
	"leat/contract/jsontree"
)

type kind uint8

const (
	null kind = iota
	boolean
	int32Kind
	int64Kind
	float32Kind
	float64Kind
	bytesKind
	stringKind
	record
	enum
	array
	mapKind
	union
	fixed
)

var kindNames = [...]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum", "array", "map", "union", "fixed"}

func (k kind) String() string { return kindNames[k] }

func primitive(name string) (kind, bool) {
	for k := null; k <= stringKind; k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// node is one schema of the tree. A named one is there once, whatever refers to it, so the tree may have rings.
type node struct {
	kind     kind
	isError  bool   // a record that says it is an error
	name     string // of record, enum, fixed: without its namespace
	space    string
	full     string
	doc      *string
	aliases  []string // full names
	fields   []field
	byName   map[string]int
	symbols  []string
	byDef    *string // default of an enum
	size     int     // of a fixed
	items    *node   // of array and map
	branches []*node
	props    []jsontree.Member // what the text says besides
	fromRef  bool              // came with a reference: named here, not told

	least int // bytes that a value takes at least; 0 where it may be nothing
}

type field struct {
	name    string
	node    *node
	doc     *string
	def     *jsontree.Value
	order   string
	aliases []string
	props   []jsontree.Member
}

func (n *node) named() bool { return n.kind == record || n.kind == enum || n.kind == fixed }

// Schema is a parsed schema.
type Schema struct {
	root *node

	once       sync.Once
	canonical  string
	normalized string
}

// Format is AVRO.
type Format struct{}

// Name is AVRO.
func (Format) Name() string { return "AVRO" }

// Parse reads a schema of Avro.
func (Format) Parse(text string, refs []contract.Named) (contract.Schema, error) {
	return answer(parse(text, refs, true))
}

// ParseOld reads a schema that was taken before, perhaps by another registry: defaults need not fit their fields.
func (Format) ParseOld(text string, refs []contract.Named) (contract.Schema, error) {
	return answer(parse(text, refs, false))
}

func answer(s *Schema, err error) (contract.Schema, error) {
	if err != nil {
		return nil, err // and no schema that is a nil pointer
	}
	return s, nil
}

// Canonical is the text as Avro's own library writes it.
func (s *Schema) Canonical() string { s.write(); return s.canonical }

// Normalized has full names and properties in one order.
func (s *Schema) Normalized() string { s.write(); return s.normalized }

func (s *Schema) write() {
	s.once.Do(func() {
		s.canonical = string(appendCanonical(nil, s.root, &seen{names: map[string]bool{}}))
		s.normalized = string(appendNormalized(nil, s.root, map[string]bool{}))
	})
}

// Name is the full name of the schema, "" where it has none.
func (s *Schema) Name() string { return s.root.full }

// Fields are the named places of records.
func (s *Schema) Fields() []contract.Field {
	w := fieldWalk{}
	w.walk(s.root, "", map[*node]bool{})
	return w.out
}

const fieldsMax = 10_000 // paths told of one schema

type fieldWalk struct{ out []contract.Field }

func (w *fieldWalk) walk(n *node, path string, open map[*node]bool) {
	if len(w.out) >= fieldsMax || open[n] {
		return
	}
	switch n.kind {
	case array:
		w.walk(n.items, path+"[]", open)
	case mapKind:
		w.walk(n.items, path+"{}", open)
	case union:
		for _, b := range n.branches {
			w.walk(b, path, open)
		}
	case record:
		open[n] = true
		for i := range n.fields {
			f := &n.fields[i]
			at := join(path, f.name)
			out := contract.Field{Path: at, Type: f.node.told(), Required: f.def == nil, Tags: tags(f.props), Nullable: f.node.nullable()}
			if e := f.node.enum(); e != nil {
				out.Enum, out.Open = e.symbols, e.byDef != nil
			}
			if f.doc != nil {
				out.Doc = *f.doc
			}
			w.out = append(w.out, out)
			w.walk(f.node, at, open)
		}
		delete(open, n)
	default:
	}
}

func (n *node) nullable() bool {
	return n.kind == null || n.kind == union && slices.ContainsFunc(n.branches, func(b *node) bool { return b.kind == null })
}

// enum is the enum that a field is, perhaps among other things.
func (n *node) enum() *node {
	switch n.kind {
	case enum:
		return n
	case union:
		for _, b := range n.branches {
			if b.kind == enum {
				return b
			}
		}
	default:
	}
	return nil
}

func (n *node) told() string {
	switch {
	case n.named():
		return n.full
	case n.kind == union && len(n.branches) == 2 && n.branches[0].kind == null:
		return n.branches[1].told()
	}
	for i := range n.props {
		if n.props[i].Name == "logicalType" && n.props[i].Value.Kind == jsontree.String {
			return n.props[i].Value.Text
		}
	}
	return n.kind.String()
}

// tags are the annotations of Confluent's data contracts.
func tags(props []jsontree.Member) (out []string) {
	for i := range props {
		if props[i].Name == "confluent:tags" {
			for _, v := range props[i].Value.Items {
				if v.Kind == jsontree.String {
					out = append(out, v.Text)
				}
			}
		}
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
