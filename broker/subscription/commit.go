package subscription

import (
	"encoding/binary"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Commit moves a cursor, forwards or back. metadata is kept with it. A partition that it does not read yet it does from here on.
func (h *Head) Commit(id ID, at Place, to record.Offset, metadata []byte, f *fact.Frame) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("ack")
	}
	switch {
	case x.Policy.Kind != Cursor:
		return fault.New(fault.Invalid, "ack", "", "the subscription keeps what became of each record, not one position")
	case to < 0:
		return fault.New(fault.Invalid, "ack", "offset", "offset %d is less than 0", to).Because(fault.ReasonOffset)
	case len(metadata) > CursorMetadataMax:
		return fault.New(fault.TooLarge, "ack", "metadata", "%d bytes; the limit is %d", len(metadata), CursorMetadataMax)
	}
	src := x.source(at)
	if src == nil {
		if err := h.Begin(id, []Start{{Place: at, All: true, From: to, End: to}}, f); err != nil {
			return err
		}
		src = x.source(at)
	}
	f.Add(fact.CursorMoved, 1, func(dst []byte) []byte {
		return fact.AppendBytes(binary.AppendUvarint(appendSubPlace(dst, id, at), uint64(to)), metadata)
	})
	src.moveCursor(to, metadata, h.frameMS)
	return nil
}

func (src *Source) moveCursor(to record.Offset, metadata []byte, nowMS int64) {
	src.Floor, src.MovedMS = to, nowMS
	src.Metadata = nil
	if len(metadata) > 0 {
		src.Metadata = append([]byte(nil), metadata...)
	}
}
