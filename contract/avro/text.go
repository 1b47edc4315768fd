package avro

import (
	"slices"
	"strconv"
	"strings"

	"leat/contract/jsontree"
)

// seen is what has been told so far, and the namespace one stands in.
type seen struct {
	names map[string]bool
	space string
}

func appendCanonical(dst []byte, n *node, s *seen) []byte {
	switch n.kind {
	case union:
		dst = append(dst, '[')
		for i, b := range n.branches {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, b, s)
		}
		return append(dst, ']')
	case array:
		dst = append(dst, `{"type":"array","items":`...)
		dst = appendCanonical(dst, n.items, s)
		return append(appendProps(dst, n.props, false), '}')
	case mapKind:
		dst = append(dst, `{"type":"map","values":`...)
		dst = appendCanonical(dst, n.items, s)
		return append(appendProps(dst, n.props, false), '}')
	case record, enum, fixed:
		return appendNamed(dst, n, s)
	default:
		if len(n.props) == 0 {
			return jsontree.AppendString(dst, n.kind.String())
		}
		dst = jsontree.AppendString(append(dst, `{"type":`...), n.kind.String())
		return append(appendProps(dst, n.props, false), '}')
	}
}

func appendNamed(dst []byte, n *node, s *seen) []byte {
	if n.fromRef || s.names[n.full] {
		name := n.full
		if n.space == s.space {
			name = n.name
		}
		return jsontree.AppendString(dst, name)
	}
	s.names[n.full] = true
	t := n.kind.String()
	if n.isError {
		t = "error"
	}
	dst = jsontree.AppendString(append(dst, `{"type":`...), t)
	dst = jsontree.AppendString(append(dst, `,"name":`...), n.name)
	if n.space != s.space {
		dst = jsontree.AppendString(append(dst, `,"namespace":`...), n.space)
	}
	dst = appendDoc(dst, n.doc)
	outer := s.space
	s.space = n.space
	switch n.kind {
	case record:
		dst = append(dst, `,"fields":[`...)
		for i := range n.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendField(dst, &n.fields[i], s)
		}
		dst = append(dst, ']')
	case enum:
		dst = appendStrings(append(dst, `,"symbols":`...), n.symbols)
		if n.byDef != nil {
			dst = jsontree.AppendString(append(dst, `,"default":`...), *n.byDef)
		}
	default:
		dst = strconv.AppendInt(append(dst, `,"size":`...), int64(n.size), 10)
	}
	dst = appendProps(dst, n.props, false)
	if len(n.aliases) > 0 {
		dst = appendStrings(append(dst, `,"aliases":`...), relative(n.aliases, n.space))
	}
	s.space = outer
	return append(dst, '}')
}

// relative takes the namespace off those names that are in it.
func relative(names []string, space string) []string {
	out := slices.Clone(names)
	for i, a := range out {
		if rest, ok := strings.CutPrefix(a, space+"."); ok && space != "" && !strings.Contains(rest, ".") {
			out[i] = rest
		}
	}
	return out
}

func appendField(dst []byte, f *field, s *seen) []byte {
	dst = jsontree.AppendString(append(dst, `{"name":`...), f.name)
	dst = appendCanonical(append(dst, `,"type":`...), f.node, s)
	dst = appendDoc(dst, f.doc)
	if f.def != nil {
		dst = f.def.Append(append(dst, `,"default":`...), false)
	}
	if f.order != "" && f.order != "ascending" {
		dst = jsontree.AppendString(append(dst, `,"order":`...), f.order)
	}
	if len(f.aliases) > 0 {
		dst = appendStrings(append(dst, `,"aliases":`...), f.aliases)
	}
	return append(appendProps(dst, f.props, false), '}')
}

func appendDoc(dst []byte, doc *string) []byte {
	if doc == nil {
		return dst
	}
	return jsontree.AppendString(append(dst, `,"doc":`...), *doc)
}

func appendStrings(dst []byte, all []string) []byte {
	dst = append(dst, '[')
	for i, s := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontree.AppendString(dst, s)
	}
	return append(dst, ']')
}

func appendProps(dst []byte, props []jsontree.Member, sorted bool) []byte {
	if sorted {
		props = slices.Clone(props)
		slices.SortFunc(props, func(a, b jsontree.Member) int { return strings.Compare(a.Name, b.Name) })
	}
	for i := range props {
		dst = append(jsontree.AppendString(append(dst, ','), props[i].Name), ':')
		dst = props[i].Value.Append(dst, sorted)
	}
	return dst
}

// appendNormalized writes full names everywhere, and properties in one order.
func appendNormalized(dst []byte, n *node, told map[string]bool) []byte {
	switch n.kind {
	case union:
		dst = append(dst, '[')
		for i, b := range n.branches {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendNormalized(dst, b, told)
		}
		return append(dst, ']')
	case array:
		dst = appendNormalized(append(dst, `{"type":"array","items":`...), n.items, told)
		return append(appendLogical(dst, n.props), '}')
	case mapKind:
		dst = appendNormalized(append(dst, `{"type":"map","values":`...), n.items, told)
		return append(appendLogical(dst, n.props), '}')
	case record, enum, fixed:
		return normalizedNamed(dst, n, told)
	default:
		if len(n.props) == 0 {
			return jsontree.AppendString(dst, n.kind.String())
		}
		dst = jsontree.AppendString(append(dst, `{"type":`...), n.kind.String())
		return append(appendLogical(dst, n.props), '}')
	}
}

func normalizedNamed(dst []byte, n *node, told map[string]bool) []byte {
	if n.fromRef || told[n.full] {
		return jsontree.AppendString(dst, n.full)
	}
	told[n.full] = true
	dst = jsontree.AppendString(append(dst, `{"name":`...), n.full)
	dst = jsontree.AppendString(append(dst, `,"type":`...), n.kind.String())
	switch n.kind {
	case record:
		dst = append(dst, `,"fields":[`...)
		for i := range n.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = normalizedField(dst, &n.fields[i], told)
		}
		dst = append(dst, ']')
	case enum:
		dst = appendStrings(append(dst, `,"symbols":`...), n.symbols)
	default:
		dst = strconv.AppendInt(append(dst, `,"size":`...), int64(n.size), 10)
	}
	if n.doc != nil && *n.doc != "" {
		dst = appendDoc(dst, n.doc)
	}
	if len(n.aliases) > 0 {
		dst = appendStrings(append(dst, `,"aliases":`...), slices.Sorted(slices.Values(n.aliases)))
	}
	if n.byDef != nil {
		dst = jsontree.AppendString(append(dst, `,"default":`...), *n.byDef)
	}
	return append(appendLogical(dst, n.props), '}')
}

func normalizedField(dst []byte, f *field, told map[string]bool) []byte {
	dst = jsontree.AppendString(append(dst, `{"name":`...), f.name)
	dst = appendNormalized(append(dst, `,"type":`...), f.node, told)
	order := f.order
	if order == "" {
		order = "ascending"
	}
	dst = jsontree.AppendString(append(dst, `,"order":`...), order)
	dst = appendDoc(dst, f.doc)
	if len(f.aliases) > 0 {
		dst = appendStrings(append(dst, `,"aliases":`...), slices.Sorted(slices.Values(f.aliases)))
	}
	if f.def != nil {
		dst = f.def.Append(append(dst, `,"default":`...), true)
	}
	return append(appendProps(dst, f.props, true), '}')
}

// appendLogical writes properties in the order of their names, the logical type first.
func appendLogical(dst []byte, props []jsontree.Member) []byte {
	var first, others []jsontree.Member
	for _, name := range []string{"logicalType", "precision", "scale"} {
		for i := range props {
			if props[i].Name == name && (name != "scale" || props[i].Value.Text != "0") {
				first = append(first, props[i])
			}
		}
	}
	for i := range props {
		if name := props[i].Name; name != "logicalType" && name != "precision" && name != "scale" {
			others = append(others, props[i])
		}
	}
	return appendProps(appendProps(dst, first, false), others, true)
}
