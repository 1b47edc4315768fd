package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
	"leat/storage/journal"
	journalmemory "leat/storage/journal/memory"
)

// lines keeps what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) failures() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range strings.Lines(l.b.String()) {
		if strings.Contains(s, "failed") {
			out = append(out, s)
		}
	}
	return out
}

// A disk that is full fails every partition of every request: that is one line, and at the end how many requests had none.
func TestReport_OneLineForManyFailures(t *testing.T) {
	store, err := journalmemory.NewStore(journalmemory.Default())
	if err != nil {
		t.Fatal(err)
	}
	shards := gatewaytest.MemoryShards(t, 1)
	shards[0].OpenJournal = func() (journal.Journal, error) { return store.Open(), nil }
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: 1, Cluster: "test", Node: 1, Clock: clock.Real, Log: slog.New(slog.DiscardHandler),
		Shards: shards,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	log := &lines{}
	g := New(b, Default())
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gateway.Listen(ctx, gateway.Options{
		Name: "kafka", Addr: "127.0.0.1:0", Protocol: "kafka", Known: g.Descriptor().Operations, Limits: gateway.Default(),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()

	const partitions, requests = 20, 5
	c := dial(t, l.Addr().String())
	create(c, "s", partitions)
	var full atomic.Bool
	full.Store(true)
	store.SetHook(func(journal.Frame) journalmemory.Outcome {
		if full.Load() {
			return journalmemory.NoSpace
		}
		return journalmemory.Durable
	})
	var parts [][]byte
	for range partitions {
		parts = append(parts, batch(t, "v"))
	}
	began := clock.Now()
	for range requests {
		r := ask[*kmsg.ProduceResponse](c, produceRequest("s", -1, parts...), 9)
		for _, p := range r.Topics[0].Partitions {
			if p.ErrorCode != codeNotEnoughReplicas {
				t.Fatalf("partition %d: code %d", p.Partition, p.ErrorCode)
			}
		}
	}
	most := 1 + int(clock.Since(began)/gateway.FaultLineInterval)
	got := log.failures()
	if len(got) == 0 || len(got) > most {
		t.Fatalf("%d lines, want 1 to %d:\n%s", len(got), most, strings.Join(got, ""))
	}
	for _, want := range []string{`faults="unavailable 20"`, "partition=s/0", "api=0", "level=ERROR"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %s in %s", want, got[0])
		}
	}
	full.Store(false)
	if r := ask[*kmsg.ProduceResponse](c, produceRequest("s", -1, batch(t, "v")), 9); r.Topics[0].Partitions[0].ErrorCode != codeNone {
		t.Fatalf("once there is room: code %d", r.Topics[0].Partitions[0].ErrorCode)
	}
	c.c.Close()
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	after := log.failures()
	if most == 1 && (len(after) != 2 || !strings.Contains(after[1], fmt.Sprintf("held_back=%d", requests-1))) {
		t.Fatalf("at the end of the connection:\n%s", strings.Join(after, ""))
	}
}

func TestFailures_TallyHasTheCommonestFirst(t *testing.T) {
	k := &conn{}
	for _, f := range []fault.Kind{fault.Corrupt, fault.Internal, fault.Corrupt, fault.NotFound} {
		k.report("s", 3, fault.New(f, "read", "s", "x"))
	}
	if got, want := k.out.failures.tally(), "corrupt 2, internal 1"; got != want || k.out.failures.at != "s/3" {
		t.Fatalf("got %q at %q, want %q; what is the client's doing does not count", got, k.out.failures.at, want)
	}
}
