package registry

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fill takes over from the newest version what a registration leaves out, and from the settings what they add and override.
func (in *Registration) fill(cfg Settings, last *Version, next int) error {
	if strings.TrimSpace(in.Text) == "" {
		if last == nil {
			return refuse(InvalidSchema, "Empty schema")
		}
		in.Text, in.Type, in.References = last.Text, last.Type, last.References
	}
	meta, rules := in.Metadata, in.RuleSet
	if meta == nil && last != nil {
		meta = last.Metadata
	}
	if rules == nil && last != nil {
		rules = last.RuleSet
	}
	meta = mergeMetadata(mergeMetadata(cfg.DefaultMetadata, meta), cfg.OverrideMetadata)
	in.RuleSet = mergeRules(mergeRules(cfg.DefaultRuleSet, rules), cfg.OverrideRuleSet)
	if in.Version != 0 || meta != nil && meta.Properties[versionProperty] != "" {
		m := Metadata{}
		if meta != nil {
			m = *meta
		}
		m.Properties = maps.Clone(m.Properties)
		if m.Properties == nil {
			m.Properties = map[string]string{}
		}
		m.Properties[versionProperty] = strconv.Itoa(next)
		meta = &m
	}
	in.Metadata = meta
	return nil
}

// mergeMetadata: what b says counts before what a says.
func mergeMetadata(a, b *Metadata) *Metadata {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := &Metadata{Tags: map[string][]string{}, Properties: map[string]string{}}
	for _, m := range []*Metadata{a, b} {
		for path, tags := range m.Tags {
			both := append(slices.Clone(out.Tags[path]), tags...)
			slices.Sort(both)
			out.Tags[path] = slices.Compact(both)
		}
		maps.Copy(out.Properties, m.Properties)
		out.Sensitive = append(out.Sensitive, m.Sensitive...)
	}
	slices.Sort(out.Sensitive)
	out.Sensitive = slices.Compact(out.Sensitive)
	return out
}

// mergeRules: a rule of b stands in place of one of a that has its name.
func mergeRules(a, b *RuleSet) *RuleSet {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	merge := func(x, y []Rule) []Rule {
		out := slices.DeleteFunc(slices.Clone(x), func(r Rule) bool {
			return slices.ContainsFunc(y, func(o Rule) bool { return o.Name == r.Name })
		})
		return append(out, y...)
	}
	return &RuleSet{
		MigrationRules: merge(a.MigrationRules, b.MigrationRules), DomainRules: merge(a.DomainRules, b.DomainRules),
		EncodingRules: merge(a.EncodingRules, b.EncodingRules),
	}
}

const rulesMax = 1000

// check refuses rules that no client could carry out.
func (r *RuleSet) check() error {
	if r == nil {
		return nil
	}
	for _, part := range []struct {
		name  string
		rules []Rule
		modes []string
	}{
		{"migrationRules", r.MigrationRules, []string{"UPGRADE", "DOWNGRADE", "UPDOWN"}},
		{"domainRules", r.DomainRules, []string{"WRITE", "READ", "WRITEREAD"}},
		{"encodingRules", r.EncodingRules, []string{"WRITE", "READ", "WRITEREAD"}},
	} {
		if len(part.rules) > rulesMax {
			return refuse(InvalidRuleSet, "%s has more than %d rules", part.name, rulesMax)
		}
		seen := map[string]bool{}
		for _, x := range part.rules {
			switch {
			case x.Name == "":
				return refuse(InvalidRuleSet, "Missing rule name")
			case seen[x.Name]:
				return refuse(InvalidRuleSet, "Found rule with duplicate name '%s'", clip(x.Name))
			case x.Mode != "" && !slices.Contains(part.modes, x.Mode):
				return refuse(InvalidRuleSet, "Found rule '%s' with invalid mode: %s", clip(x.Name), clip(x.Mode))
			case x.Kind != "" && x.Kind != "CONDITION" && x.Kind != "TRANSFORM":
				return refuse(InvalidRuleSet, "Found rule '%s' with invalid kind: %s", clip(x.Name), clip(x.Kind))
			}
			seen[x.Name] = true
		}
	}
	return nil
}
