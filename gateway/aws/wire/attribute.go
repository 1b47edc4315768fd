package wire

import (
	"crypto/md5" //nolint:gosec // the protocol's digest, against mistakes in transit
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// Attribute is a message's attribute: of the user's, or AWSTraceHeader. Its type is String, Number or Binary, with a label of the user's
// behind a dot where there is one (Number.byte); SNS knows String.Array too.
type Attribute struct {
	Name     string
	DataType string
	String   Opt[string]
	Binary   []byte // not nil where there is a binary value
	Lists    bool   // a list of values was sent, which SQS reserves for the future
}

// Attributes are a message's, in the order of the request.
type Attributes = []Attribute

// What stands at the beginning of a DataType.
const (
	typeString = "String"
	typeNumber = "Number"
	typeBinary = "Binary"
)

// IsBinary reports whether the value is a Binary one by its type.
func (a *Attribute) IsBinary() bool { return baseType(a.DataType) == typeBinary }

// Value is the text or the bytes of the value.
func (a *Attribute) Value() []byte {
	if a.IsBinary() {
		return a.Binary
	}
	return bytesOf(a.String.V)
}

// Size is what the attribute counts towards the size of its message: name, type and value.
func (a *Attribute) Size() int {
	return len(a.Name) + len(a.DataType) + len(a.String.V) + len(a.Binary)
}

// baseType is a type without its label.
func baseType(t string) string {
	base, _, _ := strings.Cut(t, ".")
	return base
}

// reserved is a kind of lists that nobody may send yet: all that is read is whether something is in them.
var reserved = &kind[bool]{
	readJSON: func(r *reader, v *bool) {
		if r.open('[') {
			for r.item() {
				r.skip()
				*v = true
			}
		}
	},
	readForm: func(f *form, v *bool) bool {
		*v = *v || f.has()
		return *v
	},
	absent: func(*bool) bool { return true }, // nobody writes them
}

// value is Attribute without its name.
var value = of(
	member("StringValue", optText, func(a *Attribute) *Opt[string] { return &a.String }),
	member("BinaryValue", blob, func(a *Attribute) *[]byte { return &a.Binary }),
	member("DataType", text, func(a *Attribute) *string { return &a.DataType }),
	member("StringListValues", reserved, func(a *Attribute) *bool { return &a.Lists }).as("StringListValue"),
	member("BinaryListValues", reserved, func(a *Attribute) *bool { return &a.Lists }).as("BinaryListValue"),
)

func attributes(st style) *kind[Attributes] {
	return dict(of(
		member("Name", keepEmpty, func(a *Attribute) *string { return &a.Name }),
		member("Value", value.kind(), func(a *Attribute) *Attribute { return a }),
	), func(a *Attribute) *string { return &a.Name }, st)
}

// Pick keeps of a message's attributes those that a receiver asked for: All, .*, a name, or the beginning of names (Foo.*). It returns a
// slice of a in which they stand in their order; a is not kept.
func Pick(a Attributes, names []string) Attributes {
	if len(names) == 0 {
		return nil
	}
	return slices.DeleteFunc(a, func(at Attribute) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			if n == "All" || n == ".*" || n == "*" || n == at.Name {
				return true
			}
			prefix, ok := strings.CutSuffix(n, ".*")
			return ok && strings.HasPrefix(at.Name, prefix)
		})
	})
}

// MD5OfBody is the digest of a body, as clients check it.
func MD5OfBody(body string) string {
	sum := md5.Sum(bytesOf(body)) //nolint:gosec // see the import
	return hexOf(sum)
}

// MD5OfAttributes is the digest of attributes, or "" where there are none. Sorted by name, each is hashed as
//
//	length of the name (4, big endian) · name · length of the type (4) · type · 1 or, for Binary, 2 · length of the value (4) · value
func MD5OfAttributes(a Attributes) string {
	if len(a) == 0 {
		return ""
	}
	var few [AttributesMax]int
	order := few[:0]
	for i := range a {
		order = append(order, i)
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(a[i].Name, a[j].Name) })

	var small [512]byte
	b := small[:0]
	for _, i := range order {
		at := &a[i]
		b = sized(b, bytesOf(at.Name))
		b = sized(b, bytesOf(at.DataType))
		if at.IsBinary() {
			b = append(b, 2)
		} else {
			b = append(b, 1)
		}
		b = sized(b, at.Value())
	}
	sum := md5.Sum(b) //nolint:gosec // see the import
	return hexOf(sum)
}

func sized(b, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
}

func hexOf(sum [md5.Size]byte) string {
	var b [2 * md5.Size]byte
	hex.Encode(b[:], sum[:])
	return string(b[:])
}

// checkAttributes judges the attributes of a message of SQS. They are the user's, or the one of the system's that may be sent.
func checkAttributes(a Attributes, system bool) *Error {
	if len(a) > AttributesMax {
		return Refuse(InvalidParameterValue, "Number of message attributes ["+itoa(len(a))+"] exceeds the allowed maximum ["+itoa(AttributesMax)+"].")
	}
	for i := range a {
		at := &a[i]
		for j := range i {
			if a[j].Name == at.Name {
				return Refuse(InvalidParameterValue, "Message (user) attribute name '"+at.Name+"' already exists.")
			}
		}
		if system {
			if at.Name != "AWSTraceHeader" {
				return Refuse(InvalidParameterValue, "Message system attribute name '"+at.Name+"' is invalid.")
			}
			if at.DataType != typeString {
				return Refuse(InvalidParameterValue, "Message system attribute type for 'AWSTraceHeader' must be 'String'.")
			}
		} else if err := checkAttributeName(at.Name); err != nil {
			return err
		}
		if err := checkAttributeValue(at); err != nil {
			return err
		}
	}
	return nil
}

func checkAttributeName(name string) *Error {
	switch {
	case name == "":
		return Refuse(InvalidParameterValue, "The message attribute name must not be empty.")
	case len(name) > AttributeNameMax:
		return Refuse(InvalidParameterValue, "Message (user) attribute names must be shorter than 256 Bytes")
	case strings.ContainsFunc(name, func(u rune) bool { return !nameRune(u) && !(u >= 0xC0 && u <= 0x17F) }): // letters with accents pass at Amazon too
		return Refuse(InvalidParameterValue, "Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores. ")
	case hasFoldedPrefix(name, "aws."), hasFoldedPrefix(name, "amazon."), name[0] == '.', name[len(name)-1] == '.', strings.Contains(name, ".."):
		return Refuse(InvalidParameterValue, "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use. Additionally, they cannot start or end with '.'.")
	}
	return nil
}

func nameRune(u rune) bool {
	return u >= 'a' && u <= 'z' || u >= 'A' && u <= 'Z' || u >= '0' && u <= '9' || u == '_' || u == '-' || u == '.'
}

func hasFoldedPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func checkAttributeValue(a *Attribute) *Error {
	base := baseType(a.DataType)
	switch {
	case a.Lists:
		return Refuse(UnsupportedOperation, "Message attribute list values in SendMessage operation are not supported.")
	case a.DataType == "":
		return Refuse(InvalidParameterValue, "The message attribute '"+a.Name+"' must contain a non-empty message attribute type.")
	case base != typeString && base != typeNumber && base != typeBinary:
		return Refuse(InvalidParameterValue, "The message attribute '"+a.Name+"' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	case len(a.DataType) > AttributeTypeMax:
		return Refuse(InvalidParameterValue, "Message (user) attribute types must be shorter than 256 Bytes")
	case base == typeBinary:
		if a.String.Set {
			return Refuse(InvalidParameterValue, "The message attribute '"+a.Name+"' with type 'Binary' must use field 'Binary'.")
		}
		if len(a.Binary) == 0 {
			return Refuse(InvalidParameterValue, "The message attribute '"+a.Name+"' must contain a non-empty message attribute value for message attribute type 'Binary'.")
		}
		return nil
	case a.Binary != nil:
		return Refuse(InvalidParameterValue, "The message attribute '"+a.Name+"' with type '"+base+"' must use field 'String'.")
	case a.String.V == "":
		return Refuse(InvalidParameterValue, "Message (user) attribute '"+a.Name+"' must contain a non-empty value of type '"+base+"'.")
	case base == typeNumber && !isNumber(a.String.V):
		return Refuse(InvalidParameterValue, "Can't cast the value of message (user) attribute '"+a.Name+"' to a number.")
	case !ValidText(a.String.V):
		return Refuse(InvalidParameterValue, "Message (user) attribute '"+a.Name+"' contains characters that are not allowed. Valid characters are: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	return nil
}

// isNumber reports whether a text is a decimal number, with a sign, a point and an exponent where they are wanted.
func isNumber(s string) bool {
	i, digits := 0, 0
	at := func(cs string) bool { return i < len(s) && strings.IndexByte(cs, s[i]) >= 0 }
	if at("+-") {
		i++
	}
	for ; at("0123456789"); i++ {
		digits++
	}
	if at(".") {
		for i++; at("0123456789"); i++ {
			digits++
		}
	}
	if digits > 0 && at("eE") {
		i++
		if at("+-") {
			i++
		}
		from := i
		for ; at("0123456789"); i++ {
		}
		if i == from {
			return false
		}
	}
	return digits > 0 && i == len(s)
}

// runes is the number of characters of a text.
func runes(s string) int { return utf8.RuneCountInString(s) }
