package protobuf

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/contract"
)

// Changes that a reader cannot bear.
const (
	packageChanged    = "PACKAGE_CHANGED"
	messageRemoved    = "MESSAGE_REMOVED"
	fieldKindChanged  = "FIELD_KIND_CHANGED"
	scalarChanged     = "FIELD_SCALAR_KIND_CHANGED"
	namedTypeChanged  = "FIELD_NAMED_TYPE_CHANGED"
	labelChanged      = "FIELD_NUMERIC_LABEL_CHANGED"
	requiredAdded     = "REQUIRED_FIELD_ADDED"
	requiredRemoved   = "REQUIRED_FIELD_REMOVED"
	oneofFieldRemoved = "ONEOF_FIELD_REMOVED"
	severalToOneof    = "MULTIPLE_FIELDS_MOVED_TO_ONEOF"
	fieldToOneof      = "FIELD_MOVED_TO_EXISTING_ONEOF"
)

var about = map[string]struct{ sentence, hint string }{
	packageChanged:    {"The package at '$path' in the %[1]s schema does not match the package in the %[2]s schema", "keep the package"},
	messageRemoved:    {"The %[1]s schema is missing a MESSAGE type at path '$path' in the %[2]s schema", "keep the message"},
	fieldKindChanged:  {"The type of a field at path '$path' in the %[1]s schema does not match the %[2]s schema", "use a new field number"},
	scalarChanged:     {"The kind of a SCALAR field at path '$path' in the %[1]s schema does not match its kind in the %[2]s schema", "use a new field number"},
	namedTypeChanged:  {"The type of a MESSAGE field at path '$path' in the %[1]s schema does not match its type in the %[2]s schema", "use a new field number"},
	labelChanged:      {"The label for a NUMERIC field at path '$path' in the %[1]s schema does not match its label in the %[2]s schema", "use a new field number"},
	requiredAdded:     {"A required field  at path '$path' in the %[1]s schema is missing in the %[2]s schema", "make the field optional"},
	requiredRemoved:   {"The %[1]s schema is missing a required field at path: '$path' in the %[2]s schema", "keep the field"},
	oneofFieldRemoved: {"The %[1]s schema is missing a oneof field at path '$path' in the %[2]s schema", "keep the field"},
	severalToOneof:    {"Multiple fields in the oneof at path '$path' in the %[1]s schema are outside a oneof in the %[2]s schema", "leave the fields where they are"},
	fieldToOneof:      {"A field in the oneof at path '$path' in the %[1]s schema is outside an existing oneof in the %[2]s schema", "leave the field where it is"},
}

// Reads compares the writer's file with this one.
func (s *Schema) Reads(writer contract.Schema, _ contract.Policy) []contract.Difference {
	w, ok := writer.(*Schema)
	if !ok {
		return []contract.Difference{{Kind: "FORMAT_CHANGED", Path: "#/", Sentence: "Incompatible because of different schema type"}}
	}
	c := &comparison{open: map[pair]bool{}}
	if w.file.Package() != s.file.Package() {
		c.add(packageChanged)
	}
	c.types(w.file.Messages(), s.file.Messages())
	return c.out
}

type messages interface {
	Len() int
	Get(i int) protoreflect.MessageDescriptor
	ByName(protoreflect.Name) protoreflect.MessageDescriptor
}

type pair struct{ old, new protoreflect.FullName }

type comparison struct {
	path  []string
	out   []contract.Difference
	open  map[pair]bool // being compared above, which ends rings
	steps int
}

const (
	differencesMax = 1000
	stepsMax       = 200_000 // messages compared in one comparison
)

func (c *comparison) add(kind string, more ...string) {
	if len(c.out) >= differencesMax {
		return
	}
	at := "#/" + strings.Join(append(slices.Clone(c.path), more...), "/")
	w := about[kind]
	c.out = append(c.out, contract.Difference{Kind: kind, Path: at, Hint: w.hint, Sentence: strings.ReplaceAll(w.sentence, "$path", at)})
}

func (c *comparison) under(name string, do func()) {
	c.path = append(c.path, name)
	do()
	c.path = c.path[:len(c.path)-1]
}

func (c *comparison) types(old, new messages) {
	for i := range old.Len() {
		was := old.Get(i)
		if was.IsMapEntry() {
			continue
		}
		is := new.ByName(was.Name())
		if is == nil || is.IsMapEntry() {
			c.add(messageRemoved, string(was.Name()))
			continue
		}
		c.under(string(was.Name()), func() { c.message(was, is) })
	}
}

func (c *comparison) message(old, new protoreflect.MessageDescriptor) {
	p := pair{old.FullName(), new.FullName()}
	if c.steps++; c.open[p] || c.steps > stepsMax {
		return
	}
	c.open[p] = true
	defer delete(c.open, p)
	for i := range new.Oneofs().Len() {
		c.oneof(old, new.Oneofs().Get(i))
	}
	for _, f := range fieldsOf(old.Fields(), true) {
		if new.Fields().ByNumber(f.Number()) == nil {
			c.gone(new, f)
		}
	}
	for _, f := range fieldsOf(new.Fields(), true) {
		was := old.Fields().ByNumber(f.Number())
		switch {
		case was != nil:
			at := []string{number(f)}
			if o := oneofOf(f); o != nil {
				at = []string{string(o.Name()), number(f)}
			}
			before := c.path
			c.path = append(slices.Clone(c.path), at...)
			c.field(was, f)
			c.path = before
		case oneofOf(f) == nil && f.Cardinality() == protoreflect.Required:
			c.add(requiredAdded, number(f))
		}
	}
	c.types(old.Messages(), new.Messages())
}

func number(f protoreflect.FieldDescriptor) string { return strconv.Itoa(int(f.Number())) }

// oneofOf is the oneof that a field says it is in; the one that proto3 makes for an optional field is none.
func oneofOf(f protoreflect.FieldDescriptor) protoreflect.OneofDescriptor {
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return o
	}
	return nil
}

// oneof looks for fields that could be set together before and no longer can.
func (c *comparison) oneof(old protoreflect.MessageDescriptor, o protoreflect.OneofDescriptor) {
	if o.IsSynthetic() {
		return
	}
	groups, moved := map[string]bool{}, 0
	for i := range o.Fields().Len() {
		was := old.Fields().ByNumber(o.Fields().Get(i).Number())
		switch {
		case was == nil:
		case oneofOf(was) != nil:
			groups["in "+string(oneofOf(was).Name())] = true
		default:
			groups[number(was)] = true
			moved++
		}
	}
	switch {
	case len(groups) < 2:
	case moved > 1:
		c.add(severalToOneof, string(o.Name()))
	default:
		c.add(fieldToOneof, string(o.Name()))
	}
}

// gone is a field that is no longer there: fine, but for those that had to be, and for one of several where the others stayed.
func (c *comparison) gone(new protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) {
	o := oneofOf(f)
	if o == nil {
		if f.Cardinality() == protoreflect.Required {
			c.add(requiredRemoved, number(f))
		}
		return
	}
	stays := new.Oneofs().ByName(o.Name()) != nil
	for i := range o.Fields().Len() {
		stays = stays || new.Fields().ByNumber(o.Fields().Get(i).Number()) != nil
	}
	if stays {
		c.add(oneofFieldRemoved, string(o.Name()), number(f))
	}
}

type fieldKind uint8

const (
	scalar fieldKind = iota
	mapOf
	message
)

func kindOf(f protoreflect.FieldDescriptor) fieldKind {
	switch {
	case f.IsMap():
		return mapOf
	case f.Message() != nil:
		return message
	}
	return scalar
}

func (c *comparison) field(old, new protoreflect.FieldDescriptor) {
	if kindOf(old) != kindOf(new) {
		c.add(fieldKindChanged)
		return
	}
	switch kindOf(old) {
	case mapOf:
		c.field(old.MapKey(), new.MapKey())
		c.field(old.MapValue(), new.MapValue())
	case message:
		c.messageField(old.Message(), new.Message())
	case scalar:
		was, is := groupOf(old.Kind()), groupOf(new.Kind())
		switch {
		case was != is:
			c.add(scalarChanged)
		case was != "text" && label(old) != "" && label(new) != "" && label(old) != label(new):
			c.add(labelChanged)
		}
	}
}

// label is what the file says before a type; proto3 need not say anything.
func label(f protoreflect.FieldDescriptor) string {
	switch {
	case oneofOf(f) != nil || f.ContainingMessage().IsMapEntry():
		return ""
	case f.Cardinality() == protoreflect.Repeated:
		return "repeated"
	case f.Cardinality() == protoreflect.Required:
		return "required"
	case f.ParentFile().Syntax() == protoreflect.Proto2 || f.HasOptionalKeyword():
		return "optional"
	}
	return ""
}

// groupOf are the kinds whose bytes can be read as each other's.
func groupOf(k protoreflect.Kind) string {
	switch k {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.BoolKind, protoreflect.EnumKind:
		return "varint"
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return "zigzag"
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "text"
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return "fixed32"
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return "fixed64"
	default:
		return k.String()
	}
}

// messageField: a type keeps its name in its package. One that is in another file is looked into, since that file is not compared otherwise.
func (c *comparison) messageField(old, new protoreflect.MessageDescriptor) {
	if local(old) != local(new) {
		c.add(namedTypeChanged)
		return
	}
	if old.ParentFile().Path() == fileName && new.ParentFile().Path() == fileName {
		return
	}
	inner := &comparison{path: strings.Split(local(new), "."), open: c.open, steps: c.steps}
	inner.message(old, new)
	c.steps = inner.steps
	if len(inner.out) > 0 {
		c.out = append(c.out, inner.out...)
		c.add(namedTypeChanged)
	}
}

func local(m protoreflect.MessageDescriptor) string {
	full, pkg := string(m.FullName()), string(m.ParentFile().Package())
	if pkg != "" {
		return strings.TrimPrefix(full, pkg+".")
	}
	return full
}
