package broker

import (
	"context"
	"strconv"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// Headers of a dead letter, besides those of the event it is a copy of.
const (
	HeaderDeadSubscription = "leat-dead-subscription"
	HeaderDeadReason       = "leat-dead-reason"   // rejected, exhausted, expired, overflown
	HeaderDeadAttempts     = "leat-dead-attempts" // how often it was handed over
	HeaderDeadOrigin       = "leat-dead-origin"   // its ref
	HeaderDeadTime         = "leat-dead-time"     // ms since 1970
)

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
	r := *d.Record
	r.Headers = nil
	for _, h := range d.Record.Headers {
		switch h.Key {
		case HeaderDeadSubscription, HeaderDeadReason, HeaderDeadAttempts, HeaderDeadOrigin, HeaderDeadTime, HeaderDeliverAt, HeaderExpiresAt,
			HeaderDeadStatus, HeaderDeadAnswer, HeaderDeadError:
		default:
			r.Headers = append(r.Headers, h)
		}
	}
	for _, h := range [...][2]string{
		{HeaderDeadSubscription, x.name},
		{HeaderDeadReason, v.Reason.String()},
		{HeaderDeadAttempts, strconv.Itoa(int(v.Attempts))},
		{HeaderDeadOrigin, origin.String()},
		{HeaderDeadTime, strconv.FormatInt(b.nowMS(), 10)},
	} {
		r.Headers = append(r.Headers, record.Header{Key: h[0], Value: []byte(h[1])})
	}
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
	if x.doc.DeadLetters == "" {
		return nil, next, false, nil
	}
	p, err := b.ReadPage(ctx, c, PageRequest{Streams: []string{x.doc.DeadLetters}, From: from, Limit: limit})
	if err != nil {
		return nil, next, false, err
	}
	for _, d := range p.Events {
		if l, ok := readDead(d, name); ok {
			ls = append(ls, l)
		}
	}
	return ls, p.Next, !p.CaughtUp, nil
}

// Replay hands dead letters to their subscription again, and to no other; refs are those of the copies, so that a mended copy counts. It
// answers how many were brought back: those that wait already are left as they are.
func (b *Broker) Replay(ctx context.Context, c *Caller, name string, refs []record.Ref) (int, error) {
	x, err := b.findSubscription(c, "replay", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	if len(refs) > subscription.ReviveMax {
		return 0, fault.New(fault.TooLarge, "replay", name, "%d at once; the limit is %d", len(refs), subscription.ReviveMax)
	}
	byPlace := map[subscription.Place]*shard.Revive{}
	for _, r := range refs {
		d, err := b.ReadRef(ctx, c, r)
		if err != nil {
			return 0, err
		}
		l, ok := readDead(d, name)
		i := -1
		for k, s := range x.doc.Streams {
			if s == l.Origin.Stream {
				i = k
			}
		}
		copied := b.names.get(x.namespace, r.Stream)
		if !ok || i < 0 || copied == nil {
			return 0, fault.New(fault.Invalid, "replay", r.String(), "%s is no dead letter of the subscription", r)
		}
		at := subscription.Place{Stream: x.doc.StreamIDs[i], Partition: l.Origin.Partition}
		if byPlace[at] == nil {
			byPlace[at] = &shard.Revive{Sub: x.id, At: at}
		}
		m := subscription.Meta{Offset: l.Origin.Offset, Seq: d.Position.Seq, AppendedMS: d.AppendTime, Size: int32(min(recordBytes(d.Record), 1<<30))}
		if d.Record.Key != nil {
			m.Key = keyHash(d.Record.Key)
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

// tellGap says that events went before a subscription had them.
func (b *Broker) tellGap(sh int, g subscription.Gap) {
	x := b.subs.of(sh, g.Sub)
	if x == nil {
		return
	}
	b.System(SystemEvent{Type: TypeSubscriptionGap, Subject: x.name, Caller: platformIn(x.namespace), Data: map[string]any{
		"namespace": x.namespace, "stream": b.streamOf(x, g.At.Stream).name, "partition": g.At.Partition, "from": g.From, "to": g.To, "events": g.Lost.Count, "more": g.More,
	}})
}
