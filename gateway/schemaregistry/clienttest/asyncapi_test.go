package clienttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// AsyncAPI's own parser, and what it takes to look into schemas of Avro and Protobuf.
var asyncapiPackages = []string{"@asyncapi/parser@3.6.3", "@asyncapi/avro-schema-parser@3.0.24", "@asyncapi/protobuf-schema-parser@3.9.0"}

const asyncapiInstall = 4 * time.Minute

// asyncapiParser is a folder from which node finds the parser. It is made once, below LEAT_PEERS or the user's cache.
func asyncapiParser(t *testing.T) string {
	t.Helper()
	base := os.Getenv("LEAT_PEERS")
	if base == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("AsyncAPI's parser has no place to be: %v", err)
		}
		base = filepath.Join(cache, "leat-peers")
	}
	dir := filepath.Join(base, "asyncapi-parser-3.6.3")
	if _, err := os.Stat(filepath.Join(dir, ".whole")); err == nil {
		return dir
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), asyncapiInstall)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", append([]string{"install", "--silent", "--ignore-scripts", "--prefix", dir}, asyncapiPackages...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("AsyncAPI's parser cannot be had (node and npm are needed): %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, ".whole"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asyncapiCheck prints what the parser finds, and how much it has read.
const asyncapiCheck = `
const { Parser } = require('@asyncapi/parser');
const parser = new Parser();
parser.registerSchemaParser(require('@asyncapi/avro-schema-parser').AvroSchemaParser());
parser.registerSchemaParser(require('@asyncapi/protobuf-schema-parser').ProtoBuffSchemaParser());
(async () => {
  for (const file of process.argv.slice(1)) {
    const { document, diagnostics } = await parser.parse(require('fs').readFileSync(file, 'utf8'));
    for (const d of diagnostics) if (d.severity <= 1) console.log('finding:', d.code, d.path.join('.'), d.message);
    if (document) console.log(document.version(), document.channels().length, document.operations().length, document.allMessages().length);
  }
})();`

// What a node writes of its streams is a document that AsyncAPI's parser has nothing to say of: of one with everything in it, and of one after traffic.
func TestAsyncAPI(t *testing.T) {
	dir := asyncapiParser(t)
	n := start(t)
	c, err := sr.NewClient(sr.URLs(n.registry))
	if err != nil {
		t.Fatal(err)
	}
	for subject, s := range map[string]sr.Schema{
		"a": {Schema: order}, "j": {Type: sr.TypeJSON, Schema: `{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}`},
		"p": {Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; package x; message M { string id = 1; }`},
	} {
		if _, err := c.CreateSchema(t.Context(), subject, s); err != nil {
			t.Fatal(err)
		}
		ask(t, "PUT", n.http+"/v1/streams/"+subject, "{}")
		ask(t, "PUT", n.registry+"/contracts/"+subject, fmt.Sprintf(`{"stream":%q,"subject":%q,"enforce":"warn"}`, subject, subject))
		ask(t, "POST", n.http+"/v1/streams/"+subject+"/events", `{"id":"1"}`)
	}
	ask(t, "PUT", n.registry+"/contracts/urgent", `{"stream":"j","address":"urgent","subject":"a","enforce":"warn"}`)
	ask(t, "PUT", n.registry+"/contracts/regions", `{"stream":"j","address":"region.*","subject":"p","enforce":"warn"}`)
	k, err := kgo.NewClient(kgo.SeedBrokers(n.kafka), kgo.ClientID("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "j", Value: []byte(`{"id":"1"}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "asyncapi.json")
	if err := os.WriteFile(file, ask(t, "GET", n.http+"/v1/contracts/asyncapi", ""), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "-e", asyncapiCheck, filepath.Join("..", "..", "..", "contract", "asyncapi", "testdata", "everything.json"), file)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	out, err := cmd.CombinedOutput()
	if want := "3.0.0 5 5 5\n3.0.0 5 4 5\n"; err != nil || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

// ask does a request that has to succeed.
func ask(t *testing.T, method, url, body string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s %v", method, url, resp.Status, out, err)
	}
	return out
}
