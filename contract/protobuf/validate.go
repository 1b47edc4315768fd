package protobuf

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"leat/contract"
)

// Validate walks a payload by the type that index leads to: the first message where there is none.
func (s *Schema) Validate(payload []byte, index []int) error {
	m, err := s.messageAt(index)
	if err != nil {
		return err
	}
	return walk(payload, m, 0)
}

func (s *Schema) messageAt(index []int) (protoreflect.MessageDescriptor, error) {
	if len(index) == 0 {
		index = []int{0}
	}
	all := s.file.Messages()
	var m protoreflect.MessageDescriptor
	for _, i := range index {
		if i < 0 || i >= all.Len() {
			return nil, contract.Breaks("", "the message index %v leads to no message of the schema", index)
		}
		m = all.Get(i)
		all = m.Messages()
	}
	return m, nil
}

const depthMax = 100 // as other programs read it

func walk(b []byte, m protoreflect.MessageDescriptor, depth int) error {
	if depth > depthMax {
		return contract.Breaks("", "the payload nests deeper than %d", depthMax)
	}
	fields := m.Fields()
	required := m.RequiredNumbers()
	var seen map[protoreflect.FieldNumber]bool
	if required.Len() > 0 {
		seen = make(map[protoreflect.FieldNumber]bool, required.Len())
	}
	for len(b) > 0 {
		num, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return contract.Breaks("", "a tag cannot be read: %s", wrong(n))
		}
		b = b[n:]
		f := fields.ByNumber(num)
		if f == nil {
			if n = protowire.ConsumeFieldValue(num, wire, b); n < 0 {
				return contract.Breaks("", "the unknown field %d cannot be read: %s", num, wrong(n))
			}
			b = b[n:]
			continue
		}
		if seen != nil {
			seen[num] = true
		}
		used, err := field(b, f, wire, depth)
		if err != nil {
			return inside(err, f)
		}
		b = b[used:]
	}
	for i := range required.Len() {
		if num := required.Get(i); !seen[num] {
			return contract.Breaks(string(fields.ByNumber(num).Name()), "it is required and missing")
		}
	}
	return nil
}

func inside(err error, f protoreflect.FieldDescriptor) error {
	v, ok := err.(*contract.Violation) //nolint:errorlint // only ours come here, as they were made
	if !ok {
		return err
	}
	name := string(f.Name())
	if v.Path != "" {
		name += "." + v.Path
	}
	v.Path = name
	return v
}

// field checks one value and says how many bytes it has.
func field(b []byte, f protoreflect.FieldDescriptor, wire protowire.Type, depth int) (int, error) {
	want := wireOf(f.Kind())
	if wire == protowire.BytesType && want != protowire.BytesType && f.IsList() && want != protowire.StartGroupType {
		return packed(b, want)
	}
	if wire != want {
		return 0, contract.Breaks("", "it is a %s, which is written as wire type %d; the payload has wire type %d", f.Kind(), want, wire)
	}
	switch wire {
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, contract.Breaks("", "%s", wrong(n))
		}
		if f.Kind() == protoreflect.StringKind && f.ParentFile().Syntax() != protoreflect.Proto2 && !utf8.Valid(v) {
			return 0, contract.Breaks("", "the string is not UTF-8")
		}
		if f.Kind() == protoreflect.MessageKind {
			return n, walk(v, f.Message(), depth+1)
		}
		return n, nil
	case protowire.StartGroupType:
		v, n := protowire.ConsumeGroup(f.Number(), b)
		if n < 0 {
			return 0, contract.Breaks("", "%s", wrong(n))
		}
		return n, walk(v, f.Message(), depth+1)
	default:
		n := protowire.ConsumeFieldValue(f.Number(), wire, b)
		if n < 0 {
			return 0, contract.Breaks("", "%s", wrong(n))
		}
		return n, nil
	}
}

func packed(b []byte, want protowire.Type) (int, error) {
	v, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return 0, contract.Breaks("", "%s", wrong(n))
	}
	for i := 0; len(v) > 0; i++ {
		used := protowire.ConsumeFieldValue(1, want, v)
		if used < 0 {
			return 0, contract.Breaks("["+strconv.Itoa(i)+"]", "%s", wrong(used))
		}
		v = v[used:]
	}
	return n, nil
}

func wireOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}

// wrong says what cannot be read, without the mark that the library puts before its messages.
func wrong(n int) string {
	s := protowire.ParseError(n).Error()
	if _, rest, ok := strings.Cut(s, ":"); ok {
		s = rest
	}
	return strings.TrimFunc(s, unicode.IsSpace)
}
