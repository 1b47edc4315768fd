package crossing

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
)

// waitMost bounds whatever is waited for.
const waitMost = 20 * time.Second

// node is the binary that all tests talk to, each to streams of its own.
var node struct {
	HTTP, Kafka, AMQP, AWS string
	Registry               string `json:"schema-registry"`
}

var leat string // the binary

func TestMain(m *testing.M) {
	code, err := serve(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// serve builds the binary and runs it while run does.
func serve(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "crossing")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	leat = filepath.Join(dir, "leat")
	build := exec.Command("go", "build", "-o", leat, "./cmd/leat")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w\n%s", err, out)
	}
	config := filepath.Join(dir, "leat.yaml")
	if err := os.WriteFile(config, []byte("outbound: {allow: [127.0.0.1]}\n"), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command(leat, "serve", "--dev", "--log", "error", "--config", config)
	cmd.Stderr = os.Stderr
	ports, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if ended := cmd.Wait(); ended != nil {
			err = errors.Join(err, fmt.Errorf("the node did not end well: %w", ended))
		}
	}()
	line, err := bufio.NewReader(ports).ReadBytes('\n')
	if err != nil {
		return 0, fmt.Errorf("the node said no ports: %w", err)
	}
	if err := json.Unmarshal(line, &node); err != nil {
		return 0, fmt.Errorf("ports %s: %w", line, err)
	}
	return run(), nil
}

// request sends a request and demands the status.
func request(t *testing.T, want int, method, path string, header map[string]string, body string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+node.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s %s: %d, want %d: %s %v", method, path, res.StatusCode, want, out, err)
	}
	return out
}

// publish posts events to a stream.
func publish(t *testing.T, stream, contentType, body string) {
	t.Helper()
	request(t, http.StatusCreated, "POST", "/v1/streams/"+stream+"/events", map[string]string{"Content-Type": contentType}, body)
}

const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json"
)

// page is the first events of a stream, each as it stands in the page.
func page(t *testing.T, stream string) []json.RawMessage {
	t.Helper()
	var p struct{ Events []json.RawMessage }
	if err := json.Unmarshal(request(t, http.StatusOK, "GET", "/v1/streams/"+stream+"/events?limit=1000", nil, ""), &p); err != nil {
		t.Fatal(err)
	}
	return p.Events
}

// follow is the first n events of a stream as server-sent events.
func follow(t *testing.T, stream string, n int) (events []json.RawMessage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+node.HTTP+"/v1/streams/"+stream+"/events?from=earliest", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); len(events) < n; {
		if !lines.Scan() {
			t.Fatalf("%d of %d events came: %v", len(events), n, lines.Err())
		}
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			events = append(events, bytes.Clone(data))
		}
	}
	return events
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(node.Kafka))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// produce sends records to a stream, which is made first.
func produce(t *testing.T, stream string, records ...*kgo.Record) {
	t.Helper()
	request(t, http.StatusCreated, "PUT", "/v1/streams/"+stream, nil, `{}`)
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	if err := client(t, kgo.DefaultProduceTopic(stream)).ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume is the first n records of a stream.
func consume(t *testing.T, stream string, n int) (records []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	c := client(t, kgo.ConsumeTopics(stream), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for len(records) < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d records came: %v", len(records), n, err)
		}
		records = append(records, f.Records()...)
	}
	if len(records) > n {
		t.Fatalf("%d records came, %d were expected", len(records), n)
	}
	return records
}

// headers writes the headers of a record one to a line, in their order, with values quoted; null is a value that is not there.
func headers(r *kgo.Record) string {
	var b strings.Builder
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s=%s\n", h.Key, text(h.Value))
	}
	return b.String()
}

func text(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}
