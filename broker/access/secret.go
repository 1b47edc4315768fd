package access

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"

	"leat/broker/fault"
)

// Iterations of PBKDF2 for new passwords. RFC 7677 asks for at least 4096; clients repeat them at every login.
const Iterations = 8192

// Bounds of what can be a password.
const (
	PasswordBytesMin = 8
	PasswordBytesMax = 256
)

// Scram is what a server keeps of a password for one hash (RFC 5802, section 3). The password cannot be computed from it.
type Scram struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
}

// Secrets are all of one user's.
type Secrets struct {
	SHA256 *Scram   `json:"scram_sha_256,omitempty"`
	SHA512 *Scram   `json:"scram_sha_512,omitempty"`
	Tokens [][]byte `json:"tokens,omitempty"` // SHA-256 of each

	AccessKeys []AccessKey `json:"access_keys,omitempty"`
}

// AccessKey is a pair with which requests are signed. The secret itself is kept, unlike passwords and tokens: whoever checks a signature has to
// make it again.
type AccessKey struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// HashPassword makes the secrets of a password.
func HashPassword(password string) (*Secrets, error) {
	if n := len(password); n < PasswordBytesMin || n > PasswordBytesMax {
		return nil, fault.New(fault.Invalid, "put", "password", "a password must have %d to %d bytes, this one has %d", PasswordBytesMin, PasswordBytesMax, n)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	a, err := derive(sha256.New, password, salt, Iterations)
	if err != nil {
		return nil, err
	}
	b, err := derive(sha512.New, password, salt, Iterations)
	if err != nil {
		return nil, err
	}
	return &Secrets{SHA256: a, SHA512: b}, nil
}

func derive(h func() hash.Hash, password string, salt []byte, iterations int) (*Scram, error) {
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	if err != nil {
		return nil, err
	}
	return scramOf(h, salted, salt, iterations), nil
}

func scramOf(h func() hash.Hash, salted, salt []byte, iterations int) *Scram {
	client, server := mac(h, salted, "Client Key"), mac(h, salted, "Server Key")
	stored := h()
	stored.Write(client)
	return &Scram{salt, iterations, stored.Sum(nil), server}
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// CheckPassword reports whether the password is the one the secrets were made of. It costs as much as a login.
func (s *Secrets) CheckPassword(password string) bool {
	kept, h := s.SHA256, sha256.New
	if kept == nil {
		kept, h = s.SHA512, sha512.New
	}
	if kept == nil {
		return false
	}
	got, err := derive(h, password, kept.Salt, kept.Iterations)
	return err == nil && subtle.ConstantTimeCompare(got.StoredKey, kept.StoredKey) == 1
}

// ScramOfSalted makes what a server keeps of a password that was salted and hashed elsewhere, by PBKDF2 with HMAC and SHA-256 or SHA-512.
func ScramOfSalted(sha512Not256 bool, salted, salt []byte, iterations int) *Scram {
	if sha512Not256 {
		return scramOf(sha512.New, salted, salt, iterations)
	}
	return scramOf(sha256.New, salted, salt, iterations)
}

// NewToken makes a random token and what is kept of it.
func NewToken() (token string, kept []byte) {
	raw := make([]byte, 32)
	rand.Read(raw)
	token = "leat_" + base64.RawURLEncoding.EncodeToString(raw)
	return token, HashToken(token)
}

// Prefix and length of the id of an access key, and random bytes of its secret: they look like those that clients have.
const (
	accessKeyPrefix      = "LKIA"
	accessKeyBytes       = 20
	accessKeySecretBytes = 30
)

// NewAccessKey makes a random pair.
func NewAccessKey() AccessKey {
	raw := make([]byte, accessKeySecretBytes)
	rand.Read(raw)
	return AccessKey{ID: accessKeyPrefix + rand.Text()[:accessKeyBytes-len(accessKeyPrefix)], Secret: base64.RawURLEncoding.EncodeToString(raw)}
}

// HashToken is what is kept of a token. Tokens are random and long, so one round is enough.
func HashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}
