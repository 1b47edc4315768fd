package clienttest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "take the transcripts in testdata from RabbitMQ again")

// A transcript is what a client prints: lines "section: what it saw".
type client struct {
	name       string
	transcript string   // in testdata
	without    []string // sections that this client has no words for
	slow       bool     // RabbitMQ is asked only with -update
	run        func(t *testing.T, n *node) (string, error)
}

var clients = []client{
	{"pika", "pika.txt", nil, false, func(t *testing.T, n *node) (string, error) {
		return run(patience(t), nil, python(t), "pika_client.py", n.amqp)
	}},
	{"amqp091-go", "common.txt", nil, false, func(t *testing.T, n *node) (string, error) {
		return commonByGo(patience(t), n.url())
	}},
	{"amqplib", "common.txt", []string{"transactions"}, false, func(t *testing.T, n *node) (string, error) {
		return run(patience(t), []string{"PEER=" + amqplib(t)}, "node", "common.mjs", n.url())
	}},
	{"java", "common.txt", nil, false, func(t *testing.T, n *node) (string, error) {
		return run(patience(t), nil, "java", "-cp", javaPath(t), "java/Common.java", n.url())
	}},
	{"kombu", "kombu.txt", nil, false, func(t *testing.T, n *node) (string, error) {
		return run(patience(t), nil, python(t), "kombu_client.py", n.url())
	}},
	{"celery", "celery.txt", nil, true, func(t *testing.T, n *node) (string, error) {
		return run(patience(t), nil, python(t), "tasks.py", n.url())
	}},
}

// sections cuts a transcript: lines by section, and the sections in their order.
func sections(transcript string) (map[string]string, []string) {
	out, names := map[string]string{}, []string{}
	for line := range strings.Lines(transcript) {
		name, _, _ := strings.Cut(line, ": ")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		out[name] += line
	}
	return out, names
}

func golden(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// gaps are the sections of testdata/gaps.txt, "client section": what Leat does not do as RabbitMQ does, yet.
func gaps(t *testing.T) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(golden(t, "gaps.txt")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out[line] = true
		}
	}
	return out
}

// compare holds what a client saw against what it saw of RabbitMQ.
func compare(t *testing.T, c client, got string, known map[string]bool) {
	want, names := sections(golden(t, c.transcript))
	have, _ := sections(got)
	for _, name := range names {
		if slices.Contains(c.without, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			gap := known[c.name+" "+name]
			switch diff := difference(want[name], have[name]); {
			case diff == "" && gap:
				t.Log("this is no gap any more: take it out of testdata/gaps.txt")
			case diff != "" && gap:
				t.Skip("a known gap:\n" + diff)
			case diff != "":
				t.Error(diff)
			}
		})
	}
}

// difference lists the lines of one text that the other has not.
func difference(want, have string) string {
	if want == have {
		return ""
	}
	w, h := slices.Collect(strings.Lines(want)), slices.Collect(strings.Lines(have))
	var b strings.Builder
	for _, line := range w {
		if !slices.Contains(h, line) {
			b.WriteString("RabbitMQ: " + line)
		}
	}
	for _, line := range h {
		if !slices.Contains(w, line) {
			b.WriteString("here:     " + line)
		}
	}
	if b.Len() == 0 {
		return "the same lines in another order or number:\n" + have
	}
	return b.String()
}

func TestLeat(t *testing.T) {
	known := gaps(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.run(t, startLeat(t))
			if err != nil {
				t.Errorf("%v\n%s", err, got)
			}
			compare(t, c, got, known)
		})
	}
}

// TestRabbitMQ runs the same against RabbitMQ: what is asked of Leat is what RabbitMQ does.
func TestRabbitMQ(t *testing.T) {
	n := startRabbit(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && !*update {
				t.Skip("it takes long and was equal when the transcript was taken")
			}
			got, err := c.run(t, n)
			if err != nil {
				t.Errorf("%v\n%s", err, got)
			}
			if *update && len(c.without) == 0 {
				if err := os.WriteFile(filepath.Join("testdata", c.transcript), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, c, got, nil)
		})
	}
}
