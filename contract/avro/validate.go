package avro

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"leat/contract"
)

// A payload is what Avro's binary encoding writes of one value, and nothing after it:
//
//	int, long   zigzag varint          boolean  one byte, 0 or 1      float, double  4 or 8 bytes
//	bytes, string  length, then bytes  fixed    its bytes             enum           index as int
//	array, map  blocks: count (negative: count, then bytes), then that many; a count of 0 ends
//	union       index of the branch, then the value                   record         its fields in order

// Validate walks a payload.
func (s *Schema) Validate(payload []byte, _ []int) error {
	w := walk{b: payload}
	if err := w.value(s.root, 0); err != nil {
		return err
	}
	if w.at != len(payload) {
		return contract.Breaks("", "%d bytes follow the value", len(payload)-w.at)
	}
	return nil
}

type walk struct {
	b     []byte
	at    int
	steps int // values looked at
}

// stepsMax bounds the values of one payload that take no bytes: a few bytes could claim any number of nulls, and records of records of nothing
// grow with every level.
const stepsMax = 1 << 20

const (
	cutOff  = "the payload ends before it"
	badInt  = "is no number of at most %d bits"
	longest = 64
)

func (w *walk) value(n *node, depth int) error {
	if depth > contract.DepthMax {
		return contract.Breaks("", "the payload nests deeper than %d", contract.DepthMax)
	}
	if w.steps++; w.steps > stepsMax+len(w.b) {
		return contract.Breaks("", "the payload has more than %d values that take no bytes", stepsMax)
	}
	switch n.kind {
	case null:
		return nil
	case boolean:
		if w.at >= len(w.b) {
			return contract.Breaks("", cutOff)
		}
		if w.b[w.at] > 1 {
			return contract.Breaks("", "a boolean is 0 or 1, not %d", w.b[w.at])
		}
		w.at++
		return nil
	case int32Kind:
		v, err := w.long()
		if err == nil && (v < math.MinInt32 || v > math.MaxInt32) {
			return contract.Breaks("", "%d is no int: it has more than 32 bits", v)
		}
		return err
	case int64Kind:
		_, err := w.long()
		return err
	case float32Kind:
		return w.skip(4)
	case float64Kind:
		return w.skip(8)
	case fixed:
		return w.skip(int64(n.size))
	case bytesKind, stringKind:
		return w.text(n.kind == stringKind)
	case enum:
		v, err := w.long()
		if err == nil && (v < 0 || v >= int64(len(n.symbols))) {
			return contract.Breaks("", "the enum %s has %d symbols; there is none with index %d", n.full, len(n.symbols), v)
		}
		return err
	case union:
		v, err := w.long()
		if err != nil {
			return err
		}
		if v < 0 || v >= int64(len(n.branches)) {
			return contract.Breaks("", "the union has %d branches; there is none with index %d", len(n.branches), v)
		}
		return w.value(n.branches[v], depth+1)
	case record:
		for i := range n.fields {
			if err := w.value(n.fields[i].node, depth+1); err != nil {
				return inside(err, n.fields[i].name)
			}
		}
		return nil
	default:
		return w.blocks(n, depth)
	}
}

// inside says that a violation is in the field name. Only a payload that is refused comes here.
func inside(err error, name string) error {
	v, ok := err.(*contract.Violation) //nolint:errorlint // only ours come here, as they were made
	if !ok {
		return err
	}
	switch {
	case v.Path == "":
		v.Path = name
	case v.Path[0] == '[':
		v.Path = name + v.Path
	default:
		v.Path = name + "." + v.Path
	}
	return v
}

func (w *walk) long() (int64, error) {
	v, n := binary.Varint(w.b[w.at:])
	if n == 0 {
		return 0, contract.Breaks("", cutOff)
	}
	if n < 0 {
		return 0, contract.Breaks("", badInt, longest)
	}
	w.at += n
	return v, nil
}

func (w *walk) skip(n int64) error {
	if n > int64(len(w.b)-w.at) {
		return contract.Breaks("", "%d bytes are needed, %d are left", n, len(w.b)-w.at)
	}
	w.at += int(n)
	return nil
}

func (w *walk) text(mustBeText bool) error {
	n, err := w.long()
	if err != nil {
		return err
	}
	if n < 0 {
		return contract.Breaks("", "its length is %d", n)
	}
	from := w.at
	if err := w.skip(n); err != nil {
		return err
	}
	if mustBeText && !utf8.Valid(w.b[from:w.at]) {
		return contract.Breaks("", "the string is not UTF-8")
	}
	return nil
}

func (w *walk) blocks(n *node, depth int) error {
	for i := 0; ; {
		count, err := w.long()
		if err != nil {
			return err
		}
		if count == 0 {
			return nil
		}
		if count < 0 {
			if count = -count; count < 0 {
				return contract.Breaks("", "a block claims too many items")
			}
			if _, err := w.long(); err != nil { // its bytes, for who would skip it
				return err
			}
		}
		least := int64(n.items.least)
		if n.kind == mapKind {
			least++
		}
		if least > 0 && count > int64(len(w.b)-w.at)/least {
			return contract.Breaks("", "a block claims %d items; %d bytes are left", count, len(w.b)-w.at)
		}
		for range count {
			if err := w.item(n, i, depth); err != nil {
				return err
			}
			i++
		}
	}
}

func (w *walk) item(n *node, i, depth int) error {
	from := w.at
	if n.kind == mapKind {
		if err := w.text(true); err != nil {
			return inside(err, "[key]")
		}
	}
	err := w.value(n.items, depth+1)
	if err == nil {
		return nil
	}
	if n.kind != mapKind {
		return inside(err, "["+strconv.Itoa(i)+"]")
	}
	key, width := binary.Varint(w.b[from:])
	return inside(err, "["+string(w.b[from+width:from+width+int(min(key, longest))])+"]")
}

// measure finds how many bytes values take at least. Rings take at least what is outside of them: an unknown counts as 0.
func (p *parser) measure(root *node) {
	done := map[*node]bool{}
	var of func(n *node) int
	of = func(n *node) int {
		if done[n] {
			return n.least
		}
		done[n] = true
		switch n.kind {
		case null:
		case float32Kind:
			n.least = 4
		case float64Kind:
			n.least = 8
		case fixed:
			n.least = n.size
		case union:
			for _, b := range n.branches {
				of(b)
			}
			n.least = 1
		case array, mapKind:
			of(n.items)
			n.least = 1
		case record:
			sum := 0
			for i := range n.fields {
				sum = min(sum+of(n.fields[i].node), 1<<20)
			}
			n.least = sum
		default:
			n.least = 1
		}
		return n.least
	}
	of(root)
}
