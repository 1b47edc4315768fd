package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/contract"
	"leat/contract/usage"
	"leat/internal/clock"
)

// The catalogue of who appends and who reads which type of event is counted here, where every protocol passes. It costs a look-up for each batch, not for
// each record:
//
//	events that come one by one      the type is in the record, which is at hand: exact
//	batches                          records and bytes are exact, from the header. Types: the first record of a batch that is not compressed, and once a
//	                                 second for each party and stream the first 256 records; in between the batch counts as the last look was
//	deliveries, pages, following     the record is at hand: exact
//
// What was counted is kept as a document every SummaryEvery and at a stop; see summaries.

// catalogue is the ledger, and what was last kept of it.
type catalogue struct {
	ledger *usage.Ledger
	cancel context.CancelFunc
	done   chan struct{}
	opened atomic.Bool
	kept   map[string]string // by namespace; of whoever keeps
}

func (x *catalogue) init() { x.ledger, x.kept = usage.New(), map[string]string{} }

func partyOf(c *Caller, via string) usage.Party {
	return usage.Party{Principal: c.Principal, Protocol: c.Protocol, Client: c.Client, Via: via}
}

// unseen reports whether nothing is counted: what the platform does itself, and its own streams.
func unseen(c *Caller, n *named) bool {
	return noParty(c) || n == nil || internalName(n.name)
}

// noParty reports the platform itself. What a gateway does in its own way for somebody, that one does.
func noParty(c *Caller) bool { return c == nil || c.platform && c.Protocol == SystemPrincipal }

const headersSeenMax = 16 // of a first record, without memory of its own

// sawAppended counts a batch that was appended.
func (b *Broker) sawAppended(c *Caller, n *named, h *record.BatchHeader, batch []byte) {
	if !unseen(c, n) {
		b.sawBatch(c, n, usage.Produces, h, batch, int64(h.Count), int64(len(batch)))
	}
}

// batchesSeenMax is how many batches of one reading are looked at: one stands for those that follow it.
const batchesSeenMax = 8

// wantsLook reports whether what is read next is to be looked into, for which it has to come into the program.
func (b *Broker) wantsLook(c *Caller, n *named) bool {
	if unseen(c, n) {
		return false
	}
	now := b.nowMS()
	return b.readerLine(c, n, now).Wants(now)
}

func (b *Broker) readerLine(c *Caller, n *named, nowMS int64) *usage.Line {
	return b.catalogue.ledger.Line(usage.Place{Namespace: n.namespace, Stream: n.name}, partyOf(c, ""), usage.Consumes, nowMS)
}

// sawRead counts batches that were read. Those that are told by their place are as the last look was.
func (b *Broker) sawRead(c *Caller, n *named, from record.Offset, all []*Stored) {
	if unseen(c, n) {
		return
	}
	each := (len(all) + batchesSeenMax - 1) / batchesSeenMax
	for len(all) > 0 {
		if s := all[0]; s.Span != nil {
			now := b.nowMS()
			b.readerLine(c, n, now).Spread(int64(s.Next-max(from, s.Base)), int64(s.Len()), now)
			all = all[1:]
			continue
		}
		some := all[:min(each, len(all))]
		if i := slices.IndexFunc(some, func(s *Stored) bool { return s.Span != nil }); i > 0 {
			some = some[:i]
		}
		all = all[len(some):]
		h, err := record.PeekBatchHeader(some[0].Raw)
		if err != nil || h.Control() {
			continue
		}
		bytes := int64(0)
		for _, s := range some {
			bytes += int64(len(s.Raw))
		}
		b.sawBatch(c, n, usage.Consumes, &h, some[0].Raw, int64(some[len(some)-1].Next-max(from, some[0].Base)), bytes)
	}
}

// sawBatch counts records, of which one batch shows what they are like.
func (b *Broker) sawBatch(c *Caller, n *named, role usage.Role, h *record.BatchHeader, batch []byte, records, bytes int64) {
	now := b.nowMS()
	line := b.catalogue.ledger.Line(usage.Place{Namespace: n.namespace, Stream: n.name}, partyOf(c, ""), role, now)
	due := line.Due(now)
	if !due {
		if h.Codec() != record.None { // as the last look was
			line.Spread(records, bytes, now)
			return
		}
		if b.countFirst(line, n, h, batch, records, bytes, now) {
			return
		}
	}
	var found usage.Look
	seen := 0
	_ = record.EachRecord(batch, record.DefaultInflateLimits(), func(_ int, r *record.Record) error { // one that cannot be read says nothing
		w := b.whatOf(n, r, true)
		if h.Codec() != record.None { // what it lends goes when this returns
			w.Type, w.GUID = string([]byte(w.Type)), string([]byte(w.GUID))
		}
		found.Saw(w)
		if seen++; seen == usage.LookRecordsMax {
			return errEnough
		}
		return nil
	})
	line.Looked(&found, records, bytes, now)
}

// headerRooms are rooms for the headers of first records.
var headerRooms = sync.Pool{New: func() any { return new([headersSeenMax]record.Header) }}

// countFirst counts by the first record of a batch, where what was seen before tells what the others are.
func (b *Broker) countFirst(line *usage.Line, n *named, h *record.BatchHeader, batch []byte, records, bytes, now int64) bool {
	room := headerRooms.Get().(*[headersSeenMax]record.Header)
	defer func() {
		clear(room[:]) // it would hold on to the batch
		headerRooms.Put(room)
	}()
	r, ok := record.FirstRecord(batch, h, room[:])
	return ok && line.Count(b.whatOf(n, &r, false), h.Count == 1, records, bytes, now)
}

var errEnough = errors.New("enough was seen")

// schemaHeader names the schema of a value by its GUID.
const schemaHeader = contract.HeaderValue

// whatOf is what a record says of itself. closely: what only a look into the payload shows counts too. The texts are the record's.
func (b *Broker) whatOf(n *named, r *record.Record, closely bool) (w usage.What) {
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case typeHeader:
			w.Type = lent(h.Value)
		case schemaHeader:
			if f, _, err := contract.FrameOfHeader(h.Value); err == nil {
				w.GUID, w.Schema = f.GUID, int32(f.ID)
			}
		case contentTypeHeader:
			if closely && w.Type == "" && structured(r) {
				w.Type = string(outlineOf(r).kind)
			}
		}
	}
	if v := r.Value; w.GUID == "" && w.Schema == 0 && len(v) >= 5 && v[0] == 0 {
		if id := int32(binary.BigEndian.Uint32(v[1:5])); id > 0 && b.Contracts(n.namespace).HasID(int(id)) {
			w.Schema = id
		}
	}
	return w
}

func lent(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// sawEvents counts events that were appended one by one.
func (x *eventsCommand) sawEvents() {
	for g := range x.groups {
		n := x.groups[g].target
		if unseen(x.c, n) {
			continue
		}
		t := tally{b: x.b, c: x.c, role: usage.Produces, now: x.now}
		for _, i := range x.groups[g].events {
			t.add(n, &x.a.Events[i].Record)
		}
		t.flush()
	}
}

// sawDelivered counts events that were handed to somebody.
func (b *Broker) sawDelivered(c *Caller, all []*Delivered) {
	if noParty(c) {
		return
	}
	t := tally{b: b, c: c, role: usage.Consumes, now: b.nowMS()}
	for _, d := range all {
		t.add(d.from, d.Record)
	}
	t.flush()
}

// sawDeliveries is sawDelivered of a subscription's deliveries.
func (b *Broker) sawDeliveries(c *Caller, via string, all []Delivery) {
	if noParty(c) {
		return
	}
	t := tally{b: b, c: c, via: via, role: usage.Consumes, now: b.nowMS()}
	for i := range all {
		t.add(all[i].from, all[i].Record)
	}
	t.flush()
}

// tally counts records one after the other: those that are alike are counted at once.
type tally struct {
	b    *Broker
	c    *Caller
	via  string
	role usage.Role
	now  int64

	n              *named
	what           usage.What
	records, bytes int64
}

func (t *tally) add(n *named, r *record.Record) {
	if unseen(t.c, n) {
		return
	}
	w := t.b.whatOf(n, r, true)
	if t.n != n || t.what != w {
		t.flush()
		t.n, t.what = n, w
	}
	t.records++
	t.bytes += int64(len(r.Key) + len(r.Value))
}

func (t *tally) flush() {
	if t.records > 0 {
		place := usage.Place{Namespace: t.n.namespace, Stream: t.n.name}
		t.b.catalogue.ledger.Line(place, partyOf(t.c, t.via), t.role, t.now).Add(t.what, t.records, t.bytes, t.now)
	}
	t.records, t.bytes = 0, 0
}

// sawCommit notes by which subscription somebody reads that moves its positions himself.
func (b *Broker) sawCommit(c *Caller, x *subscribed, ps []PositionCommit) {
	if noParty(c) {
		return
	}
	last := ""
	for i := range ps {
		if ps[i].Stream != last {
			last = ps[i].Stream
			b.catalogue.ledger.Via(usage.Place{Namespace: x.namespace, Stream: last}, partyOf(c, ""), x.name)
		}
	}
}

// Summaries: what was counted is a document of its namespace, so that a restart keeps it. It is of no use to decide anything, so it is written seldom: a
// kill loses what was counted since, a stop nothing; of more than usage.SummaryUsesMax uses those seen longest ago are not kept.
const (
	SummaryEvery    = 10 * time.Minute
	summaryDocument = "u:seen"
	summaryWait     = 2 * time.Second // at a stop
)

// takeSummary takes over what was kept before this start; reports whether the document is a summary.
func (b *Broker) takeSummary(e *catalog.Entry) bool {
	if e.Name.Kind != catalog.Contract || e.Name.Name != summaryDocument {
		return false
	}
	x := &b.catalogue
	if !x.opened.Load() { // later ones are our own
		if err := x.ledger.Restore(e.Name.Namespace, e.Document); err != nil {
			b.opt.Log.Warn("what was seen of producers and consumers before cannot be read; it is counted anew", "error", err)
		}
		x.kept[e.Name.Namespace] = string(e.Document)
	}
	return true
}

func (b *Broker) startSummaries() {
	ctx, cancel := context.WithCancel(context.Background())
	b.catalogue.cancel, b.catalogue.done = cancel, make(chan struct{})
	go func() {
		defer close(b.catalogue.done)
		for clock.Sleep(ctx, SummaryEvery) == nil {
			b.Job("catalogue", b.keepSummaries(ctx))
		}
	}()
}

func (b *Broker) stopSummaries() {
	if b.catalogue.cancel == nil {
		return
	}
	b.catalogue.cancel()
	<-b.catalogue.done
	ctx, cancel := context.WithTimeout(context.Background(), summaryWait)
	defer cancel()
	if err := b.keepSummaries(ctx); err != nil {
		b.opt.Log.Info("what was seen of producers and consumers since the last summary is lost", "error", err)
	}
}

// keepSummaries writes what has changed.
func (b *Broker) keepSummaries(ctx context.Context) error {
	x := &b.catalogue
	if full := b.diskReserve(); full != nil {
		return full
	}
	var errs []error
	for _, namespace := range x.ledger.Namespaces() {
		doc, err := x.ledger.Summary(namespace)
		if err != nil || x.kept[namespace] == string(doc) {
			errs = append(errs, err)
			continue
		}
		cmd := &shard.ChangeDocuments{Put: []shard.NamedDocument{{Name: catalog.Name{Kind: catalog.Contract, Namespace: namespace, Name: summaryDocument}, Document: doc}}}
		if _, err = b.shards[b.shardOf(namespace)].Do(ctx, cmd); err == nil {
			x.kept[namespace] = string(doc)
		}
		if fault.Is(err, fault.Unavailable) && ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
