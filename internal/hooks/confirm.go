package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Confirmer makes the secret part of a URL that somebody opens to consent: WebHook-Request-Callback, validationUrl, a confirmation of a
// subscription. Nothing has to be stored for it:
//
//	token = expiry as Unix seconds "." base64url(HMAC-SHA256(secret, expiry "." subject))
//
// It is safe for many goroutines.
type Confirmer struct{ mac *mac }

// NewConfirmer takes a secret of at least 16 bytes, which the URLs are good as long as.
func NewConfirmer(secret []byte) (*Confirmer, error) {
	if len(secret) < 16 {
		return nil, errors.New("hooks: the secret for confirmations has less than 16 bytes")
	}
	return &Confirmer{newMAC(sha256.New, secret)}, nil
}

// Token is good for one subject, such as an endpoint's name and URL, until expires.
func (c *Confirmer) Token(subject string, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	return at + "." + base64.RawURLEncoding.EncodeToString(c.sum(at, subject))
}

func (c *Confirmer) sum(at, subject string) []byte { return c.mac.sum(nil, []byte(at+"."+subject)) }

// Check reports whether the token was made for the subject, and how it stands with its time.
func (c *Confirmer) Check(token, subject string, now time.Time) error {
	at, text, ok := strings.Cut(token, ".")
	got, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil || !hmac.Equal(got, c.sum(at, subject)) {
		return refuse(Mismatch, "", "this is not the address of a confirmation")
	}
	expires, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Unix() >= expires {
		return refuse(Stale, "", "the time to confirm is over")
	}
	return nil
}
