package tlsreload

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// issue makes a certificate for name, signed by itself, as PEM.
func issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
}

type fixture struct {
	t     *testing.T
	cfg   Config
	log   bytes.Buffer
	r     *Reloader
	ticks int
}

func setup(t *testing.T, ca []byte) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, cfg: Config{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}}
	cert, key := issue(t, "one")
	f.write(f.cfg.CertFile, cert)
	f.write(f.cfg.KeyFile, key)
	if ca != nil {
		f.cfg.ClientCAFile = filepath.Join(dir, "ca.pem")
		f.write(f.cfg.ClientCAFile, ca)
	}
	r, err := Open(f.cfg, slog.New(slog.NewTextHandler(&f.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.r = r
	return f
}

// write gives each version of a file a time of its own, also where the disk's times are coarse.
func (f *fixture) write(name string, b []byte) {
	f.t.Helper()
	f.ticks++
	at := time.Unix(1_000_000+int64(f.ticks), 0)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chtimes(name, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// served does a handshake in memory and returns the name in the certificate that was served.
func (f *fixture) served(server, client *tls.Config) (string, error) {
	f.t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		a.Close()
		done <- err
	}()
	client = client.Clone()
	client.InsecureSkipVerify = true //nolint:gosec // which certificate is the question
	c := tls.Client(b, client)
	_, err := c.Read(make([]byte, 1)) // with TLS 1.3 a refusal of the client's certificate arrives here
	b.Close()
	if e := <-done; e != nil {
		err = e
	}
	if err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func (f *fixture) want(server *tls.Config, name string) {
	f.t.Helper()
	if got, err := f.served(server, &tls.Config{}); err != nil || got != name {
		f.t.Fatalf("served: got %q, %v; want %q", got, err, name)
	}
}

func TestReloader_ServesTheNewCertificate(t *testing.T) {
	f := setup(t, nil)
	server := f.r.Config()
	f.want(server, "one")
	if f.r.Check() {
		t.Error("nothing has changed, and was read anew")
	}
	cert, key := issue(t, "two")
	f.write(f.cfg.CertFile, cert)
	f.write(f.cfg.KeyFile, key)
	if !f.r.Check() {
		t.Fatalf("the files have changed and were not read: %s", f.log.String())
	}
	f.want(server, "two")
}

func TestReloader_KeepsTheOldOneWhenFilesAreWrong(t *testing.T) {
	f := setup(t, nil)
	server := f.r.Config()
	cert, key := issue(t, "two")
	for name, spoil := range map[string]func(){
		"garbage":    func() { f.write(f.cfg.CertFile, []byte("garbage")) },
		"other's":    func() { f.write(f.cfg.CertFile, cert) }, // the key is still that of one
		"not there":  func() { os.Remove(f.cfg.CertFile) },
		"very large": func() { f.write(f.cfg.CertFile, make([]byte, FileBytesMax+1)) },
	} {
		f.log.Reset()
		spoil()
		for range 3 {
			if f.r.Check() {
				t.Fatalf("%s: was taken", name)
			}
		}
		f.want(server, "one")
		if n := strings.Count(f.log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%s: logged %d times, want once:\n%s", name, n, f.log.String())
		}
	}
	f.write(f.cfg.CertFile, cert)
	f.write(f.cfg.KeyFile, key)
	if !f.r.Check() {
		t.Fatal("right files after wrong ones were not taken")
	}
	f.want(server, "two")
}

func TestReloader_ClientCA(t *testing.T) {
	friendCert, friendKey := issue(t, "friend")
	strangerCert, strangerKey := issue(t, "stranger")
	client := func(cert, key []byte) *tls.Config {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	friend, stranger := client(friendCert, friendKey), client(strangerCert, strangerKey)
	f := setup(t, friendCert)
	server := f.r.Config()
	if _, err := f.served(server, friend); err != nil {
		t.Errorf("friend: %v", err)
	}
	if _, err := f.served(server, stranger); err == nil {
		t.Error("a stranger's certificate was taken")
	}
	if _, err := f.served(server, &tls.Config{}); err == nil {
		t.Error("no certificate was taken")
	}
	f.write(f.cfg.ClientCAFile, strangerCert)
	f.r.Check()
	if _, err := f.served(server, stranger); err != nil {
		t.Errorf("the CA was replaced: %v", err)
	}
	if _, err := f.served(server, friend); err == nil {
		t.Error("the old CA is still believed")
	}
}

func TestReloader_RefusesOldTLS(t *testing.T) {
	f := setup(t, nil)
	if _, err := f.served(f.r.Config(), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // refused is the point
		t.Error("TLS 1.1 was spoken")
	}
}

func TestOpen_RefusesWhatIsWrong(t *testing.T) {
	f := setup(t, nil)
	ok := f.cfg
	for name, change := range map[string]func(*Config){
		"no certificate": func(c *Config) { c.CertFile += ".not" },
		"no key":         func(c *Config) { c.KeyFile += ".not" },
		"CA is a key":    func(c *Config) { c.ClientCAFile = c.KeyFile },
		"poll too often": func(c *Config) { c.Poll = PollLeast - 1 },
		"poll too rare":  func(c *Config) { c.Poll = PollMost + 1 },
	} {
		cfg := ok
		change(&cfg)
		if _, err := Open(cfg, slog.Default()); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	for _, poll := range []time.Duration{0, PollLeast, PollMost} {
		cfg := ok
		cfg.Poll = poll
		if _, err := Open(cfg, slog.Default()); err != nil {
			t.Errorf("poll %v: %v", poll, err)
		}
	}
}

func TestRun_LooksAtTheFilesUntilTold(t *testing.T) {
	f := setup(t, nil)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); f.r.Run(ctx) }()
		cert, key := issue(t, "two")
		f.write(f.cfg.CertFile, cert)
		f.write(f.cfg.KeyFile, key)
		time.Sleep(PollDefault + time.Millisecond)
		synctest.Wait()
		f.want(f.r.Config(), "two")
		cancel()
		<-ended
	})
}
