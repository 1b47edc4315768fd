package broker

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unsafe"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/internal/clock"
)

// Terms of an event are its type and its tags: what it can be asked for besides its key. A stream with Tags has them in its index.

// eachTerm calls fn for the terms of a record: its type, or the one that is said where it has none, and then its tags. strict refuses tags that are over the limits; without it all of them are
// given, for records that were stored before anybody asked.
func eachTerm(r *record.Record, scratch *record.Event, typ string, strict bool, fn func(tag bool, text string)) error {
	tags := ""
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case "ce_type":
			if len(h.Value) > 0 {
				typ = textOf(h.Value)
			}
		case record.HeaderTags:
			tags = textOf(h.Value)
		case "content-type":
			if strings.HasPrefix(textOf(h.Value), "application/cloudevents") {
				scratch.FromRecord(r, record.Defaults{})
				if scratch.Type != "" {
					typ = scratch.Type
				}
				tags, _ = scratch.Extension(record.AttributeTags)
			}
		}
	}
	fn(false, typ)
	switch {
	case tags == "":
		return nil
	case strict:
		return record.EachTag(tags, func(tag string) { fn(true, tag) })
	}
	for tag := range strings.FieldsSeq(tags) {
		if len(tag) <= record.TagBytesMax {
			fn(true, tag)
		}
	}
	return nil
}

func textOf(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// termer makes the terms of an entry's records.
type termer struct {
	scratch record.Event
	arena   []byte
	ends    []int
}

// add adds the terms of a record of an entry, the one at index in its batch.
func (t *termer) add(e *stream.Entry, pub *shard.Published, typ string, index int, r *record.Record) error {
	t.arena, t.ends = t.arena[:0], t.ends[:0]
	add := func(tag bool, text string) {
		if tag {
			t.arena = stream.AppendTagTerm(t.arena, text)
		} else {
			t.arena = stream.AppendTypeTerm(t.arena, text)
		}
		t.ends = append(t.ends, len(t.arena))
	}
	if err := eachTerm(r, &t.scratch, typ, true, add); err != nil {
		return err
	}
	id := stream.TermsOf(e.Stream)
	e.Terms.Add(int32(index), len(t.ends), func(i int) []byte {
		from := 0
		if i > 0 {
			from = t.ends[i-1]
		}
		return t.arena[from:t.ends[i]]
	}, func(term []byte) stream.Fingerprint { return pub.Fingerprint(id, term) })
	return nil
}

// defaultType is the type of events of a stream that have none.
func (n *named) defaultType() string {
	if n.config != nil && n.config.DefaultType != "" {
		return n.config.DefaultType
	}
	return DefaultEventType
}

// storedTerms gives the terms of records that a stream has from before it indexed them.
func (b *Broker) storedTerms(sh int, id record.StreamID) func(r *record.Record, each func(term []byte)) {
	typ := ""
	if n := b.names.of(sh, id); n != nil {
		typ = n.defaultType()
	}
	return TermsOf(typ)
}

// TermsOf gives the terms of records as the index of a stream has them, the type first. typ is the type of those that have none; empty: DefaultEventType.
func TermsOf(typ string) func(r *record.Record, each func(term []byte)) {
	typ, scratch, buf := cmp.Or(typ, DefaultEventType), &record.Event{}, []byte(nil)
	return func(r *record.Record, each func(term []byte)) {
		_ = eachTerm(r, scratch, typ, false, func(tag bool, text string) {
			if tag {
				buf = stream.AppendTagTerm(buf[:0], text)
			} else {
				buf = stream.AppendTypeTerm(buf[:0], text)
			}
			each(buf)
		})
	}
}

// resolveTerms reads the terms of a batch where its stream indexes them, and the conditions of its records.
func (b *Broker) resolveTerms(cmd *shard.Append, e *stream.Entry, n *named, st shard.StreamState) error {
	e.Termed, e.Terms, e.Unless = st.Terms, stream.EncodedTerms{}, nil
	if !st.Terms {
		return nil
	}
	pub, typ := b.shards[n.shard].Published(), DefaultEventType
	if x := b.names.of(n.shard, e.Stream); x != nil {
		typ = x.defaultType()
	}
	var t termer
	return record.EachRecord(e.Batch, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
		i := int(r.Offset - e.Header.BaseOffset)
		if err := t.add(e, pub, typ, i, r); err != nil {
			return fault.New(fault.Invalid, "append", n.name, "record %d: %s", i, fault.As(err).Text)
		}
		for k := range r.Headers {
			if h := &r.Headers[k]; h.Key == HeaderUnless {
				if err := b.recordUnless(cmd, e, n, i, h.Value); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// tagged makes sure that a stream indexes types and tags. One that does not begins to, the first time that a condition asks for it.
func (b *Broker) tagged(ctx context.Context, n *named) (*named, error) {
	c := platformIn(n.namespace)
	for range alterTriesMax {
		if n.config.Tags {
			return n, b.termsBuilt(ctx, n)
		}
		if err := n.mayTag(); err != nil {
			return nil, err
		}
		err := b.alterOnce(ctx, c, n.name, func(cfg *StreamConfig) error { cfg.Tags = true; return nil }, 0)
		if err != nil && !fault.Is(err, fault.Conflict) {
			return nil, err
		}
		if n, err = b.find(c, "append", n.name); err != nil {
			return nil, err
		}
	}
	return nil, changing(n)
}

// mayTag refuses streams whose records go before others know of it.
func (n *named) mayTag() error {
	if n.config.Keys == KeysLatest {
		return fault.New(fault.Unsupported, "append", n.name, "the stream keeps the latest event of each key only, so nobody can say what there was; conditions on events need another mode of keys")
	}
	return nil
}

// termsBuilt waits until the terms of a stream's older records are in the index, as long as numbered does.
func (b *Broker) termsBuilt(ctx context.Context, n *named) error {
	pub := b.shards[n.shard].Published()
	for waited := time.Duration(0); ; waited += numberedLook {
		st, ok := pub.Stream(n.id)
		switch {
		case !ok || st.Terms && !st.TermsPartial:
			return nil
		case waited >= numberedWait:
			return fault.New(fault.Unavailable, "append", n.name, "types and tags of the stream are being indexed, %d %% are; try again", pub.BuildingPercent(stream.TermsOf(n.id)))
		}
		if err := clock.Sleep(ctx, numberedLook); err != nil {
			return fault.New(fault.Unavailable, "append", n.name, "types and tags of the stream are being indexed").From(err)
		}
	}
}
