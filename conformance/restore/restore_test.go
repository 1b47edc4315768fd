package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const exposureMost = 2 * time.Second

func client(t *testing.T, n *node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(n.kafka), kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(readyTime))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// events are all events of a stream up to an end, as an export has them: byte by byte, with ref, key, time and headers.
func events(t *testing.T, n *node, stream, until string) []string {
	t.Helper()
	args := []string{"stream", "export", stream}
	if until != "" {
		args = append(args, "--until", until)
	}
	out := n.run(t, args...)
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// versions is how many events some keys have.
func versions(t *testing.T, n *node, stream string, keys int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for k := range keys {
		key := fmt.Sprint("key-", k)
		for from := "earliest"; ; {
			b, err := n.get(t.Context(), "/v1/streams/"+stream+"/events?limit=1000&key="+key+"&from="+from)
			if err != nil {
				t.Fatal(err)
			}
			var p struct {
				Events   []json.RawMessage
				Next     string
				CaughtUp bool `json:"caught_up"`
			}
			if err := json.Unmarshal(b, &p); err != nil {
				t.Fatal(err)
			}
			out[key] += len(p.Events)
			if from = p.Next; p.CaughtUp {
				break
			}
		}
	}
	return out
}

// writers write by both gateways until told to stop: idempotent Kafka producers, and HTTP clients that expect versions of keys.
func writers(t *testing.T, n *node, ctx context.Context, wg *sync.WaitGroup) (acked *atomic.Int64) {
	acked = &atomic.Int64{}
	for p := range 2 {
		c := client(t, n, kgo.DefaultProduceTopic("kafka"), kgo.AllowAutoTopicCreation())
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				value := fmt.Sprintf("%d-%d-%s", p, i, strings.Repeat("x", 700+i%600))
				c.Produce(ctx, &kgo.Record{Key: fmt.Appendf(nil, "key-%d", i%50), Value: []byte(value)}, func(_ *kgo.Record, err error) {
					if err == nil {
						acked.Add(1)
					}
				})
				if i%100 == 0 {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf(`{"specversion":"1.0","id":"%d-%d","source":"/test","type":"t","partitionkey":"key-%d","data":{"n":%d}}`, p, i, 10*p+i%10, i)
				r, err := http.NewRequestWithContext(ctx, "POST", "http://"+n.http+"/v1/streams/http/events", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/cloudevents+json")
				r.Header.Set("Leat-Expected-Version", map[bool]string{true: "none", false: strconv.Itoa(i / 10)}[i < 10])
				res, err := http.DefaultClient.Do(r)
				if err != nil || res.StatusCode >= 500 {
					i-- // the node was killed: again, and the same id is the same event
					time.Sleep(50 * time.Millisecond)
				}
				if err == nil {
					_ = res.Body.Close()
					if res.StatusCode == http.StatusCreated {
						acked.Add(1)
					} else if res.StatusCode < 500 && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusConflict {
						t.Errorf("publish: %d", res.StatusCode)
						return
					}
				}
			}
		})
	}
	return acked
}

// A node is killed twice while clients write; then it is restored to a second in between, and compared with itself event by event.
func TestRestore_ToAChosenSecond(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "archive")
	n := start(t, filepath.Join(t.TempDir(), "data"), settings(t, "file://"+archive))
	n.run(t, "stream", "create", "kafka", "--partitions", "3")
	n.run(t, "stream", "create", "http", "--keys", "versioned")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	acked := writers(t, n, ctx, &wg)
	var moments []time.Time
	for life := range 3 {
		time.Sleep(1200 * time.Millisecond)
		n.run(t, "archive", "checkpoint")
		time.Sleep(700 * time.Millisecond)
		moments = append(moments, time.Now())
		time.Sleep(500 * time.Millisecond)
		if life < 2 {
			n.kill(t)
			n.start(t)
		}
	}
	stop()
	wg.Wait()
	time.Sleep(2500 * time.Millisecond) // all is archived
	if acked.Load() < 1000 {
		t.Fatalf("%d events were acknowledged", acked.Load())
	}
	for _, at := range []time.Time{moments[0].Truncate(time.Second), moments[1], moments[2]} {
		until := at.UTC().Format("2006-01-02T15:04:05.000Z")
		before := at.Add(-time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z") // an export ends before a time, a restore with it
		r := restored(t, archive, before)
		for _, stream := range []string{"kafka", "http"} {
			want, got := events(t, n, stream, until), events(t, r, stream, "")
			for i := range min(len(want), len(got)) {
				if want[i] != got[i] {
					t.Fatalf("%s up to %s, event %d:\n%s\nwant\n%s", stream, until, i, got[i], want[i])
				}
			}
			if len(want) != len(got) || len(got) < 10 {
				t.Fatalf("%s up to %s: %d events, want %d", stream, until, len(got), len(want))
			}
			t.Logf("%s up to %s: %d events, all the same", stream, until, len(got))
		}
		// What a key has there is what its history says, and writing goes on from its version.
		for key, version := range versions(t, r, "http", 20) {
			r.conditional(t, key, version)
		}
		r.kill(t)
	}
	out := n.run(t, "archive", "verify", "--from", archive)
	if !strings.Contains(out, "true") {
		t.Errorf("verify: %s", out)
	}
}

// conditional appends to a key of a restored node with the version that its history gives, after a wrong one was refused.
func (n *node) conditional(t *testing.T, key string, version int) {
	t.Helper()
	for _, c := range []struct{ version, status int }{{version + 1, http.StatusConflict}, {version, http.StatusCreated}} {
		body := fmt.Sprintf(`{"specversion":"1.0","id":"after-%s-%d","source":"/test","type":"t","partitionkey":%q,"data":{}}`, key, c.status, key)
		q, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+n.http+"/v1/streams/http/events", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/cloudevents+json")
		q.Header.Set("Leat-Expected-Version", strconv.Itoa(c.version))
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Fatalf("%s with version %d: %d, want %d", key, c.version, res.StatusCode, c.status)
		}
	}
}

// The node is killed at full speed and its directory is gone: what the archive gives back is at most two seconds older than what was acknowledged last.
func TestRestore_Exposure(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "archive")
	data := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "leat.yaml")
	if err := os.WriteFile(file, []byte("archive: {url: \"file://"+archive+"\"}\njournal: {ring_bytes: 512MiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, data, file)
	n.run(t, "stream", "create", "full")
	c := client(t, n, kgo.DefaultProduceTopic("full"), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(50_000))
	var mu sync.Mutex
	var ackedAt []time.Time // by offset
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		noise := make([]byte, 1<<20) // does not compress
		seed := uint64(1)
		for i := range noise {
			seed = seed*6364136223846793005 + 1442695040888963407
			noise[i] = byte(seed >> 56)
		}
		for i := 0; ctx.Err() == nil; i++ {
			at := i * 1021 % (len(noise) - 1024)
			c.Produce(ctx, &kgo.Record{Value: noise[at : at+1024]}, func(r *kgo.Record, err error) {
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for int64(len(ackedAt)) <= r.Offset {
					ackedAt = append(ackedAt, time.Time{})
				}
				ackedAt[r.Offset] = time.Now()
			})
		}
	}()
	began := time.Now()
	time.Sleep(5 * time.Second)
	n.kill(t)
	took := time.Since(began)
	stop()
	<-ended
	mu.Lock()
	defer mu.Unlock()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	r := restored(t, archive, "latest")
	b, err := r.get(t.Context(), "/v1/streams/full")
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Partitions []struct{ End int }
	}
	if err := json.Unmarshal(b, &info); err != nil || len(info.Partitions) != 1 {
		t.Fatalf("%s: %v", b, err)
	}
	end := min(info.Partitions[0].End, len(ackedAt))
	last := ackedAt[len(ackedAt)-1]
	exposure := time.Duration(0)
	if end < len(ackedAt) {
		exposure = last.Sub(ackedAt[max(end-1, 0)])
	}
	t.Logf("%d events of 1 KiB were acknowledged, %.0f MB/s; %d were restored; the last of them was acknowledged %s before the last of all",
		len(ackedAt), float64(len(ackedAt))*1024/1e6/took.Seconds(), end, exposure.Round(time.Millisecond))
	if end == 0 || exposure > exposureMost {
		t.Errorf("exposure is %s, at most %s is promised", exposure, exposureMost)
	}
}
