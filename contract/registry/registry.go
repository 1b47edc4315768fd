package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"leat/contract"
	"leat/contract/avro"
	"leat/contract/jsonschema"
	"leat/contract/protobuf"
)

// formats by name.
var formats = map[string]contract.Format{"AVRO": avro.Format{}, "JSON": jsonschema.Format{}, "PROTOBUF": protobuf.Format{}}

// Types are the names of the formats.
func Types() []string { return []string{"JSON", "PROTOBUF", "AVRO"} }

// VersionsMax bounds the versions of one registry.
const VersionsMax = 1_000_000

// Change is what a decision wants recorded: all of it or nothing.
type Change struct {
	Put    []Document
	Delete []string
}

// Document is a name and what is kept under it.
type Document struct {
	Name string
	Body []byte
}

func (c *Change) put(name string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("contract/registry: a document of plain values cannot be written: " + err.Error())
	}
	c.Put = append(c.Put, Document{name, b})
}

// Empty reports whether there is nothing to record.
func (c *Change) Empty() bool { return len(c.Put)+len(c.Delete) == 0 }

// Names of documents: a letter for the kind, a colon, and what it is about.
//
//	v:orders-value:3         version 3 of a subject       Version
//	c:orders-value           settings of a subject; c: those of all, c::.ctx: those of a context   Settings
//	m:orders-value           mode likewise                modeDocument
//	i:.                      highest id of a context      highDocument
//	b:name                   a binding                    Binding
//	r:service:type           what a consumer reads        Reads; both escaped as in a query
const (
	kindVersion = "v:"
	kindConfig  = "c:"
	kindMode    = "m:"
	kindHigh    = "i:"
	kindBinding = "b:"
)

// BindingPrefix begins the names of documents that are bindings.
const BindingPrefix = kindBinding

func versionName(subject string, version int) string {
	return fmt.Sprintf("%s%s:%d", kindVersion, subject, version)
}

type highDocument struct {
	ID int `json:"id"`
}

type modeDocument struct {
	Mode Mode `json:"mode"`
}

// Registry is the index of one namespace. Its methods may be called by many; those that decide are to be called by one at a time, who records the
// change before the next.
type Registry struct {
	*index
	staged *staged // nil: this is no view of what is being decided
}

type index struct {
	mu        sync.RWMutex
	subjects  map[string][]*entry // by version, ascending
	count     int
	contexts  map[string]*contextIndex
	guids     map[[16]byte]*entry          // of contents: the newest of those that have one
	refs      map[target]map[string]*entry // what refers to a version, by the name of its document
	configs   map[string]*Settings
	modes     map[string]Mode
	bindings  map[string]*Binding
	enforced  int               // of them, those that are not off
	reads     map[string]*Reads // by the name of the document
	parsed    parsedCache
	seen      shownCache
	revision  atomic.Uint64 // of the index: what was derived from it is good while it is the same
	documents func(name string) ([]byte, error)
}

// contextIndex are the ids of one context. A context stays when its ids are gone: the highest one is never given again.
type contextIndex struct {
	ids  map[int]*entry // the newest of those that have one
	high int
}

type idKey struct {
	context string
	id      int
}

type contentKey struct {
	context string
	hash    [32]byte
}

type target struct {
	subject string
	version int
}

// New is an empty registry, which keeps the documents that it takes. They must not change any more.
func New() *Registry { return NewOver(nil) }

// NewOver is an empty registry that keeps no versions' documents, but asks for one when it needs what is in it; nil is one that is gone. documents is
// called by many.
func NewOver(documents func(name string) ([]byte, error)) *Registry {
	r := &Registry{index: &index{
		subjects: map[string][]*entry{}, contexts: map[string]*contextIndex{}, guids: map[[16]byte]*entry{}, refs: map[target]map[string]*entry{},
		configs: map[string]*Settings{}, modes: map[string]Mode{}, bindings: map[string]*Binding{}, reads: map[string]*Reads{}, documents: documents,
	}}
	r.parsed.init()
	return r
}

// Take folds a document in: one that is new, or in place of the one of that name.
func (r *Registry) Take(name string, body []byte) error {
	var e *entry
	if strings.HasPrefix(name, kindVersion) {
		var err error
		if e, err = readEntry(name, body, r.documents == nil); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.revision.Add(1) // when the change is there: what is derived from it is not older than it says
	kind, about := name[:min(2, len(name))], name[min(2, len(name)):]
	switch kind {
	case kindVersion:
		r.drop(name)
		r.add(name, e)
		return nil
	case kindConfig:
		c := &Settings{}
		err := json.Unmarshal(body, c)
		r.configs[about] = c
		return err
	case kindMode:
		var m modeDocument
		err := json.Unmarshal(body, &m)
		r.modes[about] = m.Mode
		return err
	case kindHigh:
		var h highDocument
		err := json.Unmarshal(body, &h)
		c := r.context(about)
		c.high = max(c.high, h.ID)
		return err
	case kindBinding:
		b := &Binding{}
		if err := json.Unmarshal(body, b); err != nil {
			return err
		}
		r.bind(about, b)
		return nil
	case kindReads:
		d := &Reads{}
		if err := json.Unmarshal(body, d); err != nil {
			return err
		}
		r.reads[name] = d
		return nil
	}
	return fmt.Errorf("a document %q of a kind that is not known", name)
}

// Drop folds in that a document is gone.
func (r *Registry) Drop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.revision.Add(1) // when the change is there: what is derived from it is not older than it says
	kind, about := name[:min(2, len(name))], name[min(2, len(name)):]
	switch kind {
	case kindVersion:
		r.drop(name)
	case kindConfig:
		delete(r.configs, about)
	case kindMode:
		delete(r.modes, about)
	case kindBinding:
		r.bind(about, nil)
	case kindReads:
		delete(r.reads, name)
	}
}

func (r *Registry) context(name string) *contextIndex {
	c := r.contexts[name]
	if c == nil {
		c = &contextIndex{ids: map[int]*entry{}}
		r.contexts[strings.Clone(name)] = c
	}
	return c
}

func (r *Registry) add(name string, e *entry) {
	all := r.subjects[e.subject]
	at, _ := slices.BinarySearchFunc(all, e.version, func(x *entry, n int) int { return x.version - n })
	r.subjects[e.subject] = slices.Insert(slices.Clip(slices.Clone(all)), at, e) // readers may hold the old one
	r.count++
	context, _ := Split(e.subject)
	c := r.context(context)
	e.sameID, c.ids[e.id] = c.ids[e.id], e
	e.sameContent, r.guids[e.guid()] = r.guids[e.guid()], e
	c.high = max(c.high, e.id)
	for _, t := range e.refs {
		if r.refs[t] == nil {
			r.refs[t] = map[string]*entry{}
		}
		r.refs[t][name] = e
	}
}

func (r *Registry) drop(name string) {
	i := strings.LastIndexByte(name, ':')
	subject := name[len(kindVersion):max(i, len(kindVersion))]
	all := r.subjects[subject]
	at := slices.IndexFunc(all, func(e *entry) bool { return e.name() == name })
	if at < 0 {
		return
	}
	e := all[at]
	r.count--
	if all = slices.Delete(slices.Clone(all), at, at+1); len(all) == 0 {
		delete(r.subjects, subject)
	} else {
		r.subjects[subject] = all
	}
	context, _ := Split(subject)
	c := r.context(context)
	if rest := without(c.ids[e.id], e, func(x *entry) **entry { return &x.sameID }); rest != nil {
		c.ids[e.id] = rest
	} else {
		delete(c.ids, e.id)
	}
	if rest := without(r.guids[e.guid()], e, func(x *entry) **entry { return &x.sameContent }); rest != nil {
		r.guids[e.guid()] = rest
	} else {
		delete(r.guids, e.guid())
	}
	for _, t := range e.refs {
		delete(r.refs[t], name)
		if len(r.refs[t]) == 0 {
			delete(r.refs, t)
		}
	}
}

// without is a chain that e is no longer in.
func without(first, e *entry, next func(*entry) **entry) *entry {
	for at := &first; *at != nil; at = next(*at) {
		if *at == e {
			*at = *next(e)
			break
		}
	}
	return first
}

// idOf is the id that a content has in a context. The lock is held.
func (r *Registry) idOf(context string, hash [32]byte) (int, bool) {
	for e := r.guids[[16]byte(hash[:16])]; e != nil; e = e.sameContent {
		if c, _ := Split(e.subject); c == context && e.hash == hash {
			return e.id, true
		}
	}
	return 0, false
}

// Revision changes with every document that is taken or dropped.
func (r *Registry) Revision() uint64 {
	return r.revision.Load()
}
