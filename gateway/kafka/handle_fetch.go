package kafka

import (
	"context"
	"fmt"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/kafka/wire"
	"leat/internal/clock"
)

// Fetch(1), versions 4-12.
//
// Whole batches are returned, the first of which may begin before the offset that was asked for, and at least one even when it is over
// the limits. There are no sessions: the answer says session 0, which tells the client to name its partitions each time. The isolation
// level is accepted; nothing is ever open, so both are the same. One node leads everything under leader epoch 0.

// reader is the reading side of a fetch, reused by the fetches of a connection.
type reader struct {
	cursors []broker.Cursor
	refused []int16  // a code per partition that is not read
	raw     [][]byte // the batches that are being sent
}

func partitionID(p int32) record.PartitionID { return record.PartitionID(p) }

// answerFetch reads until there is enough, or the client's time is up, and writes what there is.
func (k *conn) answerFetch(ctx context.Context, s *slot) error {
	f := &k.out.fetch
	if err := f.Decode(s.header.Version, s.body); err != nil {
		return fmt.Errorf("fetch request version %d: %w", s.header.Version, err)
	}
	if f.SessionID != 0 {
		k.out.answer.Begin(f.Version, s.header.Correlation, codeSessionNotFound, 0)
		return k.send(nil)
	}
	k.cursors(f)
	results, err := k.readEnough(ctx, s, f)
	if err != nil {
		return err
	}
	a := &k.out.answer
	a.Begin(f.Version, s.header.Correlation, codeNone, len(f.Topics))
	for _, t := range f.Topics {
		a.Topic(t.Name, t.Count)
		for i := t.First; i < t.First+t.Count; i++ {
			r := &results[i]
			if r.Err != nil {
				s.err = r.Err
				k.report(k.out.reader.cursors[i].Stream, f.Parts[i].Partition, r.Err)
			}
			if c := k.out.reader.refused[i]; c != codeNone {
				a.Part(refusedFetch(f.Parts[i].Partition, c))
				continue
			}
			a.Part(fetchResult(f.Parts[i].Partition, r, &k.out.reader.raw))
		}
		a.EndTopic()
	}
	release, err := k.reserveAnswer(ctx, s, a.Len())
	if err != nil {
		return err
	}
	defer release()
	return k.send(ctx.Err())
}

// cursors says what to read for each partition of f.
func (k *conn) cursors(f *wire.Fetch) {
	r := &k.out.reader
	r.cursors, r.refused = r.cursors[:0], r.refused[:0]
	for _, t := range f.Topics {
		name := k.out.names.of(t.Name)
		for _, p := range f.Parts[t.First : t.First+t.Count] {
			r.cursors = append(r.cursors, broker.Cursor{
				Stream: name, Partition: partitionID(p.Partition), From: record.Offset(p.Offset), BytesMax: int(max(p.MaxBytes, 0)),
			})
			c := codeNone
			if p.LeaderEpoch > 0 {
				c = codeUnknownLeaderEpoch
			}
			r.refused = append(r.refused, c)
		}
	}
}

// readEnough reads, and while there is less than MinBytes, no fault and time left, waits for appends and reads again.
//
// The watch is set before the read whose result decides to wait: an append between that read and the wait has then fired it.
func (k *conn) readEnough(ctx context.Context, s *slot, f *wire.Fetch) ([]broker.ReadResult, error) {
	most := min(int(max(f.MaxBytes, 0)), k.g.cfg.FetchBytesMax)
	cursors := k.out.reader.cursors
	results := k.g.b.Read(ctx, s.caller, cursors, most)
	wait := min(time.Duration(max(f.MaxWaitMS, 0))*time.Millisecond, k.g.cfg.FetchWaitMax) - clock.Since(s.begun)
	if wait <= 0 || k.enough(results, f) {
		return results, nil
	}
	if err := k.flush(); err != nil { // answers before this one must not wait with it
		return nil, err
	}
	watch := k.g.b.Watch(s.caller, cursors)
	defer watch.Close()
	timer := clock.NewTimer(wait)
	defer timer.Stop()
	for {
		results = k.g.b.Read(ctx, s.caller, cursors, most)
		if k.enough(results, f) {
			return results, nil
		}
		select {
		case <-watch.C():
		case <-timer.C:
			return results, nil
		case <-k.hurry:
			return results, nil
		case <-k.c.Draining():
			return results, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// enough reports whether a fetch can be answered: there is as much as was asked for, or a fault, which the client should hear of now.
func (k *conn) enough(results []broker.ReadResult, f *wire.Fetch) bool {
	n := 0
	for i := range results {
		if results[i].Err != nil || k.out.reader.refused[i] != codeNone {
			return true
		}
		for _, b := range results[i].Batches {
			n += len(b.Raw)
		}
	}
	return n >= min(int(f.MinBytes), k.g.cfg.FetchBytesMax, int(max(f.MaxBytes, 0)))
}

// answerBytesFree is how long an answer may be before memory is reserved for it.
const answerBytesFree = 64 << 10

// reserveAnswer reserves memory for a long answer until it is written: its peer may take it slowly.
func (k *conn) reserveAnswer(ctx context.Context, s *slot, n int) (release func(), err error) {
	if n <= answerBytesFree {
		return func() {}, nil
	}
	return k.reserve(ctx, s.caller, n)
}

// send writes what was gathered and the fetch response behind it, in one go.
func (k *conn) send(err error) error {
	if err != nil {
		return err
	}
	w := &k.out
	w.bufs = w.bufs[:0]
	if len(w.buf) > 0 {
		w.bufs = append(w.bufs, w.buf)
	}
	w.bufs = w.answer.Buffers(w.bufs)
	bufs := w.bufs // WriteBuffers consumes the slice header, the array behind it stays ours
	_, err = k.c.WriteBuffers(bufs)
	clear(w.bufs) // what was sent must not be kept alive by a connection that waits
	clear(w.reader.raw)
	w.reader.raw = w.reader.raw[:0]
	w.buf = w.buf[:0]
	return err
}
