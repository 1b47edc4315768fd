package subscription

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync"

	"leat/broker/fact"
	"leat/broker/fault"
)

// Handle names one handing-over: what a member shows to settle, release or renew.
type Handle struct {
	Sub     ID
	At      At
	Attempt int32
	Grip    uint32 // which handing-over under that epoch: an attempt that was not to count has the number of the next
	Epoch   uint32 // of the head that handed over
	Turn    uint32 // of the subscription: a rewind voids what was handed over before
	Size    int32
}

// Sealer makes handles that nobody can make up. It may be used by many goroutines.
//
//	sealed   version u8 = 1 | tag 12 bytes | sub, stream, partition, offset, attempt, grip, epoch, turn, size: uvarint each
//
// The tag is the beginning of HMAC-SHA256 over the version and what follows the tag.
type Sealer struct{ macs sync.Pool }

const (
	sealVersion    = 1
	sealTag        = 12
	SealedBytesMax = 1 + sealTag + 9*binary.MaxVarintLen64
)

// NewSealer makes a sealer with a key, which the node keeps secret. A handle that was sealed with another one is refused.
func NewSealer(key []byte) *Sealer {
	k := append([]byte(nil), key...)
	return &Sealer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, k) }}}
}

// Seal appends the sealed handle.
func (s *Sealer) Seal(dst []byte, h *Handle) []byte {
	from := len(dst)
	dst = append(dst, sealVersion)
	dst = append(dst, make([]byte, sealTag)...)
	for _, v := range [...]uint64{
		uint64(h.Sub), uint64(h.At.Stream), uint64(h.At.Partition), uint64(h.At.Offset), uint64(h.Attempt), uint64(h.Grip), uint64(h.Epoch), uint64(h.Turn), uint64(h.Size),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	var tag [sha256.Size]byte
	copy(dst[from+1:], s.tag(tag[:0], dst[from:])[:sealTag])
	return dst
}

func (s *Sealer) tag(dst, sealed []byte) []byte {
	m := s.macs.Get().(hash.Hash)
	m.Reset()
	m.Write(sealed[:1])
	m.Write(sealed[1+sealTag:])
	dst = m.Sum(dst)
	s.macs.Put(m)
	return dst
}

func errHandle() error {
	return fault.New(fault.Invalid, "ack", "handle", "this is not a handle; take it from what was received")
}

// Open reads a sealed handle; what is none is Invalid.
func (s *Sealer) Open(p []byte) (h Handle, _ error) {
	if len(p) < 1+sealTag || len(p) > SealedBytesMax || p[0] != sealVersion {
		return Handle{}, errHandle()
	}
	var tag [sha256.Size]byte
	if subtle.ConstantTimeCompare(s.tag(tag[:0], p)[:sealTag], p[1:1+sealTag]) != 1 {
		return Handle{}, errHandle()
	}
	b := fact.ReadBody(p[1+sealTag:])
	h.Sub, h.At.Place = ID(b.Uvarint()), readPlace(b)
	h.At.Offset = readOffset(b)
	h.Attempt, h.Grip, h.Epoch, h.Turn, h.Size = int32(b.Uvarint()), uint32(b.Uvarint()), uint32(b.Uvarint()), uint32(b.Uvarint()), int32(b.Uvarint())
	if b.Err() != nil {
		return Handle{}, errHandle()
	}
	return h, nil
}
