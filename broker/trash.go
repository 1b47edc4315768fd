package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// DeletedStream is a stream that was deleted and can be brought back.
type DeletedStream struct {
	Name      string
	Namespace string
	ID        record.StreamID
	Deleted   time.Time
	Until     time.Time // when it goes for good
	By        string    // who deleted it; "" while there are no users
	Protocol  string    // through which it was deleted
}

// trashed is a deleted stream as the broker keeps it in mind. It is replaced, never changed.
type trashed struct {
	DeletedStream
	entry  catalog.Name
	rev    uint64
	shard  int
	stream []byte // its document
}

// trashDocument is what the catalog holds of a deleted stream, under its name and id: of one name there may be several.
type trashDocument struct {
	Name      string          `json:"name"`
	DeletedMS int64           `json:"deleted_ms"`
	By        string          `json:"by,omitempty"`
	Protocol  string          `json:"protocol,omitempty"`
	Stream    json.RawMessage `json:"stream"` // the stream's document as it was
}

// trashBytesMax is what a trashDocument has besides the stream's document: a name, two parts of an origin, and what is around them.
const trashBytesMax = 4 << 10

func trashName(n *named) catalog.Name {
	return catalog.Name{Kind: catalog.Trash, Namespace: n.namespace, Name: n.name + "/" + strconv.FormatUint(uint64(n.id), 10)}
}

// takeTrash notes a deleted stream.
func (b *Broker) takeTrash(sh int, e *catalog.Entry) {
	var d trashDocument
	if err := json.Unmarshal(e.Document, &d); err != nil {
		b.opt.Log.Error("the document of a deleted stream cannot be read", "stream", e.Name.Name, "error", err)
		return
	}
	deleted := time.UnixMilli(d.DeletedMS)
	t := &trashed{
		DeletedStream: DeletedStream{
			Name: d.Name, Namespace: e.Name.Namespace, ID: record.StreamID(e.ID), Deleted: deleted, Until: deleted.Add(b.cfg.UndeleteWindow), By: d.By, Protocol: d.Protocol,
		},
		entry: e.Name, rev: e.Revision, shard: sh, stream: d.Stream,
	}
	b.names.dropTrash(e.Name)
	k := nameKey{t.Namespace, t.Name}
	b.names.mu.Lock()
	defer b.names.mu.Unlock()
	all := append(slices.Clone(b.names.trash[k]), t)
	slices.SortFunc(all, func(x, y *trashed) int { return cmp.Compare(x.ID, y.ID) })
	b.names.trash[k] = all
	b.names.trashed++
}

// dropTrash forgets a deleted stream, if it is known.
func (n *names) dropTrash(entry catalog.Name) {
	name, _, _ := strings.Cut(entry.Name, "/")
	k := nameKey{entry.Namespace, name}
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.trash[k]
	rest := slices.DeleteFunc(slices.Clone(all), func(t *trashed) bool { return t.entry == entry })
	n.trashed -= len(all) - len(rest)
	if n.trash[k] = rest; len(rest) == 0 {
		delete(n.trash, k)
	}
}

// DeleteStream takes a stream away. Its name is free at once, and nobody reads or appends under it any more. For a while, which the
// configuration says, UndeleteStream brings it back with all of its events; then it is gone for good. In a data directory of an older
// format it is gone at once.
func (b *Broker) DeleteStream(ctx context.Context, c *Caller, name string) error {
	if err := b.allow(c, "delete", ActionDelete, KindStream, name); err != nil {
		return err
	}
	for range alterTriesMax {
		n, err := b.find(c, "delete", name)
		if err != nil {
			return err
		}
		switch {
		case n.config.Immutable:
			return kept("delete", name, "the stream is immutable: it cannot be deleted")
		case n.config.Protected:
			return kept("delete", name, "the stream is protected: switch protected off before it is deleted")
		}
		x := &shard.DeleteStream{Name: streamName(n.namespace, name), Revision: n.revision}
		if b.opt.Format >= fact.Format2 && b.cfg.UndeleteWindow > 0 {
			o := c.origin()
			cfg := streamDocument{*n.config, n.created.UnixMilli()}
			x.Trash = trashName(n)
			if x.Document, err = json.Marshal(trashDocument{name, b.nowMS(), o.Principal, o.Protocol, cfg.bytes()}); err != nil {
				return err
			}
		}
		if err = b.do(ctx, c, n.namespace, x); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return fault.New(fault.Unavailable, "delete", name, "the stream is being changed; try again")
}

// trashed returns the newest deleted stream of a name that c may know of, nil when there is none.
func (b *Broker) trashed(c *Caller, name string) *trashed {
	if !b.Allowed(c, ActionDescribe, KindStream, name) {
		return nil
	}
	b.names.mu.RLock()
	all := b.names.trash[nameKey{c.namespace(), name}]
	b.names.mu.RUnlock()
	if len(all) == 0 {
		return nil
	}
	if t := all[len(all)-1]; b.opt.Clock.Now().Before(t.Until) {
		return t
	}
	return nil
}

// ListDeleted lists the deleted streams of the caller's namespace that can be brought back and that the caller may describe: by name, the
// newest first of those of one name.
func (b *Broker) ListDeleted(_ context.Context, c *Caller) ([]DeletedStream, error) {
	may, now := b.allowed(c, ActionDescribe, KindStream), b.opt.Clock.Now()
	out := []DeletedStream{}
	b.names.mu.RLock()
	for k, all := range b.names.trash {
		if k.namespace != c.namespace() || !may(k.name) {
			continue
		}
		for _, t := range all {
			if now.Before(t.Until) {
				out = append(out, t.DeletedStream)
			}
		}
	}
	b.names.mu.RUnlock()
	slices.SortFunc(out, func(x, y DeletedStream) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), cmp.Compare(y.ID, x.ID))
	})
	return out, nil
}

// UndeleteStream brings the newest deleted stream of a name back, under that name or, when as is not empty, another one. The name must be
// free. It takes the right to make a stream of the new name and to delete one of the old.
func (b *Broker) UndeleteStream(ctx context.Context, c *Caller, name, as string) (StreamInfo, error) {
	if as == "" {
		as = name
	}
	if err := record.CheckStreamName(as); err != nil {
		return StreamInfo{}, err
	}
	if err := b.allow(c, "undelete", ActionDelete, KindStream, name); err != nil {
		return StreamInfo{}, err
	}
	if err := b.allow(c, "undelete", ActionCreate, KindStream, as); err != nil {
		return StreamInfo{}, err
	}
	if b.opt.Format < fact.Format2 {
		return StreamInfo{}, needsFormat2(b.opt.Format, "undelete", name)
	}
	t := b.trashed(c, name)
	if t == nil {
		return StreamInfo{}, fault.New(fault.NotFound, "undelete", name, "no stream %q was deleted within the last %s", name, b.cfg.UndeleteWindow)
	}
	if b.names.get(c.namespace(), as) != nil {
		return StreamInfo{}, fault.New(fault.Exists, "undelete", as, "a stream named %q exists; bring the deleted one back under another name", as)
	}
	err := b.do(ctx, c, t.Namespace, &shard.RestoreStream{Trash: t.entry, Revision: t.rev, Name: streamName(t.Namespace, as), Document: t.stream})
	if err != nil {
		return StreamInfo{}, err
	}
	return b.describe(c, as)
}

// purge removes deleted streams for good whose time is over, the longest gone first.
func (b *Broker) purge(ctx context.Context) error {
	now := b.opt.Clock.Now()
	b.names.mu.RLock()
	var over []*trashed
	for _, all := range b.names.trash {
		for _, t := range all {
			if !now.Before(t.Until) {
				over = append(over, t)
			}
		}
	}
	b.names.mu.RUnlock()
	slices.SortFunc(over, func(x, y *trashed) int {
		return cmp.Or(x.Until.Compare(y.Until), cmp.Compare(x.ID, y.ID))
	})
	for _, t := range over[:min(len(over), purgesMax)] {
		err := b.do(ctx, platformIn(t.Namespace), t.Namespace, &shard.PurgeStream{Trash: t.entry, Revision: t.rev})
		if err != nil && !fault.Is(err, fault.NotFound) { // NotFound: it was brought back just now
			return err
		}
	}
	return nil
}
