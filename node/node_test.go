package node_test

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/http"
	"leat/node"
)

func config(t *testing.T) *node.Config {
	c := node.DefaultConfig(real(t))
	c.Journal.RingBytes, c.Journal.FileBytes, c.Journal.FrameBytesMax = 0, 64<<20, 32<<20
	return c
}

// real is the HTTP gateway alone.
func real(*testing.T) []node.Protocol {
	h := http.Default()
	return []node.Protocol{{Name: "http", Config: &h, New: func(b *broker.Broker, env node.Env) (gateway.Gateway, error) {
		return http.New(b, *env.Config.(*http.Config), env.Registry, env.Log)
	}}}
}

func open(t *testing.T, o node.Options) (*node.Node, error) {
	if o.Config == nil {
		o.Config = config(t)
	}
	o.Protocols = real(t)
	n, err := node.Open(o)
	if err == nil {
		t.Cleanup(func() { _ = n.Stop() })
	}
	return n, err
}

func TestOpen_OneProcessAtATimeAndOneIdentityForEver(t *testing.T) {
	dir := t.TempDir()
	for _, shards := range []int{1, 3} {
		data := filepath.Join(dir, strings.Repeat("x", shards))
		c := config(t)
		c.Shards = shards
		n, err := open(t, node.Options{Data: data, Config: c})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, node.Options{Data: data}); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Fatalf("opened twice: %v", err)
		}
		id := n.Identity
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
		c.Shards = 2 // an existing directory keeps its number
		again, err := open(t, node.Options{Data: data, Config: c})
		if err != nil || !reflect.DeepEqual(again.Identity, id) || again.Identity.Shards != shards {
			t.Fatalf("got %+v, %v, want %+v", again.Identity, err, id)
		}
	}
}

func TestOpen_RefusesWhatIsNotItsOwn(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"does not write into": {"holiday.jpg": "x"},
		"format 9":            {"leat.json": `{"format":9,"lineage":"AAAAAAAAAAAAAAAAAAAAAA","node":1,"shards":1}`},
		"cannot be read":      {"leat.json": `{`},
		"lineage":             {"leat.json": `{"format":1,"lineage":"short","node":1,"shards":1}`},
		"shards":              {"leat.json": `{"format":1,"lineage":"AQEBAQEBAQEBAQEBAQEBAQ","node":1,"shards":0}`},
	} {
		dir := t.TempDir()
		for f, text := range files {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := open(t, node.Options{Data: dir}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: got %v, want %q in it", files, err, name)
		}
	}
}

func TestStart_Listeners(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, x := range []struct {
		name string
		o    node.Options
		want string // "" is success
	}{
		{"any port", node.Options{AnyPort: true}, ""},
		{"named and busy", node.Options{Listen: map[string]string{"http": busy.Addr().String()}}, "in use"},
		{"unknown", node.Options{Listen: map[string]string{"gopher": "127.0.0.1:0"}}, "no gateway of that name; it has http"},
		{"beyond loopback without users", node.Options{Listen: map[string]string{"http": "0.0.0.0:0"}}, "user"},
	} {
		n, err := open(t, x.o)
		if err != nil {
			t.Fatal(err)
		}
		err = n.Start()
		if x.want == "" {
			if err != nil || n.Addr("http") == "" {
				t.Errorf("%s: %v, at %q", x.name, err, n.Addr("http"))
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q in it", x.name, err, x.want)
		}
	}
}
