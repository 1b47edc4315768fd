package hooks

import (
	"crypto/sha1" //nolint:gosec // as HMAC it holds, and old senders have nothing else
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

// HMACConfig says how a sender uses a plain HMAC:
//
//	Header: Prefix Encoding(HMAC-Algorithm(secret, Signed))
type HMACConfig struct {
	Header    string // of the signature
	Algorithm string // sha1, sha256 (the default), sha384, sha512
	Encoding  string // hex (the default), base64, base64url
	Prefix    string // before the signature, such as sha256=
	Separator string // between several signatures in the header; empty is one signature

	TimestampHeader string // Unix time; empty is none
	TimestampMillis bool   // it is in milliseconds
	// Signed is what was signed, with {id}, {timestamp} and {body}. Empty is {timestamp}.{body} with a TimestampHeader and {body} without.
	Signed string

	IDHeader   string // what the sender calls the event, or
	IDField    string // the member of a JSON body that says so
	TypeHeader string // what it calls the kind of event, or
	TypeField  string // the member of a JSON body that says so

	SecretEncoding string // of Config.Secrets: text (the default), hex, base64
}

func (c *HMACConfig) hash() func() hash.Hash {
	switch c.Algorithm {
	case "sha1":
		return sha1.New
	case "sha384":
		return sha512.New384
	case "sha512":
		return sha512.New
	}
	return sha256.New
}

func (c *HMACConfig) secret(s string) (b []byte, err error) {
	if s == "" || len(s) > secretTextMax {
		return nil, fmt.Errorf("hooks: a secret has 1 to %d bytes; this one has %d", secretTextMax, len(s))
	}
	switch c.SecretEncoding {
	case "", "text":
		return []byte(s), nil
	case "hex":
		b, err = hex.DecodeString(s)
	case "base64":
		b, err = decode64(s)
	default:
		return nil, fmt.Errorf("hooks: secret_encoding is %q; it must be text, hex or base64", c.SecretEncoding)
	}
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("hooks: the secret is not %s", c.SecretEncoding)
	}
	return b, nil
}

func decode64(s string) ([]byte, error) {
	return base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}

// plain is a compiled HMACConfig.
type plain struct {
	HMACConfig
	before, after []piece // what is signed before and after the body
}

// piece is literal text, or the id or time of the request with the text that ends it.
type piece struct {
	text string
	what byte // 'i' or 't'; 0 is literal
	end  string
}

func (c HMACConfig) compile() (*plain, error) {
	switch c.Algorithm {
	case "", "sha1", "sha256", "sha384", "sha512":
	default:
		return nil, fmt.Errorf("hooks: algorithm is %q; it must be sha1, sha256, sha384 or sha512", c.Algorithm)
	}
	switch c.Encoding {
	case "", "hex", "base64", "base64url":
	default:
		return nil, fmt.Errorf("hooks: encoding is %q; it must be hex, base64 or base64url", c.Encoding)
	}
	if c.Header == "" {
		return nil, errors.New("hooks: header names no header for the signature")
	}
	if c.Signed == "" {
		c.Signed = "{body}"
		if c.TimestampHeader != "" {
			c.Signed = "{timestamp}.{body}"
		}
	}
	p := &plain{HMACConfig: c}
	before, after, ok := strings.Cut(c.Signed, "{body}")
	if !ok || strings.Contains(after, "{body}") {
		return nil, fmt.Errorf("hooks: signed is %q; it must have {body} once", c.Signed)
	}
	var err error
	if p.before, err = c.pieces(before, true); err != nil {
		return nil, err
	}
	if p.after, err = c.pieces(after, false); err != nil {
		return nil, err
	}
	// What is not signed proves nothing, and what is signed must be known.
	if hasTime := strings.Contains(c.Signed, "{timestamp}"); hasTime != (c.TimestampHeader != "") {
		return nil, fmt.Errorf("hooks: signed is %q and timestamp_header %q: a time must be signed, and must be in a header", c.Signed, c.TimestampHeader)
	}
	if strings.Contains(c.Signed, "{id}") && c.IDHeader == "" {
		return nil, fmt.Errorf("hooks: signed is %q, and id_header says nothing", c.Signed)
	}
	return p, nil
}

// pieces takes a template apart. Between an id or time and what follows there must be text, by which its end is known; otherwise bytes
// could be moved from one to the other under the same signature.
func (c HMACConfig) pieces(s string, bodyFollows bool) (ps []piece, err error) {
	for s != "" {
		i := strings.IndexByte(s, '{')
		if i < 0 {
			return append(ps, piece{text: s}), nil
		}
		if i > 0 {
			ps = append(ps, piece{text: s[:i]})
		}
		var p piece
		rest, isID := strings.CutPrefix(s[i:], "{id}")
		rest2, isTime := strings.CutPrefix(s[i:], "{timestamp}")
		switch {
		case isID:
			p.what, s = 'i', rest
		case isTime:
			p.what, s = 't', rest2
		default:
			return nil, fmt.Errorf("hooks: signed is %q; between braces it may have id, timestamp and body", c.Signed)
		}
		p.end, _, _ = strings.Cut(s, "{")
		if p.end == "" && (s != "" || bodyFollows) || p.end != "" && isDigit(p.end[0]) {
			return nil, fmt.Errorf("hooks: signed is %q; after {id} and {timestamp} there must be text that does not begin with a digit", c.Signed)
		}
		// Behind the body, the same from the other side: the body may hold anything, so only digits after text can be told from it.
		if last := len(ps) - 1; !bodyFollows && (p.what == 'i' || last < 0 || ps[last].what != 0 || isDigit(ps[last].text[len(ps[last].text)-1])) {
			return nil, fmt.Errorf("hooks: signed is %q; behind {body} there may be a {timestamp} after text that does not end in a digit, and no {id}", c.Signed)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (p *plain) claim(h http.Header) (c claim, err error) {
	if p.TimestampHeader != "" {
		c.header = p.TimestampHeader
		if c.stamp, err = one(h, p.TimestampHeader); err != nil {
			return c, err
		}
		if c.at, err = parseStamp(p.TimestampHeader, c.stamp, p.TimestampMillis); err != nil {
			return c, err
		}
	}
	if p.IDHeader != "" {
		c.id = h.Get(p.IDHeader)
		if strings.Contains(p.Signed, "{id}") {
			if c.id, err = one(h, p.IDHeader); err != nil {
				return c, err
			}
		}
	}
	value, err := one(h, p.Header)
	if err != nil {
		return c, err
	}
	if c.macs, err = p.signatures(value); err != nil {
		return c, err
	}
	if c.before, err = p.fill(p.before, &c); err != nil {
		return c, err
	}
	c.after, err = p.fill(p.after, &c)
	return c, err
}

func (p *plain) signatures(value string) (macs [][]byte, err error) {
	items := []string{value}
	if p.Separator != "" {
		items = strings.SplitN(value, p.Separator, SignaturesMax+1)
		if len(items) > SignaturesMax {
			return nil, refuse(Malformed, p.Header, fmt.Sprintf("%s has more than %d signatures", p.Header, SignaturesMax))
		}
	}
	for _, item := range items {
		text, ok := strings.CutPrefix(strings.TrimSpace(item), p.Prefix)
		if !ok {
			continue
		}
		var b []byte
		switch p.Encoding {
		case "base64":
			b, err = decode64(text)
		case "base64url":
			b, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
		default:
			b, err = hex.DecodeString(text)
		}
		if err != nil {
			return nil, refuse(Malformed, p.Header, "the signature in "+p.Header+" is not "+orHex(p.Encoding))
		}
		macs = append(macs, b)
	}
	if len(macs) == 0 {
		return nil, refuse(Malformed, p.Header, fmt.Sprintf("the signature in %s does not begin with %s", p.Header, p.Prefix))
	}
	return macs, nil
}

func orHex(encoding string) string {
	if encoding == "" {
		return "hex"
	}
	return encoding
}

func (p *plain) fill(ps []piece, c *claim) (b []byte, err error) {
	for _, piece := range ps {
		v, header := piece.text, ""
		switch piece.what {
		case 'i':
			v, header = c.id, p.IDHeader
		case 't':
			v, header = c.stamp, p.TimestampHeader
		}
		if piece.end != "" && strings.IndexByte(v, piece.end[0]) >= 0 {
			return nil, refuse(Malformed, header, fmt.Sprintf("%s has a %q, which ends it in what is signed", header, piece.end[:1]))
		}
		b = append(b, v...)
	}
	return b, nil
}

func (p *plain) name(v *Verified, c *claim, h http.Header, body []byte) {
	var id string
	if p.IDField != "" || p.TypeField != "" {
		id, v.Type = members(body, p.IDField, p.TypeField)
	}
	if p.TypeHeader != "" {
		v.Type = clean(h.Get(p.TypeHeader))
	}
	switch {
	case p.IDHeader != "":
		v.ID, v.IDSigned = clean(c.id), strings.Contains(p.Signed, "{id}")
	case id != "":
		v.ID, v.IDSigned = id, true
	}
	if v.ID == "" {
		v.IDSigned = false
	}
}
