package hooks

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The handshake of "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2 (CloudEvents), section 4, by which nobody can be made to flood a place that
// does not expect it:
//
//	sender                                             target
//	OPTIONS /the/endpoint
//	  WebHook-Request-Origin: leat.example.com
//	  WebHook-Request-Rate: 120                          a minute; may be missing
//	  WebHook-Request-Callback: https://…                may be missing
//	                                                   200
//	                                                     WebHook-Allowed-Origin: leat.example.com, or *
//	                                                     WebHook-Allowed-Rate: 120, or *
//
// or the target answers without these, and asks for the callback's URL later, by GET or POST. From then on each delivery carries
// WebHook-Request-Origin.
const (
	headerRequestOrigin   = "Webhook-Request-Origin"
	headerRequestCallback = "Webhook-Request-Callback"
	headerRequestRate     = "Webhook-Request-Rate"
	headerAllowedOrigin   = "Webhook-Allowed-Origin"
	headerAllowedRate     = "Webhook-Allowed-Rate"
)

// Limits of the handshake.
const (
	OriginBytesMax   = 253
	CallbackBytesMax = 2 << 10
	RateMost         = 60_000_000 // a minute
)

// Ask is what a sender asks for.
type Ask struct {
	Origin   string // a DNS name that stands for all of the sender
	Callback string // URL; empty is none
	Rate     int    // requests a minute; 0 says nothing
}

// SetHeader writes what is asked into the headers of an OPTIONS request. Deliveries carry SetOrigin.
func (a Ask) SetHeader(h http.Header) error {
	if err := a.check(); err != nil {
		return err
	}
	a.SetOrigin(h)
	if a.Callback != "" {
		h[headerRequestCallback] = []string{a.Callback}
	}
	if a.Rate > 0 {
		h[headerRequestRate] = []string{strconv.Itoa(a.Rate)}
	}
	return nil
}

// SetOrigin writes the header that each delivery carries after the handshake.
func (a Ask) SetOrigin(h http.Header) { h[headerRequestOrigin] = []string{a.Origin} }

func (a Ask) check() error {
	switch {
	case !originName(a.Origin):
		return fmt.Errorf("hooks: the origin %q is no DNS name", clip(a.Origin))
	case a.Rate < 0 || a.Rate > RateMost:
		return fmt.Errorf("hooks: the rate is %d a minute; it must be from 1 to %d", a.Rate, RateMost)
	case a.Callback != "" && !callbackURL(a.Callback):
		return errors.New("hooks: the callback is no http or https URL")
	}
	return nil
}

// Grant is what a target allows.
type Grant struct {
	Any  bool // every origin may send
	Rate int  // requests a minute; 0 is no limit
}

// ReadGrant reads the answer to a. It goes by the headers alone: a status means nothing, since servers answer OPTIONS for many reasons. Without
// granted there is no consent, or it comes later by the callback.
func (a Ask) ReadGrant(h http.Header) (g Grant, granted bool, err error) {
	origin := strings.TrimSpace(h.Get(headerAllowedOrigin))
	if origin == "" {
		return g, false, nil
	}
	if g.Any = origin == "*"; !g.Any && !strings.EqualFold(origin, a.Origin) {
		return Grant{}, false, fmt.Errorf("hooks: the target allows the origin %q, and not %q", clip(origin), a.Origin)
	}
	if g.Rate, err = readRate(h, a.Rate); err != nil {
		return Grant{}, false, err
	}
	return g, true, nil
}

func readRate(h http.Header, asked int) (int, error) {
	switch v := strings.TrimSpace(h.Get(headerAllowedRate)); v {
	case "":
		return asked, nil
	case "*":
		return 0, nil
	default:
		return parseRate(headerAllowedRate, v)
	}
}

func parseRate(header, v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 64)
	if errors.Is(err, strconv.ErrRange) && strings.Trim(v, "0123456789") == "" {
		n, err = RateMost, nil
	}
	if err != nil || n == 0 {
		return 0, fmt.Errorf("hooks: %s is %q; it must be a number of requests a minute", header, clip(v))
	}
	return int(min(n, RateMost)), nil
}

// ReadAsk reads an OPTIONS request. ok is false for one that is no handshake.
func ReadAsk(h http.Header) (a Ask, ok bool, err error) {
	a.Origin = strings.TrimSpace(h.Get(headerRequestOrigin))
	if a.Origin == "" {
		return a, false, nil
	}
	a.Callback = strings.TrimSpace(h.Get(headerRequestCallback))
	if v := strings.TrimSpace(h.Get(headerRequestRate)); v != "" {
		if a.Rate, err = parseRate(headerRequestRate, v); err != nil {
			return Ask{}, true, err
		}
	}
	if err := a.check(); err != nil {
		return Ask{}, true, err
	}
	return a, true, nil
}

// Consent is who may send to an address of ours.
type Consent struct {
	Origins []string // names, *.name for all below it, or * for all
	Rate    int      // requests a minute at most; 0 is no limit
}

// Answer writes the headers of the answer to an ask. Without ok nothing is written, which is how consent is refused.
func (c Consent) Answer(a Ask, h http.Header) (ok bool) {
	for _, o := range c.Origins {
		below, wild := strings.CutPrefix(o, "*.")
		name := strings.ToLower(a.Origin)
		ok = ok || o == "*" || strings.EqualFold(o, name) || wild && strings.HasSuffix(name, "."+strings.ToLower(below))
	}
	if !ok {
		return false
	}
	h[headerAllowedOrigin] = []string{a.Origin} // not *: that would consent for others, too
	rate := c.Rate
	if a.Rate > 0 && (rate == 0 || a.Rate < rate) {
		rate = a.Rate
	}
	h[headerAllowedRate] = []string{"*"}
	if rate > 0 {
		h[headerAllowedRate] = []string{strconv.Itoa(rate)}
	}
	h["Allow"] = []string{"POST, OPTIONS"}
	return true
}

// originName is a DNS expression: letters, digits, - . _ and perhaps a port.
func originName(s string) bool {
	if s == "" || len(s) > OriginBytesMax {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !isDigit(c) && strings.IndexByte("-._:", c) < 0 {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
