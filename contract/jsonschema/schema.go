package jsonschema

import (
	"slices"
	"strings"
	"sync"

	js "github.com/santhosh-tekuri/jsonschema/v6"

	"leat/contract"
	"leat/contract/jsontree"
)

// Format is JSON.
type Format struct{}

// Name is JSON.
func (Format) Name() string { return "JSON" }

// Schema is a parsed schema.
type Schema struct {
	tree *jsontree.Value
	docs *documents

	compiled *js.Schema
	rules    func() *program // compiled, when the first payload comes
	root     *node
	nodes    sync.Once
	texts    sync.Once

	canonical, normalized string
}

// Parse reads a schema. It is compiled here, so that one that cannot be is refused.
func (Format) Parse(text string, refs []contract.Named) (s contract.Schema, err error) {
	defer func() {
		if p := recover(); p != nil { // texts of strangers go through a compiler that is not ours
			s, err = nil, contract.Bad("", "the compiler cannot take the text: %v", p)
		}
	}()
	return parse(text, refs)
}

func parse(text string, refs []contract.Named) (contract.Schema, error) {
	if len(text) > contract.TextBytesMax {
		return nil, contract.ErrTooLarge
	}
	if strings.TrimSpace(text) == "" {
		return nil, contract.Bad("", "the text is empty")
	}
	tree, err := jsontree.Parse(text)
	if err != nil {
		return nil, contract.Bad("", "the text is no JSON: %s", err)
	}
	if tree.Kind != jsontree.Object && tree.Kind != jsontree.Bool {
		return nil, contract.Bad("", "a schema is an object, true or false")
	}
	if err := plainNumbers([]byte(text)); err != nil {
		return nil, contract.Bad("", "%s", err)
	}
	s := &Schema{tree: tree, docs: newDocuments(tree)}
	for _, r := range refs {
		t, err := jsontree.Parse(r.Text)
		if err != nil {
			return nil, contract.Bad("", "the reference %s is no JSON: %s", r.Name, err)
		}
		if err := plainNumbers([]byte(r.Text)); err != nil {
			return nil, contract.Bad("", "the reference %s: %s", r.Name, err)
		}
		s.docs.add(r.Name, t)
	}
	if s.compiled, err = compile(text, refs); err != nil {
		return nil, err
	}
	if err := s.docs.check(tree); err != nil {
		return nil, err
	}
	s.rules = sync.OnceValue(func() *program { return newProgram(s.compiled) })
	return s, nil
}

// Canonical is the text without spaces.
func (s *Schema) Canonical() string { s.write(); return s.canonical }

// Normalized has members in the order of their names.
func (s *Schema) Normalized() string { s.write(); return s.normalized }

func (s *Schema) write() {
	s.texts.Do(func() {
		s.canonical = string(s.tree.Append(nil, false))
		s.normalized = string(s.tree.Append(nil, true))
	})
}

func (s *Schema) tops() *node {
	s.nodes.Do(func() {
		b := &builder{docs: s.docs, made: map[*jsontree.Value]*node{}, modern: s.docs.modern}
		s.root = b.of(s.tree)
	})
	return s.root
}

const fieldsMax = 10_000 // paths told of one schema

// Fields are the properties that are named.
func (s *Schema) Fields() []contract.Field {
	w := fieldWalk{}
	w.walk(s.tops(), "", map[*node]bool{})
	return w.out
}

type fieldWalk struct {
	out   []contract.Field
	steps int
}

func (w *fieldWalk) walk(n *node, path string, open map[*node]bool) {
	if w.steps++; n == nil || open[n] || len(w.out) >= fieldsMax || w.steps > 10*fieldsMax {
		return
	}
	open[n] = true
	defer delete(open, n)
	switch n.kind {
	case combined:
		for _, s := range n.subs {
			w.walk(s, path, open)
		}
	case array:
		w.walk(n.items, path+"[]", open)
		for _, s := range n.tuple {
			w.walk(s, path+"[]", open)
		}
	case object:
		for _, p := range n.props {
			at := p.name
			if path != "" {
				at = path + "." + p.name
			}
			f := contract.Field{Path: at, Type: p.node.told(), Required: n.required[p.name], Nullable: p.node.nullable(0)}
			f.Enum = p.node.choices()
			if p.node.src != nil {
				f.Doc, _ = p.node.src.String("description")
				if t := p.node.src.Get("confluent:tags"); t != nil {
					for _, v := range t.Items {
						f.Tags = append(f.Tags, v.Text)
					}
				}
			}
			w.out = append(w.out, f)
			w.walk(p.node, at, open)
		}
	default:
	}
}

// nullable reports whether null is one of the values.
func (n *node) nullable(depth int) bool {
	switch {
	case n == nil || depth > contract.DepthMax:
		return false
	case n.kind == null:
		return true
	case n.kind == combined && n.criterion != "allOf":
		return slices.ContainsFunc(n.subs, func(s *node) bool { return s.nullable(depth + 1) })
	case n.kind == enum || n.kind == constant:
		return slices.ContainsFunc(n.values, func(v *jsontree.Value) bool { return v.Kind == jsontree.Null })
	}
	return false
}

// choices are the texts of an enum; nil where it is none.
func (n *node) choices() (out []string) {
	if n.src == nil {
		return nil
	}
	if list := n.src.Get("enum"); list != nil {
		for _, v := range list.Items {
			out = append(out, v.Text)
		}
	}
	return out
}

// Name is the title of the schema.
func (s *Schema) Name() string {
	title, _ := s.tree.String("title")
	return title
}

func (n *node) told() string {
	if n.src != nil {
		if f, ok := n.src.String("format"); ok {
			return f
		}
		if t, ok := n.src.String("type"); ok {
			return t
		}
	}
	return n.kind.String()
}
