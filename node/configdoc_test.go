package node_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"strings"
	"testing"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091"
	"leat/gateway/aws"
	"leat/gateway/http"
	"leat/gateway/kafka"
	"leat/gateway/rabbitmq"
	"leat/node"
)

var update = flag.Bool("update", false, "rewrite docs/operate/config.md")

const reference = "../docs/operate/config.md"

// rooms are the sections of the configuration and the sources that their comments are taken from.
var rooms = []struct{ section, file string }{
	{"", "config.go"}, {"broker", "../broker/broker.go"}, {"journal", "../storage/journal/disk/config.go"}, {"state", "../storage/state/pebble/config.go"},
	{"segments", "../storage/segment/config.go"}, {"keys", "../storage/keys/config.go"},
	{"listeners", "../gateway/config.go"}, {"tls", "config.go"},
	{"archive", "archive.go"}, {"archive.keys", "archive.go"}, {"archive.packs", "../storage/archive/config.go"}, {"outbound", "../internal/outbound/config.go"}, {"gateways.amqp", "../gateway/amqp091/config.go"}, {"gateways.aws", "../gateway/aws/config.go"},
	{"gateways.rabbitmq-management", "../gateway/rabbitmq/config.go"},
	{"gateways.http", "../gateway/http/config.go"}, {"gateways.kafka", "../gateway/kafka/config.go"}, {"gateways.kafka.groups", "../gateway/kafka/group/config.go"}, {"gateways.kafka.oauth", "../gateway/kafka/oidc/verify.go"},
}

func protocols() []node.Protocol {
	k, h, a, s, r := kafka.Default(), http.Default(), amqp091.Default(), aws.Default(), rabbitmq.Default()
	none := func(*broker.Broker, node.Env) (gateway.Gateway, error) { return nil, nil }
	return []node.Protocol{{Name: "kafka", Config: &k, New: none}, {Name: "http", Config: &h, New: none}, {Name: "amqp", Config: &a, New: none}, {Name: "aws", Config: &s, New: none}, {Name: "rabbitmq-management", Config: &r, New: none}}
}

// The reference is made of the structs: names and defaults from what `leat config` prints, sentences from the comments at the fields.
func TestConfigReference(t *testing.T) {
	about := map[string]string{}
	for _, r := range rooms {
		maps.Copy(about, comments(t, r.file, r.section))
	}
	var b strings.Builder
	b.WriteString("# Configuration\n\nGenerated from the structs (`go test ./node -run Reference -update`). The file is YAML; `leat config` prints it whole, with its values. An unknown key is an error.\n" +
		"Bytes are written as `64MiB`, durations as `5s`; `${VAR}` in a text comes from the environment. All keys are there since 0.1.\n\n| Key | Default | |\n|---|---|---|\n")
	var path []string
	for line := range strings.SplitSeq(strings.TrimSpace(node.EncodeConfig(node.DefaultConfig(protocols()))), "\n") {
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		path = append(path[:depth], name)
		if value == "" {
			continue
		}
		key := strings.Join(path, ".")
		if about[key] == "" {
			t.Errorf("%s has no comment at its field", key)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", key, strings.TrimSpace(value), about[key])
	}
	if *update {
		if err := os.WriteFile(reference, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil || string(got) != b.String() {
		t.Fatalf("%s is not what the structs say; run go test ./node -run Reference -update (%v)", reference, err)
	}
}

// comments returns, by whole key, what is said of the fields of a file's Config (TLSConfig for tls, and so on).
func comments(t *testing.T, file, section string) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"tls": "TLSConfig", "archive": "ArchiveConfig", "archive.keys": "ArchiveKeys"}[section]
	if want == "" {
		want = "Config"
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		ts, ok := n.(*ast.TypeSpec)
		if !ok || ts.Name.Name != want {
			return true
		}
		for _, field := range ts.Type.(*ast.StructType).Fields.List {
			text := field.Doc.Text() + field.Comment.Text()
			if field.Tag != nil {
				if _, rest, ok := strings.Cut(field.Tag.Value, `doc:"`); ok {
					doc, _, _ := strings.Cut(rest, `"`)
					text += doc
				}
			}
			for _, name := range field.Names {
				key := node.KeyOf(name.Name)
				if section != "" {
					key = section + "." + key
				}
				out[key] = strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(text, "\n", " ")), "|", "\\|")
			}
		}
		return false
	})
	return out
}
