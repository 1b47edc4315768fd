package record

// Offset is the place of a record in its partition. The first record has offset 0; offsets are dense when appended.
type Offset int64

// StreamID is the number of a stream. Numbers are never given twice.
type StreamID uint32

// PartitionID is the number of a partition within its stream, from 0.
type PartitionID int32

// NoPartition stands where a partition may be left open.
const NoPartition PartitionID = -1

// NoTimestamp is the timestamp of a record that has none.
const NoTimestamp int64 = -1

// Header is one named value beside a record. Keys may repeat and their order is kept.
type Header struct {
	Key   string
	Value []byte // nil is null, which is not the same as empty
}

// Record is one stored event as bytes.
type Record struct {
	Offset    Offset
	Timestamp int64  // milliseconds since 1970, NoTimestamp for none
	Key       []byte // nil is null
	Value     []byte // nil is null
	Headers   []Header
}

// Header returns the value of the first header of that key.
func (r *Record) Header(key string) (value []byte, ok bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() Record {
	c := *r
	c.Key, c.Value = cloneBytes(r.Key), cloneBytes(r.Value)
	c.Headers = nil
	if r.Headers != nil {
		c.Headers = make([]Header, len(r.Headers))
	}
	for i, h := range r.Headers {
		c.Headers[i] = Header{Key: string(append([]byte(nil), h.Key...)), Value: cloneBytes(h.Value)}
	}
	return c
}

// cloneBytes keeps nil nil and empty empty.
func cloneBytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
