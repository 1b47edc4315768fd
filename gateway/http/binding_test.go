package http

import (
	nethttp "net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leat/broker/record"
)

// What is sent in binary mode is read as the same event.
func TestBinaryMode_GoesOutAndComesBack(t *testing.T) {
	base := record.Event{SpecVersion: "1.0", ID: "1", Source: "/s", Type: "t"}
	for name, change := range map[string]func(*record.Event){
		"least": func(*record.Event) {},
		"all": func(e *record.Event) {
			e.Subject, e.Time, e.DataSchema, e.DataContentType = "s", "2018-04-05T17:31:00Z", "https://a/b", "text/plain"
		},
		"unicode":     func(e *record.Event) { e.Subject = "Euro € \U0001F600 \"quoted\" 100% %41" },
		"encoded URI": func(e *record.Event) { e.Source = "/a%20b" },
		"key":         func(e *record.Event) { e.Key = []byte("k ö") },
		"empty key":   func(e *record.Event) { e.Key = []byte{} },
		"binary key":  func(e *record.Event) { e.Key = []byte{0, 255} },
		"extensions": func(e *record.Event) {
			e.Extensions = []record.Attribute{{Name: "7up", Value: "a b"}, {Name: "zed", Value: "1"}}
		},
		"no name": func(e *record.Event) { e.Headers = []record.Header{{}} },
		"plain header": func(e *record.Event) {
			e.Headers = []record.Header{{Key: "trace id", Value: []byte("50% \xff")}, {Key: "none"}, {Key: "trace id", Value: []byte{}}}
		},
	} {
		want := base
		change(&want)
		if err := want.Validate(); err != nil {
			t.Fatal(err)
		}
		h := nethttp.Header{}
		want.EachHTTPHeader(func(name, value string) { h[name] = append(h[name], value) })
		var got record.Event
		if plain, err := binaryEvent(h, &got); plain || err != nil {
			t.Errorf("%s: plain %v, %v", name, plain, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-sent +read):\n%s", name, diff)
		}
		if (want.Key == nil) != (got.Key == nil) {
			t.Errorf("%s: key %v became %v", name, want.Key, got.Key)
		}
	}
}
