package clienttest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

const (
	order    = `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}`
	orderToo = `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"n","type":"int","default":0}]}`
	orderBad = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}`
)

func TestFranzGo(t *testing.T) {
	ctx := t.Context()
	c, err := sr.NewClient(sr.URLs(start(t).registry))
	if err != nil {
		t.Fatal(err)
	}
	if types, err := c.SupportedTypes(ctx); err != nil || len(types) != 3 {
		t.Fatal(types, err)
	}
	s, err := c.CreateSchema(ctx, "orders-value", sr.Schema{Schema: order})
	if err != nil || s.ID != 1 || s.Version != 1 {
		t.Fatal(s, err)
	}
	if s, err = c.CreateSchema(ctx, "orders-value", sr.Schema{Schema: orderToo}); err != nil || s.ID != 2 || s.Version != 2 {
		t.Fatal(s, err)
	}
	_, err = c.CreateSchema(ctx, "orders-value", sr.Schema{Schema: orderBad})
	var refused *sr.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusConflict || refused.ErrorCode != 40901 {
		t.Fatal(err)
	}
	check, err := c.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "orders-value", -1, sr.Schema{Schema: orderBad})
	if err != nil || check.Is || len(check.Messages) == 0 {
		t.Fatal(check, err)
	}
	if s, err = c.LookupSchema(ctx, "orders-value", sr.Schema{Schema: order}); err != nil || s.Version != 1 {
		t.Fatal(s, err)
	}
	proto := sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message M { string a = 1; }`}
	if s, err = c.CreateSchema(ctx, "m", proto); err != nil {
		t.Fatal(err)
	}
	uses := sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; import "m.proto"; message N { M m = 1; }`, References: []sr.SchemaReference{{Name: "m.proto", Subject: "m", Version: 1}}}
	n, err := c.CreateSchema(ctx, "n", uses)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := c.SchemaReferences(ctx, "m", 1); err != nil || len(by) != 1 || by[0].ID != n.ID {
		t.Fatal(by, err)
	}
	if text, err := c.SchemaTextByID(ctx, 1); err != nil || text != order {
		t.Fatal(text, err)
	}
	if all, err := c.AllSchemas(ctx); err != nil || len(all) != 4 {
		t.Fatal(all, err)
	}
	for _, r := range c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFull}, "orders-value") {
		if r.Err != nil || r.Level != sr.CompatFull {
			t.Fatal(r)
		}
	}
	for _, r := range c.Compatibility(ctx, "orders-value", "m") {
		if r.Subject == "orders-value" && (r.Err != nil || r.Level != sr.CompatFull) {
			t.Fatal(r)
		}
	}
	for _, r := range c.SetMode(ctx, sr.ModeReadOnly, "m") {
		if r.Err != nil {
			t.Fatal(r)
		}
	}
	for _, r := range c.Mode(ctx, "m") {
		if r.Err != nil || r.Mode != sr.ModeReadOnly {
			t.Fatal(r)
		}
	}
	if v, err := c.DeleteSubject(ctx, "n", sr.SoftDelete); err != nil || len(v) != 1 {
		t.Fatal(v, err)
	}
	if v, err := c.DeleteSubject(ctx, "n", sr.HardDelete); err != nil || len(v) != 1 {
		t.Fatal(v, err)
	}
	if subjects, err := c.Subjects(ctx); err != nil || strings.Join(subjects, " ") != "m orders-value" {
		t.Fatal(subjects, err)
	}
}

func TestConfluentPython(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	version, err := run(t, python, "-c", "import confluent_kafka as c, fastavro, jsonschema, google.protobuf, httpx, authlib, cachetools; print(c.version())")
	if err != nil {
		t.Skip("confluent-kafka with its serializers is not here: pip install 'confluent-kafka[avro,json,protobuf,rules]', or set PYTHON to a python that has it")
	}
	t.Log(strings.TrimSpace(version))
	n := start(t)
	out, err := run(t, python, "confluent.py", n.registry, n.kafka)
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
}

// put sends a contract or an event.
func put(t *testing.T, method, url, media, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// One bad record of 500 in an idempotent compressed batch is refused with all the others, and the producer goes on.
func TestContractIsKept(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	c, err := sr.NewClient(sr.URLs(n.registry))
	if err != nil {
		t.Fatal(err)
	}
	schema := `{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"total":{"type":"number","minimum":0}}}`
	if _, err := c.CreateSchema(ctx, "orders-value", sr.Schema{Type: sr.TypeJSON, Schema: schema}); err != nil {
		t.Fatal(err)
	}
	if code, text := put(t, "PUT", n.registry+"/contracts/orders", "application/json", `{"stream":"orders","subject":"orders-value"}`); code != http.StatusOK {
		t.Fatal(code, text)
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(n.kafka), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ManualFlushing())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	send := func(bad int) (failed int, last error) {
		done := make(chan error, 500)
		for i := range 500 {
			v := fmt.Sprintf(`{"id":"%d","total":%d}`, i, i)
			if i == bad {
				v = fmt.Sprintf(`{"id":"%d","total":-1}`, i)
			}
			k.Produce(ctx, &kgo.Record{Value: []byte(v)}, func(_ *kgo.Record, err error) { done <- err })
		}
		if err := k.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if err := <-done; err != nil {
				failed, last = failed+1, err
			}
		}
		return failed, last
	}
	if failed, err := send(-1); failed > 0 {
		t.Fatal(err)
	}
	if failed, err := send(123); failed != 500 || !strings.Contains(err.Error(), "INVALID_RECORD") {
		t.Fatal(failed, err)
	}
	if failed, err := send(-1); failed > 0 {
		t.Fatal("after a refusal:", err)
	}
	code, text := put(t, "GET", n.registry+"/contracts/orders", "application/json", "")
	if code != http.StatusOK || !strings.Contains(text, `"broken":1`) {
		t.Error(code, text)
	}
	code, text = put(t, "POST", n.http+"/v1/streams/orders/events", "application/cloudevents+json",
		`{"specversion":"1.0","id":"1","source":"/t","type":"order","data":{"id":"1","total":-1}}`)
	if code != http.StatusUnprocessableEntity && code != http.StatusBadRequest || !strings.Contains(text, "total") || !strings.Contains(text, "contract orders") {
		t.Error(code, text)
	}
}
