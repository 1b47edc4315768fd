package registry

import (
	"slices"
	"strings"

	"leat/contract"
)

// Tagged are the fields of a version that have tags: those that the text says, and those that its metadata say of a path. Confluent's metadata name a
// field by its path, perhaps with the name of the record in front; * and ** stand for one segment and for several.
func (v *Version) Tagged(s contract.Schema) []contract.Field {
	return slices.DeleteFunc(v.AllTagged(s), func(f contract.Field) bool { return len(f.Tags) == 0 })
}

// AllTagged are all fields of a version, with their tags.
func (v *Version) AllTagged(s contract.Schema) []contract.Field {
	name := ""
	if t, ok := s.(contract.Titled); ok {
		name = t.Name()
	}
	fields := s.Fields()
	for i := range fields {
		f := &fields[i]
		f.Tags = slices.Clone(f.Tags)
		if v.Metadata != nil {
			for path, tags := range v.Metadata.Tags {
				if tagPathFits(path, name, f.Path) {
					f.Tags = append(f.Tags, tags...)
				}
			}
		}
		slices.Sort(f.Tags)
		f.Tags = slices.Compact(f.Tags)
	}
	return fields
}

func tagPathFits(pattern, name, path string) bool {
	path = contract.PlainPath(path)
	pattern = strings.TrimPrefix(strings.TrimPrefix(contract.PlainPath(pattern), "$."), "$")
	want := strings.Split(pattern, ".")
	if segmentsFit(want, strings.Split(path, ".")) {
		return true
	}
	if name == "" {
		return false
	}
	return segmentsFit(want, strings.Split(name+"."+path, "."))
}

func segmentsFit(want, have []string) bool {
	if len(want) == 0 {
		return len(have) == 0
	}
	if want[0] == "**" {
		for i := range len(have) + 1 {
			if segmentsFit(want[1:], have[i:]) {
				return true
			}
		}
		return false
	}
	return len(have) > 0 && (want[0] == "*" || want[0] == have[0]) && segmentsFit(want[1:], have[1:])
}
