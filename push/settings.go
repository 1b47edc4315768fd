package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"leat/internal/hooks"
	"leat/internal/outbound"
)

// DocumentKey is where the broker keeps a Document with its subscription.
const DocumentKey = "push"

// The formats of requests.
const (
	FormatBinary     = "binary"     // CloudEvents binary mode: attributes in headers, data as it is
	FormatStructured = "structured" // CloudEvents JSON
	FormatBatch      = "batch"      // several events in a JSON array
)

// The handshakes by which an endpoint consents before the first event.
const (
	HandshakeNone        = "none"
	HandshakeCloudEvents = "cloudevents"
	HandshakeEventGrid   = "eventgrid"
)

// Limits and defaults of Settings.
const (
	ConcurrencyDefault = 32
	TimeoutDefault     = 30 * time.Second
	TimeoutLeast       = 100 * time.Millisecond
	TimeoutMost        = 10 * time.Minute
	BatchDefault       = 100
	BatchMost          = 1_000
	BatchBytesMax      = 1 << 20 // of data; one event is always sent
	OriginDefault      = "leat"
	SecretsMax         = hooks.KeysMax
	HeadersMax         = 50
	CABytesMax         = 64 << 10
)

// Hidden stands for the value of a header in what is shown. Given back, it means the value that is there.
const Hidden = "(hidden)"

// Settings are what can be set about a push. Zero values are defaults; Complete puts them in.
type Settings struct {
	URL         string            `json:"url"`
	Format      string            `json:"format,omitempty"`
	Handshake   string            `json:"handshake,omitempty"`
	Origin      string            `json:"origin,omitempty"` // by which the endpoint knows the sender, in the handshake of CloudEvents
	Concurrency int               `json:"concurrency,omitempty"`
	Rate        float64           `json:"rate,omitempty"` // requests a second; 0: no limit
	TimeoutMS   int64             `json:"timeout_ms,omitempty"`
	BatchMax    int               `json:"batch_max,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	CA          string            `json:"ca,omitempty"` // PEM; instead of the machine's
}

// Document is what is kept of a push with its subscription.
type Document struct {
	Settings
	Secrets []string `json:"secrets,omitempty"` // the newest first; none: requests are not signed
	By      string   `json:"by,omitempty"`      // who set it up, and as whom it acts
	Paused  *Mark    `json:"paused,omitempty"`
	Refused *Mark    `json:"refused,omitempty"` // the handshake was
	Valid   *Consent `json:"valid,omitempty"`
}

// Mark is when something began, and why.
type Mark struct {
	Why  string `json:"why"`
	AtMS int64  `json:"at_ms"`
}

// Consent is what a handshake brought, for the endpoint it was made with.
type Consent struct {
	URL           string `json:"url"`
	Handshake     string `json:"handshake"`
	RatePerMinute int    `json:"rate_per_minute,omitempty"` // 0: no limit
}

// SettingError says which setting is wrong.
type SettingError struct{ Field, Text string }

func (e *SettingError) Error() string { return "push." + e.Field + ": " + e.Text }

func wrong(field, format string, args ...any) error {
	return &SettingError{field, fmt.Sprintf(format, args...)}
}

// ParseDocument reads a document of a subscription.
func ParseDocument(text string) (d Document, err error) {
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, errors.New("the settings of the push cannot be read") // and are in no error
	}
	d.Complete()
	return d, nil
}

// Text is the document as ParseDocument reads it.
func (d *Document) Text() string {
	p, err := json.Marshal(d)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return string(p)
}

// Complete puts in defaults.
func (s *Settings) Complete() {
	if s.Format == "" {
		s.Format = FormatBinary
	}
	if s.Handshake == "" {
		s.Handshake = HandshakeNone
	}
	if s.Origin == "" {
		s.Origin = OriginDefault
	}
	if s.Concurrency == 0 {
		s.Concurrency = ConcurrencyDefault
	}
	if s.TimeoutMS == 0 {
		s.TimeoutMS = TimeoutDefault.Milliseconds()
	}
	if s.BatchMax == 0 {
		s.BatchMax = BatchDefault
	}
}

func (s *Settings) timeout() time.Duration { return time.Duration(s.TimeoutMS) * time.Millisecond }

// batch is how many events one request carries at most.
func (s *Settings) batch() int {
	if s.Format == FormatBatch {
		return s.BatchMax
	}
	return 1
}

// Check refuses what cannot be, with a *SettingError. It does no I/O: a name that leads to an address that may not be reached is found out when it
// is sent to.
func (s *Sender) Check(d *Document) error {
	switch {
	case d.Format != FormatBinary && d.Format != FormatStructured && d.Format != FormatBatch:
		return wrong("format", "%q is none; binary, structured and batch are", clip(d.Format))
	case d.Handshake != HandshakeNone && d.Handshake != HandshakeCloudEvents && d.Handshake != HandshakeEventGrid:
		return wrong("handshake", "%q is none; none, cloudevents and eventgrid are", clip(d.Handshake))
	case d.TimeoutMS < TimeoutLeast.Milliseconds() || d.TimeoutMS > TimeoutMost.Milliseconds():
		return wrong("timeout_ms", "it is %d; it must be from %d to %d", d.TimeoutMS, TimeoutLeast.Milliseconds(), TimeoutMost.Milliseconds())
	case d.BatchMax < 1 || d.BatchMax > BatchMost:
		return wrong("batch_max", "it is %d; it must be from 1 to %d", d.BatchMax, BatchMost)
	case d.Concurrency < 1 || d.Concurrency > outbound.ConcurrencyMost:
		return wrong("concurrency", "it is %d; it must be from 1 to %d", d.Concurrency, outbound.ConcurrencyMost)
	case !(d.Rate >= 0 && d.Rate <= outbound.RateMost) || d.Rate > 0 && d.Rate < 1e-4:
		return wrong("rate", "it is %v a second; it must be 0, no limit, or from 0.0001 to %v", d.Rate, outbound.RateMost)
	case len(d.Headers) > HeadersMax:
		return wrong("headers", "there are %d; at most %d", len(d.Headers), HeadersMax)
	case len(d.CA) > CABytesMax:
		return wrong("ca", "it has %d bytes; at most %d", len(d.CA), CABytesMax)
	case len(d.Secrets) > SecretsMax:
		return wrong("secrets", "there are %d; at most %d", len(d.Secrets), SecretsMax)
	}
	if err := (hooks.Ask{Origin: d.Origin}).SetHeader(http.Header{}); err != nil {
		return wrong("origin", "%s", strings.TrimPrefix(err.Error(), "hooks: "))
	}
	for name := range d.Headers {
		if n := http.CanonicalHeaderKey(name); strings.HasPrefix(n, "Ce-") || strings.HasPrefix(n, "Webhook-") || n == "Content-Type" {
			return wrong("headers", "%s is written by the push itself", clip(n))
		}
	}
	if len(d.Secrets) > 0 {
		if _, err := hooks.NewSigner(d.Secrets...); err != nil {
			return wrong("secrets", "%s", strings.TrimPrefix(err.Error(), "hooks: "))
		}
	}
	e, err := s.client.Endpoint(d.endpoint(""))
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "endpoint: ")
		switch {
		case strings.Contains(text, "header"):
			return wrong("headers", "%s", text)
		case strings.Contains(text, "certificate"):
			return wrong("ca", "%s", text)
		}
		return wrong("url", "%s", text)
	}
	e.Close()
	return nil
}

// endpoint is the configuration of the endpoint. paused: it is, and why.
func (d *Document) endpoint(paused string) outbound.EndpointConfig {
	p := outbound.DefaultPolicy()
	p.Concurrency, p.Rate = d.Concurrency, d.Rate
	h := http.Header{}
	for name, v := range d.Headers {
		h.Set(name, v)
	}
	if d.Handshake == HandshakeCloudEvents {
		hooks.Ask{Origin: d.Origin}.SetOrigin(h)
	}
	if d.consented() && d.Valid.RatePerMinute > 0 {
		if granted := float64(d.Valid.RatePerMinute) / 60; p.Rate == 0 || granted < p.Rate {
			p.Rate = granted
		}
	}
	return outbound.EndpointConfig{URL: d.URL, Header: h, Timeout: d.timeout(), Policy: p, CAs: []byte(d.CA), Paused: paused}
}

// consented reports whether the endpoint has consented, or need not.
func (d *Document) consented() bool {
	return d.Valid != nil && d.Valid.URL == d.URL && d.Valid.Handshake == d.Handshake
}

// same reports whether two documents make the same requests: what is remembered may differ.
func (d *Document) same(o *Document) bool {
	a, b := *d, *o
	a.Paused, a.Refused, a.Valid, b.Paused, b.Refused, b.Valid = nil, nil, nil, nil, nil, nil
	return a.Text() == b.Text()
}

// Shown is the settings without what nobody is told: passwords, values of headers.
func (d *Document) Shown() Settings {
	s := d.Settings
	s.URL = redacted(s.URL)
	if len(s.Headers) > 0 {
		s.Headers = map[string]string{}
		for name := range d.Headers {
			s.Headers[name] = Hidden
		}
	}
	return s
}

// Keep takes over from old what s only has as it is shown.
func (s *Settings) Keep(old *Settings) {
	if s.URL != "" && s.URL == redacted(old.URL) {
		s.URL = old.URL
	}
	for name, v := range s.Headers {
		if was, ok := old.Headers[name]; ok && v == Hidden {
			s.Headers[name] = was
		}
	}
}

func redacted(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}

// NewSecret makes a secret to sign with.
func NewSecret() string { return hooks.NewSecret() }

// AddSecret puts a secret before the others, and what is beyond two goes: the newest and the one before are good while they are exchanged.
func (d *Document) AddSecret(secret string) {
	rest := slices.DeleteFunc(slices.Clone(d.Secrets), func(s string) bool { return s == secret })
	d.Secrets = append([]string{secret}, rest...)
	if len(d.Secrets) > 2 {
		d.Secrets = d.Secrets[:2]
	}
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
