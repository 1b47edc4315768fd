package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// HeaderUnless is a header by which a record of a batch says that it is not to be appended when there is an event of some type with some tags: see
// ParseUnless. It counts in streams with Tags, and there may be several. All records of a batch hold, or none of them is appended.
const HeaderUnless = "leat-unless"

// EventQuery asks for events that have one of the types, where there are any, and all of the tags.
type EventQuery struct {
	Types []string
	Tags  []string
}

// Unless is a condition: the stream has no event that Query asks for, after a place.
type Unless struct {
	Stream   string
	Query    EventQuery
	After    record.Position // Seq 0: of all events that are there
	AfterRef string          // instead: behind that event of the stream
}

// Limits of queries.
const (
	UnlessMax     = 64 // conditions of one request
	QueryTypesMax = 32 // types of one query
	QueryTagsMax  = 16 // tags of one query

	typeBytesMax  = 1024
	unlessLookMax = 100_000 // entries of the index looked at for one condition
)

// ParseUnless reads a condition as words with spaces between them:
//
//	type=order.placed type=order.cancelled tag=customer:7 tag=item:3 after=AQAHowEAAA
//
// type: any of them; tag: all of them; after: a position, or the name of an event (orders/0/1234); stream: another one than that of the event.
func ParseUnless(text string) (u Unless, err error) {
	for word := range strings.FieldsSeq(text) {
		name, value, ok := strings.Cut(word, "=")
		if !ok || value == "" {
			return u, fault.New(fault.Invalid, "append", "unless", "%q is no part of a condition; type=…, tag=…, after=… and stream=… are", clip(word))
		}
		switch {
		case name == "type":
			u.Query.Types = append(u.Query.Types, value)
		case name == "tag":
			u.Query.Tags = append(u.Query.Tags, value)
		case name == "stream" && u.Stream == "":
			u.Stream = value
		case name == "after" && u.After.Seq == 0 && u.AfterRef == "":
			if strings.Contains(value, "/") {
				u.AfterRef = value
			} else if u.After, err = record.ParsePosition(value); err != nil {
				return u, err
			}
		default:
			return u, fault.New(fault.Invalid, "append", "unless", "%q is not known here, or is there twice; type=…, tag=…, after=… and stream=… are", clip(word))
		}
	}
	return u, u.Query.check("append")
}

// check refuses what cannot be asked for.
func (q *EventQuery) check(op string) error {
	switch {
	case len(q.Types) == 0 && len(q.Tags) == 0:
		return fault.New(fault.Invalid, op, "query", "it asks for nothing; it needs a type or a tag")
	case len(q.Types) > QueryTypesMax:
		return fault.New(fault.TooLarge, op, "types", "there are %d types; the limit is %d", len(q.Types), QueryTypesMax)
	case len(q.Tags) > QueryTagsMax:
		return fault.New(fault.TooLarge, op, "tags", "there are %d tags; the limit is %d", len(q.Tags), QueryTagsMax)
	}
	for _, t := range q.Types {
		if t == "" || len(t) > typeBytesMax {
			return fault.New(fault.Invalid, op, "types", "a type has 1 to %d bytes", typeBytesMax)
		}
	}
	for _, t := range q.Tags {
		if t == "" || len(t) > record.TagBytesMax || strings.ContainsAny(t, " \t\r\n") {
			return fault.New(fault.Invalid, op, "tags", "%q is no tag: it has 1 to %d bytes and no spaces", clip(t), record.TagBytesMax)
		}
	}
	return nil
}

// terms are what the index has of the query.
func (q *EventQuery) terms() (t shard.TermQuery) {
	for _, tag := range q.Tags {
		t.Tags = append(t.Tags, stream.AppendTagTerm(nil, tag))
	}
	for _, typ := range q.Types {
		t.Types = append(t.Types, stream.AppendTypeTerm(nil, typ))
	}
	return t
}

// String is the query in words, for those who are told that it found something.
func (q *EventQuery) String() string {
	var s strings.Builder
	s.WriteString("event")
	if len(q.Types) > 0 {
		s.WriteString(" of type " + strings.Join(q.Types, " or "))
	}
	if len(q.Tags) > 0 {
		s.WriteString(" with " + strings.Join(q.Tags, " and "))
	}
	return clip(s.String())
}

// FoundEvent is why an Unless did not hold: an event that must not be.
type FoundEvent struct {
	Unless   int    // place in Unless; of a record's own, the record's place in its batch
	Query    string // what was asked for, in words
	Ref      record.Ref
	Position record.Position
}

// resolveUnless looks a condition up in what was published up to a frame.
func (b *Broker) resolveUnless(u *Unless, n *named, upTo uint64) (x stream.Unless, err error) {
	if err = u.Query.check("append"); err != nil {
		return x, err
	}
	pub := b.shards[n.shard].Published()
	st, ok := pub.Stream(n.id)
	if !ok {
		return x, fault.New(fault.NotFound, "append", n.name, "the stream was deleted")
	}
	if st.TermsPartial {
		return x, fault.New(fault.Unavailable, "append", n.name, "types and tags of the stream are being indexed, %d %% are; try again", pub.BuildingPercent(stream.TermsOf(n.id)))
	}
	after, err := b.placeOf(u, n)
	if err != nil {
		return x, err
	}
	terms := u.Query.terms()
	x.Stream, x.Said = n.id, u.Query.String()
	printOf := func(t []byte) stream.Fingerprint { return pub.Fingerprint(stream.TermsOf(n.id), t) }
	for _, t := range terms.Tags {
		x.Parts = append(x.Parts, []stream.Fingerprint{printOf(t)})
	}
	if len(terms.Types) > 0 {
		var types []stream.Fingerprint
		for _, t := range terms.Types {
			types = append(types, printOf(t))
		}
		x.Parts = append(x.Parts, types)
	}
	some, err := pub.TermsAfter(n.id, terms, after, upTo)
	if err != nil || !some {
		return x, err
	}
	w := pub.Terms(n.id, terms, after, upTo, unlessLookMax, b.verifier(pub, n, &u.Query))
	defer w.Close()
	x.Found, x.Failed = w.Next()
	return x, w.Err()
}

// foundOf is what a condition that did not hold has found, in a shard.
func (b *Broker) foundOf(sh int, u *stream.Unless) FailedCondition {
	f := &FoundEvent{Unless: u.Place, Query: u.Said, Position: b.position(sh, u.Found.Seq, u.Found.Batch, u.Found.Record)}
	f.Ref = record.Ref{Partition: u.Found.Partition, Offset: u.Found.Offset}
	if n := b.names.of(sh, u.Stream); n != nil {
		f.Ref.Stream = n.name
	}
	return FailedCondition{Event: -1, If: -1, Stream: f.Ref.Stream, Expected: "none", Found: f}
}

// placeOf is the place behind which a condition looks. What is no longer there behind it cannot be judged.
func (b *Broker) placeOf(u *Unless, n *named) (shard.At, error) {
	at := u.After
	if u.AfterRef != "" {
		ref, err := record.ParseRef(u.AfterRef)
		if err != nil {
			return shard.At{}, err
		}
		pub := b.shards[n.shard].Published()
		src, ok := pub.Source(n.id, ref.Partition)
		if ref.Stream != n.name || !ok {
			return shard.At{}, fault.New(fault.Invalid, "append", "after", "%s is no event of stream %q", ref, n.name)
		}
		d, err := b.readOffset(pub, n, src, ref.Offset)
		if err != nil {
			return shard.At{}, err
		}
		at = d.Position
	}
	if at.Seq == 0 {
		return shard.At{}, nil
	}
	at, err := b.ours("append", "after", at)
	if err != nil {
		return shard.At{}, err
	}
	pub := b.shards[n.shard].Published()
	switch {
	case int(at.Shard) != n.shard:
		return shard.At{}, fault.New(fault.Invalid, "append", "after", "the position is of streams that live elsewhere; it cannot be used for stream %q", n.name)
	case at.Seq > pub.Seq():
		return shard.At{}, fault.New(fault.Trimmed, "append", "after", "the position lies beyond what this node holds")
	}
	for p := record.PartitionID(0); ; p++ {
		part := pub.Part(n.id, p)
		if part == nil {
			return shard.At{Seq: at.Seq, Batch: at.Batch, Record: at.Record}, nil
		}
		start, last := part.Gone()
		if start > 0 && at.Compare(b.position(n.shard, last.Seq, last.Batch, last.Record)) < 0 {
			ref := record.Ref{Stream: n.name, Partition: p, Offset: start}
			return shard.At{}, fault.New(fault.Trimmed, "append", "after", "events behind the position are gone, so nobody can say what there was; the earliest of that partition is %s", ref).
				Because(fault.ReasonOffset).With(start)
		}
	}
}

// prepareUnless finds the streams of a request's conditions, and has them index what is asked for. It comes before anything is resolved: a condition
// counts what was appended since the frame it was resolved at, and of a stream that did not index yet nobody would know that.
func (b *Broker) prepareUnless(ctx context.Context, c *Caller, a *EventsAppend) ([]*named, error) {
	if len(a.Unless) == 0 {
		return nil, nil
	}
	if len(a.Unless) > UnlessMax {
		return nil, fault.New(fault.TooLarge, "append", "unless", "there are %d conditions on events; the limit is %d", len(a.Unless), UnlessMax)
	}
	streams := make([]*named, len(a.Unless))
	for i := range a.Unless {
		n, err := b.unlessStream(ctx, c, a, &a.Unless[i])
		if err != nil {
			return nil, at(err, i, len(a.Unless))
		}
		streams[i] = n
	}
	return streams, nil
}

func (b *Broker) unlessStream(ctx context.Context, c *Caller, a *EventsAppend, u *Unless) (*named, error) {
	if err := u.Query.check("append"); err != nil {
		return nil, err
	}
	if err := b.allow(c, "append", ActionRead, KindStream, u.Stream); err != nil {
		return nil, err
	}
	n, err := b.find(c, "append", u.Stream)
	if fault.Is(err, fault.NotFound) && a.AutoCreate && slices.ContainsFunc(a.Events, func(e EventEntry) bool { return e.Stream == u.Stream }) {
		defaults := a.Defaults
		defaults.Tags = true
		n, err = b.target(ctx, c, u.Stream, true, defaults)
	}
	if err != nil {
		return nil, err
	}
	if !n.config.Tags {
		// Who only reads a stream does not make it index: that is for those who write to it.
		if err := b.allow(c, "append", ActionWrite, KindStream, u.Stream); err != nil {
			return nil, err
		}
	}
	return b.tagged(ctx, n)
}

// unless looks the conditions of a request up.
func (x *eventsCommand) unless(streams []*named) error {
	for i, n := range streams {
		if x.shard == nil {
			x.shard = x.b.shards[n.shard]
			x.cmd.ResolvedAt = x.shard.Published().Seq()
		}
		if x.b.shards[n.shard] != x.shard {
			return fault.New(fault.Invalid, "append", "unless", "what is appended and conditions on it are of one namespace")
		}
		r, err := x.b.resolveUnless(&x.a.Unless[i], n, x.cmd.ResolvedAt)
		if err != nil {
			return at(err, i, len(streams))
		}
		r.Place = i
		x.cmd.Unless = append(x.cmd.Unless, r)
	}
	return nil
}

// unmet are those of conditions that do not hold, as their caller is told.
func (b *Broker) unmet(sh int, us []stream.Unless, failed []FailedCondition) []FailedCondition {
	for i := range us {
		if us[i].Failed {
			failed = append(failed, b.foundOf(sh, &us[i]))
		}
	}
	return failed
}

// recordUnless takes over a condition of a record of a batch.
func (b *Broker) recordUnless(cmd *shard.Append, e *stream.Entry, n *named, i int, text []byte) error {
	if len(e.Unless) == UnlessMax {
		return fault.New(fault.TooLarge, "append", HeaderUnless, "the records of a batch have more than %d conditions on events", UnlessMax)
	}
	u, err := ParseUnless(string(text))
	if err != nil {
		return fault.New(fault.Invalid, "append", HeaderUnless, "record %d: %s", i, fault.As(err).Text)
	}
	of := b.names.of(n.shard, e.Stream)
	if u.Stream != "" && of != nil && u.Stream != of.name {
		return fault.New(fault.Unsupported, "append", HeaderUnless, "record %d has a condition on stream %q; that of a record is on its own stream", i, clip(u.Stream))
	}
	if of == nil {
		return fault.New(fault.NotFound, "append", "", "the stream was deleted")
	}
	r, err := b.resolveUnless(&u, of, cmd.ResolvedAt)
	if err != nil {
		return fault.New(fault.As(err).Kind, "append", HeaderUnless, "record %d: %s", i, fault.As(err).Text)
	}
	r.Place = i
	e.Unless = append(e.Unless, r)
	return nil
}

// String says what was found that must not be.
func (f *FoundEvent) String() string {
	return fmt.Sprintf("there is an %s: %s", f.Query, f.Ref)
}
