package inbox

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	kills     = 100    // of each receiver
	eventsMax = 10_000 // published while they are killed
)

// A receiver that keeps the id of a delivery with its work has done each once, however often it is killed.
func TestInbox_EachRowOnce(t *testing.T) {
	n := newNode(t)
	n.must(t, "PUT", "/v1/streams/orders", "{}")
	rows := t.TempDir()
	var all []*receiver
	goRows := filepath.Join(rows, "rows.txt")
	at := freePort(t)
	all = append(all, &receiver{
		name: "go", process: process{addr: at, args: []string{filepath.Join(programs, "inbox"), "-listen", at, "-rows", goRows}},
		rows: func(t *testing.T) []string { return goLines(t, goRows) },
	})
	if python, err := exec.LookPath("python3"); err != nil || exec.Command(python, "-c", "import sqlite3").Run() != nil {
		t.Run("python", func(t *testing.T) { t.Skip("there is no Python with sqlite3 here: its sample is not tried") })
	} else {
		db, at := filepath.Join(rows, "rows.db"), freePort(t)
		script := filepath.Join("..", "..", "examples", "inbox", "inbox.py")
		all = append(all, &receiver{
			name: "python", process: process{addr: at, args: []string{python, script, at, db}},
			rows: func(t *testing.T) []string { return pythonLines(t, python, db) },
		})
	}
	for _, r := range all {
		r.process.start(t)
		t.Cleanup(r.process.kill)
		n.must(t, "PUT", "/v1/subscriptions/"+r.name, fmt.Sprintf(
			`{"streams":["orders"],"backoff_ms":10,"backoff_max_ms":100,"push":{"url":"http://%s/","concurrency":4,"timeout_ms":2000}}`, r.addr))
	}

	// Events come as long as anybody is killed; on a slow machine there are enough waiting then.
	var published atomic.Int64
	var stop atomic.Bool
	var producer, killers sync.WaitGroup
	producer.Go(func() {
		for !stop.Load() {
			if from := int(published.Load()); from < eventsMax {
				n.publish(t, from, from+20)
				published.Add(20)
			}
			time.Sleep(40 * time.Millisecond)
		}
	})
	for _, r := range all {
		killers.Go(func() { r.killed(t, n) })
	}
	killers.Wait()
	stop.Store(true)
	producer.Wait()
	for _, r := range all {
		n.must(t, "POST", "/v1/subscriptions/"+r.name+"/resume", "{}")
		n.settled(t, r.name, int(published.Load()))
		r.process.kill() // for the last time
		r.check(t, int(published.Load()))
	}
}

// receiver is one of the samples.
type receiver struct {
	process
	name string
	rows func(t *testing.T) []string
}

// killed kills the receiver again and again while it works. Each time its subscription is resumed: else the node, which is used to servers that stay
// up, would wait some seconds before it tried again.
func (r *receiver) killed(t *testing.T, n *process) {
	for range kills {
		n.must(t, "POST", "/v1/subscriptions/"+r.name+"/resume", "{}")
		time.Sleep(time.Duration(20+rand.IntN(100)) * time.Millisecond)
		r.process.kill()
		r.process.start(t)
	}
}

// check demands one row for each event.
func (r *receiver) check(t *testing.T, events int) {
	t.Helper()
	got := r.rows(t)
	want := make([]string, events)
	for i := range want {
		want[i] = fmt.Sprintf(`{"order":%d}`, i)
	}
	sort.Strings(want)
	sort.Strings(got)
	if len(got) != len(want) {
		t.Errorf("%s: %d rows of %d events", r.name, len(got), events)
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: row %s where %s should be", r.name, got[i], want[i])
		}
	}
	t.Logf("%s: %d rows of %d events, %d kills", r.name, len(got), events, kills)
}

func goLines(t *testing.T, name string) (rows []string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:strings.LastIndexByte(string(text), '\n')+1] // the sample, too, drops what was cut off
	for line := range strings.Lines(string(text)) {
		_, data, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		rows = append(rows, data)
	}
	return rows
}

func pythonLines(t *testing.T, python, db string) []string {
	out, err := exec.Command(python, "-c", "import sqlite3,sys\nfor r in sqlite3.connect(sys.argv[1]).execute('SELECT data FROM orders'): print(r[0])", db).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// The node is killed while it pushes: every event comes, and whenever one comes it has the same id.
func TestInbox_NodeKilledWhileItPushes(t *testing.T) {
	const nodeKills = 12
	type seen struct {
		id    string
		times int
	}
	var mu sync.Mutex
	events := map[string]*seen{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond)
		event, id := r.Header.Get("ce-id"), r.Header.Get("webhook-id")
		mu.Lock()
		defer mu.Unlock()
		s := events[event]
		if s == nil {
			s = &seen{id: id}
			events[event] = s
		}
		if s.times++; s.id != id {
			t.Errorf("event %s came as %s and as %s", event, s.id, id)
		}
	}))
	defer hook.Close()
	n := newNode(t)
	n.must(t, "PUT", "/v1/streams/orders", "{}")
	n.must(t, "PUT", "/v1/subscriptions/hook", fmt.Sprintf(`{"streams":["orders"],"backoff_ms":10,"push":{"url":%q,"concurrency":16}}`, hook.URL))
	published := 0
	for range nodeKills {
		for range 5 {
			n.publish(t, published, published+100)
			published += 100
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		n.kill()
		n.start(t)
	}
	n.settled(t, "hook", published)
	mu.Lock()
	defer mu.Unlock()
	again := 0
	ids := map[string]bool{}
	for i := range published {
		s := events[fmt.Sprint(i)]
		if s == nil {
			t.Fatalf("event %d never came", i)
		}
		if ids[s.id] {
			t.Fatalf("two events have the id %s", s.id)
		}
		if ids[s.id] = true; s.times > 1 {
			again++
		}
	}
	t.Logf("%d events, %d of them more than once, over %d kills", published, again, nodeKills)
}
