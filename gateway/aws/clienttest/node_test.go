package clienttest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
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

// node is a leat that can be killed.
type node struct {
	aws  string // HOST:PORT
	url  string
	ca   string // PEM file of the certificate, with TLS
	cmd  *exec.Cmd
	log  *bytes.Buffer
	args []string
}

// freePort is a port that nobody listens at now, below those that systems give to connections that go out.
func freePort(t *testing.T) string {
	t.Helper()
	for _, n := range mathrand.Perm(10_000) {
		addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(20_000+n))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port from 20000 to 29999")
	return ""
}

// start runs a node on a new data directory until the test ends. It may send to this machine. config is added to its configuration.
func start(t *testing.T, config string) *node {
	t.Helper()
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "leat.yaml")
	if err := os.WriteFile(file, []byte("outbound:\n  allow: [\"127.0.0.1\"]\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &node{aws: freePort(t), log: &bytes.Buffer{}}
	n.url = "http://" + n.aws
	n.args = []string{bin, "serve", "--config", file, "--data", filepath.Join(dir, "data"), "--listen", "aws=" + n.aws}
	t.Cleanup(func() {
		if n.cmd.Process == nil {
			return // it did not start
		}
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		err := n.cmd.Wait()
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
	n.run(t)
	return n
}

// startTLS is start with a certificate of its own.
func startTLS(t *testing.T) *node {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := start(t, fmt.Sprintf("tls:\n  cert_file: %s\n  key_file: %s\n", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
	n.url, n.ca = "https://"+n.aws, filepath.Join(dir, "cert.pem")
	return n
}

func (n *node) run(t *testing.T) {
	t.Helper()
	n.cmd = exec.Command(n.args[0], n.args[1:]...)
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", n.aws)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens at %s: %v", n.aws, err)
		}
	}
}

// restart is kill -9 and another start.
func (n *node) restart(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.cmd.Wait() // it was killed
	n.run(t)
}
