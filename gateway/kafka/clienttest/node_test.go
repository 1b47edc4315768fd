package clienttest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The one user of a node with users, who may do everything.
const (
	user     = "alice"
	password = "wonderland"
)

// node is a running leat.
type node struct {
	kafka, http string
	ca          string // PEM file of the certificate, with TLS
	roots       *x509.CertPool
	log         *bytes.Buffer
}

var builtBinary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("LEAT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "leat-clienttest")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "leat")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/leat")
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building leat: %w\n%s", err, out)
	}
	return bin, nil
})

type option func(t *testing.T, n *node, args *[]string)

// withTLS gives the node a certificate for 127.0.0.1 and localhost.
func withTLS(t *testing.T, n *node, args *[]string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leat clienttest"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	n.ca = write("cert.pem", "CERTIFICATE", der)
	keyFile := write("key.pem", "PRIVATE KEY", keyDER)
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	n.roots = x509.NewCertPool()
	n.roots.AddCert(leaf)
	cfg := filepath.Join(dir, "leat.yaml")
	if err := os.WriteFile(cfg, []byte("tls:\n  cert_file: "+n.ca+"\n  key_file: "+keyFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	*args = append(*args, "--config", cfg)
}

// start runs a node in memory until the test ends.
func start(t *testing.T, options ...option) *node {
	t.Helper()
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{log: &bytes.Buffer{}}
	args := []string{"serve", "--dev"}
	for _, o := range options {
		o(t, n, &args)
	}
	cmd := exec.Command(bin, args...)
	cmd.Stderr = n.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if err != nil || t.Failed() {
			t.Logf("leat ended: %v\n%s", err, n.log)
		}
		if err != nil {
			t.Errorf("leat did not stop well: %v", err)
		}
		if strings.Contains(n.log.String(), "panic") {
			t.Error("leat panicked")
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("leat printed no ports: %v", err)
	}
	var ports map[string]string
	if err := json.Unmarshal(line, &ports); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	n.kafka, n.http = ports["kafka"], ports["http"]
	return n
}

// addUser makes the user, by the command line.
func (n *node) addUser(t *testing.T) {
	t.Helper()
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "user", "create", user, "--grant", "admin * *", "--url", "http://"+n.http)
	cmd.Env = append(os.Environ(), "LEAT_NEW_PASSWORD="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("leat user create: %v\n%s", err, out)
	}
}

func (n *node) tls() *tls.Config { return &tls.Config{RootCAs: n.roots, MinVersion: tls.VersionTLS12} }

// patience is how long a client may take for anything.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// run runs a program that is a client, and returns what it printed. The exit status is the caller's to judge.
func run(t *testing.T, stdin string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
