package hooks

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// standard is Standard Webhooks, drawn in sign.go, and the same under the names that Svix gave the headers before there was a standard.
type standard struct{}

func (standard) claim(h http.Header) (c claim, err error) {
	prefix := "webhook-"
	if len(h[headerID]) == 0 && len(h["Svix-Id"]) > 0 {
		prefix = "svix-"
	}
	if c.id, err = one(h, prefix+"id"); err != nil {
		return c, err
	}
	if why := badID(c.id); why != "" {
		return c, refuse(Malformed, prefix+"id", "the id in "+prefix+"id "+why)
	}
	c.header = prefix + "timestamp"
	if c.stamp, err = one(h, c.header); err != nil {
		return c, err
	}
	if c.at, err = parseStamp(c.header, c.stamp, false); err != nil {
		return c, err
	}
	name := prefix + "signature"
	list, err := one(h, name)
	if err != nil {
		return c, err
	}
	n := 0
	for item := range strings.SplitSeq(list, " ") {
		if item == "" {
			continue
		}
		if n++; n > SignaturesMax {
			return c, refuse(Malformed, name, fmt.Sprintf("%s has more than %d signatures", name, SignaturesMax))
		}
		version, text, _ := strings.Cut(item, ",")
		if version != "v1" && version != "v1a" {
			continue // of a version to come
		}
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return c, refuse(Malformed, name, "a signature in "+name+" is not base64")
		}
		if version == "v1" {
			c.macs = append(c.macs, b)
		} else {
			c.signatures = append(c.signatures, b)
		}
	}
	if len(c.macs)+len(c.signatures) == 0 {
		return c, refuse(Malformed, name, name+" has no signature of version v1 or v1a")
	}
	c.before = []byte(c.id + "." + c.stamp + ".")
	return c, nil
}

func (standard) name(v *Verified, c *claim, _ http.Header, body []byte) {
	v.ID, v.IDSigned = c.id, true
	_, v.Type = members(body, "", "type")
}

func verifyEd25519(k ed25519.PublicKey, signed, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(k, signed, signature)
}
