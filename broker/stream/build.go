package stream

import (
	"encoding/binary"
	"errors"
	"strings"

	"leat/broker/fact"
	"leat/broker/record"
)

// Versions of the stream-changed fact. 2 is written since format 2: another key mode may have to be built then.
const (
	changedPlain  uint64 = 1
	changedBuilds uint64 = 2
)

// KeyCount is how many records a key had, or the version it had already.
type KeyCount struct {
	Key   []byte
	Count uint64
}

// Counted records how many records keys of a stream had as of frame through, for the change of the key mode that was made in frame building. It
// reports false, and records nothing, when the stream has been changed again or is gone.
//
//	stream, through, count   uvarint, then (key, count uvarint) each
func (h *Head) Counted(id record.StreamID, building, through uint64, keys []KeyCount, f *fact.Frame) bool {
	st := h.Streams[id]
	if st == nil || st.Building != building || building == 0 {
		return false
	}
	f.Add(fact.KeysCounted, 1, func(dst []byte) []byte {
		dst = binary.AppendUvarint(dst, uint64(id))
		dst = binary.AppendUvarint(dst, through)
		dst = binary.AppendUvarint(dst, uint64(len(keys)))
		for _, k := range keys {
			dst = fact.AppendBytes(dst, k.Key)
			dst = binary.AppendUvarint(dst, k.Count)
		}
		return dst
	})
	return true
}

// Built records that all a change of the key mode needed is there. It reports false when the stream has been changed again or is gone.
//
//	stream, building   uvarint
func (h *Head) Built(id record.StreamID, building uint64, f *fact.Frame) bool {
	if !h.evolveBuilt(id, building, h.openSeq()) {
		return false
	}
	f.Add(fact.KeysBuilt, 1, func(dst []byte) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(id)), building)
	})
	// Versions from an earlier time in which the stream numbered its keys are not those that were counted.
	prefix := string(versionKey(nil, id, nil))
	for k := range h.overlay {
		if strings.HasPrefix(k, prefix) {
			delete(h.overlay, k)
		}
	}
	return true
}

func (f *Folder) counted(body []byte) error {
	var head [3]uint64 // stream, through, count
	for i := range head {
		v, n := binary.Uvarint(body)
		if n <= 0 {
			return errCounted
		}
		head[i], body = v, body[n:]
	}
	for count := head[2]; count > 0; count-- {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			return errCounted
		}
		key := body[n : n+int(size)]
		body = body[n+int(size):]
		version, n := binary.Uvarint(body)
		if n <= 0 {
			return errCounted
		}
		body = body[n:]
		f.buf = binary.AppendUvarint(binary.AppendUvarint(f.buf[:0], version), head[1])
		f.rows.Set(VersionKey(record.StreamID(head[0]), key), f.buf)
	}
	return nil
}

var errCounted = errors.New("counted fact is cut short")

// ReadBuilt returns the stream of a keys-built fact.
func ReadBuilt(body []byte) (record.StreamID, error) {
	b := fact.ReadBody(body)
	id := record.StreamID(b.Uvarint())
	b.Uvarint()
	return id, b.Err()
}

func (f *Folder) built(body []byte) error {
	b := fact.ReadBody(body)
	id, building := record.StreamID(b.Uvarint()), b.Uvarint()
	if err := b.Err(); err != nil {
		return err
	}
	if f.evolveBuilt(id, building, f.frame.Seq) {
		f.writeStream(f.Streams[id])
		f.Changed, f.Built = append(f.Changed, id), append(f.Built, id)
	}
	return nil
}
