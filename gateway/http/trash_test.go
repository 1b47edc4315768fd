package http

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTruncate(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/orders"
	s.want(201, "PUT", path, `{"partitions":2}`)
	for i := range 3 {
		s.want(201, "POST", path+"/events", fmt.Sprintf(`[{"specversion":"1.0","id":"%d","source":"/t","type":"t","partitionkey":"k"},{"specversion":"1.0","id":"%db","source":"/t","type":"t","partitionkey":"k"}]`, i, i),
			"Content-Type", "application/cloudevents-batch+json")
	}
	page := s.want(200, "GET", path+"/events", "")
	ref := page.str("stored.0.ref")
	partition := strings.Split(ref, "/")[1]
	cut := func(before string) answer {
		t.Helper()
		return s.want(200, "POST", path+"/truncate", `{"partition":`+partition+`,"before":`+before+`}`, "Content-Type", "application/json")
	}
	at := func(a answer) string { return a.str("partitions." + partition + ".start") }
	// Inside a batch: what is gone is shown no more, and what names it is told where to begin.
	if a := cut(`{"offset":3}`); at(a) != "3" || a.len("partitions") != 2 {
		t.Fatalf("truncated: %s", a.body)
	}
	if p := s.want(200, "GET", path+"/events", ""); p.len("events") != 3 || p.str("events.0.id") != "1b" {
		t.Errorf("page: %s", p.body)
	}
	if p := s.want(200, "GET", path+"/events?direction=backward&from=latest", ""); p.len("events") != 3 {
		t.Errorf("backward: %s", p.body)
	}
	if p := s.want(200, "GET", path+"/events?key=k", ""); p.len("events") != 3 {
		t.Errorf("by key: %s", p.body)
	}
	gone := s.do("GET", "/v1/events/orders/"+partition+"/2", "")
	checkProblem(t, gone, 410)
	if gone.str("earliest") != "offset:3" {
		t.Errorf("does not say the earliest: %s", gone.body)
	}
	checkProblem(t, s.do("GET", path+"/events?from="+page.str("stored.0.position"), ""), 410)
	if a := cut(`{"position":"` + page.str("stored.3.position") + `"}`); at(a) != "4" {
		t.Errorf("before a position: %s", a.body)
	}
	if a := cut(`{"time":"2001-01-01T00:00:00Z"}`); at(a) != "4" {
		t.Errorf("before a time: %s", a.body)
	}
	if a := cut(`{"time":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`); at(a) != "6" {
		t.Errorf("before a time: %s", a.body)
	}
	for body, pointer := range map[string]string{
		``: "/before", `{}`: "/before", `{"before":{}}`: "/before", `{"before":{"offset":1,"latest":true}}`: "/before", `{"before":{"time":"noon"}}`: "/before/time",
		`{"before":{"position":"x"}}`: "/before/position", `{"before":{"offset":1}}`: "/partition", `{"before":{"offset":99},"partition":0}`: "/before",
		`{"before":{"latest":true},"partition":-1}`: "/partition", `{"before":{"ofset":1}}`: "/ofset", `{"before":{"offset":-1},"partition":0}`: "/before",
	} {
		a := s.do("POST", path+"/truncate", body)
		checkProblem(t, a, 400)
		if a.str("pointer") != pointer {
			t.Errorf("%s: pointer %q, want %q: %s", body, a.str("pointer"), pointer, a.body)
		}
	}
	checkProblem(t, s.do("POST", "/v1/streams/nope/truncate", `{"before":{"latest":true}}`), 404)
	checkProblem(t, s.do("POST", path+"/truncate", `{"before":{"latest":true},"partition":7}`), 404)
	s.want(201, "PUT", "/v1/streams/forever", `{"immutable":true}`)
	for _, a := range []answer{
		s.do("POST", "/v1/streams/forever/truncate", `{"before":{"latest":true}}`), s.do("DELETE", "/v1/streams/forever", ""), s.do("PUT", "/v1/streams/forever", `{"immutable":false}`),
	} {
		checkProblem(t, a, 409)
		if a.str("reason") != "kept" {
			t.Errorf("reason: %s", a.body)
		}
	}
}

func TestStreams_WhatTheyKeep(t *testing.T) {
	s := start(t, nil)
	const path = "/v1/streams/s"
	a := s.want(201, "PUT", path, `{"retention_ms":60000,"retention_bytes":-1,"protected":true}`)
	if a.str("config.retention_ms") != "60000" || a.str("config.retention_bytes") != "-1" || a.get("config.protected") != true || a.get("config.immutable") != nil {
		t.Errorf("made: %s", a.body)
	}
	checkProblem(t, s.do("DELETE", path, ""), 409)
	a = s.want(200, "PUT", path, `{"retention_ms":0,"protected":false}`)
	if a.get("config.retention_ms") != nil || a.str("config.retention_bytes") != "-1" || a.get("config.protected") != nil {
		t.Errorf("changed: %s", a.body)
	}
	for body, pointer := range map[string]string{
		`{"retention_ms":-2}`: "/retention_ms", `{"retention_ms":1,"immutable":true}`: "/immutable", `{"protected":1}`: "/protected", `{"tombstone_retention_ms":-1}`: "/tombstone_retention_ms",
	} {
		a := s.do("PUT", path, body)
		checkProblem(t, a, 400)
		if a.str("pointer") != pointer {
			t.Errorf("%s: pointer %q, want %q", body, a.str("pointer"), pointer)
		}
	}
}

func TestUndelete(t *testing.T) {
	s := start(t, nil)
	for _, name := range []string{"a", "b", "b", "c"} {
		path := "/v1/streams/" + name
		s.want(201, "PUT", path, `{"default_type":"kept"}`)
		s.want(201, "POST", path+"/events", "x")
		s.want(204, "DELETE", path, "")
	}
	gone := s.do("GET", "/v1/streams/a", "")
	checkProblem(t, gone, 404)
	if !strings.Contains(gone.str("detail"), "undelete") {
		t.Errorf("does not say how to bring it back: %s", gone.body)
	}
	got, next := "", ""
	for range 5 {
		a := s.want(200, "GET", "/v1/trash?limit=2&from="+next, "")
		for i := range a.len("trash") {
			got += a.str(fmt.Sprintf("trash.%d.name", i)) + " "
		}
		if got += "| "; a.get("next") == nil {
			break
		}
		next = a.str("next")
	}
	if got != "a b b | c | " { // all of a name are on one page
		t.Errorf("trash: %s", got)
	}
	a := s.want(200, "POST", "/v1/streams/b/undelete", "")
	if a.str("config.default_type") != "kept" || a.str("partitions.0.end") != "1" || a.header.Get("Location") != "/v1/streams/b" {
		t.Errorf("brought back: %s", a.body)
	}
	checkProblem(t, s.do("POST", "/v1/streams/b/undelete", ""), 409)
	if a := s.want(200, "POST", "/v1/streams/b/undelete", `{"as":"older"}`); a.str("name") != "older" {
		t.Errorf("brought back as: %s", a.body)
	}
	checkProblem(t, s.do("POST", "/v1/streams/b/undelete", `{"as":"oldest"}`), 404)
	checkProblem(t, s.do("POST", "/v1/streams/a/undelete", `{"as":"no/name"}`), 400)
	checkProblem(t, s.do("POST", "/v1/streams/a/undelete", `{"name":"x"}`), 400)
	checkProblem(t, s.do("GET", "/v1/trash?limit=0", ""), 400)
	if a := s.want(200, "GET", "/v1/trash", ""); a.len("trash") != 2 {
		t.Errorf("left: %s", a.body)
	}
}
