package kafka

import (
	"context"
	"fmt"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway"
	"leat/gateway/kafka/wire"
	"leat/internal/clock"
)

// Fetch(1), versions 4-17.
//
// Whole batches are returned, the first of which may begin before the offset that was asked for, and at least one even when it is over
// the limits. Who goes on with a session names only the partitions of which something has changed, and is told only of such: session.go. One node
// leads everything; its leader epoch is that of its lineage, and who believes in another one is told so, which makes him ask for metadata, and then
// whether what he has read is still there.

// reader is the reading side of a fetch, reused by the fetches of a connection.
type reader struct {
	cursors []broker.Cursor
	refused []int16      // a code per partition that is not read
	raw     []wire.Piece // the batches that are being sent
	rooms   rooms        // where those lie that came from files
	buffer  func(int) []byte
	keep    func(func()) // nil: batches have to be read to be sent
}

// answerFetch reads until there is enough, or the client's time is up, and writes what there is.
func (k *conn) answerFetch(ctx context.Context, s *slot) error {
	f := &k.out.fetch
	if err := f.Decode(s.header.Version, s.body); err != nil {
		return fmt.Errorf("fetch request version %d: %w", s.header.Version, err)
	}
	x, refused := k.fetchSession(s.caller, f)
	if refused != codeNone {
		k.out.answer.Begin(f.Version, s.header.Correlation, refused, 0, 0)
		return k.send(nil)
	}
	w := k.startWork()
	if x == nil {
		k.cursors(s.caller, f)
	}
	results, err := k.readEnough(ctx, s, f, x, &w)
	if err == nil && x != nil {
		k.fillFromSession(s, f, x, results)
	} else if err == nil {
		k.fillWhole(s, f, results)
	}
	if x != nil {
		k.g.sessions.release(x)
	}
	if err != nil {
		return err
	}
	a := &k.out.answer
	release, err := k.reserveAnswer(ctx, s, a.InMemory())
	if err != nil {
		return err
	}
	defer release()
	a.Throttle(k.mute.keep(max(k.g.b.SpendRead(s.caller, a.Len()), w.spent(s.caller))))
	r := &k.out.reader
	k.out.ahead.note(s.caller, r.cursors, results, r.refused, a.InMemory(), k.fetchBytesMax(f))
	return k.send(ctx.Err())
}

// fillWhole puts all partitions of a request into the answer.
func (k *conn) fillWhole(s *slot, f *wire.Fetch, results []broker.ReadResult) {
	a := &k.out.answer
	a.Begin(f.Version, s.header.Correlation, codeNone, 0, len(f.Topics))
	for n := range f.Topics {
		t := &f.Topics[n]
		a.Topic(t, t.Count)
		for i := t.First; i < t.First+t.Count; i++ {
			k.fillPart(s, i, f.Parts[i].Partition, &results[i])
		}
		a.EndTopic()
	}
}

// fillPart puts what cursor i has read into the answer.
func (k *conn) fillPart(s *slot, i int, partition int32, r *broker.ReadResult) {
	a := &k.out.answer
	if r.Err != nil {
		s.err = r.Err
		k.report(k.out.reader.cursors[i].Stream, partition, r.Err)
	}
	if c := k.out.reader.refused[i]; c != codeNone {
		refused := refusedFetch(partition, c)
		refused.Leader = &wire.Leader{Node: k.g.b.NodeID(), Epoch: k.g.b.Epoch()}
		a.Part(refused)
		return
	}
	a.Part(fetchResult(partition, r, &k.out.reader.raw))
}

// cursors says what to read for each partition of f.
func (k *conn) cursors(caller *broker.Caller, f *wire.Fetch) {
	r := &k.out.reader
	r.begin()
	epoch := k.g.b.Epoch()
	for _, t := range f.Topics {
		name := k.topicName(caller, &k.out.names, &t)
		for _, p := range f.Parts[t.First : t.First+t.Count] {
			r.add(name, t.ID, &p, f.Committed, epoch)
		}
	}
}

// begin empties the list of what is read.
func (r *reader) begin() {
	r.cursors, r.refused = r.cursors[:0], r.refused[:0]
	if r.buffer == nil {
		r.buffer = r.rooms.take
	}
}

// add adds one partition to those that are read.
func (r *reader) add(name string, id [16]byte, p *wire.FetchPart, committed bool, epoch int32) {
	r.cursors = append(r.cursors, broker.Cursor{
		Stream: name, UID: id, Partition: partitionID(p.Partition), From: record.Offset(p.Offset), BytesMax: int(max(p.MaxBytes, 0)), Buffer: r.buffer, Keep: r.keep, Committed: committed,
	})
	r.refused = append(r.refused, epochCode(p.LeaderEpoch, epoch))
}

// epochCode is what is wrong with the leader epoch that a client believes in; -1 is none.
func epochCode(believed, now int32) int16 {
	switch {
	case believed == -1 || believed == now:
		return codeNone
	case believed < now:
		return codeFencedLeaderEpoch
	}
	return codeUnknownLeaderEpoch
}

// topicName is the name of a topic that a request names by name or by id. "" stands for an id that is nobody's: the broker refuses it.
func (k *conn) topicName(caller *broker.Caller, n *names, t *wire.Topic) string {
	if t.Name != nil || t.ID == [16]byte{} {
		return n.of(t.Name)
	}
	name, _ := k.g.b.StreamName(caller, t.ID)
	return name
}

// readEnough reads, and while there is less than MinBytes, no fault and time left, waits for appends and reads again. Without a session what is read are the
// reader's cursors, else those that the session chooses each time.
//
// The watch is set before the read whose result decides to wait: an append between that read and the wait has then fired it.
func (k *conn) readEnough(ctx context.Context, s *slot, f *wire.Fetch, x *session, w *work) ([]broker.ReadResult, error) {
	r := &k.out.reader
	results := k.read(ctx, s, f, x)
	wait := min(time.Duration(max(f.MaxWaitMS, 0))*time.Millisecond, k.g.cfg.FetchWaitMax) - clock.Since(s.begun)
	if wait <= 0 || k.enough(results, f) || x == nil && len(f.Parts) == 0 {
		return results, nil
	}
	if err := k.flush(); err != nil { // answers before this one must not wait with it
		return nil, err
	}
	var more <-chan struct{}
	again := true
	if x != nil {
		more, again = x.watch.C(), x.sift(results, r.refused, f.Committed)
	} else {
		watch := k.g.b.Watch(s.caller, r.cursors)
		defer watch.Close()
		more = watch.C()
	}
	timer := clock.NewTimer(wait)
	defer timer.Stop()
	for {
		if again {
			results = k.read(ctx, s, f, x)
			if k.enough(results, f) {
				return results, nil
			}
			if x != nil && x.sift(results, r.refused, f.Committed) {
				continue
			}
		}
		again = true
		idle := clock.Now()
		select {
		case <-more:
			w.apart += clock.Since(idle)
		case <-timer.C:
			w.apart += clock.Since(idle)
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

// fetchBytesMax is how long the answer to f may be.
func (k *conn) fetchBytesMax(f *wire.Fetch) int {
	return min(int(max(f.MaxBytes, 0)), k.g.cfg.FetchBytesMax)
}

// read reads all cursors into memory that goes back with the answer, or with the next read. What was read ahead for them is taken by the first read.
func (k *conn) read(ctx context.Context, s *slot, f *wire.Fetch, x *session) []broker.ReadResult {
	r, a := &k.out.reader, &k.out.ahead
	r.rooms.give()
	if x != nil {
		x.choose(clock.Now())
		k.sessionCursors(s.caller, f, x)
	}
	a.offer(r.cursors)
	results := k.g.b.Read(ctx, s.caller, r.cursors, k.fetchBytesMax(f))
	for i := range r.cursors {
		r.cursors[i].Ahead = nil
	}
	a.hand(&r.rooms)
	return results
}

// enough reports whether a fetch can be answered: there is as much as was asked for, or a fault, which the client should hear of now.
func (k *conn) enough(results []broker.ReadResult, f *wire.Fetch) bool {
	n := 0
	for i := range results {
		if results[i].Err != nil || k.out.reader.refused[i] != codeNone {
			return true
		}
		for _, b := range results[i].Batches {
			n += b.Len()
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
	w.pieces = w.answer.Pieces(w.pieces[:0])
	for i := range w.pieces {
		p := &w.pieces[i]
		if p.Place == nil {
			w.bufs = append(w.bufs, p.Bytes)
			continue
		}
		if err = k.writeBuffers(); err == nil {
			err = k.c.WritePlace(p.Place.(gateway.Place))
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = k.writeBuffers()
	}
	clear(w.bufs) // what was sent must not be kept alive by a connection that waits
	clear(w.pieces)
	clear(w.reader.raw)
	w.reader.raw = w.reader.raw[:0]
	w.reader.rooms.give()
	w.buf = w.buf[:0]
	return err
}

// writeBuffers writes what is in bufs.
func (k *conn) writeBuffers() error {
	w := &k.out
	bufs := w.bufs // WriteBuffers consumes the slice header, the array behind it stays ours
	if len(bufs) == 0 {
		return nil
	}
	_, err := k.c.WriteBuffers(bufs)
	clear(w.bufs)
	w.bufs = w.bufs[:0]
	return err
}
