package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
)

// StartKind is how a place to start reading is given.
type StartKind uint8

const (
	StartEarliest   StartKind = iota
	StartLatest               // after what is there now
	StartTime                 // first record appended at or after Time
	StartOffset               // at Offset, in every partition
	StartPosition             // after Position
	StartCreateTime           // first record whose producer gave Time or later (Offsets only)
	StartMaxTime              // the record with the greatest time its producer gave (Offsets only)
)

// Start is a place to start reading.
type Start struct {
	Kind     StartKind
	Time     int64 // ms
	Offset   record.Offset
	Position record.Position
}

// ParseStart reads earliest, latest, a time as in RFC 3339, -1h (before now), offset:N, or a position.
func ParseStart(s string, now time.Time) (Start, error) {
	switch {
	case s == "earliest":
		return Start{Kind: StartEarliest}, nil
	case s == "latest":
		return Start{Kind: StartLatest}, nil
	case strings.HasPrefix(s, "offset:"):
		n, err := strconv.ParseInt(s[len("offset:"):], 10, 64)
		if err != nil || n < 0 {
			return Start{}, badStart(s, "what follows offset: must be a number from 0 on")
		}
		return Start{Kind: StartOffset, Offset: record.Offset(n)}, nil
	case strings.HasPrefix(s, "-"):
		d, err := time.ParseDuration(s)
		if err != nil {
			return Start{}, badStart(s, "a time before now looks like -90s, -15m or -1h")
		}
		return Start{Kind: StartTime, Time: now.Add(d).UnixMilli()}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return Start{Kind: StartTime, Time: t.UnixMilli()}, nil
	}
	p, err := record.ParsePosition(s)
	if err != nil {
		return Start{}, badStart(s, "it must be earliest, latest, a time as in RFC 3339, a time before now such as -1h, offset:N, or a position")
	}
	return Start{Kind: StartPosition, Position: p}, nil
}

func badStart(s, text string) error {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return fault.New(fault.Invalid, "read", "from", "from is %q: %s", s, text)
}

// OffsetSpec asks for an offset of a partition.
type OffsetSpec struct {
	Stream    string
	Partition record.PartitionID
	At        StartKind
	Time      int64 // ms
	Committed bool  // the end is where the first open transaction begins
}

// OffsetResult is the answer. Offset -1: no record is at or after that time.
type OffsetResult struct {
	Offset    record.Offset
	Timestamp int64 // of that record, ms; -1 when not asked by time
	Err       *fault.Error
}

// Offsets answers each spec.
func (b *Broker) Offsets(_ context.Context, c *Caller, specs []OffsetSpec) []OffsetResult {
	out := make([]OffsetResult, len(specs))
	for i := range specs {
		o, ts, err := b.offset(c, &specs[i])
		out[i] = OffsetResult{Offset: o, Timestamp: ts}
		if err != nil {
			out[i].Err = fault.As(err)
		}
	}
	return out
}

func (b *Broker) offset(c *Caller, q *OffsetSpec) (record.Offset, int64, error) {
	src, pub, _, err := b.described(c, q.Stream, q.Partition)
	if err != nil {
		return -1, -1, err
	}
	start, stable, end := src.Part.Bounds()
	if q.Committed {
		end = stable
	}
	switch q.At {
	case StartEarliest:
		return start, -1, nil
	case StartLatest:
		return end, -1, nil
	case StartTime:
		run, ok, err := pub.Seek(src, func(r *stream.Run) bool { return r.TimeMS >= q.Time })
		if err != nil || !ok {
			return -1, -1, err
		}
		return max(run.Base, start), run.TimeMS, nil
	case StartCreateTime:
		return offsetOfTime(pub, src, q.Time, end)
	case StartMaxTime:
		if start == end {
			return -1, -1, nil
		}
		last, ok, err := pub.RunAt(src, end-1)
		if err != nil || !ok {
			return -1, -1, err
		}
		return offsetOfTime(pub, src, last.MaxTimeMS, end)
	default:
		return -1, -1, fault.New(fault.Unsupported, "describe", q.Stream, "offsets cannot be asked for that way")
	}
}

// offsetOfTime finds the first record whose producer gave t or later. Runs carry the greatest time up to their end, which only grows, so
// the first run that reaches t holds the record. But where records were trimmed or compacted the greatest time may be that of a record that is
// gone: then the search goes on behind the run, so far, and where it stops is the answer, since no record before has such a time. What is of an open or an aborted
// transaction counts, as do markers, so that who reads everything begins early enough; there is no answer where the first such record is not before end.
func offsetOfTime(pub *shard.Published, src shard.Source, t int64, end record.Offset) (record.Offset, int64, error) {
	run, ok, err := pub.Seek(src, func(r *stream.Run) bool { return r.MaxTimeMS >= t })
	if err != nil || !ok {
		return -1, -1, err
	}
	start, _ := src.Part.Ends()
	read := 0
	for from := max(run.Base, start); from < end; {
		batches, err := pub.ReadStored(nil, src, from, stream.RunBytesMax, shard.AllSeqs)
		if err != nil || len(batches) == 0 {
			return -1, -1, err
		}
		for _, s := range batches {
			at, ts := record.Offset(-1), int64(-1)
			err := record.EachRecord(s.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error {
				if r.Offset >= from && (r.Timestamp >= t || read > timeScanBytesMax) {
					at, ts = r.Offset, r.Timestamp
					return errFound
				}
				return nil
			})
			switch {
			case at >= end:
				return -1, -1, nil
			case at >= 0:
				return at, ts, nil
			case err != nil:
				return -1, -1, err
			}
			from = s.Next
			read += len(s.Raw)
		}
	}
	return -1, -1, nil
}

const timeScanBytesMax = 64 << 20 // read behind the run that should hold a time

var errFound = fmt.Errorf("found")

// described finds a partition for somebody who may read or describe its stream: whoever may describe a stream may know its ends.
func (b *Broker) described(c *Caller, name string, p record.PartitionID) (shard.Source, *shard.Published, *named, error) {
	src, pub, n, denied := b.source(c, name, p)
	if denied == nil || !fault.Is(denied, fault.Denied) || b.allow(c, "describe", ActionDescribe, KindStream, name) != nil {
		return src, pub, n, denied
	}
	n, err := b.find(c, "describe", name)
	if err != nil {
		return shard.Source{}, nil, nil, err
	}
	pub = b.shards[n.shard].Published()
	src, ok := pub.Source(n.id, p)
	if !ok {
		return src, nil, nil, fault.New(fault.NotFound, "describe", name, "there is no partition %d", p).Because(fault.ReasonPartition)
	}
	return src, pub, n, nil
}
