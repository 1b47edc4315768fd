package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/node"
)

func TestContract(t *testing.T) {
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
	c := cli{url: "http://" + n.Addr("http"), env: map[string]string{"LEAT_REGISTRY": n.Addr("schema-registry")}}
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good := write("good.json", `{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}`)
	other := write("other.json", `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}`)
	if out := c.must(t, "", "contract put orders --stream orders --schema "+good); !strings.Contains(out, "enforce\treject") {
		t.Error(out)
	}
	c.must(t, `{"id":"1"}`+"\n", "publish orders")
	if _, errs, code := c.run(context.Background(), `{"id":1}`+"\n", "publish", "orders"); code == exitOK || !strings.Contains(errs, "field id: got number, want string") {
		t.Error(code, errs)
	}
	if out := c.must(t, "", "contract show orders"); !strings.Contains(out, "broken\t1") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract list"); !strings.Contains(out, "orders\torders") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract check --stream orders --subject orders --schema "+good); !strings.Contains(out, "1 of the last 1 events of orders keep to it") {
		t.Error(out)
	}
	out, errs, code := c.run(context.Background(), "", "contract", "check", "--stream", "orders", "--subject", "orders", "--schema", other)
	if code == exitOK || !strings.Contains(out, "it may not follow version 1 of orders as BACKWARD asks:\n  A type at path '#/properties/id' is different between the new schema and the old schema (TYPE_CHANGED)\n") ||
		!strings.Contains(out, "orders/0/0 field id: got string, want integer") || !strings.Contains(errs, "2 things are wrong") {
		t.Error(code, out, errs)
	}
	if out := c.must(t, "", "contract check --subject nothing --schema "+good); !strings.Contains(out, "nothing has no versions yet: it may be the first") {
		t.Error(out)
	}
	if _, errs, code := c.run(context.Background(), "", "contract", "put", "x", "--stream", "x", "--subject", "nothing"); code == exitOK || !strings.Contains(errs, "Subject 'nothing' not found") {
		t.Error(code, errs)
	}
	c.must(t, "", "contract delete orders")
	c.must(t, `{"id":1}`+"\n", "publish orders")

	// What breaks a contract is put aside, and can be mended.
	c.must(t, "", "contract put orders --stream orders --subject orders --enforce quarantine")
	if _, errs, code := c.run(context.Background(), `{"id":2}`, "publish", "orders"); code != exitOK || !strings.Contains(errs, "it breaks the contract orders and is in quarantine") {
		t.Error(code, errs)
	}
	if out := c.must(t, "{\"id\":\"3\"}\n{\"id\":4}\n", "publish orders --lines"); !strings.Contains(out, "orders\t1\t1") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract quarantine list --contract orders"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "leat.quarantine/0/0\torders\tid\t") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract quarantine show leat.quarantine/0/1"); !strings.Contains(out, `{"text":"{\"id\":4}"}`) {
		t.Error(out)
	}
	if out, errs, code := c.run(context.Background(), "", "contract", "quarantine", "replay", "--all"); code == exitOK || !strings.Contains(errs, "2 stay") || strings.Count(out, "refused") != 2 {
		t.Error(out, errs, code)
	}
	if out := c.must(t, `{"id":"2"}`, "contract quarantine replay leat.quarantine/0/0 --value -"); !strings.Contains(out, "done\torders/0/") {
		t.Error(out)
	}
	c.must(t, "", "contract quarantine drop leat.quarantine/0/1")
	if out := c.must(t, "", "contract quarantine list -o json"); out != "[]\n" {
		t.Error(out)
	}
	if out := c.must(t, "", "contract show orders"); !strings.Contains(out, "quarantined\t2") {
		t.Error(out)
	}
	for _, args := range []string{"replay", "replay --all x", "replay --contract orders leat.quarantine/0/1", "show x"} {
		if _, errs, code := c.run(context.Background(), "", append([]string{"contract", "quarantine"}, strings.Fields(args)...)...); code != exitUsage {
			t.Error(args, errs, code)
		}
	}
}

func TestWhyNot(t *testing.T) {
	got := whyNot("s", []string{
		`{errorType:'NAME_MISMATCH', description:'The name of the schema has changed (path '/name')', additionalInfo:'expected: a.B'}`, "{oldSchemaVersion: 3}", "{oldSchema: '{}'}",
		"{validateFields: 'false', compatibility: 'FULL'}", "something else",
	})
	want := "it may not follow version 3 of s as FULL asks:\n  The name of the schema has changed (path '/name'); expected: a.B (NAME_MISMATCH)\n  something else\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
