package stream

import (
	"encoding/binary"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Folder applies the facts of durable frames, one frame at a time, to a State and to rows. Begin, then Apply for each fact, then End.
type Folder struct {
	*State
	rows  state.Batch
	frame FrameInfo

	off         int64  // in the data region, of the next batch
	batches     uint32 // in the frame so far
	last        Appended
	run         Run
	runAt       partitionAt // of run; stream 0 when there is none
	touched     map[partitionAt]struct{}
	sent        map[producerAt]*Producer
	transactors map[TransactorName]struct{} // to be written or removed
	buf         []byte

	// Appends lists what the frame appended, in order, for the hot tail and for waking readers. Good until the next Begin.
	Appends []Placed
	// Trims lists where partitions begin now, likewise.
	Trims []Trimmed
	// Identities lists what the frame made known, likewise.
	Identities []Identity
	// Versions lists the keys whose version the frame moved, likewise. Keys are slices of the frame's facts.
	Versions []KeyVersion
	// Changed and Dropped list streams that were made or altered, and deleted, likewise.
	Changed, Dropped []record.StreamID
	// Built and TermsBuilt list streams whose keys, and whose terms, have been built, likewise.
	Built, TermsBuilt []record.StreamID

	// OnKey is told of every record of a key, and of a term, in order of positions. The key is a slice of the frame's facts. nil: nobody asks.
	OnKey func(id record.StreamID, key []byte, e *HistoryEntry)
}

// FrameInfo says where the facts come from.
type FrameInfo struct {
	Seq    uint64
	Place  uint64
	TimeMS int64
}

// KeyVersion is the version that a key now has.
type KeyVersion struct {
	Stream  record.StreamID
	Key     []byte
	Version uint64
}

// Placed is one batch and its place among the frame's batches.
type Placed struct {
	Appended
	Batch uint32
	Off   int64
}

type partitionAt struct {
	stream    record.StreamID
	partition record.PartitionID
}

type producerAt struct {
	partitionAt
	producer int64
}

// NewFolder makes a folder that evolves s.
func NewFolder(s *State) *Folder {
	return &Folder{State: s, touched: map[partitionAt]struct{}{}, transactors: map[TransactorName]struct{}{}, sent: map[producerAt]*Producer{}}
}

// Begin starts a frame whose rows go to rows.
func (f *Folder) Begin(info FrameInfo, rows state.Batch) {
	f.frame, f.rows = info, rows
	f.off, f.batches, f.runAt = 0, 0, partitionAt{}
	f.Versions, f.Trims, f.Built, f.TermsBuilt = f.Versions[:0], f.Trims[:0], f.Built[:0], f.TermsBuilt[:0]
	f.Appends, f.Identities, f.Changed, f.Dropped = f.Appends[:0], f.Identities[:0], f.Changed[:0], f.Dropped[:0]
	f.TimeMS = max(f.TimeMS, info.TimeMS)
}

// Apply evolves by one fact. It reports false for a fact that belongs to another machine.
func (f *Folder) Apply(x fact.Fact) (bool, error) {
	if x.Version != 1 && (x.Kind != fact.Keyed || x.Version != keyedFlagged) && (x.Kind != fact.StreamChanged || x.Version != changedBuilds) && (x.Kind != fact.Appended || x.Version != appendedFlagged) {
		switch x.Kind {
		case fact.Appended, fact.Keyed, fact.Identified, fact.StreamCreated, fact.StreamChanged, fact.StreamDeleted, fact.ProducerAllocated, fact.OriginDefined, fact.Trimmed,
			fact.KeysCounted, fact.KeysBuilt, fact.TransactorPut, fact.TransactorGone, fact.Enlisted, fact.PositionsDeferred, fact.TransactionEnded,
			fact.TermsSet, fact.TermsBuilt, fact.Termed:
			return true, &fact.UnknownError{What: fmt.Sprintf("version %d of %s", x.Version, x.Kind)}
		}
	}
	switch x.Kind {
	case fact.Appended:
		return true, f.appended(x.Body)
	case fact.Keyed:
		return true, f.keyed(x)
	case fact.Identified:
		return true, f.identified(x.Body)
	case fact.Trimmed:
		return true, f.trimmed(x.Body)
	case fact.StreamCreated, fact.StreamChanged:
		id, n, keys, err := readStreamFact(x.Body)
		if err != nil {
			return true, err
		}
		f.evolveStream(id, n, keys, f.frame.Seq, x.Version == changedBuilds)
		f.writeStream(f.Streams[id])
		f.Changed = append(f.Changed, id)
		f.writeCounters()
		return true, nil
	case fact.TransactorPut, fact.TransactorGone, fact.Enlisted, fact.PositionsDeferred, fact.TransactionEnded:
		return true, f.transacted(x)
	case fact.TermsSet, fact.TermsBuilt, fact.Termed:
		return true, f.termed(x)
	case fact.KeysCounted:
		return true, f.counted(x.Body)
	case fact.KeysBuilt:
		return true, f.built(x.Body)
	case fact.StreamDeleted:
		return true, f.deleted(x.Body)
	case fact.ProducerAllocated:
		b := fact.ReadBody(x.Body)
		f.NextProducer = max(f.NextProducer, int64(b.Uvarint())+1)
		f.writeCounters()
		return true, b.Err()
	case fact.OriginDefined:
		n, o, err := readOrigin(x.Body)
		if err != nil {
			return true, err
		}
		f.evolveOrigin(n, o)
		f.rows.Set(binary.BigEndian.AppendUint32([]byte{state.PrefixOrigin}, n), appendOrigin(nil, n, o))
		f.writeCounters()
		return true, nil
	}
	return false, nil
}

func (f *Folder) appended(body []byte) error {
	a, err := ReadAppended(body)
	if err != nil {
		return err
	}
	p := f.Partition(a.Stream, a.Partition)
	if p == nil {
		return fmt.Errorf("appended to partition %d of stream %d, which does not exist", a.Partition, a.Stream)
	}
	if p.Next != a.Base {
		return fmt.Errorf("appended at offset %d of partition %d of stream %d, which ends at %d", a.Base, a.Partition, a.Stream, p.Next)
	}
	at := partitionAt{a.Stream, a.Partition}
	pr, forgotten := f.evolveAppended(&a, f.frame.TimeMS)
	if pr != nil {
		f.sent[producerAt{at, a.Producer}] = pr
	}
	if forgotten >= 0 {
		delete(f.sent, producerAt{at, forgotten})
		f.rows.Delete(producerKey(a.Stream, a.Partition, forgotten))
	}
	if a.Flags != 0 {
		f.appendedWith(&a)
	}
	f.touched[at] = struct{}{}
	f.extendRun(at, &a, p)
	f.Appends = append(f.Appends, Placed{a, f.batches, f.off})
	f.last = a
	f.off += a.Bytes
	f.batches++
	return nil
}

func (f *Folder) extendRun(at partitionAt, a *Appended, p *Partition) {
	most := int64(RunBytesMax)
	if f.Streams[a.Stream].Keys != KeysOff {
		most = KeyedRunBytesMax
	}
	if f.runAt == at && f.run.Bytes+a.Bytes <= most && f.run.Origin == a.Origin {
		f.run.Bytes += a.Bytes
		f.run.Next = p.Next
		f.run.MaxTimeMS = p.MaxTimeMS
		return
	}
	f.writeRun()
	f.runAt = at
	f.run = Run{
		Base: a.Base, Next: p.Next, Place: f.frame.Place, Seq: f.frame.Seq, Batch: f.batches, Off: f.off, Bytes: a.Bytes,
		TimeMS: f.frame.TimeMS, MaxTimeMS: p.MaxTimeMS, Origin: a.Origin,
	}
}

func (f *Folder) writeRun() {
	if f.runAt.stream == 0 {
		return
	}
	f.buf = f.run.append(f.buf[:0])
	f.rows.Set(RunKey(f.runAt.stream, f.runAt.partition, f.run.Base), f.buf)
	f.runAt = partitionAt{}
}

func (f *Folder) keyed(x fact.Fact) error {
	st := f.Streams[f.last.Stream]
	if st == nil || f.batches == 0 {
		return fmt.Errorf("keys without a batch before them")
	}
	if !st.Keyed {
		st.Keyed = true
		f.Changed = append(f.Changed, st.ID)
		f.writeStream(st)
	}
	a := &f.last
	return eachKey(x, a, f.frame.Seq, f.batches-1, func(id record.StreamID, key []byte, e *HistoryEntry) {
		if f.OnKey != nil {
			f.OnKey(id, key, e)
		}
		if e.Version > 0 {
			f.Versions = append(f.Versions, KeyVersion{id, key, e.Version})
		}
	})
}

func (f *Folder) identified(body []byte) error {
	a := &f.last
	if f.batches == 0 {
		return fmt.Errorf("identities without a batch before them")
	}
	return readIdentified(body, func(i int32, id Identity) {
		w := First{
			Stream: a.Stream, Partition: a.Partition, Offset: a.Base + record.Offset(i), Seq: f.frame.Seq, Batch: f.batches - 1,
			Record: uint32(i), TimeMS: f.frame.TimeMS,
		}
		f.buf = w.append(f.buf[:0])
		f.rows.Set(IdentityKey(f.frame.TimeMS, id), f.buf)
		f.Identities = append(f.Identities, id)
	})
}

func (f *Folder) trimmed(body []byte) error {
	t, err := ReadTrimmed(body)
	if err != nil {
		return err
	}
	p := f.Partition(t.Stream, t.Partition)
	if p == nil {
		return fmt.Errorf("trimmed partition %d of stream %d, which does not exist", t.Partition, t.Stream)
	}
	if t.Start > p.Next {
		return fmt.Errorf("trimmed partition %d of stream %d up to offset %d, which ends at %d", t.Partition, t.Stream, t.Start, p.Next)
	}
	if f.evolveTrimmed(&t) {
		f.touched[partitionAt{t.Stream, t.Partition}] = struct{}{}
		if p.LastAborted > 0 {
			f.rows.DeleteRange(PartitionKey(state.PrefixAborted, t.Stream, t.Partition), AbortedKey(t.Stream, t.Partition, t.Start))
		}
		f.Trims = append(f.Trims, t)
	}
	return nil
}

func (f *Folder) deleted(body []byte) error {
	b := fact.ReadBody(body)
	id := record.StreamID(b.Uvarint())
	if err := b.Err(); err != nil {
		return err
	}
	for _, t := range f.evolveStreamGone(id) {
		f.transactors[t.Name] = struct{}{}
	}
	for at := range f.touched {
		if at.stream == id {
			delete(f.touched, at)
		}
	}
	for at := range f.sent {
		if at.stream == id {
			delete(f.sent, at)
		}
	}
	if f.runAt.stream == id {
		f.runAt = partitionAt{}
	}
	for _, prefix := range []byte{state.PrefixRun, state.PrefixPartition, state.PrefixProducer, state.PrefixVersion, state.PrefixAborted} {
		f.rows.DeleteRange(streamKey(prefix, id), streamKey(prefix, id+1))
	}
	f.rows.Delete(streamKey(state.PrefixStream, id))
	f.Dropped = append(f.Dropped, id)
	return nil
}

// End writes the rows that change once a frame.
func (f *Folder) End() {
	f.writeRun()
	for at := range f.touched {
		f.buf = f.Partition(at.stream, at.partition).appendRow(f.buf[:0])
		f.rows.Set(PartitionKey(state.PrefixPartition, at.stream, at.partition), f.buf)
	}
	for at, pr := range f.sent {
		f.buf = pr.appendRow(f.buf[:0])
		f.rows.Set(producerKey(at.stream, at.partition, at.producer), f.buf)
	}
	f.writeTransactors()
	f.rows.Set(timeKey, binary.AppendVarint(f.buf[:0], f.TimeMS))
	clear(f.touched)
	clear(f.sent)
	f.rows = nil
}

func (f *Folder) writeStream(st *Stream) {
	f.rows.Set(streamKey(state.PrefixStream, st.ID), st.appendRow(nil))
}

// DropIdentities removes the buckets before timeMS.
func (f *Folder) DropIdentities(timeMS int64) {
	lo := []byte{state.PrefixDedup}
	f.rows.DeleteRange(lo, binary.BigEndian.AppendUint64([]byte{state.PrefixDedup}, uint64(max(timeMS, 0)/IdentityBucketMS)))
}

var (
	countersKey = []byte{state.PrefixMeta, 's'}
	timeKey     = []byte{state.PrefixMeta, 't'}
)

func (f *Folder) writeCounters() {
	v := binary.AppendUvarint(nil, uint64(f.NextStream))
	v = binary.AppendUvarint(v, uint64(f.NextProducer))
	v = binary.AppendUvarint(v, uint64(f.NextOrigin))
	f.rows.Set(countersKey, v)
}
