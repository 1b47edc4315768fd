package tidy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// treeOf writes files and opens them as a repository.
func treeOf(t *testing.T, files map[string]string) *tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestRules breaks each rule in a small tree and looks for the finding; what is right beside it must not be found.
func TestRules(t *testing.T) {
	const slash = "/" // keeps the paths below from being found in this file
	for name, c := range map[string]struct {
		rule  func(*tree) broken
		files map[string]string
		want  []string // one word of each finding, in order; none is none
	}{
		"storage imports broker": {imports, map[string]string{"storage/segment/a.go": "package segment\nimport _ \"leat/broker\"\n"},
			[]string{"storage/segment imports broker"}},
		"a machine imports another": {imports, map[string]string{"broker/stream/a.go": "package stream\nimport _ \"leat/broker/catalog\"\n"},
			[]string{"Machines do not know one another"}},
		"a gateway imports storage": {imports, map[string]string{"gateway/x/a.go": "package x\nimport _ \"leat/storage/journal\"\n"},
			[]string{"A gateway asks broker"}},
		"a gateway's test may":         {imports, map[string]string{"gateway/x/a_test.go": "package x\nimport _ \"leat/storage/journal/memory\"\n"}, nil},
		"a gateway imports another":    {imports, map[string]string{"gateway/x/a.go": "package x\nimport _ \"leat/gateway/y\"\n"}, []string{"do not know one another"}},
		"a gateway imports its codec":  {imports, map[string]string{"gateway/x/a.go": "package x\nimport _ \"leat/gateway/x/wire\"\n"}, nil},
		"a gateway imports the door":   {imports, map[string]string{"gateway/x/a.go": "package x\nimport (_ \"leat/broker\"; _ \"leat/gateway\")\n"}, nil},
		"a tool imports a room":        {imports, map[string]string{"internal/x/a.go": "package x\nimport _ \"leat/broker/record\"\n"}, []string{"small tool"}},
		"the assembly imports all":     {imports, map[string]string{"node/a.go": "package node\nimport _ \"leat/gateway/x\"\n"}, nil},
		"a folder without a room":      {imports, map[string]string{"util/a.go": "package util\n"}, []string{"no room in the table"}},
		"another module is not judged": {imports, map[string]string{"other/go.mod": "module other\n", "other/a.go": "package a\nimport _ \"leat/broker\"\n"}, nil},

		"a protocol's word in the core": {words, map[string]string{"broker/a.go": "package broker\nvar TopicName, kafkaID, nextQueues, SQSUrl int\n"},
			[]string{"topic", "kafka", "queues", "sqs"}},
		"words that only look so":     {words, map[string]string{"broker/a.go": "package broker\n// A topic is a stream.\nvar isotopic, exchanged, enqueue = 1, 2, \"topic\"\n"}, nil},
		"a protocol's word in a test": {words, map[string]string{"broker/a_test.go": "package broker\nvar kafka int\n"}, nil},
		"a protocol's word at home":   {words, map[string]string{"gateway/x/a.go": "package x\nvar topic int\n"}, nil},

		"time in a room":        {calls, map[string]string{"broker/a.go": "package broker\nimport \"time\"\nvar now = time.Now\n"}, []string{"time.Now"}},
		"renamed time":          {calls, map[string]string{"broker/a.go": "package broker\nimport clk \"time\"\nvar x = clk.Sleep\n"}, []string{"time.Sleep"}},
		"a duration is no time": {calls, map[string]string{"broker/a.go": "package broker\nimport \"time\"\nconst x = time.Second\n"}, nil},
		"time in a test":        {calls, map[string]string{"broker/a_test.go": "package broker\nimport \"time\"\nvar now = time.Now\n"}, nil},
		"a file beside vfs":     {calls, map[string]string{"storage/segment/a.go": "package segment\nimport \"os\"\nvar x = os.Open\n"}, []string{"storage/vfs"}},
		"a file in vfs":         {calls, map[string]string{"storage/vfs/osfs/a.go": "package osfs\nimport \"os\"\nvar x = os.Open\n"}, nil},

		"no package comment": {docs, map[string]string{"broker/a.go": "package broker\n"}, []string{"# What, # Promises, # Imports, # Where to start, # How tested"}},
		"one heading short": {docs, map[string]string{"broker/a.go": "// Package broker\n//\n// # What\n//\n// # Promises\n//\n// # Imports\n//\n// # Where to start\npackage broker\n"},
			[]string{"lacks # How tested:"}},

		"a bare gateway": {gateways, map[string]string{"gateway/x/gateway.go": "package x\n"}, []string{"# Mapping", "gatewaytest", "captures"}},
		"a whole gateway": {gateways, map[string]string{"gateway/x/gateway.go": "// Package x\n//\n// # Mapping\npackage x\n",
			"gateway/x/x_test.go": "package x\nimport _ \"leat/gateway/gatewaytest\"\n", "gateway/x/testdata/captures/a.hex": "00"}, nil},

		"a decoder without a fuzz target": {decoders, map[string]string{"gateway/x/wire/a.go": "package wire\nfunc DecodeFrame() {}\n"}, []string{"DecodeFrame"}},
		"a decoder with one": {decoders, map[string]string{"gateway/x/wire/a.go": "package wire\nfunc DecodeFrame() {}\n",
			"gateway/x/wire/fuzz_test.go": "package wire\nfunc FuzzFrame() { DecodeFrame() }\n"}, nil},
		"a decoder named by a plain test only": {decoders, map[string]string{"gateway/x/wire/a.go": "package wire\nfunc DecodeFrame() {}\n",
			"gateway/x/wire/a_test.go": "package wire\nfunc TestFrame() { DecodeFrame() }\n"}, []string{"DecodeFrame"}},

		"one prefix twice": {prefixes, map[string]string{keyspace: "package state\nconst (\n\ta byte = 0x01\n\tb byte = 0x01\n)\n"}, []string{"b and a"}},
		"two prefixes":     {prefixes, map[string]string{keyspace: "package state\nconst (\n\ta byte = 0x01\n\tb byte = 0x02\n)\n"}, nil},

		"a link to nowhere":  {links, map[string]string{"docs/a.md": "[x](b.md#part) [y](https://example.org/z) [z](#here)"}, []string{"docs/b.md"}},
		"a link that is met": {links, map[string]string{"docs/a.md": "[x](../b.md)", "b.md": ""}, nil},

		"a dependency without a reason": {dependencies, map[string]string{"go.mod": "require (\n\texample.org/a v1\n\texample.org/b v1 // indirect\n)\nrequire example.org/c v1\n",
			"docs/dependencies.md": "`example.org/c`: because"}, []string{"example.org/a"}},

		"a path of a machine": {machinePaths, map[string]string{"docs/a.md": "cd " + slash + "root/x\n"}, []string{"line 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.rule(treeOf(t, c.files))
			if len(got) != len(c.want) {
				t.Fatalf("found %d: %q, want %d: %q", len(got), got, len(c.want), c.want)
			}
			for i, w := range c.want {
				if !strings.Contains(got[i], strings.TrimPrefix(w, "docs/")) {
					t.Errorf("finding %d is %q, want it to say %q", i, got[i], w)
				}
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"SQSQueueURL":  {"sqs", "queue", "url"},
		"next_topic2":  {"next", "topic", "2"},
		"newTopic":     {"new", "topic"},
		"HTTPServer":   {"http", "server"},
		"amqp091Conn":  {"amqp", "091", "conn"},
		"x":            {"x"},
		"_":            nil,
		"isotopicMass": {"isotopic", "mass"},
	} {
		if got := split(in); !reflect.DeepEqual(got, want) {
			t.Errorf("split(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, dir string
		want         bool
	}{
		{"broker", "broker", true}, {"broker", "broker/record", false}, {"broker/**", "broker", true}, {"broker/**", "broker/a/b", true},
		{"broker/**", "brokers", false}, {"gateway/*", "gateway/x", true}, {"gateway/*", "gateway/x/wire", false}, {"gateway/*", "gateway", false},
		{"gateway/*/**", "gateway/x/wire", true}, {"gateway/*/wire/**", "gateway/x/wire/gen", true}, {"gateway/*/wire/**", "gateway/x/y", false}, {"**", "any/thing", true},
	} {
		if got := match(c.pattern, c.dir); got != c.want {
			t.Errorf("match(%q, %q) = %v, want %v", c.pattern, c.dir, got, c.want)
		}
	}
}
