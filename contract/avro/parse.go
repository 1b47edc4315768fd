package avro

import (
	"slices"
	"strconv"
	"strings"

	"leat/contract"
	"leat/contract/jsontree"
)

type parser struct {
	names map[string]*node
	refs  bool // what is being read is a reference
	check bool // defaults are checked

	defaults []given // looked at when every record knows its fields
}

type given struct {
	name, path string
	node       *node
	def        *jsontree.Value
}

const fixedMax = 1 << 30 // bytes of a fixed

func parse(text string, refs []contract.Named, strict bool) (*Schema, error) {
	p := &parser{names: map[string]*node{}, refs: true}
	for _, r := range refs {
		if _, err := p.text(r.Text); err != nil {
			return nil, contract.Bad("", "the reference %s cannot be read: %s", r.Name, err)
		}
	}
	p.refs, p.check = false, strict
	root, err := p.text(text)
	if err != nil {
		return nil, err
	}
	steps := defaultsMax
	for _, d := range p.defaults {
		if why := fits(d.node, d.def, &steps); why != "" {
			return nil, contract.Bad(d.path+"default", "Invalid default for field %s: %s not a %s", d.name, clip(d.def), why)
		}
	}
	p.measure(root)
	return &Schema{root: root}, nil
}

func (p *parser) text(text string) (*node, error) {
	if len(text) > contract.TextBytesMax {
		return nil, contract.ErrTooLarge
	}
	v, err := jsontree.Parse(text)
	if err != nil {
		// A bare name, as Avro's command line tools take it.
		if k, ok := primitive(strings.TrimSpace(text)); ok {
			return &node{kind: k}, nil
		}
		return nil, contract.Bad("", "the text is no JSON: %s", err)
	}
	return p.schema(v, "", "/")
}

func (p *parser) schema(v *jsontree.Value, space, path string) (*node, error) {
	switch v.Kind {
	case jsontree.String:
		return p.byName(v.Text, space, path)
	case jsontree.Array:
		return p.union(v, space, path)
	case jsontree.Object:
		return p.object(v, space, path)
	default:
		return nil, contract.Bad(path, "a schema is a name, an object or an array, not %s", v.Append(nil, false))
	}
}

func (p *parser) byName(name, space, path string) (*node, error) {
	if k, ok := primitive(name); ok {
		return &node{kind: k}, nil
	}
	full := name
	if !strings.Contains(name, ".") && space != "" {
		full = space + "." + name
	}
	if n := p.names[full]; n != nil {
		return n, nil
	}
	if n := p.names[name]; n != nil {
		return n, nil
	}
	return nil, contract.Bad(path, "Undefined schema: %s", full)
}

func (p *parser) union(v *jsontree.Value, space, path string) (*node, error) {
	n := &node{kind: union}
	seen := map[string]bool{}
	for i, e := range v.Items {
		at := path + strconv.Itoa(i)
		b, err := p.schema(e, space, at+"/")
		if err != nil {
			return nil, err
		}
		key := b.kind.String()
		if b.named() {
			key = b.full
		}
		switch {
		case b.kind == union:
			return nil, contract.Bad(at, "Nested union: a union has no union as a branch")
		case seen[key]:
			return nil, contract.Bad(at, "Duplicate in union: %s", key)
		}
		seen[key] = true
		n.branches = append(n.branches, b)
	}
	return n, nil
}

func (p *parser) object(v *jsontree.Value, space, path string) (*node, error) {
	t := v.Get("type")
	if t == nil {
		return nil, contract.Bad(path, "No type: %s", clip(v))
	}
	if t.Kind != jsontree.String { // {"type": {...}} and {"type": [...]} say no more than what is inside
		return p.schema(t, space, path+"type/")
	}
	switch t.Text {
	case "record", "error":
		return p.record(v, space, path, t.Text == "error")
	case "enum":
		return p.enum(v, space, path)
	case "fixed":
		return p.fixed(v, space, path)
	case "array", "map":
		return p.container(v, t.Text, space, path)
	}
	if k, ok := primitive(t.Text); ok {
		return &node{kind: k, props: rest(v, reservedInSchemas)}, nil
	}
	return p.byName(t.Text, space, path)
}

func (p *parser) container(v *jsontree.Value, t, space, path string) (*node, error) {
	n, member := &node{kind: array}, "items"
	if t == "map" {
		n.kind, member = mapKind, "values"
	}
	e := v.Get(member)
	if e == nil {
		return nil, contract.Bad(path, "No %s type: an %s says what it holds in %q", member, t, member)
	}
	var err error
	n.items, err = p.schema(e, space, path+member+"/")
	n.props = rest(v, reservedInSchemas)
	return n, err
}

// head reads what named schemas have in common, and takes the name.
func (p *parser) head(v *jsontree.Value, k kind, space, path string) (*node, error) {
	name, ok := v.String("name")
	if !ok {
		return nil, contract.Bad(path, "No name in schema: %s", clip(v))
	}
	n := &node{kind: k, fromRef: p.refs, name: name, space: space}
	if s, ok := v.String("namespace"); ok {
		n.space = s
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		n.space, n.name = name[:i], name[i+1:]
	}
	if err := checkName(n.name, path+"name"); err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(n.space, ".") {
		if n.space == "" {
			break
		}
		if err := checkName(part, path+"namespace"); err != nil {
			return nil, err
		}
	}
	n.full = n.name
	if n.space != "" {
		n.full = n.space + "." + n.name
	}
	if _, taken := primitive(n.full); taken {
		return nil, contract.Bad(path, "Schemas may not be named after primitives: %s", n.full)
	}
	if n.doc = text(v, "doc"); p.names[n.full] != nil {
		return nil, contract.Bad(path, "Can't redefine: %s", n.full)
	}
	if a := v.Get("aliases"); a != nil {
		var err error
		if n.aliases, err = aliases(a, n.space, path); err != nil {
			return nil, err
		}
	}
	p.names[n.full] = n
	return n, nil
}

func aliases(a *jsontree.Value, space, path string) (out []string, err error) {
	if a.Kind != jsontree.Array {
		return nil, contract.Bad(path+"aliases", "aliases not an array")
	}
	for _, e := range a.Items {
		if e.Kind != jsontree.String {
			return nil, contract.Bad(path+"aliases", "alias not a string: %s", clip(e))
		}
		if s := e.Text; strings.Contains(s, ".") || space == "" {
			out = append(out, s)
		} else {
			out = append(out, space+"."+s)
		}
	}
	return out, nil
}

func text(v *jsontree.Value, name string) *string {
	if s, ok := v.String(name); ok {
		return &s
	}
	return nil
}

func (p *parser) record(v *jsontree.Value, space, path string, isError bool) (*node, error) {
	n, err := p.head(v, record, space, path)
	if err != nil {
		return nil, err
	}
	n.isError, n.byName = isError, map[string]int{}
	list := v.Get("fields")
	if list == nil || list.Kind != jsontree.Array {
		return nil, contract.Bad(path, "Record has no fields: %s", clip(v))
	}
	for i, e := range list.Items {
		f, err := p.field(e, n, path+"fields/"+strconv.Itoa(i)+"/")
		if err != nil {
			return nil, err
		}
		if _, twice := n.byName[f.name]; twice {
			return nil, contract.Bad(path+"fields/"+strconv.Itoa(i), "Duplicate field %s in record %s", f.name, n.full)
		}
		n.byName[f.name] = len(n.fields)
		n.fields = append(n.fields, f)
	}
	n.props = rest(v, reservedInSchemas)
	return n, nil
}

func (p *parser) field(e *jsontree.Value, of *node, path string) (f field, err error) {
	name, ok := e.String("name")
	if !ok {
		return f, contract.Bad(path, "No field name: %s", clip(e))
	}
	if err := checkName(name, path+"name"); err != nil {
		return f, err
	}
	t := e.Get("type")
	if t == nil {
		return f, contract.Bad(path, "No field type: %s", clip(e))
	}
	f = field{name: name, doc: text(e, "doc"), def: e.Get("default")}
	if f.node, err = p.schema(t, of.space, path+"type/"); err != nil {
		return f, err
	}
	if f.order, _ = e.String("order"); f.order != "" {
		f.order = strings.ToLower(f.order)
		if !slices.Contains([]string{"ascending", "descending", "ignore"}, f.order) {
			return f, contract.Bad(path+"order", "the order of a field is ascending, descending or ignore, not %s", f.order)
		}
	}
	if a := e.Get("aliases"); a != nil {
		if f.aliases, err = aliases(a, "", path); err != nil {
			return f, err
		}
	}
	if f.def != nil && p.check {
		p.defaults = append(p.defaults, given{name, path, f.node, f.def})
	}
	f.props = rest(e, reservedInFields)
	return f, nil
}

func (p *parser) enum(v *jsontree.Value, space, path string) (*node, error) {
	n, err := p.head(v, enum, space, path)
	if err != nil {
		return nil, err
	}
	list := v.Get("symbols")
	if list == nil || list.Kind != jsontree.Array {
		return nil, contract.Bad(path, "Enum has no symbols: %s", clip(v))
	}
	seen := map[string]bool{}
	for _, e := range list.Items {
		if e.Kind != jsontree.String {
			return nil, contract.Bad(path+"symbols", "a symbol is a string, not %s", clip(e))
		}
		if err := checkName(e.Text, path+"symbols"); err != nil {
			return nil, err
		}
		if seen[e.Text] {
			return nil, contract.Bad(path+"symbols", "Duplicate enum symbol: %s", e.Text)
		}
		seen[e.Text] = true
		n.symbols = append(n.symbols, e.Text)
	}
	if n.byDef = text(v, "default"); n.byDef != nil && !seen[*n.byDef] {
		return nil, contract.Bad(path+"default", "The Enum Default: %s is not in the enum symbol set: %v", *n.byDef, n.symbols)
	}
	n.props = rest(v, append(slices.Clone(reservedInSchemas), "default"))
	return n, nil
}

func (p *parser) fixed(v *jsontree.Value, space, path string) (*node, error) {
	n, err := p.head(v, fixed, space, path)
	if err != nil {
		return nil, err
	}
	s := v.Get("size")
	if s == nil || s.Kind != jsontree.Number {
		return nil, contract.Bad(path, "Invalid or no size: %s", clip(v))
	}
	if n.size, err = strconv.Atoi(s.Text); err != nil || n.size < 0 || n.size > fixedMax {
		return nil, contract.Bad(path+"size", "Invalid or no size: %s", s.Text)
	}
	n.props = rest(v, reservedInSchemas)
	return n, nil
}

// Names that have a meaning in some schema, and are left out of those where they have none, as Avro's library does.
var (
	reservedInSchemas = []string{"doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"}
	reservedInFields  = []string{"default", "doc", "name", "order", "type", "aliases"}
)

// rest are the members that have no meaning of their own.
func rest(v *jsontree.Value, known []string) (out []jsontree.Member) {
	for i := range v.Members {
		if !slices.Contains(known, v.Members[i].Name) {
			out = append(out, v.Members[i])
		}
	}
	return out
}

func checkName(s, path string) error {
	for i := range len(s) {
		c := s[i]
		if c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			continue
		}
		return contract.Bad(path, "Illegal character in: %s", s)
	}
	if s == "" {
		return contract.Bad(path, "Empty name")
	}
	return nil
}

const clipBytes = 200

func clip(v *jsontree.Value) string {
	s := string(v.Append(nil, false))
	if len(s) > clipBytes {
		return strings.ToValidUTF8(s[:clipBytes], "") + "…"
	}
	return s
}
