package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func b64(p []byte) string { return base64.RawURLEncoding.EncodeToString(p) }

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaJWK(id string, k *rsa.PublicKey) jwk {
	return jwk{Type: "RSA", ID: id, Use: "sig", N: b64(k.N.Bytes()), E: b64(big.NewInt(int64(k.E)).Bytes())}
}

func set(t testing.TB, keys ...jwk) string {
	t.Helper()
	p, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func good() jwt.MapClaims {
	return jwt.MapClaims{"iss": "https://id.example", "aud": "leat", "sub": "bob", "name": "rob", "exp": time.Now().Add(time.Hour).Unix()}
}

func sign(t testing.TB, m jwt.SigningMethod, key any, id string, c jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, c)
	if id != "" {
		tok.Header["kid"] = id
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifier(t testing.TB, change func(*Config)) *Verifier {
	t.Helper()
	cfg := Default()
	cfg.Issuer, cfg.Audience = "https://id.example", "leat"
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(cfg)
}

func TestVerify_EveryKindOfKey(t *testing.T) {
	r := rsaKey(t)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := e.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pub, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := set(t, rsaJWK("r", &r.PublicKey), jwk{Type: "EC", ID: "e", Curve: "P-256", X: b64(point[1:33]), Y: b64(point[33:])},
		jwk{Type: "OKP", ID: "d", Curve: "Ed25519", X: b64(pub)}, jwk{Type: "RSA", ID: "enc", Use: "enc"}, jwk{Type: "oct", ID: "shared"})
	v := verifier(t, func(c *Config) { c.JWKS = keys })
	for _, c := range []struct {
		m   jwt.SigningMethod
		key any
		id  string
	}{
		{jwt.SigningMethodRS256, r, "r"}, {jwt.SigningMethodPS512, r, "r"}, {jwt.SigningMethodES256, e, "e"}, {jwt.SigningMethodEdDSA, d, "d"},
	} {
		user, at, err := v.Verify(t.Context(), sign(t, c.m, c.key, c.id, good()))
		if err != nil || user != "bob" || time.Until(at) < 50*time.Minute {
			t.Errorf("%s: %q, %v, %v", c.m.Alg(), user, at, err)
		}
		if _, _, err := v.Verify(t.Context(), sign(t, c.m, c.key, "other", good())); err == nil {
			t.Errorf("%s with a key of another name is taken", c.m.Alg())
		}
	}
	if user, _, err := verifier(t, func(c *Config) { c.JWKS, c.PrincipalClaim = keys, "name" }).Verify(t.Context(), sign(t, jwt.SigningMethodRS256, r, "r", good())); err != nil || user != "rob" {
		t.Errorf("another claim: %q, %v", user, err)
	}
}

func TestVerify_Refuses(t *testing.T) {
	r, other := rsaKey(t), rsaKey(t)
	v := verifier(t, func(c *Config) { c.JWKS = set(t, rsaJWK("r", &r.PublicKey)) })
	with := func(change func(jwt.MapClaims)) string {
		c := good()
		change(c)
		return sign(t, jwt.SigningMethodRS256, r, "r", c)
	}
	public := []byte(rsaJWK("r", &r.PublicKey).N)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, good()).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"expired":             with(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"never expires":       with(func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":             with(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"another issuer":      with(func(c jwt.MapClaims) { c["iss"] = "https://evil.example" }),
		"no issuer":           with(func(c jwt.MapClaims) { delete(c, "iss") }),
		"another audience":    with(func(c jwt.MapClaims) { c["aud"] = "elsewhere" }),
		"no audience":         with(func(c jwt.MapClaims) { delete(c, "aud") }),
		"no user":             with(func(c jwt.MapClaims) { delete(c, "sub") }),
		"a user that is none": with(func(c jwt.MapClaims) { c["sub"] = 7 }),
		"another key":         sign(t, jwt.SigningMethodRS256, other, "r", good()),
		"a shared secret":     sign(t, jwt.SigningMethodHS256, public, "r", good()),
		"no signature":        none,
		"nothing":             "",
		"no token":            "a.b.c",
		"a long one":          string(make([]byte, tokenBytesMax+1)),
	} {
		if user, _, err := v.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: taken as %q", name, user)
		}
	}
}

// A provider changes its keys: a token with the new one makes them be fetched again, not oftener than every few seconds, and those that
// are known go on while it is away.
func TestVerify_KeysAreFetched(t *testing.T) {
	first, second := rsaKey(t), rsaKey(t)
	var body atomic.Pointer[string]
	var fetches atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if p := body.Load(); p != nil {
			_, _ = w.Write([]byte(*p))
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer s.Close()
	v := verifier(t, func(c *Config) { c.JwksURL = s.URL })
	verify := func(k *rsa.PrivateKey, id string) error {
		_, _, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, k, id, good()))
		return err
	}
	again := func() { v.tried = time.Time{} }
	if verify(first, "1") == nil {
		t.Error("taken without a key")
	}
	body.Store(new(set(t, rsaJWK("1", &first.PublicKey))))
	if verify(first, "1") == nil || fetches.Load() != 1 {
		t.Errorf("asked again at once: %d fetches", fetches.Load())
	}
	again()
	if err := verify(first, "1"); err != nil {
		t.Error(err)
	}
	body.Store(nil)
	again()
	if err := verify(first, "1"); err != nil || fetches.Load() != 2 {
		t.Errorf("a known key: %v, %d fetches", err, fetches.Load())
	}
	v.fetched = time.Now().Add(-2 * keysAgeMax) // old, and the provider is away
	again()
	if err := verify(first, "1"); err != nil || fetches.Load() != 3 {
		t.Errorf("a known, old key: %v, %d fetches", err, fetches.Load())
	}
	body.Store(new(set(t, rsaJWK("2", &second.PublicKey))))
	again()
	if err := verify(second, "2"); err != nil {
		t.Error(err)
	}
	if verify(first, "1") == nil {
		t.Error("a key that the provider has no more is taken")
	}
}

func TestConfig_Validate(t *testing.T) {
	keys := set(t, rsaJWK("r", &rsaKey(t).PublicKey))
	for name, c := range map[string]Config{
		"no issuer":      {Audience: "a"},
		"no audience":    {Issuer: "i", JWKS: keys, PrincipalClaim: "sub"},
		"no keys":        {Issuer: "i", Audience: "a", PrincipalClaim: "sub"},
		"both":           {Issuer: "i", Audience: "a", PrincipalClaim: "sub", JWKS: keys, JwksURL: "https://x"},
		"no claim":       {Issuer: "i", Audience: "a", JWKS: keys},
		"no URL":         {Issuer: "i", Audience: "a", PrincipalClaim: "sub", JwksURL: "x"},
		"keys that fail": {Issuer: "i", Audience: "a", PrincipalClaim: "sub", JWKS: `{"keys":[]}`},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	c := Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzKeys: no panic, and every key that is taken can be used or is refused by what uses it.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(set(f, rsaJWK("r", &rsaKey(f).PublicKey))))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":""}]}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		keys, err := parseKeys(p)
		if err != nil {
			return
		}
		for _, k := range keys {
			if k.public == nil || keys.find(k.id, "HS256") != nil {
				t.Errorf("%+v", k)
			}
		}
	})
}
