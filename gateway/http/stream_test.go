package http

import (
	"fmt"
	"testing"
)

func TestStreams_LifeOfOne(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/accounts"
	checkProblem(t, s.do("GET", path, ""), 404)
	a := s.want(201, "PUT", path, `{"partitions":3,"keys":"versioned","default_type":"account.event","documents":{"x":"y"}}`, "Content-Type", "application/json")
	if a.header.Get("Location") != path || a.header.Get("ETag") == "" || a.str("config.keys") != "versioned" || a.str("config.documents.x") != "y" || a.len("partitions") != 3 {
		t.Errorf("created: %v %s", a.header, a.body)
	}
	etag := a.header.Get("ETag")
	s.want(201, "POST", path+"/events", "x")
	if e := s.want(200, "GET", path+"/events", ""); e.str("events.0.type") != "account.event" {
		t.Errorf("default_type: %s", e.body)
	}
	b := s.want(200, "PUT", path, `{"partitions":4}`, "If-Match", etag)
	if b.str("config.partitions") != "4" || b.str("config.keys") != "versioned" || b.str("config.default_type") != "account.event" {
		t.Errorf("changed: %s", b.body)
	}
	checkProblem(t, s.do("PUT", path, `{"partitions":5}`, "If-Match", etag), 409)
	checkProblem(t, s.do("PUT", path, `{"partitions":5}`, "If-None-Match", "*"), 409)
	checkProblem(t, s.do("PUT", path, `{"partitions":5}`, "If-Match", "x"), 400)
	checkProblem(t, s.do("PUT", path, `{"partitions":1}`), 400)
	for body, pointer := range map[string]string{
		`{"keys":"all"}`: "/keys", `{"time_of":"now"}`: "/time_of", `{"partitions":"3"}`: "/partitions", `{"partitions":0.5}`: "/partitions",
		`{"partition":3}`: "/partition", `{"batch_bytes_max":-1}`: "/batch_bytes_max", `[]`: "/", `{`: "", `{} {}`: "",
	} {
		a := s.do("PUT", path, body)
		checkProblem(t, a, 400)
		if pointer != "" && a.str("pointer") != pointer {
			t.Errorf("%s: pointer %q; want %q in %s", body, a.str("pointer"), pointer, a.body)
		}
	}
	checkProblem(t, s.do("PUT", path, `{}`, "Content-Type", "text/plain"), 415)
	checkProblem(t, s.do("PUT", "/v1/streams/no%2Fname", `{}`), 400)
	s.want(204, "DELETE", path, "")
	checkProblem(t, s.do("DELETE", path, ""), 404)
}

func TestStreams_ListIsPaged(t *testing.T) {
	s := start(t, nil)
	for i := range 7 {
		s.want(201, "PUT", fmt.Sprintf("/v1/streams/s%d", i), "")
	}
	s.want(201, "PUT", "/v1/streams/__x", "")
	s.want(201, "PUT", "/v1/streams/other", "")
	got, next := "", ""
	for range 10 {
		a := s.want(200, "GET", "/v1/streams?limit=3&prefix=s&from="+next, "")
		for i := range a.len("streams") {
			got += a.str(fmt.Sprintf("streams.%d.name", i)) + " "
		}
		if next = a.str("next"); next == "" {
			break
		}
	}
	if got != "s0 s1 s2 s3 s4 s5 s6 " {
		t.Errorf("walk: %q", got)
	}
	if a := s.want(200, "GET", "/v1/streams", ""); a.len("streams") != 8 || a.get("next") != nil {
		t.Errorf("all: %s", a.body)
	}
	if a := s.want(200, "GET", "/v1/streams?internal=true", ""); a.len("streams") != 9 {
		t.Errorf("with internal ones: %s", a.body)
	}
	checkProblem(t, s.do("GET", "/v1/streams?internal=maybe", ""), 400)
	checkProblem(t, s.do("GET", "/v1/streams?limit=0", ""), 400)
}

func TestUsers_LifeOfOne(t *testing.T) {
	s := start(t, nil)
	root := `{"password":"open-sesame","grants":[{"action":"admin","kind":"*","pattern":"*"}]}`
	checkProblem(t, s.do("PUT", "/v1/users/root", `{"password":"long enough","grants":[]}`), 400) // the first must be able to manage users
	s.want(201, "PUT", "/v1/users/root", root)
	checkProblem(t, s.do("PUT", "/v1/users/root", root), 401)
	s.auth = "Basic cm9vdDpvcGVuLXNlc2FtZQ=="
	s.want(200, "PUT", "/v1/users/root", root)
	a := s.want(201, "PUT", "/v1/users/eve", `{"password":"eve-password","namespace":"blue","grants":[{"action":"read","kind":"stream","pattern":"a*"}]}`)
	if a.str("name") != "eve" || a.str("namespace") != "blue" || a.str("password") != "" || a.str("token") != "" {
		t.Errorf("made: %s", a.body)
	}
	if list := s.want(200, "GET", "/v1/users", ""); list.len("users") != 2 || list.str("users.0.name") != "eve" || list.str("users.0.grants.0.pattern") != "a*" {
		t.Errorf("list: %s", list.body)
	}
	for body, pointer := range map[string]string{
		`{"grants":[{"action":"read","kind":"stream","pattern":"a"},{"action":"fly","kind":"stream","pattern":"a"}]}`: "/grants/1/action",
		`{"grants":[{"action":"read","kind":"stream","pattern":"*a"}]}`:                                               "/grants/0/pattern",
		`{"name":"mallory"}`: "/name", `{"pasword":"x"}`: "/pasword", `{"grants":{}}`: "/grants",
	} {
		a := s.do("PUT", "/v1/users/eve", body)
		checkProblem(t, a, 400)
		if a.str("pointer") != pointer {
			t.Errorf("%s: pointer %q; want %q in %s", body, a.str("pointer"), pointer, a.body)
		}
	}
	checkProblem(t, s.do("GET", "/v1/users/nobody", ""), 404)
	checkProblem(t, s.do("DELETE", "/v1/users/root", ""), 409) // the last that can manage users
	s.want(204, "DELETE", "/v1/users/eve", "")
	checkProblem(t, s.do("GET", "/v1/users/eve", ""), 404)
}
