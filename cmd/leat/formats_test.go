package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fact"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/contract/registry"
	"leat/internal/kafkagroup"
	"leat/node"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/state/pebble"
	osfs "leat/storage/vfs/os"
)

// golden unpacks a directory of a released format. See node/testdata/formats.
func golden(t *testing.T, format string) (data string, asked []question) {
	t.Helper()
	in := filepath.Join("..", "..", "node", "testdata", "formats", format)
	dir := t.TempDir()
	tr := tar.NewReader(gunzip(t, filepath.Join(in, "data.tar.gz")))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(name, 0o750); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(gunzip(t, filepath.Join(in, "manifest.jsonl.gz")))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			t.Fatal(err)
		}
		asked = append(asked, q)
	}
	if err := lines.Err(); err != nil || len(asked) < 20 {
		t.Fatalf("%d questions: %v", len(asked), err)
	}
	return filepath.Join(dir, "data"), asked
}

func gunzip(t *testing.T, name string) io.Reader {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// question is what the program that made the directory was asked, and what it answered.
type question struct {
	Path   string         `json:"path"`
	Answer map[string]any `json:"answer"`
}

// smallNode runs a node whose windows and key files are so small that everything moves at once. Retention does not run: golden events are old.
func smallNode(t *testing.T, data string, set ...func(*node.Config)) (n *node.Node, url string, stop func()) {
	t.Helper()
	cfg := node.DefaultConfig(protocols())
	cfg.DiskReserveBytes = 0
	cfg.Journal.RingBytes, cfg.Journal.FileBytes, cfg.Journal.FrameBytesMax = 0, 128<<10, 64<<10
	cfg.Broker.SegmentWindowBytes, cfg.Broker.SegmentBacklogBytesMax, cfg.Broker.KeepInterval = 16<<10, 1<<20, 20*time.Millisecond
	cfg.Broker.StateFlushInterval, cfg.Broker.RetentionInterval = 100*time.Millisecond, time.Hour
	cfg.Keys.ChunkBytes, cfg.Segments.SharedBytesMax = 8<<10, 64<<10
	for _, set := range set {
		set(cfg)
	}
	n, err := node.Open(node.Options{Data: data, Config: cfg, Protocols: protocols(), Listen: map[string]string{"http": "127.0.0.1:0"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if err := n.Stop(); err != nil && !errors.Is(err, syscall.ENOSPC) { // on a full disk the journal has what could not be flushed
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return n, "http://" + n.Addr("http"), stop
}

// ask puts every question again. grown says that events were appended since.
func ask(t *testing.T, url string, asked []question, grown bool) {
	t.Helper()
	for _, q := range asked {
		got := get(t, url+q.Path)
		if strings.HasPrefix(q.Path, "/v1/streams/") && !strings.Contains(q.Path, "events") && grown {
			delete(q.Answer, "partitions")
		}
		old, backward := q.Answer, strings.Contains(q.Path, "backward")
		for _, list := range []string{"events", "stored"} {
			was, ok := old[list].([]any)
			if !ok {
				continue
			}
			now, _ := got[list].([]any)
			switch {
			case !grown:
			case len(now) < len(was):
			case backward:
				now = now[len(now)-len(was):]
			default:
				now = now[:len(was)]
			}
			got[list] = now
		}
		delete(old, "next") // it is behind the system events of this start
		if grown {
			delete(old, "caught_up")
		}
		if why := missing(old, got, ""); why != "" {
			t.Errorf("%s: %s", q.Path, why)
		}
	}
}

// whole leaves out what compaction thins, of streams that keep the latest of each key: what is not the latest, and the latest of key-1 of kafka-compacted, which
// has no value, and goes once a day has passed since it came (delete.retention.ms).
func whole(asked []question) []question {
	return slices.DeleteFunc(slices.Clone(asked), func(q question) bool {
		return strings.HasSuffix(q.Path, "compacted/events?limit=1000") || strings.HasSuffix(q.Path, "compacted/events?limit=1000&key=key-1") ||
			strings.HasSuffix(q.Path, "prices/events?limit=1000")
	})
}

func get(t *testing.T, url string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "secret-of-admin")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v, %v", url, resp.Status, got, err)
	}
	return got
}

// missing says what of old is not in got: a newer program may answer more, but nothing else.
func missing(old, got any, at string) string {
	switch o := old.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v", at, got)
		}
		for k, v := range o {
			if why := missing(v, g[k], at+"/"+k); why != "" {
				return why
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(o) {
			return fmt.Sprintf("%s has %d, not %d", at, len(g), len(o))
		}
		for i := range o {
			if why := missing(o[i], g[i], fmt.Sprintf("%s/%d", at, i)); why != "" {
				return why
			}
		}
		return ""
	}
	if !reflect.DeepEqual(old, got) {
		return fmt.Sprintf("%s is %v, was %v", at, got, old)
	}
	return ""
}

// folderSum is a sum over names and bytes of a folder.
func folderSum(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(b))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// level1 is what a program of format 1 reads: these kinds, in this version. It refuses everything else.
var level1 = map[fact.Kind]uint64{
	fact.Claimed: 1, fact.CatalogPut: 1, fact.CatalogDeleted: 1, fact.StreamCreated: 1, fact.StreamChanged: 1, fact.StreamDeleted: 1, fact.Appended: 1,
	fact.Keyed: 1, fact.Identified: 1, fact.ProducerAllocated: 1, fact.OriginDefined: 1,
}

// readJournal reads the whole journal of a stopped node as a program of format 1 does, and says which frames it has.
func readJournal(t *testing.T, data string) (first, last journal.Seq, kinds map[fact.Kind]int) {
	t.Helper()
	copied := t.TempDir() // opening a journal writes to it
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(data, "shard-0", "journal"))); err != nil {
		t.Fatal(err)
	}
	cfg := disk.Default()
	cfg.RingBytes = 0
	j, err := disk.Open(osfs.New(), filepath.ToSlash(copied), cfg, disk.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	kinds = map[fact.Kind]int{}
	err = j.Scan(0, 0, func(e journal.Entry) error {
		first, last = cmp.Or(first, e.Seq), e.Seq
		_, body, err := fact.ReadHead(e.Facts)
		if err != nil {
			return err
		}
		return fact.Each(body, func(f fact.Fact) error {
			kinds[f.Kind]++
			if level1[f.Kind] != f.Version {
				return fmt.Errorf("frame %d has a fact %s of version %d, which format 1 has not", e.Seq, f.Kind, f.Version)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return first, last, kinds
}

func segmentFiles(t *testing.T, data string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(data, "shard-0", "segments", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// admin is a command line of the golden directories' administrator.
func admin(url string) cli {
	return cli{url: url, env: map[string]string{"LEAT_USER": "admin", "LEAT_PASSWORD": "secret-of-admin"}}
}

const asAdmin = " --user admin"

// appendEverywhere appends in every way that format 1 has, n times.
func appendEverywhere(t *testing.T, url string, n int) {
	t.Helper()
	c := admin(url)
	lines := strings.Repeat(`{"text":"a line that makes the journal grow"}`+"\n", 40)
	for i := range n {
		c.must(t, lines, "publish orders --lines --key customer-1"+asAdmin)
		c.must(t, "", fmt.Sprintf("publish prices {\"p\":%d} --key product-of-now"+asAdmin, i))
		c.must(t, "", "publish plain again --id later-"+fmt.Sprint(i)+asAdmin)
		c.must(t, "", "publish kafka-compacted value --key key-of-now"+asAdmin)
	}
	c.must(t, "", fmt.Sprintf("publish accounts 1 --key fresh-%d --expect none"+asAdmin, time.Now().UnixNano()))
	if _, _, code := c.run(context.Background(), "", strings.Fields("publish accounts 1 --key account-1 --expect none"+asAdmin)...); code != exitConflict {
		t.Errorf("a key with versions was taken for a new one: exit %d", code)
	}
}

// TestFormat1 is the life of a directory of format 1 under this program: it opens, stays what it is, and becomes format 2 when told to.
func TestFormat1(t *testing.T) {
	data, asked := golden(t, "v1")
	old := filepath.Join(data, "shard-0", "state")
	sum, identity := folderSum(t, old), mustRead(t, filepath.Join(data, "leat.json"))
	first, before, kinds := readJournal(t, data)
	for k := range level1 {
		if kinds[k] == 0 && k != fact.Claimed {
			t.Errorf("the golden directory has no fact %s", k)
		}
	}

	for range 2 { // the second time from the folders of this program
		n, url, stop := smallNode(t, data)
		ask(t, url, asked, false)
		if n.Identity.Format != 1 {
			t.Fatalf("format %d", n.Identity.Format)
		}
		stop()
	}
	producers(t, data, "state-2")

	_, url, stop := smallNode(t, data)
	appendEverywhere(t, url, 10)
	for _, args := range []string{
		"stream truncate plain --before offset:10 --yes", "stream create fixed --set immutable=true", "stream create fixed --set protected=true", "stream undelete gone",
	} {
		if _, errs, code := admin(url).run(context.Background(), "", strings.Fields(args+asAdmin)...); code == exitOK || !strings.Contains(errs, "leat upgrade --finalize") {
			t.Errorf("leat %s: exit %d, %s", args, code, errs)
		}
	}
	admin(url).must(t, "", "stream delete changed --yes"+asAdmin)
	time.Sleep(200 * time.Millisecond) // ten looks at whether there is something to move
	ask(t, url, slices.DeleteFunc(slices.Clone(asked), func(q question) bool { return strings.Contains(q.Path, "changed") }), true)
	stop()

	nowFirst, nowLast, _ := readJournal(t, data)
	if nowFirst != first || nowLast <= before {
		t.Errorf("the journal has frames %d to %d, had %d to %d", nowFirst, nowLast, first, before)
	}
	if n := segmentFiles(t, data); n > 0 {
		t.Errorf("%d segment files in a directory of format 1", n)
	}
	if folderSum(t, old) != sum {
		t.Error("the state folder of the old program was changed")
	}
	if got := mustRead(t, filepath.Join(data, "leat.json")); got != identity {
		t.Errorf("leat.json is %s", got)
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// producers checks what is known of idempotent producers against their last batches in the journal.
func producers(t *testing.T, data, folder string) {
	t.Helper()
	n, _, stop := smallNode(t, data)
	c := &broker.Caller{Principal: "admin", Protocol: "test"}
	last := map[record.PartitionID]*record.BatchHeader{}
	var info broker.StreamInfo
	for p := range record.PartitionID(2) {
		var err error
		if info, err = n.Broker.DescribeStream(t.Context(), c, "kafka-orders"); err != nil {
			t.Fatal(err)
		}
		end := info.Partitions[p].End
		r := n.Broker.Read(t.Context(), c, []broker.Cursor{{Stream: "kafka-orders", Partition: p, From: end - 1, BytesMax: 1 << 20}}, 1<<20)
		if r[0].Err != nil || len(r[0].Batches) == 0 {
			t.Fatalf("partition %d: %v", p, r[0].Err)
		}
		h, err := record.ParseBatchHeader(r[0].Batches[len(r[0].Batches)-1].Raw)
		if err != nil {
			t.Fatal(err)
		}
		last[p] = &h
	}
	stop()
	rows, err := pebble.Open(filepath.Join(data, "shard-0", folder), node.DefaultConfig(nil).State)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	st, err := stream.Load(rows)
	if err != nil {
		t.Fatal(err)
	}
	for p, h := range last {
		pr := st.Streams[info.ID].Partitions[p].Producers[h.ProducerID]
		if h.ProducerID < 0 || pr == nil || pr.Epoch != h.ProducerEpoch || pr.Recent[pr.Count-1].Last != h.LastSequence() || pr.Recent[pr.Count-1].Base != h.BaseOffset {
			t.Errorf("partition %d: producer %d is known as %+v, its last batch is %+v", p, h.ProducerID, pr, h)
		}
	}
}

func TestUpgrade(t *testing.T) {
	data, asked := golden(t, "v1")
	_, url, stop := smallNode(t, data)
	if _, errs, code := (cli{}).run(context.Background(), "", "upgrade", "--finalize", "--yes", "--data", data); code != exitFailed || !strings.Contains(errs, "a node runs") {
		t.Errorf("beside a running node: exit %d, %s", code, errs)
	}
	appendEverywhere(t, url, 1)
	stop()

	c := cli{}
	identity := mustRead(t, filepath.Join(data, "leat.json"))
	out := c.must(t, "", "upgrade --check --data "+data)
	for _, want := range []string{fmt.Sprint("format\t1 of ", node.DirectoryFormat), "subscriptions can be made", "producers can make transactions", "older programs refuse", filepath.ToSlash(filepath.Join("shard-0", "state"))} {
		if !strings.Contains(out, want) {
			t.Errorf("check says %s, without %q", out, want)
		}
	}
	if mustRead(t, filepath.Join(data, "leat.json")) != identity {
		t.Error("a check changed the directory")
	}
	for _, args := range []string{"upgrade", "upgrade --data " + data, "upgrade --check --finalize --data " + data, "upgrade --finalize --data " + data} {
		if _, errs, code := c.run(context.Background(), "", strings.Fields(args)...); code != exitUsage {
			t.Errorf("leat %s: exit %d, %s", args, code, errs)
		}
	}
	c.must(t, "", "upgrade --finalize --yes --data "+data)
	if _, err := os.Stat(filepath.Join(data, "shard-0", "state")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old state folder: %v", err)
	}
	if out := c.must(t, "", "upgrade --check --data "+data); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second check says %s", out)
	}
	c.must(t, "", "upgrade --finalize --yes --data "+data)

	n, url, stop := smallNode(t, data)
	appendEverywhere(t, url, 10)
	admin(url).must(t, "", "stream truncate plain --before offset:10 --yes"+asAdmin)
	eventually(t, "events move to segment files", func() bool { return segmentFiles(t, data) > 0 })
	eventually(t, "the finalizing is told", func() bool {
		return strings.Contains(admin(url).must(t, "", "read leat.system"+asAdmin), broker.TypeFormatFinalized)
	})
	if n.Identity.Format != node.DirectoryFormat || n.Identity.FinalizedFrom != 0 {
		t.Errorf("identity %+v", n.Identity)
	}
	stop()
	_, url, _ = smallNode(t, data)
	ask(t, url, slices.DeleteFunc(whole(asked), func(q question) bool { return strings.Contains(q.Path, "plain") }), true)
	if out := admin(url).must(t, "", "read leat.system"+asAdmin); strings.Count(out, broker.TypeFormatFinalized) != 1 {
		t.Error("the finalizing was told twice")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("not within 2 min: %s", what)
}

// TestFormat5: events are found by type and tags, a contract holds as it did, and what it set apart waits, and is replayed when it is mended.
func TestFormat5(t *testing.T) {
	data, asked := golden(t, "v5")
	asked = whole(asked)
	c := &broker.Caller{Principal: "admin", Namespace: "default", Protocol: "test"}
	open := slices.DeleteFunc(slices.Clone(asked), func(q question) bool { return q.Path == "/v1/streams/kafka-transactions" }) // has another marker by and by, as in format 4
	for range 2 {
		n, url, stop := smallNode(t, data)
		ask(t, url, open, false)
		if n.Identity.Format != 5 {
			t.Errorf("identity %+v", n.Identity)
		}
		r := n.Broker.Contracts("default")
		if vs, err := r.Versions("promise", registry.Live); err != nil || len(vs) != 2 || vs[1].ID != 2 {
			t.Errorf("versions of the schema: %+v, %v", vs, err)
		}
		if b, err := r.Binding("promise"); err != nil || b.Stream != "promised" || b.Enforce != registry.Quarantine {
			t.Errorf("the contract: %+v, %v", b, err)
		}
		if all := n.Broker.AllReads(c); len(all) != 1 || all[0].Service != "billing" || all[0].Type != "promise" || !slices.Equal(all[0].Fields, []string{"n"}) {
			t.Errorf("declared: %+v", all)
		}
		stop()
	}
	producers(t, data, "state-2")
	n, url, _ := smallNode(t, data)
	appendEverywhere(t, url, 5)
	ask(t, url, open, true)
	if _, errs, code := admin(url).run(t.Context(), "", strings.Fields(`publish promised {"n":"two"}`+asAdmin)...); code != exitOK || !strings.Contains(errs, "quarantine") {
		t.Errorf("exit %d: %s", code, errs)
	}
	all, _, err := n.Broker.QuarantineList(t.Context(), c, broker.QuarantineQuery{Limit: 10})
	if err != nil || len(all) != 2 {
		t.Fatalf("in quarantine: %+v, %v", all, err)
	}
	if _, err := n.Broker.ReplayQuarantined(t.Context(), c, all[0].Ref, func(r *record.Record) { r.Value = []byte(`{"n":1}`) }); err != nil {
		t.Error(err)
	}
	if p := get(t, url+"/v1/streams/promised/events?limit=10"); len(p["events"].([]any)) != 2 {
		t.Errorf("replayed: %v", p)
	}
}

// TestFormat4: what was committed by a transaction is there with the offset of the group that it moved, what was aborted is not; the transaction that nobody ended
// takes too long now, and is aborted. (The other names were silent for a week when the directory is older than that, and are forgotten.)
func TestFormat4(t *testing.T) {
	data, asked := golden(t, "v4")
	asked = whole(asked)
	for _, told := range []string{": committed\",\"transaction of producer", ": aborted\",\"transaction of producer", "moves when it commits, subscription"} {
		if out := (cli{}).must(t, "", "journal dump "+data); !strings.Contains(out, told) {
			t.Errorf("the dump of the journal does not say %q", told)
		}
	}
	for _, q := range asked {
		if q.Path == "/v1/streams/kafka-transactions" {
			delete(q.Answer, "partitions") // which end with the markers of that
		}
	}
	for range 2 {
		n, url, stop := smallNode(t, data)
		c := &broker.Caller{Principal: "admin", Namespace: "default", Protocol: "test"}
		eventually(t, "the open transaction is aborted", func() bool {
			found, err := n.Broker.Transactors(t.Context(), c, []string{"open"})
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			return found[0].Phase == broker.TransactionAborted
		})
		ps, err := n.Broker.Positions(t.Context(), c, kafkagroup.Name("readers"), nil)
		if err != nil || len(ps) != 1 || ps[0].Stream != "kafka-orders" || ps[0].Offset != 7 {
			t.Errorf("positions of the group: %+v, %v", ps, err)
		}
		ask(t, url, asked, false)
		if n.Identity.Format != 4 {
			t.Errorf("identity %+v", n.Identity)
		}
		stop()
	}
	producers(t, data, "state-2")
	_, url, _ := smallNode(t, data)
	appendEverywhere(t, url, 5)
	ask(t, url, asked, true)
}

// TestFormat3: what was acked stays acked, and what was handed over when the program was killed is handed over again.
func TestFormat3(t *testing.T) {
	data, asked := golden(t, "v3")
	asked = whole(asked)
	for range 2 {
		_, url, stop := smallNode(t, data)
		ask(t, url, asked, false)
		if out := admin(url).must(t, "", "sub describe work"+asAdmin); !strings.Contains(out, "acked\t2\n") || !strings.Contains(out, "exact\ttrue\n") {
			t.Errorf("the subscription: %s", out)
		}
		stop()
	}
	producers(t, data, "state-2")
	n, url, _ := smallNode(t, data)
	appendEverywhere(t, url, 5)
	ask(t, url, asked, true)
	if n.Identity.Format != 3 {
		t.Errorf("identity %+v", n.Identity)
	}
	ds := readDelivered(t, admin(url).must(t, "", "sub receive work --max 1 --wait 20s"+asAdmin))
	if len(ds) != 1 || ds[0].Ref != "accounts/0/2" || ds[0].Attempt != 2 {
		t.Errorf("%+v", ds)
	}
}

func TestFormat2(t *testing.T) {
	data, asked := golden(t, "v2")
	asked = whole(asked)
	for range 2 {
		_, url, stop := smallNode(t, data)
		ask(t, url, asked, false)
		stop()
	}
	producers(t, data, "state-2")
	_, url, stop := smallNode(t, data)
	appendEverywhere(t, url, 5)
	stop()
	if out := (cli{}).must(t, "", "upgrade --check --data "+data); !strings.Contains(out, fmt.Sprint("format\t2 of ", node.DirectoryFormat)) || !strings.Contains(out, "subscriptions can be made") || strings.Contains(out, "retention") {
		t.Errorf("check says %s", out)
	}
	_, url, stop = smallNode(t, data)
	ask(t, url, asked, true)
	stop()
	(cli{}).must(t, "", "upgrade --finalize --yes --data "+data)
	n, url, _ := smallNode(t, data)
	if ask(t, url, asked, true); n.Identity.Format != node.DirectoryFormat {
		t.Errorf("identity %+v", n.Identity)
	}
}
