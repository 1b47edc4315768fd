package shard

import (
	"leat/broker/catalog"
)

// ChangeDocuments puts and deletes several named documents: all of it or nothing. Whoever sends it knows that nobody else changes them.
type ChangeDocuments struct {
	Put    []NamedDocument
	Delete []catalog.Name // those that are not there are passed over
}

// NamedDocument is one of them.
type NamedDocument struct {
	Name     catalog.Name
	Document []byte
}

func (x *ChangeDocuments) kind() string { return "change-documents" }

func (x *ChangeDocuments) decide(c *Core, r *Request) {
	for i := range x.Put { // nothing is recorded of a change that is only taken in part
		if r.Fault = c.catalog.Check(x.Put[i].Name, x.Put[i].Document, catalog.AnyRevision); r.Fault != nil {
			return
		}
	}
	for _, n := range x.Delete {
		if c.catalog.Entries[n] != nil {
			if r.Fault = c.catalog.Delete(n, catalog.AnyRevision, &c.open.Frame); r.Fault != nil {
				return
			}
		}
	}
	for i := range x.Put {
		if _, r.Fault = c.catalog.Put(x.Put[i].Name, 0, x.Put[i].Document, catalog.AnyRevision, &c.open.Frame); r.Fault != nil {
			return
		}
	}
}
