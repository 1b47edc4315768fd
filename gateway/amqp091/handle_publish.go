package amqp091

import (
	"bytes"
	"context"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// gathered are publishes and acknowledgements that have come and are not done.
type gathered struct {
	publishes []publish
	acks      []broker.Handle
}

type publish struct {
	ch      *channel
	number  uint64 // of its confirmation, 0: none
	entry   broker.EventEntry
	content session.Content // of a mandatory one
}

// gatherMax is how many publishes and acknowledgements are done together at most.
const gatherMax = 500

func (g *gathered) full() bool { return len(g.publishes) >= gatherMax || len(g.acks) >= gatherMax }

// publish gathers a message. It is numbered at once: confirmations count from the order in which messages come.
func (k *conn) publish(s session.Step) error {
	ch := k.channels[s.Channel]
	p := publish{ch: ch, entry: entryOf(s.Content)}
	if ch.confirms != nil {
		k.mu.Lock()
		p.number = ch.confirms.Publish()
		k.mu.Unlock()
	}
	if s.Content.Mandatory {
		p.content = session.Content{
			Exchange: bytes.Clone(s.Content.Exchange), RoutingKey: bytes.Clone(s.Content.RoutingKey), Mandatory: true,
			RawProperties: bytes.Clone(s.Content.RawProperties), Body: p.entry.Record.Value,
		}
	}
	k.gathered.publishes = append(k.gathered.publishes, p)
	return nil
}

// settle does what was gathered: publishes in one append, in their order, then acknowledgements. An error ends the connection: when it is
// not known whether messages were stored, neither ack nor nack would be true.
func (k *conn) settle(ctx context.Context) error {
	g := &k.gathered
	if len(g.publishes) > 0 {
		if err := k.appendAll(ctx, g.publishes); err != nil {
			return err
		}
		clear(g.publishes)
		g.publishes = g.publishes[:0]
	}
	if k.s.HeldBytes() == 0 {
		k.freeFrames()
	}
	if len(g.acks) > 0 {
		begun := clock.Now()
		var err error
		for hs := g.acks; len(hs) > 0 && err == nil; { // one that says "multiple" may be many
			n := min(len(hs), broker.SettleMax)
			_, err = k.g.b.Ack(ctx, k.caller, hs[:n])
			hs = hs[n:]
		}
		k.ops[wire.IDBasicAck].Done(clock.Since(begun), err)
		g.acks = g.acks[:0]
		return err
	}
	return nil
}

// appendAll appends publishes together; where that is refused one by one, so that each has its own answer.
func (k *conn) appendAll(ctx context.Context, ps []publish) error {
	events := make([]broker.EventEntry, len(ps))
	for i := range ps {
		if _, is := predeclared[exchangeOf(ps[i].entry.Stream)]; is {
			if _, err := k.exchangeStream(ctx, exchangeOf(ps[i].entry.Stream)); err != nil && !fault.Is(err, fault.Denied) {
				return err
			}
		}
		events[i] = ps[i].entry
	}
	begun := clock.Now()
	_, err := k.g.b.AppendEvents(ctx, k.caller, broker.EventsAppend{Events: events, Reserved: begun})
	for range ps {
		k.ops[wire.IDBasicPublish].Done(clock.Since(begun), err)
	}
	if err == nil {
		return k.published(ctx, ps)
	}
	if fault.Is(err, fault.Unknown) || ctx.Err() != nil {
		return err
	}
	for i := range ps {
		if k.channels[ps[i].ch.number] != ps[i].ch {
			continue // a message before it has ended the channel: what came behind is not heard
		}
		if len(ps) > 1 {
			_, err = k.g.b.AppendEvents(ctx, k.caller, broker.EventsAppend{Events: events[i : i+1]})
		}
		switch {
		case err == nil:
			err = k.published(ctx, ps[i:i+1])
		case fault.Is(err, fault.Unknown):
			return err
		default:
			err = k.unpublished(ctx, &ps[i], err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unpublished answers a message that was refused. What its client did wrong ends the channel, as what is there for ever; a full disk or a
// quota is a nack where the client hears it.
func (k *conn) unpublished(ctx context.Context, p *publish, err error) error {
	f := fault.As(err)
	if p.number > 0 && (f.Kind == fault.QuotaSpent || f.Kind == fault.Unavailable) {
		k.mu.Lock()
		defer k.mu.Unlock()
		p.ch.confirms.Settle(p.number, false)
		p.ch.confirms.Flush(&k.w, p.ch.number)
		return k.flush()
	}
	e := refusal(err, wire.IDBasicPublish)
	k.mu.Lock()
	_, err = k.s.Fail(&k.w, p.ch.number, e)
	if err == nil {
		err = k.flush()
	}
	k.mu.Unlock()
	k.endChannel(ctx, p.ch.number)
	return err
}

// published returns what is mandatory and reaches nobody, and confirms.
func (k *conn) published(ctx context.Context, ps []publish) error {
	for i := range ps {
		p := &ps[i]
		if !p.content.Mandatory {
			continue
		}
		reached, err := k.reaches(ctx, p)
		if err != nil {
			return err
		}
		if reached {
			continue
		}
		back := &wire.BasicReturn{ReplyCode: wire.NoRoute, ReplyText: []byte("NO_ROUTE"), Exchange: p.content.Exchange, RoutingKey: p.content.RoutingKey}
		if err := k.write(func(w *wire.Writer) error {
			return w.Content(p.ch.number, back, p.content.RawProperties, p.content.Body)
		}); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var last *channel
	for i := range ps {
		if p := &ps[i]; p.number > 0 {
			p.ch.confirms.Settle(p.number, true)
			if last != nil && last != p.ch {
				last.confirms.Flush(&k.w, last.number)
			}
			last = p.ch
		}
	}
	if last != nil {
		last.confirms.Flush(&k.w, last.number)
	}
	return k.flush()
}

// reaches reports whether a message has reached any queue, as bindings are now.
func (k *conn) reaches(ctx context.Context, p *publish) (bool, error) {
	bound, err := k.bindings(ctx, exchangeOf(p.entry.Stream))
	if err != nil {
		return false, err
	}
	x := address.New()
	for i, f := range bound {
		next, err := x.Add(address.ID(i+1), address.Clause{Stream: 1, Subject: f.Subject, Key: f.Key, Type: f.Type, Headers: f.Headers, Any: f.Any})
		if err == nil {
			x = next
		}
	}
	var r address.Record
	var scratch record.Event
	r.Of(1, &p.entry.Record, k.g.b.DefaultType(k.caller, p.entry.Stream), &scratch)
	return address.NewMatcher().Match(x, &r), nil
}
