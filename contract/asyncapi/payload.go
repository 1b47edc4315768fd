package asyncapi

import (
	"encoding/json"
	"fmt"
	"strings"
)

func (m *Message) object() object {
	x := object{"name": m.Type, "title": m.Type}
	if m.Description != "" {
		x["description"] = m.Description
	}
	if m.Contract != "" {
		x["x-contract"] = m.Contract
	}
	if len(m.Owner) > 0 {
		x["x-owner"] = m.Owner
	}
	if m.Subject != "" {
		x["x-schema-subject"], x["x-schema-version"] = m.Subject, m.Version
	}
	if len(m.Tags) > 0 {
		tags := []object{}
		for _, t := range m.Tags {
			tags = append(tags, object{"name": t})
		}
		x["tags"] = tags
	}
	if c := contentTypes[m.Format]; c != "" {
		x["contentType"] = c
	}
	if m.Framed {
		x["bindings"] = object{"kafka": object{"schemaIdLocation": "payload", "schemaIdPayloadEncoding": "confluent", "schemaLookupStrategy": "TopicIdStrategy", "bindingVersion": kafkaBinding}}
	}
	if p, why := m.payload(); p != nil {
		x["payload"] = p
	} else if why != "" {
		x["x-schema-left-out"] = why
	}
	return x
}

var contentTypes = map[string]string{"AVRO": "application/vnd.apache.avro", "JSON": "application/json", "PROTOBUF": "application/x-protobuf"}

// payload is the schema, under the name of its format; nil: why it is not shown.
func (m *Message) payload() (p object, why string) {
	switch {
	case m.Format == "":
		return nil, ""
	case m.References:
		return nil, fmt.Sprintf("it refers to other schemas; see version %d of subject %s in the registry", m.Version, m.Subject)
	case m.Format == "PROTOBUF":
		return object{"schemaFormat": "application/vnd.google.protobuf;version=" + protoVersion(m.Schema), "schema": m.Schema}, ""
	}
	d := json.NewDecoder(strings.NewReader(m.Schema))
	d.UseNumber() // a number stays as it was written
	var tree any
	if d.Decode(&tree) != nil {
		return nil, "it is no JSON"
	}
	if m.Format == "AVRO" {
		if name, ok := tree.(string); ok { // a schema that is a name only
			tree = object{"type": name}
		}
		return object{"schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": tree}, ""
	}
	return object{"schemaFormat": "application/schema+json;version=" + draft(tree), "schema": tree}, ""
}

func protoVersion(text string) string {
	if strings.Contains(text, `"proto3"`) {
		return "3"
	}
	return "2"
}

// draft is which JSON Schema a text says it is; as for Confluent's registry, draft 7 where it says nothing.
func draft(tree any) string {
	o, _ := tree.(map[string]any)
	says, _ := o["$schema"].(string)
	for _, d := range []string{"draft-04", "draft-06", "2019-09", "2020-12"} {
		if strings.Contains(says, d) {
			return "draft-" + strings.TrimPrefix(d, "draft-")
		}
	}
	return "draft-07"
}
