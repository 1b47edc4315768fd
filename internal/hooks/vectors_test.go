package hooks

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// vector is a request as its sender made it.
type vector struct {
	name   string
	config Config
	header map[string]string
	body   string
	at     int64 // our clock; 0 for schemes without time
	want   Verified
	noise  []string // parts of headers that may be changed: signatures that are no good, or of another version
}

const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	slackBody      = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA" +
		"&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN" +
		"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	edBody = `{"brand_name":"Amazon","brand_registration_id":"01981e54-4117-71b3-8122-076c7eade396","campaign_registration_id":null,"campaign_website":null,` +
		`"comments":null,"current_status":"Created","event_category":"BRAND","event_time":"2025-07-18T16:18:14.989348439+00:00","event_type":"Created","previous_status":null}`
	stripeBody = `{"id":"evt_test_webhook","object":"event","type":"charge.refunded"}`
)

var vectors = []vector{
	{
		name:   "Standard Webhooks: the vector of the specification's libraries",
		config: Config{Scheme: Standard, Secrets: []string{standardSecret}},
		header: map[string]string{"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		body:   `{"test": 2432232314}`, at: 1614265330,
		want: Verified{ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", IDSigned: true, Time: time.Unix(1614265330, 0)},
	},
	{
		name:   "Standard Webhooks: the same under Svix's names, second of two secrets",
		config: Config{Scheme: Standard, Secrets: []string{"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", strings.TrimPrefix(standardSecret, "whsec_")}},
		header: map[string]string{"svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "svix-timestamp": "1614265330", "svix-signature": "v2,xx v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		body:   `{"test": 2432232314}`, at: 1614265330 + 299,
		want: Verified{ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", IDSigned: true, Time: time.Unix(1614265330, 0), Secret: 1}, noise: []string{"v2,xx v1,AAAA "},
	},
	{
		name:   "Standard Webhooks, ed25519: a sender's published example",
		config: Config{Scheme: Standard, Secrets: []string{"whpk_3wjctSTLJgR7u2or7sx0sW60ad+zZLHYHGUdMQc1QC8="}},
		header: map[string]string{
			"webhook-id": "01981e54-414d-7223-acd3-b08f82481364", "webhook-timestamp": "1752855494",
			"webhook-signature": "v1a,uU7CWSRwXw0955x8rUwDnmrn8WJLEVafI1J3X4DDsP+4NOLlz16kD4FeshACNuOcxIfGl/voFXcaRcaPrEqRDg==",
		},
		body: edBody, at: 1752855494 - 299,
		want: Verified{ID: "01981e54-414d-7223-acd3-b08f82481364", IDSigned: true, Time: time.Unix(1752855494, 0)},
	},
	{
		name:   "GitHub: the vector of its documentation",
		config: Config{Scheme: GitHub, Secrets: []string{"It's a Secret to Everybody"}},
		header: map[string]string{
			"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
			"X-GitHub-Delivery":   "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-GitHub-Event": "push",
		},
		body: "Hello, World!",
		want: Verified{ID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Type: "push"},
	},
	{
		name:   "Slack: the vector of its documentation, which names no event",
		config: Config{Scheme: Slack, Secrets: []string{"8f742231b10e8888abcd99yyyzzz85a5"}},
		header: map[string]string{"X-Slack-Request-Timestamp": "1531420618", "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"},
		body:   slackBody, at: 1531420618,
		want: Verified{ID: "sha256-7e4d3b5f", IDSigned: true, Time: time.Unix(1531420618, 0)}, // the beginning of it
	},
	{
		name:   "Stripe: as its libraries sign, by openssl",
		config: Config{Scheme: Stripe, Secrets: []string{"whsec_test_secret"}},
		header: map[string]string{"Stripe-Signature": "t=1492774577,v1=00,v1=not-hex,v1=1f3e35cfb8605d4d206fb2ab026d8b1fc5f9c98eca6b42fa22f0ce8044f5869f,v0=6ffbb59b"},
		body:   stripeBody, at: 1492774577,
		want: Verified{ID: "evt_test_webhook", IDSigned: true, Type: "charge.refunded", Time: time.Unix(1492774577, 0)}, noise: []string{",v1=00,v1=not-hex,", ",v0=6ffbb59b"},
	},
	{
		name: "HMAC: as Shopify signs, by openssl",
		config: Config{Scheme: HMAC, Secrets: []string{"shop-secret"}, HMAC: HMACConfig{
			Header: "X-Shopify-Hmac-Sha256", Encoding: "base64", IDHeader: "X-Shopify-Event-Id", TypeHeader: "X-Shopify-Topic",
		}},
		header: map[string]string{"X-Shopify-Hmac-Sha256": "plW8VGqq0nDMIEhDqaNNW99asdUCy7EIqLZVcQwtAZ0=", "X-Shopify-Event-Id": "98880550-7158", "X-Shopify-Topic": "orders/create"},
		body:   `{"id":1}`,
		want:   Verified{ID: "98880550-7158", Type: "orders/create"},
	},
	{
		name:   "HMAC: SHA-1, hexadecimal",
		config: Config{Scheme: HMAC, Secrets: []string{"shop-secret"}, HMAC: HMACConfig{Header: "X-Sig", Algorithm: "sha1", Prefix: "sha1="}},
		header: map[string]string{"X-Sig": "sha1=23eb32731fe55ac6c45ae49464df448fbb87e7e3"},
		body:   `{"id":1}`,
	},
	{
		name:   "HMAC: SHA-384, base64url, several",
		config: Config{Scheme: HMAC, Secrets: []string{"shop-secret"}, HMAC: HMACConfig{Header: "X-Sig", Algorithm: "sha384", Encoding: "base64url", Prefix: "s=", Separator: ","}},
		noise:  []string{"v=9, s=AAAA, "},
		header: map[string]string{"X-Sig": "v=9, s=AAAA, s=xRqKh2nvBux3n5wuJXOZOl-kNBnC4_SmIaPmQMfXZCyW56vYJA5_IUa47rLjuxub"},
		body:   `{"id":1}`,
	},
	{
		name:   "HMAC: SHA-512, base64",
		config: Config{Scheme: HMAC, Secrets: []string{"c2hvcC1zZWNyZXQ="}, HMAC: HMACConfig{Header: "X-Sig", Algorithm: "sha512", Encoding: "base64", SecretEncoding: "base64"}},
		header: map[string]string{"X-Sig": "nn43odamfAjWHTduTq1JOu8Y6M4swT7i/2wE9cS5wzoIr7hOdCSSzlLcadNtunULDStm2MEaobbScS5zHAH9sg"},
		body:   `{"id":1}`,
	},
	{
		name: "HMAC: id and milliseconds are signed",
		config: Config{Scheme: HMAC, Secrets: []string{"00ff10"}, HMAC: HMACConfig{
			Header: "X-Sig", SecretEncoding: "hex", TimestampHeader: "X-At", TimestampMillis: true, IDHeader: "X-Id", Signed: "{id}|{timestamp}|{body}",
		}},
		header: map[string]string{"X-Sig": "41b95cfa7e2af59115de274e59fb56c0545304221a1295754db615fb99044623", "X-At": "1700000000123", "X-Id": "evt_7"},
		body:   `{"a":1}`, at: 1700000000,
		want: Verified{ID: "evt_7", IDSigned: true, Time: time.UnixMilli(1700000000123)},
	},
	{
		name: "HMAC: the time behind the body",
		config: Config{Scheme: HMAC, Secrets: []string{"s"}, HMAC: HMACConfig{
			Header: "X-Sig", TimestampHeader: "X-At", Signed: "{body}|{timestamp}", IDField: "a", TypeField: "b",
		}},
		header: map[string]string{"X-Sig": "42739ff4e104ec7f83247a416b3955d7f284bb03a75ee057079be410416bcbdb", "X-At": "1700000000"},
		body:   `{"a":1}`, at: 1700000000,
		want: Verified{ID: "sha256-", IDSigned: true, Time: time.Unix(1700000000, 0)},
	},
}

func (v vector) headers() http.Header {
	h := http.Header{}
	for k, s := range v.header {
		h.Set(k, s)
	}
	return h
}

func (v vector) now() time.Time {
	if v.at == 0 {
		return time.Unix(1800000000, 0)
	}
	return time.Unix(v.at, 0)
}

func verifier(t testing.TB, c Config) *Verifier {
	t.Helper()
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify_PublishedVectors(t *testing.T) {
	for _, v := range vectors {
		got, err := verifier(t, v.config).Verify(v.headers(), []byte(v.body), v.now())
		if strings.HasPrefix(v.want.ID, "sha256-") && strings.HasPrefix(got.ID, "sha256-") && len(got.ID) == 39 {
			got.ID = v.want.ID // a hash of its own
		}
		if err != nil || got != v.want {
			t.Errorf("%s: got %+v %v, want %+v", v.name, got, err, v.want)
		}
	}
}

// Whatever bit of the body is changed, and whatever character of a header that is signed or a signature, the request is refused.
func TestVerify_EveryChangeIsRefused(t *testing.T) {
	for _, v := range vectors {
		f := verifier(t, v.config)
		for i := range len(v.body) {
			b := []byte(v.body)
			b[i] ^= 1 << (i % 8)
			mustRefuse(t, f, v, v.headers(), b)
		}
		mustRefuse(t, f, v, v.headers(), []byte(v.body+" "))
		mustRefuse(t, f, v, v.headers(), nil)
		for name, value := range v.header {
			if name == "X-GitHub-Delivery" || name == "X-GitHub-Event" || name == "X-Shopify-Event-Id" || name == "X-Shopify-Topic" {
				continue // not signed, and said to be so
			}
			h := v.headers()
			h.Del(name)
			mustRefuse(t, f, v, h, []byte(v.body))
			h[http.CanonicalHeaderKey(name)] = []string{value, value}
			mustRefuse(t, f, v, h, []byte(v.body))
			for i := range len(value) {
				if v.isNoise(value, i) {
					continue
				}
				c := []byte(value)
				if c[i]++; strings.EqualFold(string(c), value) {
					c[i] += 2
				}
				h := v.headers()
				h.Set(name, string(c))
				if _, err := f.Verify(h, []byte(v.body), v.now()); err == nil {
					t.Errorf("%s: %s was taken with its character %d changed", v.name, name, i)
				}
			}
		}
	}
}

func (v vector) isNoise(value string, i int) bool {
	for _, n := range v.noise {
		if at := strings.Index(value, n); at >= 0 && i >= at && i < at+len(n) {
			return true
		}
	}
	return false
}

func mustRefuse(t *testing.T, f *Verifier, v vector, h http.Header, body []byte) {
	t.Helper()
	_, err := f.Verify(h, body, v.now())
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Errorf("%s: got %v for a changed request", v.name, err)
		return
	}
	for _, s := range v.config.Secrets {
		if len(s) > 2 && strings.Contains(r.Error(), s) {
			t.Errorf("%s: the refusal tells a secret: %v", v.name, r)
		}
	}
}

func TestVerify_OtherSecretsAndTimesAreRefused(t *testing.T) {
	for _, v := range vectors {
		c := v.config
		c.Secrets = []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
		if v.config.HMAC.SecretEncoding == "hex" {
			c.Secrets = []string{"00ff11"}
		}
		_, err := verifier(t, c).Verify(v.headers(), []byte(v.body), v.now())
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Mismatch {
			t.Errorf("%s with another secret: %v", v.name, err)
		}
		if v.at == 0 {
			continue
		}
		f := verifier(t, v.config)
		for _, away := range []time.Duration{-10*time.Minute - time.Second, 10*time.Minute + time.Second, 100 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour} {
			_, err = f.Verify(v.headers(), []byte(v.body), v.now().Add(away))
			if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Stale {
				t.Errorf("%s, %v later: %v", v.name, away, err)
			}
		}
	}
}

func TestVerify_FormsThatAreRefused(t *testing.T) {
	std, str := vectors[0], vectors[5]
	for _, c := range []struct {
		v            vector
		name, header string
		want         Reason
	}{
		{std, "webhook-timestamp", "", Unsigned},
		{std, "webhook-timestamp", "0x10", Malformed},
		{std, "webhook-timestamp", "+1614265330", Malformed},
		{std, "webhook-timestamp", "-1", Malformed},
		{std, "webhook-timestamp", "1614265330.0", Malformed},
		{std, "webhook-timestamp", "99999999999999999999", Malformed},
		{std, "webhook-timestamp", "9999999999999999", Stale},
		{std, "webhook-timestamp", "01614265330", Mismatch},
		{std, "webhook-id", "a.1614265330", Malformed},
		{std, "webhook-id", strings.Repeat("x", IDBytesMax+1), Malformed},
		{std, "webhook-signature", "v1", Mismatch},
		{std, "webhook-signature", "v1,", Mismatch},
		{std, "webhook-signature", "v1,AAAA", Mismatch},
		{std, "webhook-signature", "v1a,AAAA", Mismatch},
		{std, "webhook-signature", "v2,AAAA", Malformed},
		{std, "webhook-signature", "v1,%%%", Malformed},
		{std, "webhook-signature", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", Malformed},
		{std, "webhook-signature", "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", Mismatch},
		{std, "webhook-signature", strings.Repeat("v1,AAAA ", SignaturesMax+1), Malformed},
		{std, "webhook-signature", strings.Repeat("x", HeaderBytesMax+1), Malformed},
		{str, "Stripe-Signature", "", Unsigned},
		{str, "Stripe-Signature", "v1,t=1", Malformed},
		{str, "Stripe-Signature", "t=", Malformed},
		{str, "Stripe-Signature", "t=1492774577", Malformed},
		{str, "Stripe-Signature", "v1=00", Malformed},
		{str, "Stripe-Signature", "t=1492774577,t=1492774577,v1=00", Malformed},
		{str, "Stripe-Signature", "t=1492774577,v1=" + strings.Repeat("00", 32), Mismatch},
		{str, "Stripe-Signature", "t=1492774577,v0=1f3e35cfb8605d4d206fb2ab026d8b1fc5f9c98eca6b42fa22f0ce8044f5869f", Malformed},
		{str, "Stripe-Signature", "t=1492774577" + strings.Repeat(",v1=00", SignaturesMax+1), Malformed},
	} {
		h := c.v.headers()
		h.Set(c.name, c.header)
		_, err := verifier(t, c.v.config).Verify(h, []byte(c.v.body), c.v.now())
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != c.want {
			t.Errorf("%s: %.40q: got %v, want %v", c.name, c.header, err, c.want)
		}
	}
}

func TestNew_SaysWhatCannotBe(t *testing.T) {
	for name, c := range map[string]Config{
		"no scheme":              {Secrets: []string{"x"}},
		"no secrets":             {Scheme: GitHub},
		"an empty secret":        {Scheme: GitHub, Secrets: []string{""}},
		"too many secrets":       {Scheme: GitHub, Secrets: make([]string, KeysMax+1)},
		"tolerance":              {Scheme: GitHub, Secrets: []string{"x"}, Tolerance: ToleranceMost + 1},
		"short whsec_":           {Scheme: Standard, Secrets: []string{"whsec_AAAA"}},
		"whsec_ not base64":      {Scheme: Standard, Secrets: []string{"whsec_%"}},
		"short whpk_":            {Scheme: Standard, Secrets: []string{"whpk_AAAA"}},
		"no header":              {Scheme: HMAC, Secrets: []string{"x"}},
		"algorithm":              {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Algorithm: "md5"}},
		"encoding":               {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Encoding: "rot13"}},
		"secret encoding":        {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", SecretEncoding: "x"}},
		"secret not hex":         {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", SecretEncoding: "hex"}},
		"body missing":           {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Signed: "x"}},
		"body twice":             {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Signed: "{body}{body}"}},
		"time not signed":        {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", TimestampHeader: "B", Signed: "{body}"}},
		"time without header":    {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Signed: "{timestamp}.{body}"}},
		"id without header":      {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Signed: "{id}.{body}"}},
		"parts run together":     {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", TimestampHeader: "B", Signed: "{timestamp}{body}"}},
		"digit behind time":      {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", TimestampHeader: "B", Signed: "{timestamp}0{body}"}},
		"id behind body":         {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", IDHeader: "B", Signed: "{body}.{id}"}},
		"time touches body":      {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", TimestampHeader: "B", Signed: "{body}{timestamp}"}},
		"unknown part":           {Scheme: HMAC, Secrets: []string{"x"}, HMAC: HMACConfig{Header: "A", Signed: "{url}.{body}"}},
		"a key without its half": {Scheme: Standard, Secrets: []string{"whsk_" + strings.Repeat("A", 86) + "=="}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// The parts of what is signed cannot be moved into one another.
func TestVerify_PartsCannotBeMoved(t *testing.T) {
	v := vectors[10]
	h := v.headers()
	h.Set("X-Id", "evt_7|1700000000123") // and the body less its beginning
	_, err := verifier(t, v.config).Verify(h, []byte(v.body), v.now())
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Malformed {
		t.Error(err)
	}
}
