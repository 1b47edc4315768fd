package http

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leat/broker"
	"leat/broker/record"
)

func header(pairs ...string) (out []record.Header) {
	for i := 0; i < len(pairs); i += 2 {
		h := record.Header{Key: pairs[i], Value: []byte(pairs[i+1])}
		if pairs[i+1] == "<null>" {
			h.Value = nil
		}
		out = append(out, h)
	}
	return out
}

// exotic are records that are hard to write down.
func exotic() []record.Record {
	ce := func(more ...string) []record.Header {
		return header(append([]string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t"}, more...)...)
	}
	many := make([]string, 0, 140)
	for i := range 64 {
		many = append(many, fmt.Sprintf("ce_x%02d", i), "v")
	}
	structured := `{"specversion":"1.0","id":"7","source":"/s","type":"t","data":{"a":1}}`
	return []record.Record{
		{}, {Timestamp: -1}, {Timestamp: 1}, {Value: []byte{}}, {Key: []byte{}}, {Key: []byte("k")}, {Key: []byte("k\x00\xff")}, {Value: []byte("plain")},
		{Value: []byte(`{"a":1}`)}, {Value: []byte("{\n \"a\": 1\n}")}, {Value: []byte(" {} ")}, {Value: []byte("null")}, {Value: []byte(`"text"`)}, {Value: []byte{0xff, 0, 1}},
		{Value: []byte("1"), Headers: header("a", "1", "a", "2", "", "", "b", "<null>")},
		{Headers: header("\xff\xfe", "x", "a&b=c%+ d", "e&f=g%+ h")},
		{Headers: header("leatref", "x", "ce_leatref", "y", "ce_leattimestamp", "z")},
		{Headers: ce(), Value: []byte(`{"a":1}`)}, {Headers: ce("ce_subject", "s"), Key: []byte("s")}, {Headers: ce("ce_subject", "s")}, {Headers: ce("ce_subject", "s"), Key: []byte("k")},
		{Headers: ce("ce_partitionkey", "k"), Key: []byte("k")}, {Headers: ce("ce_partitionkey", "k")}, {Headers: ce("ce_partitionkey", "other"), Key: []byte("k")},
		{Headers: ce("ce_time", "2026-01-01T00:00:00Z"), Timestamp: 5}, {Headers: ce("ce_time", "yesterday"), Timestamp: 5}, {Headers: ce("ce_time", "2026-01-01T01:00:00.123456+01:00")},
		{Headers: ce("content-type", "text/plain"), Value: []byte("two\nlines \u2028 ü")}, {Headers: ce("content-type", "text/plain"), Value: []byte{0xff}},
		{Headers: ce("content-type", "application/json"), Value: []byte("{\"a\":\r\n1}")}, {Headers: ce("content-type", "application/json"), Value: []byte("not json")},
		{Headers: ce("content-type", "application/json"), Value: []byte(`{"a":1}`), Key: []byte{0xff}}, {Headers: ce("content-type", "image/png"), Value: []byte("abc")},
		{Headers: ce("ce_leatown", "x")}, {Headers: ce("ce_leatheaders", "a=b"), Value: []byte("1")}, {Headers: ce(many...)}, {Headers: ce("ce_id", "2")},
		{Headers: header("ce_id", "1"), Value: []byte("1")}, {Headers: header("ce_type", "t", "ce_source", "/s", "ce_id", "1", "ce_specversion", "1.0")},
		{Headers: header("ce_specversion", "1.0", "ce_id", "1", "ce_source", "not a uri %", "ce_type", "t")}, {Headers: ce("ce_ext", "v", "plain", "p", "traceparent", "00-1")},
		{Headers: ce("ce_b", "2", "ce_a", "1")}, {Headers: ce("ce_a", "1", "ce_b", "<null>")},
		{Headers: header("content-type", "application/cloudevents+json"), Value: []byte(structured)}, {Headers: header("content-type", "application/cloudevents+json; x", "k", "v"), Value: []byte(structured + "\n")},
		{Headers: header("content-type", "application/cloudevents+json"), Value: []byte(`{"specversion":"1.0","id":"7","source":"/s","type":"t","leatref":"a/0/1","leattimestamp":1}`)},
		{Headers: header("content-type", "\x00\xff"), Value: []byte("x")},
	}
}

// store appends records to a stream as a producer of batches does.
func (s *served) store(stream string, p record.PartitionID, records []record.Record) {
	s.t.Helper()
	b, err := record.BuildBatch(records)
	if err != nil {
		s.t.Fatal(err)
	}
	q := s.broker.SubmitBatches(context.Background(), &broker.Caller{}, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: stream, Partition: p, Batch: b}}})
	if r := q.Wait(context.Background())[0]; r.Err != nil {
		s.t.Fatal(r.Err)
	}
}

// stored reads all records of a stream's partition.
func (s *served) stored(stream string, p record.PartitionID) (out []record.Record) {
	s.t.Helper()
	for _, r := range s.broker.Read(context.Background(), &broker.Caller{}, []broker.Cursor{{Stream: stream, Partition: p, BytesMax: 64 << 20}}, 64<<20) {
		if r.Err != nil {
			s.t.Fatal(r.Err)
		}
		for _, b := range r.Batches {
			if err := record.EachRecord(b.Raw, record.DefaultInflateLimits(), func(_ int, r *record.Record) error { out = append(out, r.Clone()); return nil }); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return out
}

// export reads all pieces.
func (s *served) export(path string) string {
	s.t.Helper()
	var out strings.Builder
	for {
		a := s.want(200, "GET", path, "")
		out.Write(a.body)
		if a.header.Get("Leat-Caught-Up") == "true" {
			return out.String()
		}
		before, query, _ := strings.Cut(path, "?")
		path = before + "?from=" + a.header.Get("Leat-Next")
		for p := range strings.SplitSeq(query, "&") {
			if !strings.HasPrefix(p, "from=") && p != "" {
				path += "&" + p
			}
		}
	}
}

var lines = []string{"Content-Type", "application/x-ndjson"}

// What goes out comes in again, byte by byte.
func TestExport_RoundTrip(t *testing.T) {
	s := start(t, nil)
	s.want(201, "PUT", "/v1/streams/from", `{"partitions":2,"keys":"off"}`)
	s.want(201, "PUT", "/v1/streams/to", `{"partitions":2,"keys":"off"}`)
	s.store("from", 0, exotic())
	s.store("from", 1, exotic()[5:20])
	s.want(201, "POST", "/v1/streams/from/events", "hello", "Leat-Key", "k")
	s.want(201, "POST", "/v1/streams/from/events", event("1", "t", "key", `{"x":[1, 2]}`), "Content-Type", "application/cloudevents+json")
	s.want(201, "POST", "/v1/streams/from/events", "<a/>", "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/s", "Ce-Type", "t", "Ce-Subject", "a b", "Content-Type", "text/xml")
	text := s.export("/v1/streams/from/export?limit=7")
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		var e record.Event
		if err := record.ParseEventJSON([]byte(line), &e); err != nil {
			t.Errorf("%s is no CloudEvent: %v", line, err)
		}
	}
	a := s.want(201, "POST", "/v1/streams/to/import", text, lines...)
	n := strings.Count(text, "\n")
	if a.str("events") != fmt.Sprint(n) || a.str("duplicates") != "0" {
		t.Fatalf("%s, of %d", a.body, n)
	}
	for p := range record.PartitionID(2) {
		from, to := s.stored("from", p), s.stored("to", p)
		if len(from) != len(to) || len(from) == 0 {
			t.Fatalf("partition %d: %d and %d records", p, len(from), len(to))
		}
		for i := range from {
			if d := cmp.Diff(from[i], to[i], cmpopts.EquateComparable()); d != "" {
				t.Errorf("partition %d, record %d: %s", p, i, d)
			}
		}
	}
	// The same once more is there already.
	if a := s.want(201, "POST", "/v1/streams/to/import", text, lines...); a.str("duplicates") != fmt.Sprint(n) {
		t.Errorf("again: %s", a.body)
	}
	// What is readable is written readably.
	for _, want := range []string{`"data":{"x":[1, 2]}`, `"data":"<a/>"`, `"leatderived":"time subject"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestExport_FromAndUntil(t *testing.T) {
	s := start(t, nil)
	var positions []string
	for i := range 10 {
		a := s.want(201, "POST", "/v1/streams/s/events", fmt.Sprint(i))
		positions = append(positions, a.str("position"))
	}
	for query, want := range map[string]int{
		"": 10, "from=offset:4": 6, "until=offset:4": 4, "from=offset:2&until=offset:5": 3, "from=latest": 0, "until=-1h": 0, "until=2999-01-01T00:00:00Z": 10,
		"until=" + positions[3]: 4, "from=" + positions[3] + "&until=" + positions[5]: 2, "until=latest": 10,
	} {
		if got := strings.Count(s.export("/v1/streams/s/export?limit=3&"+query), "\n"); got != want {
			t.Errorf("%s: %d events, want %d", query, got, want)
		}
	}
	for query, field := range map[string]string{"until=soon": "until", "from=soon": "from", "wait=1h": "wait", "form=1": "form", "limit=0": "limit"} {
		a := s.do("GET", "/v1/streams/s/export?from=latest&"+strings.Replace(query, "from=soon", "limit=1&x", 1), "")
		if query == "from=soon" {
			a = s.do("GET", "/v1/streams/s/export?from=soon", "")
		}
		checkProblem(t, a, 400)
		if a.str("field") != field {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	checkProblem(t, s.do("GET", "/v1/streams/none/export", ""), 404)
	// A request can wait for more.
	go func() { s.do("POST", "/v1/streams/s/events", "more") }()
	if a := s.want(200, "GET", "/v1/streams/s/export?wait=20s&from="+positions[9], ""); bytes.Count(a.body, []byte("\n")) != 1 {
		t.Errorf("waited: %s", a.body)
	}
}

func TestImport_Refusals(t *testing.T) {
	s := start(t, nil)
	good := `{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/0/1","leattimestamp":7}` + "\n"
	for _, c := range []struct{ line, pointer, text string }{
		{`{"specversion":"1.0"`, "/2", "byte"},
		{`{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/0","leattimestamp":7}`, "/2/leatref", "orders/0/1234"},
		{`{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/0/1"}`, "/2/leattimestamp", "milliseconds"},
		{`{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/0/1","leattimestamp":7,"leatderived":"id"}`, "/2/leatderived", "id"},
		{`{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/0/1","leattimestamp":7,"leatrecordheaders":"2:a=b"}`, "/2/leatrecordheaders", "number"},
		{`{"specversion":"1.0","id":"1","source":" ","type":"t","leatref":"a/0/1","leattimestamp":7}`, "/2/source", "URI"},
		{`{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"soon"}`, "/2/time", "RFC 3339"},
		{`{"specversion":"1.0","id":"1","source":"/s","type":"t","leatref":"a/3/1","leattimestamp":7}`, "/2", "partition 3"},
	} {
		a := s.do("POST", "/v1/streams/s/import", good+"\n"+c.line+"\n", lines...)
		if a.code != 400 && a.code != 404 || a.str("pointer") != c.pointer || !strings.Contains(a.str("detail"), c.text) {
			t.Errorf("%s: %d %s", c.line, a.code, a.body)
		}
	}
	if got := s.do("GET", "/v1/streams/s/events", ""); got.code == 200 && got.len("events") != 0 {
		t.Errorf("something of a refused import was stored: %s", got.body)
	}
	checkProblem(t, s.do("POST", "/v1/streams/s/import", good), 415)
	checkProblem(t, s.do("POST", "/v1/streams/s/import", "\n\n", lines...), 400)
	s.want(201, "POST", "/v1/streams/s/import?partitions=any", strings.Replace(good, "a/0/1", "a/3/1", 1), lines...)
	s.want(201, "POST", "/v1/streams/s/import", `{"type":"a","data":1}`, lines...) // any CloudEvent
}

// Any line is either refused or makes a record whose own line makes it again.
func FuzzExact(f *testing.F) {
	s := start(f, nil)
	s.want(201, "PUT", "/v1/streams/s", `{"keys":"off"}`)
	s.store("s", 0, exotic())
	for line := range bytes.SplitSeq([]byte(s.export("/v1/streams/s/export?")), []byte("\n")) {
		f.Add(bytes.Clone(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var e record.Event
		if record.ParsePartialEventJSON(line, &e) != nil {
			return
		}
		x, ok, err := takeExact(&e)
		if err != nil || !ok || !x.verbatim && e.Validate() != nil {
			return
		}
		var r record.Record
		x.record(&e, &r)
		again := r.Clone()
		var w exactWriter
		d := broker.Delivered{Ref: x.ref, Record: &again}
		made := w.appendRecord(nil, &d, record.EventFromRecord(&again, record.Defaults{Ref: "a/0/1", StreamURI: "/a", DefaultType: "t"}))
		var e2 record.Event
		if err := record.ParsePartialEventJSON(made, &e2); err != nil {
			t.Fatalf("%s: %v", made, err)
		}
		x2, ok, err := takeExact(&e2)
		if err != nil || !ok {
			t.Fatalf("%s: %v", made, err)
		}
		var r2 record.Record
		if x2.record(&e2, &r2); !sameRecord(&r, &r2) || r.Timestamp != r2.Timestamp || x.ref != x2.ref {
			t.Fatalf("%s\nmade\n%s\n%+v\n%+v", line, made, r, r2)
		}
	})
}

func BenchmarkExact(b *testing.B) {
	s := start(b, nil)
	s.want(201, "PUT", "/v1/streams/s", `{"keys":"off"}`)
	value := `{"text":"` + strings.Repeat("x", 1000) + `"}`
	var rs []record.Record
	for range 500 {
		rs = append(rs, record.Record{Timestamp: 1, Key: []byte("k"), Value: []byte(value),
			Headers: header("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t", "content-type", "application/json", "ce_partitionkey", "k")})
	}
	s.store("s", 0, rs)
	page, err := s.broker.ReadPage(context.Background(), &broker.Caller{}, broker.PageRequest{Streams: []string{"s"}, Limit: 500})
	if err != nil {
		b.Fatal(err)
	}
	var w exactWriter
	var text []byte
	for _, d := range page.Events {
		text = append(w.append(text, d), '\n')
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(500 * len(value)))
		var buf []byte
		for b.Loop() {
			buf = buf[:0]
			for _, d := range page.Events {
				buf = append(w.append(buf, d), '\n')
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(500 * len(value)))
		var e record.Event
		var r record.Record
		for b.Loop() {
			for line := range bytes.SplitSeq(bytes.TrimSpace(text), []byte("\n")) {
				if err := record.ParsePartialEventJSON(line, &e); err != nil {
					b.Fatal(err)
				}
				x, _, err := takeExact(&e)
				if err != nil || e.Validate() != nil {
					b.Fatal(err)
				}
				x.record(&e, &r)
			}
		}
	})
}
