package http

import (
	"fmt"
	"strings"
	"testing"
)

// walkLatest goes through all pages and says the data of their events.
func (s *served) walkLatest(path string) (got string, pages int) {
	s.t.Helper()
	after := ""
	for pages = 1; pages <= 100; pages++ {
		a := s.want(200, "GET", path+"&after="+after, "")
		got += numbers(a)
		if a.len("events") != a.len("stored") {
			s.t.Fatalf("%s: %s", path, a.body)
		}
		if a.str("caught_up") == "true" {
			return got, pages
		}
		if a.str("next") == after {
			s.t.Fatalf("%s does not move: %s", path, a.body)
		}
		after = a.str("next")
	}
	s.t.Fatalf("%s does not end", path)
	return "", 0
}

func TestLatest_Pages(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/streams/stock", `{"keys":"latest"}`, "Content-Type", "application/json")
	const path = "/v1/streams/stock/latest"
	a := s.want(200, "GET", path, "")
	if a.body == nil || strings.TrimSpace(string(a.body)) != `{"events":[],"stored":[],"next":"","caught_up":true}` {
		t.Errorf("an empty stream: %s", a.body)
	}
	for i, key := range []string{"item/b", "item/a", "é", "item/c", "shop/1", "item/b", "item/d", "item/a", "item"} {
		s.want(201, "POST", "/v1/streams/stock/events", event(fmt.Sprint("e", i), "set", key, fmt.Sprintf(`{"n":%d}`, i)), "Content-Type", mediaEvent)
	}
	s.want(201, "POST", "/v1/streams/stock/events", `{"specversion":"1.0","id":"gone","source":"/shop","type":"removed","partitionkey":"item/c"}`, "Content-Type", mediaEvent)
	for _, c := range []struct{ query, want string }{
		{"", "8 7 5 6 4 2 "},
		{"?prefix=", "8 7 5 6 4 2 "},
		{"?prefix=item/", "7 5 6 "},
		{"?prefix=item%2Fb", "5 "},
		{"?prefix=%C3%A9", "2 "},
		{"?prefix=none", ""},
		{"?prefix=item/&limit=2", "7 5 "},
		{"?limit=1", "8 "},
	} {
		if got := numbers(s.want(200, "GET", path+c.query, "")); got != c.want {
			t.Errorf("%s: %q; want %q", c.query, got, c.want)
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		if got, _ := s.walkLatest(fmt.Sprintf("%s?limit=%d", path, limit)); got != "8 7 5 6 4 2 " {
			t.Errorf("walk by %d: %q", limit, got)
		}
	}
	a = s.want(200, "GET", path+"?prefix=item/b", "")
	if a.str("events.0.partitionkey") != "item/b" || a.str("stored.0.ref") != "stock/0/5" || a.str("stored.0.position") == "" {
		t.Errorf("an event and its place: %s", a.body)
	}
}

func TestLatest_Refusals(t *testing.T) {
	s := start(t, nil)
	s.fill("orders", 2)
	s.want(201, "PUT", "/v1/streams/off", `{"keys":"off"}`, "Content-Type", "application/json")
	const path = "/v1/streams/orders/latest"
	for _, c := range []struct {
		path  string
		code  int
		field string
	}{
		{path + "?limit=0", 400, "limit"},
		{path + "?limit=1001", 400, "limit"},
		{path + "?after=x", 400, "after"},
		{path + "?after=AQ==", 400, "after"},
		{path + "?after=AR", 400, "after"}, // bits behind the end
		{path + "?after=Ag", 400, "after"}, // another version
		{path + "?after=A%0AQ", 400, "after"},
		{path + "?key=k1", 400, "key"},
		{path + "?prefix=a&prefix=b", 400, "prefix"},
		{"/v1/streams/oders/latest", 404, ""},
		{"/v1/streams/off/latest", 501, ""},
	} {
		a := s.do("GET", c.path, "")
		checkProblem(t, a, c.code)
		if a.str("field") != c.field && (c.field != "" || a.get("field") != nil) {
			t.Errorf("%s: field %q; want %q in %s", c.path, a.str("field"), c.field, a.body)
		}
	}
	if a := s.do("GET", "/v1/streams/off/latest", ""); !strings.Contains(a.str("detail"), "set its `keys`") {
		t.Errorf("it does not say what to do: %s", a.body)
	}
}

// A page holds so many bytes of events, and the next goes on where it was cut.
func TestLatest_PagesAreCutAtTheirBytes(t *testing.T) {
	s := start(t, func(c *Config) { c.PageBytesMax = 1 << 10 })
	var want strings.Builder
	for i := range 30 {
		data := fmt.Sprintf(`{"n":%d,"wide":%q}`, i, strings.Repeat("x", 100))
		s.want(201, "POST", "/v1/streams/orders/events", event(fmt.Sprint(i), "set", fmt.Sprintf("k%02d", i), data), "Content-Type", mediaEvent)
		fmt.Fprint(&want, i, " ")
	}
	if got, pages := s.walkLatest("/v1/streams/orders/latest?limit=100"); got != want.String() || pages < 5 {
		t.Errorf("%q on %d pages", got, pages)
	}
}
