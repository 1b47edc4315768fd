//go:build ecosystem

package clienttest

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// TestWrittenByJava reads what Confluent's serializers for Java wrote to java-orders, each record by the schema that it names, and writes go-orders for
// them. conformance/ecosystem/Registry.java is the other half; .ci/ecosystem-kafka runs both.
func TestWrittenByJava(t *testing.T) {
	kafka, url := os.Getenv("LEAT_JAVA_KAFKA"), os.Getenv("LEAT_JAVA_REGISTRY")
	if kafka == "" || url == "" {
		t.Skip("it is half of a test: make ecosystem-kafka ECOSYSTEM=registry")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rc, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	kc, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("java-orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer kc.Close()
	schemas := map[int]avro.Schema{}
	for i := 0; i < 200; {
		fetches := kc.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(i, err)
		}
		for _, r := range fetches.Records() {
			id, body, err := (&sr.ConfluentHeader{}).DecodeID(r.Value)
			if err != nil {
				t.Fatal(i, err)
			}
			if schemas[id] == nil {
				s, err := rc.SchemaByID(ctx, id)
				if err != nil {
					t.Fatal(i, err)
				}
				schemas[id] = avro.MustParse(s.Schema)
			}
			got, want := map[string]any{}, map[string]any{"id": fmt.Sprint("o", i), "amount": float64(i) + 0.5}
			if err := avro.Unmarshal(schemas[id], body, &got); err != nil {
				t.Fatal(i, err)
			}
			if i >= 100 {
				want["note"] = fmt.Sprint("n", i)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("record %d is %v, want %v", i, got, want)
			}
			i++
		}
	}
	if len(schemas) != 2 {
		t.Errorf("%d schemas, want 2", len(schemas))
	}

	const text = `{"type":"record","name":"Sold","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	s, err := rc.CreateSchema(ctx, "go-orders-value", sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	type sold struct {
		ID string    `avro:"id"`
		At time.Time `avro:"at"`
	}
	var serde sr.Serde
	schema := avro.MustParse(text)
	serde.Register(s.ID, sold{}, sr.EncodeFn(func(v any) ([]byte, error) { return avro.Marshal(schema, v) }))
	for i := range 100 {
		b, err := serde.Encode(sold{fmt.Sprint("g", i), time.UnixMilli(int64(i))})
		if err != nil {
			t.Fatal(err)
		}
		if err := kc.ProduceSync(ctx, &kgo.Record{Topic: "go-orders", Value: b}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}
