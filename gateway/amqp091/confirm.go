package amqp091

import (
	"context"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// confirm is the confirmer: it answers requests in their order, as they become durable.
func (k *conn) confirm(ctx context.Context, queue <-chan *request) {
	for r := range queue {
		var results []broker.BatchResult
		if r.pending != nil {
			results = r.pending.Wait(ctx)
		}
		k.confirmRequest(ctx, r, results)
		for _, release := range r.releases {
			release()
		}
		k.pub.pending.Done()
	}
}

func (k *conn) confirmRequest(ctx context.Context, r *request, results []broker.BatchResult) {
	var said said
	var worst error
	k.mu.Lock()
	for i := range r.runs {
		run := &r.runs[i]
		if run.entry < 0 || results[run.entry].Err == nil {
			said.add(&k.w, run.ch, run.first, run.count, true)
			continue
		}
		said.flush(&k.w)
		_ = k.flush() // a connection that is gone is found out by reading
		k.mu.Unlock()
		worst = results[run.entry].Err
		k.refused(ctx, r, run, results)
		k.mu.Lock()
	}
	said.flush(&k.w)
	_ = k.flush() // likewise
	k.mu.Unlock()
	took := clock.Since(r.begun)
	n := uint64(0)
	for i := range r.runs {
		n += r.runs[i].count
	}
	k.ops[wire.IDBasicPublish].DoneMany(took, worst, int(n))
}

// said is what is being confirmed and not written yet: numbers of a channel in a row, all the same way.
type said struct {
	ch    *channel
	last  uint64
	count uint64
	ok    bool
}

func (s *said) add(w *wire.Writer, ch *channel, first, count uint64, ok bool) {
	if first == 0 || ch.ended {
		return
	}
	if ok {
		ch.counts.Confirmed += int64(count)
	} else {
		ch.counts.refused += int64(count)
	}
	if s.ch != ch || s.ok != ok {
		s.flush(w)
	}
	*s = said{ch: ch, last: first + count - 1, count: s.count + count, ok: ok}
}

func (s *said) flush(w *wire.Writer) {
	switch {
	case s.count == 0:
	case s.ok:
		w.Ack(s.ch.number, s.last, s.count > 1)
	default:
		w.Nack(s.ch.number, s.last, s.count > 1, false)
	}
	*s = said{}
}

// refused answers messages whose batch was not stored. Where only some of a batch may be at fault they are stored one by one.
func (k *conn) refused(ctx context.Context, r *request, run *run, results []broker.BatchResult) {
	err := error(results[run.entry].Err)
	f := fault.As(err)
	together := f.Kind == fault.Unknown || f.Kind == fault.NotFound || f.Kind == fault.Denied || f.Kind == fault.Unavailable
	if h, e := record.ParseBatchHeader(r.entries[run.entry].Batch); e == nil && h.Count > 1 && !together {
		k.oneByOne(ctx, r, run)
		return
	}
	if f.Kind == fault.QuotaSpent {
		k.oneByOne(ctx, r, run)
		return
	}
	k.unpublished(ctx, run.ch, run.first, run.count, err)
}

// oneByOne stores the messages of a run each for itself. Which ones they are of their batch is counted over the runs before.
func (k *conn) oneByOne(ctx context.Context, r *request, of *run) {
	from := 0
	for i := range r.runs {
		if &r.runs[i] == of {
			break
		}
		if r.runs[i].entry == of.entry {
			from += int(r.runs[i].count)
		}
	}
	entry := &r.entries[of.entry]
	err := record.EachRecord(entry.Batch, record.DefaultInflateLimits(), func(i int, rec *record.Record) error {
		if i < from || i >= from+int(of.count) {
			return nil
		}
		number := uint64(0)
		if of.first > 0 {
			number = of.first + uint64(i-from)
		}
		own := rec.Clone()
		_, err := k.g.b.AppendEvents(ctx, k.caller, broker.EventsAppend{Events: []broker.EventEntry{{Stream: entry.Stream, Partition: entry.Partition, Record: own}}})
		if fault.Is(err, fault.QuotaSpent) && k.apart(ctx, entry.Stream, &own) {
			err = nil
		}
		if err != nil {
			k.unpublished(ctx, of.ch, number, 1, err)
			return nil
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		var s said
		s.add(&k.w, of.ch, number, 1, true)
		s.flush(&k.w)
		return k.flush()
	})
	if err != nil {
		k.c.Log().Debug("messages of a refused batch could not be stored one by one", "stream", entry.Stream, "error", err)
	}
}

// unpublished answers messages that were refused. A full queue or a full node is a nack, where the client hears it; a full queue is nothing
// where it does not. When it is not known whether they were stored, neither ack nor nack would be true: the channel ends, as for all else.
func (k *conn) unpublished(ctx context.Context, ch *channel, first, count uint64, err error) {
	f := fault.As(err)
	switch {
	case first > 0 && (f.Kind == fault.QuotaSpent || f.Kind == fault.Unavailable):
		k.mu.Lock()
		var s said
		s.add(&k.w, ch, first, count, false)
		s.flush(&k.w)
		_ = k.flush() // a connection that is gone is found out by reading
		k.mu.Unlock()
	case f.Kind == fault.QuotaSpent:
		k.c.Log().Debug("messages without confirmation were refused", "messages", count, "error", err)
	default:
		k.failChannel(ctx, ch, refusal(err, wire.IDBasicPublish))
	}
}
