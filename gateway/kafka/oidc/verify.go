package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"leat/internal/clock"
)

// Config is whose tokens are taken.
type Config struct {
	Issuer         string `yaml:"issuer" doc:"what tokens must say in iss; empty: logins by OAUTHBEARER are not offered"`
	Audience       string `yaml:"audience" doc:"what tokens must name in aud"`
	JwksURL        string `yaml:"jwks_url" doc:"where the provider's keys are"`
	JWKS           string `yaml:"jwks" doc:"the keys themselves, as JSON, instead of jwks_url"`
	PrincipalClaim string `yaml:"principal_claim" doc:"the claim that is the user; it must be one that Leat has"`
}

// Default takes nobody's tokens.
func Default() Config { return Config{PrincipalClaim: "sub"} }

// Offered reports whether tokens are taken at all.
func (c *Config) Offered() bool { return c.Issuer != "" }

// Validate says what is missing.
func (c *Config) Validate() error {
	if !c.Offered() {
		if c.Audience != "" || c.JwksURL != "" || c.JWKS != "" {
			return errors.New("oauth.issuer is not set, and other settings of oauth are")
		}
		return nil
	}
	switch {
	case c.Audience == "":
		return errors.New("oauth.audience is not set: tokens for any service would be taken")
	case c.PrincipalClaim == "":
		return errors.New("oauth.principal_claim is not set")
	case (c.JwksURL == "") == (c.JWKS == ""):
		return errors.New("one of oauth.jwks_url and oauth.jwks must be set")
	}
	if c.JWKS != "" {
		if _, err := parseKeys([]byte(c.JWKS)); err != nil {
			return fmt.Errorf("oauth.jwks: %w", err)
		}
		return nil
	}
	if u, err := url.Parse(c.JwksURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("oauth.jwks_url is %q; it must be an http or https URL", c.JwksURL)
	}
	return nil
}

// Bounds of what is fetched from a provider, and how often.
const (
	keysBytesMax    = 1 << 20
	fetchTimeout    = 10 * time.Second
	fetchIntervalMS = 10_000           // between fetches for a key that is not known
	keysAgeMax      = 1 * time.Hour    // until they are fetched again
	clockSkew       = 30 * time.Second // between the provider's clock and this one
	tokenBytesMax   = 32 << 10
)

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Verifier checks tokens. It is safe for many goroutines.
type Verifier struct {
	cfg    Config
	parser *jwt.Parser
	client *http.Client

	mu      sync.Mutex
	keys    keySet
	fetched time.Time // when keys were asked for last; zero: never
	tried   time.Time
}

// New makes a verifier of a validated, offered configuration. It does no I/O.
func New(cfg Config) *Verifier {
	v := &Verifier{
		cfg: cfg,
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience),
			jwt.WithExpirationRequired(), jwt.WithLeeway(clockSkew), jwt.WithTimeFunc(clock.Now)),
		client: &http.Client{Timeout: fetchTimeout},
	}
	if cfg.JWKS != "" {
		v.keys, _ = parseKeys([]byte(cfg.JWKS)) // Validate has been here
	}
	return v
}

// Verify returns the user that a token is of, and when it expires. The error tells an administrator why not; a client is told less.
func (v *Verifier) Verify(ctx context.Context, token string) (user string, expires time.Time, err error) {
	if len(token) > tokenBytesMax {
		return "", time.Time{}, fmt.Errorf("the token has %d bytes; at most %d are looked at", len(token), tokenBytesMax)
	}
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return v.key(ctx, id, t.Method.Alg())
	}); err != nil {
		return "", time.Time{}, err
	}
	user, _ = claims[v.cfg.PrincipalClaim].(string)
	if user == "" {
		return "", time.Time{}, fmt.Errorf("the token has no claim %q that is a text", v.cfg.PrincipalClaim)
	}
	at, err := claims.GetExpirationTime()
	if err != nil {
		return "", time.Time{}, err
	}
	return user, at.Time, nil
}

// key finds the key a token is signed with, asking the provider when it is not known.
func (v *Verifier) key(ctx context.Context, id, algorithm string) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := clock.Now()
	if v.cfg.JwksURL != "" && (v.keys.find(id, algorithm) == nil || now.Sub(v.fetched) > keysAgeMax) && now.Sub(v.tried) >= fetchIntervalMS*time.Millisecond {
		v.tried = now
		keys, err := v.fetch(ctx)
		if err == nil {
			v.keys, v.fetched = keys, now
		} else if v.keys.find(id, algorithm) == nil {
			return nil, fmt.Errorf("the provider's keys cannot be had: %w", err)
		}
	}
	if k := v.keys.find(id, algorithm); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("the token is signed with a key %q that the provider does not have", id)
}

func (v *Verifier) fetch(ctx context.Context) (keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, v.cfg.JwksURL, nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Accept", "application/json")
	r, err := v.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", v.cfg.JwksURL, r.Status)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, keysBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > keysBytesMax {
		return nil, fmt.Errorf("%s answered more than %d bytes", v.cfg.JwksURL, keysBytesMax)
	}
	return parseKeys(body)
}
