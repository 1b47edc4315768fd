package schemaregistry

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"testing"

	"leat/contract/registry"
)

// What is shown without being taken apart is what would be told of it.
func TestShow_IsWhatIsTold(t *testing.T) {
	g := New(newBroker(t, false), Default())
	a := serve(t, g)
	for i, body := range []string{
		avroRecord("plain", "y=1"),
		`{"schemaType":"JSON","schema":"{\"type\":\"object\",\"title\":\"ä \\\"q\\\"\"}"}`,
		`{"schemaType":"JSON","schema":"{\"title\":\"a<b & c>d\"}"}`,
		`{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\"; message M { string a = 1; }"}`,
		`{"schema":"\"int\"","metadata":{"properties":{"owner":"me"}}}`,
		`{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":\"string\",\"doc\":\"<é>\\ttab\"}]}"}`,
	} {
		subject := []string{"s", ":.c:s/ö"}[i%2] + strconv.Itoa(i)
		a.want(200, `{"version":1}`, "POST", "subjects/"+url.PathEscape(subject)+"/versions", body)
	}
	r, shown := g.b.Contracts(""), 0
	for v := range r.Schemas(registry.AllContexts, registry.Live, false) {
		at := "subjects/" + url.PathEscape(v.Subject) + "/versions/1"
		if _, ok := r.ShownVersion(v.Subject, 1, false); ok {
			shown++
		}
		by := tell(v)
		by.ID, by.TS = 0, 0
		for path, want := range map[string]*told{at: tell(v), "schemas/ids/" + strconv.Itoa(v.ID) + "?subject=" + url.QueryEscape(v.Subject): by} {
			var buf bytes.Buffer
			e := json.NewEncoder(&buf)
			e.SetEscapeHTML(false)
			if err := e.Encode(want); err != nil {
				t.Fatal(err)
			}
			if _, got := a.do("GET", path, ""); got+"\n" != buf.String() {
				t.Errorf("%s: %s\nwant %s", path, got, &buf)
			}
		}
	}
	if shown != 3 {
		t.Errorf("%d were shown as they are recorded, want 3", shown)
	}
}
