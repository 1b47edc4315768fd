package kafka

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestPrincipalRules(t *testing.T) {
	const name = "CN=Shop,OU=ServiceUsers,O=Unknown,C=DE"
	for rules, want := range map[string]string{
		"DEFAULT":                                              name,
		"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/":                "Shop",
		"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L":               "shop",
		"RULE:^CN=(.*?),OU=(.*?),.*$/$1@$2/U":                  "SHOP@SERVICEUSERS",
		"RULE:^cn=nobody$/x/, RULE:^.*C=DE$/german$1/,DEFAULT": "german",
		"RULE:CN=(\\w+),.*/$1a/":                               "Shopa",
		"RULE:^UID=(.*)$/$1/":                                  "",
		"RULE:^CN=(.*?)\\/x$/$1/,RULE:^CN=([^,]*),.*$/a\\/$1/": "a/Shop",
	} {
		parsed, err := parseRules(rules)
		if err != nil {
			t.Errorf("%s: %v", rules, err)
		}
		if got := principalOf(parsed, name); got != want {
			t.Errorf("%s: %q, want %q", rules, got, want)
		}
	}
	for _, bad := range []string{"RULE:a", "RULE:(/x/", "RULE:a/b/X", "DEFAULT DEFAULT", "x", strings.Repeat("DEFAULT,", certificateRulesMax+1)} {
		if _, err := parseRules(bad); err == nil {
			t.Errorf("%q is taken", clip(bad))
		}
	}
}

// bearer sends the first message of OAUTHBEARER.
func bearer(c *client, authz, token string) *kmsg.SASLAuthenticateResponse {
	c.t.Helper()
	h := kmsg.NewPtrSASLHandshakeRequest()
	h.Mechanism = mechanismOAuth
	if r := ask[*kmsg.SASLHandshakeResponse](c, h, 1); r.ErrorCode != 0 {
		c.t.Fatalf("handshake: %d, %v", r.ErrorCode, r.SupportedMechanisms)
	}
	q := kmsg.NewPtrSASLAuthenticateRequest()
	q.SASLAuthBytes = []byte("n," + authz + ",\x01auth=Bearer " + token + "\x01\x01")
	return ask[*kmsg.SASLAuthenticateResponse](c, q, 2)
}

func TestOAuth(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(user string, life time.Duration) string {
		t.Helper()
		s, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": "https://id.example", "aud": "leat", "sub": user, "exp": time.Now().Add(life).Unix()}).SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	addr := serve(t, newBroker(t, 1, testUser), func(c *Config) {
		c.Oauth.Issuer, c.Oauth.Audience = "https://id.example", "leat"
		c.Oauth.JWKS = fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	})
	c := dial(t, addr)
	r := bearer(c, "", sign("alice", time.Hour))
	if r.ErrorCode != 0 || len(r.SASLAuthBytes) != 0 || r.SessionLifetimeMillis < 3_000_000 || r.SessionLifetimeMillis > 3_600_000 {
		t.Fatalf("%+v", r)
	}
	create(c, "orders", 1)
	if r := bearer(c, "a=alice", sign("alice", 2*time.Hour)); r.ErrorCode != 0 || r.SessionLifetimeMillis < 6_000_000 {
		t.Errorf("again: %+v", r)
	}
	if r := logIn(c, "alice", "wonderland"); r != 0 {
		t.Errorf("again, by another mechanism: %d", r)
	}
	for name, m := range map[string][2]string{
		"expired": {"", sign("alice", -time.Hour)}, "a user that is none": {"", sign("mallory", time.Hour)},
		"somebody else": {"a=bob", sign("alice", time.Hour)}, "no token": {"", "x.y.z"}, "nothing": {"", ""},
	} {
		c := dial(t, addr)
		r := bearer(c, m[0], m[1])
		if r.ErrorCode != 0 || !strings.Contains(string(r.SASLAuthBytes), `"invalid_token"`) {
			t.Errorf("%s: %+v", name, r)
		}
		q := kmsg.NewPtrSASLAuthenticateRequest()
		q.SASLAuthBytes = []byte{1}
		if r := ask[*kmsg.SASLAuthenticateResponse](c, q, 2); r.ErrorCode != codeLoginFailed {
			t.Errorf("%s, acknowledged: %+v", name, r)
		}
		c.closed()
	}
	// A connection whose login has ended serves nothing more, but a login.
	short := dial(t, addr)
	if r := bearer(short, "", sign("alice", -5*time.Second)); r.ErrorCode != 0 || r.SessionLifetimeMillis != 1 { // within the skew of clocks
		t.Errorf("just expired: %+v", r)
	}
	ask[*kmsg.ApiVersionsResponse](short, kmsg.NewPtrApiVersionsRequest(), 0)
	if r := bearer(short, "", sign("alice", time.Hour)); r.ErrorCode != 0 {
		t.Errorf("log in again: %+v", r)
	}
	ask[*kmsg.DescribeClusterResponse](short, kmsg.NewPtrDescribeClusterRequest(), 1)
	if r := bearer(short, "", sign("alice", -5*time.Second)); r.ErrorCode != 0 {
		t.Errorf("just expired: %+v", r)
	}
	short.send(kmsg.NewPtrDescribeClusterRequest(), 1)
	short.closed()
}

func TestLogin_AConnectionKeepsItsUser(t *testing.T) {
	bob := testUser
	bob.Name, bob.Password = "bob", "bobpassword"
	addr := serve(t, newBroker(t, 1, testUser, bob), func(c *Config) { c.SessionLifetimeMax = time.Hour })
	c := dial(t, addr)
	if code := logIn(c, "alice", "wonderland"); code != 0 {
		t.Fatal(code)
	}
	if code := logIn(c, "alice", "wonderland"); code != 0 {
		t.Errorf("the same again: %d", code)
	}
	if code := logIn(c, "bob", "bobpassword"); code != codeLoginFailed {
		t.Errorf("as somebody else: %d", code)
	}
	c.closed()
}
