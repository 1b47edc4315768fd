package hooks

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Standard Webhooks 1.0.0. Three headers; what is signed is the id, the time of the attempt and the body, exactly as sent:
//
//	webhook-id: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W
//	webhook-timestamp: 1674087231
//	webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4= v1a,hnO3f9T8Ytu9HwrXslvu…
//
//	signed: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W "." 1674087231 "." body
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// Limits of what is signed and checked.
const (
	KeysMax        = 8   // secrets of one signer or verifier
	IDBytesMax     = 256 // of an id
	SignaturesMax  = 16  // in one header
	HeaderBytesMax = 8 << 10

	secretTextMax = 1 << 10
)

// Signer signs deliveries with one key or, while keys are exchanged, several. It is safe for many goroutines.
type Signer struct{ keys []key }

// NewSigner takes whsec_ and whsk_ keys. Signatures come in their order.
func NewSigner(keys ...string) (*Signer, error) {
	if len(keys) == 0 || len(keys) > KeysMax {
		return nil, fmt.Errorf("hooks: %d keys to sign with; it must be from 1 to %d", len(keys), KeysMax)
	}
	s := &Signer{}
	for _, text := range keys {
		k, err := parseKey(text)
		if err != nil {
			return nil, err
		}
		if k.mac == nil && k.private == nil {
			return nil, errors.New("hooks: a whpk_ key checks and cannot sign")
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// Sign sets the three headers. id is the same for every attempt at a delivery, since receivers go by it; at is the time of this attempt. An
// id with a dot is refused: the parts of what is signed could be told apart in two ways.
func (s *Signer) Sign(h http.Header, id string, at time.Time, body []byte) error {
	if why := badID(id); why != "" {
		return fmt.Errorf("hooks: the id %s", why)
	}
	if at.Unix() < 0 {
		return errors.New("hooks: the time of the attempt lies before 1970")
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	head := append(append(append(append(make([]byte, 0, len(id)+len(stamp)+2), id...), '.'), stamp...), '.')
	out := make([]byte, 0, 128)
	for i := range s.keys {
		if i > 0 {
			out = append(out, ' ')
		}
		k := &s.keys[i]
		if k.private != nil {
			signed := append(append(make([]byte, 0, len(head)+len(body)), head...), body...)
			out = base64.StdEncoding.AppendEncode(append(out, "v1a,"...), ed25519.Sign(k.private, signed))
			continue
		}
		var sum [sha256.Size]byte
		out = base64.StdEncoding.AppendEncode(append(out, "v1,"...), k.mac.sum(sum[:0], head, body))
	}
	h[headerID] = []string{id}
	h[headerTimestamp] = []string{stamp}
	h[headerSignature] = []string{string(out)}
	return nil
}

// badID says what is wrong with an id.
func badID(id string) string {
	if id == "" {
		return "is empty"
	}
	if len(id) > IDBytesMax {
		return fmt.Sprintf("has %d bytes; at most %d", len(id), IDBytesMax)
	}
	for _, c := range []byte(id) {
		if c == '.' {
			return "has a dot"
		}
		if c <= ' ' || c >= 0x7f {
			return "has a character that is not printable ASCII"
		}
	}
	return ""
}
