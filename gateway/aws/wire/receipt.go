package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"sync"
)

// Receipt is what a receipt handle stands for: one handing-over of one record by one subscription.
//
//	version 1 · subscription 8 · partition 4 · offset 8 · attempt 4 · epoch 8 · tag 16     in base64, URL-safe, unpadded: 66 characters
//
// Numbers are big endian. The tag is the first half of HMAC-SHA256 over what stands before it, with a key that stays as long as the data
// directory does: a handle is good after a restart, cannot be made up, and cannot be used with another queue, for the subscription is in it.
type Receipt struct {
	Subscription uint64
	Partition    uint32
	Offset       uint64
	Attempt      uint32
	Epoch        uint64
}

const (
	receiptVersion = 1
	receiptBytes   = 1 + 8 + 4 + 8 + 4 + 8
	tagBytes       = 16
)

// Sealer writes and reads receipt handles. It may be used by many at once.
type Sealer struct{ macs sync.Pool }

// NewSealer makes one from a secret of any length, which should be 32 random bytes.
func NewSealer(secret []byte) *Sealer {
	secret = append([]byte("leat receipt handles\x00"), secret...)
	s := &Sealer{}
	s.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, secret)} }
	return s
}

// mac is a hash that is used again, and room for what it gives.
type mac struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// tag writes the tag of p behind it.
func (s *Sealer) tag(b, p []byte) []byte {
	m := s.macs.Get().(*mac)
	m.hash.Reset()
	m.hash.Write(p)
	b = append(b, m.hash.Sum(m.sum[:0])[:tagBytes]...)
	s.macs.Put(m)
	return b
}

// Seal writes a receipt as a handle.
func (s *Sealer) Seal(r Receipt) string {
	var room [receiptBytes + tagBytes]byte
	b := append(room[:0], receiptVersion)
	b = binary.BigEndian.AppendUint64(b, r.Subscription)
	b = binary.BigEndian.AppendUint32(b, r.Partition)
	b = binary.BigEndian.AppendUint64(b, r.Offset)
	b = binary.BigEndian.AppendUint32(b, r.Attempt)
	b = binary.BigEndian.AppendUint64(b, r.Epoch)
	b = s.tag(b, b)
	var out [(len(room)*8 + 5) / 6]byte
	base64.RawURLEncoding.Encode(out[:], b)
	return string(out[:])
}

// Open reads a handle. What we did not write, or wrote with another key, is refused in Amazon's words.
func (s *Sealer) Open(handle string) (r Receipt, err *Error) {
	bad := func() *Error {
		return Refuse(ReceiptHandleInvalid, `The input receipt handle "`+handle[:min(len(handle), ReceiptHandleMax)]+`" is not a valid receipt handle.`)
	}
	var room, want [receiptBytes + tagBytes]byte
	if base64.RawURLEncoding.DecodedLen(len(handle)) != len(room) {
		return r, bad()
	}
	// Strict: of two texts of one handle only one is good.
	if n, e := base64.RawURLEncoding.Strict().Decode(room[:], bytesOf(handle)); e != nil || n != len(room) || room[0] != receiptVersion {
		return r, bad()
	}
	if !hmac.Equal(s.tag(want[:0], room[:receiptBytes]), room[receiptBytes:]) {
		return r, bad()
	}
	b := room[1:]
	return Receipt{
		Subscription: binary.BigEndian.Uint64(b),
		Partition:    binary.BigEndian.Uint32(b[8:]),
		Offset:       binary.BigEndian.Uint64(b[12:]),
		Attempt:      binary.BigEndian.Uint32(b[20:]),
		Epoch:        binary.BigEndian.Uint64(b[24:]),
	}, nil
}
