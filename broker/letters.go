package broker

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/subscription"
)

// Dead letters of a subscription that keeps positions: whoever reads says which event it has given up, and goes on behind it. A copy with the reason lies in
// a stream of the subscription's own then, as those of a subscription that hands over do.

const (
	// DeadLettersSuffix behind the name of a subscription that keeps positions is the stream of its dead letters. It is made with the first one.
	DeadLettersSuffix = ".dead-letters"

	// HeaderDeadLetter of a record that is sent to that stream names the event that is given up (orders/0/1234), and HeaderReason says why.
	HeaderDeadLetter = "leat-dead-letter"
	HeaderReason     = "leat-reason"

	// LettersMax is how many events are given up at once.
	LettersMax = 1000

	reasonBytesMax    = 1024
	deadLetterSource  = "leat:dead-letter:" // with the subscription, the source of a letter: its id is what it is of
	deadLetterReplays = "leat:replay:"
)

// GivenUp is an event that the reader of a subscription is done with although it could not be handled.
type GivenUp struct {
	Ref    record.Ref
	Reason string
}

// deadStream is the stream of a subscription's dead letters; "": it has none.
func (x *subscribed) deadStream() string {
	if x.doc.DeadLetters == "" && x.doc.Policy.Kind == SubscriptionCursor {
		return x.name + DeadLettersSuffix
	}
	return x.doc.DeadLetters
}

// GiveUp copies events to the dead letters of a subscription that keeps positions, all or none of them; its positions stay where they are. Each must be
// there. One that was given up within the dedup window already is not copied again: its result is of the first time. It takes the right to read the
// subscription and the streams.
func (b *Broker) GiveUp(ctx context.Context, c *Caller, name string, events []GivenUp) ([]EventResult, error) {
	x, err := b.findSubscription(c, "give up", ActionRead, name)
	switch {
	case err != nil:
		return nil, err
	case x.doc.Policy.Kind != SubscriptionCursor:
		return nil, fault.New(fault.Invalid, "give up", name, "the subscription hands events over: reject what it has handed over")
	case len(events) == 0 || len(events) > LettersMax:
		return nil, fault.New(fault.Invalid, "give up", name, "%d events are given up; from 1 to %d can be at once", len(events), LettersMax)
	}
	a := EventsAppend{AutoCreate: true, Defaults: StreamConfig{Partitions: 1, Keys: KeysOff}}
	for i := range events {
		e, err := b.letter(ctx, c, x, &events[i])
		if err != nil {
			return nil, at(err, i, len(events))
		}
		a.Events = append(a.Events, e)
	}
	return b.AppendEvents(ctx, platformIn(x.namespace), a)
}

// letter is the copy of an event that is given up.
func (b *Broker) letter(ctx context.Context, c *Caller, x *subscribed, g *GivenUp) (e EventEntry, err error) {
	to := x.deadStream()
	if g.Ref.Stream == to {
		return e, fault.New(fault.Invalid, "give up", g.Ref.String(), "%s is a dead letter already", g.Ref)
	}
	d, err := b.ReadRef(ctx, c, g.Ref)
	if err != nil {
		return e, err
	}
	reason := g.Reason
	if reason == "" {
		reason = "given up"
	}
	if len(reason) > reasonBytesMax {
		reason = strings.ToValidUTF8(reason[:reasonBytesMax], "")
	}
	if !utf8.ValidString(reason) {
		return e, fault.New(fault.Invalid, "give up", "reason", "the reason is no text")
	}
	r := *d.Record
	r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h record.Header) bool { return isLetterHeader(h.Key) })
	say := func(name, value string) {
		r.Headers = append(r.Headers, record.Header{Key: name, Value: []byte(value)})
	}
	now := b.nowMS()
	say(HeaderDeadSubscription, x.name)
	say(HeaderDeadReason, reason)
	say(HeaderDeadAttempts, "1")
	say(HeaderDeadOrigin, g.Ref.String())
	say(HeaderDeadTime, strconv.FormatInt(now, 10))
	subject, _ := r.Header(headerSubject)
	text, err := json.Marshal(die(Deaths(d.Record), PastDeath{Subscription: x.name, Reason: clip(reason), Stream: g.Ref.Stream, Subject: string(subject), TimeMS: now}))
	if err != nil {
		return e, err
	}
	say(HeaderDeaths, string(text))
	return EventEntry{Stream: to, Partition: record.NoPartition, Record: r, Dated: true, Source: deadLetterSource + x.name, ID: g.Ref.String()}, nil
}

// isLetterHeader reports whether a header is of a dead letter, or of what a reader asks for, and not of its event.
func isLetterHeader(key string) bool {
	switch key {
	case HeaderDeaths, HeaderDeliverAt, HeaderExpiresAt, HeaderUnless, HeaderExpectVersion:
		return true
	}
	return strings.HasPrefix(key, deadPrefix)
}

// ReplayTo appends the events of dead letters to a stream again, all or none; refs are those of the letters, so that a mended copy counts. It is how
// letters of a subscription that keeps positions come back: it can be handed nothing out of its order. Doing it again within the dedup window does
// nothing. It takes the right to alter the subscription, to read its letters and to write to the stream.
func (b *Broker) ReplayTo(ctx context.Context, c *Caller, name, to string, refs []record.Ref) (int, error) {
	x, err := b.findSubscription(c, "replay", ActionAlter, name)
	if err != nil {
		return 0, err
	}
	if len(refs) > subscription.ReviveMax {
		return 0, fault.New(fault.TooLarge, "replay", name, "%d at once; the limit is %d", len(refs), subscription.ReviveMax)
	}
	if to == x.deadStream() {
		return 0, fault.New(fault.Invalid, "replay", "to", "the letters are there")
	}
	if _, err := b.find(c, "replay", to); err != nil {
		return 0, err
	}
	var a EventsAppend
	for _, ref := range refs {
		d, err := b.ReadRef(ctx, c, ref)
		if err != nil {
			return 0, err
		}
		if _, ok := readDead(d, x.name); !ok || ref.Stream != x.deadStream() {
			return 0, fault.New(fault.Invalid, "replay", ref.String(), "%s is no dead letter of the subscription", ref)
		}
		r := *d.Record
		r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h record.Header) bool { return strings.HasPrefix(h.Key, deadPrefix) })
		a.Events = append(a.Events, EventEntry{Stream: to, Partition: record.NoPartition, Record: r, Dated: true, Source: deadLetterReplays + x.name, ID: ref.String()})
	}
	results, err := b.AppendEvents(ctx, c, a)
	n := 0
	for i := range results {
		if !results[i].Duplicate {
			n++
		}
	}
	return n, err
}
