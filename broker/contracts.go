package broker

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/shard"
	"leat/contract/registry"
)

// Contracts are kept as documents of the catalog, one for each version of a schema, setting and binding. What they mean the registry knows, which is
// folded from them as they are published. A change is decided by one at a time in a namespace, recorded in one frame, and seen by the next:
//
//	lock → decide against the index → one command → durable, published, folded → unlock
//
// Registrations alone do not wait for those before them to be durable, see contractbatch.go; any other change waits until none is on its way.
//
// What a change became when its frame failed is read from the index, as after a restart; and nobody decides before the index knows it:
//
//	A gets id 7 → its frame is written, and fails: unknown → A is told → the shard recovers: A has 7 → folded
//	                                                          B decides here: the index has no 7 yet, B would get it too
//
// So whoever decides after an error asks the shard first, with a command that changes nothing: it is answered when all before it is folded, or refused.

// contracts are the registries by namespace.
type contracts struct {
	mu   sync.RWMutex
	all  map[string]*contractRoom
	none *registry.Registry // for namespaces without one

	document func(n catalog.Name) ([]byte, error) // from its row

	bound atomic.Int64 // bindings of all namespaces that are not off
}

type contractRoom struct {
	deciding chan struct{} // the token of whoever changes it
	waiting  registrations
	flights  flights
	unsure   atomic.Bool // of a change it is not known whether it was recorded
	registry *registry.Registry
	checks   checks
}

func (x *contracts) init(document func(n catalog.Name) ([]byte, error)) {
	x.all, x.none, x.document = map[string]*contractRoom{}, registry.New(), document
}

// contractDocument reads the document of a contract. They are in rows and not in memory.
func (b *Broker) contractDocument(n catalog.Name) ([]byte, error) {
	return b.shards[b.shardOf(n.Namespace)].Published().Document(n)
}

// takeContracts folds all contracts of a shard, when it is opened.
func (b *Broker) takeContracts(p *shard.Published) error {
	return p.Documents(catalog.Contract, func(n catalog.Name, document []byte) {
		if e := p.Entry(n); e != nil {
			n = e.Name // so that the text is there once
		}
		b.takeContract(n, document)
	})
}

// contractChanged folds a contract that a frame put. A later frame may have put it again, or deleted it: then it is folded again.
func (b *Broker) contractChanged(p *shard.Published, n catalog.Name) {
	document, err := p.Document(n)
	switch {
	case err != nil:
		b.opt.Log.Error("a contract cannot be read", "namespace", n.Namespace, "name", n.Name, "error", err)
	case document == nil:
		b.drop(n)
	default:
		b.takeContract(n, document)
	}
}

func (b *Broker) takeContract(n catalog.Name, document []byte) {
	if b.takeSummary(&catalog.Entry{Name: n, Document: document}) {
		return
	}
	if err := b.contracts.take(n, document); err != nil {
		b.opt.Log.Error("a contract cannot be read", "namespace", n.Namespace, "name", n.Name, "error", err)
	}
}

func (x *contracts) room(namespace string) *contractRoom {
	x.mu.RLock()
	r := x.all[namespace]
	x.mu.RUnlock()
	if r != nil {
		return r
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all[namespace] == nil {
		documents := func(name string) ([]byte, error) {
			return x.document(catalog.Name{Kind: catalog.Contract, Namespace: namespace, Name: name})
		}
		x.all[namespace] = &contractRoom{deciding: make(chan struct{}, 1), registry: registry.NewOver(documents)}
	}
	return x.all[namespace]
}

func (x *contracts) take(n catalog.Name, document []byte) error {
	return x.fold(n, func(r *registry.Registry) error { return r.Take(n.Name, document) })
}

func (x *contracts) drop(n catalog.Name) {
	_ = x.fold(n, func(r *registry.Registry) error { r.Drop(n.Name); return nil }) // has no error
}

// fold changes an index, and keeps count of what is bound. Documents of one shard come one after the other.
func (x *contracts) fold(n catalog.Name, change func(*registry.Registry) error) error {
	r := x.room(n.Namespace).registry
	if !strings.HasPrefix(n.Name, registry.BindingPrefix) {
		return change(r)
	}
	before := r.Enforced()
	err := change(r)
	x.bound.Add(int64(r.Enforced() - before))
	return err
}

// Contracts is the registry of a namespace, to be read: what it decides is only recorded by ChangeContracts. Nobody is asked whether he may; see
// MayContract.
func (b *Broker) Contracts(namespace string) *registry.Registry {
	namespace = cmp.Or(namespace, DefaultNamespace)
	b.contracts.mu.RLock()
	defer b.contracts.mu.RUnlock()
	if r := b.contracts.all[namespace]; r != nil {
		return r.registry
	}
	return b.contracts.none
}

// MayContract refuses those who may not do it to the contracts of a subject.
func (b *Broker) MayContract(c *Caller, a Action, subject string) error {
	return b.allow(c, string(a), a, KindContract, subject)
}

// contractChangeBytes bounds what one command holds of a change. A larger one (a subject of thousands of versions is deleted) is recorded in several,
// in order; a crash between them leaves a part, which may be asked for again.
const contractChangeBytes = 2 << 20

// ChangeContracts lets decide look at the registry of the caller's namespace and say what is to be recorded, and returns when it is durable and the
// registry knows it. decide is called once, and nobody else decides meanwhile. An error of decide is returned as it is.
func (b *Broker) ChangeContracts(ctx context.Context, c *Caller, a Action, subject string, decide func(r *registry.Registry) (registry.Change, error)) error {
	if err := b.MayContract(c, a, subject); err != nil {
		return err
	}
	room := b.contracts.room(c.namespace())
	select {
	case room.deciding <- struct{}{}:
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "change", subject, "others are changing contracts; try again").From(ctx.Err())
	}
	defer func() { <-room.deciding }()
	room.flights.land()
	if err := b.makeSure(ctx, c, room); err != nil {
		return err
	}
	change, err := decide(room.registry)
	if err != nil || change.Empty() {
		return err
	}
	if err := b.recordContracts(ctx, c, room, change); err != nil {
		return err
	}
	b.System(SystemEvent{Type: TypeContractChanged, Subject: subject, Caller: c, Data: contractData(c, change)})
	return nil
}

// makeSure waits until the index knows what became of every change that ended with an error. Whoever calls it has the token, and has looked at what is in
// flight before: what ends later with an error is in that.
func (b *Broker) makeSure(ctx context.Context, c *Caller, room *contractRoom) error {
	if !room.unsure.Swap(false) {
		return nil
	}
	err := b.do(ctx, c, c.namespace(), &shard.ChangeDocuments{})
	if err != nil {
		room.unsure.Store(true)
	}
	return err
}

// recordContracts makes a change durable. After an error a part of it may be, now or later.
func (b *Broker) recordContracts(ctx context.Context, c *Caller, room *contractRoom, change registry.Change) error {
	for _, x := range b.contractCommands(c.namespace(), change) {
		if err := b.do(ctx, c, c.namespace(), x); err != nil {
			room.unsure.Store(true)
			return err
		}
	}
	return nil
}

func (b *Broker) contractCommands(namespace string, change registry.Change) (out []*shard.ChangeDocuments) {
	x, bytes := &shard.ChangeDocuments{}, 0
	name := func(s string) catalog.Name {
		return catalog.Name{Kind: catalog.Contract, Namespace: namespace, Name: s}
	}
	next := func(n int) {
		if bytes += n; bytes > contractChangeBytes && bytes > n {
			out = append(out, x)
			x, bytes = &shard.ChangeDocuments{}, n
		}
	}
	for _, d := range change.Put { // first: an id is kept before what had it goes
		next(factBytes + len(d.Name) + len(d.Body))
		x.Put = append(x.Put, shard.NamedDocument{Name: name(d.Name), Document: d.Body})
	}
	for _, d := range change.Delete {
		next(factBytes + len(d))
		x.Delete = append(x.Delete, name(d))
	}
	return append(out, x)
}

const contractNamesTold = 100 // documents that an event names

// contractData says which documents changed: their names tell kind, subject and version.
func contractData(c *Caller, change registry.Change) map[string]any {
	put, deleted := []string{}, []string{}
	for _, d := range change.Put[:min(len(change.Put), contractNamesTold)] {
		put = append(put, d.Name)
	}
	deleted = append(deleted, change.Delete[:min(len(change.Delete), contractNamesTold)]...)
	return map[string]any{"namespace": c.namespace(), "put": put, "deleted": deleted, "changes": len(change.Put) + len(change.Delete)}
}
