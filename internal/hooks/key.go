package hooks

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Keys of Standard Webhooks, as text:
//
//	whsec_ base64 of 24 to 64 bytes             shared secret; HMAC-SHA256, version v1
//	whsk_  base64 of 64 bytes, seed and public  signs; ed25519, version v1a. 32 bytes are the seed alone
//	whpk_  base64 of 32 bytes                   checks what whsk_ signed
const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"

	secretBytesLeast = 24
	secretBytesMost  = 64
)

// NewSecret returns a new shared secret.
func NewSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// key is one of the three.
type key struct {
	mac     *mac
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// parseKey reads a key. Errors do not repeat it.
func parseKey(s string) (key, error) {
	text := s
	kind := secretPrefix
	for _, p := range []string{secretPrefix, privatePrefix, publicPrefix} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			kind, text = p, rest
		}
	}
	if len(text) > secretTextMax {
		return key{}, fmt.Errorf("hooks: the secret has more than %d bytes", secretTextMax)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		b, err = base64.RawStdEncoding.Strict().DecodeString(text)
	}
	if err != nil {
		return key{}, errors.New("hooks: the secret is not base64 after its prefix whsec_, whsk_ or whpk_")
	}
	switch kind {
	case privatePrefix:
		return privateKey(b)
	case publicPrefix:
		if len(b) != ed25519.PublicKeySize {
			return key{}, fmt.Errorf("hooks: a whpk_ key has %d bytes; this one has %d", ed25519.PublicKeySize, len(b))
		}
		return key{public: b}, nil
	}
	if len(b) < secretBytesLeast || len(b) > secretBytesMost {
		return key{}, fmt.Errorf("hooks: a whsec_ secret has %d to %d bytes; this one has %d", secretBytesLeast, secretBytesMost, len(b))
	}
	return key{mac: newMAC(sha256.New, b)}, nil
}

func privateKey(b []byte) (key, error) {
	switch len(b) {
	case ed25519.SeedSize:
		b = ed25519.NewKeyFromSeed(b)
	case ed25519.PrivateKeySize:
		// The public half must belong to the seed: signing with another one would give the private key away.
		if !ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(b)) {
			return key{}, errors.New("hooks: the two halves of the whsk_ key do not belong together")
		}
	default:
		return key{}, fmt.Errorf("hooks: a whsk_ key has %d or %d bytes; this one has %d", ed25519.PrivateKeySize, ed25519.SeedSize, len(b))
	}
	return key{private: b, public: b[ed25519.SeedSize:]}, nil
}
