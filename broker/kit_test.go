package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	journalmem "leat/storage/journal/memory"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/state/pebble"
	memfs "leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// house is a broker with what outlives it: journals and stores in memory.
type house struct {
	past     []broker.PastLineage
	t        testing.TB
	cfg      broker.Config
	clock    *clock.Manual
	journals []*journalmem.Store
	states   []*statemem.Store
	disks    []*memfs.FS // segment files and key files
	dir      string      // "": all is in memory; else journals and rows are files below it, as a node has them
	free     func() (int64, int64)
	opening  func() // what happens before a journal in memory is opened; nil: nothing
	system   bool   // keep the system stream
	format   int    // of the data directory; 0 is the newest
	b        *broker.Broker
	c        *broker.Caller
}

// layouts are the ways every test runs: one shard, and three with a namespace that is not in the first one.
var layouts = []struct {
	name      string
	shards    int
	namespace string
}{{"one shard", 1, ""}, {"three shards", 3, "acme"}}

// each runs a test in every layout.
func each(t *testing.T, test func(t *testing.T, h *house)) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, l.shards, l.namespace)
			h.open()
			test(t, h)
		})
	}
}

// eachStored is each, and once more with journal and rows on the disk of the machine.
func eachStored(t *testing.T, test func(t *testing.T, h *house)) {
	each(t, test)
	t.Run("on disk", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir() // goes after the house has closed
		h := newHouse(t, 1, "")
		h.dir = dir
		h.open()
		test(t, h)
	})
}

// onDisk are stores as a node has them.
func (h *house) onDisk() (broker.ShardStore, error) {
	pc := pebble.Default()
	pc.CacheBytes, pc.Log = 1<<20, quiet
	rows, err := pebble.Open(filepath.Join(h.dir, "state"), pc)
	if err != nil {
		return broker.ShardStore{}, err
	}
	jc := disk.Default()
	jc.FileBytes, jc.RingBytes, jc.FrameBytesMax = 4<<20, 16<<20, 2<<20
	fsys := osfs.New()
	files, err := segment.Open(fsys, filepath.Join(h.dir, "segments"), segment.Default(), segment.Options{Log: quiet})
	return broker.ShardStore{
		State: rows, Segments: files,
		OpenJournal: func() (journal.Journal, error) {
			return disk.Open(fsys, filepath.Join(h.dir, "journal"), jc, disk.Options{Log: quiet})
		},
		OpenKeys: func(opt keys.Options) (*keys.Index, error) {
			return keys.Open(fsys, filepath.Join(h.dir, "keys"), keys.Default(), opt)
		},
	}, err
}

func newHouse(t testing.TB, shards int, namespace string) *house {
	h := &house{
		t: t, cfg: broker.Default(), clock: clock.NewManual(time.UnixMilli(1_700_000_000_000)),
		c: &broker.Caller{Namespace: namespace, Listener: "test", Protocol: "test", Client: "kit"},
	}
	for range shards {
		s, err := journalmem.NewStore(journalmem.Default())
		if err != nil {
			t.Fatal(err)
		}
		h.journals, h.states, h.disks = append(h.journals, s), append(h.states, statemem.New()), append(h.disks, memfs.New())
	}
	t.Cleanup(func() {
		if h.b != nil {
			if err := h.b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return h
}

func (h *house) open() {
	h.t.Helper()
	o := broker.Options{
		Config: h.cfg, Lineage: 7, Past: h.past, Format: h.format, Cluster: "test", Node: 1, Clock: h.clock, Log: quiet, FreeBytes: h.free, System: h.system,
	}
	if h.dir != "" {
		st, err := h.onDisk()
		if err != nil {
			h.t.Fatal(err)
		}
		o.Shards = append(o.Shards, st)
	}
	for i := range h.journals {
		if h.dir != "" {
			break
		}
		files, err := segment.Open(h.disks[i], "/segments", segment.Default(), segment.Options{Log: quiet})
		if err != nil {
			h.t.Fatal(err)
		}
		o.Shards = append(o.Shards, broker.ShardStore{
			OpenJournal: func() (journal.Journal, error) {
				if h.opening != nil {
					h.opening()
				}
				return h.journals[i].Open(), nil
			},
			State: h.states[i], Segments: files,
			OpenKeys: func(opt keys.Options) (*keys.Index, error) {
				return keys.Open(h.disks[i], "/keys", keys.Default(), opt)
			},
		})
	}
	b, err := broker.Open(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.b = b
}

// restart closes the broker and opens it again on what a crash right after would leave.
func (h *house) restart() {
	h.t.Helper()
	if err := h.b.Close(); err != nil {
		h.t.Fatal(err)
	}
	for i := range h.states {
		h.states[i] = h.states[i].Crash()
		h.disks[i] = h.disks[i].CrashClone(nil, memfs.KeepNone)
	}
	h.open()
}

// forget closes the broker and opens it again with empty stores: everything is replayed.
func (h *house) forget() {
	h.t.Helper()
	if err := h.b.Close(); err != nil {
		h.t.Fatal(err)
	}
	if h.dir != "" {
		for _, folder := range []string{"state", "keys"} { // files of segments are not made again
			if err := os.RemoveAll(filepath.Join(h.dir, folder)); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	for i := range h.states {
		h.states[i], h.disks[i] = statemem.New(), memfs.New()
	}
	h.open()
}

func (h *house) create(name string, cfg broker.StreamConfig) {
	h.t.Helper()
	if _, err := h.b.CreateStream(context.Background(), h.c, name, cfg); err != nil {
		h.t.Fatal(err)
	}
}

// event is one with a key ("" is none) for partition 0.
func event(stream, key, value string) broker.EventEntry {
	e := broker.EventEntry{Stream: stream, Partition: 0, Record: record.Record{Value: []byte(value)}}
	if key != "" {
		e.Record.Key = []byte(key)
	}
	return e
}

func (h *house) append(events ...broker.EventEntry) ([]broker.EventResult, error) {
	return h.b.AppendEvents(context.Background(), h.c, broker.EventsAppend{Events: events})
}

func (h *house) mustAppend(events ...broker.EventEntry) []broker.EventResult {
	h.t.Helper()
	r, err := h.append(events...)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// batch is one of n records as a producer makes it. producer -1 is none.
func batch(t *testing.T, producer int64, epoch int16, seq int32, values ...string) []byte {
	t.Helper()
	records := make([]record.Record, len(values))
	for i, v := range values {
		records[i] = record.Record{Timestamp: 1_700_000_000_000, Value: []byte(v)}
	}
	b, err := record.BuildBatch(records)
	if err != nil {
		t.Fatal(err)
	}
	if producer >= 0 {
		record.StampProducer(b, producer, epoch, seq)
	}
	return b
}

// send appends one batch to partition 0 and returns what became of it.
func (h *house) send(stream string, b []byte) broker.BatchResult {
	p := h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: stream, Batch: b}}})
	return p.Wait(context.Background())[0]
}

// values reads all events of streams, in position order.
func (h *house) values(streams ...string) []string {
	h.t.Helper()
	var out []string
	q := broker.PageRequest{Streams: streams, Limit: 100}
	for {
		p, err := h.b.ReadPage(context.Background(), h.c, q)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, texts(p.Events)...)
		if p.CaughtUp {
			return out
		}
		q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}

func texts(ds []*broker.Delivered) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = string(d.Record.Value)
	}
	return out
}

// page reads one page.
func (h *house) page(q broker.PageRequest) broker.Page {
	h.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	p, err := h.b.ReadPage(context.Background(), h.c, q)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// dump is a store's rows as text.
func dump(t *testing.T, st state.Store) string {
	t.Helper()
	it, err := st.Iter(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var b bytes.Buffer
	for ok := it.SeekGE([]byte{0}); ok; ok = it.Next() {
		fmt.Fprintf(&b, "%x = %x\n", it.Key(), it.Value())
	}
	return b.String()
}

func wantKind(t *testing.T, err error, k fault.Kind) *fault.Error {
	t.Helper()
	if !fault.Is(err, k) {
		t.Fatalf("got %v, want %s", err, k)
	}
	return fault.As(err)
}

// healthy waits until all shards serve.
func (h *house) healthy() {
	h.t.Helper()
	wait(h.t, func() bool { return h.b.Ready() == nil })
}

// hold keeps the next frame of the first shard from being written: held is closed when it comes, and it goes on when free is.
func (h *house) hold() (held, free chan struct{}) {
	held, free = make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.journals[0].SetHook(func(journal.Frame) journalmem.Outcome {
		once.Do(func() { close(held); <-free })
		return journalmem.Durable
	})
	return held, free
}
