package hooks

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// stripe is one header with everything:
//
//	Stripe-Signature: t=1492774577,v1=5257a869…,v1=c0ffee…,v0=6ffbb59b…
//	signed: 1492774577 "." body
//
// v1 is hexadecimal HMAC-SHA256, once for each secret; other versions are of no concern.
type stripe struct{}

const stripeHeader = "Stripe-Signature"

func (stripe) claim(h http.Header) (c claim, err error) {
	value, err := one(h, stripeHeader)
	if err != nil {
		return c, err
	}
	c.header = stripeHeader
	n := 0
	for item := range strings.SplitSeq(value, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(item), "=")
		switch {
		case !ok:
			return c, refuse(Malformed, stripeHeader, stripeHeader+" is not a list of name=value")
		case k == "t" && c.stamp != "":
			return c, refuse(Malformed, stripeHeader, stripeHeader+" has two times")
		case k == "t":
			c.stamp = v
			if c.at, err = parseStamp(stripeHeader, v, false); err != nil {
				return c, err
			}
		case k == "v1":
			if n++; n > SignaturesMax {
				return c, refuse(Malformed, stripeHeader, fmt.Sprintf("%s has more than %d signatures", stripeHeader, SignaturesMax))
			}
			if b, err := hex.DecodeString(v); err == nil { // one that cannot be read counts as one that does not fit
				c.macs = append(c.macs, b)
			}
		}
	}
	if c.stamp == "" {
		return c, refuse(Malformed, stripeHeader, stripeHeader+" has no time t=")
	}
	if len(c.macs) == 0 {
		return c, refuse(Malformed, stripeHeader, stripeHeader+" has no signature v1=")
	}
	c.before = []byte(c.stamp + ".")
	return c, nil
}

func (stripe) name(v *Verified, _ *claim, _ http.Header, body []byte) {
	v.ID, v.Type = members(body, "id", "type")
	v.IDSigned = v.ID != ""
}
