package broker

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"

	"leat/broker/catalog"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// A change of the catalog is told in the system stream, in the frame of the change itself where both are in one shard: then neither can
// be there without the other. A namespace of another shard has its event follow the change; a crash between the two loses it.

// note is a command and the event that tells of it, if there is one.
type note struct {
	b       *Broker
	command shard.Command
	carried *shard.Noted // nil: the event, if any, follows
	event   EventEntry
	told    bool // there is an event
}

// note prepares a command of c. The event is made of what the command says and of what is published.
func (b *Broker) note(c *Caller, sh int, x shard.Command) note {
	n := note{b: b, command: x}
	if !b.system.on {
		return n
	}
	e, ok := b.eventOf(c, sh, x)
	if !ok {
		return n
	}
	n.event, n.told = b.systemEntry(&e), true
	at := b.names.get(DefaultNamespace, SystemStream)
	if at == nil || at.shard != sh {
		return n
	}
	entry, err := b.carry(at, &n.event)
	if err != nil {
		b.opt.Log.Error("a system event could not be made part of its change", "type", e.Type, "error", err)
		return n
	}
	n.carried = &shard.Noted{Command: x}
	n.carried.Event.Origin = b.platform().origin()
	n.carried.Event.Entries = []stream.Entry{entry}
	n.carried.Event.ResolvedAt = b.shards[sh].Published().Seq()
	if b.reach(sh, &n.carried.Event) != nil {
		n.carried = nil // the event follows instead
		return n
	}
	n.command = n.carried
	return n
}

// carry makes the batch of one event.
func (b *Broker) carry(at *named, e *EventEntry) (stream.Entry, error) {
	batch, err := record.BuildBatch([]record.Record{e.Record})
	if err != nil {
		return stream.Entry{}, err
	}
	h, err := record.ParseBatchHeader(batch)
	if err != nil {
		return stream.Entry{}, err
	}
	entry := stream.Entry{Stream: at.id, Header: h, Batch: batch, Mode: at.config.effectiveKeys()}
	if entry.Mode == stream.KeysVersioned { // would need the version of the key; the event follows instead
		entry.Mode = stream.KeysUnset
	} else if entry.Mode != stream.KeysOff && e.Record.Key != nil {
		entry.Keys = []stream.KeyUse{{Slot: -1, Key: bytes.Clone(e.Record.Key)}}
	}
	return entry, nil
}

// done is called when the command has succeeded: what its frame did not take follows.
func (n *note) done() {
	if n.told && (n.carried == nil || !n.carried.Recorded()) {
		n.b.hold(n.event)
	}
}

// eventOf is what there is to tell of a command.
func (b *Broker) eventOf(c *Caller, sh int, x shard.Command) (SystemEvent, bool) {
	pub := b.shards[sh].Published()
	before := func(n catalog.Name) []byte {
		if e := pub.Entry(n); e != nil {
			return e.Document
		}
		return nil
	}
	switch x := x.(type) {
	case *shard.CreateStream:
		return streamEvent(TypeStreamCreated, c, x.Name, map[string]any{"config": settings(x.Document)}), true
	case *shard.AlterStream:
		was, is := changes(settings(before(x.Name)), settings(x.Document))
		return streamEvent(TypeStreamAltered, c, x.Name, map[string]any{"old": was, "new": is}), true
	case *shard.DeleteStream:
		return streamEvent(TypeStreamDeleted, c, x.Name, map[string]any{"config": settings(before(x.Name))}), true
	case *shard.Truncate:
		if x.Origin == nil {
			break // retention, which is told of in summary
		}
		starts := make(map[string]record.Offset, len(x.Cuts))
		for _, cut := range x.Cuts {
			starts[strconv.Itoa(int(cut.Partition))] = cut.Before
		}
		return streamEvent(TypeStreamTruncated, c, x.Name, map[string]any{"starts": starts}), true
	case *shard.RestoreStream:
		return streamEvent(TypeStreamUndeleted, c, x.Name, map[string]any{"was": x.Trash.Name, "config": settings(x.Document)}), true
	case *shard.PurgeStream:
		return streamEvent(TypeStreamPurged, c, x.Trash, map[string]any{}), true
	case *shard.PutDocument:
		if x.Name.Kind == catalog.User {
			return userEvent(c, x.Name.Name, before(x.Name), x.Document), true
		}
		if k := documentKind(x.Name.Kind); k != "" {
			return documentEvent(c, k, x.Name, before(x.Name), x.Document), true
		}
	case *shard.DeleteDocument:
		if x.Name.Kind == catalog.User {
			return SystemEvent{Type: TypeUserDeleted, Subject: x.Name.Name, Caller: c}, true
		}
		if k := documentKind(x.Name.Kind); k != "" {
			return documentEvent(c, k, x.Name, before(x.Name), nil), true
		}
	}
	return SystemEvent{}, false
}

func streamEvent(kind string, c *Caller, n catalog.Name, data map[string]any) SystemEvent {
	data["namespace"] = n.Namespace
	return SystemEvent{Type: kind, Subject: n.Name, Caller: c, Data: data}
}

// userEvent tells what changed of a user, and nothing of its secrets but that they did.
func userEvent(c *Caller, name string, was, is []byte) SystemEvent {
	e := SystemEvent{Type: TypeUserAltered, Subject: name, Caller: c, Data: map[string]any{}}
	now, secret := account(is)
	if was == nil {
		e.Type = TypeUserCreated
		e.Data["new"] = now
		return e
	}
	before, old := account(was)
	e.Data["old"], e.Data["new"] = changes(before, now)
	if !bytes.Equal(secret, old) {
		e.Data["password_changed"] = true
	}
	return e
}

// account are the members of a user's document that may be told, with the number of its tokens, and what its password was made into.
func account(doc []byte) (m map[string]json.RawMessage, password []byte) {
	var d userDocument
	m = map[string]json.RawMessage{}
	if json.Unmarshal(doc, &m) != nil || json.Unmarshal(doc, &d) != nil {
		return nil, nil
	}
	delete(m, "secrets")
	m["tokens"] = strconv.AppendInt(nil, int64(len(d.Secrets.Tokens)), 10)
	m["access_keys"] = strconv.AppendInt(nil, int64(len(d.Secrets.AccessKeys)), 10)
	if d.Secrets.SHA256 != nil {
		password = d.Secrets.SHA256.StoredKey
	}
	return m, password
}

// settings are the members of a stream's document.
func settings(doc []byte) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	if json.Unmarshal(doc, &m) != nil {
		return nil
	}
	delete(m, "created_ms")
	for name, word := range map[string]func(json.RawMessage) string{"keys": keyWord, "time_of": timeWord} {
		if v, ok := m[name]; ok {
			m[name], _ = json.Marshal(word(v)) // a string
		}
	}
	return m
}

// keyWord and timeWord say in words what the document has as a number.
func keyWord(v json.RawMessage) string {
	var m KeyMode
	if json.Unmarshal(v, &m) != nil {
		return string(v)
	}
	return m.String()
}

func timeWord(v json.RawMessage) string {
	var k TimeKind
	if json.Unmarshal(v, &k) != nil {
		return string(v)
	}
	if k == TimeOfAppend {
		return "append"
	}
	return "producer"
}

// changes keeps of two documents what differs.
func changes(was, is map[string]json.RawMessage) (old, now map[string]json.RawMessage) {
	old, now = maps.Clone(was), maps.Clone(is)
	for name, v := range was {
		if w, ok := is[name]; ok && bytes.Equal(v, w) {
			delete(old, name)
			delete(now, name)
		}
	}
	return old, now
}
