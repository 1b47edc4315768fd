package gatewaytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"leat/gateway"
)

func (s *suite) descriptor() {
	d := s.kit.New(s.T, false).Descriptor()
	if d.Name == "" || d.Title == "" || len(d.Operations) == 0 {
		s.Errorf("the descriptor lacks a part: %+v", d)
	}
	if !gateway.Loopback(d.DefaultAddr) {
		s.Errorf("DefaultAddr %q is not on loopback", d.DefaultAddr)
	}
}

func (s *suite) exchange() {
	r := s.start(opts{})
	for range 3 {
		r.alive()
	}
	if r.counter("leat_gateway_requests_total") == 0 {
		s.Error("no request was counted: use Listener.Operation")
	}
	if r.counter("leat_gateway_bytes_total") == 0 {
		s.Error("no byte was counted: the gateway goes past the harness")
	}
	r.stop()
}

func (s *suite) connectionLimits() {
	r := s.start(opts{limits: func(c *gateway.Config) { c.ConnectionsMax = 3; c.ReadTimeout = patience; c.HandshakeTimeout = patience }})
	var held []net.Conn
	for range 3 {
		held = append(held, r.dial())
	}
	r.cut(r.dial(), patience, "one connection too many")
	if r.counter("leat_gateway_connections_refused_total") == 0 {
		s.Error("the refusal was not counted")
	}
	_ = held[0].Close()
	deadline := time.Now().Add(patience)
	for {
		c := r.dial()
		err := s.kit.Exchange(c)
		_ = c.Close()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			s.Fatalf("a place was free and a new connection is not served: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, c := range held {
		_ = c.Close()
	}
	r.stop()
}

func (s *suite) drain() {
	r := s.start(opts{})
	fresh, used := r.dial(), r.dial()
	if err := s.kit.Exchange(used); err != nil {
		s.Fatalf("exchange: %v", err)
	}
	start := time.Now()
	if cut := r.l.Drain(s.Context()); cut != 0 {
		s.Errorf("%d connections that waited for a request had to be cut after DrainTimeout: they should be let go at once", cut)
	}
	if d := time.Since(start); d > limits().DrainTimeout {
		s.Errorf("a drain with nothing to do took %v", d)
	}
	r.cut(fresh, patience, "a connection that said nothing")
	r.cut(used, patience, "a connection between requests")
	if c, err := net.DialTimeout("tcp", r.l.Addr().String(), time.Second); err == nil {
		_ = c.Close()
		s.Error("the address still takes connections after the drain")
	}
	r.ended()
}

func (s *suite) drainWaits() {
	if s.kit.Long == nil {
		s.Skip("the kit has no Long request")
	}
	r := s.start(opts{})
	c := r.dial()
	sent, answered := make(chan struct{}), make(chan error, 1)
	go func() { answered <- s.kit.Long(c, func() { close(sent) }) }()
	<-sent
	time.Sleep(50 * time.Millisecond) // the request is read; there is nothing outside to see it by
	drained := make(chan int, 1)
	go func() { drained <- r.l.Drain(s.Context()) }()
	select {
	case err := <-answered:
		if err != nil {
			s.Errorf("a request that had begun before the drain was not answered: %v", err)
		}
	case <-time.After(patience):
		s.Error("a request that had begun before the drain was not answered")
	}
	if cut := <-drained; cut != 0 {
		s.Errorf("%d connections were cut", cut)
	}
	r.ended()
}

func (s *suite) contextEnds() {
	r := s.start(opts{})
	c := r.dial()
	if err := s.kit.Exchange(c); err != nil {
		s.Fatalf("exchange: %v", err)
	}
	r.cancel()
	r.cut(c, patience, "after the end of the context")
	r.ended()
}

func (s *suite) tls() {
	r := s.start(opts{tls: true})
	r.alive()
	secure := r.client
	r.client = nil
	for what, first := range map[string][]byte{"plain text on a TLS listener": s.kit.Hello, "no handshake": nil} {
		c := r.dial()
		_, _ = c.Write(first)
		r.cut(c, patience, what)
	}
	r.client = secure.Clone()
	r.client.MaxVersion = tls.VersionTLS11 //nolint:gosec // refused is the point
	r.client.MinVersion = tls.VersionTLS10 //nolint:gosec // refused is the point
	if c := r.dial(); s.kit.Exchange(c) == nil {
		s.Error("TLS 1.1 was spoken")
	}
	r.client = secure
	r.alive()
	r.stop()
}

func (s *suite) login() {
	if s.kit.Login == nil {
		if !s.kit.NoLogin {
			s.Fatal("the kit has neither Login nor NoLogin")
		}
		s.Skip("the protocol has no login")
	}
	r := s.start(opts{users: true})
	if err := s.kit.Login(r.dial(), true); err != nil {
		s.Errorf("the user was not let in: %v", err)
	}
	if err := s.kit.Login(r.dial(), false); !errors.Is(err, ErrRefused) {
		s.Errorf("who is not the user: got %v, want ErrRefused", err)
	}
	r.stop()
}

func (s *suite) abilities() {
	r := s.start(opts{})
	for _, a := range s.kit.Abilities {
		c := r.dial()
		err := a.Try(c)
		_ = c.Close()
		switch {
		case a.Offered && err != nil:
			s.Errorf("%s is offered and does not work: %v", a.Name, err)
		case !a.Offered && !errors.Is(err, ErrRefused):
			s.Errorf("%s is not offered and must be refused in the protocol's own words: got %v", a.Name, err)
		}
	}
	r.stop()
}

// certificate makes a server's config and that of a client who trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(crand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "127.0.0.1"}
}
