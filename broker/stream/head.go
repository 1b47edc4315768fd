package stream

import (
	"encoding/binary"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// LeaderEpoch is what stored batches carry. One node never loses its tail, so it never changes.
const LeaderEpoch int32 = 0

// OriginsMax bounds how many different origins a shard keeps apart; later ones share one without a client name.
const OriginsMax = 100_000

// Head is the state decisions are made on: what is durable and what is on its way. One goroutine uses it.
//
// The overlay holds the rows (versions of keys, identities) that frames since overlayFrom changed. A command was resolved against
// published state at some sequence; if that is at least overlayFrom, the resolved rows and the overlay together are current:
//
//	resolve reads published at 7 ── frames 8 and 9 are decided ── command is decided: rows of 8 and 9 come from the overlay
//
// Prune lets go of old frames' rows; a command that was resolved before that is stale and is resolved again.
type Head struct {
	*State
	Format      int // of the data directory: what facts may be recorded; see fact.Format1
	overlay     map[string]overlaid
	frames      []overlayFrame // oldest first; the last one is the open frame
	overlayFrom uint64
	tips        tips

	frameTime  int64
	batches    uint32
	resolvedAt uint64 // of the command being judged
	pending    dues

	key      []byte // scratch
	keyed    []KeyAt
	versions []uint64
}

type overlaid struct {
	version uint64
	seq     uint64
}

type overlayFrame struct {
	seq  uint64
	keys []string
}

// NewHead makes a head of published state as of seq. It keeps s.
func NewHead(s *State, seq uint64) *Head {
	h := &Head{State: s, Format: fact.FormatNewest, overlay: map[string]overlaid{}, overlayFrom: seq}
	for _, t := range s.Transactors {
		h.schedule(t)
	}
	return h
}

// OpenFrame begins the frame seq at a time that does not run backwards, and returns that time.
func (h *Head) OpenFrame(seq uint64, nowMS int64) int64 {
	h.TimeMS = max(h.TimeMS, nowMS)
	h.frameTime, h.batches = h.TimeMS, 0
	h.frames = append(h.frames, overlayFrame{seq: seq})
	return h.frameTime
}

// openSeq is the sequence of the open frame.
func (h *Head) openSeq() uint64 { return h.frames[len(h.frames)-1].seq }

// Current reports whether a command resolved at seq can be decided.
func (h *Head) Current(seq uint64) bool { return seq >= h.overlayFrom }

// Prune lets go of what frames up to seq changed; they must be published.
func (h *Head) Prune(seq uint64) {
	n := 0
	for n < len(h.frames) && h.frames[n].seq <= seq {
		for _, k := range h.frames[n].keys {
			if v, ok := h.overlay[k]; ok && v.seq == h.frames[n].seq {
				delete(h.overlay, k)
			}
		}
		h.frames[n].keys = nil
		n++
	}
	h.frames = append(h.frames[:0], h.frames[n:]...)
	h.tips.prune(seq)
	h.overlayFrom = max(h.overlayFrom, seq)
}

// Overlaid is how many rows the overlay holds.
func (h *Head) Overlaid() int { return len(h.overlay) + len(h.tips.of) }

func (h *Head) remember(key []byte, version uint64) {
	f := &h.frames[len(h.frames)-1]
	k := string(key)
	h.overlay[k] = overlaid{version, f.seq}
	f.keys = append(f.keys, k)
	h.key = key
}

func versionKey(dst []byte, id record.StreamID, key []byte) []byte {
	dst = append(dst, 'v')
	dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	return append(dst, key...)
}

func identityKey(dst []byte, id Identity) []byte {
	dst = append(dst, 'd')
	return append(dst, id[:]...)
}

// origin returns the number of o, recording a new one.
func (h *Head) origin(o Origin, f *fact.Frame) uint32 {
	if n, ok := h.Origins[o]; ok {
		return n
	}
	if len(h.Origins) >= OriginsMax {
		o.Client = ""
		if n, ok := h.Origins[o]; ok {
			return n
		}
		if len(h.Origins) >= 2*OriginsMax {
			return 0
		}
	}
	n := h.NextOrigin
	f.Add(fact.OriginDefined, 1, func(dst []byte) []byte { return appendOrigin(dst, n, o) })
	h.evolveOrigin(n, o)
	return n
}

// Create records a new stream and returns its id.
func (h *Head) Create(partitions int, keys KeyMode, f *fact.Frame) record.StreamID {
	id := h.NextStream
	f.Add(fact.StreamCreated, 1, func(dst []byte) []byte { return appendStreamFact(dst, id, partitions, keys) })
	h.evolveStream(id, partitions, keys, h.openSeq(), false)
	return id
}

// Change records more partitions or another key mode.
func (h *Head) Change(id record.StreamID, partitions int, keys KeyMode, f *fact.Frame) *fault.Error {
	st := h.Streams[id]
	switch {
	case st == nil:
		return fault.New(fault.NotFound, "alter", "", "the stream was deleted")
	case partitions < len(st.Partitions):
		return fault.New(fault.Invalid, "alter", "partitions", "the stream has %d partitions; their number can grow but not shrink", len(st.Partitions))
	case h.Format < fact.Format2 && keys != st.Keys && st.Keyed && !widens(st.Keys, keys):
		return fault.New(fault.Unsupported, "alter", "keys", "the stream keeps keys: %s and holds keyed records; to make them %s the data directory needs format %d; run `leat upgrade --finalize`", st.Keys, keys, fact.Format2)
	}
	if partitions == len(st.Partitions) && keys == st.Wanted() {
		return nil
	}
	version := changedPlain
	if h.Format >= fact.Format2 {
		version = changedBuilds
	}
	f.Add(fact.StreamChanged, version, func(dst []byte) []byte { return appendStreamFact(dst, id, partitions, keys) })
	h.evolveStream(id, partitions, keys, h.openSeq(), version == changedBuilds)
	return nil
}

// widens reports whether a stream with keyed records can go from one mode to another in format 1: only to numbering what it has kept.
func widens(from, to KeyMode) bool {
	return to == KeysOff || from == KeysHistory && to == KeysVersioned
}

// Delete records that a stream is gone.
func (h *Head) Delete(id record.StreamID, f *fact.Frame) {
	if h.Streams[id] == nil {
		return
	}
	f.Add(fact.StreamDeleted, 1, func(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(id)) })
	h.evolveStreamGone(id)
}

// AllocateProducer records that a producer id was given out and returns it.
func (h *Head) AllocateProducer(f *fact.Frame) int64 {
	id := h.NextProducer
	f.Add(fact.ProducerAllocated, 1, func(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(id)) })
	h.NextProducer = id + 1
	return id
}
