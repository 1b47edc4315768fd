package shard

import (
	"errors"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
)

// Snapshot is what a shard can be built from at Seq: files of three kinds, and the frames behind After.
//
//	segment files  all events of frames up to T, but those that were removed at or before Seq
//	key files      all entries of frames up to K, likewise
//	state          the rows of frames up to Seq
//	After          min(T, K, Seq-1): rows of frames behind it find their events in the journal, and keys behind it are read from there; the
//	               frame Seq is always among them, because recovery compares it
//
// Why it is consistent. What is removed from segment and key files was removed for a reason that published state gave; so files are taken first,
// then state is made durable and copied: it has every reason there was. What is added to segment files is taken away from state (rows of a
// window); so no window runs meanwhile. What is added to key files is only ever counted upon by a later frame when it is an import; one that
// ends meanwhile has all of it begin again. So a shard built from it and replayed up to any frame from Seq on is what it was at that frame.
// Before Seq it is not: hence the two ends.
//
// Rows say at which place of the journal a frame is. In a journal that is written anew they have to be moved: see Relocate.
type Snapshot struct {
	Seq, After uint64
	TimeMS     int64 // append time of the frame Seq; 0 when there is none yet
	Segments   *segment.Snapshot
	Keys       *keys.Snapshot
}

// snapshotTriesMax is how often a snapshot begins again because an import of keys has ended meanwhile.
const snapshotTriesMax = 5

// Snapshot takes a snapshot beside all else; only moving events out of the journal waits for it. copyState makes all rows durable that were applied before,
// copies them, and returns the mark of the copy; what it made before is to be replaced. The caller closes the snapshot.
func (s *Shard) Snapshot(copyState func() (state.Mark, error)) (*Snapshot, error) {
	s.keeper.turn.Lock()
	defer s.keeper.turn.Unlock()
	for range snapshotTriesMax {
		n, err := s.snapshot(copyState)
		if err != nil {
			return nil, fmt.Errorf("shard %d: snapshot: %w", s.cfg.ID, err)
		}
		if s.published.keys.Imports() == n.Keys.Imports {
			return n, nil
		}
		n.Close()
	}
	return nil, fmt.Errorf("shard %d: snapshot: indexes of keys are being built; try again later", s.cfg.ID)
}

func (s *Shard) snapshot(copyState func() (state.Mark, error)) (n *Snapshot, err error) {
	n = &Snapshot{}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if n.Segments, err = s.published.segments.Snapshot(); err != nil {
		return nil, err
	}
	if n.Keys, err = s.published.keys.Snapshot(); err != nil {
		return nil, err
	}
	mark, err := copyState()
	if err != nil {
		return nil, err
	}
	n.Seq, n.After = mark.Seq, min(max(mark.Seq, 1)-1, n.Segments.Through, n.Keys.Durable)
	if n.Segments.Through > mark.Seq || n.Keys.Durable > mark.Seq {
		return nil, fmt.Errorf("state is copied up to frame %d, segment files hold %d and key files %d", mark.Seq, n.Segments.Through, n.Keys.Durable)
	}
	n.TimeMS, err = s.timeOf(mark)
	return n, err
}

// timeOf reads when a frame was appended. It is in the journal: nothing is trimmed during a snapshot, and never the last frame that state holds.
func (s *Shard) timeOf(mark state.Mark) (ms int64, err error) {
	if mark.Seq == 0 {
		return 0, nil
	}
	found := errors.New("found")
	err = (*s.published.journal.Load()).Scan(journal.Place(mark.Place), journal.Seq(mark.Seq)-1, func(e journal.Entry) error {
		if uint64(e.Seq) != mark.Seq {
			return fmt.Errorf("frame %d is not in the journal, which goes on with %d", mark.Seq, e.Seq)
		}
		if ms, err = FrameTime(e.Facts); err != nil {
			return err
		}
		return found
	})
	if errors.Is(err, found) {
		return ms, nil
	}
	if err == nil {
		err = fmt.Errorf("frame %d is not in the journal", mark.Seq)
	}
	return 0, err
}

// Close lets the files go.
func (n *Snapshot) Close() {
	if n.Segments != nil {
		n.Segments.Close()
	}
	if n.Keys != nil {
		n.Keys.Close()
	}
}

// FrameTime is when a frame was appended, in milliseconds since 1970.
func FrameTime(facts []byte) (int64, error) {
	h, _, err := fact.ReadHead(facts)
	return h.TimeMS, err
}

// CheckFrame checks every batch of a frame against its checksum and against what the facts say of it.
func CheckFrame(facts, data []byte) error {
	_, body, err := fact.ReadHead(facts)
	if err != nil {
		return err
	}
	return fact.Each(body, func(x fact.Fact) error {
		if x.Kind != fact.Appended {
			return nil
		}
		a, err := stream.ReadAppended(x.Body)
		if err != nil {
			return err
		}
		if a.Bytes < 0 || a.Bytes > int64(len(data)) {
			return fmt.Errorf("a batch of %d bytes, %d are left in the frame", a.Bytes, len(data))
		}
		run := stream.Run{Base: a.Base, Next: a.Base + record.Offset(a.Count)}
		err = checkRun(&run, data[:a.Bytes])
		data = data[a.Bytes:]
		return err
	})
}

// Relocate moves the rows of a frame to the place that it has in another journal. rows is applied by the caller.
func Relocate(st state.Store, rows state.Batch, facts []byte, place uint64) error {
	return stream.Relocate(st, rows, facts, place)
}
