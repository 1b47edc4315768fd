package record

import (
	"encoding/binary"
	"hash/crc32"

	"leat/broker/fault"
	"leat/internal/crc32c"
)

// A batch, all numbers big-endian:
//
//	 0        8      12      16 17     21   23        27          35         43          51     53        57     61
//	┌────────┬───────┬───────┬──┬──────┬────┬─────────┬───────────┬──────────┬───────────┬──────┬─────────┬──────┬─────────┐
//	│ base   │ bytes │leader │ 2│ CRC  │attr│ last    │ base      │ max      │ producer  │ pr.  │ base    │count │ records │
//	│ offset │ after │ epoch │  │ 32C  │    │ offset  │ timestamp │ timestamp│ id        │epoch │ sequence│      │         │
//	└────────┴───────┴───────┴──┴──────┴────┴─────────┴───────────┴──────────┴───────────┴──────┴─────────┴──────┴─────────┘
//	 patched  ↑       patched           └──────────────────── under the CRC, to the end ──────────────────────────────────┘
//
// "bytes after" counts from offset 12. attr: bits 0-2 codec, 3 append time, 4 transactional, 5 control, 6 delete horizon.
const (
	// BatchHeaderBytes is the length of what stands before the records.
	BatchHeaderBytes = 61

	batchLengthEnd = 12 // where "bytes after" starts counting

	atBaseOffset    = 0
	atLength        = 8
	atLeaderEpoch   = 12
	atMagic         = 16
	atCRC           = 17
	atAttributes    = 21
	atLastDelta     = 23
	atBaseTimestamp = 27
	atMaxTimestamp  = 35
	atProducerID    = 43
	atProducerEpoch = 51
	atBaseSequence  = 53
	atCount         = 57

	magic = 2
)

// Bits of the attributes.
const (
	attrCodec         = 0x07
	attrAppendTime    = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6
	attrKnown         = attrCodec | attrAppendTime | attrTransactional | attrControl | attrDeleteHorizon
)

// NoProducer is the producer id of a batch without one; NoSequence and NoProducerEpoch stand beside it.
const (
	NoProducer      int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
)

// castagnoli is in hardware on amd64 and arm64.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BatchHeader is the decoded header of a batch.
type BatchHeader struct {
	BaseOffset      Offset
	Bytes           int // the whole batch, including the first 12
	LeaderEpoch     int32
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64
	MaxTimestamp    int64
	ProducerID      int64 // NoProducer for none
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
}

// Codec is how the records are compressed. It may be a value that is not known.
func (h BatchHeader) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// Transactional reports whether the batch belongs to a transaction.
func (h BatchHeader) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// Control reports whether the batch holds a marker instead of user data.
func (h BatchHeader) Control() bool { return h.Attributes&attrControl != 0 }

// AppendTime reports whether MaxTimestamp is the time of the append and stands for the time of each record.
func (h BatchHeader) AppendTime() bool { return h.Attributes&attrAppendTime != 0 }

// LastOffset is the offset of the last record.
func (h BatchHeader) LastOffset() Offset { return h.BaseOffset + Offset(h.LastOffsetDelta) }

// LastSequence is the producer sequence of the last record. Sequences wrap from 2147483647 to 0.
func (h BatchHeader) LastSequence() int32 {
	if h.BaseSequence < 0 {
		return NoSequence
	}
	return int32((int64(h.BaseSequence) + int64(h.LastOffsetDelta)) & 0x7fffffff)
}

// PeekBatchHeader decodes the header of a batch whose other bytes may not be at hand: p needs BatchHeaderBytes only. Of the fields,
// only the length and the magic have been judged.
func PeekBatchHeader(p []byte) (BatchHeader, error) {
	if len(p) <= atMagic {
		return BatchHeader{}, invalid("batch", "it has %d bytes, less than a batch header of %d", len(p), BatchHeaderBytes)
	}
	if m := p[atMagic]; m != magic {
		return BatchHeader{}, badMagic(m)
	}
	if len(p) < BatchHeaderBytes {
		return BatchHeader{}, invalid("batch", "it has %d bytes, less than a batch header of %d", len(p), BatchHeaderBytes)
	}
	be := binary.BigEndian
	after := int32(be.Uint32(p[atLength:]))
	if after < BatchHeaderBytes-batchLengthEnd {
		return BatchHeader{}, invalid("batch", "its length field says %d, less than the %d of a header", after, BatchHeaderBytes-batchLengthEnd)
	}
	return BatchHeader{
		BaseOffset:      Offset(be.Uint64(p[atBaseOffset:])),
		Bytes:           int(after) + batchLengthEnd,
		LeaderEpoch:     int32(be.Uint32(p[atLeaderEpoch:])),
		CRC:             be.Uint32(p[atCRC:]),
		Attributes:      int16(be.Uint16(p[atAttributes:])),
		LastOffsetDelta: int32(be.Uint32(p[atLastDelta:])),
		BaseTimestamp:   int64(be.Uint64(p[atBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(p[atMaxTimestamp:])),
		ProducerID:      int64(be.Uint64(p[atProducerID:])),
		ProducerEpoch:   int16(be.Uint16(p[atProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(p[atBaseSequence:])),
		Count:           int32(be.Uint32(p[atCount:])),
	}, nil
}

// ParseBatchHeader decodes the header of the batch at the start of p, which may be longer than the batch but not shorter, so that
// p[:h.Bytes] is the batch. It judges structure only: the checksum and the meaning of the fields are CheckBatch's.
func ParseBatchHeader(p []byte) (BatchHeader, error) {
	h, err := PeekBatchHeader(p)
	if err != nil {
		return h, err
	}
	if h.Bytes > len(p) {
		return h, invalid("batch", "it is cut off: %d bytes announced, %d there", h.Bytes, len(p))
	}
	if h.Count < 0 || h.LastOffsetDelta < 0 {
		return h, invalid("batch", "its record count is %d and its last offset delta %d; neither may be negative", h.Count, h.LastOffsetDelta)
	}
	return h, nil
}

// CheckBatch is what a batch from a producer must pass before it is stored: p is exactly one batch, with a right checksum, at least
// one record, dense offsets, and attributes that a producer may set. The records themselves are not looked at.
//
// Errors are *fault.Error: Unsupported for an old format or an unknown codec, else Invalid with the reason where there is one.
func CheckBatch(p []byte) (BatchHeader, error) {
	h, err := checkWhole(p)
	if err == nil && (h.Count < 1 || h.Count != h.LastOffsetDelta+1) {
		err = invalid("batch", "its record count is %d and its last offset delta %d; a producer's batch has at least one record and a delta one less than the count", h.Count, h.LastOffsetDelta)
	}
	return h, err
}

// CheckCopy is CheckBatch for a batch that copies what another log has, with its offsets: offsets may be left out, all of them too, and there is no
// producer.
func CheckCopy(p []byte) (BatchHeader, error) {
	h, err := checkWhole(p)
	switch {
	case err != nil:
	case int64(h.Count) > int64(h.LastOffsetDelta)+1:
		err = invalid("batch", "its record count is %d and its last offset delta %d", h.Count, h.LastOffsetDelta)
	case h.ProducerID != NoProducer:
		err = invalid("batch", "it is a copy and has the producer id %d", h.ProducerID)
	}
	return h, err
}

// checkWhole is what both of them look at.
func checkWhole(p []byte) (BatchHeader, error) {
	h, err := ParseBatchHeader(p)
	if err != nil {
		return h, err
	}
	if h.Bytes != len(p) {
		return h, invalid("batch", "%d bytes follow it; one batch was expected", len(p)-h.Bytes)
	}
	if crc := crc32.Checksum(p[atAttributes:], castagnoli); crc != h.CRC {
		return h, invalid("batch", "its checksum is %08x, its bytes have %08x", h.CRC, crc).Because(fault.ReasonChecksum)
	}
	if !h.Codec().Known() {
		return h, unknownCodec(h.Codec())
	}
	return h, checkAttributes(h)
}

func checkAttributes(h BatchHeader) error {
	switch {
	case h.Attributes&^attrKnown != 0:
		return fault.New(fault.Unsupported, opBatch, "batch", "its attributes %#04x have bits that are not known", uint16(h.Attributes))
	case h.Control():
		return invalid("batch", "control batches may not be written by producers")
	case h.Attributes&attrDeleteHorizon != 0:
		return invalid("batch", "a delete horizon may not be set by producers")
	case h.AppendTime():
		return invalid("batch", "the append-time bit may not be set by producers").Because(fault.ReasonTimestamp)
	case h.ProducerID < NoProducer:
		return invalid("batch", "its producer id %d is below -1", h.ProducerID)
	case h.ProducerID == NoProducer && h.Transactional():
		return invalid("batch", "it is transactional and has no producer id")
	case h.ProducerID != NoProducer && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return invalid("batch", "it has producer id %d with epoch %d and base sequence %d; neither may be negative", h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	}
	return nil
}

// CheckStored is what bytes read back from disk must pass before they are served: p is exactly one batch, its checksum is right, and
// the two fields outside the checksum are what the index says. Every refusal is Corrupt with what was expected and found; the caller
// adds the file and its place.
func CheckStored(p []byte, base Offset, epoch int32) (BatchHeader, error) {
	h, err := ParseBatchHeader(p)
	if err != nil {
		return h, corrupt("%s", fault.As(err).Text).From(err)
	}
	switch crc := crc32.Checksum(p[atAttributes:h.Bytes], castagnoli); {
	case h.Bytes != len(p):
		return h, corrupt("length: expected %d, found %d", len(p), h.Bytes)
	case crc != h.CRC:
		return h, corrupt("checksum: expected %08x, found %08x", h.CRC, crc)
	case h.BaseOffset != base:
		return h, corrupt("base offset: expected %d, found %d", base, h.BaseOffset)
	case h.LeaderEpoch != epoch:
		return h, corrupt("leader epoch: expected %d, found %d", epoch, h.LeaderEpoch)
	}
	return h, nil
}

// PatchBatch sets the two fields that lie outside the checksum. p is a batch that ParseBatchHeader accepted.
func PatchBatch(p []byte, base Offset, epoch int32) {
	binary.BigEndian.PutUint64(p[atBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(p[atLeaderEpoch:], uint32(epoch))
}

// StampAppendTime makes ms the time of every record: attribute bit, max timestamp, and a new checksum. p is exactly one batch that
// CheckBatch accepted. Records are not touched, so this costs one checksum whatever the compression.
func StampAppendTime(p []byte, ms int64) {
	be := binary.BigEndian
	be.PutUint16(p[atAttributes:], be.Uint16(p[atAttributes:])|attrAppendTime)
	be.PutUint64(p[atMaxTimestamp:], uint64(ms))
	seal(p)
}

// StampProducer makes the batch that of an idempotent producer and renews the checksum. p is exactly one batch.
func StampProducer(p []byte, id int64, epoch int16, sequence int32) {
	be := binary.BigEndian
	be.PutUint64(p[atProducerID:], uint64(id))
	be.PutUint16(p[atProducerEpoch:], uint16(epoch))
	be.PutUint32(p[atBaseSequence:], uint32(sequence))
	seal(p)
}

// SumBytesMin is from where on a batch's whole checksum is found faster from the one inside it than from its bytes.
const SumBytesMin = 64 << 10

// BatchSum is the CRC-32C of the batch that p is exactly, whose checksum inside has been found right: only what stands before it is gone through.
func BatchSum(p []byte) uint32 {
	return crc32c.Join(crc32.Checksum(p[:atAttributes], castagnoli), binary.BigEndian.Uint32(p[atCRC:]), int64(len(p)-atAttributes))
}

// seal writes the checksum of the batch that p is exactly.
func seal(p []byte) {
	binary.BigEndian.PutUint32(p[atCRC:], crc32.Checksum(p[atAttributes:], castagnoli))
}
