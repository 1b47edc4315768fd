package shard

import (
	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/subscription"
)

// MemoPut is one row of what a gateway keeps with a subscription. A nil Document takes it away.
type MemoPut struct {
	Name     catalog.Name // its kind is catalog.Memo
	Document []byte
}

// PutMemos puts and takes away rows that a gateway keeps with a subscription, all in one frame, as long as the subscription is there. Rows are not
// compared with anything: only the gateway that owns them writes them, one call after the other.
type PutMemos struct {
	Sub  subscription.ID // 0: only such are taken away as nobody needs
	Puts []MemoPut
}

func (x *PutMemos) kind() string { return "put-memos" }

func (x *PutMemos) decide(c *Core, r *Request) {
	if x.Sub != 0 && c.subs.Subs[x.Sub] == nil {
		r.Fault = fault.New(fault.NotFound, "put", "", "the subscription was deleted")
		return
	}
	for i := range x.Puts {
		if r.Fault = c.catalog.Check(x.Puts[i].Name, x.Puts[i].Document, catalog.AnyRevision); r.Fault != nil {
			return
		}
	}
	for i := range x.Puts {
		p := &x.Puts[i]
		if p.Document == nil {
			if c.catalog.Entries[p.Name] != nil {
				r.Fault = c.catalog.Delete(p.Name, catalog.AnyRevision, &c.open.Frame)
			}
		} else {
			_, r.Fault = c.catalog.Put(p.Name, 0, p.Document, catalog.AnyRevision, &c.open.Frame)
		}
		if r.Fault != nil {
			return // cannot be: it was checked
		}
	}
}
