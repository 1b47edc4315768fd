package clienttest

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Clients choose the partition of a key by hashes of their own (librdkafka by CRC32, Java by murmur2), HTTP by another, and every hash
// gives other partitions once there are more of them. So the events of one key lie in several partitions. What is asked of a key must be
// whole and in order all the same: that is what these tests hold, over a kill in the middle, in the journal and in segment files.
const (
	keyStream  = "accounts"
	keyCount   = 1000
	keyRounds  = 12 // events that each Kafka client writes to each key
	httpRounds = 6
	growAfter  = 3 // rounds; from 8 partitions to 12
	killAfter  = 7
)

// A keyWriter writes keyRounds events to each key, whatever happens to the node, and returns how many were acknowledged of each.
type keyWriter struct {
	name string
	run  func(ctx context.Context, n *keptNode, round func(int)) (map[string]int, error)
}

func TestKeys_TwoHashes(t *testing.T) {
	testKeys(t, franzWriter("murmur2", kgo.StickyKeyPartitioner(nil)),
		franzWriter("crc32", kgo.StickyKeyPartitioner(func(key []byte, n int) int { return int(crc32.ChecksumIEEE(key) % uint32(n)) })))
}

func TestKeys_LibrdkafkaAndJava(t *testing.T) {
	dir := javaPeers(t)[0]
	testKeys(t, programWriter("librdkafka", confluentPython(t), "keys.py"),
		programWriter("java", "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(dir, "*"), "java/Keys.java"))
}

func testKeys(t *testing.T, writers ...keyWriter) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	n := startKept(t)
	n.must(t, ctx, "PUT", "/v1/streams/"+keyStream, `{"partitions":8,"keys":"versioned"}`)

	var mu sync.Mutex
	acked := map[string]int{}
	add := func(more map[string]int) {
		mu.Lock()
		defer mu.Unlock()
		for k, c := range more {
			acked[k] += c
		}
	}
	rounds := make(chan int, (len(writers)+1)*(keyRounds+1))
	failed := make(chan error, len(writers)+1)
	var wg sync.WaitGroup
	for _, w := range append(writers, keyWriter{"http", writeConditionally}) {
		wg.Go(func() {
			got, err := w.run(ctx, n, func(i int) { rounds <- i })
			if err != nil {
				failed <- fmt.Errorf("%s: %w", w.name, err)
			}
			add(got)
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	reached := func(round int) {
		t.Helper()
		for {
			select {
			case i := <-rounds:
				if i >= round {
					return
				}
			case err := <-failed:
				t.Fatal(err)
			case <-ended:
				t.Fatalf("the writers ended before round %d", round)
			}
		}
	}
	reached(growAfter)
	n.must(t, ctx, "PUT", "/v1/streams/"+keyStream, `{"partitions":12}`)
	reached(killAfter)
	n.kill(t)
	n.run(t)
	<-ended
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	for i := range keyCount {
		if k := fmt.Sprintf("k%d", i); acked[k] != len(writers)*keyRounds+httpRounds {
			t.Fatalf("key %s: %d events acknowledged, want %d", k, acked[k], len(writers)*keyRounds+httpRounds)
		}
	}
	n.moved(t, ctx)
	checkKeys(t, ctx, n, acked)
	n.stop(t)
	n.run(t)
	checkKeys(t, ctx, n, acked)
}

// franzWriter is franz-go with the hash of another client.
func franzWriter(name string, p kgo.Partitioner) keyWriter {
	return keyWriter{name, func(ctx context.Context, n *keptNode, round func(int)) (map[string]int, error) {
		c, err := kgo.NewClient(kgo.SeedBrokers(n.kafka), kgo.RecordPartitioner(p), kgo.DefaultProduceTopic(keyStream), kgo.MetadataMaxAge(200*time.Millisecond),
			kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.RecordRetries(10_000))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		acked := map[string]int{}
		for i := range keyRounds {
			var rs []*kgo.Record
			for k := range keyCount {
				rs = append(rs, &kgo.Record{Key: fmt.Appendf(nil, "k%d", k), Value: fmt.Appendf(nil, "%s %d %s", name, i, strings.Repeat(".", 150))})
			}
			for _, r := range c.ProduceSync(ctx, rs...) {
				if r.Err != nil {
					return acked, r.Err
				}
				acked[string(r.Record.Key)]++
			}
			round(i)
		}
		return acked, nil
	}}
}

// programWriter is a program that says "round N" and at the end "acked KEY COUNT".
func programWriter(name string, command ...string) keyWriter {
	return keyWriter{name, func(ctx context.Context, n *keptNode, round func(int)) (map[string]int, error) {
		cmd := exec.CommandContext(ctx, command[0], append(slices.Clone(command[1:]), n.kafka, keyStream, fmt.Sprint(keyCount), fmt.Sprint(keyRounds))...)
		acked := map[string]int{}
		var errs strings.Builder
		cmd.Stderr = &errs
		cmd.Stdout = lineWriter(func(line string) {
			var i, count int
			var key string
			if _, err := fmt.Sscanf(line, "round %d", &i); err == nil {
				round(i)
			} else if _, err := fmt.Sscanf(line, "acked %s %d", &key, &count); err == nil {
				acked[key] += count
			}
		})
		if err := cmd.Run(); err != nil {
			return acked, fmt.Errorf("%w\n%s", err, errs.String())
		}
		return acked, nil
	}}
}

// confluentPython finds a python that has librdkafka, or skips.
func confluentPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	version, err := run(t, "", python, "-c", "import confluent_kafka as c; print(c.version(), c.libversion())")
	if err != nil {
		t.Skip("confluent-kafka is not here: pip install confluent-kafka, or set PYTHON to a python that has it")
	}
	t.Log(strings.TrimSpace(version))
	return python
}
