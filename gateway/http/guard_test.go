package http

import (
	"encoding/base64"
	"testing"
)

func TestGuard_Host(t *testing.T) {
	s := start(t, func(c *Config) { c.Hosts = []string{"leat.internal"} })
	for host, code := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1": 200, "127.8.8.8:80": 200, "[::1]:80": 200, "app.localhost": 200,
		"leat.internal:8080": 200, "Leat.Internal": 200,
		"evil.example": 403, "evil.example:8080": 403, "localhost.evil.example": 403, "notlocalhost": 403, "10.0.0.1": 403, "127.0.0.1.evil.example": 403,
	} {
		a := s.do("GET", "/healthz", "", "Host", host)
		if a.code != code {
			t.Errorf("Host %s: %d; want %d", host, a.code, code)
		}
		if code == 403 {
			checkProblem(t, a, 403)
		}
	}
	s.addUser("root", "open-sesame", "admin * *")
	if a := s.do("GET", "/healthz", "", "Host", "leat.example"); a.code != 200 {
		t.Errorf("with users any Host is answered: %d", a.code)
	}
}

func TestGuard_Origin(t *testing.T) {
	s := start(t, func(c *Config) { c.Origins = []string{"https://app.example.com"} })
	s.fill("orders", 1)
	const path = "/v1/streams/orders/events"
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 16))}
	for _, origin := range []string{"https://evil.example", "null", "http://localhost:1", "https://app.example.com.evil.example", "http://app.example.com", "*"} {
		checkProblem(t, s.do("POST", path, "x", "Origin", origin), 403)
		checkProblem(t, s.do("GET", path, "", append(upgrade, "Origin", origin)...), 403)
		checkProblem(t, s.do("GET", path, "", "Accept", "text/event-stream", "Origin", origin), 403)
		a := s.do("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST")
		checkProblem(t, a, 403)
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: CORS headers on a refusal", origin)
		}
	}
	if a := s.want(201, "POST", path, "x", "Origin", s.url); a.header.Get("Access-Control-Allow-Origin") != s.url {
		t.Errorf("own origin: %v", a.header)
	}
	a := s.want(204, "OPTIONS", path, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Vary": "Origin", "Access-Control-Allow-Methods": corsMethods,
		"Access-Control-Allow-Headers": corsHeaders, "Access-Control-Max-Age": "600",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("preflight: %s is %q; want %q", name, got, want)
		}
	}
	if a := s.want(404, "GET", "/v1/streams/none", "", "Origin", "https://app.example.com"); a.header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page may not read the refusal it got")
	}
}

func TestLogin(t *testing.T) {
	s := start(t, nil)
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	checkProblem(t, s.do("GET", "/v1/streams", "", "Authorization", basic("root", "open-sesame")), 401) // sent, so checked
	s.addUser("root", "open-sesame", "admin * *")
	s.addUser("writer", "writer-password", "write stream orders", "create stream orders")
	token := s.want(201, "PUT", "/v1/users/bot", `{"new_token":true,"grants":[{"action":"read","kind":"stream","pattern":"orders"}]}`, "Authorization", basic("root", "open-sesame")).str("token")
	if token == "" {
		t.Fatal("no token")
	}
	const path = "/v1/streams/orders/events"
	for _, auth := range []string{"", "Basic", "Basic !!!", basic("root", "wrong"), basic("nobody", "open-sesame"), basic("", ""), "Bearer wrong", "Bearer", "Digest x", "Basic " + base64.StdEncoding.EncodeToString([]byte("nocolon"))} {
		var header []string
		if auth != "" {
			header = []string{"Authorization", auth}
		}
		a := s.do("GET", path, "", header...)
		checkProblem(t, a, 401)
		if got := a.header.Values("WWW-Authenticate"); len(got) != 2 {
			t.Errorf("%q: WWW-Authenticate %q", auth, got)
		}
	}
	s.want(201, "POST", path, "x", "Authorization", basic("writer", "writer-password"))
	s.want(403, "GET", path, "", "Authorization", basic("writer", "writer-password"))
	s.want(403, "POST", "/v1/streams/other/events", "x", "Authorization", basic("writer", "writer-password"))
	s.want(200, "GET", path, "", "Authorization", "Bearer "+token)
	s.want(200, "GET", path, "", "Authorization", "bearer "+token)
	s.want(403, "POST", path, "x", "Authorization", "Bearer "+token)
	s.want(403, "GET", "/metrics", "", "Authorization", "Bearer "+token)
	s.want(401, "GET", "/metrics", "")
	for _, open := range []string{"/healthz", "/readyz", "/openapi.json"} {
		s.want(200, "GET", open, "")
	}
	checkProblem(t, s.do("GET", path, "", "Accept", "text/event-stream"), 401)
}
