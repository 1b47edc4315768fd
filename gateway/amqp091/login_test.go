package amqp091

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"leat/gateway/amqp091/wire"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	c := a.sign(t, a.cert)
	a.key = c.PrivateKey.(*ecdsa.PrivateKey)
	cert, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	a.pool.AddCert(cert)
	return a
}

// sign makes a certificate, the authority's own at first.
func (a *authority) sign(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) named(t *testing.T, name string) tls.Certificate {
	return a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func TestLogin_ByCertificate(t *testing.T) {
	a := newAuthority(t)
	addr := serveTLS(t, newBroker(t, testUser), &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.named(t, "server")}, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	external := func(name string) (*client, wire.Method) {
		conn, err := tls.Dial("tcp", addr, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.pool, Certificates: []tls.Certificate{a.named(t, name)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testPatience))
		c := &client{c: conn, br: bufio.NewReader(conn)}
		if _, err := io.WriteString(conn, wire.Header); err != nil {
			t.Fatal(err)
		}
		if m := next[*wire.ConnectionStart](t, c); !strings.Contains(string(m.Mechanisms), "EXTERNAL") {
			t.Fatalf("%s", m.Mechanisms)
		}
		able, _ := wire.Table(nil).Add("authentication_failure_close", wire.Bool(true))
		properties, _ := wire.Table(nil).Add("capabilities", wire.TableValue(able))
		if err := c.send(0, &wire.ConnectionStartOK{ClientProperties: properties, Mechanism: []byte("EXTERNAL"), Locale: []byte("en_US")}); err != nil {
			t.Fatal(err)
		}
		m, err := c.method()
		if err != nil {
			t.Fatal(err)
		}
		return c, m
	}
	if _, m := external("mallory"); wire.Text(m) == "" {
		t.Error("no answer")
	} else if m, is := m.(*wire.ConnectionClose); !is || m.ReplyCode != wire.AccessRefused {
		t.Errorf("a name that is no user's: %v", m)
	}
	c, m := external(testUser.Name)
	tune, is := m.(*wire.ConnectionTune)
	if !is {
		t.Fatal(wire.Text(m))
	}
	if err := c.send(0, &wire.ConnectionTuneOK{Limits: tune.Limits}); err != nil {
		t.Fatal(err)
	}
	if err := c.send(0, &wire.ConnectionOpen{VirtualHost: []byte("/")}); err != nil {
		t.Fatal(err)
	}
	next[*wire.ConnectionOpenOK](t, c)
	must[*wire.ChannelOpenOK](t, c, &wire.ChannelOpen{})
	c.queue(t, "jobs")
	bodies := []string{"small", strings.Repeat("L", 50_000), "small again"} // small ones are copied, large ones are not
	c.fill(t, "jobs", bodies...)
	c.consume(t, "jobs", "x", true)
	for _, want := range bodies {
		if d := c.delivery(t); d.body != want {
			t.Errorf("%d bytes came, want %d", len(d.body), len(want))
		}
	}
}
