package stream

import (
	"encoding/binary"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
)

// Bodies of the facts of transactions. A place is stream uvarint, partition uvarint; producers are told by their number, which belongs to one
// transactor at a time.
//
//	transactor-put      producer uvarint | epoch varint | was: producer + 1 uvarint, epoch varint | timeout uvarint | namespace bytes | name bytes
//	transactor-gone     producer uvarint
//	enlisted            producer uvarint | n uvarint, n × place | n uvarint, n × subscription uvarint
//	positions-deferred  producer uvarint | subscription uvarint | n uvarint, n × (place | offset uvarint | leader epoch plus one varint | metadata bytes)
//	transaction-ended   producer uvarint | flags u8 (1: committed) | then: producer uvarint, epoch varint | was: producer + 1 uvarint, epoch varint
//
// An appended fact of version 2 has a byte of flags at its end: 1 the batch is of a transaction, 2 it is a marker, 4 which commits.

// Flags of an appended fact of version 2.
const (
	AppendedTransactional byte = 1 << iota
	AppendedMarker
	AppendedCommit
)

// Versions of the appended fact. 2 is written since format 4, and only of batches with flags.
const (
	appendedPlain   uint64 = 1
	appendedFlagged uint64 = 2
)

type transactorPut struct {
	producer  int64
	epoch     int16
	wasID     int64
	wasEpoch  int16
	timeoutMS int64
	name      TransactorName
}

func appendProducerEpoch(dst []byte, id int64, epoch int16) []byte {
	return binary.AppendVarint(binary.AppendUvarint(dst, uint64(id)), int64(epoch))
}

func (v *transactorPut) append(dst []byte) []byte {
	dst = appendProducerEpoch(dst, v.producer, v.epoch)
	dst = appendProducerEpoch(dst, v.wasID+1, v.wasEpoch)
	dst = binary.AppendUvarint(dst, uint64(v.timeoutMS))
	return fact.AppendString(fact.AppendString(dst, v.name.Namespace), v.name.Name)
}

func readTransactorPut(p []byte) (v transactorPut, err error) {
	b := fact.ReadBody(p)
	v.producer, v.epoch = readProducer(b), int16(b.Varint())
	v.wasID, v.wasEpoch = readProducer(b)-1, int16(b.Varint())
	v.timeoutMS = int64(b.Uvarint() & (1<<62 - 1))
	v.name = TransactorName{b.String(), b.String()}
	return v, b.Err()
}

func readProducer(b *fact.Body) int64 { return int64(b.Uvarint() & (1<<62 - 1)) }

type enlistedFact struct {
	producer int64
	places   []Place
	cursors  []uint32
}

func appendPlaceOf(dst []byte, p Place) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.Stream)), uint64(p.Partition))
}

func readPlaceOf(b *fact.Body) Place {
	return Place{record.StreamID(b.Uvarint()), record.PartitionID(b.Uvarint())}
}

// readCount reads a number of things of which each takes at least so many bytes.
func readCount(b *fact.Body, least int) (int, error) {
	n := b.Uvarint()
	if n > uint64(b.Rest()/least) {
		return 0, fmt.Errorf("fact body: %d things do not fit into %d bytes", n, b.Rest())
	}
	return int(n), nil
}

func (v *enlistedFact) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(v.producer))
	dst = binary.AppendUvarint(dst, uint64(len(v.places)))
	for _, p := range v.places {
		dst = appendPlaceOf(dst, p)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.cursors)))
	for _, c := range v.cursors {
		dst = binary.AppendUvarint(dst, uint64(c))
	}
	return dst
}

func readEnlisted(p []byte) (v enlistedFact, err error) {
	b := fact.ReadBody(p)
	v.producer = readProducer(b)
	n, err := readCount(b, 2)
	if err != nil {
		return v, err
	}
	for range n {
		v.places = append(v.places, readPlaceOf(b))
	}
	if n, err = readCount(b, 1); err != nil {
		return v, err
	}
	for range n {
		v.cursors = append(v.cursors, uint32(b.Uvarint()))
	}
	return v, b.Err()
}

func appendDeferred(dst []byte, producer int64, cursor uint32, ds []Deferred) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(producer)), uint64(cursor))
	dst = binary.AppendUvarint(dst, uint64(len(ds)))
	for i := range ds {
		dst = ds[i].append(dst)
	}
	return dst
}

// deferredNone is -1 in the bits that an offset has.
const deferredNone = 1<<62 - 1

func (d *Deferred) append(dst []byte) []byte {
	dst = binary.AppendUvarint(appendPlaceOf(dst, d.Place), uint64(d.To)&deferredNone)
	return fact.AppendBytes(binary.AppendVarint(dst, int64(d.Epoch)), d.Metadata)
}

// readDeferredOne copies what it keeps.
func readDeferredOne(b *fact.Body, cursor uint32) Deferred {
	d := Deferred{Cursor: cursor, Place: readPlaceOf(b), To: record.Offset(b.Uvarint() & deferredNone), Epoch: int32(b.Varint())}
	if d.To == deferredNone {
		d.To = -1
	}
	if m := b.Bytes(); len(m) > 0 {
		d.Metadata = append([]byte(nil), m...)
	}
	return d
}

func readDeferred(p []byte) (producer int64, ds []Deferred, err error) {
	b := fact.ReadBody(p)
	producer = readProducer(b)
	cursor := uint32(b.Uvarint())
	n, err := readCount(b, 5)
	if err != nil {
		return 0, nil, err
	}
	for range n {
		ds = append(ds, readDeferredOne(b, cursor))
	}
	return producer, ds, b.Err()
}

type ended struct {
	producer int64
	commit   bool
	then     int64
	epoch    int16
	wasID    int64
	wasEpoch int16
}

func (v *ended) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(v.producer))
	flags := byte(0)
	if v.commit {
		flags = 1
	}
	dst = append(dst, flags)
	return appendProducerEpoch(appendProducerEpoch(dst, v.then, v.epoch), v.wasID+1, v.wasEpoch)
}

func readEnded(p []byte) (v ended, err error) {
	b := fact.ReadBody(p)
	v.producer = readProducer(b)
	v.commit = b.Fixed(1)[0]&1 != 0
	v.then, v.epoch = readProducer(b), int16(b.Varint())
	v.wasID, v.wasEpoch = readProducer(b)-1, int16(b.Varint())
	return v, b.Err()
}
