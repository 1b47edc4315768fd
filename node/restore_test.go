package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/node"
	osfs "leat/storage/vfs/os"
)

var admin = &broker.Caller{Listener: "test", Protocol: "test", Client: "test"}

// keeping is a configuration in which little is enough for events to move, files to be merged and the journal to be trimmed.
func keeping(t *testing.T, archive string, shards int) *node.Config {
	c := config(t)
	c.Shards = shards
	c.Journal.FileBytes, c.Journal.FrameBytesMax = 1<<20, 256<<10
	c.Broker.BatchBytesMax = 64 << 10
	c.Broker.SegmentWindowBytes, c.Broker.SegmentBacklogBytesMax = 32<<10, 1<<20
	c.Broker.KeepInterval, c.Broker.RetentionInterval = 20*time.Millisecond, 100*time.Millisecond
	c.Broker.StateFlushInterval = 200 * time.Millisecond
	c.Segments.SharedBytesMax, c.Segments.OwnBytesMin, c.Segments.MergeFiles = 128<<10, 16<<10, 3
	c.Keys.ChunkBytes, c.Keys.FanIn = 16<<10, 3
	if archive != "" {
		c.Archive.URL = "file://" + filepath.ToSlash(archive)
		c.Archive.Packs.PackAge = 20 * time.Millisecond
		c.Archive.Packs.PackBytes = 64 << 10
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// fold is all that a client can see of a namespace, in text: streams, events with all that belongs to them, keys with versions, what was deleted,
// users. The platform's own stream, which goes on by itself, is left out.
func fold(t *testing.T, b *broker.Broker, c *broker.Caller) string {
	t.Helper()
	var out strings.Builder
	streams, err := b.ListStreams(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		if s.Name == broker.SystemStream {
			continue
		}
		info, err := b.DescribeStream(t.Context(), c, s.Name)
		if err != nil {
			t.Fatal(err)
		}
		cfg, _ := json.Marshal(info.Config)
		fmt.Fprintf(&out, "stream %s %d %s %v %v\n", info.Name, info.ID, cfg, info.Keys, info.Partitions)
		seen := map[string]bool{}
		foldEvents(t, &out, b, c, broker.PageRequest{Streams: []string{s.Name}}, seen)
		foldEvents(t, &out, b, c, broker.PageRequest{Streams: []string{s.Name}, Backward: true, From: broker.Start{Kind: broker.StartLatest}}, nil)
		if info.Keys == broker.KeysOff {
			continue
		}
		all := make([]string, 0, len(seen))
		for k := range seen {
			all = append(all, k)
		}
		slices.Sort(all)
		for _, k := range all[:min(len(all), 7)] {
			foldEvents(t, &out, b, c, broker.PageRequest{Streams: []string{s.Name}, Key: []byte(k)}, nil)
		}
	}
	deleted, err := b.ListDeleted(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deleted {
		fmt.Fprintf(&out, "deleted %s\n", d.Name)
	}
	users, err := b.ListUsers(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		text, _ := json.Marshal(u)
		fmt.Fprintf(&out, "user %s\n", text)
	}
	return out.String()
}

func foldEvents(t *testing.T, out *strings.Builder, b *broker.Broker, c *broker.Caller, q broker.PageRequest, seen map[string]bool) {
	t.Helper()
	for q.Limit = 1000; ; {
		p, err := b.ReadPage(t.Context(), c, q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		for _, d := range p.Events {
			at := d.Position
			at.Lineage = 0
			fmt.Fprintf(out, "%s %+v %d v%d %q %.20q %d %v\n", d.Ref, at, d.AppendTime, d.Version, d.Record.Key, d.Record.Value, len(d.Record.Value), d.Record.Headers)
			if seen != nil && d.Record.Key != nil {
				seen[string(d.Record.Key)] = true
			}
		}
		if p.CaughtUp {
			fmt.Fprintln(out, "--")
			return
		}
		q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}

// moment is what a node was at a position.
type moment struct {
	at   record.Position
	time int64 // after it, before the next one
	fold string
	sent int32 // records of the idempotent producer
}

// producer is an idempotent producer; its sequence number is that of the record it sends.
const producer = 4711

// produced sends the record of a sequence.
func produced(t *testing.T, b *broker.Broker, c *broker.Caller, seq int32) broker.BatchResult {
	t.Helper()
	raw, err := record.BuildBatch([]record.Record{{Timestamp: 1_700_000_000_000, Value: fmt.Append(nil, "record ", seq)}})
	if err != nil {
		t.Fatal(err)
	}
	record.StampProducer(raw, producer, 0, seq)
	return b.SubmitBatches(t.Context(), c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "history", Batch: raw}}}).Wait(t.Context())[0]
}

func appended(t *testing.T, b *broker.Broker, c *broker.Caller, events ...broker.EventEntry) []broker.EventResult {
	t.Helper()
	r, err := b.AppendEvents(t.Context(), c, broker.EventsAppend{Events: events})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func entry(stream, key string, size int, rng *rand.Rand) broker.EventEntry {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte('a' + rng.IntN(26))
	}
	return broker.EventEntry{Stream: stream, Partition: record.NoPartition, Record: record.Record{Key: []byte(key), Value: value}}
}

// live works on a node for a while, and returns what it was at some moments.
func live(t *testing.T, n *node.Node, c *broker.Caller, rng *rand.Rand, rounds, checkpointEvery int, sent int32) []moment {
	t.Helper()
	b := n.Broker
	var out []moment
	moved, left := false, false // of the events, at a checkpoint: to files, in the journal alone
	for round := range rounds {
		streams := []string{"history", "versioned", "plain"}
		if round == 0 {
			for i, keys := range []broker.KeyMode{broker.KeysHistory, broker.KeysVersioned, broker.KeysOff} {
				if _, err := b.CreateStream(t.Context(), c, streams[i], broker.StreamConfig{Partitions: 3, Keys: keys}); err != nil && !fault.Is(err, fault.Exists) {
					t.Fatal(err)
				}
			}
		}
		for range 12 {
			var events []broker.EventEntry
			for range 1 + rng.IntN(12) {
				events = append(events, entry(streams[rng.IntN(3)], fmt.Sprint("key-", rng.IntN(200)), 100+rng.IntN(900), rng))
			}
			appended(t, b, c, events...)
		}
		change(t, b, c, round)
		sent++
		if r := produced(t, b, c, sent-1); r.Err != nil || r.Duplicate {
			t.Fatalf("idempotent producer: %+v", r)
		}
		if checkpointEvery > 0 && round%checkpointEvery == checkpointEvery-1 {
			made, err := b.ArchiveCheckpoint(t.Context(), admin)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.MaxFunc(made, func(x, y broker.ArchiveCheckpoint) int { return int(x.Bytes - y.Bytes) })
			moved, left = moved || at.After > 0, left || at.After+1 < at.Seq
		}
		last := appended(t, b, c, entry("plain", "mark", 1, rng))[0]
		time.Sleep(3 * time.Millisecond) // no frame after it has its time
		out = append(out, moment{last.Position, time.Now().UnixMilli() - 1, fold(t, b, c), sent})
		time.Sleep(2 * time.Millisecond)
	}
	if rounds > 10 && !(moved && left) {
		t.Errorf("at checkpoints events were moved to files: %v, and some were not yet: %v; the test shows little", moved, left)
	}
	return out
}

// change does what is not an append.
func change(t *testing.T, b *broker.Broker, c *broker.Caller, round int) {
	t.Helper()
	name := fmt.Sprint("short-", round/2)
	var err error
	switch round % 4 {
	case 0:
		_, err = b.CreateStream(t.Context(), c, name, broker.StreamConfig{Partitions: 1})
	case 1:
		err = b.DeleteStream(t.Context(), c, name)
	case 2:
		var info broker.StreamInfo
		if info, err = b.DescribeStream(t.Context(), c, "history"); err == nil {
			p := info.Partitions[1]
			_, err = b.Truncate(t.Context(), c, broker.Truncation{Stream: "history", Partition: 1, Before: broker.Start{Kind: broker.StartOffset, Offset: p.Start + (p.End-p.Start)/3}})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, dir string) *node.ArchivePlace {
	t.Helper()
	p, err := node.OpenArchivePlace(dir, node.ArchiveKeys{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func restore(t *testing.T, archive, data string, c *node.Config, opt node.RestoreOptions) (*node.Restored, error) {
	t.Helper()
	opt.From, opt.Data, opt.Journal, opt.State, opt.Log = place(t, archive), data, c.Journal, c.State, slog.New(slog.DiscardHandler)
	return node.Restore(t.Context(), osfs.New(), opt)
}

// A restore to any moment gives what the node was at that moment, from whichever checkpoint or none, and what comes after goes on.
func TestRestore_IsTheFoldUpToThere(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			dir := t.TempDir()
			archive := filepath.Join(dir, "archive")
			cfg := keeping(t, archive, shards)
			c := &broker.Caller{Namespace: map[int]string{1: "", 3: "acme"}[shards], Listener: "test", Protocol: "test", Client: "test"}
			n, err := open(t, node.Options{Data: filepath.Join(dir, "data"), Config: cfg, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, uint64(shards)))
			moments := live(t, n, c, rng, 12, 4, 0)
			moments = append(moments, withUser(t, n, c))
			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			plain := keeping(t, "", shards)
			checkpoints := map[uint64]bool{}
			for i, m := range moments {
				if (testing.Short() || shards > 1) && i%4 != 0 && i < len(moments)-1 {
					continue
				}
				for _, until := range []node.RestoreUntil{{Position: &m.at}, {Time: time.UnixMilli(m.time)}}[i/2%2 : i/2%2+1] {
					data := filepath.Join(dir, "restored")
					r, err := restore(t, archive, data, plain, node.RestoreOptions{Until: until})
					if err != nil {
						t.Fatalf("moment %d: %v", i, err)
					}
					sh := r.Shards[m.at.Shard]
					if sh.Seq != m.at.Seq && until.Position != nil || sh.Seq < m.at.Seq {
						t.Errorf("moment %d: restored up to frame %d, wanted %d", i, sh.Seq, m.at.Seq)
					}
					checkpoints[sh.Checkpoint] = true
					again, err := open(t, node.Options{Data: data, Config: plain, Log: slog.New(slog.DiscardHandler)})
					if err != nil {
						t.Fatalf("moment %d: %v", i, err)
					}
					c := *c
					if i == len(moments)-1 {
						c.Principal = "root"
					} else if again.Broker.UsersExist() {
						t.Errorf("moment %d: the user came later", i)
					}
					if got := fold(t, again.Broker, &c); got != m.fold {
						t.Errorf("moment %d of %d, checkpoint %d: restored\n%s", i, len(moments), sh.Checkpoint, firstDifference(got, m.fold))
					}
					goesOn(t, again, &c, m, moments[len(moments)-1].at)
					if err := again.Stop(); err != nil {
						t.Error(err)
					}
					if err := os.RemoveAll(data); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(checkpoints) < 3 {
				t.Errorf("restores began at %v only: the test shows little", checkpoints)
			}
		})
	}
}

// withUser is what a node is once it has a user.
func withUser(t *testing.T, n *node.Node, c *broker.Caller) moment {
	t.Helper()
	grants := []broker.Grant{{Action: "*", Kind: "*", Pattern: "*"}}
	if _, err := n.Broker.PutUser(t.Context(), admin, broker.User{Name: "root", Password: "a long secret", Namespace: c.Namespace, Grants: grants}); err != nil {
		t.Fatal(err)
	}
	root := *c
	root.Principal = "root"
	r := appended(t, n.Broker, &root, broker.EventEntry{Stream: "plain", Partition: record.NoPartition, Record: record.Record{Value: []byte("root was here")}})[0]
	time.Sleep(3 * time.Millisecond)
	return moment{r.Position, time.Now().UnixMilli() - 1, fold(t, n.Broker, &root), 0}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d of %d: %s\nwant (of %d): %s", i, len(g), g[i], len(w), strings.Join(w[i:min(i+1, len(w))], ""))
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// goesOn looks at positions of the old lineage, and appends.
func goesOn(t *testing.T, n *node.Node, c *broker.Caller, m moment, last record.Position) {
	t.Helper()
	old := broker.PageRequest{Streams: []string{"plain"}, From: broker.Start{Kind: broker.StartPosition, Position: m.at}, Limit: 10}
	r := appended(t, n.Broker, c, broker.EventEntry{Stream: "plain", Partition: record.NoPartition, Record: record.Record{Key: []byte("new"), Value: []byte("new")}})[0]
	if r.Position.Seq <= m.at.Seq {
		t.Errorf("an event after the restore is at frame %d, the last restored one at %d", r.Position.Seq, m.at.Seq)
	}
	if m.sent > 0 {
		if r := produced(t, n.Broker, c, m.sent-1); r.Err != nil || !r.Duplicate {
			t.Errorf("the producer's last record was not known again: %+v", r)
		}
		if r := produced(t, n.Broker, c, m.sent+1); r.Err == nil || r.Err.Reason != fault.ReasonSequence {
			t.Errorf("a gap in the producer's sequence: %+v", r)
		}
		if r := produced(t, n.Broker, c, m.sent); r.Err != nil || r.Duplicate {
			t.Errorf("the producer does not go on: %+v", r)
		}
	}
	p, err := n.Broker.ReadPage(t.Context(), c, old)
	if err != nil || len(p.Events) != 1 || string(p.Events[0].Record.Value) != "new" {
		t.Errorf("from a position of before the restore: %d events, %v", len(p.Events), err)
	}
	if last.Seq > m.at.Seq+3 {
		old.From.Position = last
		if _, err := n.Broker.ReadPage(t.Context(), c, old); !fault.Is(err, fault.Trimmed) || !strings.Contains(err.Error(), "restored away") {
			t.Errorf("a position of the lost future: %v", err)
		}
	}
}

// A restored node archives beside the old one, and is restored again; positions of all lineages hold as far as they are in it.
func TestRestore_OfARestored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive := filepath.Join(dir, "archive")
	cfg := keeping(t, archive, 1)
	rng := rand.New(rand.NewPCG(2, 2))
	var first, second []moment
	life := func(number int, fn func(n *node.Node)) {
		n, err := open(t, node.Options{Data: filepath.Join(dir, fmt.Sprint(number)), Config: cfg, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if len(n.Identity.Past) != number {
			t.Errorf("life %d knows of %+v", number, n.Identity.Past)
		}
		fn(n)
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	again := func(number int, to moment) {
		_, err := restore(t, archive, filepath.Join(dir, fmt.Sprint(number)), cfg, node.RestoreOptions{Until: node.RestoreUntil{Position: &to.at}})
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func(n *node.Node, ms []moment, upTo int) {
		t.Helper()
		for i, m := range ms {
			_, err := n.Broker.ReadPage(t.Context(), admin, broker.PageRequest{Streams: []string{"plain"}, From: broker.Start{Kind: broker.StartPosition, Position: m.at}, Limit: 10})
			if (i <= upTo) != (err == nil) || err != nil && !fault.Is(err, fault.Trimmed) {
				t.Errorf("lineage %x: the position of moment %d, %d are kept: %v", n.Identity.Short(), i, upTo+1, err)
			}
		}
	}
	life(0, func(n *node.Node) { first = live(t, n, admin, rng, 6, 4, 0) })
	again(1, first[3])
	life(1, func(n *node.Node) {
		holds(n, first, 3)
		second = live(t, n, admin, rng, 4, 2, first[3].sent)
		if got := fold(t, n.Broker, admin); got != second[3].fold {
			t.Error(firstDifference(got, second[3].fold))
		}
	})
	again(2, second[2])
	life(2, func(n *node.Node) {
		holds(n, first, 3)
		holds(n, second, 2)
		if got := fold(t, n.Broker, admin); got != second[2].fold {
			t.Error(firstDifference(got, second[2].fold))
		}
	})
	all, err := place(t, archive).Lineages(t.Context())
	if err != nil || len(all) != 3 || len(all[2].Identity.Past) != 2 {
		t.Errorf("lineages %+v, %v", all, err)
	}
	// The oldest can still be restored whole, by the beginning of its name.
	data := filepath.Join(dir, "old")
	r, err := restore(t, archive, data, cfg, node.RestoreOptions{Lineage: all[0].Lineage.String()[:12]})
	if err != nil || r.Shards[0].Seq < first[5].at.Seq || r.Of != all[0].Lineage.String() {
		t.Errorf("the first life: %+v, %v", r, err)
	}
	for name, opt := range map[string]node.RestoreOptions{
		"no lineage":     {Lineage: "zz"},
		"not empty":      {Data: "old"},
		"before":         {Until: node.RestoreUntil{Time: time.UnixMilli(1)}},
		"before lineage": {Lineage: all[1].Lineage.String(), Until: node.RestoreUntil{Position: &first[0].at}},
		"another shard":  {Until: node.RestoreUntil{Position: &record.Position{Shard: 9, Lineage: first[0].at.Lineage, Seq: 3}}},
		"another future": {Until: node.RestoreUntil{Position: &record.Position{Lineage: 77, Seq: 3}}},
	} {
		to := filepath.Join(dir, "refused "+name)
		if opt.Data != "" {
			to = data
		}
		if _, err := restore(t, archive, to, cfg, opt); err == nil {
			t.Errorf("%s: restored", name)
		}
		if name != "not empty" {
			if _, err := os.Stat(filepath.Join(to, "leat.json")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: leat.json after a refusal: %v", name, err)
			}
		}
	}
}

// A restore that fails on the way leaves a directory that does not open.
func TestRestore_HalfIsNotWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive, data := filepath.Join(dir, "archive"), filepath.Join(dir, "data")
	cfg := keeping(t, archive, 1)
	n, err := open(t, node.Options{Data: data, Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	live(t, n, admin, rand.New(rand.NewPCG(3, 3)), 4, 2, 0)
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(archive, "*", "shard-0", "packs", "*.pack"))
	if err != nil || len(packs) < 4 {
		t.Fatalf("%d packs, %v", len(packs), err)
	}
	raw, err := os.ReadFile(packs[len(packs)-1])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(packs[len(packs)-1], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "half")
	if _, err := restore(t, archive, to, cfg, node.RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("a damaged pack: %v", err)
	}
	if _, err := open(t, node.Options{Data: to, Config: keeping(t, "", 1)}); err == nil || !strings.Contains(err.Error(), "does not write into") {
		t.Errorf("half a restore opens: %v", err)
	}
	if _, err := restore(t, archive, to, cfg, node.RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored over half a restore: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	opt := node.RestoreOptions{From: place(t, archive), Data: filepath.Join(dir, "never"), Journal: cfg.Journal, State: cfg.State}
	if _, err := node.Restore(ctx, osfs.New(), opt); err == nil {
		t.Error("restored although it was told to stop")
	}
}

func TestArchive_State(t *testing.T) {
	dir := t.TempDir()
	cfg := keeping(t, filepath.Join(dir, "archive"), 1)
	n, err := open(t, node.Options{Data: filepath.Join(dir, "data"), Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	live(t, n, admin, rand.New(rand.NewPCG(4, 4)), 2, 1, 0)
	s, err := n.Broker.ArchiveState(admin)
	if err != nil || len(s.Shards) != 1 || !s.Shards[0].Running || s.Shards[0].Failing || s.Shards[0].Archived == 0 || s.Shards[0].Checkpoint == 0 {
		t.Errorf("state %+v, %v", s, err)
	}
	if did, err := n.Broker.ArchivePrune(t.Context(), admin); err != nil || !reflect.DeepEqual(did, broker.ArchivePruned{}) {
		t.Errorf("a prune of what is young takes %+v, %v", did, err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "data", "shard-0", "checkpoint")); len(names) > 0 {
		t.Error("a copy of the rows stays after the checkpoint")
	}
	if _, err := open(t, node.Options{Config: cfg}); err == nil {
		t.Error("a node without a data directory archives")
	}
	// What a checkpoint that was killed has left goes with the next start, also without an archive.
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "data", "shard-0", "checkpoint")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "000001.sst"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = open(t, node.Options{Data: filepath.Join(dir, "data"), Config: keeping(t, "", 1), Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a checkpoint has left is there after a start: %v", err)
	}
}

// An archive that cannot be written stops nothing and loses nothing: events go on, the journal keeps them, and all is archived once it can be.
func TestArchive_ThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "mount")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(inTheWay, "archive")
	cfg := keeping(t, archive, 1)
	cfg.Archive.Packs.RetryMax = 100 * time.Millisecond
	n, err := open(t, node.Options{Data: filepath.Join(dir, "data"), Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m := live(t, n, admin, rand.New(rand.NewPCG(8, 8)), 3, 0, 0)
	s, err := n.Broker.ArchiveState(admin)
	if err != nil || !s.Shards[0].Failing || s.Shards[0].Archived != 0 || s.Shards[0].Error == "" {
		t.Errorf("state %+v, %v", s, err)
	}
	if err := n.Broker.Ready(); err != nil {
		t.Errorf("not ready because of the archive: %v", err)
	}
	d, err := n.Broker.Doctor(t.Context(), admin)
	if err != nil || !slices.ContainsFunc(d.Findings, func(f broker.Finding) bool {
		return f.Severity == broker.SeverityFault && strings.Contains(f.What, "archived")
	}) {
		t.Errorf("doctor: %+v, %v", d.Findings, err)
	}
	if !slices.ContainsFunc(d.Holders, func(h broker.Holding) bool { return h.Name == "archive" && h.Seq == 0 }) {
		t.Errorf("the archive does not hold the journal: %+v", d.Holders)
	}
	if _, err := n.Broker.ArchiveCheckpoint(t.Context(), admin); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a checkpoint into an archive that fails: %v", err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	last := m[len(m)-1]
	for range 3000 {
		if s, err = n.Broker.ArchiveState(admin); err == nil && s.Shards[0].Archived >= last.at.Seq && !s.Shards[0].Failing {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if s.Shards[0].Archived < last.at.Seq || s.Shards[0].Failing {
		t.Fatalf("after the archive works again: %+v", s)
	}
	for from, i := place(t, archive), 0; i < 1500; i++ { // the place is registered a pause after it can be
		if l, err := from.Lineages(t.Context()); err == nil && len(l) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, archive, filepath.Join(dir, "restored"), cfg, node.RestoreOptions{Until: node.RestoreUntil{Position: &last.at}}); err != nil {
		t.Fatal(err)
	}
}
