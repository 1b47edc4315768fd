package broker

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// Headers of a dead letter, besides those of the event it is a copy of. Whoever is handed the letter again does not see them.
const (
	HeaderDeadSubscription = "leat-dead-subscription"
	HeaderDeadReason       = "leat-dead-reason"   // rejected, exhausted, expired, overflown
	HeaderDeadAttempts     = "leat-dead-attempts" // how often it was handed over
	HeaderDeadOrigin       = "leat-dead-origin"   // its ref
	HeaderDeadTime         = "leat-dead-time"     // ms since 1970
	HeaderDeadSubject      = "leat-dead-subject"  // the subject it had where the letter has another; null: it had none
	HeaderDeadKey          = "leat-dead-key"      // likewise
	HeaderDeaths           = "leat-deaths"        // JSON, see PastDeath: this and the deaths before, also of other subscriptions, the last one first
)

// deadPrefix begins the headers that a dead letter has and its event does not.
const deadPrefix = "leat-dead-"

// Limits of dead letters.
const (
	DeadSubjectBytesMax = 4 << 10
	DeathsMax           = 16 // in HeaderDeaths; the oldest go
	ReplayRateMax       = 100_000
)

// PastDeath is how often a subscription has given up an event, or what became of it on its way back, for a reason.
type PastDeath struct {
	Subscription string `json:"subscription"`
	Reason       string `json:"reason"`
	Count        int    `json:"count"`
	Stream       string `json:"stream"`            // where it was then
	Subject      string `json:"subject,omitempty"` // and with what subject
	TimeMS       int64  `json:"time_ms"`           // of the first one
}

// Deaths reads HeaderDeaths of a record, the last death first. A record with none has none, nor has one with something else there.
func Deaths(r *record.Record) []PastDeath {
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Key == HeaderDeaths {
			var ds []PastDeath
			if json.Unmarshal(h.Value, &ds) == nil && len(ds) <= DeathsMax {
				return ds
			}
		}
	}
	return nil
}

// die adds a death: of the same subscription and reason there is one, with how often.
func die(ds []PastDeath, d PastDeath) []PastDeath {
	d.Count = 1
	for i := range ds {
		if ds[i].Subscription == d.Subscription && ds[i].Reason == d.Reason {
			d.Count, d.TimeMS = ds[i].Count+1, ds[i].TimeMS
			ds = slices.Delete(ds, i, i+1)
			break
		}
	}
	ds = slices.Insert(ds, 0, d)
	return ds[:min(len(ds), DeathsMax)]
}

// revive takes the last death away again. The time of one that came before stays that of the first.
func revive(ds []PastDeath) []PastDeath {
	if len(ds) > 0 {
		if ds[0].Count--; ds[0].Count <= 0 {
			ds = ds[1:]
		}
	}
	return ds
}

// DeadLetter is an event that a subscription has given up.
type DeadLetter struct {
	*Delivered   // the copy
	Subscription string
	Reason       string
	Attempts     int
	Origin       record.Ref
	Died         time.Time
}

// bury copies a record to where dead letters go and settles it, in one frame. When it does not come to that, it is asked again.
func (b *Broker) bury(sh int, v subscription.Burial) {
	x := b.subs.of(sh, v.Sub)
	if x == nil {
		return
	}
	for range resolveTriesMax {
		cmd, err := b.burial(x, v)
		if err == nil {
			_, err = b.shards[sh].Do(b.choreContext(), cmd)
		}
		if err != nil {
			b.opt.Log.Warn("a dead letter could not be written; it is tried again", "subscription", x.name, "error", err)
			return
		}
		if cmd.Stale == stream.Fresh {
			if err := cmd.refusal(); err != nil {
				b.opt.Log.Warn("a dead letter was refused; it is tried again", "subscription", x.name, "error", err)
			} else {
				b.subs.causes.forget(causeKey{sh, v.Sub, v.At})
			}
			return
		}
	}
}

type buryCommand struct{ *shard.Bury }

func (c *buryCommand) refusal() error {
	for i := range c.Outcomes {
		if c.Outcomes[i].Err != nil {
			return c.Outcomes[i].Err
		}
	}
	return nil
}

// burial makes the command. Without a stream for it, or a record, the record is only settled.
func (b *Broker) burial(x *subscribed, v subscription.Burial) (*buryCommand, error) {
	cmd := &buryCommand{&shard.Bury{Burial: v}}
	cmd.Atomic = true
	if x.doc.DropExpired && v.Reason == subscription.Expired {
		return cmd, nil
	}
	u, there := b.undertaker(x)
	if !there {
		return nil, fault.New(fault.Unavailable, "bury", x.name, "%s is not running, which is to say what becomes of it", x.doc.Undertaker)
	}
	to := b.names.get(x.namespace, x.doc.DeadLetters)
	if to == nil && u == nil {
		return cmd, nil
	}
	cmd.Origin = platformIn(x.namespace).origin()
	cmd.ResolvedAt = b.shards[x.shard].Published().Seq()
	d, err := b.readLying(x, v.Lies)
	if err == nil {
		d = b.asOf(x, v.At, v.Lies, d)
	}
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Trimmed) {
		return cmd, nil
	}
	if err != nil {
		return nil, err
	}
	if u != nil {
		return cmd, b.undertake(x, &cmd.Append, u(b.death(x, v, d)))
	}
	e, err := b.deadEntry(x, to, v, d)
	if err != nil {
		return nil, err
	}
	if err := b.resolveKeys(&cmd.Append, &e, to); err != nil {
		return nil, err
	}
	cmd.Entries = []stream.Entry{e}
	return cmd, b.reach(x.shard, &cmd.Append)
}

// undertake adds what an undertaker made to the command. Events for streams that are not there are dropped.
func (b *Broker) undertake(x *subscribed, cmd *shard.Append, events []EventEntry) error {
	for i := range events {
		to := b.names.get(x.namespace, events[i].Stream)
		if to == nil {
			continue
		}
		e, err := b.entryTo(to, &events[i].Record)
		if err != nil {
			return err
		}
		if err := b.resolveKeys(cmd, &e, to); err != nil {
			return err
		}
		cmd.Entries = append(cmd.Entries, e)
	}
	if len(cmd.Entries) == 0 {
		return nil
	}
	return b.reach(x.shard, cmd)
}

// deadEntry makes the batch of a dead letter.
func (b *Broker) deadEntry(x *subscribed, to *named, v subscription.Burial, d *Delivered) (e stream.Entry, err error) {
	origin := record.Ref{Stream: b.streamOf(x, v.Stream).name, Partition: v.Partition, Offset: v.Offset}
	now := b.nowMS()
	r := *d.Record
	r.Headers = make([]record.Header, 0, len(d.Record.Headers)+8)
	var was record.Header // its subject
	for _, h := range d.Record.Headers {
		switch h.Key {
		case HeaderDeaths, HeaderDeliverAt, HeaderExpiresAt:
		case headerSubject:
			if was = h; x.doc.DeadSubject == nil {
				r.Headers = append(r.Headers, h)
			}
		default:
			if !strings.HasPrefix(h.Key, deadPrefix) {
				r.Headers = append(r.Headers, h)
			}
		}
	}
	say := func(name string, value []byte) { r.Headers = append(r.Headers, record.Header{Key: name, Value: value}) }
	if s := x.doc.DeadSubject; s != nil {
		if *s != "" {
			say(headerSubject, []byte(*s))
		}
		say(HeaderDeadSubject, was.Value)
	}
	if k := x.doc.DeadKey; k != nil {
		say(HeaderDeadKey, r.Key)
		if r.Key = nil; *k != "" {
			r.Key = []byte(*k)
		}
	}
	say(HeaderDeadSubscription, []byte(x.name))
	say(HeaderDeadReason, []byte(v.Reason.String()))
	say(HeaderDeadAttempts, strconv.AppendInt(nil, int64(v.Attempts), 10))
	say(HeaderDeadOrigin, []byte(origin.String()))
	say(HeaderDeadTime, strconv.AppendInt(nil, now, 10))
	deaths, err := json.Marshal(die(Deaths(d.Record), PastDeath{Subscription: x.name, Reason: v.Reason.String(), Stream: origin.Stream, Subject: string(was.Value), TimeMS: now}))
	if err != nil {
		return e, err
	}
	say(HeaderDeaths, deaths)
	r.Headers = append(r.Headers, b.subs.causes.cause(causeKey{x.shard, x.id, v.At})...)
	return b.entryTo(to, &r)
}

// entryTo makes a batch of a record for a stream.
func (b *Broker) entryTo(to *named, r *record.Record) (e stream.Entry, err error) {
	batch, err := record.BuildBatch([]record.Record{*r})
	if err != nil {
		return e, err
	}
	if to.config.TimeOf == TimeOfAppend {
		record.StampAppendTime(batch, b.nowMS())
	}
	h, err := record.ParseBatchHeader(batch)
	if err != nil {
		return e, err
	}
	p := b.partitionFor(to, r.Key, nil)
	return stream.Entry{Stream: to.id, Partition: p, Header: h, Batch: batch}, nil
}

// headerSubject is where a record has its subject.
const headerSubject = "ce_subject"

// asOf is a record that was read from a copy as it was where it came from: its ref is that, and what the copy has besides is left out.
func (b *Broker) asOf(x *subscribed, at, lies subscription.At, d *Delivered) *Delivered {
	if at == lies {
		return d
	}
	n := b.streamOf(x, at.Stream)
	r := *d.Record
	r.Headers = make([]record.Header, 0, len(d.Record.Headers))
	if k := len(d.Record.Headers) - 1; k >= 0 && d.Record.Headers[k].Key == HeaderAside && d.Ref.Stream == AsideStream {
		r.Headers = append(r.Headers, d.Record.Headers[:k]...)
		return &Delivered{
			Position: d.Position, Ref: record.Ref{Stream: n.name, Partition: at.Partition, Offset: at.Offset}, AppendTime: d.AppendTime, Record: &r, from: n,
		}
	}
	for _, h := range d.Record.Headers {
		switch h.Key {
		case HeaderDeadSubject:
			r.Headers = slices.DeleteFunc(r.Headers, func(h record.Header) bool { return h.Key == headerSubject })
			if h.Value != nil {
				r.Headers = append(r.Headers, record.Header{Key: headerSubject, Value: h.Value})
			}
		case HeaderDeadKey:
			r.Key = h.Value
		case HeaderDeaths:
			if ds := revive(Deaths(d.Record)); len(ds) > 0 {
				text, _ := json.Marshal(ds) // a list of structs of numbers and strings
				r.Headers = append(r.Headers, record.Header{Key: HeaderDeaths, Value: text})
			}
		default:
			if !strings.HasPrefix(h.Key, deadPrefix) {
				r.Headers = append(r.Headers, h)
			}
		}
	}
	return &Delivered{
		Position: d.Position, Ref: record.Ref{Stream: n.name, Partition: at.Partition, Offset: at.Offset}, AppendTime: d.AppendTime, Record: &r, from: n,
	}
}

// readDead reads a dead letter's headers; false when it is none of the subscription.
func readDead(d *Delivered, name string) (l DeadLetter, ok bool) {
	l.Delivered = d
	for _, h := range d.Record.Headers {
		v := string(h.Value)
		switch h.Key {
		case HeaderDeadSubscription:
			l.Subscription = v
		case HeaderDeadReason:
			l.Reason = v
		case HeaderDeadAttempts:
			l.Attempts, _ = strconv.Atoi(v)
		case HeaderDeadOrigin:
			if r, err := record.ParseRef(v); err == nil {
				l.Origin = r
			}
		case HeaderDeadTime:
			l.Died = time.UnixMilli(timeHeader(h.Value))
		}
	}
	return l, l.Subscription == name && l.Origin.Stream != ""
}

// DeadLetters is a page of a subscription's dead letters, from the position on that the page before has ended with. It takes the right to read the
// subscription and the stream of its dead letters.
func (b *Broker) DeadLetters(ctx context.Context, c *Caller, name string, from Start, limit int) (ls []DeadLetter, next record.Position, more bool, err error) {
	x, err := b.findSubscription(c, "read", ActionRead, name)
	if err != nil {
		return nil, next, false, err
	}
	lie := x.deadStream()
	to := b.names.get(x.namespace, lie)
	if lie == "" || to == nil && x.doc.DeadLetters == "" {
		return nil, next, false, nil
	}
	p, err := b.ReadPage(ctx, c, PageRequest{Streams: []string{lie}, From: from, Limit: limit})
	if err != nil {
		return nil, next, false, err
	}
	for _, d := range p.Events {
		if l, ok := readDead(d, name); ok && !x.dropped(to, d.Ref) {
			ls = append(ls, l)
		}
	}
	return ls, p.Next, !p.CaughtUp, nil
}

// Replay hands dead letters to their subscription again, and to no other; refs are those of the copies, so that a mended copy counts. It
// answers how many were brought back: those that wait already are left as they are. With perSecond other than 0 they come no faster than that, in the
// order given; what is not due yet is delayed, like any other event, and can be cancelled.
func (b *Broker) Replay(ctx context.Context, c *Caller, name string, refs []record.Ref, perSecond int) (int, error) {
	x, err := b.findSubscription(c, "replay", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	if x.doc.Policy.Kind == SubscriptionCursor {
		return 0, fault.New(fault.Invalid, "replay", "to", "the subscription keeps positions, so nothing can be handed to it out of order: say which stream the events are to be appended to again")
	}
	if len(refs) > subscription.ReviveMax {
		return 0, fault.New(fault.TooLarge, "replay", name, "%d at once; the limit is %d", len(refs), subscription.ReviveMax)
	}
	if perSecond < 0 || perSecond > ReplayRateMax {
		return 0, fault.New(fault.Invalid, "replay", "per_second", "%d a second; from 1 to %d can be asked for, and 0 for all at once", perSecond, ReplayRateMax)
	}
	return b.replay(ctx, c, x, refs, perSecond, 0)
}

// replay replays letters, of which so many went before at that rate.
func (b *Broker) replay(ctx context.Context, c *Caller, x *subscribed, refs []record.Ref, perSecond, before int) (int, error) {
	byPlace := map[subscription.Place]*shard.Revive{}
	now := b.nowMS()
	for i, r := range refs {
		d, err := b.ReadRef(ctx, c, r)
		if err != nil {
			return 0, err
		}
		l, ok := readDead(d, x.name)
		from := slices.Index(x.doc.Streams, l.Origin.Stream)
		copied := b.names.get(x.namespace, r.Stream)
		if !ok || from < 0 || copied == nil {
			return 0, fault.New(fault.Invalid, "replay", r.String(), "%s is no dead letter of the subscription", r)
		}
		at := subscription.Place{Stream: x.doc.StreamIDs[from], Partition: l.Origin.Partition}
		if byPlace[at] == nil {
			byPlace[at] = &shard.Revive{Sub: x.id, At: at}
		}
		m := subscription.Meta{Offset: l.Origin.Offset, Seq: d.Position.Seq, AppendedMS: d.AppendTime, Size: int32(min(recordBytes(d.Record), 1<<30))}
		if key := asItWas(d.Record); key != nil {
			m.Key = keyHash(key)
		}
		if perSecond > 0 {
			m.DueMS = now + int64(before+i)*1000/int64(perSecond)
		}
		byPlace[at].Revivals = append(byPlace[at].Revivals, subscription.Revival{Meta: m, Lies: subscription.At{
			Place: subscription.Place{Stream: copied.id, Partition: r.Partition}, Offset: r.Offset,
		}})
	}
	n := 0
	for _, cmd := range byPlace {
		if _, err := b.shards[x.shard].Do(ctx, cmd); err != nil {
			return n, err
		}
		n += cmd.Revived
	}
	return n, nil
}

// asItWas is the key that the event of a dead letter had.
func asItWas(r *record.Record) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == HeaderDeadKey {
			return r.Headers[i].Value
		}
	}
	return r.Key
}
