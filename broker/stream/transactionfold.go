package stream

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// appendedWith evolves by the flags of an appended batch.
func (f *Folder) appendedWith(a *Appended) {
	if a.Flags&AppendedMarker == 0 {
		if t := f.evolveOpened(a, f.frame.Seq, f.frame.TimeMS); t != nil {
			f.transactors[t.Name] = struct{}{}
		}
		return
	}
	if gone, some := f.evolveMarked(a); some {
		f.rows.Set(AbortedKey(a.Stream, a.Partition, gone.Last), gone.append(nil))
	}
}

// transacted evolves by a fact of a transaction.
func (f *Folder) transacted(x fact.Fact) error {
	var t *Transactor
	switch x.Kind {
	case fact.TransactorPut:
		v, err := readTransactorPut(x.Body)
		if err != nil {
			return err
		}
		t = f.evolveTransactor(&v, f.frame.TimeMS)
	case fact.TransactorGone:
		b := fact.ReadBody(x.Body)
		id := readProducer(b)
		if err := b.Err(); err != nil {
			return err
		}
		t = f.evolveTransactorGone(id)
	case fact.Enlisted:
		v, err := readEnlisted(x.Body)
		if err != nil {
			return err
		}
		t = f.evolveEnlisted(&v, f.frame.TimeMS)
	case fact.PositionsDeferred:
		id, ds, err := readDeferred(x.Body)
		if err != nil {
			return err
		}
		t = f.evolveDeferred(id, ds, f.frame.TimeMS)
	default:
		v, err := readEnded(x.Body)
		if err != nil {
			return err
		}
		t = f.evolveEnded(&v, f.frame.TimeMS)
	}
	if t == nil {
		return fmt.Errorf("%s of a producer without a name", x.Kind)
	}
	f.transactors[t.Name] = struct{}{}
	return nil
}

func (f *Folder) writeTransactors() {
	for name := range f.transactors {
		if t := f.Transactors[name]; t != nil {
			f.rows.Set(transactorKey(name), t.appendRow(nil))
		} else {
			f.rows.Delete(transactorKey(name))
		}
	}
	clear(f.transactors)
}

func transactorKey(n TransactorName) []byte {
	k := state.AppendEscaped([]byte{state.PrefixTransactor}, []byte(n.Namespace))
	return state.AppendEscaped(k, []byte(n.Name))
}

// AbortedKey is the row of the aborted transaction whose marker is there.
func AbortedKey(id record.StreamID, p record.PartitionID, marker record.Offset) []byte {
	return binary.BigEndian.AppendUint64(PartitionKey(state.PrefixAborted, id, p), uint64(marker))
}

func (a *Aborted) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(a.Producer))
	dst = binary.AppendUvarint(dst, uint64(a.Last-a.First))
	return binary.AppendVarint(dst, int64(a.Stable-a.Last))
}

// ReadAborted decodes the row of an aborted transaction.
func ReadAborted(key, value []byte) (Aborted, error) {
	if len(key) != 17 {
		return Aborted{}, fmt.Errorf("aborted row: key of %d bytes", len(key))
	}
	b := fact.ReadBody(value)
	a := Aborted{Producer: readProducer(b), Last: record.Offset(binary.BigEndian.Uint64(key[9:]))}
	a.First = a.Last - record.Offset(b.Uvarint())
	a.Stable = a.Last + record.Offset(b.Varint())
	return a, b.Err()
}

func (t *Transactor) appendRow(dst []byte) []byte {
	dst = appendProducerEpoch(dst, t.Producer, t.Epoch)
	dst = appendProducerEpoch(dst, t.WasID+1, t.WasEpoch)
	dst = append(binary.AppendUvarint(dst, uint64(t.TimeoutMS)), byte(t.Phase))
	dst = binary.AppendVarint(binary.AppendVarint(dst, t.BegunMS), t.ChangedMS)
	dst = binary.AppendUvarint(dst, uint64(len(t.Places)))
	for i := range t.Places {
		e := &t.Places[i]
		dst = binary.AppendUvarint(appendPlaceOf(dst, e.Place), uint64(e.First+1))
		dst = binary.AppendUvarint(dst, e.Seq)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.Cursors)))
	for _, c := range t.Cursors {
		dst = binary.AppendUvarint(dst, uint64(c))
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.Deferred)))
	for i := range t.Deferred {
		d := &t.Deferred[i]
		dst = d.append(binary.AppendUvarint(dst, uint64(d.Cursor)))
	}
	return dst
}

// loadTransactor takes in a row, and what it says of partitions that were loaded before.
func (s *State) loadTransactor(key, value []byte) error {
	namespace, rest, err := state.AppendDecoded(nil, key[1:])
	if err != nil {
		return err
	}
	name, rest, err := state.AppendDecoded(nil, rest)
	if err != nil || len(rest) > 0 {
		return errors.Join(err, fmt.Errorf("transactor row: malformed key"))
	}
	b := fact.ReadBody(value)
	t := &Transactor{Name: TransactorName{string(namespace), string(name)}}
	t.Producer, t.Epoch = readProducer(b), int16(b.Varint())
	t.WasID, t.WasEpoch = readProducer(b)-1, int16(b.Varint())
	t.TimeoutMS, t.Phase = int64(b.Uvarint()), Phase(b.Fixed(1)[0])
	t.BegunMS, t.ChangedMS = b.Varint(), b.Varint()
	n, err := readCount(b, 4)
	if err != nil {
		return err
	}
	for range n {
		e := Enlisted{Place: readPlaceOf(b), First: record.Offset(b.Uvarint()) - 1, Seq: b.Uvarint()}
		t.Places = append(t.Places, e)
		if p := s.Partition(e.Stream, e.Partition); p != nil && e.First >= 0 {
			p.Open = append(p.Open, OpenTransaction{t.Producer, e.First, e.Seq})
		}
	}
	if n, err = readCount(b, 1); err != nil {
		return err
	}
	for range n {
		t.Cursors = append(t.Cursors, uint32(b.Uvarint()))
	}
	if n, err = readCount(b, 6); err != nil {
		return err
	}
	for range n {
		t.Deferred = append(t.Deferred, readDeferredOne(b, uint32(b.Uvarint())))
	}
	s.Transactors[t.Name], s.ByProducer[t.Producer] = t, t
	return b.Err()
}

// sortOpen puts the open transactions of partitions in order, once all are loaded.
func (s *State) sortOpen() {
	for _, st := range s.Streams {
		for i := range st.Partitions {
			slices.SortFunc(st.Partitions[i].Open, func(a, b OpenTransaction) int { return cmp.Compare(a.First, b.First) })
		}
	}
}
