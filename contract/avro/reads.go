package avro

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"leat/contract"
)

// Kinds of differences, in the words of Avro's library.
const (
	nameMismatch       = "NAME_MISMATCH"
	fixedSizeMismatch  = "FIXED_SIZE_MISMATCH"
	missingEnumSymbols = "MISSING_ENUM_SYMBOLS"
	missingDefault     = "READER_FIELD_MISSING_DEFAULT_VALUE"
	typeMismatch       = "TYPE_MISMATCH"
	missingBranch      = "MISSING_UNION_BRANCH"
)

var sentences = map[string]string{
	nameMismatch:       "The name of the schema has changed (path '$path')",
	fixedSizeMismatch:  "The size of FIXED type field at path '$path' in the %[1]s schema does not match with the %[2]s schema",
	missingEnumSymbols: "The %[1]s schema is missing enum symbols '$info' at path '$path' in the %[2]s schema",
	missingDefault:     "The field '$info' at path '$path' in the %[1]s schema has no default value and is missing in the %[2]s schema",
	typeMismatch:       "The type (path '$path') of a field in the %[1]s schema does not match with the %[2]s schema",
	missingBranch:      "The %[1]s schema is missing a type inside a union field at path '$path' in the %[2]s schema",
}

var hints = map[string]string{
	nameMismatch:       "give the new schema the old full name as an alias",
	fixedSizeMismatch:  "keep the size, or add a field of a new name",
	missingEnumSymbols: "keep the symbols, or give the enum a default",
	missingDefault:     "give the field a default",
	typeMismatch:       "keep the type, widen it (int to long, float or double; string and bytes), or add a field of a new name",
	missingBranch:      "keep every branch of the union",
}

// Reads resolves the writer's schema against this one, by the rules of Avro's specification.
func (s *Schema) Reads(writer contract.Schema, _ contract.Policy) []contract.Difference {
	w, ok := writer.(*Schema)
	if !ok {
		return []contract.Difference{difference(typeMismatch, []string{}, "the schemas are of different formats")}
	}
	steps := 0
	r := resolver{done: map[pair][]contract.Difference{}, steps: &steps}
	out := r.reads(s.root, w.root, nil)
	if steps > stepsMostRead {
		return []contract.Difference{{Kind: "TOO_COMPLEX", Path: "/", Sentence: "The %[1]s and the %[2]s schema have too many unions of records to be compared"}}
	}
	return out
}

type pair struct{ reader, writer *node }

// resolver remembers pairs of named schemas: a pair that is being looked at is taken to fit, which is what ends a ring.
type resolver struct {
	done  map[pair][]contract.Difference
	out   int
	steps *int
}

const (
	differencesMax = 1000    // told of one comparison
	stepsMostRead  = 200_000 // pairs looked at in one
)

func difference(kind string, path []string, info string) contract.Difference {
	at := "/" + strings.Join(path, "/")
	text := strings.NewReplacer("$path", at, "$info", info).Replace(sentences[kind])
	return contract.Difference{Kind: kind, Path: at, Sentence: text, Info: info, Hint: hints[kind]}
}

// reads compares. Paths are places in the reader's schema.
func (r *resolver) reads(reader, writer *node, path []string) []contract.Difference {
	if *r.steps++; len(path) > 4*contract.DepthMax || r.out > differencesMax || *r.steps > stepsMostRead {
		return nil
	}
	if reader.named() && writer.named() {
		p := pair{reader, writer}
		if d, ok := r.done[p]; ok {
			return d
		}
		r.done[p] = nil
		d := r.compare(reader, writer, path)
		r.done[p], r.out = d, r.out+len(d)
		return d
	}
	return r.compare(reader, writer, path)
}

func (r *resolver) compare(reader, writer *node, path []string) (out []contract.Difference) {
	switch {
	case writer.kind == union:
		return r.everyBranch(reader, writer, path)
	case reader.kind == union:
		for _, b := range reader.branches {
			before := r.out
			if len(r.fork().reads(b, writer, path)) == 0 {
				return nil
			}
			r.out = before
		}
		return []contract.Difference{difference(missingBranch, path, "reader union lacking writer type: "+upper(writer))}
	case reader.kind != writer.kind:
		if promotes(reader.kind, writer.kind) {
			return nil
		}
		return []contract.Difference{difference(typeMismatch, path, "reader type: "+upper(reader)+" not compatible with writer type: "+upper(writer))}
	}
	switch reader.kind {
	case array:
		return r.reads(reader.items, writer.items, at(path, "items"))
	case mapKind:
		return r.reads(reader.items, writer.items, at(path, "values"))
	case record:
		return append(names(reader, writer, path), r.fields(reader, writer, path)...)
	case enum:
		out = names(reader, writer, path)
		var missing []string
		for _, s := range writer.symbols {
			if !slices.Contains(reader.symbols, s) {
				missing = append(missing, s)
			}
		}
		if len(missing) > 0 && reader.byDef == nil {
			out = append(out, difference(missingEnumSymbols, at(path, "symbols"), "["+strings.Join(missing, ", ")+"]"))
		}
		return out
	case fixed:
		out = names(reader, writer, path)
		if reader.size != writer.size {
			out = append(out, difference(fixedSizeMismatch, at(path, "size"), "expected: "+strconv.Itoa(writer.size)+", found: "+strconv.Itoa(reader.size)))
		}
		return out
	default:
		return nil
	}
}

// fork tries a branch: what it finds is not kept, since whether a ring closes there depends on the branch.
func (r *resolver) fork() *resolver {
	*r.steps += len(r.done)
	return &resolver{done: maps.Clone(r.done), out: r.out, steps: r.steps}
}

func (r *resolver) everyBranch(reader, writer *node, path []string) (out []contract.Difference) {
	for i, b := range writer.branches {
		found := r.reads(reader, b, at(path, strconv.Itoa(i)))
		out = append(out, found...)
	}
	return out
}

func (r *resolver) fields(reader, writer *node, path []string) (out []contract.Difference) {
	for i := range reader.fields {
		f := &reader.fields[i]
		here := at(path, "fields", strconv.Itoa(i))
		w := writer.find(f)
		switch {
		case w != nil:
			out = append(out, r.reads(f.node, w.node, at(here, "type"))...)
		case f.def == nil && !(f.node.kind == enum && f.node.byDef != nil):
			out = append(out, difference(missingDefault, here, f.name))
		}
	}
	return out
}

// find is the writer's field that a reader's field takes.
func (n *node) find(f *field) *field {
	if i, ok := n.byName[f.name]; ok {
		return &n.fields[i]
	}
	for _, a := range f.aliases {
		if i, ok := n.byName[a]; ok {
			return &n.fields[i]
		}
	}
	return nil
}

func names(reader, writer *node, path []string) []contract.Difference {
	if reader.name == writer.name || slices.Contains(reader.aliases, writer.full) {
		return nil
	}
	return []contract.Difference{difference(nameMismatch, at(path, "name"), "expected: "+writer.full)}
}

func promotes(reader, writer kind) bool {
	switch reader {
	case int64Kind:
		return writer == int32Kind
	case float32Kind:
		return writer == int32Kind || writer == int64Kind
	case float64Kind:
		return writer == int32Kind || writer == int64Kind || writer == float32Kind
	case bytesKind:
		return writer == stringKind
	case stringKind:
		return writer == bytesKind
	default:
		return false
	}
}

func upper(n *node) string { return strings.ToUpper(n.kind.String()) }

func at(path []string, more ...string) []string {
	return append(slices.Clone(path), more...)
}
