package scale

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	events     = 4000
	workersMax = 20
	perWorker  = 100 // events that one worker is wanted for
	lookEvery  = 200 * time.Millisecond
	waitMost   = 90 * time.Second
)

// TestWorkersFollowTheLag_FromNoneToTwentyAndBack is the document's promise, with processes: scaled by ready and leased events, stopped by
// SIGTERM in the middle of work, each event is done, and none twice, since nobody was killed.
func TestWorkersFollowTheLag_FromNoneToTwentyAndBack(t *testing.T) {
	dir := t.TempDir()
	leat, worker := build(t, dir, "../..", "./cmd/leat"), build(t, dir, "../../examples", "./worker")
	url := serve(t, leat)
	send(t, url, "PUT", "/v1/streams/orders", `{"partitions":4}`)
	send(t, url, "PUT", "/v1/subscriptions/billing", `{"streams":["orders"],"from":"earliest"}`)

	var mu sync.Mutex
	done := map[string]int{} // deliveries by id
	var running []*exec.Cmd
	var ended sync.WaitGroup
	start := func() {
		cmd := exec.Command(worker, "-url", url, "-subscription", "billing", "-takes", "20ms")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
		ended.Go(func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				id, _, _ := strings.Cut(lines.Text(), " ")
				mu.Lock()
				done[id]++
				mu.Unlock()
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("a worker did not end well: %v", err)
			}
		})
	}
	stop := func() {
		last := running[len(running)-1]
		running = running[:len(running)-1]
		if err := last.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		for len(running) > 0 {
			stop()
		}
		ended.Wait()
	})

	if n := lag(t, url); n != 0 {
		t.Fatalf("%d events wait before there are any", n)
	}
	for i := range events / 100 {
		var batch []string
		for k := range 100 {
			batch = append(batch, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/shop","type":"order.placed","partitionkey":"%d"}`, i*100+k, k))
		}
		publish(t, url, "["+strings.Join(batch, ",")+"]")
	}
	most, changes := 0, 0
	for began := time.Now(); ; time.Sleep(lookEvery) {
		if time.Since(began) > waitMost {
			t.Fatalf("%d events wait still, for %d workers", lag(t, url), len(running))
		}
		n := lag(t, url)
		wanted := min((n+perWorker-1)/perWorker, workersMax)
		if wanted != len(running) {
			changes++
		}
		for len(running) < wanted {
			start()
		}
		for len(running) > wanted {
			stop()
		}
		if most = max(most, wanted); wanted == 0 {
			break
		}
	}
	ended.Wait()
	mu.Lock()
	defer mu.Unlock()
	if most != workersMax || changes < 3 { // up, somewhere between, and down to none: how often in between is the machine's affair
		t.Errorf("there were %d workers at most, in %d changes: nothing was scaled", most, changes)
	}
	twice := 0
	for _, n := range done {
		twice += n - 1
	}
	if len(done) != events || twice != 0 {
		t.Errorf("%d events of %d were done, %d twice", len(done), events, twice)
	}
}

var figure = regexp.MustCompile(`(?m)^leat_subscription_events\{.*state="(ready|leased)".*\} (\S+)$`)

// lag is what an autoscaler goes by: sum(leat_subscription_events{state=~"ready|leased"}).
func lag(t *testing.T, url string) (n int) {
	t.Helper()
	for _, m := range figure.FindAllStringSubmatch(send(t, url, "GET", "/metrics", ""), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		n += int(v)
	}
	return n
}

func build(t *testing.T, dir, in, pkg string) string {
	t.Helper()
	to := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", to, pkg)
	cmd.Dir, cmd.Env = filepath.FromSlash(in), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return to
}

func serve(t *testing.T, leat string) string {
	t.Helper()
	cmd := exec.Command(leat, "serve", "--dev", "--log", "error")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the node said no ports: %v", err)
	}
	var ports struct{ HTTP string }
	if err := json.Unmarshal(line, &ports); err != nil {
		t.Fatal(err)
	}
	return "http://" + ports.HTTP
}

func publish(t *testing.T, url, body string) {
	t.Helper()
	resp, err := http.Post(url+"/v1/streams/orders/events", "application/cloudevents-batch+json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("publish: %s: %s", resp.Status, text)
	}
}

func send(t *testing.T, url, method, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s %v", method, path, resp.Status, text, err)
	}
	return string(text)
}
