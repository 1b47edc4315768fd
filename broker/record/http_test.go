package record

import (
	"net/http"
	"strings"
	"testing"
)

func TestEachHTTPHeader(t *testing.T) {
	e := Event{
		ID: "1", Source: "/a%20b", Type: "t", Subject: "Euro € \"x\"", Time: "2018-04-05T17:31:00Z", DataSchema: "https://s.example/a", DataContentType: "text/plain; charset=utf-8",
		Key: []byte("k 1"), Extensions: []Attribute{{"zed", "1"}, {"7up", "a b"}}, Headers: []Header{{"trace id", []byte("50%")}, {"none", nil}},
	}
	var got []string
	e.EachHTTPHeader(func(name, value string) {
		got = append(got, name+": "+value)
		if http.CanonicalHeaderKey(name) != name {
			t.Errorf("%s is not as net/http writes it", name)
		}
	})
	want := `Ce-Specversion: 1.0
Ce-Id: 1
Ce-Source: /a%2520b
Ce-Type: t
Ce-Time: 2018-04-05T17:31:00Z
Ce-Subject: Euro%20%E2%82%AC%20%22x%22
Ce-Dataschema: https://s.example/a
Ce-Partitionkey: k%201
Ce-7up: a%20b
Ce-Zed: 1
Ce-Leatheaders: trace%2520id=50%2525&none
Content-Type: text/plain; charset=utf-8`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}
