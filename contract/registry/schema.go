package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"

	"leat/contract"
)

// Latest, as a version, is the newest that is not deleted.
const Latest = -1

// Reference is a subject and version that a schema refers to, by a name of its own.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Metadata is what a schema says of itself.
type Metadata struct {
	Tags       map[string][]string `json:"tags,omitempty"`
	Properties map[string]string   `json:"properties,omitempty"`
	Sensitive  []string            `json:"sensitive,omitempty"`
}

// RuleSet are rules that clients carry out. They are kept as they came; only their names are looked at.
type RuleSet struct {
	MigrationRules []Rule `json:"migrationRules,omitempty"`
	DomainRules    []Rule `json:"domainRules,omitempty"`
	EncodingRules  []Rule `json:"encodingRules,omitempty"`
	EnableAt       string `json:"enableAt,omitempty"`
}

// Rule is one of them.
type Rule struct {
	Name      string            `json:"name,omitempty"`
	Doc       string            `json:"doc,omitempty"`
	Kind      string            `json:"kind,omitempty"`
	Mode      string            `json:"mode,omitempty"`
	Type      string            `json:"type,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Expr      string            `json:"expr,omitempty"`
	OnSuccess string            `json:"onSuccess,omitempty"`
	OnFailure string            `json:"onFailure,omitempty"`
	Disabled  bool              `json:"disabled"`
}

// Content is what makes two schemas the same.
type Content struct {
	Type       string      `json:"schemaType"` // AVRO, JSON, PROTOBUF
	Text       string      `json:"schema"`
	References []Reference `json:"references,omitempty"`
	Metadata   *Metadata   `json:"metadata,omitempty"`
	RuleSet    *RuleSet    `json:"ruleSet,omitempty"`
}

// Version is one schema of a subject. It is replaced, never changed.
type Version struct {
	Subject string `json:"subject"` // with its context
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Deleted bool   `json:"deleted,omitempty"`
	TimeMS  int64  `json:"ts,omitempty"`
	Content

	hash [32]byte
}

// GUID is the name of the content that is the same everywhere.
func (v *Version) GUID() string { return contract.FormatGUID([16]byte(v.hash[:16])) }

func (c *Content) sum() [32]byte {
	// Struct members have one order and json sorts maps: one content has one text.
	b, err := json.Marshal(c)
	if err != nil {
		panic("contract/registry: a content of strings cannot be written: " + err.Error())
	}
	return sha256.Sum256(b)
}

// versionProperty is kept by the registry itself in schemas that have it: no difference in it makes two schemas different ones to look for.
const versionProperty = "confluent:version"

// looksLike reports whether a search for c finds v: all is the same, but for what the registry adds.
func (c *Content) looksLike(v *Content) bool {
	return c.Type == v.Type && c.Text == v.Text && slices.Equal(c.References, v.References) && c.Metadata.plain().equal(v.Metadata.plain()) && sameRules(c.RuleSet, v.RuleSet)
}

func (m *Metadata) plain() *Metadata {
	if m == nil || m.Properties[versionProperty] == "" {
		return m
	}
	out := *m
	out.Properties = maps.Clone(m.Properties)
	delete(out.Properties, versionProperty)
	return &out
}

func (m *Metadata) empty() bool {
	return m == nil || len(m.Tags)+len(m.Properties)+len(m.Sensitive) == 0
}

func (m *Metadata) equal(o *Metadata) bool {
	if m.empty() || o.empty() {
		return m.empty() == o.empty()
	}
	return maps.Equal(m.Properties, o.Properties) && slices.Equal(m.Sensitive, o.Sensitive) && maps.EqualFunc(m.Tags, o.Tags, slices.Equal)
}

func (r *RuleSet) empty() bool {
	return r == nil || len(r.MigrationRules)+len(r.DomainRules)+len(r.EncodingRules) == 0
}

func sameRules(a, b *RuleSet) bool {
	if a.empty() || b.empty() {
		return a.empty() == b.empty()
	}
	x, _ := json.Marshal(a) // strings and maps of strings
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}
