package stream

import (
	"encoding/binary"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Rows of the state's key space that this machine writes. The prefixes stand in state's keyspace.go; numbers in keys are big endian.

// Run is where one or more batches of a partition lie, one after the other, in the data region of one frame.
type Run struct {
	Base      record.Offset // of the first record; part of the key
	Next      record.Offset // after the last record
	Place     uint64        // of the frame
	Seq       uint64
	Batch     uint32 // of the first batch, among the frame's batches
	Off       int64  // in the frame's data region
	Bytes     int64
	TimeMS    int64 // append time
	MaxTimeMS int64 // greatest producer time up to and including this run, over the whole partition
	Origin    uint32
}

// RunBytesMax is how far a run grows by merging: a reader that wants one batch reads at most this much, or that one batch.
const RunBytesMax = 256 << 10

// KeyedRunBytesMax is the same where records are found by their keys, one here and one there.
const KeyedRunBytesMax = 16 << 10

// PartitionKey is the common start of a partition's rows under a prefix.
func PartitionKey(prefix byte, id record.StreamID, p record.PartitionID) []byte {
	k := make([]byte, 0, 9+8)
	k = append(k, prefix)
	k = binary.BigEndian.AppendUint32(k, uint32(id))
	return binary.BigEndian.AppendUint32(k, uint32(p))
}

func streamKey(prefix byte, id record.StreamID) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix}, uint32(id))
}

// RunKey is the row of the run that starts at base.
func RunKey(id record.StreamID, p record.PartitionID, base record.Offset) []byte {
	return binary.BigEndian.AppendUint64(PartitionKey(state.PrefixRun, id, p), uint64(base))
}

func (r *Run) append(dst []byte) []byte {
	for _, v := range []uint64{uint64(r.Next - r.Base), r.Place, r.Seq, uint64(r.Batch), uint64(r.Off), uint64(r.Bytes)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendVarint(dst, r.TimeMS)
	dst = binary.AppendVarint(dst, r.MaxTimeMS)
	return binary.AppendUvarint(dst, uint64(r.Origin))
}

// ReadRun decodes a run's row.
func ReadRun(key, value []byte) (Run, error) {
	if len(key) != 17 {
		return Run{}, fmt.Errorf("run row: key of %d bytes", len(key))
	}
	b := fact.ReadBody(value)
	r := Run{Base: record.Offset(binary.BigEndian.Uint64(key[9:]))}
	r.Next = r.Base + record.Offset(b.Uvarint())
	r.Place, r.Seq, r.Batch = b.Uvarint(), b.Uvarint(), uint32(b.Uvarint())
	r.Off, r.Bytes = int64(b.Uvarint()), int64(b.Uvarint())
	r.TimeMS, r.MaxTimeMS, r.Origin = b.Varint(), b.Varint(), uint32(b.Uvarint())
	return r, b.Err()
}

// VersionKey is the row that says how many records a key had when its stream began to number keys, and as of which frame (not in rows of format 1). Later versions are in the index of keys.
func VersionKey(id record.StreamID, key []byte) []byte {
	return state.AppendEscaped(streamKey(state.PrefixVersion, id), key)
}

// First is the record that an identity belongs to.
type First struct {
	Stream    record.StreamID
	Partition record.PartitionID
	Offset    record.Offset
	Seq       uint64
	Batch     uint32
	Record    uint32
	TimeMS    int64
}

// IdentityBucketMS is the width of one bucket of identity rows. A bucket is dropped whole.
const IdentityBucketMS = 60_000

// IdentityKey is the row of an identity first seen in the bucket of timeMS.
func IdentityKey(timeMS int64, id Identity) []byte {
	k := binary.BigEndian.AppendUint64([]byte{state.PrefixDedup}, uint64(timeMS/IdentityBucketMS))
	return append(k, id[:]...)
}

func (f *First) append(dst []byte) []byte {
	for _, v := range []uint64{uint64(f.Stream), uint64(f.Partition), uint64(f.Offset), f.Seq, uint64(f.Batch), uint64(f.Record)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return binary.AppendVarint(dst, f.TimeMS)
}

// ReadFirst decodes an identity row's value.
func ReadFirst(value []byte) (First, error) {
	b := fact.ReadBody(value)
	f := First{
		Stream: record.StreamID(b.Uvarint()), Partition: record.PartitionID(b.Uvarint()), Offset: record.Offset(b.Uvarint()),
		Seq: b.Uvarint(), Batch: uint32(b.Uvarint()), Record: uint32(b.Uvarint()), TimeMS: b.Varint(),
	}
	return f, b.Err()
}

const (
	streamKeyed byte = 1 << iota
	streamConverted
	streamPartial
	streamTerms
	streamTermsPartial
)

func (st *Stream) appendRow(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(st.Partitions)))
	dst = append(dst, byte(st.Keys))
	var flags byte
	if st.Keyed {
		flags |= streamKeyed
	}
	if st.Converted {
		flags |= streamConverted
	}
	if st.Partial {
		flags |= streamPartial
	}
	if st.TermsSince > 0 {
		flags |= streamTerms
	}
	if st.TermsPartial {
		flags |= streamTermsPartial
	}
	dst = append(dst, flags)
	if st.KeysSince > 0 || st.Building > 0 || st.TermsSince > 0 {
		dst = binary.AppendUvarint(dst, st.KeysSince)
		dst = binary.AppendUvarint(dst, st.Building)
		dst = binary.AppendUvarint(dst, uint64(st.Target))
	}
	if st.TermsSince > 0 {
		dst = binary.AppendUvarint(dst, st.TermsSince)
	}
	return dst
}

func (p *Partition) appendRow(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Start))
	dst = binary.AppendUvarint(dst, uint64(p.Next))
	dst = binary.AppendUvarint(dst, uint64(p.Bytes))
	dst = binary.AppendVarint(dst, p.MaxTimeMS)
	if p.Start == 0 && !p.Marked {
		return dst // as it was before anything could be trimmed
	}
	if dst = p.Gone.append(dst); p.Marked {
		dst = binary.AppendUvarint(dst, uint64(p.LastAborted))
	}
	return dst
}

func (pr *Producer) appendRow(dst []byte) []byte {
	dst = binary.AppendVarint(dst, int64(pr.Epoch))
	dst = binary.AppendVarint(dst, pr.LastMS)
	dst = binary.AppendUvarint(dst, uint64(pr.Count))
	for _, s := range pr.Recent[:pr.Count] {
		dst = binary.AppendUvarint(dst, uint64(s.First))
		dst = binary.AppendUvarint(dst, uint64(s.Last))
		dst = binary.AppendUvarint(dst, uint64(s.Base))
	}
	return dst
}

func producerKey(id record.StreamID, p record.PartitionID, producer int64) []byte {
	return binary.BigEndian.AppendUint64(PartitionKey(state.PrefixProducer, id, p), uint64(producer))
}

// RunOf returns the partition that a run's row belongs to.
func RunOf(key []byte) (record.StreamID, record.PartitionID) {
	return record.StreamID(binary.BigEndian.Uint32(key[1:])), record.PartitionID(binary.BigEndian.Uint32(key[5:]))
}
