package http

import (
	"fmt"
	"net/url"
	"testing"
)

// A course with two places, as a client of HTTP would do it: read what counts, decide, append unless something of that has changed.
func TestQuery_CourseSubscriptions(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/streams/campus", `{"tags":true,"partitions":2}`)
	enrol := func(course, student string) string {
		q := s.want(200, "POST", "/v1/query", fmt.Sprintf(`{"streams":["campus"],"any":[{"types":["enrolled"],"tags":["course:%s"]}]}`, course))
		if q.str("caught_up") != "true" {
			t.Fatalf("%s", q.body)
		}
		if q.len("events") >= 2 {
			return "full"
		}
		return s.want(201, "POST", "/v1/append", fmt.Sprintf(`{"events":[{"stream":"campus","type":"enrolled","tags":"course:%s student:%s"}],
			"unless":[{"stream":"campus","types":["enrolled"],"tags":["course:%s"],"after":%q}]}`, course, student, course, q.str("next"))).str("events.0.ref")
	}
	for i := range 2 {
		if got := enrol("go", fmt.Sprint(i)); got == "full" {
			t.Fatal(got)
		}
	}
	if got := enrol("go", "3"); got != "full" {
		t.Fatal(got)
	}
	if got := enrol("sql", "1"); got == "full" {
		t.Fatal(got)
	}
	for path, want := range map[string]int{
		"?tag=course:go": 2, "?tag=student:1": 2, "?tag=student:1&tag=course:sql": 1, "?tag=course:go&type=left": 0, "?type=enrolled&type=left": 3,
		"?type=enrolled&limit=2": 2, "?tag=student:1&direction=backward": 2, "?tag=student:1&where=" + url.QueryEscape(`offset >= 0`): 2, "?tag=student:": 0,
	} {
		if p := s.want(200, "GET", "/v1/streams/campus/events"+path, ""); p.len("events") != want {
			t.Errorf("%s: %s; want %d", path, p.body, want)
		}
	}
	if c := s.want(200, "GET", "/v1/streams/campus", ""); c.str("config.tags") != "true" {
		t.Errorf("%s", c.body)
	}
}

func TestUnless_AllThatFailedIsTold(t *testing.T) {
	s := start(t, nil)
	// Nobody has made the stream, or said that it indexes anything.
	first := s.want(201, "POST", "/v1/streams/users/events", `{}`, "Leat-Unless", "type=user.registered tag=name:ann", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "user.registered", "ce-tags", "name:ann")
	if r := s.want(200, "POST", "/v1/streams/users/events", `{}`, "Leat-Unless", "type=user.registered tag=name:ann", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "user.registered", "ce-tags", "name:ann"); r.str("ref") != "users/0/0" {
		t.Errorf("sent again: %s", r.body)
	}
	a := s.do("POST", "/v1/streams/users/events", `{}`, "Leat-Unless", "type=user.registered tag=name:ann", "ce-specversion", "1.0", "ce-id", "2", "ce-source", "/s", "ce-type", "user.registered", "ce-tags", "name:ann")
	checkProblem(t, a, 409)
	if a.str("reason") != "event" || a.str("failed.0.found.ref") != "users/0/0" || a.str("failed.0.found.position") != first.str("position") {
		t.Errorf("%s", a.body)
	}
	a = s.do("POST", "/v1/append", `{"events":[{"stream":"users","partitionkey":"k","type":"t"}],
		"unless":[{"stream":"users","tags":["name:bob"]},{"stream":"users","types":["user.registered","x"]},{"stream":"users","tags":["name:ann"],"after":"users/0/0"}],
		"if":[{"stream":"users","key":"k","version":"exists"}]}`)
	checkProblem(t, a, 409)
	if a.len("failed") != 2 || a.str("failed.0.if") != "0" || a.str("failed.1.pointer") != "/unless/1" || a.str("failed.1.query") != "event of type user.registered or x" {
		t.Errorf("%s", a.body)
	}
	for _, c := range []struct{ body, pointer string }{
		{`"unless":{}`, "/unless"}, {`"unless":[{"tags":["a"]}]`, "/unless/0/stream"}, {`"unless":[{"stream":"users","tag":"a"}]`, "/unless/0/tag"},
		{`"unless":[{"stream":"users","tags":["a"],"after":"%"}]`, "/unless/0/after"}, {`"unless":[{"stream":"users"}]`, ""}, {`"unless":[{"stream":"users","tags":["a b"]}]`, ""},
		{`"unless":[{"stream":"users","tags":[""]}]`, ""}, {`"unless":[{"stream":"users","tags":["a"]}],"unless":[]`, "/unless"},
	} {
		a := s.do("POST", "/v1/append", `{"events":[{"stream":"users"}],`+c.body+`}`)
		checkProblem(t, a, 400)
		if a.str("pointer") != c.pointer {
			t.Errorf("%s: %s", c.body, a.body)
		}
	}
	for _, body := range []string{`{"streams":[],"any":[{"tags":["a"]}]}`, `{"streams":["users"]}`, `{"streams":["users"],"any":[{}]}`, `{"streams":["users"],"any":[{"tags":["a"]}],"limit":0}`, `{"streams":["users"],"any":[{"tags":["a"]}],"from":"?"}`} {
		checkProblem(t, s.do("POST", "/v1/query", body), 400)
	}
}
