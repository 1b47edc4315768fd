package record

import (
	"strconv"
	"strings"

	"leat/broker/fault"
)

// StreamNameBytesMax is the longest stream name.
const StreamNameBytesMax = 249

// Ref is the name of one stored event.
type Ref struct {
	Stream    string
	Partition PartitionID
	Offset    Offset
}

// String gives the ref as text, such as orders/0/1234.
func (r Ref) String() string { return string(r.Append(nil)) }

// Append appends the text of the ref.
func (r Ref) Append(dst []byte) []byte {
	dst = append(append(dst, r.Stream...), '/')
	dst = append(strconv.AppendInt(dst, int64(r.Partition), 10), '/')
	return strconv.AppendInt(dst, int64(r.Offset), 10)
}

// ParseRef reads stream/partition/offset, in the form that String gives and no other: no signs, no leading zeros.
func ParseRef(s string) (Ref, error) {
	stream, rest, ok1 := strings.Cut(s, "/")
	part, off, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 {
		return Ref{}, badRef(s, "it needs the form stream/partition/offset, such as orders/0/1234")
	}
	if err := CheckStreamName(stream); err != nil {
		return Ref{}, badRef(s, "its stream name is not one: "+fault.As(err).Text)
	}
	p, ok := parseNumber(part, 31)
	if !ok {
		return Ref{}, badRef(s, "its partition "+strconv.Quote(clip(part))+" is not a number from 0 to 2147483647")
	}
	o, ok := parseNumber(off, 63)
	if !ok {
		return Ref{}, badRef(s, "its offset "+strconv.Quote(clip(off))+" is not a number from 0 to 9223372036854775807")
	}
	return Ref{Stream: stream, Partition: PartitionID(p), Offset: Offset(o)}, nil
}

// parseNumber takes canonical decimal digits of at most bits bits.
func parseNumber(s string, bits int) (uint64, bool) {
	if s == "" || s[0] == '+' || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, bits)
	return n, err == nil
}

func badRef(s, text string) error {
	return fault.New(fault.Invalid, "ref", clip(s), "%s", text)
}

// clip keeps what is quoted in a refusal short.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// CheckStreamName refuses what is not the name of a stream: 1 to 249 of the letters A-Z and a-z, digits, ".", "_" and "-", but not "."
// or ".." alone. The text says which character is wrong and where.
func CheckStreamName(name string) error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "name", clip(strings.ToValidUTF8(name, "�")), format, args...)
	}
	switch {
	case name == "":
		return bad("a stream name may not be empty")
	case len(name) > StreamNameBytesMax:
		return bad("a stream name has at most %d characters; this one has %d", StreamNameBytesMax, len(name))
	case name == "." || name == "..":
		return bad("%q may not be a stream name", name)
	}
	for i, c := range name {
		if !streamNameRune(c) {
			return bad("character %q at place %d may not be in a stream name; A-Z a-z 0-9 . _ - may", c, i+1)
		}
	}
	return nil
}

func streamNameRune(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}
