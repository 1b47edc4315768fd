package registry

import (
	"fmt"
	"strings"

	"leat/contract"
)

const oldTextMax = 5000 // bytes of an older schema that a refusal shows

// follows says what keeps v from following those before it, as lines; nothing: it may.
func (r *Registry) follows(cfg Settings, v *Version, s contract.Schema, before []*Version) (lines []string) {
	level := cfg.level()
	if cfg.ValidateFields != nil && *cfg.ValidateFields {
		lines = reserved(v, s, before)
	}
	group := cfg.CompatibilityGroup
	var past []contract.Past
	texts := map[int]string{}
	for _, x := range before {
		if group != "" && x.property(group) != v.property(group) {
			continue
		}
		old, err := r.Parse(x)
		if err != nil {
			return append(lines, fmt.Sprintf("version %d cannot be read any more: %s", x.Version, err))
		}
		past = append(past, contract.Past{Version: x.Version, Schema: old, Format: x.Type})
		texts[x.Version] = x.Text
	}
	if b := contract.Check(level, v.Type, s, past, contract.Policy(cfg.CompatibilityPolicy)); b != nil {
		for i := range b.Differences {
			lines = append(lines, b.Differences[i].Message())
		}
		lines = append(lines, fmt.Sprintf("{oldSchemaVersion: %d}", b.Old.Version))
		if text := texts[b.Old.Version]; len(text) <= oldTextMax {
			lines = append(lines, "{oldSchema: '"+text+"'}")
		} else {
			lines = append(lines, "{oldSchema: <truncated> '"+strings.ToValidUTF8(text[:oldTextMax], "")+"...'}")
		}
	}
	if len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("{validateFields: '%t', compatibility: '%s'}", cfg.ValidateFields != nil && *cfg.ValidateFields, level))
	}
	return lines
}

func (v *Version) property(name string) string {
	if v.Metadata == nil {
		return ""
	}
	return v.Metadata.Properties[name]
}

const reservedProperty = "confluent:reserved"

// reserved compares the names that a schema keeps for later with what is there, and with those of before.
func reserved(v *Version, s contract.Schema, before []*Version) (lines []string) {
	split := func(v *Version) map[string]bool {
		out := map[string]bool{}
		for f := range strings.SplitSeq(v.property(reservedProperty), ",") {
			if f = strings.TrimSpace(f); f != "" {
				out[f] = true
			}
		}
		return out
	}
	now := split(v)
	if len(before) > 0 {
		for f := range split(before[len(before)-1]) {
			if !now[f] {
				lines = append(lines, fmt.Sprintf("{errorType:'RESERVED_FIELD_REMOVED', description:'The new schema has reserved field %s removed from its metadata which is present in the old schema's metadata.'}", f))
			}
		}
	}
	for _, f := range s.Fields() {
		if now[f.Path] {
			lines = append(lines, fmt.Sprintf("{errorType:'FIELD_CONFLICTS_WITH_RESERVED_FIELD', description:'The new schema has field that conflicts with the reserved field %s.'}", f.Path))
		}
	}
	return lines
}

// Compatible says what keeps a content from following a version of a subject, 0 for all that its settings ask for. A text that is none is an error.
func (r *Registry) Compatible(subject string, in *Content, version int, normalize bool) (lines []string, err error) {
	var before []*Version
	if version == 0 {
		before, _ = r.Versions(subject, Live)
	} else if v := r.whole(r.version(subject, version, false)); v != nil {
		before = []*Version{v}
	} else if version != Latest {
		return nil, versionNotFound(version)
	}
	cfg := r.InScope(subject)
	c, s, err := r.canonical(subject, in, normalize || cfg.Normalized(), true)
	if err != nil {
		return nil, err
	}
	return r.follows(cfg, &Version{Subject: subject, Content: *c}, s, before), nil
}
