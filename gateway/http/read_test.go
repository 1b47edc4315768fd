package http

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fill publishes n events: key k<i%3>, type even or odd, data {"n":i}.
func (s *served) fill(stream string, n int) {
	s.t.Helper()
	for i := range n {
		kind := "even"
		if i%2 == 1 {
			kind = "odd"
		}
		s.want(201, "POST", "/v1/streams/"+stream+"/events", event(stream+strconv.Itoa(i), kind, "k"+strconv.Itoa(i%3), fmt.Sprintf(`{"n":%d}`, i)), "Content-Type", mediaEvent)
	}
}

func numbers(a answer) (out string) {
	for i := range a.len("events") {
		out += a.str(fmt.Sprintf("events.%d.data.n", i)) + " "
	}
	return out
}

func TestRead_Pages(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 10)
	const path = "/v1/streams/orders/events"
	for _, c := range []struct{ query, want string }{
		{"", "0 1 2 3 4 5 6 7 8 9 "},
		{"?limit=3", "0 1 2 "},
		{"?from=earliest&limit=2", "0 1 "},
		{"?from=latest", ""},
		{"?from=offset:8", "8 9 "},
		{"?from=-1h&limit=1", "0 "},
		{"?from=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)), ""},
		{"?direction=backward&limit=3", "9 8 7 "},
		{"?key=k1", "1 4 7 "},
		{"?key=k1&direction=backward&limit=2", "7 4 "},
		{"?type=odd", "1 3 5 7 9 "},
		{"?type=odd&type=even&limit=2", "0 1 "},
		{"?type=none", ""},
		{"?where=" + url.QueryEscape(`data.n > 6.0`), "7 8 9 "},
		{"?where=" + url.QueryEscape(`type == "odd" && key == "k0"`), "3 9 "},
		{"?key=k0&type=odd&where=" + url.QueryEscape(`offset < 5`), "3 "},
	} {
		a := s.want(200, "GET", path+c.query, "")
		if got := numbers(a); got != c.want {
			t.Errorf("%s: %q; want %q", c.query, got, c.want)
		}
		if a.len("stored") != a.len("events") || a.str("next") == "" {
			t.Errorf("%s: %s", c.query, a.body)
		}
	}
	// A walk by next sees everything once, in both directions.
	for _, dir := range []string{"forward", "backward"} {
		got, next := "", ""
		for range 20 {
			q := path + "?limit=3&direction=" + dir
			if next != "" {
				q += "&from=" + next
			}
			a := s.want(200, "GET", q, "")
			got += numbers(a)
			next = a.str("next")
			if a.str("caught_up") == "true" {
				break
			}
		}
		if want := map[string]string{"forward": "0 1 2 3 4 5 6 7 8 9 ", "backward": "9 8 7 6 5 4 3 2 1 0 "}[dir]; got != want {
			t.Errorf("walk %s: %q", dir, got)
		}
	}
	a := s.want(200, "GET", path+"?where="+url.QueryEscape(`data.missing == 1.0`), "")
	if a.len("events") != 0 || a.str("where_errors.count") != "10" || a.str("where_errors.first") == "" {
		t.Errorf("a where that cannot be judged: %s", a.body)
	}
}

func TestRead_Refusals(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 2)
	const path = "/v1/streams/orders/events"
	for _, c := range []struct {
		path  string
		code  int
		field string
	}{
		{path + "?limit=0", 400, "limit"},
		{path + "?limit=1001", 400, "limit"},
		{path + "?limit=x", 400, "limit"},
		{path + "?from=sometime", 400, "from"},
		{path + "?from=offset:-1", 400, "from"},
		{path + "?direction=up", 400, "direction"},
		{path + "?key=", 400, "key"},
		{path + "?where=" + url.QueryEscape("data.n >"), 400, "where"},
		{path + "?where=" + url.QueryEscape("topic == 'x'"), 400, "where"},
		{path + "?form=earliest", 400, "form"},
		{path + "?limit=1&limit=2", 400, "limit"},
		{path + "?%zz=1", 400, "query"},
		{"/v1/events", 400, "streams"},
		{"/v1/events?streams=", 400, "streams"},
		{"/v1/events?streams=orders,nothing", 404, ""},
		{"/v1/streams/oders/events", 404, ""},
		{"/v1/events/orders/0/99", 404, ""},
		{"/v1/events/orders/7/0", 404, ""},
		{"/v1/events/orders/0/x", 400, "ref"},
		{"/v1/events/orders/0/01", 400, "ref"},
		{"/v1/nothing", 404, "path"},
		{"/v1/streams/orders/events/", 404, "path"},
		{"/v1//events", 404, "path"},
	} {
		a := s.do("GET", c.path, "")
		if a.code != c.code {
			t.Errorf("%s: %d; want %d: %s", c.path, a.code, c.code, a.body)
			continue
		}
		checkProblem(t, a, c.code)
		if c.field != "" && a.str("field") != c.field {
			t.Errorf("%s: field %q; want %q in %s", c.path, a.str("field"), c.field, a.body)
		}
	}
	if a := s.do("GET", "/v1/streams/oders/events", ""); !strings.Contains(a.str("detail"), `"orders"`) {
		t.Errorf("404 does not suggest the nearest name: %s", a.body)
	}
	for _, p := range []string{"/v1/streams/oders/events", "/v1/streams/oders/events?from=latest", "/v1/streams/..x/events", "/v1/events/orders/0/99"} {
		if a := s.do("GET", p, ""); a.get("field") != nil {
			t.Errorf("%s: names a field for what no field says: %s", p, a.body)
		}
	}
	// A position of another data directory is of a history that is not here.
	a := s.do("GET", path+"?from=AQAJAQAA", "")
	checkProblem(t, a, 410)
	if a.str("earliest") == "" {
		t.Errorf("410 does not say from where on there is something: %s", a.body)
	}
}

func TestRead_Methods(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 1)
	a := s.do("PATCH", "/v1/streams/orders/events", "")
	checkProblem(t, a, 405)
	if got := a.header.Get("Allow"); got != "POST, GET, HEAD, OPTIONS" {
		t.Errorf("Allow %q", got)
	}
	if a := s.want(204, "OPTIONS", "/v1/streams/orders", ""); a.header.Get("Allow") != "GET, HEAD, PUT, DELETE, OPTIONS" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
	if a := s.want(200, "HEAD", "/v1/streams/orders/events", ""); len(a.body) != 0 || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %v %q", a.header, a.body)
	}
	if a := s.do("HEAD", "/v1/streams/nothing", ""); a.code != 404 || len(a.body) != 0 {
		t.Errorf("HEAD of nothing: %d %q", a.code, a.body)
	}
}

func TestRead_Namespaces(t *testing.T) {
	s := startOn(t, newBroker(t, 3), nil)
	s.want(201, "POST", "/v1/streams/orders/events", "here", "Leat-Namespace", "blue")
	s.want(404, "GET", "/v1/streams/orders/events", "")
	a := s.want(200, "GET", "/v1/streams/orders/events?namespace=blue", "")
	if a.len("events") != 1 || a.str("events.0.source") != "/namespaces/blue/streams/orders" {
		t.Errorf("blue: %s", a.body)
	}
	s.want(400, "GET", "/v1/streams/orders/events?namespace=blue", "", "Leat-Namespace", "red")
	for _, bad := range []string{"a/b", "..", strings.Repeat("x", 250)} {
		checkProblem(t, s.do("POST", "/v1/streams/orders/events", "x", "Leat-Namespace", bad), 400)
	}
}

// A page holds so many bytes of events, and the next goes on where it was cut.
func TestRead_PagesAreCutAtTheirBytes(t *testing.T) {
	s := start(t, func(c *Config) { c.PageBytesMax = 1 << 10 })
	s.fill("orders", 12)
	for _, dir := range []string{"forward", "backward"} {
		got, next, pages := "", "", 0
		for range 20 {
			q := "/v1/streams/orders/events?direction=" + dir
			if next != "" {
				q += "&from=" + next
			}
			a := s.want(200, "GET", q, "")
			if a.len("events") == 0 && a.str("caught_up") != "true" || a.len("events") != a.len("stored") {
				t.Fatalf("page: %s", a.body)
			}
			got += numbers(a)
			next = a.str("next")
			pages++
			if a.str("caught_up") == "true" {
				break
			}
		}
		want := map[string]string{"forward": "0 1 2 3 4 5 6 7 8 9 10 11 ", "backward": "11 10 9 8 7 6 5 4 3 2 1 0 "}[dir]
		if got != want || pages < 2 {
			t.Errorf("%s: %q in %d pages", dir, got, pages)
		}
	}
}
