package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
)

// entry is what the index keeps of a version. What is in it is read from its document when somebody asks, so that a hundred thousand schemas are in
// memory once, as the documents they are recorded in, or not at all.
type entry struct {
	subject     string
	version, id int
	deleted     bool
	rich        bool // it has metadata or rules
	refs        []target
	hash        [32]byte
	body        []byte // nil: the registry asks for it
	sameID      *entry // the next of its context with the same id
	sameContent *entry // the next with the same content, in all contexts
	shown       atomic.Pointer[Shown]
}

// Place is where a schema is.
type Place struct {
	Subject     string
	Version, ID int
	Deleted     bool
}

func (e *entry) place() Place { return Place{e.subject, e.version, e.id, e.deleted} }

func (e *entry) name() string { return versionName(e.subject, e.version) }

func (e *entry) guid() [16]byte { return [16]byte(e.hash[:16]) }

// whole is the version as it is recorded; nil where it has gone meanwhile.
func (r *Registry) whole(e *entry) *Version {
	if e == nil {
		return nil
	}
	body := e.body
	if body == nil {
		var err error
		if body, err = r.documents(e.name()); err != nil || body == nil {
			return nil
		}
	}
	v := readVersion(body)
	if v == nil {
		return nil
	}
	if v.Subject == e.subject {
		v.Subject = e.subject
	}
	v.hash = e.hash
	return v
}

func (r *Registry) wholes(all []*entry) []*Version {
	out := make([]*Version, 0, len(all))
	for _, e := range all {
		if v := r.whole(e); v != nil {
			out = append(out, v)
		}
	}
	return out
}

// A version's document is what json makes of a Version, whose members come in one order:
//
//	{"subject":"s","version":1,"id":5,"deleted":true,"ts":7,"schemaType":"AVRO","schema":"…","references":[…],"metadata":{…},"ruleSet":{…}}
//	                                                        └──────────── its Content, but for the { ─────────────────────────────────┘
//
// Most end behind the schema. Reading them needs no more than the places of their members; any other text is left to json.
type document struct {
	subject     []byte
	version, id int
	deleted     bool
	timeMS      int
	kind        []byte
	text        []byte // quoted
	content     []byte // from "schemaType" to the end
	plain       bool   // nothing follows the schema
}

func readDocument(body []byte) (d document, ok bool) {
	c := cutter{body, true}
	c.word(`{"subject":`)
	d.subject = c.quoted(false)
	c.word(`,"version":`)
	d.version = c.number()
	c.word(`,"id":`)
	d.id = c.number()
	if d.deleted = c.ok && bytes.HasPrefix(c.rest, []byte(`,"deleted":true`)); d.deleted {
		c.word(`,"deleted":true`)
	}
	if c.ok && bytes.HasPrefix(c.rest, []byte(`,"ts":`)) {
		c.word(`,"ts":`)
		d.timeMS = c.number()
	}
	c.word(`,`)
	d.content = c.rest
	c.word(`"schemaType":`)
	d.kind = c.quoted(false)
	c.word(`,"schema":`)
	d.text = c.quoted(true)
	d.plain = c.ok && string(c.rest) == "}"
	return d, c.ok
}

type cutter struct {
	rest []byte
	ok   bool
}

func (c *cutter) word(w string) {
	if c.ok = c.ok && len(c.rest) >= len(w) && string(c.rest[:len(w)]) == w; c.ok {
		c.rest = c.rest[len(w):]
	}
}

// quoted cuts a string with its quotes, or what is between them where no escape may be in it.
func (c *cutter) quoted(escapes bool) (out []byte) {
	if c.ok = c.ok && len(c.rest) > 0 && c.rest[0] == '"'; !c.ok {
		return nil
	}
	for i := 1; i < len(c.rest); i++ {
		switch c.rest[i] {
		case '"':
			out, c.rest = c.rest[:i+1], c.rest[i+1:]
			if !escapes {
				out = out[1:i]
			}
			return out
		case '\\':
			if i++; !escapes {
				c.ok = false
				return nil
			}
		}
	}
	c.ok = false
	return nil
}

func (c *cutter) number() int {
	i := 0
	for i < len(c.rest) && (c.rest[i] >= '0' && c.rest[i] <= '9' || i == 0 && c.rest[i] == '-') {
		i++
	}
	n, err := strconv.Atoi(string(c.rest[:i]))
	c.rest, c.ok = c.rest[i:], c.ok && err == nil
	return n
}

// readVersion is a version without its hash; nil: the document is none.
func readVersion(body []byte) *Version {
	if d, ok := readDocument(body); ok && d.plain {
		if text, err := jsontext.AppendUnquote(nil, d.text); err == nil {
			return &Version{Subject: string(d.subject), Version: d.version, ID: d.id, Deleted: d.deleted, TimeMS: int64(d.timeMS), Content: Content{Type: formatName(d.kind), Text: string(text)}}
		}
	}
	v := &Version{}
	if json.Unmarshal(body, v) != nil {
		return nil
	}
	return v
}

// formatName shares the names that there are.
func formatName(b []byte) string {
	switch string(b) {
	case "AVRO":
		return "AVRO"
	case "JSON":
		return "JSON"
	case "PROTOBUF":
		return "PROTOBUF"
	}
	return string(b)
}

// readEntry is the entry of a document. It keeps no part of body but body, if keep is asked for.
func readEntry(name string, body []byte, keep bool) (*entry, error) {
	e := &entry{}
	d, ok := readDocument(body)
	if ok {
		e.subject, e.version, e.id, e.deleted = string(d.subject), d.version, d.id, d.deleted
		sum := sha256.New()
		sum.Write([]byte{'{'})
		sum.Write(d.content)
		sum.Sum(e.hash[:0])
	}
	if !ok || !d.plain {
		v := &Version{}
		if err := json.Unmarshal(body, v); err != nil {
			return nil, err
		}
		e.subject, e.version, e.id, e.deleted, e.hash, e.rich = v.Subject, v.Version, v.ID, v.Deleted, v.sum(), v.Metadata != nil || v.RuleSet != nil
		for _, ref := range v.References {
			e.refs = append(e.refs, target{within(v.Subject, ref.Subject), ref.Version})
		}
	}
	if i := strings.LastIndexByte(name, ':'); name[len(kindVersion):max(i, len(kindVersion))] == e.subject {
		e.subject = name[len(kindVersion):i] // who keeps the name keeps it once
	}
	if keep {
		e.body = body
	}
	return e, nil
}
