package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"leat/node"
)

// A partition of another Leat that ends in offsets of records that went to quarantine is copied whole, and the link can be switched.
func TestLink_FromLeatWithQuarantine(t *testing.T) {
	there, err := node.Open(node.Options{
		Protocols: protocols(), Listen: map[string]string{"http": "127.0.0.1:0", "kafka": "127.0.0.1:0", "schema-registry": "127.0.0.1:0"}, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := there.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := there.Stop(); err != nil {
			t.Error(err)
		}
	})
	old := cli{url: "http://" + there.Addr("http"), env: map[string]string{"LEAT_REGISTRY": there.Addr("schema-registry")}}
	schema := t.TempDir() + "/schema.json"
	if err := os.WriteFile(schema, []byte(`{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	old.must(t, "", "stream create orders --partitions 6")
	old.must(t, "", "contract put orders --stream orders --schema "+schema+" --enforce quarantine")

	ctx := context.Background()
	client := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(there.Addr("kafka")), kgo.DefaultProduceTopic("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	send := func(cl *kgo.Client, partition int32, batches ...string) {
		t.Helper()
		for _, batch := range batches { // + is kept, - is put aside
			for _, c := range batch {
				value := `{"id":"1"}`
				if c == '-' {
					value = `{"id":1}`
				}
				cl.Produce(ctx, &kgo.Record{Partition: partition, Value: []byte(value)}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := cl.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	plain := client(kgo.ManualFlushing())
	send(plain, 0, "--++-+--")             // at the beginning, in the middle, at the end
	send(plain, 1, "++", "--", "-", "---") // batches with nothing in them
	send(plain, 2, "---")                  // nothing at all
	send(plain, 3, "---", "+")
	tx := client(kgo.TransactionalID("t"), kgo.ManualFlushing())
	for i, batch := range []string{"+-", "--", "-+"} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(tx, 4, batch)
		if err := tx.EndTransaction(ctx, kgo.TransactionEndTry(i != 1)); err != nil {
			t.Fatal(err)
		}
	}
	send(plain, 4, "--")

	url, _ := realNode(t, t.TempDir())
	here := cli{url: url}
	here.must(t, "", "link kafka://"+there.Addr("kafka")+" --name move --topics orders")
	var out, errs string
	var code int
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // until it works
		if out, errs, code = here.run(ctx, "", "link", "switch", "move", "--wait", "60s"); code == exitOK || !strings.Contains(errs, "try again") || time.Since(began) > time.Minute {
			break
		}
	}
	if code != exitOK || !strings.Contains(out, "mode\tswitched") {
		t.Fatalf("exit %d, %s %s", code, out, errs)
	}
	if was, is := old.must(t, "", "read orders"), here.must(t, "", "read orders"); strings.Count(was, "\n") != strings.Count(is, "\n") {
		t.Errorf("there\n%s\nhere\n%s", was, is)
	}
}
