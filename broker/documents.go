package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// Documents are named things that a gateway owns: the broker keeps them, decides who may change them and tells of it in the system stream; what
// they mean only their gateway knows. Each has a part that may be told and a part that is told to nobody.

// Document is one of them. It is replaced, never changed.
type Document struct {
	Kind      Kind
	Namespace string
	Name      string
	Revision  uint64
	// By is who put it last, "" while there were no users. What a document makes its gateway do, the gateway does as this principal: nobody
	// gets by way of a document what grants do not give.
	By      string
	Created time.Time
	Changed time.Time
	Told    json.RawMessage // an object
	Secret  []byte          // kept as it is; the gateway shows it to nobody
}

// DocumentsMax is how many documents of one kind a node keeps.
const DocumentsMax = 1000

// documentKinds are the kinds that have documents, and what the catalog calls them.
var documentKinds = map[Kind]catalog.Kind{KindHook: catalog.Hook, KindLink: catalog.Link, KindAllotment: catalog.Allotment}

// documentBody is what the catalog holds of a Document.
type documentBody struct {
	CreatedMS int64           `json:"created_ms"`
	ChangedMS int64           `json:"changed_ms"`
	By        string          `json:"by,omitempty"`
	Told      json.RawMessage `json:"told"`
	Secret    []byte          `json:"secret,omitempty"`
}

// documents is the index by name, kept in step with what is published.
type documents struct {
	mu     sync.RWMutex
	byName map[catalog.Name]*Document
	counts map[catalog.Kind]int
}

func (x *documents) init() {
	x.byName, x.counts = map[catalog.Name]*Document{}, map[catalog.Kind]int{}
}

func (x *documents) take(k Kind, e *catalog.Entry) error {
	var d documentBody
	if err := json.Unmarshal(e.Document, &d); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byName[e.Name] == nil {
		x.counts[e.Name.Kind]++
	}
	x.byName[e.Name] = &Document{
		Kind: k, Namespace: e.Name.Namespace, Name: e.Name.Name, Revision: e.Revision, By: d.By,
		Created: time.UnixMilli(d.CreatedMS), Changed: time.UnixMilli(d.ChangedMS), Told: d.Told, Secret: d.Secret,
	}
	return nil
}

func (x *documents) drop(n catalog.Name) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byName[n] != nil {
		x.counts[n.Kind]--
		delete(x.byName, n)
	}
}

func (x *documents) get(n catalog.Name) *Document {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byName[n]
}

func (x *documents) count(k catalog.Kind) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.counts[k]
}

func documentName(k Kind, namespace, name string) catalog.Name {
	return catalog.Name{Kind: documentKinds[k], Namespace: namespace, Name: name}
}

// documentKind is the kind of documents with that name in the catalog, "" for other entries.
func documentKind(of catalog.Kind) Kind {
	for k, c := range documentKinds {
		if c == of {
			return k
		}
	}
	return ""
}

// OwnDocument is for the gateway that owns the kind: nobody is asked whether he may. nil when there is none. An empty namespace is the default
// one.
func (b *Broker) OwnDocument(k Kind, namespace, name string) *Document {
	return b.documents.get(documentName(k, cmp.Or(namespace, DefaultNamespace), name))
}

// OwnDocuments are all of a kind, of all namespaces, by namespace and name: for whoever owns the kind.
func (b *Broker) OwnDocuments(k Kind) []*Document {
	kind, out := documentKinds[k], []*Document{}
	b.documents.mu.RLock()
	for n, d := range b.documents.byName {
		if n.Kind == kind {
			out = append(out, d)
		}
	}
	b.documents.mu.RUnlock()
	slices.SortFunc(out, func(x, y *Document) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return out
}

// GetDocument returns a document to somebody who may describe it.
func (b *Broker) GetDocument(_ context.Context, c *Caller, k Kind, name string) (*Document, error) {
	if err := b.allow(c, "describe", ActionDescribe, k, name); err != nil {
		return nil, err
	}
	d := b.OwnDocument(k, c.namespace(), name)
	if d == nil {
		return nil, noDocument("describe", k, name)
	}
	return d, nil
}

func noDocument(op string, k Kind, name string) error {
	return fault.New(fault.NotFound, op, name, "there is no %s %q", k, name)
}

// ListDocuments returns those of the caller's namespace that the caller may describe, by name.
func (b *Broker) ListDocuments(_ context.Context, c *Caller, k Kind) ([]*Document, error) {
	may, kind, out := b.allowed(c, ActionDescribe, k), documentKinds[k], []*Document{}
	b.documents.mu.RLock()
	for n, d := range b.documents.byName {
		if n.Kind == kind && n.Namespace == c.namespace() && may(n.Name) {
			out = append(out, d)
		}
	}
	b.documents.mu.RUnlock()
	slices.SortFunc(out, func(x, y *Document) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// PutDocument makes a document or replaces it: edit gets what is there, nil for nothing, and says what shall be. It may be called again
// when somebody else was faster, unless a revision is given: then a change in between is a Conflict. To make one takes the right to create, to
// replace it the right to alter.
func (b *Broker) PutDocument(ctx context.Context, c *Caller, k Kind, name string, revision uint64,
	edit func(old *Document) (told json.RawMessage, secret []byte, err error),
) (d *Document, made bool, err error) {
	if err := record.CheckStreamName(name); err != nil {
		return nil, false, fault.New(fault.Invalid, "put", "name", "the name of a %s follows the rules of stream names: %s", k, fault.As(err).Text)
	}
	n := documentName(k, c.namespace(), name)
	for range alterTriesMax {
		old := b.documents.get(n)
		x := &shard.PutDocument{Name: n, Expected: catalog.NoRevision}
		body := documentBody{CreatedMS: b.nowMS(), By: c.Principal}
		body.ChangedMS = body.CreatedMS
		action := ActionCreate
		if old != nil {
			x.Expected, body.CreatedMS, action = old.Revision, old.Created.UnixMilli(), ActionAlter
		}
		if err := b.allow(c, "put", action, k, name); err != nil {
			return nil, false, err
		}
		switch {
		case revision != 0 && old == nil:
			return nil, false, noDocument("put", k, name)
		case revision != 0 && old.Revision != revision:
			return nil, false, changedMeanwhile("put", old)
		case old == nil && b.documents.count(n.Kind) >= DocumentsMax:
			return nil, false, fault.New(fault.QuotaSpent, "put", name, "a node keeps %d things of the kind %s", DocumentsMax, k)
		}
		if body.Told, body.Secret, err = edit(old); err != nil {
			return nil, false, err
		}
		if x.Document, err = json.Marshal(body); err != nil {
			return nil, false, err
		}
		if err = b.do(ctx, c, n.Namespace, x); err == nil {
			return &Document{
				Kind: k, Namespace: n.Namespace, Name: name, Revision: x.Entry.Revision, By: body.By,
				Created: time.UnixMilli(body.CreatedMS), Changed: time.UnixMilli(body.ChangedMS), Told: body.Told, Secret: body.Secret,
			}, old == nil, nil
		}
		if !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Exists) && !fault.Is(err, fault.NotFound) {
			return nil, false, err
		}
	}
	return nil, false, err
}

func changedMeanwhile(op string, d *Document) error {
	return fault.New(fault.Conflict, op, d.Name, "the %s has revision %d: it was changed by somebody else", d.Kind, d.Revision).Because(fault.ReasonRevision)
}

// DeleteDocument takes a document away. revision 0 is any.
func (b *Broker) DeleteDocument(ctx context.Context, c *Caller, k Kind, name string, revision uint64) error {
	if err := b.allow(c, "delete", ActionDelete, k, name); err != nil {
		return err
	}
	n := documentName(k, c.namespace(), name)
	var err error
	for range alterTriesMax {
		old := b.documents.get(n)
		switch {
		case old == nil:
			return noDocument("delete", k, name)
		case revision != 0 && old.Revision != revision:
			return changedMeanwhile("delete", old)
		}
		if err = b.do(ctx, c, n.Namespace, &shard.DeleteDocument{Name: n, Expected: old.Revision}); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return err
}

// documentEvent tells what changed of a document, and nothing of its secret but that it did.
func documentEvent(c *Caller, k Kind, n catalog.Name, was, is []byte) SystemEvent {
	e := SystemEvent{Type: "leat." + string(k) + ".altered", Subject: n.Name, Caller: c, Data: map[string]any{"namespace": n.Namespace}}
	before, old := toldOf(was)
	now, secret := toldOf(is)
	switch {
	case is == nil:
		e.Type, e.Data["old"] = "leat."+string(k)+".deleted", before
	case was == nil:
		e.Type, e.Data["new"] = "leat."+string(k)+".created", now
	default:
		e.Data["old"], e.Data["new"] = changes(before, now)
		if !slices.Equal(old, secret) {
			e.Data["secret_changed"] = true
		}
	}
	return e
}

func toldOf(doc []byte) (told map[string]json.RawMessage, secret []byte) {
	var d documentBody
	told = map[string]json.RawMessage{}
	if json.Unmarshal(doc, &d) != nil || json.Unmarshal(d.Told, &told) != nil {
		return told, nil
	}
	return told, d.Secret
}
