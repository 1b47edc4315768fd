package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"leat/gateway/aws/wire"
)

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// unsigned is what stands for the hash of a body that the signer did not read.
const unsigned = "UNSIGNED-PAYLOAD"

// signedAlways are headers that have to be signed where a request has them: they say what is asked for, by whom, and with which body.
var signedAlways = []string{"X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// Keys remembers keys that were derived from secrets: four HMACs each, the same for all requests of a day. It may be used by many at once.
// The zero value is ready.
type Keys struct {
	mu   sync.RWMutex
	keys map[scope][]byte
}

// KeysMax is how many keys are remembered.
const KeysMax = 4096

// scope is what a key is derived from.
type scope struct{ secret, date, region, service string }

func (k *Keys) key(sc scope) []byte {
	k.mu.RLock()
	key, ok := k.keys[sc]
	k.mu.RUnlock()
	if ok {
		return key
	}
	key = mac([]byte("AWS4"+sc.secret), sc.date)
	for _, part := range []string{sc.region, sc.service, terminator} {
		key = mac(key, part)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= KeysMax {
		k.keys = make(map[scope][]byte) // a day's keys come back at once; yesterday's do not
	}
	k.keys[sc] = key
	return key
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// Rules is what Verify lets pass.
type Rules struct {
	UnsignedPayload bool // bodies that are not signed, which only an encrypted connection protects
}

// Verify holds the signature of a request against the secret of its access key. now is the time of its arrival.
func (k *Keys) Verify(s *Signature, r *Request, secret string, now time.Time, rules Rules) *wire.Error {
	if err := s.current(now); err != nil {
		return err
	}
	if err := s.covers(r); err != nil {
		return err
	}
	payload, err := s.payload(r, rules)
	if err != nil {
		return err
	}
	var room [1024]byte
	request := sha256.Sum256(s.canonical(room[:0], r, payload))

	b := append(room[:0], algorithm+"\n"...)
	b = s.Time.AppendFormat(b, timeFormat)
	b = append(b, "\n"+s.date+"/"+s.Region+"/"+s.Service+"/"+terminator+"\n"...)
	b = hex.AppendEncode(b, request[:])
	h := hmac.New(sha256.New, k.key(scope{secret, s.date, s.Region, s.Service}))
	h.Write(b)
	if !hmac.Equal(h.Sum(nil), s.sum) {
		return wire.Refuse(wire.InvalidSignature, mismatch)
	}
	return nil
}

// current refuses what was signed too long ago, or is not to be good yet.
func (s *Signature) current(now time.Time) *wire.Error {
	now = now.UTC()
	if early := s.Time.Add(-SkewMax); now.Before(early) {
		return wire.Refuse(wire.InvalidSignature, "Signature not yet current: "+s.Time.Format(timeFormat)+" is still later than "+now.Add(SkewMax).Format(timeFormat)+" ("+now.Format(timeFormat)+" + 15 min.)")
	}
	if s.presigned {
		if now.After(s.Time.Add(s.expires)) {
			return wire.Refuse(wire.RequestExpired, "Request has expired. Timestamp date is "+s.Time.Format(timeFormat)+".")
		}
		return nil
	}
	if now.After(s.Time.Add(SkewMax)) {
		return wire.Refuse(wire.InvalidSignature, "Signature expired: "+s.Time.Format(timeFormat)+" is now earlier than "+now.Add(-SkewMax).Format(timeFormat)+" ("+now.Format(timeFormat)+" - 15 min.)")
	}
	return nil
}

// covers refuses signatures that leave out a header that matters.
func (s *Signature) covers(r *Request) *wire.Error {
	if !slices.Contains(s.headers, "host") {
		return wire.Refuse(wire.InvalidSignature, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for _, name := range signedAlways {
		if _, there := r.Header[name]; there && !slices.Contains(s.headers, strings.ToLower(name)) {
			return wire.Refuse(wire.InvalidSignature, "'"+name+"' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	if !s.presigned && r.header("X-Amz-Date") == "" && !slices.Contains(s.headers, "date") {
		return wire.Refuse(wire.InvalidSignature, "'Date' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

// payload is the last line of the canonical request.
func (s *Signature) payload(r *Request, rules Rules) (string, *wire.Error) {
	claimed := r.header("X-Amz-Content-Sha256")
	if claimed == unsigned {
		if !rules.UnsignedPayload {
			return "", wire.Refuse(wire.InvalidSignature, "The body must be signed: UNSIGNED-PAYLOAD is accepted over TLS only.")
		}
		return unsigned, nil
	}
	sum := sha256.Sum256(r.Body)
	return hex.EncodeToString(sum[:]), nil
}
