package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// AuditQuery asks who did what. Exactly one of Ref, Stream and Principal is set.
type AuditQuery struct {
	Ref       string
	Stream    string
	Principal string
	Since     int64  // ms, of append; 0: all
	From      string // Next of the answer before; "" begins
	Limit     int    // most changes told; 0: AuditChangesDefault
}

// Limits of one answer.
const (
	AuditChangesDefault = 100
	AuditChangesMax     = 1000

	auditPartitionsMax = 10_000 // partitions looked at
	auditPagesMax      = 10     // of the system stream, each of Config.PageScanMax events
)

// AuditOrigin is who, through what.
type AuditOrigin struct {
	Principal string `json:"principal,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	Listener  string `json:"listener,omitempty"`
	Client    string `json:"client,omitempty"`
}

// AuditEvent is what is known of how one event came to be stored.
type AuditEvent struct {
	AuditOrigin
	Ref      string         `json:"ref"`
	ID       string         `json:"id"`
	Source   string         `json:"source"`
	Type     string         `json:"type"`
	Appended string         `json:"appended"` // RFC 3339
	Position string         `json:"position"`
	Producer *AuditProducer `json:"producer,omitempty"` // the idempotent one, if it was
}

// AuditProducer is an idempotent producer, and the place of the event's batch in what it sent.
type AuditProducer struct {
	ID       int64 `json:"id"`
	Epoch    int16 `json:"epoch"`
	Sequence int32 `json:"sequence"`
}

// AuditAppends sums up what one origin appended to one stream. Writes counts runs: batches of one origin in one frame that lie together.
type AuditAppends struct {
	AuditOrigin
	Stream    string `json:"stream"`
	Events    int64  `json:"events"`
	Bytes     int64  `json:"bytes"`
	Writes    int64  `json:"writes"`
	First     string `json:"first"` // time of append, RFC 3339
	Last      string `json:"last"`
	FirstRef  string `json:"first_ref"`
	LastRef   string `json:"last_ref"`
	firstTime int64
	lastTime  int64
}

// AuditChange is one event of the system stream.
type AuditChange struct {
	Time    string          `json:"time"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Ref     string          `json:"ref"`
	Data    json.RawMessage `json:"data"`
}

// Audit is the answer. Appends of answers that follow each other by Next belong together and are to be summed up by origin and stream.
type Audit struct {
	Event         *AuditEvent    `json:"event,omitempty"`
	Appends       []AuditAppends `json:"appends,omitempty"`
	Changes       []AuditChange  `json:"changes,omitempty"`        // newest first; only in the first answer
	ChangesMore   bool           `json:"changes_more,omitempty"`   // there are older ones
	ChangesHidden bool           `json:"changes_hidden,omitempty"` // the caller may not read the system stream
	Next          string         `json:"next,omitempty"`           // where to go on; "" at the end
}

// Audit answers who did what. Of streams it tells what the caller may read, of changes what it may read of the system stream. The work of
// one answer is bounded; Next goes on.
func (b *Broker) Audit(ctx context.Context, c *Caller, q AuditQuery) (Audit, error) {
	asked := 0
	for _, s := range []string{q.Ref, q.Stream, q.Principal} {
		if s != "" {
			asked++
		}
	}
	switch {
	case asked != 1:
		return Audit{}, fault.New(fault.Invalid, "audit", "ref", "ask about one of ref, stream and principal")
	case q.Limit < 0 || q.Limit > AuditChangesMax:
		return Audit{}, fault.New(fault.Invalid, "audit", "limit", "limit is %d; it must be between 1 and %d", q.Limit, AuditChangesMax)
	}
	if q.Limit == 0 {
		q.Limit = AuditChangesDefault
	}
	switch {
	case q.Ref != "":
		return b.auditRef(ctx, c, q.Ref)
	case q.Stream != "":
		return b.auditStream(ctx, c, &q)
	default:
		return b.auditPrincipal(ctx, c, &q)
	}
}

func auditOrigin(o stream.Origin) AuditOrigin {
	return AuditOrigin{Principal: o.Principal, Gateway: o.Protocol, Listener: o.Listener, Client: o.Client}
}

func auditTime(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// auditRef tells of one event.
func (b *Broker) auditRef(ctx context.Context, c *Caller, text string) (Audit, error) {
	ref, err := record.ParseRef(text)
	if err != nil {
		return Audit{}, err
	}
	d, err := b.ReadRef(ctx, c, ref)
	if err != nil {
		return Audit{}, err
	}
	src, pub, _, err := b.source(c, ref.Stream, ref.Partition)
	if err != nil {
		return Audit{}, err
	}
	e := d.Event()
	out := &AuditEvent{
		Ref: text, ID: e.ID, Source: e.Source, Type: e.Type, Appended: auditTime(d.AppendTime), Position: d.Position.String(),
	}
	o, _, err := pub.Origin(src, ref.Offset)
	if err != nil {
		return Audit{}, err
	}
	out.AuditOrigin = auditOrigin(o)
	batches, err := pub.ReadStored(nil, src, ref.Offset, 1, shard.AllSeqs)
	if err != nil {
		return Audit{}, err
	}
	if len(batches) > 0 {
		h, err := record.ParseBatchHeader(batches[0].Raw)
		if err != nil {
			return Audit{}, err
		}
		if h.ProducerID >= 0 {
			out.Producer = &AuditProducer{ID: h.ProducerID, Epoch: h.ProducerEpoch, Sequence: h.BaseSequence}
		}
	}
	return Audit{Event: out}, nil
}

func (b *Broker) auditStream(ctx context.Context, c *Caller, q *AuditQuery) (Audit, error) {
	if err := b.allow(c, "audit", ActionRead, KindStream, q.Stream); err != nil {
		return Audit{}, err
	}
	var a Audit
	n, missing := b.find(c, "audit", q.Stream)
	if n != nil {
		w, err := b.newAuditWalk(q, nil)
		if err != nil {
			return Audit{}, err
		}
		if err := w.streams(ctx, []*named{n}); err != nil {
			return Audit{}, err
		}
		a.Appends, a.Next = w.result()
	}
	if q.From != "" {
		return a, missing
	}
	ns := c.namespace()
	err := b.auditChanges(ctx, c, q, &a, PageRequest{Key: []byte(q.Stream)}, func(e *record.Event) bool {
		var data struct{ Namespace string }
		return strings.HasPrefix(e.Type, "leat.stream.") && json.Unmarshal(e.Data, &data) == nil && data.Namespace == ns
	})
	if err == nil && n == nil && len(a.Changes) == 0 {
		err = missing // there is not, and has not been as far as is known
	}
	return a, err
}

func (b *Broker) auditPrincipal(ctx context.Context, c *Caller, q *AuditQuery) (Audit, error) {
	w, err := b.newAuditWalk(q, func(o *stream.Origin) bool { return o.Principal == clip(q.Principal) })
	if err != nil {
		return Audit{}, err
	}
	if err := w.streams(ctx, b.readable(c)); err != nil {
		return Audit{}, err
	}
	var a Audit
	a.Appends, a.Next = w.result()
	if q.From != "" {
		return a, nil
	}
	return a, b.auditChanges(ctx, c, q, &a, PageRequest{}, func(e *record.Event) bool {
		var data struct{ Principal string }
		return json.Unmarshal(e.Data, &data) == nil && data.Principal == clip(q.Principal)
	})
}

// readable are the streams of the caller's namespace that it may read, by name.
func (b *Broker) readable(c *Caller) []*named {
	ns, may := c.namespace(), b.allowed(c, ActionRead, KindStream)
	var out []*named
	b.names.mu.RLock()
	for k, n := range b.names.streams {
		if k.namespace == ns && may(k.name) {
			out = append(out, n)
		}
	}
	b.names.mu.RUnlock()
	slices.SortFunc(out, func(x, y *named) int { return strings.Compare(x.name, y.name) })
	return out
}

// auditChanges adds what the system stream says, newest first.
func (b *Broker) auditChanges(ctx context.Context, c *Caller, q *AuditQuery, a *Audit, page PageRequest, about func(*record.Event) bool) error {
	in := *c
	in.Namespace = DefaultNamespace
	if !b.Allowed(&in, ActionRead, KindStream, SystemStream) {
		a.ChangesHidden = true
		return nil
	}
	if b.names.get(DefaultNamespace, SystemStream) == nil {
		return nil
	}
	older := false
	page.Streams, page.Backward, page.From, page.Limit = []string{SystemStream}, true, Start{Kind: StartLatest}, q.Limit+1
	page.Limit = min(page.Limit, PageLimitMax)
	page.Match = func(d *Delivered) (bool, error) {
		if d.Record.Timestamp < q.Since { // when it happened; it may have been appended later
			older = older || d.AppendTime < q.Since
			return false, nil
		}
		e := d.Event()
		return about(&e), nil
	}
	for range auditPagesMax {
		p, err := b.ReadPage(ctx, &in, page)
		if err != nil {
			return err
		}
		for _, d := range p.Events {
			if len(a.Changes) == q.Limit {
				a.ChangesMore = true
				return nil
			}
			e := d.Event()
			a.Changes = append(a.Changes, AuditChange{Time: e.Time, Type: e.Type, Subject: e.Subject, Ref: d.Ref.String(), Data: json.RawMessage(e.Data)})
		}
		if p.CaughtUp || older {
			return nil
		}
		page.From = Start{Kind: StartPosition, Position: p.Next}
	}
	a.ChangesMore = true
	return nil
}

// auditWalk sums up runs by stream and origin. It goes from partition to partition in the order of streams' names, and stops where its
// budget ends: the place is a ref, from which the next answer goes on.
type auditWalk struct {
	b          *Broker
	since      int64
	from       record.Ref // the first place to look at; Stream "" is the start
	who        func(*stream.Origin) bool
	runs       int
	partitions int
	next       string
	sums       map[auditKey]*AuditAppends
}

type auditKey struct {
	stream record.StreamID
	origin stream.Origin
}

func (b *Broker) newAuditWalk(q *AuditQuery, who func(*stream.Origin) bool) (*auditWalk, error) {
	w := &auditWalk{b: b, since: q.Since, who: who, runs: b.cfg.AuditScanMax, partitions: auditPartitionsMax, sums: map[auditKey]*AuditAppends{}}
	if q.From == "" {
		return w, nil
	}
	ref, err := record.ParseRef(q.From)
	if err != nil {
		return nil, fault.New(fault.Invalid, "audit", "from", "%q is not the next of an answer before", q.From)
	}
	w.from = ref
	return w, nil
}

func (w *auditWalk) streams(ctx context.Context, all []*named) error {
	for _, n := range all {
		if n.name < w.from.Stream {
			continue
		}
		pub := w.b.shards[n.shard].Published()
		st, ok := pub.Stream(n.id)
		if !ok {
			continue // deleted meanwhile
		}
		origins := map[uint32]stream.Origin{} // numbers are of a shard
		for p := range record.PartitionID(st.Partitions) {
			if n.name == w.from.Stream && p < w.from.Partition {
				continue
			}
			src, ok := pub.Source(n.id, p)
			if !ok {
				break
			}
			if done, err := w.partition(ctx, pub, n, src, origins); done || err != nil {
				return err
			}
		}
	}
	return nil
}

// partition walks one partition; done when the budget has ended.
func (w *auditWalk) partition(ctx context.Context, pub *shard.Published, n *named, src shard.Source, origins map[uint32]stream.Origin) (done bool, err error) {
	from, end := src.Part.Ends()
	if n.name == w.from.Stream && src.Partition == w.from.Partition {
		from = max(from, w.from.Offset)
	}
	if w.partitions--; w.partitions < 0 {
		w.next = record.Ref{Stream: n.name, Partition: src.Partition, Offset: from}.String()
		return true, nil
	}
	if from >= end {
		return false, nil
	}
	if w.since > 0 {
		run, ok, err := pub.Seek(src, func(r *stream.Run) bool { return r.TimeMS >= w.since })
		if err != nil || !ok {
			return false, err
		}
		from = max(from, run.Base)
	}
	var failed error
	err = pub.Walk(src, from, func(r *stream.Run) bool {
		if r.Base >= end {
			return false
		}
		from = max(r.Base, from)
		if w.runs--; w.runs < 0 {
			w.next, done = record.Ref{Stream: n.name, Partition: src.Partition, Offset: from}.String(), true
			return false
		}
		if w.runs%1024 == 0 && ctx.Err() != nil {
			failed = ctx.Err()
			return false
		}
		o, ok := origins[r.Origin]
		if !ok {
			if o, failed = pub.OriginOf(r.Origin); failed != nil {
				return false
			}
			origins[r.Origin] = o
		}
		w.add(n, src.Partition, r, from, o)
		from = r.Next
		return true
	})
	return done, cmp.Or(failed, err)
}

// add counts a run from an offset of it on.
func (w *auditWalk) add(n *named, p record.PartitionID, r *stream.Run, from record.Offset, o stream.Origin) {
	if w.who != nil && !w.who(&o) {
		return
	}
	s := w.sums[auditKey{n.id, o}]
	if s == nil {
		s = &AuditAppends{AuditOrigin: auditOrigin(o), Stream: n.name, firstTime: r.TimeMS, lastTime: r.TimeMS}
		s.FirstRef = record.Ref{Stream: n.name, Partition: p, Offset: from}.String()
		s.LastRef = record.Ref{Stream: n.name, Partition: p, Offset: r.Next - 1}.String()
		w.sums[auditKey{n.id, o}] = s
	}
	s.Events += int64(r.Next - from)
	s.Bytes += r.Bytes
	s.Writes++
	if r.TimeMS < s.firstTime {
		s.firstTime, s.FirstRef = r.TimeMS, record.Ref{Stream: n.name, Partition: p, Offset: from}.String()
	}
	if r.TimeMS >= s.lastTime {
		s.lastTime, s.LastRef = r.TimeMS, record.Ref{Stream: n.name, Partition: p, Offset: r.Next - 1}.String()
	}
}

// result are the sums, by stream and then by who came first.
func (w *auditWalk) result() (out []AuditAppends, next string) {
	for _, s := range w.sums {
		s.First, s.Last = auditTime(s.firstTime), auditTime(s.lastTime)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y AuditAppends) int {
		return cmp.Or(cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.firstTime, y.firstTime), cmp.Compare(x.Principal, y.Principal),
			cmp.Compare(x.Gateway, y.Gateway), cmp.Compare(x.Listener, y.Listener), cmp.Compare(x.Client, y.Client))
	})
	return out, w.next
}
