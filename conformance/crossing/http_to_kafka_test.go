package crossing

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// wanted is a record as the Kafka binding asks for it: attributes are headers ce_<name>, datacontenttype is content-type, the key is
// partitionkey.
type wanted struct{ key, value, headers string }

func check(t *testing.T, got *kgo.Record, want wanted) {
	t.Helper()
	if k := text(got.Key); k != want.key {
		t.Errorf("key %s; want %s", k, want.key)
	}
	if v := text(got.Value); v != want.value {
		t.Errorf("value %s; want %s", v, want.value)
	}
	if h, w := headers(got), strings.TrimLeft(want.headers, "\n"); h != w {
		t.Errorf("headers\n%swant\n%s", h, w)
	}
}

func TestHTTPToKafka_Binary(t *testing.T) {
	request(t, http.StatusCreated, "POST", "/v1/streams/binary/events", map[string]string{
		"ce-specversion": "1.0", "ce-id": "A%20%221%22", "ce-source": "/shop/a%2520b", "ce-type": "order.placed", "ce-subject": "Gr%C3%B6%C3%9Fe%20%E2%82%AC%F0%9F%98%80",
		"ce-time": "2026-11-21T09:30:00.123456789+02:00", "ce-dataschema": "https://example.org/s#1", "ce-partitionkey": "4711",
		"ce-traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "ce-retries": "3", "Content-Type": "application/json; charset=utf-8",
	}, "{ \"total\" : 12.50,\n\t\"note\":\"\\u00e9\" }")
	r := consume(t, "binary", 1)[0]
	check(t, r, wanted{`"4711"`, `"{ \"total\" : 12.50,\n\t\"note\":\"\\u00e9\" }"`, `
ce_specversion="1.0"
ce_id="A \"1\""
ce_source="/shop/a%20b"
ce_type="order.placed"
ce_time="2026-11-21T09:30:00.123456789+02:00"
ce_subject="Größe €😀"
ce_dataschema="https://example.org/s#1"
content-type="application/json; charset=utf-8"
ce_partitionkey="4711"
ce_retries="3"
ce_traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
`})
	if at := r.Timestamp.UTC(); !at.Equal(time.Date(2026, 11, 21, 7, 30, 0, 123e6, time.UTC)) {
		t.Errorf("timestamp %v is not the event's time", at)
	}
}

func TestHTTPToKafka_Structured(t *testing.T) {
	for _, c := range []struct {
		stream, event string
		want          wanted
	}{
		{"json", `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"orders/7","data":{"a" : [1,2.0,"x\u0041"]},"on":true,"n":-5}`, wanted{
			`"orders/7"`, `"{\"a\" : [1,2.0,\"x\\u0041\"]}"`, `
ce_specversion="1.0"
ce_id="1"
ce_source="/s"
ce_type="t"
ce_subject="orders/7"
ce_n="-5"
ce_on="true"
`,
		}},
		{"text", `{"specversion":"1.0","id":"2","source":"urn:x:1","type":"t","datacontenttype":"text/plain","data":"line\n\"two\" \ud83d\ude00","partitionkey":"\u00fc"}`, wanted{
			`"ü"`, `"line\n\"two\" 😀"`, `
ce_specversion="1.0"
ce_id="2"
ce_source="urn:x:1"
ce_type="t"
content-type="text/plain"
ce_partitionkey="ü"
`,
		}},
		{"bytes", `{"specversion":"1.0","id":"3","source":"/s","type":"t","datacontenttype":"image/png","data_base64":"iVBORwD/"}`, wanted{
			`null`, `"\x89PNG\x00\xff"`, `
ce_specversion="1.0"
ce_id="3"
ce_source="/s"
ce_type="t"
content-type="image/png"
`,
		}},
		{"nothing", `{"specversion":"1.0","id":"4","source":"/s","type":"t","partitionkey":"k"}`, wanted{
			`"k"`, `null`, `
ce_specversion="1.0"
ce_id="4"
ce_source="/s"
ce_type="t"
ce_partitionkey="k"
`,
		}},
		{"empty", `{"specversion":"1.0","id":"5","source":"/s","type":"t","datacontenttype":"text/plain","data":""}`, wanted{
			`null`, `""`, `
ce_specversion="1.0"
ce_id="5"
ce_source="/s"
ce_type="t"
content-type="text/plain"
`,
		}},
		{"binary-key", `{"specversion":"1.0","id":"6","source":"/s","type":"t","leatkeybase64":"AP8=","leatheaders":"trace=%00%01&flag"}`, wanted{
			`"\x00\xff"`, `null`, `
ce_specversion="1.0"
ce_id="6"
ce_source="/s"
ce_type="t"
trace="\x00\x01"
flag=null
`,
		}},
	} {
		t.Run(c.stream, func(t *testing.T) {
			publish(t, "structured-"+c.stream, structured, c.event)
			check(t, consume(t, "structured-"+c.stream, 1)[0], c.want)
		})
	}
}

func TestHTTPToKafka_Batch(t *testing.T) {
	publish(t, "batch", batched, `[
		{"specversion":"1.0","id":"1","source":"/s","type":"a","partitionkey":"k1","subject":"s","data":1},
		{"specversion":"1.0","id":"2","source":"/s","type":"b","data_base64":""},
		{"specversion":"1.0","id":"3","source":"/s","type":"c","data":null}]`)
	got := consume(t, "batch", 3)
	check(t, got[0], wanted{`"k1"`, `"1"`, "ce_specversion=\"1.0\"\nce_id=\"1\"\nce_source=\"/s\"\nce_type=\"a\"\nce_subject=\"s\"\nce_partitionkey=\"k1\"\n"})
	check(t, got[1], wanted{`null`, `""`, "ce_specversion=\"1.0\"\nce_id=\"2\"\nce_source=\"/s\"\nce_type=\"b\"\n"})
	check(t, got[2], wanted{`null`, `"null"`, "ce_specversion=\"1.0\"\nce_id=\"3\"\nce_source=\"/s\"\nce_type=\"c\"\n"})
	for i, r := range got {
		if r.Offset != int64(i) {
			t.Errorf("event %d is at offset %d", i, r.Offset)
		}
	}
}

func TestHTTPToKafka_PlainBodyHasDefaults(t *testing.T) {
	request(t, http.StatusCreated, "POST", "/v1/streams/plain/events", map[string]string{"Content-Type": "text/csv", "Leat-Key": "k"}, "a;b\r\n")
	r := consume(t, "plain", 1)[0]
	var id string
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			id = string(h.Value)
		}
	}
	if id == "" {
		t.Error("the event has no id")
	}
	check(t, r, wanted{`"k"`, `"a;b\r\n"`, "ce_specversion=\"1.0\"\nce_id=\"" + id + "\"\nce_source=\"/streams/plain\"\nce_type=\"leat.record\"\ncontent-type=\"text/csv\"\nce_partitionkey=\"k\"\n"})
}
