package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// keySet is a provider's public keys.
type keySet []key

type key struct {
	id, algorithm string // algorithm "" is any that fits
	public        any
}

// Bounds of a set of keys, and of what is taken for one.
const (
	keysMax    = 100
	rsaBitsMin = 2048
	rsaBitsMax = 8192
)

// jwk is a key as JSON has it (RFC 7517, 7518 section 6, 8037), as far as it is public.
type jwk struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	Curve     string `json:"crv"`
	N         string `json:"n"`
	E         string `json:"e"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// parseKeys reads a set. Keys of types that are not known, or for encryption, are left out, as the RFC wants it; one that is broken is an error.
func parseKeys(p []byte) (keySet, error) {
	var doc struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(p, &doc); err != nil {
		return nil, fmt.Errorf("no set of keys: %w", err)
	}
	if len(doc.Keys) > keysMax {
		return nil, fmt.Errorf("%d keys; at most %d are kept", len(doc.Keys), keysMax)
	}
	var set keySet
	for i := range doc.Keys {
		k := &doc.Keys[i]
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		public, err := k.public()
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		if public != nil {
			set = append(set, key{k.ID, k.Algorithm, public})
		}
	}
	if len(set) == 0 {
		return nil, errors.New("there is no key in it that signatures can be checked with")
	}
	return set, nil
}

// public is the key itself, nil when it is of a type that is not known.
func (k *jwk) public() (any, error) {
	switch k.Type {
	case "RSA":
		n, err1 := number(k.N)
		e, err2 := number(k.E)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if bits := n.BitLen(); bits < rsaBitsMin || bits > rsaBitsMax {
			return nil, fmt.Errorf("an RSA key of %d bits; it must have %d to %d", bits, rsaBitsMin, rsaBitsMax)
		}
		if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0 {
			return nil, errors.New("an RSA key with an exponent that is none")
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
		if curve == nil {
			return nil, nil
		}
		x, err1 := base64.RawURLEncoding.DecodeString(k.X)
		y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		size := (curve.Params().BitSize + 7) / 8
		if len(x) != size || len(y) != size {
			return nil, fmt.Errorf("a point of %d and %d bytes; %s has %d each", len(x), len(y), k.Curve, size)
		}
		const uncompressed = 4
		return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{uncompressed}, x...), y...))
	case "OKP":
		if k.Curve != "Ed25519" {
			return nil, nil
		}
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err == nil && len(x) != ed25519.PublicKeySize {
			err = fmt.Errorf("a key of %d bytes; Ed25519 has %d", len(x), ed25519.PublicKeySize)
		}
		return ed25519.PublicKey(x), err
	}
	return nil, nil
}

func number(s string) (*big.Int, error) {
	p, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(p) == 0 {
		return nil, errors.New("a number that is not in base64url, or missing")
	}
	return new(big.Int).SetBytes(p), nil
}

// find returns the key of that id, or without an id the only one there is; nil when there is none, or it is for another algorithm.
func (s keySet) find(id, algorithm string) any {
	for i := range s {
		if k := &s[i]; (k.id == id || id == "" && len(s) == 1) && k.fits(algorithm) {
			return k.public
		}
	}
	return nil
}

// fits: the type of a key decides what it can be used for, so that no key is taken for one of another kind.
func (k *key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(algorithm, "ES")
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
