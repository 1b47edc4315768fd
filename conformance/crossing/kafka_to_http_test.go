package crossing

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// at is the timestamp of the records, and as an event has it.
var at = time.UnixMilli(1_795_253_400_123)

const atText = `"time":"2026-11-21T09:30:00.123Z"`

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

// records are what Kafka clients send, and what is to be seen of each by HTTP.
var records = []struct {
	name   string
	record kgo.Record
	want   string
}{
	{"binary mode", kgo.Record{Key: []byte("4711"), Value: []byte(`{"total" : 12}`), Headers: []kgo.RecordHeader{
		header("ce_specversion", "1.0"), header("ce_id", "A \"1\""), header("ce_source", "/shop"), header("ce_type", "order.placed"), header("ce_time", "2026-11-21T09:30:00.123456789+02:00"),
		header("ce_subject", "Größe €😀\\"), header("ce_traceparent", "00-1-2-01"), header("ce_dataschema", "https://example.org/s"), header("content-type", "application/json"), header("ce_partitionkey", "4711"),
	}}, `{"specversion":"1.0","id":"A \"1\"","source":"/shop","type":"order.placed","time":"2026-11-21T09:30:00.123456789+02:00","subject":"Größe €😀\\","partitionkey":"4711",` +
		`"datacontenttype":"application/json","dataschema":"https://example.org/s","traceparent":"00-1-2-01","data":{"total" : 12}}`},
	{"structured mode", kgo.Record{
		Key: []byte("k"), Value: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-21T09:30:00Z","subject":"x","data":[1, 2]}`),
		Headers: []kgo.RecordHeader{header("content-type", "application/cloudevents+json; charset=UTF-8")},
	}, `{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-21T09:30:00Z","subject":"x","partitionkey":"k","data":[1, 2]}`},
	{"text key, JSON", kgo.Record{Key: []byte("customer-7"), Value: []byte(`{"a":1}`)},
		`{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"subject":"customer-7","partitionkey":"customer-7","data":{"a":1}}`},
	{"null key, not JSON", kgo.Record{Value: []byte("hello")},
		`{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"data_base64":"aGVsbG8="}`},
	{"text that says so", kgo.Record{Value: []byte("Grüße\n"), Headers: []kgo.RecordHeader{header("content-type", "text/plain")}},
		`{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"datacontenttype":"text/plain","data":"Grüße\n"}`},
	{"null value", kgo.Record{Key: []byte("gone")},
		`{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"subject":"gone","partitionkey":"gone"}`},
	{"empty key and value", kgo.Record{Key: []byte{}, Value: []byte{}, Headers: []kgo.RecordHeader{header("content-type", "text/plain")}},
		`{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"leatkeybase64":"","datacontenttype":"text/plain","data":""}`},
	{"binary key and value", kgo.Record{Key: []byte{0, 0xff}, Value: []byte{0xde, 0xad, 0xbe, 0xef}, Headers: []kgo.RecordHeader{header("content-type", "application/octet-stream")}},
		`{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"leatkeybase64":"AP8=","datacontenttype":"application/octet-stream","data_base64":"3q2+7w=="}`},
	{"headers that are no attributes", kgo.Record{Key: []byte("k"), Value: []byte("1"), Headers: []kgo.RecordHeader{
		header("trace", "\x00\x01 ü"), {Key: "none"}, header("ce_Not-A-Name", "x"), header("trace", ""),
	}}, `{"specversion":"1.0","id":"${ref}","source":"/streams/${stream}","type":"leat.record",` + atText + `,"subject":"k","partitionkey":"k",` +
		`"leatheaders":"trace=%00%01%20%C3%BC&none&ce_Not-A-Name=x&trace=","data":1}`},
	{"binary mode of a null value", kgo.Record{Headers: []kgo.RecordHeader{
		header("ce_specversion", "1.0"), header("ce_id", "9"), header("ce_source", "/s"), header("ce_type", "t"), header("ce_time", "2026-11-21T09:30:00Z"),
	}}, `{"specversion":"1.0","id":"9","source":"/s","type":"t","time":"2026-11-21T09:30:00Z"}`},
}

func produceAll(t *testing.T, stream string) {
	t.Helper()
	var all []*kgo.Record
	for _, c := range records {
		r := c.record
		r.Timestamp = at
		all = append(all, &r)
	}
	produce(t, stream, all...)
}

func TestKafkaToHTTP_PageAndServerSentEventsSayTheSame(t *testing.T) {
	const stream = "from-kafka"
	produceAll(t, stream)
	pages, followed := page(t, stream), follow(t, stream, len(records))
	if len(pages) != len(records) {
		t.Fatalf("the page has %d events", len(pages))
	}
	for i, c := range records {
		want := strings.NewReplacer("${stream}", stream, "${ref}", stream+"/0/"+string(rune('0'+i))).Replace(c.want)
		if string(pages[i]) != want {
			t.Errorf("%s: the page has\n%s\nwant\n%s", c.name, pages[i], want)
		}
		if !bytes.Equal(pages[i], followed[i]) {
			t.Errorf("%s: a follower got\n%s\nthe page has\n%s", c.name, followed[i], pages[i])
		}
	}
}

// Kafka → HTTP → HTTP → Kafka: what a page shows can be published as it stands, and is then the same record again, but for the attributes
// that it got because a CloudEvent must have them.
func TestRoundTrip_KafkaToHTTPToKafka(t *testing.T) {
	produceAll(t, "there")
	var events []string // joined by hand: json.Marshal would take the spaces out of the data
	for _, e := range page(t, "there") {
		events = append(events, string(e))
	}
	publish(t, "back", batched, "["+strings.Join(events, ",")+"]")
	first, second := consume(t, "there", len(records)), consume(t, "back", len(records))
	for i, c := range records {
		if c.name == "structured mode" { // stands in binary mode now, as the same event
			continue
		}
		if text(first[i].Key) != text(second[i].Key) || text(first[i].Value) != text(second[i].Value) {
			t.Errorf("%s: %s %s came back as %s %s", c.name, text(first[i].Key), text(first[i].Value), text(second[i].Key), text(second[i].Value))
		}
		back := headers(second[i])
		for line := range strings.Lines(headers(first[i])) {
			if !strings.Contains(back, line) {
				t.Errorf("%s: header %s did not come back in\n%s", c.name, line, back)
			}
		}
	}
	if a, b := page(t, "there"), page(t, "back"); len(a) == len(b) {
		for i := range a {
			if !bytes.Equal(a[i], b[i]) {
				t.Errorf("%s: the event\n%s\ncame back as\n%s", records[i].name, a[i], b[i])
			}
		}
	} else {
		t.Errorf("%d events came back as %d", len(a), len(b))
	}
}

// HTTP → Kafka → Kafka → HTTP: records that a Kafka client copies are the same events.
func TestRoundTrip_HTTPToKafkaToHTTP(t *testing.T) {
	events := []string{
		`{"specversion":"1.0","id":"Ä \"1\" \\ %25 \u0026 <b>","source":"/a%20b?c=d&e#f","type":"t/ü","time":"2026-11-21T09:30:00.000000001-11:30","subject":"a/+/#","partitionkey":"k k","datacontenttype":"application/json","dataschema":"urn:s","x":"` + strings.Repeat("long ü ", 500) + `","data":{"b" :  1e400, "a":"\u2028"}}`,
		`{"specversion":"1.0","id":"2","source":"/s","type":"t","time":"2026-11-21T09:30:00Z","datacontenttype":"application/x-bin","data_base64":"AAEC/w=="}`,
		`{"specversion":"1.0","id":"3","source":"/s","type":"t","time":"2026-11-21T09:30:00Z","subject":"only a subject"}`,
	}
	publish(t, "origin", batched, "["+strings.Join(events, ",")+"]")
	copies := consume(t, "origin", len(events))
	for i, r := range copies {
		copies[i] = &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
	}
	produce(t, "copy", copies...)
	a, b := page(t, "origin"), page(t, "copy")
	if len(a) != len(events) || len(b) != len(events) {
		t.Fatalf("%d and %d events", len(a), len(b))
	}
	for i := range events {
		if !bytes.Equal(a[i], b[i]) {
			t.Errorf("the event\n%s\nwas copied as\n%s", a[i], b[i])
		}
		var sent, got map[string]any
		if json.Unmarshal([]byte(strings.Replace(events[i], "1e400", "1e300", 1)), &sent) != nil ||
			json.Unmarshal(bytes.Replace(a[i], []byte("1e400"), []byte("1e300"), 1), &got) != nil {
			t.Fatalf("no JSON: %s", a[i])
		}
		for name, v := range sent {
			if x, _ := json.Marshal(v); name != "data" {
				if y, _ := json.Marshal(got[name]); !bytes.Equal(x, y) {
					t.Errorf("attribute %s: %s came out as %s", name, x, y)
				}
			}
		}
	}
	if !bytes.Contains(a[0], []byte(`"data":{"b" :  1e400, "a":"\u2028"}`)) {
		t.Errorf("data is not what it was: %s", a[0])
	}
}
