package hooks

import (
	"crypto/hmac"
	"hash"
	"sync"
)

// mac computes HMACs with one secret. Keyed hashes are used again: keying one costs as much as a short message.
type mac struct{ pool sync.Pool }

func newMAC(h func() hash.Hash, secret []byte) *mac {
	return &mac{pool: sync.Pool{New: func() any { return hmac.New(h, secret) }}}
}

// sum appends the code of the parts, one after the other.
func (m *mac) sum(dst []byte, parts ...[]byte) []byte {
	h := m.pool.Get().(hash.Hash)
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	dst = h.Sum(dst)
	m.pool.Put(h)
	return dst
}
