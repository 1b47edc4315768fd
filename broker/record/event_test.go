package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"leat/broker/fault"
)

func example(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("testdata", "cloudevents", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustParse(t testing.TB, p string) Event {
	t.Helper()
	var e Event
	if err := ParseEventJSON([]byte(p), &e); err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return e
}

func TestParseEventJSON_SpecificationExamples(t *testing.T) {
	base := Event{SpecVersion: "1.0", Type: "com.example.someevent", Source: "/mycontext", Time: "2018-04-05T17:31:00Z"}
	exts := []Attribute{{"comexampleextension1", "value"}, {"comexampleothervalue", "5"}}
	with := func(fn func(e *Event)) Event { e := base; fn(&e); return e }
	for name, want := range map[string]Event{
		"binary.json": with(func(e *Event) {
			e.ID, e.Extensions, e.DataContentType, e.Data = "A234-1234-1234", exts, "application/vnd.apache.thrift.binary", []byte("foobar")
		}),
		"xml.json": with(func(e *Event) {
			e.ID, e.Extensions, e.DataContentType, e.Data = "B234-1234-1234", exts, "application/xml", []byte(`<much wow="xml"/>`)
		}),
		"object.json": with(func(e *Event) {
			e.ID, e.Extensions, e.DataContentType = "C234-1234-1234", exts, "application/json"
			e.Data = []byte("{\n        \"appinfoA\" : \"abc\",\n        \"appinfoB\" : 123,\n        \"appinfoC\" : true\n    }")
		}),
		"number.json":     with(func(e *Event) { e.ID, e.DataContentType, e.Data = "C234-1234-1234", "application/json", []byte("1.5") }),
		"jsonstring.json": with(func(e *Event) { e.ID, e.Time, e.Data = "D234-1234-1234", "", []byte(`"I'm just a string"`) }),
		"nodata.json": {SpecVersion: "1.0", Type: "com.github.pull_request.opened", Source: "https://github.com/cloudevents/spec/pull", Subject: "123",
			ID: "A234-1234-1234", Key: []byte("k"), DataNull: true},
	} {
		var got Event
		if err := ParseEventJSON(example(t, name), &got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again := mustParse(t, string(got.AppendJSON(nil, nil)))
		again.Data, got.Data = appendOneLine(nil, again.Data), appendOneLine(nil, got.Data)
		if d := diff(got, again, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s written and read again: %s", name, d)
		}
	}
	var ids []string
	if err := ParseEventsJSON(example(t, "batch.json"), 2, func(_ int, e *Event) error { ids = append(ids, e.ID+e.Source); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := diff([]string{"B234-1234-1234/mycontext/4", "C234-1234-1234/mycontext/9"}, ids); d != "" {
		t.Error(d)
	}
}

func TestParseEventJSON_Refusals(t *testing.T) {
	for _, c := range []struct{ name, in, subject, text string }{
		{"nothing", ``, "/", "an event, which is an object, was expected (at byte 0)"},
		{"an array", `[]`, "/", "an event, which is an object, was expected (at byte 0)"},
		{"no specversion", `{"id":"1"}`, "/specversion", "required"},
		{"old specversion", `{"specversion":"0.3"}`, "/specversion", `"0.3"`},
		{"id twice", `{"specversion":"1.0","id":"1","id":"2"}`, "/id", "twice (at byte 30)"},
		{"id twice, escaped", `{"specversion":"1.0","id":"1","\u0069d":"2"}`, "/id", "twice"},
		{"extension twice", `{"specversion":"1.0","abc":"1","abc":"2"}`, "/abc", "twice"},
		{"id a number", `{"specversion":"1.0","id":12}`, "/id", "a string was expected (at byte 26)"},
		{"id broken", `{"specversion":"1.0","id":tru}`, "/id", "a value was expected"},
		{"id empty", `{"specversion":"1.0","id":""}`, "/id", "may not be empty"},
		{"both data", `{"specversion":"1.0","data":1,"data_base64":"AA=="}`, "/data", "both"},
		{"both data, other order", `{"specversion":"1.0","data_base64":"AA==","data":1}`, "/data", "both"},
		{"bad base64", `{"specversion":"1.0","data_base64":"A"}`, "/data_base64", "base64"},
		{"base64 a number", `{"specversion":"1.0","data_base64":1}`, "/data_base64", "string"},
		{"text data an object", `{"specversion":"1.0","data":{},"datacontenttype":"text/plain"}`, "/data", "must be a string"},
		{"bad name", `{"specversion":"1.0","dataSchema":"x"}`, "/dataSchema", "a-z and 0-9"},
		{"bad name, pointer", `{"specversion":"1.0","a/~b":"x"}`, "/a~1~0b", "a-z and 0-9"},
		{"extension an object", `{"specversion":"1.0","abc":{}}`, "/abc", "a string, a boolean or an integer"},
		{"extension a fraction", `{"specversion":"1.0","abc":1.5}`, "/abc", "integer"},
		{"extension too large a number", `{"specversion":"1.0","abc":2147483648}`, "/abc", "integer"},
		{"bad UTF-8", "{\"specversion\":\"1.0\",\"abc\":\"\xff\"}", "/abc", "UTF-8 (at byte 28)"},
		{"bad UTF-8 in data", "{\"specversion\":\"1.0\",\"data\":{\"a\":\"\xc3\"}}", "/data", "UTF-8"},
		{"half a surrogate", `{"specversion":"1.0","abc":"\ud83d"}`, "/abc", "surrogate"},
		{"control character", "{\"specversion\":\"1.0\",\"abc\":\"a\nb\"}", "/abc", "control character"},
		{"trailing", `{"specversion":"1.0"} x`, "/", "follows the end (at byte 22)"},
		{"trailing comma", `{"specversion":"1.0",}`, "/", "a name in quotes"},
		{"cut", `{"specversion":"1.0"`, "/", "a comma or }"},
		{"cut in a string", `{"specversion":"1.`, "/specversion", "not closed"},
		{"key twice", `{"specversion":"1.0","partitionkey":"a","leatkeybase64":"YQ=="}`, "/leatkeybase64", "twice"},
		{"headers broken", `{"specversion":"1.0","leatheaders":"a=%zz"}`, "/leatheaders", "percent"},
		{"deep", `{"specversion":"1.0","data":` + strings.Repeat("[", JSONDepthMax+1), "/data", "nests deeper"},
	} {
		var e Event
		err := ParseEventJSON([]byte(c.in), &e)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Subject != c.subject || !strings.Contains(f.Text, c.text) {
			t.Errorf("%s: got %v, want %s: %s", c.name, err, c.subject, c.text)
		}
	}
}

func TestParseEventsJSON_NamesTheEvent(t *testing.T) {
	none := func(int, *Event) error { return nil }
	ok := `{"specversion":"1.0"}`
	for _, c := range []struct {
		name, in, subject string
		kind              fault.Kind
	}{
		{"second broken", `[` + ok + `,{"specversion":"1.0","id":3}]`, "/1/id", fault.Invalid},
		{"third missing", `[` + ok + `,` + ok + `,{}]`, "/2/specversion", fault.Invalid},
		{"no array", ok, "/", fault.Invalid},
		{"no end", `[` + ok, "/", fault.Invalid},
		{"trailing", `[` + ok + `]]`, "/", fault.Invalid},
		{"trailing after none", `[ ] 1`, "/", fault.Invalid},
		{"a comma too many", `[` + ok + `,]`, "/1", fault.Invalid},
		{"too many", `[` + strings.Repeat(ok+",", 3) + ok + `]`, "/3", fault.TooLarge},
	} {
		err := ParseEventsJSON([]byte(c.in), 3, none)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != c.kind || f.Subject != c.subject {
			t.Errorf("%s: got %v, want %v at %s", c.name, err, c.kind, c.subject)
		}
	}
	if err := ParseEventsJSON([]byte(" [ ] "), 3, none); err != nil {
		t.Error(err)
	}
	if err := ParsePartialEventsJSON([]byte(`[{"id":"1"}]`), 3, none); err != nil {
		t.Error(err)
	}
	stop := badAttribute("source", "no")
	err := ParseEventsJSON([]byte(`[`+ok+`]`), 3, func(i int, _ *Event) error { return AtIndex(stop, i) })
	if f := fault.As(err); f.Subject != "/0/source" || stop.Subject != "source" {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	good := Event{ID: "1", Source: "/a", Type: "t"}
	for _, c := range []struct {
		name    string
		edit    func(e *Event)
		subject string // empty: accepted
	}{
		{"minimal", func(*Event) {}, ""},
		{"specversion", func(e *Event) { e.SpecVersion = "1.0" }, ""},
		{"other specversion", func(e *Event) { e.SpecVersion = "1.1" }, "specversion"},
		{"no id", func(e *Event) { e.ID = "" }, "id"},
		{"no source", func(e *Event) { e.Source = "" }, "source"},
		{"no type", func(e *Event) { e.Type = "" }, "type"},
		{"id with a control character", func(e *Event) { e.ID = "a\x00" }, "id"},
		{"id with DEL", func(e *Event) { e.ID = "a\x7f" }, "id"},
		{"id with C1", func(e *Event) { e.ID = "a\u0085" }, "id"},
		{"id with a noncharacter", func(e *Event) { e.ID = "a\ufffe" }, "id"},
		{"id not UTF-8", func(e *Event) { e.ID = "\xff" }, "id"},
		{"id in any script", func(e *Event) { e.ID = "źródło-水路-🌊" }, ""},
		{"source relative", func(e *Event) { e.Source = "1-555-123-4567" }, ""},
		{"source mail", func(e *Event) { e.Source = "mailto:cncf-wg-serverless@lists.cncf.io" }, ""},
		{"source urn", func(e *Event) { e.Source = "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66" }, ""},
		{"source with a space", func(e *Event) { e.Source = "my app" }, "source"},
		{"source with a bad escape", func(e *Event) { e.Source = "/a%2" }, "source"},
		{"source with an escape", func(e *Event) { e.Source = "/a%2F" }, ""},
		{"source with two fragments", func(e *Event) { e.Source = "/a#b#c" }, "source"},
		{"source with a bad scheme", func(e *Event) { e.Source = "1a:b" }, "source"},
		{"source outside ASCII", func(e *Event) { e.Source = "/ü" }, "source"},
		{"time", func(e *Event) { e.Time = "2026-11-21T09:30:00.123456789+02:00" }, ""},
		{"time, a date", func(e *Event) { e.Time = "2026-11-21" }, "time"},
		{"time without zone", func(e *Event) { e.Time = "2026-11-21T09:30:00" }, "time"},
		{"dataschema", func(e *Event) { e.DataSchema = "https://example.com/s#1" }, ""},
		{"dataschema relative", func(e *Event) { e.DataSchema = "/s" }, "dataschema"},
		{"datacontenttype", func(e *Event) { e.DataContentType = "Application/JSON; charset=utf-8" }, ""},
		{"datacontenttype without subtype", func(e *Event) { e.DataContentType = "json" }, "datacontenttype"},
		{"extension", func(e *Event) { e.Extensions = []Attribute{{"traceparent", "00-1"}} }, ""},
		{"extension in capitals", func(e *Event) { e.Extensions = []Attribute{{"traceParent", "x"}} }, "traceParent"},
		{"extension named data", func(e *Event) { e.Extensions = []Attribute{{"data", "x"}} }, "data"},
		{"extension named id", func(e *Event) { e.Extensions = []Attribute{{"id", "x"}} }, "id"},
		{"extension named partitionkey", func(e *Event) { e.Extensions = []Attribute{{"partitionkey", "x"}} }, "partitionkey"},
		{"extension without name", func(e *Event) { e.Extensions = []Attribute{{"", "x"}} }, ""},
		{"extension twice", func(e *Event) { e.Extensions = []Attribute{{"a", "1"}, {"b", "1"}, {"a", "2"}} }, "a"},
		{"extension with a control character", func(e *Event) { e.Extensions = []Attribute{{"a", "\x01"}} }, "a"},
		{"a plain header", func(e *Event) { e.Headers = []Header{{"X-Trace", nil}, {"ce_Trace", nil}, {"ce_", nil}} }, ""},
		{"a header that is an attribute", func(e *Event) { e.Headers = []Header{{"ce_type", nil}} }, HeadersAttribute},
		{"a header that is the content type", func(e *Event) { e.Headers = []Header{{"content-type", nil}} }, HeadersAttribute},
	} {
		e := good
		c.edit(&e)
		err := e.Validate()
		if c.subject == "" && c.name != "extension without name" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Subject != c.subject || f.Text == "" {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]int64{
		"1970-01-01T00:00:00Z": 0, "1970-01-01t00:00:00.5z": 500, "2018-04-05T17:31:00Z": 1522949460000, "2018-04-05T19:31:00.0019+02:00": 1522949460001,
		"0000-01-01T00:00:00Z": timeMinMS, "9999-12-31T23:59:59.999999Z": timeMaxMS, "2016-12-31T23:59:60Z": 1483228800000, "2024-02-29T00:00:00-00:00": 1709164800000,
	} {
		if got, err := ParseTime(s); err != nil || got != want {
			t.Errorf("%s: %d %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "2018-04-05", "2018-04-05T17:31:00", "2018-04-05 17:31:00Z", "2018-13-05T17:31:00Z", "2023-02-29T00:00:00Z", "2018-04-05T24:00:00Z",
		"2018-04-05T17:31:61Z", "2018-04-05T17:31:00.Z", "2018-04-05T17:31:00+2:00", "2018-04-05T17:31:00+24:00", "2018-04-05T17:31:00ZZ", "2018-04-05T17:3a:00Z", "2018-04-05T17:31:00,5Z"} {
		if got, err := ParseTime(s); err == nil {
			t.Errorf("%q was read as %d", s, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(timeMinMS, timeMaxMS).Draw(t, "ms")
		s := string(AppendTime(nil, ms))
		if s != time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Fatal(s)
		}
		if back, err := ParseTime(s); err != nil || back != ms {
			t.Fatalf("%s: %d %v, want %d", s, back, err, ms)
		}
	})
	if got := AppendTime(nil, timeMaxMS+1); got != nil {
		t.Errorf("%s", got)
	}
}

func TestEventToRecord_IsTheBinding(t *testing.T) {
	e := Event{ID: "1", Source: "/s", Type: "t", Subject: "sub", Time: "2018-04-05T17:31:00Z", DataContentType: "application/json", DataSchema: "https://x/",
		Extensions: []Attribute{{"zz", "1"}, {"traceparent", "00"}, {"b", ""}}, Key: []byte("k"), Headers: []Header{{"plain", []byte("x")}, {"plain", nil}}, Data: []byte(`{}`)}
	want := Record{Timestamp: 1522949460000, Key: []byte("k"), Value: []byte("{}"), Headers: []Header{
		{"ce_specversion", []byte("1.0")}, {"ce_id", []byte("1")}, {"ce_source", []byte("/s")}, {"ce_type", []byte("t")}, {"ce_time", []byte("2018-04-05T17:31:00Z")},
		{"ce_subject", []byte("sub")}, {"ce_dataschema", []byte("https://x/")}, {"content-type", []byte("application/json")}, {"ce_partitionkey", []byte("k")},
		{"ce_b", []byte{}}, {"ce_traceparent", []byte("00")}, {"ce_zz", []byte("1")}, {"plain", []byte("x")}, {"plain", nil}}}
	r := EventToRecord(&e, 7)
	if d := diff(want, r); d != "" {
		t.Error(d)
	}
	small := Event{ID: "1", Source: "/s", Type: "t", Subject: "sub", DataNull: true, Time: "1950-01-01T00:00:00Z"}
	if r := EventToRecord(&small, 7); string(r.Key) != "sub" || r.Value != nil || r.Timestamp != 7 || len(r.Headers) != 6 {
		t.Errorf("%+v", r)
	}
	small.Subject = ""
	if r := EventToRecord(&small, 7); r.Key != nil {
		t.Errorf("%+v", r)
	}
}

var defaults = Defaults{Ref: "orders/0/12", StreamURI: "/v1/streams/orders", DefaultType: "orders.event"}

func TestEventFromRecord(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Record
		want string
	}{
		{"a plain record", Record{Timestamp: 1000, Key: []byte("k"), Value: []byte(`{"a":1}`), Headers: []Header{{"X", []byte("1&2")}, {"n", nil}, {"e", []byte{}}}},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","time":"1970-01-01T00:00:01.000Z","subject":"k","partitionkey":"k","leatheaders":"X=1%262&n&e=","data":{"a":1}}`},
		{"no json", Record{Timestamp: NoTimestamp, Value: []byte("hello")},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","data_base64":"aGVsbG8="}`},
		{"text", Record{Timestamp: NoTimestamp, Value: []byte("a\"\n\x01ü"), Headers: []Header{{"content-type", []byte("text/plain")}}},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","datacontenttype":"text/plain","data":"a\"\n\u0001ü"}`},
		{"text that is not UTF-8", Record{Timestamp: NoTimestamp, Value: []byte("\xff"), Headers: []Header{{"content-type", []byte("text/plain")}}},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","datacontenttype":"text/plain","data_base64":"/w=="}`},
		{"a tombstone with a binary key", Record{Timestamp: NoTimestamp, Key: []byte{0, 255}},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","leatkeybase64":"AP8="}`},
		{"an empty key, data over lines", Record{Timestamp: NoTimestamp, Key: []byte{}, Value: []byte(" {\r\n\"a\": \"x\\n\"\n}\n")},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","leatkeybase64":"","data":{"a": "x\n"}}`},
		{"binary mode", Record{Timestamp: 5, Key: []byte("k"), Value: []byte("1"), Headers: []Header{{"ce_type", []byte("T")}, {"ce_id", []byte("I")}, {"ce_id", []byte("J")},
			{"ce_specversion", []byte("1.0")}, {"ce_time", []byte("2018-04-05T17:31:00Z")}, {"ce_subject", []byte("S")}, {"ce_zz", []byte("1")}, {"ce_Bad", []byte("2")}, {"ce_aa", []byte("\xff")},
			{"ce_bb", []byte{}}, {"ce_partitionkey", []byte("k")}}},
			`{"specversion":"1.0","id":"I","source":"/v1/streams/orders","type":"T","time":"2018-04-05T17:31:00Z","subject":"S","partitionkey":"k","bb":"","zz":"1","leatheaders":"ce_id=J&ce_Bad=2&ce_aa=%FF","data":1}`},
		{"another partitionkey and specversion", Record{Timestamp: NoTimestamp, Key: []byte("k"), Headers: []Header{{"ce_partitionkey", []byte("p")}, {"ce_specversion", []byte("0.3")}}},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","subject":"k","partitionkey":"k","leatheaders":"ce_specversion=0.3&ce_partitionkey=p"}`},
		{"structured mode", Record{Timestamp: 5, Key: []byte("k"), Value: []byte(`{"specversion":"1.0","id":"I","source":"/s","type":"T","data":{"x":"é"}}`), Headers: []Header{
			{"content-type", []byte("application/cloudevents+json; charset=UTF-8")}, {"ce_id", []byte("I")}, {"ce_type", []byte("U")}, {"h", []byte("v")}}},
			`{"specversion":"1.0","id":"I","source":"/s","type":"T","time":"1970-01-01T00:00:00.005Z","subject":"k","partitionkey":"k","leatheaders":"ce_type=U&h=v","data":{"x":"é"}}`},
		{"structured mode that is none", Record{Timestamp: NoTimestamp, Value: []byte(`{"id":3}`), Headers: []Header{{"content-type", []byte("application/cloudevents+json")}}},
			`{"specversion":"1.0","id":"orders/0/12","source":"/v1/streams/orders","type":"orders.event","datacontenttype":"application/cloudevents+json","data":{"id":3}}`},
	} {
		e := EventFromRecord(&c.r, defaults)
		if d := diff(c.want, string(e.AppendJSON(nil, nil))); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func genText(t *rapid.T, name string) string {
	return rapid.StringMatching(`[ -~é水🌊]{1,12}`).Draw(t, name)
}

func genEvent(t *rapid.T) Event {
	e := Event{ID: genText(t, "id"), Type: genText(t, "type"), Source: rapid.StringMatching(`/[a-z0-9%/]{0,3}`).Filter(func(s string) bool { return badURIReference(s) == "" }).Draw(t, "source")}
	e.Subject = rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z"\\ü]{1,8}`)).Draw(t, "subject")
	e.Time = rapid.SampledFrom([]string{"", "2018-04-05T17:31:00Z", "2026-01-01T00:00:00.123+01:00"}).Draw(t, "time")
	e.DataContentType = rapid.SampledFrom([]string{"", "application/json", "text/plain", "application/octet-stream", "application/x+json; a=b"}).Draw(t, "ct")
	for name := range rapid.MapOfN(rapid.StringMatching(`x[a-z0-9]{1,6}`), rapid.Bool(), 0, 4).Draw(t, "ext") {
		e.addExtension(name, rapid.StringMatching(`[ -~é]{0,9}`).Draw(t, "value"))
	}
	e.Key = genBytes(t, "key")
	if e.Key == nil && e.Subject != "" {
		e.Key = []byte(e.Subject) // what a record makes of it
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		e.Headers = append(e.Headers, Header{"h" + rapid.String().Draw(t, "hk"), genBytes(t, "hv")})
	}
	switch rapid.IntRange(0, 2).Draw(t, "data") {
	case 0:
		e.DataNull = true
	case 1:
		e.Data = []byte(rapid.SampledFrom([]string{`null`, `{"a":[1,2.5e3,"x\u00e9"]}`, `"s"`, `true`}).Draw(t, "json"))
	default:
		e.Data = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "bytes")...)
	}
	return e
}

// An event goes through a record and through JSON, in any order, and is the same.
func TestEvent_NothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(t)
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		e.SpecVersion = "1.0"
		r := EventToRecord(&e, 99)
		p, err := BuildBatch([]Record{r})
		if err != nil {
			t.Fatal(err)
		}
		want := e
		if want.Time == "" {
			want.Time = "1970-01-01T00:00:00.099Z"
		}
		if want.Subject == "" && len(want.Key) > 0 && isText(want.Key) {
			want.Subject = string(want.Key)
		}
		if err := EachRecord(p, DefaultInflateLimits(), func(_ int, r *Record) error {
			got := EventFromRecord(r, defaults)
			if d := diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("through a record: %s", d)
			}
			var again Event
			text := got.AppendJSON(nil, nil)
			if bytes.ContainsAny(text, "\r\n") {
				t.Fatalf("more than one line: %q", text)
			}
			if err := ParseEventJSON(text, &again); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if d := diff(want, again, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("through JSON %s: %s", text, d)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAppendJSON_Extra(t *testing.T) {
	e := Event{ID: "1", Source: "/", Type: "t", Extensions: []Attribute{{"b", "2"}, {"a", "1"}}, Data: []byte("[]")}
	got := string(e.AppendJSON([]byte("x"), func(dst []byte) []byte { return append(dst, `,"leatposition":"P"`...) }))
	if want := `x{"specversion":"1.0","id":"1","source":"/","type":"t","a":"1","b":"2","leatposition":"P","data":[]}`; got != want {
		t.Errorf("got %s", got)
	}
	if e.Extensions[0].Name != "b" {
		t.Error("the event was changed")
	}
}

const benchEvent = `{"specversion":"1.0","id":"9b2f6c1e-7d0a-4b57-9a55-2f8f3a1c0d11","source":"/shop/checkout","type":"com.example.order.created","time":"2026-11-21T09:30:00.123Z","subject":"order-1234567","partitionkey":"order-1234567","datacontenttype":"application/json","data":{"order":1234567,"customer":"c-99","total":129.90,"currency":"EUR"}}`

func BenchmarkParseEventJSON(b *testing.B) {
	p := []byte(benchEvent)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	var e Event
	for b.Loop() {
		if err := ParseEventJSON(p, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	e := mustParse(b, benchEvent)
	for b.Loop() {
		if err := e.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e := mustParse(b, benchEvent)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0], nil)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkEventToRecordAndBack(b *testing.B) {
	e := mustParse(b, benchEvent)
	var r Record
	var back Event
	b.ReportAllocs()
	for b.Loop() {
		e.IntoRecord(&r, 1)
		back.FromRecord(&r, defaults)
	}
}

func TestEventPaths_AllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := mustParse(t, benchEvent)
	var r Record
	var back, parsed Event
	dst := make([]byte, 0, 1024)
	p := []byte(benchEvent)
	e.IntoRecord(&r, 1)
	for name, fn := range map[string]func(){
		"AppendJSON":     func() { dst = e.AppendJSON(dst[:0], nil) },
		"IntoRecord":     func() { e.IntoRecord(&r, 1) },
		"FromRecord":     func() { back.FromRecord(&r, defaults) },
		"ParseEventJSON": func() { _ = ParseEventJSON(p, &parsed) },
		"Validate":       func() { _ = e.Validate() },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
