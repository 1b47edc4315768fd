package avro

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"leat/contract/jsontree"
)

const defaultsMax = 100_000 // values looked at for all defaults of a schema

// fits says what a default should have been, "" where it is. The default of a union is one of its first branch or, since Avro 1.12, of any.
// steps bounds the look: the defaults of fields of records of records grow with every level.
func fits(n *node, v *jsontree.Value, steps *int) string {
	if *steps--; *steps < 0 {
		return "value that can be checked: it is too large with the defaults inside it, or they form a ring"
	}
	ok := true
	switch n.kind {
	case null:
		ok = v.Kind == jsontree.Null
	case boolean:
		ok = v.Kind == jsontree.Bool
	case int32Kind:
		ok = v.Kind == jsontree.Number && whole(v.Text, math.MinInt32, math.MaxInt32)
	case int64Kind:
		ok = v.Kind == jsontree.Number && whole(v.Text, math.MinInt64, math.MaxInt64)
	case float32Kind, float64Kind:
		ok = v.Kind == jsontree.Number || v.Kind == jsontree.String && strings.Contains("NaN Infinity -Infinity", v.Text)
	case bytesKind, stringKind:
		ok = v.Kind == jsontree.String
	case fixed:
		ok = v.Kind == jsontree.String && len([]rune(v.Text)) == n.size
	case enum:
		ok = v.Kind == jsontree.String && slices.Contains(n.symbols, v.Text)
	case union:
		for _, b := range n.branches {
			if fits(b, v, steps) == "" {
				return ""
			}
		}
		return string(appendCanonical(nil, n, &seen{names: map[string]bool{}}))
	case array:
		ok = v.Kind == jsontree.Array
		for _, e := range v.Items {
			ok = ok && fits(n.items, e, steps) == ""
		}
	case mapKind:
		ok = v.Kind == jsontree.Object
		for i := range v.Members {
			ok = ok && fits(n.items, v.Members[i].Value, steps) == ""
		}
	case record:
		ok = v.Kind == jsontree.Object
		for i := range n.fields {
			f := &n.fields[i]
			m := v.Get(f.name)
			if m == nil {
				m = f.def
			}
			ok = ok && m != nil && fits(f.node, m, steps) == ""
		}
	}
	if ok {
		return ""
	}
	return string(appendCanonical(nil, n, &seen{names: map[string]bool{}}))
}

func whole(s string, least, most int64) bool {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i >= least && i <= most
	}
	return false
}
