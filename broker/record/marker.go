package record

import "encoding/binary"

// A marker is a control batch of one record, whose key says what it is:
//
//	key    version i16 = 0 | 0 abort, 1 commit i16
//	value  version i16 = 0 | coordinator epoch i32 = 0
//
// It stands for every reader of the format at the end of a producer's transaction in a partition, and takes an offset of its own.

// BuildMarker makes the marker that ends a transaction of a producer.
func BuildMarker(producer int64, epoch int16, commit bool, timeMS int64) []byte {
	key := [4]byte{}
	if commit {
		key[3] = 1
	}
	r := Record{Timestamp: timeMS, Key: key[:], Value: make([]byte, 6)}
	p := make([]byte, BatchHeaderBytes, BatchHeaderBytes+24)
	p = appendRecord(p, &r, 0, 0)
	putHeader(p, None, 1, 0, timeMS, timeMS)
	be := binary.BigEndian
	be.PutUint16(p[atAttributes:], attrTransactional|attrControl)
	be.PutUint64(p[atProducerID:], uint64(producer))
	be.PutUint16(p[atProducerEpoch:], uint16(epoch))
	seal(p)
	return p
}

// Hidden reports whether a stored batch may be one that readers do not see: one of a transaction, or a marker. p is a whole batch.
func Hidden(p []byte) (transactional, marker bool) {
	attributes := binary.BigEndian.Uint16(p[atAttributes:])
	return attributes&attrTransactional != 0, attributes&attrControl != 0
}

// Commits reports whether a marker says that its transaction was committed. p is a whole batch, h its header.
func Commits(p []byte, h *BatchHeader) bool {
	r, ok := FirstRecord(p, h, nil)
	return ok && h.Control() && len(r.Key) == 4 && r.Key[3] == 1
}

// ProducerOf returns the producer id of a stored batch, NoProducer where it has none. p is a whole batch.
func ProducerOf(p []byte) int64 { return int64(binary.BigEndian.Uint64(p[atProducerID:])) }

// StampTransactional makes the batch one of a transaction and renews the checksum. p is exactly one batch, of a producer.
func StampTransactional(p []byte) {
	be := binary.BigEndian
	be.PutUint16(p[atAttributes:], be.Uint16(p[atAttributes:])|attrTransactional)
	seal(p)
}
