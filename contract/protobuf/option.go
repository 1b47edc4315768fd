package protobuf

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// options are those that are set, each as name = value.
func options(m protoreflect.ProtoMessage, sorted bool) (out []string) {
	if m == nil {
		return nil
	}
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	type set struct {
		f protoreflect.FieldDescriptor
		v protoreflect.Value
	}
	var all []set
	r.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Name() != "uninterpreted_option" {
			all = append(all, set{f, v})
		}
		return true
	})
	sort.Slice(all, func(i, j int) bool { return all[i].f.Number() < all[j].f.Number() })
	for _, s := range all {
		name := string(s.f.Name())
		if s.f.IsExtension() {
			name = "(" + string(s.f.FullName()) + ")"
		}
		switch {
		case s.f.IsList():
			for i := range s.v.List().Len() {
				out = append(out, name+" = "+value(s.f, s.v.List().Get(i)))
			}
		case !s.f.IsMap():
			out = append(out, name+" = "+value(s.f, s.v))
		}
	}
	if sorted {
		sort.Strings(out)
	}
	return out
}

// value writes one value as Protobuf's text.
func value(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.StringKind:
		return quote(v.String())
	case protoreflect.BytesKind:
		return quote(string(v.Bytes()))
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
		return strconv.Itoa(int(v.Enum()))
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return aggregate(v.Message())
	default:
		return fmt.Sprint(v.Interface())
	}
}

func aggregate(m protoreflect.Message) string {
	var parts []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		v := m.Get(f)
		switch {
		case f.IsMap():
			var entries []string
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				entries = append(entries, "{ key: "+value(f.MapKey(), k.Value())+" value: "+value(f.MapValue(), e)+" }")
				return true
			})
			sort.Strings(entries)
			parts = append(parts, string(f.Name())+": ["+strings.Join(entries, ", ")+"]")
		case f.IsList():
			var items []string
			for i := range v.List().Len() {
				items = append(items, value(f, v.List().Get(i)))
			}
			parts = append(parts, string(f.Name())+": ["+strings.Join(items, ", ")+"]")
		default:
			parts = append(parts, string(f.Name())+": "+value(f, v))
		}
	}
	return "{ " + strings.Join(parts, " ") + " }"
}

// quote writes a string of Protobuf: what is not printable ASCII or UTF-8 is an octal escape.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
