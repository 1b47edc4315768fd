package connect

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var leat string // the binary

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "connect")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	leat = filepath.Join(dir, "leat")
	build := exec.Command("go", "build", "-o", leat, "./cmd/leat")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// serve runs the binary and returns where it listens for HTTP.
func serve(t *testing.T, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "leat.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(leat, "serve", "--dev", "--log", "error", "--config", file)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the node did not end well: %v\n%s", err, log.String())
		}
	})
	var ports struct{ HTTP string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &ports) != nil {
		t.Fatalf("%q %v %s", line, err, log.String())
	}
	return ports.HTTP
}

func command(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(leat, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		errors.As(err, &e)
		t.Fatalf("leat %v: %v %s", args, err, e.Stderr)
	}
	return string(out)
}

var languages = []string{"go", "python", "js", "java"}

// What is printed for a node without users runs as it is, in every language and for every protocol.
func TestConnect(t *testing.T) {
	url := "http://" + serve(t, "")
	for _, protocol := range []string{"http", "kafka", "amqp", "aws"} {
		for _, language := range languages {
			t.Run(protocol+"/"+language, func(t *testing.T) {
				text := command(t, nil, "connect", protocol, "--lang", language, "--url", url, "--stream", protocol+"-"+language)
				run(t, protocol, language, text, nil)
			})
		}
	}
}

// So does what is printed for a user, over TLS.
func TestConnect_UserAndTLS(t *testing.T) {
	cert, key := certificate(t)
	address := serve(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\n", cert, key))
	trust := []string{"SSL_CERT_FILE=" + cert, "NODE_EXTRA_CA_CERTS=" + cert}
	url := "https://" + address
	made := map[string]string{}
	for line := range strings.Lines(command(t, trust, "user", "create", "root", "--url", url, "--grant", "admin * *", "--generate", "--new-token")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		made[name] = value
	}
	password, token := made["password"], made["token"]
	if password == "" || token == "" {
		t.Fatalf("%v", made)
	}
	for _, protocol := range []string{"http", "kafka", "amqp", "aws"} {
		for _, language := range languages {
			t.Run(protocol+"/"+language, func(t *testing.T) {
				if language == "java" && (protocol == "http" || protocol == "aws") {
					trustStore(t, cert)
				}
				env := append(trust, "LEAT_PASSWORD="+password, "LEAT_TOKEN="+token)
				text := command(t, env, "connect", protocol, "--lang", language, "--url", url, "--user", "root", "--ca", cert, "--stream", protocol+"-"+language)
				if strings.Contains(text, password) || strings.Contains(text, token) {
					t.Fatalf("a secret is printed: %s", text)
				}
				run(t, protocol, language, text, env, "-Djavax.net.ssl.trustStore="+stored, "-Djavax.net.ssl.trustStorePassword=changeit")
			})
		}
	}
}

// run runs a program as it was printed, and looks for what it should have read back.
func run(t *testing.T, protocol, language, text string, env []string, java ...string) {
	t.Helper()
	extension := map[string]string{"go": "go", "python": "py", "js": "js", "java": "java"}[language]
	lib := library(t, extension, protocol)
	dir := t.TempDir()
	name := map[string]string{"go": "main.go", "python": "try.py", "js": "try.mjs", "java": "Try.java"}[language]
	file := filepath.Join(dir, name)
	if lib != "" && language == "js" { // it looks for libraries beside the program
		if err := os.Symlink(filepath.Join(lib, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var cmd *exec.Cmd
	switch language {
	case "go":
		if out, err := exec.Command("gofmt", "-l", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("it is not as gofmt would have it: %s %v\n%s", out, err, text)
		}
		cmd = exec.CommandContext(ctx, "go", "run", file)
	case "python":
		python := "python3"
		if lib != "" {
			python = filepath.Join(lib, "bin", "python")
		}
		need(t, python)
		cmd = exec.CommandContext(ctx, python, file)
	case "js":
		need(t, "node")
		cmd = exec.CommandContext(ctx, "node", file)
	case "java":
		need(t, "java")
		args := []string{}
		if len(java) > 0 && (protocol == "http" || protocol == "aws") {
			args = append(args, java...)
		}
		if lib != "" {
			args = append(args, "-cp", filepath.Join(lib, "jars", "*")+string(filepath.ListSeparator)+filepath.Join(lib, "log", "*"))
		}
		cmd = exec.CommandContext(ctx, "java", append(args, file)...)
	}
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hello") {
		t.Fatalf("%v\n%s\n--- the program:\n%s", err, out, text)
	}
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
}

// certificate makes one that is its own authority, for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leat"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

var stored string // trust store of Java, made by trustStore

// trustStore puts the certificate where Java looks for it.
func trustStore(t *testing.T, cert string) {
	t.Helper()
	need(t, "keytool")
	if stored != "" {
		return
	}
	file := filepath.Join(filepath.Dir(cert), "trust.p12")
	out, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "leat", "-file", cert, "-keystore", file, "-storepass", "changeit", "-storetype", "PKCS12").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	stored = file
}
