package broker

import (
	"sync"
	"sync/atomic"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// Delivered is one event as readers get it. It is shared by all of them and never changed.
type Delivered struct {
	Position   record.Position
	Ref        record.Ref
	AppendTime int64  // ms
	Version    uint64 // of its key, known when events were read by key or by ref; else 0
	Record     *record.Record

	from    *named
	encoded [formatsMax]atomic.Pointer[[]byte]
}

// Format is a number for one way to encode an event, so that it is encoded once for all who want it that way.
type Format int

const formatsMax = 4

var formats atomic.Int32

// RegisterFormat gives out a format. It is called once per program and way of encoding, when packages are set up.
func RegisterFormat() Format {
	f := Format(formats.Add(1) - 1)
	if f >= formatsMax {
		panic("broker: more formats than formatsMax")
	}
	return f
}

// Event returns the event as a CloudEvent; attributes it lacks are filled in as its stream defines.
func (d *Delivered) Event() record.Event {
	typ := d.from.config.DefaultType
	if typ == "" {
		typ = DefaultEventType
	}
	return record.EventFromRecord(d.Record, record.Defaults{Ref: d.Ref.String(), StreamURI: d.from.uri, DefaultType: typ})
}

// DefaultEventType is the CloudEvents type of a record that has none, in a stream that says nothing of it.
const DefaultEventType = "leat.record"

// Encoded returns what encode makes of the event. It is kept with the event as long as that is kept, for all readers.
func (d *Delivered) Encoded(f Format, encode func(d *Delivered) []byte) []byte {
	if p := d.encoded[f].Load(); p != nil {
		return *p
	}
	v := encode(d)
	d.encoded[f].CompareAndSwap(nil, &v)
	return *d.encoded[f].Load()
}

// decoded is what a batch looks like to readers of single events; it hangs at the batch.
type decoded struct {
	once   sync.Once
	events []Delivered
	err    error
}

// decode splits a batch into events, once for all readers.
func (b *Broker) decode(n *named, p record.PartitionID, s *shard.Batch) ([]Delivered, error) {
	d := shared(s)
	d.once.Do(func() { d.events, d.err = b.decodeBatch(n, p, s) })
	return d.events, d.err
}

func shared(s *shard.Batch) *decoded {
	if s.Shared.Load() == nil {
		var v any = &decoded{}
		s.Shared.CompareAndSwap(nil, &v)
	}
	return (*s.Shared.Load()).(*decoded)
}

func (b *Broker) decodeBatch(n *named, p record.PartitionID, s *shard.Batch) ([]Delivered, error) {
	h, err := record.ParseBatchHeader(s.Raw)
	if err != nil {
		return nil, err
	}
	lasting := h.Codec() == record.None
	records := make([]record.Record, 0, h.Count)
	err = record.EachRecord(s.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
		if lasting {
			records = append(records, *r)
		} else {
			records = append(records, r.Clone())
		}
		return nil
	})
	if err != nil {
		return nil, fault.New(fault.Corrupt, "read", n.name, "the batch at offset %d was stored as its producer sent it and cannot be read: %s",
			s.Base, fault.As(err).Text).From(err)
	}
	out := make([]Delivered, len(records))
	for i := range out {
		b.deliver(&out[i], n, p, s, &records[i])
	}
	return out, nil
}

// deliver makes an event of one record of a batch.
func (b *Broker) deliver(d *Delivered, n *named, p record.PartitionID, s *shard.Batch, r *record.Record) {
	d.Position = b.position(n.shard, s.Seq, s.Ordinal, uint32(r.Offset-s.Base)) // not a count: compaction leaves holes
	d.Ref = record.Ref{Stream: n.name, Partition: p, Offset: r.Offset}
	d.AppendTime, d.Record, d.from = s.TimeMS, r, n
}
