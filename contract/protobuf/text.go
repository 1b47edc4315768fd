package protobuf

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// writer writes a descriptor as a file. Sorted is the normalized form: what has no meaning is in one order.
type writer struct {
	out    bytes.Buffer
	loose  aside
	sorted bool
	proto3 bool
	level  int
	first  bool // nothing stands in the block yet
}

func write(f protoreflect.FileDescriptor, loose aside, sorted bool) string {
	w := &writer{loose: loose, sorted: sorted, proto3: f.Syntax() == protoreflect.Proto3}
	w.head(f)
	if f.Messages().Len()+f.Enums().Len() > 0 { // kinds of things have a blank line between them, as Confluent's registry writes them
		w.blank()
	}
	for i := range f.Messages().Len() {
		w.message(f.Messages().Get(i))
	}
	for i := range f.Enums().Len() {
		w.enum(f.Enums().Get(i))
	}
	if f.Extensions().Len() > 0 {
		w.blank()
	}
	w.extensions(f.Extensions())
	if f.Services().Len() > 0 {
		w.blank()
	}
	for i := range f.Services().Len() {
		w.service(f.Services().Get(i))
	}
	return w.out.String()
}

// options are those of a thing, with those that nothing declares.
func (w *writer) options(d protoreflect.Descriptor) []string {
	out := options(d.Options(), w.sorted)
	if loose := w.loose[d.FullName()]; len(loose) > 0 {
		if out = append(out, loose...); w.sorted {
			sort.Strings(out)
		}
	}
	return out
}

func (w *writer) head(f protoreflect.FileDescriptor) {
	switch f.Syntax() {
	case protoreflect.Editions:
		edition := protodesc.ToFileDescriptorProto(f).GetEdition().String()
		w.line("edition = %q;", strings.TrimPrefix(edition, "EDITION_"))
	default:
		w.line("syntax = %q;", f.Syntax().String())
	}
	if f.Package() != "" {
		w.line("package %s;", f.Package())
	}
	var imports []string
	for i := range f.Imports().Len() {
		im := f.Imports().Get(i)
		word := "import "
		if im.IsPublic {
			word += "public "
		}
		imports = append(imports, word+fmt.Sprintf("%q;", im.Path()))
	}
	if w.sorted {
		sort.Strings(imports)
		imports = slices.Compact(imports)
	}
	if len(imports) > 0 {
		w.blank()
	}
	for _, s := range imports {
		w.line("%s", s)
	}
	if opts := w.options(f); len(opts) > 0 {
		w.blank()
		for _, o := range opts {
			w.line("option %s;", o)
		}
	}
}

func (w *writer) line(format string, a ...any) {
	w.out.WriteString(strings.Repeat("  ", w.level))
	fmt.Fprintf(&w.out, format, a...)
	w.out.WriteByte('\n')
}

func (w *writer) blank() { w.out.WriteByte('\n') }

func (w *writer) message(m protoreflect.MessageDescriptor) {
	w.block(fmt.Sprintf("message %s", m.Name()), func() { w.body(m) })
}

// block writes what has a body; one without says so in its line.
func (w *writer) block(head string, body func()) {
	before := w.out.Len()
	w.line("%s {", head)
	open := w.out.Len()
	w.level++
	w.first = true
	body()
	w.first = false
	w.level--
	if w.out.Len() > open {
		w.line("}")
		return
	}
	w.out.Truncate(before)
	w.line("%s {}", head)
}

// section begins one kind of things in a block, behind a blank line if there was another.
func (w *writer) section(some bool) bool {
	if some && !w.first {
		w.blank()
	}
	if some {
		w.first = false
	}
	return some
}

func (w *writer) body(m protoreflect.MessageDescriptor) {
	w.section(m.ReservedRanges().Len()+m.ReservedNames().Len() > 0)
	w.reserved(m.ReservedRanges(), m.ReservedNames())
	opts := w.options(m)
	w.section(len(opts) > 0)
	for _, o := range opts {
		w.line("option %s;", o)
	}
	fields := fieldsOf(m.Fields(), w.sorted)
	var plain, groups []protoreflect.FieldDescriptor
	var oneofs []protoreflect.OneofDescriptor
	for _, f := range fields {
		o := f.ContainingOneof()
		switch {
		case o != nil && !o.IsSynthetic():
			if !slices.Contains(oneofs, o) {
				oneofs = append(oneofs, o)
			}
		case f.Kind() == protoreflect.GroupKind && f.ParentFile().Syntax() == protoreflect.Proto2:
			groups = append(groups, f)
		default:
			plain = append(plain, f)
		}
	}
	w.section(len(plain) > 0)
	for _, f := range plain {
		w.field(f)
	}
	w.section(len(oneofs) > 0)
	for _, o := range oneofs {
		w.oneof(o)
	}
	w.section(len(groups) > 0)
	for _, f := range groups {
		w.field(f)
	}
	w.section(m.ExtensionRanges().Len() > 0)
	for i := range m.ExtensionRanges().Len() {
		r := m.ExtensionRanges().Get(i)
		w.line("extensions %s;", span(int64(r[0]), int64(r[1])-1, 536870911))
	}
	w.section(m.Extensions().Len() > 0)
	w.extensions(m.Extensions())
	w.nested(m)
}

func (w *writer) nested(m protoreflect.MessageDescriptor) {
	some := false
	for i := range m.Messages().Len() {
		if inner := m.Messages().Get(i); !inner.IsMapEntry() && !isGroup(m, inner) {
			some = some || w.section(true)
			w.message(inner)
		}
	}
	for i := range m.Enums().Len() {
		some = some || w.section(true)
		w.enum(m.Enums().Get(i))
	}
}

func fieldsOf(all protoreflect.FieldDescriptors, sorted bool) (out []protoreflect.FieldDescriptor) {
	for i := range all.Len() {
		out = append(out, all.Get(i))
	}
	if sorted {
		slices.SortFunc(out, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	}
	return out
}

func isGroup(m, inner protoreflect.MessageDescriptor) bool {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Kind() == protoreflect.GroupKind && f.Message() == inner && strings.EqualFold(string(f.Name()), string(inner.Name())) && f.ParentFile().Syntax() == protoreflect.Proto2 {
			return true
		}
	}
	return false
}

func (w *writer) oneof(o protoreflect.OneofDescriptor) {
	w.block(fmt.Sprintf("oneof %s", o.Name()), func() {
		opts := w.options(o)
		w.section(len(opts) > 0)
		for _, s := range opts {
			w.line("option %s;", s)
		}
		w.section(true)
		for _, f := range fieldsOf(o.Fields(), w.sorted) {
			w.field(f)
		}
	})
}

func (w *writer) field(f protoreflect.FieldDescriptor) {
	opts := w.options(f)
	if p := protodesc.ToFieldDescriptorProto(f); p.DefaultValue != nil {
		v := p.GetDefaultValue()
		switch f.Kind() {
		case protoreflect.StringKind:
			v = quote(v)
		case protoreflect.BytesKind:
			v = `"` + v + `"`
		default:
		}
		opts = append([]string{"default = " + v}, opts...)
	}
	if name := f.JSONName(); f.HasJSONName() && name != camel(string(f.Name())) && !f.IsExtension() {
		opts = append(opts, "json_name = "+quote(name))
	}
	end := w.bracketed(opts)
	if f.Kind() == protoreflect.GroupKind && f.ParentFile().Syntax() == protoreflect.Proto2 {
		w.block(fmt.Sprintf("%sgroup %s = %d", w.label(f), f.Message().Name(), f.Number()), func() { w.body(f.Message()) })
		return
	}
	w.line("%s%s %s = %d%s", w.label(f), w.typeName(f), f.Name(), f.Number(), end)
}

// bracketed is the end of a line: one option stands in it, several in lines of their own.
func (w *writer) bracketed(opts []string) string {
	switch len(opts) {
	case 0:
		return ";"
	case 1:
		return " [" + opts[0] + "];"
	}
	in := "\n" + strings.Repeat("  ", w.level+1)
	return " [" + in + strings.Join(opts, ","+in) + "\n" + strings.Repeat("  ", w.level) + "];"
}

// camel is the name in JSON that a field has if it has no other.
func camel(s string) string {
	var b strings.Builder
	up := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '_':
			up = true
			continue
		case up && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		b.WriteByte(c)
		up = false
	}
	return b.String()
}

func (w *writer) label(f protoreflect.FieldDescriptor) string {
	o := f.ContainingOneof()
	switch {
	case f.IsMap() || o != nil && !o.IsSynthetic():
		return ""
	case f.Cardinality() == protoreflect.Repeated:
		return "repeated "
	case f.ParentFile().Syntax() == protoreflect.Editions:
		return ""
	case f.Cardinality() == protoreflect.Required:
		return "required "
	case !w.proto3 || f.HasOptionalKeyword():
		return "optional "
	}
	return ""
}

func (w *writer) typeName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map<" + f.MapKey().Kind().String() + ", " + w.typeName(f.MapValue()) + ">"
	case f.Message() != nil:
		return named(f.Message())
	case f.Enum() != nil:
		return named(f.Enum())
	}
	return f.Kind().String()
}

// named is a full name with its dot: shorter ones could be taken for others.
func named(d protoreflect.Descriptor) string {
	return "." + string(d.FullName())
}

func (w *writer) reserved(ranges protoreflect.FieldRanges, names protoreflect.Names) {
	var all []string
	for i := range ranges.Len() {
		r := ranges.Get(i)
		all = append(all, span(int64(r[0]), int64(r[1])-1, 536870911))
	}
	if len(all) > 0 {
		w.line("reserved %s;", strings.Join(all, ", "))
	}
	w.reservedNames(names)
}

func (w *writer) reservedNames(names protoreflect.Names) {
	var all []string
	for i := range names.Len() {
		all = append(all, quote(string(names.Get(i))))
	}
	if len(all) > 0 {
		w.line("reserved %s;", strings.Join(all, ", "))
	}
}

func span(from, to, most int64) string {
	switch {
	case from == to:
		return fmt.Sprint(from)
	case to >= most:
		return fmt.Sprint(from, " to max")
	}
	return fmt.Sprintf("%d to %d", from, to)
}

func (w *writer) enum(e protoreflect.EnumDescriptor) {
	w.line("enum %s {", e.Name())
	w.level++
	for _, o := range w.options(e) {
		w.line("option %s;", o)
	}
	var ranges []string
	for i := range e.ReservedRanges().Len() {
		r := e.ReservedRanges().Get(i)
		ranges = append(ranges, span(int64(r[0]), int64(r[1]), 1<<31-1))
	}
	if len(ranges) > 0 {
		w.line("reserved %s;", strings.Join(ranges, ", "))
	}
	w.reservedNames(e.ReservedNames())
	var values []protoreflect.EnumValueDescriptor
	for i := range e.Values().Len() {
		values = append(values, e.Values().Get(i))
	}
	if w.sorted && len(values) > 1 { // the first of proto3 has to be 0
		slices.SortStableFunc(values[1:], func(a, b protoreflect.EnumValueDescriptor) int { return int(a.Number()) - int(b.Number()) })
	}
	for _, v := range values {
		w.line("%s = %d%s", v.Name(), v.Number(), w.bracketed(w.options(v)))
	}
	w.level--
	w.line("}")
}

func (w *writer) extensions(all protoreflect.ExtensionDescriptors) {
	for i := range all.Len() {
		x := all.Get(i)
		w.line("extend .%s {", x.ContainingMessage().FullName())
		w.level++
		w.field(x)
		w.level--
		w.line("}")
	}
}

func (w *writer) service(s protoreflect.ServiceDescriptor) {
	w.line("service %s {", s.Name())
	w.level++
	for _, o := range w.options(s) {
		w.line("option %s;", o)
	}
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		in, out := "", ""
		if m.IsStreamingClient() {
			in = "stream "
		}
		if m.IsStreamingServer() {
			out = "stream "
		}
		head := fmt.Sprintf("rpc %s (%s.%s) returns (%s.%s)", m.Name(), in, m.Input().FullName(), out, m.Output().FullName())
		opts := w.options(m)
		if len(opts) == 0 {
			w.line("%s;", head)
			continue
		}
		w.line("%s {", head)
		w.level++
		for _, o := range opts {
			w.line("option %s;", o)
		}
		w.level--
		w.line("}")
	}
	w.level--
	w.line("}")
}
