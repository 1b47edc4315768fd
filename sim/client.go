package sim

import (
	"fmt"
	"hash/fnv"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// clientKind is how a client appends.
type clientKind int

const (
	plain      clientKind = iota // batches, each sent once
	idempotent                   // numbered batches, several in flight, sent again until answered
	keyed                        // one event each, with the version its key must have
	named                        // one event each with an identity, sent again until answered
	several                      // events in several partitions, all or none
	owner                        // makes, changes and deletes streams
	kinds
)

const inFlightMax = 3 // ops of one client

// client is one of those who ask. It knows only what it was answered.
type client struct {
	w    *World
	id   int
	kind clientKind
	busy []*op

	producer int64 // idempotent: its number, 0 before it has one
	epoch    int16
	next     map[lane]int32 // the sequence of its next batch
	last     map[lane]*op   // the batch before, which must be answered first after a refusal
	known    map[lane]bool  // lanes where a batch was answered: only then are several in flight
}

// op is one thing that a client wants. Each attempt at it is a request.
type op struct {
	id       int
	client   *client
	parts    []part
	atomic   bool
	identity *stream.Identity
	expect   stream.Expect // keyed
	sequence int32         // idempotent
	latest   int64         // named: time of day when it was last asked for, the greatest

	attempts int
	open     int  // attempts without an answer
	acked    bool // some attempt was released with success
	maybe    bool // some attempt was released as unknown, or is still open
	done     bool // the client asks no more

	create, alter  *simStream
	remove, revive *simStream
	toTrash, purge bool // how remove is done
	trim           *simStream
	cuts           []stream.Cut
}

// part is one batch of an op.
type part struct {
	lane
	values []string
	keys   []string
	tombs  []bool        // no value: the key is to go; nil: none is
	base   record.Offset // once acked
}

func (p *part) tomb(i int) bool { return p.tombs != nil && p.tombs[i] }

type lane struct {
	stream    record.StreamID
	partition record.PartitionID
}

// simStream is what the clients know of a stream.
type simStream struct {
	name       string
	id         record.StreamID
	partitions int
	keys       stream.KeyMode
	removing   bool // somebody has asked for it
	apart      bool // the till's, which checks it itself
	trashed    bool // deleted, and can be restored
	converted  bool // its keys were not numbered from the beginning

	lagMS, tombMS int64  // what it says about letting go
	since         uint64 // frame by which it was known to number its keys
}

// attempt is one request for an op.
type attempt struct {
	op      *op
	number  int
	request *shard.Request

	what string               // of a request that is no client's
	done func(f *fault.Error) // takes its answer
}

func (a *attempt) String() string {
	if a.op == nil {
		return a.what
	}
	return fmt.Sprintf("op %d.%d of client %d", a.op.id, a.number, a.op.client.id)
}

const streamsMax = 5

// act lets the client do one thing: ask for something new, or again for something unanswered.
func (c *client) act() {
	w := c.w
	if len(c.busy) > 0 && w.rng.IntN(3) == 0 {
		if o := c.busy[w.rng.IntN(len(c.busy))]; c.kind == idempotent || c.kind == named {
			c.send(o) // the first may still be under way
			return
		}
	}
	if len(c.busy) >= inFlightMax {
		return
	}
	if c.kind == owner {
		c.manage()
		return
	}
	if o := c.want(); o != nil {
		w.ops = append(w.ops, o)
		c.busy = append(c.busy, o)
		c.send(o)
	}
}

func (c *client) newOp() *op { return &op{id: len(c.w.ops), client: c} }

// stream picks one that is there.
func (c *client) stream(mode stream.KeyMode) *simStream {
	var fit []*simStream
	for id := uint32(1); id < 1<<12; id++ {
		s := c.w.names[id]
		if s == nil {
			break
		}
		if !s.removing && !s.trashed && (mode == 0 || s.keys == mode) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[c.w.rng.IntN(len(fit))]
}

// want is the next thing a client that appends asks for; nil when it cannot.
func (c *client) want() *op {
	w, o := c.w, c.newOp()
	switch c.kind {
	case idempotent:
		return c.wantNumbered(o)
	case keyed:
		s := c.stream(stream.KeysVersioned)
		if s == nil {
			return nil
		}
		o.atomic = true
		o.parts = []part{c.partOf(o, s, 0, 1, true)}
		v := w.version(s.id, o.parts[0].keys[0])
		switch {
		case w.rng.IntN(8) == 0:
			o.expect = stream.Expect{Kind: stream.ExpectVersion, Version: v + uint64(w.rng.IntN(3))}
		case v == 0:
			o.expect = stream.Expect{Kind: stream.ExpectNone}
		default:
			o.expect = stream.Expect{Kind: stream.ExpectVersion, Version: v}
		}
	case several:
		o.atomic = true
		for range 1 + w.rng.IntN(3) {
			if s := c.stream(0); s != nil {
				o.parts = append(o.parts, c.partOf(o, s, len(o.parts), 1+w.rng.IntN(3), s.keys != stream.KeysOff))
			}
		}
	default:
		s := c.stream(0)
		if s == nil {
			return nil
		}
		o.atomic = c.kind == named
		n := 1
		if c.kind == plain {
			n += w.rng.IntN(4)
		}
		o.parts = []part{c.partOf(o, s, 0, n, s.keys == stream.KeysLatest || w.rng.IntN(2) == 0)}
		if c.kind == named {
			var id stream.Identity
			copy(id[:], fmt.Sprintf("identity %07d", o.id))
			o.identity = &id
		}
	}
	if len(o.parts) == 0 {
		return nil
	}
	return o
}

func (c *client) wantNumbered(o *op) *op {
	w := c.w
	if c.producer == 0 {
		if len(c.busy) > 0 {
			return nil
		}
		return o // asks for a number: an op without parts
	}
	s := c.stream(0)
	if s == nil {
		return nil
	}
	p := c.partOf(o, s, 0, 1+w.rng.IntN(3), s.keys != stream.KeysOff)
	if l := c.last[p.lane]; l != nil && (!l.acked && l.open == 0 || !c.known[p.lane]) {
		return nil // first that one again
	}
	o.parts, o.sequence = []part{p}, c.next[p.lane]
	c.next[p.lane] += int32(len(p.values))
	c.last[p.lane] = o
	return o
}

// partOf makes a batch of n records. Records with a key are in the partition of the key.
func (c *client) partOf(o *op, s *simStream, index, n int, withKey bool) part {
	p := part{lane: lane{s.id, record.PartitionID(c.w.rng.IntN(s.partitions))}, base: -1}
	for i := range n {
		p.values = append(p.values, fmt.Sprintf("c%d-op%d-%d-%d", c.id, o.id, index, i))
		key := ""
		if withKey {
			// All keys of a batch are of one partition; which one does not change when partitions are added.
			key = fmt.Sprintf("p%d-k%d", p.partition, c.w.rng.IntN(4))
		}
		p.keys = append(p.keys, key)
	}
	if c.w.dice.compact {
		c.vary(&p)
	}
	return p
}

// send resolves the op as the broker does and puts a request into the queue.
func (c *client) send(o *op) {
	w := c.w
	if w.node == nil || o.done {
		return
	}
	o.attempts++
	a := &attempt{op: o, number: o.attempts}
	var cmd shard.Command
	switch {
	case o.create != nil:
		s := o.create
		cmd = &shard.CreateStream{Name: s.catalogName(), Document: s.document(), Partitions: s.partitions, Keys: s.keys}
		w.wanted(s)
	case o.alter != nil:
		s := o.alter
		e := w.node.Published().Entry(s.catalogName())
		if e == nil {
			c.finish(o)
			return
		}
		cmd = &shard.AlterStream{Name: e.Name, Document: s.document(), Revision: e.Revision, Partitions: s.partitions, Keys: s.keys}
		w.wanted(s)
	case o.purge:
		cmd = &shard.PurgeStream{Trash: o.remove.trashName()}
	case o.toTrash:
		w.voidDesk(o.remove.id)
		cmd = &shard.DeleteStream{Name: o.remove.catalogName(), Trash: o.remove.trashName(), Document: []byte(o.remove.name)}
	case o.remove != nil:
		w.voidDesk(o.remove.id)
		cmd = &shard.DeleteStream{Name: o.remove.catalogName()}
	case o.revive != nil:
		cmd = &shard.RestoreStream{Trash: o.revive.trashName(), Name: o.revive.catalogName(), Document: o.revive.document()}
	case o.trim != nil:
		cmd = &shard.Truncate{Name: o.trim.catalogName(), Cuts: o.cuts, Origin: &stream.Origin{Protocol: "sim", Client: "owner"}}
		w.asked(o)
	case len(o.parts) == 0:
		cmd = &shard.AllocateProducer{}
	default:
		app, refused := c.resolve(o)
		if app == nil {
			w.tracef("%s is not sent: %s", a, refused)
			return
		}
		cmd = app
	}
	a.request = shard.NewRequest(cmd)
	o.open++
	w.waiting = append(w.waiting, a)
	w.tracef("send %s", a)
}

func (s *simStream) catalogName() catalog.Name {
	return catalog.Name{Kind: catalog.Stream, Namespace: "default", Name: s.name}
}

func (s *simStream) trashName() catalog.Name {
	return catalog.Name{Kind: catalog.Trash, Namespace: "default", Name: s.name}
}

// resolve reads what the decision will need, at a known place, as broker/append.go and broker/events.go do.
func (c *client) resolve(o *op) (*shard.Append, string) {
	pub := c.w.node.Published()
	cmd := &shard.Append{ResolvedAt: pub.Seq()}
	cmd.Origin = stream.Origin{Protocol: "sim", Client: fmt.Sprint("client ", c.id)}
	cmd.Atomic = o.atomic
	if o.identity != nil {
		now := c.w.clock.Now().UnixMilli()
		o.latest = max(o.latest, now)
		f, seen, err := pub.Identity(*o.identity, now)
		if err != nil {
			c.w.failf("look up an identity: %v", err)
		}
		if seen {
			c.duplicate(o, f)
			return nil, "it is there already"
		}
	}
	for i := range o.parts {
		p := &o.parts[i]
		st, ok := pub.Stream(p.stream)
		if !ok {
			c.finish(o)
			return nil, "the stream is gone"
		}
		e := stream.Entry{Stream: p.stream, Partition: p.partition, Mode: st.Keys, Batch: c.batch(o, p)}
		var err error
		if e.Header, err = record.CheckBatch(e.Batch); err != nil {
			c.w.failf("a client's batch is refused: %v", err)
		}
		for k, key := range p.keys {
			if key == "" || st.Keys == stream.KeysOff {
				continue
			}
			u := stream.KeyUse{Index: int32(k), Slot: -1, Key: []byte(key), Expect: o.expect, Event: k, Tombstone: p.tomb(k)}
			if st.Keys == stream.KeysVersioned {
				u.Slot = c.slot(cmd, p.stream, key)
			}
			e.Keys = append(e.Keys, u)
		}
		if o.identity != nil {
			e.IDs = []stream.IDUse{{Index: 0, Identity: *o.identity}}
		}
		cmd.Entries = append(cmd.Entries, e)
	}
	return cmd, ""
}

func (c *client) slot(cmd *shard.Append, id record.StreamID, key string) int32 {
	for i := range cmd.Slots {
		if cmd.Slots[i].Stream == id && string(cmd.Slots[i].Key) == key {
			return int32(i)
		}
	}
	cmd.Slots = append(cmd.Slots, stream.Slot{Stream: id, Key: []byte(key), Version: c.w.version(id, key)})
	return int32(len(cmd.Slots) - 1)
}

// version looks a key up. Where that needs the disk and it fails, the client asks again when it does not.
func (w *World) version(id record.StreamID, key string) uint64 {
	pub := w.node.Published()
	v, err := pub.Version(pub.Fingerprint(id, []byte(key)), id, []byte(key))
	if fault.Is(err, fault.Unavailable) {
		w.fs.SetRule(nil)
		v, err = pub.Version(pub.Fingerprint(id, []byte(key)), id, []byte(key))
	}
	if err != nil {
		w.failf("version of a key: %v", err)
	}
	w.versionSeen(id, key, v)
	return v
}

func (c *client) batch(o *op, p *part) []byte {
	records := make([]record.Record, len(p.values))
	for i, v := range p.values {
		records[i] = record.Record{Timestamp: c.w.clock.Now().UnixMilli() - int64(i*7), Value: []byte(v)}
		if p.keys[i] != "" {
			records[i].Key = []byte(p.keys[i])
		}
		if p.tomb(i) {
			records[i].Value, records[i].Headers = nil, []record.Header{{Key: tombHeader, Value: []byte(v)}}
		}
	}
	b, err := record.BuildBatch(records)
	if err != nil {
		panic(err)
	}
	if c.kind == idempotent {
		record.StampProducer(b, c.producer, c.epoch, o.sequence)
	}
	return b
}

// manage makes, changes or deletes a stream.
func (c *client) manage() {
	w, o := c.w, c.newOp()
	live := 0
	for _, s := range w.names {
		if !s.removing && !s.trashed {
			live++
		}
	}
	s := c.stream(0)
	if t := w.trashed(); t != nil && w.rng.IntN(3) == 0 {
		if o.revive = t; w.rng.IntN(2) == 0 {
			t.removing = true
			o.revive, o.remove, o.purge = nil, t, true
		}
		w.ops = append(w.ops, o)
		c.busy = append(c.busy, o)
		c.send(o)
		return
	}
	switch n := w.rng.IntN(20); {
	case s == nil || live < 2 || live < streamsMax && n < 6:
		if len(c.busy) > 0 {
			return
		}
		o.create = &simStream{
			name: fmt.Sprintf("s%d", o.id), partitions: 1 + w.rng.IntN(3),
			keys: []stream.KeyMode{stream.KeysOff, stream.KeysLatest, stream.KeysHistory, stream.KeysVersioned, stream.KeysVersioned}[w.rng.IntN(5)],
		}
		w.chooseTerms(o.create)
	case n < 10:
		next := *s
		next.partitions += w.rng.IntN(2)
		if next.keys == stream.KeysHistory && w.rng.IntN(2) == 0 {
			next.keys = stream.KeysVersioned
		}
		w.chooseTerms(&next)
		o.alter = &next
	case n < 17:
		if o.trim, o.cuts = s, w.cutsOf(s); len(o.cuts) == 0 {
			return
		}
	case n == 18:
		o.remove, o.toTrash = s, true
	case n == 19:
		s.removing = true
		o.remove = s
	default:
		return
	}
	w.ops = append(w.ops, o)
	c.busy = append(c.busy, o)
	c.send(o)
}

// finish ends an op: the client asks no more.
func (c *client) finish(o *op) {
	o.done = true
	for i, x := range c.busy {
		if x == o {
			c.busy = append(c.busy[:i], c.busy[i+1:]...)
			return
		}
	}
}

// duplicate is the answer to an event that is there already.
func (c *client) duplicate(o *op, f stream.First) {
	p := &o.parts[0]
	if f.Stream != p.stream || f.Partition != p.partition {
		c.w.failf("op %d was sent to %v and is said to be in %d/%d", o.id, p.lane, f.Stream, f.Partition)
	}
	// Another offset than the one answered before is right only when the window has passed in between and a second copy stands there, of another
	// time: checkOps finds out.
	p.base, o.acked = f.Offset, true
	c.finish(o)
}

// take is the client reading an answer; not ok: it never came, or said that it may or may not have happened.
func (c *client) take(a answer) {
	o := a.to.op
	if o.done {
		return
	}
	if a.ok {
		if c.kind == idempotent && o.acked && len(o.parts) > 0 {
			c.known[o.parts[0].lane] = true
		}
		c.finish(o)
		return
	}
	switch c.kind {
	case idempotent, named:
		c.send(o)
	default:
		c.finish(o)
	}
}

func hashOf(parts ...[]byte) [32]byte {
	h := fnv.New128a()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	var out [32]byte
	copy(out[:], h.Sum(nil))
	return out
}
