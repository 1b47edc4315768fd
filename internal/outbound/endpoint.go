package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"leat/internal/clock"
)

// Endpoint is one place that deliveries are sent to, with connections, limits and health of its own: what happens to it costs other
// endpoints nothing but its share of Config.ConnsMax, which is one connection while it does not answer. It is safe for many goroutines.
type Endpoint struct {
	client    *Client
	config    EndpointConfig
	url       *url.URL // without user and password
	header    http.Header
	transport *http.Transport
	refuse    []int
	closing   context.Context
	close     context.CancelFunc

	mu      sync.Mutex
	gate    *gate
	figures Figures

	wake chan struct{} // holds one when a waiter should ask the gate again
}

// Endpoint makes an endpoint. It does no I/O: an address that may not be reached is found out when it is connected to, except one that
// stands in the URL itself, which is refused here with a *BlockedError.
func (c *Client) Endpoint(cfg EndpointConfig) (*Endpoint, error) {
	u, header, err := c.target(cfg)
	if err != nil {
		return nil, err
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = TimeoutDefault
	}
	if cfg.Timeout < TimeoutLeast || cfg.Timeout > TimeoutMost {
		return nil, fmt.Errorf("endpoint: timeout is %v; it must be from %v to %v", cfg.Timeout, TimeoutLeast, TimeoutMost)
	}
	if len(cfg.Refuse) > RefuseMax {
		return nil, fmt.Errorf("endpoint: %d statuses end a delivery; at most %d can", len(cfg.Refuse), RefuseMax)
	}
	t, err := tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{client: c, config: cfg, url: u, header: header, refuse: cfg.Refuse,
		gate: newGate(cfg.Policy, cfg.Seed), wake: make(chan struct{}, 1)}
	if cfg.Refuse == nil {
		e.refuse = refuseDefault
	}
	e.closing, e.close = context.WithCancel(context.Background())
	if cfg.Paused != "" {
		e.gate.pause(clock.Now(), cfg.Paused)
	}
	e.transport = c.transport(cfg, t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.endpoints[e] = struct{}{}
	return e, nil
}

// target checks the URL and the headers, and takes user and password out of the first into the second.
func (c *Client) target(cfg EndpointConfig) (*url.URL, http.Header, error) {
	if len(cfg.URL) > URLBytesMax {
		return nil, nil, fmt.Errorf("endpoint: the URL has %d bytes; at most %d", len(cfg.URL), URLBytesMax)
	}
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, nil, errors.New("endpoint: this is not a URL") // err would repeat a password
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, nil, fmt.Errorf("endpoint: the scheme is %q; it must be https or http", u.Scheme)
	case u.Scheme == "http" && c.config.HTTPSOnly:
		return nil, nil, errors.New("endpoint: outbound.https_only refuses http; use https")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, nil, errors.New("endpoint: the URL names no host")
	case u.Port() == "0":
		return nil, nil, errors.New("endpoint: port 0 cannot be reached")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := c.rules.check(u.Hostname(), netip.AddrPortFrom(a, portOf(u))); err != nil {
			return nil, nil, fmt.Errorf("endpoint: %w", err)
		}
	}
	if len(cfg.Header) > HeadersMax {
		return nil, nil, fmt.Errorf("endpoint: %d headers; at most %d", len(cfg.Header), HeadersMax)
	}
	if err := checkHeader(cfg.Header); err != nil {
		return nil, nil, fmt.Errorf("endpoint: %w", err)
	}
	if cfg.Method != "" && !headerName(cfg.Method) {
		return nil, nil, fmt.Errorf("endpoint: %q is no method", cfg.Method)
	}
	header := http.Header{}
	for name, values := range cfg.Header {
		header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	if _, said := header["User-Agent"]; !said {
		header["User-Agent"] = []string{c.config.UserAgent}
	}
	if u.User != nil {
		if _, said := header["Authorization"]; !said {
			password, _ := u.User.Password()
			header["Authorization"] = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))}
		}
		u.User = nil
	}
	u.Fragment, u.RawFragment = "", ""
	return u, header, nil
}

func portOf(u *url.URL) uint16 {
	if p, err := netip.ParseAddrPort("0.0.0.0:" + u.Port()); err == nil {
		return p.Port()
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

func tlsConfig(cfg EndpointConfig) (*tls.Config, error) {
	if len(cfg.CAs)+len(cfg.ClientCert)+len(cfg.ClientKey) > CertificatesMax {
		return nil, fmt.Errorf("endpoint: more than %d bytes of certificates", CertificatesMax)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if len(cfg.CAs) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(cfg.CAs) {
			return nil, errors.New("endpoint: the CA holds no certificate in PEM form")
		}
	}
	if len(cfg.ClientCert) > 0 || len(cfg.ClientKey) > 0 {
		pair, err := tls.X509KeyPair(cfg.ClientCert, cfg.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("endpoint: client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// transport is the endpoint's own: connections to one place are no business of another, be it on the same host. Redirects and proxies of the
// environment would lead around the check of addresses; there are none.
func (c *Client) transport(cfg EndpointConfig, t *tls.Config) *http.Transport {
	tr := &http.Transport{
		DialContext:            c.dial,
		TLSClientConfig:        t,
		TLSHandshakeTimeout:    c.config.TLSTimeout,
		DisableCompression:     true, // what comes back is kept in parts, and inflated by nobody
		MaxConnsPerHost:        cfg.Policy.Concurrency + 1,
		MaxIdleConnsPerHost:    cfg.Policy.Concurrency + 1,
		IdleConnTimeout:        c.config.IdleTimeout,
		ResponseHeaderTimeout:  c.config.AnswerTimeout,
		MaxResponseHeaderBytes: int64(c.config.HeaderBytesMax),
		Protocols:              new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: 256 << 10, // what a peer may make us hold; the default is a gigabyte
			MaxReceiveBufferPerStream:     64 << 10,
			SendPingTimeout:               15 * time.Second,
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              c.config.WriteTimeout,
		},
	}
	tr.Protocols.SetHTTP1(true)
	tr.Protocols.SetHTTP2(true)
	return tr
}

// URL is where it sends to, without user and password.
func (e *Endpoint) URL() string { return e.url.String() }

// Close ends what is under way and closes the connections. Acquire, Send and Pump return ErrClosed from then on.
func (e *Endpoint) Close() {
	e.close()
	e.client.mu.Lock()
	delete(e.client.endpoints, e)
	e.client.mu.Unlock()
	e.transport.CloseIdleConnections()
}

// Pause stops sending until Resume; what is under way goes on. ok is false when it is paused already.
func (e *Endpoint) Pause(why string) (c Change, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gate.pause(clock.Now(), why)
}

// Resume closes the endpoint's gate, whatever its state, and ends a wait the receiver asked for. ok is false when it was closed.
func (e *Endpoint) Resume() (c Change, ok bool) {
	e.mu.Lock()
	c, ok = e.gate.resume(clock.Now())
	e.mu.Unlock()
	e.wakeOne()
	return c, ok
}

// Ticket is the permission to send one request. It belongs to the endpoint that gave it, and goes back to it once: by Send or by Release.
type Ticket struct{ t ticket }

// Acquire waits until the endpoint may be sent to: it is well, fewer than its concurrency are under way, and its rate allows one more. Take
// a delivery only with a ticket in hand: a delivery that waits for a sick endpoint loses its lease, one that is not taken loses nothing.
func (e *Endpoint) Acquire(ctx context.Context) (Ticket, error) {
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		if e.closing.Err() != nil {
			return Ticket{}, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			e.wakeOne() // it may have been woken just now: hand on
			return Ticket{}, err
		}
		e.mu.Lock()
		t, wait, ok := e.gate.enter(clock.Now())
		e.mu.Unlock()
		if ok {
			e.wakeOne() // perhaps there is one more
			return Ticket{t}, nil
		}
		var due <-chan time.Time
		if wait != forever {
			if timer == nil {
				timer = clock.NewTimer(wait)
			} else {
				timer.Reset(wait)
			}
			due = timer.C
		}
		select {
		case <-e.wake:
		case <-due:
		case <-ctx.Done():
		case <-e.closing.Done():
		}
	}
}

// TryAcquire is Acquire without waiting.
func (e *Endpoint) TryAcquire() (Ticket, bool) {
	if e.closing.Err() != nil {
		return Ticket{}, false
	}
	e.mu.Lock()
	t, _, ok := e.gate.enter(clock.Now())
	e.mu.Unlock()
	return Ticket{t}, ok
}

// wakeOne lets one waiter ask again. A waiter that got something, or gave up, hands on, so that no permission lies unused while somebody
// waits.
func (e *Endpoint) wakeOne() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Release gives back a ticket that nothing was sent with.
func (e *Endpoint) Release(t Ticket) {
	e.mu.Lock()
	e.gate.unused(t.t)
	e.mu.Unlock()
	e.wakeOne()
}

// Pump sends what next gives until that returns an error: io.EOF ends it without one. Each delivery has a goroutine of its own, at most
// as many as the endpoint's concurrency; next is called by one goroutine, with a ticket in hand, so that nothing is taken that cannot be
// sent. done is called by the delivery's goroutine. A Result whose Outcome is Unsent was no attempt. Pump returns when all are done; when
// ctx ends, so does what is under way.
func (e *Endpoint) Pump(ctx context.Context, next func(context.Context) (*Request, error), done func(*Request, Result)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(e.closing, cancel) //nolint:contextcheck // two ends: the call's and the endpoint's
	defer stop()
	var under sync.WaitGroup
	defer under.Wait()
	for {
		t, err := e.Acquire(ctx)
		if err != nil {
			return e.endOf(err)
		}
		r, err := next(ctx)
		if err != nil {
			e.Release(t)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return e.endOf(err)
		}
		under.Go(func() { done(r, e.Send(ctx, t, r)) })
	}
}

// endOf says ErrClosed where that is what ended a context.
func (e *Endpoint) endOf(err error) error {
	if e.closing.Err() != nil {
		return ErrClosed
	}
	return err
}
