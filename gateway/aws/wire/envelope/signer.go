package envelope

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SignatureVersion 1 is defined by it, and is what topics have unless they ask for 2
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	keyBits = 2048
	// lifetime is how long a certificate is good. It is kept as long as the data directory is; nobody renews it.
	lifetime = 20 * 365 * 24 * time.Hour
	// backdated is for clocks of subscribers that are late.
	backdated = 24 * time.Hour
)

// Signature is what a document says of how it was signed.
type Signature struct {
	Version string // 1 or 2
	Text    string // base64
	CertURL string
}

// Identity is the key that documents are signed with and its certificate, both in PEM: to be kept in secret, and to be served.
type Identity struct{ Key, Certificate []byte }

// NewIdentity makes one, self-signed. name is what the certificate is made out to.
func NewIdentity(name string, now time.Time) (Identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Identity{}, fmt.Errorf("make signing key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Identity{}, fmt.Errorf("make signing key: %w", err)
	}
	template := x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return Identity{}, fmt.Errorf("make signing certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Identity{}, fmt.Errorf("make signing key: %w", err)
	}
	return Identity{
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
	}, nil
}

// Signer signs documents. It may be used by many at once.
type Signer struct {
	key  *rsa.PrivateKey
	path string
}

// NewSigner makes a signer of an identity. A key and a certificate that are not each other's are refused.
func NewSigner(id Identity) (*Signer, error) {
	block, _ := pem.Decode(id.Key)
	if block == nil {
		return nil, errors.New("signing key: no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("signing key: want RSA, is %T", parsed)
	}
	if block, _ = pem.Decode(id.Certificate); block == nil {
		return nil, errors.New("signing certificate: no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("signing certificate: it is not of the signing key")
	}
	sum := sha256.Sum256(cert.Raw)
	return &Signer{key: key, path: "/SimpleNotificationService-" + hex.EncodeToString(sum[:16]) + ".pem"}, nil
}

// CertificatePath is the path at which the certificate is to be served. It names the certificate, so that a new one has another: clients
// keep what they once fetched.
func (s *Signer) CertificatePath() string { return s.path }

// Sign signs a document. version is the topic's SignatureVersion; base is our own address, scheme and host. The result is good for every
// document whose canonical text is the same.
func (s *Signer) Sign(d *Document, version int64, base string) (Signature, error) {
	text := d.Canonical(nil)
	var raw []byte
	var err error
	if version == 2 {
		sum := sha256.Sum256(text)
		raw, err = rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	} else {
		version = 1
		sum := sha1.Sum(text) //nolint:gosec // see the import
		raw, err = rsa.SignPKCS1v15(nil, s.key, crypto.SHA1, sum[:])
	}
	if err != nil {
		return Signature{}, fmt.Errorf("sign notification: %w", err)
	}
	return Signature{Version: string('0' + rune(version)), Text: base64.StdEncoding.EncodeToString(raw), CertURL: base + s.path}, nil
}
