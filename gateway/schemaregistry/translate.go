package schemaregistry

import (
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"leat/contract"
	"leat/contract/registry"
)

// schemaRequest is what clients send of a schema: to register, to look up, to compare. Members that only newer servers know are taken and left
// alone where they ask for nothing.
type schemaRequest struct {
	Subject    string               `json:"subject"`
	Version    int                  `json:"version"`
	ID         int                  `json:"id"`
	GUID       string               `json:"guid"`
	Type       string               `json:"schemaType"`
	References []registry.Reference `json:"references"`
	Metadata   *registry.Metadata   `json:"metadata"`
	RuleSet    *registry.RuleSet    `json:"ruleSet"`
	Schema     string               `json:"schema"`

	SchemaTagsToAdd     json.RawMessage `json:"schemaTagsToAdd"`
	SchemaTagsToRemove  json.RawMessage `json:"schemaTagsToRemove"`
	PropagateSchemaTags json.RawMessage `json:"propagateSchemaTags"`
	TS                  json.RawMessage `json:"ts"`
	Deleted             json.RawMessage `json:"deleted"`
	Compatibility       json.RawMessage `json:"compatibility"` // old clients send it, and it never meant anything
}

func (s *schemaRequest) content() registry.Content {
	return registry.Content{Type: s.Type, Text: s.Schema, References: s.References, Metadata: s.Metadata, RuleSet: s.RuleSet}
}

// told is a version as it is answered. AVRO is not said.
type told struct {
	Subject    string               `json:"subject,omitempty"`
	Version    int                  `json:"version,omitempty"`
	ID         int                  `json:"id,omitempty"`
	MaxID      int                  `json:"maxId,omitempty"`
	GUID       string               `json:"guid,omitempty"`
	Type       string               `json:"schemaType,omitempty"`
	References []registry.Reference `json:"references,omitempty"`
	Metadata   *registry.Metadata   `json:"metadata,omitempty"`
	RuleSet    *registry.RuleSet    `json:"ruleSet,omitempty"`
	Schema     string               `json:"schema,omitempty"`
	TS         int64                `json:"ts,omitempty"`
	Deleted    bool                 `json:"deleted,omitempty"`
}

func tell(v *registry.Version) *told {
	t := &told{
		Subject: v.Subject, Version: v.Version, ID: v.ID, GUID: v.GUID(), Type: v.Type, References: v.References, Metadata: v.Metadata, RuleSet: v.RuleSet,
		Schema: v.Text, TS: v.TimeMS, Deleted: v.Deleted,
	}
	if t.Type == "AVRO" {
		t.Type = ""
	}
	return t
}

// show writes what tell would, for most versions without taking them apart. false: that is for tell. id: by id, which neither says it again nor when.
func (x *call) show(s registry.Shown, ok, id bool) (written, bool) {
	if !ok || x.query.Get("format") == "serialized" || x.is("fetchMaxId") {
		return nil, false
	}
	b := append(make([]byte, 0, len(s.Quoted)+len(s.Subject)+256), `{"subject":`...)
	b, err := jsontext.AppendQuote(b, s.Subject)
	if err != nil {
		return nil, false
	}
	b = strconv.AppendInt(append(b, `,"version":`...), int64(s.Version), 10)
	if !id {
		b = strconv.AppendInt(append(b, `,"id":`...), int64(s.ID), 10)
	}
	b = append(append(append(b, `,"guid":"`...), s.GUID...), '"')
	if s.Type != "AVRO" {
		b = append(append(append(b, `,"schemaType":"`...), s.Type...), '"')
	}
	b = append(append(b, `,"schema":`...), s.Quoted...)
	if !id && s.TimeMS != 0 {
		b = strconv.AppendInt(append(b, `,"ts":`...), s.TimeMS, 10)
	}
	if !id && s.Deleted {
		b = append(b, `,"deleted":true`...)
	}
	return append(b, '}'), true
}

// format writes the text in the form that is asked for; forms that are not known are passed over, as Confluent's registry does.
func (x *call) format(t *told, v *registry.Version) error {
	if x.query.Get("format") != "serialized" {
		return nil
	}
	s, err := x.registry().Parse(v)
	if err != nil {
		return err
	}
	if p, ok := s.(interface{ Serialized() string }); ok {
		t.Schema = p.Serialized()
	}
	return nil
}

// settingsRequest are settings as they are put.
type settingsRequest struct {
	registry.Settings
	Compatibility      contract.Level `json:"compatibility,omitempty"`
	CompatibilityLevel contract.Level `json:"compatibilityLevel,omitempty"`
}

// compatibility is what a comparison is answered with.
type compatibility struct {
	Compatible bool     `json:"is_compatible"`
	Messages   []string `json:"messages,omitempty"`
}
