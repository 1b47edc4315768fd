package registry

import (
	"strings"

	"leat/contract"
)

// Settings are what holds for a subject, a context or all. What is not set is taken from the next wider.
type Settings struct {
	Alias               string         `json:"alias,omitempty"`
	Normalize           *bool          `json:"normalize,omitempty"`
	ValidateFields      *bool          `json:"validateFields,omitempty"`
	ValidateRules       *bool          `json:"validateRules,omitempty"`
	Level               contract.Level `json:"compatibilityLevel,omitempty"`
	CompatibilityPolicy string         `json:"compatibilityPolicy,omitempty"`
	CompatibilityGroup  string         `json:"compatibilityGroup,omitempty"`
	DefaultMetadata     *Metadata      `json:"defaultMetadata,omitempty"`
	OverrideMetadata    *Metadata      `json:"overrideMetadata,omitempty"`
	DefaultRuleSet      *RuleSet       `json:"defaultRuleSet,omitempty"`
	OverrideRuleSet     *RuleSet       `json:"overrideRuleSet,omitempty"`
}

// DefaultLevel holds where nothing is set.
const DefaultLevel = contract.Backward

func (s *Settings) level() contract.Level {
	if s.Level == "" {
		return DefaultLevel
	}
	return s.Level
}

// Normalized reports whether texts are normalized.
func (s Settings) Normalized() bool { return s.Normalize != nil && *s.Normalize }

func (r *Registry) config(scope string) *Settings {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.configs[scope]
}

// Config are the settings of a subject or context themselves; "" is all.
func (r *Registry) Config(scope string) (Settings, error) {
	c := r.config(scope)
	switch {
	case c != nil:
		return *c, nil
	case scope == "":
		return Settings{Level: DefaultLevel}, nil
	}
	return Settings{}, refuse(ConfigNotSet, "Subject '%s' does not have subject-level compatibility configured", scope)
}

// scopes are a subject and what is wider, from the narrowest on.
func scopes(subject string) []string {
	context, name := Split(subject)
	var out []string
	if name != "" {
		out = append(out, subject)
	}
	if context != DefaultContext {
		out = append(out, ":"+context+":")
	} else {
		out = append(out, "")
	}
	return append(out, GlobalContext)
}

// InScope are the settings that count for a subject.
func (r *Registry) InScope(subject string) Settings {
	out := Settings{}
	all := scopes(subject)
	for i := len(all) - 1; i >= 0; i-- {
		if c := r.config(all[i]); c != nil {
			out = out.with(*c)
		}
	}
	out.Level = out.level()
	return out
}

// with is s, where o says nothing else.
func (s Settings) with(o Settings) Settings {
	set := func(to **bool, v *bool) {
		if v != nil {
			*to = v
		}
	}
	text := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	s.Alias = o.Alias
	set(&s.Normalize, o.Normalize)
	set(&s.ValidateFields, o.ValidateFields)
	set(&s.ValidateRules, o.ValidateRules)
	if o.Level != "" {
		s.Level = o.Level
	}
	text(&s.CompatibilityPolicy, o.CompatibilityPolicy)
	text(&s.CompatibilityGroup, o.CompatibilityGroup)
	s.DefaultMetadata = mergeMetadata(s.DefaultMetadata, o.DefaultMetadata)
	s.OverrideMetadata = mergeMetadata(s.OverrideMetadata, o.OverrideMetadata)
	s.DefaultRuleSet = mergeRules(s.DefaultRuleSet, o.DefaultRuleSet)
	s.OverrideRuleSet = mergeRules(s.OverrideRuleSet, o.OverrideRuleSet)
	return s
}

// SetConfig changes settings: what o says is set, the rest stays.
func (r *Registry) SetConfig(scope string, o Settings) (Settings, Change, error) {
	if scope != "" {
		if err := checkSubject(scope, true); err != nil {
			return Settings{}, Change{}, err
		}
	}
	o.Level = contract.Level(strings.ToUpper(string(o.Level)))
	if o.Level != "" && !o.Level.Valid() {
		return Settings{}, Change{}, refuse(InvalidLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
	}
	if p := contract.Policy(o.CompatibilityPolicy); p != "" && p != contract.Strict && p != contract.Lenient {
		return Settings{}, Change{}, refuse(InvalidLevel, "Invalid compatibility policy %q: STRICT and LENIENT are known here", clip(o.CompatibilityPolicy))
	}
	for _, rules := range []*RuleSet{o.DefaultRuleSet, o.OverrideRuleSet} {
		if err := rules.check(); err != nil {
			return Settings{}, Change{}, err
		}
	}
	if m := r.ModeInScope(scope); m == ReadOnly || m == ReadOnlyOverride {
		return Settings{}, Change{}, refuse(OperationNotPermitted, "Subject %s is in read-only mode", scope)
	}
	was := Settings{}
	if c := r.config(scope); c != nil {
		was = *c
	}
	alias := was.Alias
	next := was.with(o)
	if next.Alias == "" {
		next.Alias = alias
	}
	// Metadata and rules are set, not merged into what was there.
	next.DefaultMetadata, next.OverrideMetadata = or(o.DefaultMetadata, was.DefaultMetadata), or(o.OverrideMetadata, was.OverrideMetadata)
	next.DefaultRuleSet, next.OverrideRuleSet = or(o.DefaultRuleSet, was.DefaultRuleSet), or(o.OverrideRuleSet, was.OverrideRuleSet)
	if scope == "" {
		next.Level = next.level()
	}
	var c Change
	c.put(kindConfig+scope, next)
	return next, c, nil
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// DeleteConfig takes settings away, and says what they were.
func (r *Registry) DeleteConfig(scope string) (Settings, Change, error) {
	c := r.config(scope)
	switch {
	case c != nil:
		return *c, Change{Delete: []string{kindConfig + scope}}, nil
	case scope == "":
		return Settings{Level: DefaultLevel}, Change{}, nil
	}
	return Settings{}, Change{}, subjectNotFound(scope)
}
