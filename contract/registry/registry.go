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
	mu       sync.RWMutex
	subjects map[string][]*Version // by version, ascending
	count    int
	ids      map[idKey][]*Version
	contents map[contentKey]int
	guids    map[string][]*Version
	refs     map[target]map[string]*Version // what refers to a version, by the name of its document
	high     map[string]int                 // of a context
	configs  map[string]*Settings
	modes    map[string]Mode
	bindings map[string]*Binding
	parsed   parsedCache
	revision atomic.Uint64 // of the index: what was derived from it is good while it is the same
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

// New is an empty registry.
func New() *Registry {
	r := &Registry{index: &index{
		subjects: map[string][]*Version{}, ids: map[idKey][]*Version{}, contents: map[contentKey]int{}, guids: map[string][]*Version{},
		refs: map[target]map[string]*Version{}, high: map[string]int{}, configs: map[string]*Settings{}, modes: map[string]Mode{}, bindings: map[string]*Binding{},
	}}
	r.parsed.init()
	return r
}

// Take folds a document in: one that is new, or in place of the one of that name.
func (r *Registry) Take(name string, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.revision.Add(1) // when the change is there: what is derived from it is not older than it says
	kind, about := name[:min(2, len(name))], name[min(2, len(name)):]
	switch kind {
	case kindVersion:
		v := &Version{}
		if err := json.Unmarshal(body, v); err != nil {
			return err
		}
		v.hash = v.sum()
		r.drop(name)
		r.add(name, v)
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
		r.high[about] = max(r.high[about], h.ID)
		return err
	case kindBinding:
		b := &Binding{}
		if err := json.Unmarshal(body, b); err != nil {
			return err
		}
		r.bindings[about] = b
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
		delete(r.bindings, about)
	}
}

func (r *Registry) add(name string, v *Version) {
	all := r.subjects[v.Subject]
	at, _ := slices.BinarySearchFunc(all, v.Version, func(x *Version, n int) int { return x.Version - n })
	r.subjects[v.Subject] = slices.Insert(slices.Clone(all), at, v) // readers may hold the old one
	r.count++
	context, _ := Split(v.Subject)
	k := idKey{context, v.ID}
	r.ids[k] = append(slices.Clone(r.ids[k]), v)
	r.contents[contentKey{context, v.hash}] = v.ID
	r.guids[v.GUID()] = append(slices.Clone(r.guids[v.GUID()]), v)
	r.high[context] = max(r.high[context], v.ID)
	for _, ref := range v.References {
		t := target{within(v.Subject, ref.Subject), ref.Version}
		if r.refs[t] == nil {
			r.refs[t] = map[string]*Version{}
		}
		r.refs[t][name] = v
	}
}

func (r *Registry) drop(name string) {
	i := strings.LastIndexByte(name, ':')
	subject := name[len(kindVersion):i]
	all := r.subjects[subject]
	at := slices.IndexFunc(all, func(v *Version) bool { return versionName(v.Subject, v.Version) == name })
	if at < 0 {
		return
	}
	v := all[at]
	r.count--
	if all = slices.Delete(slices.Clone(all), at, at+1); len(all) == 0 {
		delete(r.subjects, subject)
	} else {
		r.subjects[subject] = all
	}
	context, _ := Split(subject)
	without := func(all []*Version) []*Version {
		return slices.DeleteFunc(slices.Clone(all), func(x *Version) bool { return x == v })
	}
	k := idKey{context, v.ID}
	if rest := without(r.ids[k]); len(rest) > 0 {
		r.ids[k] = rest
	} else {
		delete(r.ids, k)
		delete(r.contents, contentKey{context, v.hash})
	}
	if rest := without(r.guids[v.GUID()]); len(rest) > 0 {
		r.guids[v.GUID()] = rest
	} else {
		delete(r.guids, v.GUID())
	}
	for _, ref := range v.References {
		t := target{within(v.Subject, ref.Subject), ref.Version}
		delete(r.refs[t], name)
		if len(r.refs[t]) == 0 {
			delete(r.refs, t)
		}
	}
}

// Revision changes with every document that is taken or dropped.
func (r *Registry) Revision() uint64 {
	return r.revision.Load()
}
