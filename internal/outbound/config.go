package outbound

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// Config is what all endpoints of a node share. Default gives values that work; every limit has a least and a most, named below.
type Config struct {
	Allow     []string // what may be reached although it is not public: 10.1.0.0/16, 10.1.2.3, 10.1.2.3:8080, hooks.internal, hooks.internal:8080, *.internal; a cloud's metadata only by its very address
	HTTPSOnly bool     // refuse http:// URLs
	UserAgent string   // what requests say they come from

	ConnsMax         int           // open connections of all endpoints together
	ConnectTimeout   time.Duration // look-up and connecting
	TLSTimeout       time.Duration // for the TLS handshake
	WriteTimeout     time.Duration // for each piece written
	AnswerTimeout    time.Duration // from the request's end to the answer's header
	BodyTimeout      time.Duration // for the answer's body, which changes no outcome
	IdleTimeout      time.Duration // until an unused connection is closed
	ResponseBytesMax int           // of an answer's body that are kept
	HeaderBytesMax   int           // of an answer's header; more fails
	RetryAfterMax    time.Duration // the longest wait that a receiver can ask for

	Resolver *net.Resolver // looks names up; nil is the machine's. Not in a file
}

// Limits of Config.
const (
	ConnsMost         = 65_536
	TimeoutLeast      = time.Millisecond
	TimeoutMost       = 15 * time.Minute
	ResponseBytesMost = 1 << 20
	HeaderBytesLeast  = 1 << 10
	HeaderBytesMost   = 1 << 20
	RetryAfterMost    = 7 * 24 * time.Hour
	AllowMax          = 1_000
)

// drainBytesMax is how much of an answer is read beyond what is kept, so that its connection can be used again; a longer one costs the
// connection.
const drainBytesMax = 64 << 10

// Default is what a node has when nothing is said.
func Default() Config {
	return Config{
		UserAgent:        "leat",
		ConnsMax:         4_096,
		ConnectTimeout:   10 * time.Second,
		TLSTimeout:       10 * time.Second,
		WriteTimeout:     15 * time.Second,
		AnswerTimeout:    30 * time.Second,
		BodyTimeout:      5 * time.Second,
		IdleTimeout:      time.Minute,
		ResponseBytesMax: 4 << 10,
		HeaderBytesMax:   64 << 10,
		RetryAfterMax:    time.Hour,
	}
}

// Validate refuses what is beyond a limit, with its name.
func (c Config) Validate() error {
	if c.ConnsMax < 1 || c.ConnsMax > ConnsMost {
		return fmt.Errorf("conns_max is %d; it must be from 1 to %d", c.ConnsMax, ConnsMost)
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"connect_timeout", c.ConnectTimeout},
		{"tls_timeout", c.TLSTimeout},
		{"write_timeout", c.WriteTimeout},
		{"answer_timeout", c.AnswerTimeout},
		{"body_timeout", c.BodyTimeout},
		{"idle_timeout", c.IdleTimeout},
	} {
		if t.d < TimeoutLeast || t.d > TimeoutMost {
			return fmt.Errorf("%s is %v; it must be from %v to %v", t.name, t.d, TimeoutLeast, TimeoutMost)
		}
	}
	switch {
	case c.ResponseBytesMax < 0 || c.ResponseBytesMax > ResponseBytesMost:
		return fmt.Errorf("response_bytes_max is %d; it must be from 0 to %d", c.ResponseBytesMax, ResponseBytesMost)
	case c.HeaderBytesMax < HeaderBytesLeast || c.HeaderBytesMax > HeaderBytesMost:
		return fmt.Errorf("header_bytes_max is %d; it must be from %d to %d", c.HeaderBytesMax, HeaderBytesLeast, HeaderBytesMost)
	case c.RetryAfterMax < time.Second || c.RetryAfterMax > RetryAfterMost:
		return fmt.Errorf("retry_after_max is %v; it must be from 1s to %v", c.RetryAfterMax, RetryAfterMost)
	case len(c.Allow) > AllowMax:
		return fmt.Errorf("allow has %d entries; at most %d", len(c.Allow), AllowMax)
	case c.UserAgent == "" || !headerValue(c.UserAgent):
		return fmt.Errorf("user_agent: %q cannot be sent", c.UserAgent)
	}
	_, err := parseRules(c.Allow)
	return err
}

// Policy is how much an endpoint is sent, and when it is left alone.
type Policy struct {
	Concurrency int     // requests under way at once
	Rate        float64 // requests a second; 0 is no limit
	Burst       int     // that may come at once above the rate; 0 is 1

	FailuresMax int           // in a row that open it
	OpenFirst   time.Duration // how long it is open the first time; twice as long each further time,
	OpenMost    time.Duration // up to this
	Probes      int           // successes in a row that close it
	PauseAfter  time.Duration // of nothing but failures; 0 is never
}

// Limits of Policy.
const (
	ConcurrencyMost = 1_024
	RateMost        = 1e6
	BurstMost       = 1e6
	FailuresMost    = 10_000
	ProbesMost      = 100
	OpenLeast       = time.Millisecond
	OpenMostMost    = 24 * time.Hour
	PauseAfterLeast = time.Second
	PauseAfterMost  = 365 * 24 * time.Hour
)

// DefaultPolicy suits an endpoint nobody said anything about: 32 at once, opened after ten failures, paused after five days.
func DefaultPolicy() Policy {
	return Policy{
		Concurrency: 32, FailuresMax: 10, OpenFirst: 5 * time.Second, OpenMost: 5 * time.Minute, Probes: 1, PauseAfter: 5 * 24 * time.Hour,
	}
}

// Validate refuses what is beyond a limit.
func (p Policy) Validate() error {
	switch {
	case p.Concurrency < 1 || p.Concurrency > ConcurrencyMost:
		return fmt.Errorf("concurrency is %d; it must be from 1 to %d", p.Concurrency, ConcurrencyMost)
	case !(p.Rate >= 0 && p.Rate <= RateMost) || p.Rate > 0 && p.Rate < 1e-4:
		return fmt.Errorf("rate is %v a second; it must be 0, no limit, or from 0.0001 to %v", p.Rate, RateMost)
	case p.Burst < 0 || p.Burst > BurstMost:
		return fmt.Errorf("burst is %d; it must be from 0 to %d", p.Burst, int(BurstMost))
	case p.FailuresMax < 1 || p.FailuresMax > FailuresMost:
		return fmt.Errorf("failures_max is %d; it must be from 1 to %d", p.FailuresMax, FailuresMost)
	case p.Probes < 1 || p.Probes > ProbesMost:
		return fmt.Errorf("probes is %d; it must be from 1 to %d", p.Probes, ProbesMost)
	case p.OpenFirst < OpenLeast || p.OpenFirst > OpenMostMost:
		return fmt.Errorf("open_first is %v; it must be from %v to %v", p.OpenFirst, OpenLeast, OpenMostMost)
	case p.OpenMost < p.OpenFirst || p.OpenMost > OpenMostMost:
		return fmt.Errorf("open_most is %v; it must be from open_first, %v, to %v", p.OpenMost, p.OpenFirst, OpenMostMost)
	case p.PauseAfter != 0 && (p.PauseAfter < PauseAfterLeast || p.PauseAfter > PauseAfterMost):
		return fmt.Errorf("pause_after is %v; it must be 0, never, or from %v to %v", p.PauseAfter, PauseAfterLeast, PauseAfterMost)
	}
	return nil
}

// EndpointConfig is one place that deliveries are sent to.
type EndpointConfig struct {
	URL     string        // http or https; user:password in it becomes an Authorization header
	Method  string        // empty is POST
	Header  http.Header   // sent with each request that does not say otherwise
	Timeout time.Duration // for a whole attempt; 0 is TimeoutDefault
	Refuse  []int         // statuses that end a delivery; nil is 413 and 415
	Policy  Policy

	CAs        []byte // PEM; instead of the machine's
	ClientCert []byte // PEM, with
	ClientKey  []byte // PEM

	Paused string // why it is paused from the beginning; empty is not
	Seed   uint64 // spreads probes; any number that differs between endpoints
}

// Limits of EndpointConfig.
const (
	TimeoutDefault  = 30 * time.Second
	URLBytesMax     = 8 << 10
	HeadersMax      = 100 // names, of the endpoint's own
	RefuseMax       = 100
	CertificatesMax = 1 << 20 // bytes of PEM
)
