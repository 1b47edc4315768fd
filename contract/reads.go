package contract

import (
	"fmt"
	"slices"
	"strings"
)

// FieldBreak is what a change of a schema does to a field that somebody reads.
type FieldBreak struct {
	Field string `json:"field"`
	Why   string `json:"why"`
	Hint  string `json:"hint,omitempty"`
}

// AllFields, among the fields that somebody reads, stands for all there are.
const AllFields = "*"

// BreaksReads says what becomes of the fields that somebody reads when old is followed by new. A field that is named stands for what is below it too.
// Marks of arrays and maps in paths do not matter.
func BreaksReads(old, new Schema, reads []string) (out []FieldBreak) {
	was, is := byPath(old), byPath(new)
	for _, want := range reads {
		found := false
		for _, f := range old.Fields() {
			at := PlainPath(f.Path)
			if p := PlainPath(want); want != AllFields && at != p && !strings.HasPrefix(at, p+".") {
				continue
			}
			found = true
			if b := breakOf(f, was, is); b != nil && !slices.ContainsFunc(out, func(o FieldBreak) bool { return o.Field == b.Field }) {
				out = append(out, *b)
			}
		}
		if !found && want != AllFields && is[PlainPath(want)] == nil {
			out = append(out, FieldBreak{Field: want, Why: "neither the schema nor the one before has it", Hint: nearest(want, new)})
		}
	}
	return out
}

func byPath(s Schema) map[string]*Field {
	out := map[string]*Field{}
	all := s.Fields()
	for i := range all {
		if p := PlainPath(all[i].Path); out[p] == nil {
			out[p] = &all[i]
		}
	}
	return out
}

func breakOf(f Field, was, is map[string]*Field) *FieldBreak {
	path := PlainPath(f.Path)
	now := is[path]
	switch {
	case now == nil:
		b := &FieldBreak{Field: f.Path, Why: "it is gone"}
		if i := strings.LastIndexByte(path, '.'); i >= 0 && is[path[:i]] == nil {
			b.Why = "it is gone, with " + path[:i]
		} else if r := renamed(f, path, was, is); r != "" {
			b.Why = "it is gone; it may be called " + r + " now"
		}
		return b
	case now.Type != f.Type:
		return &FieldBreak{Field: f.Path, Why: fmt.Sprintf("it was %s and is %s", f.Type, now.Type)}
	case f.Required && !now.Required:
		return &FieldBreak{Field: f.Path, Why: "it was always there and may be missing now"}
	case !f.Nullable && now.Nullable:
		return &FieldBreak{Field: f.Path, Why: "it may be null or missing now"}
	}
	if added := without(now.Enum, f.Enum); len(f.Enum) > 0 && !f.Open && len(added) > 0 {
		return &FieldBreak{Field: f.Path, Why: "it has values that a reader does not know: " + strings.Join(added, ", ")}
	}
	return nil
}

// renamed is a new field beside the old place, of the same type, where there is exactly one.
func renamed(f Field, path string, was, is map[string]*Field) (name string) {
	parent := path[:strings.LastIndexByte(path, '.')+1]
	for p, x := range is {
		if was[p] == nil && x.Type == f.Type && strings.HasPrefix(p, parent) && !strings.Contains(p[len(parent):], ".") {
			if name != "" {
				return ""
			}
			name = x.Path
		}
	}
	return name
}

func without(all, known []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(known, s) {
			out = append(out, s)
		}
	}
	return out
}

// nearest says which field of the schema ends like the one that is not there.
func nearest(want string, s Schema) string {
	last := want[strings.LastIndexByte(want, '.')+1:]
	for _, f := range s.Fields() {
		if p := PlainPath(f.Path); strings.EqualFold(p[strings.LastIndexByte(p, '.')+1:], last) {
			return "there is " + f.Path
		}
	}
	return ""
}
