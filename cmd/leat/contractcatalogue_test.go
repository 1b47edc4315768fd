package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/node"
)

// contractNode is a node with a registry, a client of it, and a way to write files.
func contractNode(t *testing.T) (c cli, write func(name, text string) string) {
	t.Helper()
	n, err := node.Open(node.Options{
		Protocols: protocols(), Listen: map[string]string{"http": "127.0.0.1:0", "schema-registry": "127.0.0.1:0"}, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	return cli{url: "http://" + n.Addr("http"), env: map[string]string{"LEAT_REGISTRY": n.Addr("schema-registry")}}, func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
}

func TestContractCatalogue(t *testing.T) {
	c, write := contractNode(t)
	schema := write("order.json", `{"type":"object","title":"order","properties":{"id":{"type":"string"},"mail":{"type":"string","confluent:tags":["PII"]}}}`)
	c.must(t, "", "contract put orders --stream orders --schema "+schema)
	c.must(t, `{"id":"1","mail":"x"}`+"\n", "publish orders --type com.shop.order.placed")
	c.must(t, "", "read orders --from earliest")
	out := c.must(t, "", "contract catalogue")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "type\trole\tservice\tstream") ||
		!strings.HasPrefix(lines[1], "com.shop.order.placed\tproduces\tleat") || !strings.Contains(lines[1], "\tPII\t") ||
		!strings.HasPrefix(lines[2], "com.shop.order.placed\tconsumes\tleat") {
		t.Errorf("%s", out)
	}
	if out := c.must(t, "", "contract catalogue --role produces --type com.shop.*"); strings.Count(out, "\n") != 2 {
		t.Error(out)
	}
	if out := c.must(t, "", "contract catalogue --service nobody --output json"); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
}
