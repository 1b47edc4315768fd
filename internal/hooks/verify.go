package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Scheme is a sender's way of signing.
type Scheme string

// The schemes:
//
//	            signature in                    signed                    time in                       id in
//	Standard    webhook-signature, svix-…       id.time.body              webhook-timestamp, svix-…     webhook-id, svix-…
//	GitHub      X-Hub-Signature-256: sha256=    body                      –                             X-GitHub-Delivery, not signed
//	Stripe      Stripe-Signature: t=,v1=,v1=    time.body                 t= of the same                id of the body
//	Slack       X-Slack-Signature: v0=          v0:time:body              X-Slack-Request-Timestamp     event_id of the body
//	HMAC        as configured
const (
	Standard Scheme = "standard"
	GitHub   Scheme = "github"
	Stripe   Scheme = "stripe"
	Slack    Scheme = "slack"
	HMAC     Scheme = "hmac"
)

// Config says how the requests to one address are checked.
type Config struct {
	Scheme    Scheme
	Secrets   []string      // any of them may have signed, so that they can be exchanged. Standard takes whsec_ and whpk_
	Tolerance time.Duration // how far the time signed may be from ours, either way; 0 is ToleranceDefault
	HMAC      HMACConfig    // for HMAC
}

// Limits of Config.Tolerance.
const (
	ToleranceDefault = 5 * time.Minute
	ToleranceLeast   = time.Second
	ToleranceMost    = 24 * time.Hour
)

// Verified is what is known of an accepted request.
type Verified struct {
	// ID is what the sender calls the event, the same when it is sent again; with the address's name as source it finds duplicates. Empty
	// where the scheme offers none. Where it is not signed (IDSigned), whoever recorded a request can send it again under another id.
	ID       string
	IDSigned bool
	Type     string    // what the sender calls this kind of event; empty where it does not say
	Time     time.Time // signed; zero where the scheme has none, and with it no protection against requests sent again
	Secret   int       // which of Config.Secrets it was
}

// Verifier checks requests. It is safe for many goroutines.
type Verifier struct {
	scheme    scheme
	keys      []key
	tolerance time.Duration
}

// scheme is how requests are read. claim finds what the headers claim; parts are what must have been signed, in order.
type scheme interface {
	claim(h http.Header) (claim, error)
	// name tells the id and type of a request that was accepted.
	name(v *Verified, c *claim, h http.Header, body []byte)
}

// claim is what the headers of a request say, before anything of it is believed.
type claim struct {
	id, stamp     string
	at            time.Time
	header        string // where the time stood
	before, after []byte // what is signed around the body
	macs          [][]byte
	signatures    [][]byte // ed25519
}

// New makes a verifier.
func New(cfg Config) (*Verifier, error) {
	v := &Verifier{tolerance: cfg.Tolerance}
	if v.tolerance == 0 {
		v.tolerance = ToleranceDefault
	}
	if v.tolerance < ToleranceLeast || v.tolerance > ToleranceMost {
		return nil, fmt.Errorf("hooks: tolerance is %v; it must be from %v to %v", v.tolerance, ToleranceLeast, ToleranceMost)
	}
	if len(cfg.Secrets) == 0 || len(cfg.Secrets) > KeysMax {
		return nil, fmt.Errorf("hooks: %d secrets; it must be from 1 to %d", len(cfg.Secrets), KeysMax)
	}
	layout := cfg.HMAC
	switch cfg.Scheme {
	case Standard:
		v.scheme = standard{}
		for _, s := range cfg.Secrets {
			k, err := parseKey(s)
			if err != nil {
				return nil, err
			}
			v.keys = append(v.keys, k)
		}
		return v, nil
	case Stripe:
		v.scheme = stripe{}
		layout = HMACConfig{}
	case GitHub:
		layout = HMACConfig{Header: "X-Hub-Signature-256", Prefix: "sha256=", IDHeader: "X-GitHub-Delivery", TypeHeader: "X-GitHub-Event"}
	case Slack:
		layout = HMACConfig{Header: "X-Slack-Signature", Prefix: "v0=", TimestampHeader: "X-Slack-Request-Timestamp", Signed: "v0:{timestamp}:{body}",
			IDField: "event_id", TypeField: "type"}
	case HMAC:
	default:
		return nil, fmt.Errorf("hooks: the scheme is %q; it must be %s, %s, %s, %s or %s", cfg.Scheme, Standard, GitHub, Stripe, Slack, HMAC)
	}
	if v.scheme == nil {
		p, err := layout.compile()
		if err != nil {
			return nil, err
		}
		v.scheme = p
	}
	for _, s := range cfg.Secrets {
		secret, err := layout.secret(s)
		if err != nil {
			return nil, err
		}
		v.keys = append(v.keys, key{mac: newMAC(layout.hash(), secret)})
	}
	return v, nil
}

// Verify accepts a request or says why not, with a *Refusal. body must be what came, byte for byte. It does not remember anything: that a
// request was there before is found out by its id.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) (Verified, error) {
	c, err := v.scheme.claim(h)
	if err != nil {
		return Verified{}, err
	}
	// The time comes first: it costs nothing, and what it refuses needs no hashing.
	if c.header != "" {
		if late := now.Sub(c.at); late > v.tolerance {
			return Verified{}, refuse(Stale, c.header, fmt.Sprintf("%s says %s, which is more than %v ago", c.header, c.stamp, v.tolerance))
		} else if late < -v.tolerance {
			return Verified{}, refuse(Stale, c.header, fmt.Sprintf("%s says %s, which is more than %v ahead of our clock", c.header, c.stamp, v.tolerance))
		}
	}
	secret, sum, ok := v.match(&c, body)
	if !ok {
		return Verified{}, refuse(Mismatch, "", "no signature fits: the secret is another one, or the body is not what was signed")
	}
	out := Verified{Time: c.at, Secret: secret}
	v.scheme.name(&out, &c, h, body)
	if len(out.ID) > IDBytesMax || out.ID == "" {
		out.ID, out.IDSigned = "", false
		if c.header != "" {
			// What was signed at that time is the name. It is hashed once more: a signature is nothing to keep and show.
			again := sha256.Sum256(sum)
			out.ID, out.IDSigned = "sha256-"+hex.EncodeToString(again[:16]), true
		}
	}
	return out, nil
}

// match finds the secret that made one of the signatures. Every comparison takes the same time whatever it finds.
func (v *Verifier) match(c *claim, body []byte) (secret int, sum []byte, ok bool) {
	var signed []byte // for ed25519, in one piece
	var buf [64]byte
	for i := range v.keys {
		k := &v.keys[i]
		if k.mac != nil && len(c.macs) > 0 {
			sum = k.mac.sum(buf[:0], c.before, body, c.after)
			for _, s := range c.macs {
				if hmac.Equal(sum, s) {
					return i, sum, true
				}
			}
		}
		if k.public != nil && len(c.signatures) > 0 {
			if signed == nil {
				signed = append(append(append(make([]byte, 0, len(c.before)+len(body)+len(c.after)), c.before...), body...), c.after...)
			}
			for _, s := range c.signatures {
				if verifyEd25519(k.public, signed, s) {
					return i, s, true
				}
			}
		}
	}
	return 0, nil, false
}

// one returns the value of a header that must be there once.
func one(h http.Header, name string) (string, error) {
	values := h[http.CanonicalHeaderKey(name)]
	switch {
	case len(values) == 0 || values[0] == "":
		return "", refuse(Unsigned, name, "the header "+name+" is missing")
	case len(values) > 1:
		return "", refuse(Malformed, name, fmt.Sprintf("the header %s is there %d times", name, len(values)))
	case len(values[0]) > HeaderBytesMax:
		return "", refuse(Malformed, name, fmt.Sprintf("the header %s has more than %d bytes", name, HeaderBytesMax))
	}
	return values[0], nil
}

// parseStamp reads Unix seconds, or milliseconds: digits and nothing else, so that there is one way only to write a time.
func parseStamp(header, s string, millis bool) (time.Time, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || s[0] == '+' || s[0] == '-' || len(s) > 16 {
		return time.Time{}, refuse(Malformed, header, "the time in "+header+" is no number")
	}
	if millis {
		return time.UnixMilli(int64(n)), nil
	}
	return time.Unix(int64(n), 0), nil
}
