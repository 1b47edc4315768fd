package clienttest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// provider is an OpenID provider as far as clients of Kafka need one: a token endpoint for client credentials, and its keys. The subject is the client's id.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	tokens atomic.Int64 // that were given
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	m := http.NewServeMux()
	b64 := base64.RawURLEncoding
	m.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":"k1","n":%q,"e":%q}]}`, b64.EncodeToString(key.N.Bytes()), b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	})
	m.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if !ok {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if r.FormValue("grant_type") != "client_credentials" || secret != "secret" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		p.tokens.Add(1)
		now := time.Now().Unix()
		claims, _ := json.Marshal(map[string]any{"iss": p.URL, "aud": "leat", "sub": id, "scope": "kafka", "iat": now, "exp": now + 300})
		text := b64.EncodeToString([]byte(`{"alg":"RS256","kid":"k1","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300}`, text+"."+b64.EncodeToString(sig))
	})
	p.Server = httptest.NewServer(m)
	t.Cleanup(p.Close)
	return p
}

// withConfig gives the node a file of settings.
func withConfig(text string) option {
	return func(t *testing.T, _ *node, args *[]string) {
		name := filepath.Join(t.TempDir(), "leat.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		*args = append(*args, "--config", name)
	}
}

// Clients fetch their tokens themselves, from a provider that Leat trusts; a token of somebody who is no user does not log in.
func TestTokens_RealClients(t *testing.T) {
	p := startProvider(t)
	n := start(t, withConfig(fmt.Sprintf("gateways:\n  kafka:\n    oauth:\n      issuer: %s\n      audience: leat\n      jwks_url: %s/jwks\n", p.URL, p.URL)))
	n.addUser(t)
	t.Run("librdkafka", func(t *testing.T) {
		python := confluentPython(t)
		out, err := run(t, "", python, "identity.py", "token", n.kafka, p.URL+"/token", user, "mallory")
		t.Log(out)
		if err != nil || p.tokens.Load() == 0 {
			t.Errorf("%v, %d tokens", err, p.tokens.Load())
		}
	})
	t.Run("java", func(t *testing.T) {
		for _, dir := range javaPeers(t) {
			out, err := run(t, "", "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="+p.URL+"/token", "-cp", filepath.Join(dir, "*"), "java/Identity.java",
				"token", n.kafka, p.URL+"/token", user, "mallory")
			t.Log(filepath.Base(dir), out)
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	dir  string
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "clienttest authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.sign(t, "ca", a.cert, a.key, a.cert)
	return a
}

// sign writes NAME.pem, and NAME.key, and both as NAME.both.pem.
func (a *authority) sign(t *testing.T, name string, c *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate) {
	t.Helper()
	a.last++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.last), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if name == "ca" {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for suffix, b := range map[string][]byte{".pem": cert, ".key": private, ".both.pem": bytes.Join([][]byte{private, cert}, nil)} {
		if err := os.WriteFile(a.file(name+suffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Subject, c.KeyUsage = pkix.Name{CommonName: name}, x509.KeyUsageDigitalSignature
	a.sign(t, name, c, key, a.cert)
}

// A client is the user of its certificate, by its common name, without logging in; one of nobody may do nothing, and without one nobody comes in.
func TestCertificates_RealClients(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "localhost", &x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: localIPs, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for _, name := range []string{user, "mallory"} {
		a.issue(t, name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	n := start(t, withConfig(fmt.Sprintf("tls:\n  cert_file: %s\n  key_file: %s\n  client_ca_file: %s\n", a.file("localhost.pem"), a.file("localhost.key"), a.file("ca.pem"))))
	a.makeUser(t, n)
	t.Run("librdkafka", func(t *testing.T) {
		python := confluentPython(t)
		out, err := run(t, "", python, "identity.py", "certificate", n.kafka, a.dir, user, "mallory")
		t.Log(out)
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("java", func(t *testing.T) {
		for _, dir := range javaPeers(t) {
			out, err := run(t, "", "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", filepath.Join(dir, "*"), "java/Identity.java", "certificate", n.kafka, a.dir, user, "mallory")
			t.Log(filepath.Base(dir), out)
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// makeUser makes the user over HTTP, which asks for a certificate, too.
func (a *authority) makeUser(t *testing.T, n *node) {
	t.Helper()
	own, err := tls.LoadX509KeyPair(a.file(user+".pem"), a.file(user+".key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}}}
	body := fmt.Sprintf(`{"password":%q,"grants":[{"action":"admin","kind":"*","pattern":"*"}]}`, password)
	q, err := http.NewRequestWithContext(patience(t), http.MethodPut, "https://"+n.http+"/v1/users/"+user, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode/100 != 2 {
		t.Fatal(r.Status)
	}
	c.CloseIdleConnections()
}

var localIPs = []net.IP{net.IPv4(127, 0, 0, 1)}
