package link_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"leat/broker"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/link"
	"leat/storage/journal"
	journalmem "leat/storage/journal/memory"
	"leat/storage/keys"
	"leat/storage/segment"
	statemem "leat/storage/state/memory"
	memfs "leat/storage/vfs/memory"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).run"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

const patience = time.Minute

// old is the cluster that is copied.
type old struct {
	t       *testing.T
	cluster *kfake.Cluster
	from    string
	admin   *kadm.Client
}

func newOld(t *testing.T) *old {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	o := &old{t: t, cluster: c, from: link.Scheme + c.ListenAddrs()[0]}
	o.admin = kadm.NewClient(o.client())
	return o
}

func (o *old) client(opts ...kgo.Opt) *kgo.Client {
	o.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(cl.Close)
	return cl
}

func (o *old) topic(name string, partitions int32, configs map[string]*string) {
	o.t.Helper()
	if _, err := o.admin.CreateTopic(context.Background(), partitions, 1, configs, name); err != nil {
		o.t.Fatal(err)
	}
}

func (o *old) produce(cl *kgo.Client, topic string, partition int32, from, to int) {
	o.t.Helper()
	for i := from; i < to; i++ {
		cl.Produce(context.Background(), rec(topic, partition, i), nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		o.t.Fatal(err)
	}
}

func rec(topic string, partition int32, i int) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: partition, Timestamp: time.UnixMilli(int64(1_000_000 + i)), Value: fmt.Append(nil, "v", i)}
	if i%3 > 0 {
		r.Key = fmt.Append(nil, "k", i%5)
	}
	if i%4 == 0 {
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty"}}
	}
	return r
}

// transaction produces and commits or aborts.
func (o *old) transaction(cl *kgo.Client, commit bool, topic string, partition int32, from, to int) {
	o.t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		o.t.Fatal(err)
	}
	o.produce(cl, topic, partition, from, to)
	if err := cl.EndTransaction(context.Background(), kgo.TransactionEndTry(commit)); err != nil {
		o.t.Fatal(err)
	}
}

// records are those of a partition that are committed, by offset, and where it ends.
func (o *old) records(topic string, partition int32) (map[int64]string, int64) {
	o.t.Helper()
	ends, err := o.admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		o.t.Fatal(err)
	}
	starts, err := o.admin.ListStartOffsets(context.Background(), topic)
	if err != nil {
		o.t.Fatal(err)
	}
	e, _ := ends.Lookup(topic, partition)
	s, _ := starts.Lookup(topic, partition)
	out, next := map[int64]string{}, s.Offset
	cl := o.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(s.Offset)}}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for next < e.Offset {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			o.t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				out[r.Offset] = text(r.Timestamp.UnixMilli(), r.Key, r.Value, len(r.Headers))
			}
		})
	}
	return out, e.Offset
}

func text(ms int64, key, value []byte, headers int) string {
	return fmt.Sprintf("%d %q %v %q %d", ms, key, key == nil, value, headers)
}

// leat is a broker that links, with what outlives it.
type leat struct {
	t       *testing.T
	journal *journalmem.Store
	rows    *statemem.Store
	disk    *memfs.FS // segment files and key files
	b       *broker.Broker
	linker  *link.Linker
	c       *broker.Caller
	end     func()
}

func newLeat(t *testing.T) *leat {
	t.Helper()
	j, err := journalmem.NewStore(journalmem.Default())
	if err != nil {
		t.Fatal(err)
	}
	l := &leat{t: t, journal: j, rows: statemem.New(), disk: memfs.New(), c: &broker.Caller{Listener: "test", Protocol: "test"}}
	l.open()
	t.Cleanup(func() { l.end() })
	return l
}

func (l *leat) open() {
	l.t.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("LEAT_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	files, err := segment.Open(l.disk, "/segments", segment.Default(), segment.Options{Log: log})
	if err != nil {
		l.t.Fatal(err)
	}
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: 7, Cluster: "test", Node: 1, Clock: clock.Real, Log: log,
		Shards: []broker.ShardStore{{
			OpenJournal: func() (journal.Journal, error) { return l.journal.Open(), nil }, State: l.rows, Segments: files,
			OpenKeys: func(opt keys.Options) (*keys.Index, error) { return keys.Open(l.disk, "/keys", keys.Default(), opt) },
		}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.b, l.linker = b, link.New(b, log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); l.linker.Run(ctx) }()
	l.end = func() {
		cancel()
		<-ended
		if err := b.Close(); err != nil {
			l.t.Error(err)
		}
	}
}

// again opens it on what a crash right after the end would leave.
func (l *leat) again() {
	l.t.Helper()
	l.rows, l.disk = l.rows.Crash(), l.disk.CrashClone(nil, memfs.KeepNone)
	l.open()
}

func (l *leat) link(name string, s link.Settings) {
	l.t.Helper()
	if err := s.Check(""); err != nil {
		l.t.Fatal(err)
	}
	_, _, err := l.b.PutDocument(context.Background(), l.c, broker.KindLink, name, 0, func(*broker.Document) (json.RawMessage, []byte, error) {
		told, err := json.Marshal(s)
		return told, nil, err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.linker.Wake()
}

// until waits until something holds.
func (l *leat) until(what string, ok func() bool) {
	l.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			s, some := l.linker.State(broker.DefaultNamespace, "l")
			l.t.Fatalf("%s: it does not come to that: %v %+v", what, some, s)
		}
	}
}

// ends is where a partition ends here; -1: there is none.
func (l *leat) ends(stream string, partition int32) int64 {
	info, err := l.b.DescribeStream(context.Background(), l.c, stream)
	if err != nil || int(partition) >= len(info.Partitions) {
		return -1
	}
	return int64(info.Partitions[partition].End)
}

// records are those of a partition by offset.
func (l *leat) records(stream string, partition int32) map[int64]string {
	l.t.Helper()
	out := map[int64]string{}
	q := broker.PageRequest{Streams: []string{stream}, Limit: 1000}
	for {
		p, err := l.b.ReadPage(context.Background(), l.c, q)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, d := range p.Events {
			if d.Ref.Partition == record.PartitionID(partition) {
				out[int64(d.Ref.Offset)] = text(d.Record.Timestamp, d.Record.Key, d.Record.Value, len(d.Record.Headers))
			}
		}
		if p.CaughtUp {
			return out
		}
		q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}

// same compares a partition there and here.
func (l *leat) same(o *old, topic string, partition int32) {
	l.t.Helper()
	want, end := o.records(topic, partition)
	l.until(fmt.Sprintf("%s/%d ends at %d", topic, partition, end), func() bool { return l.ends(topic, partition) == end })
	got := l.records(topic, partition)
	if len(got) != len(want) {
		l.t.Fatalf("%s/%d: %d records, %d there", topic, partition, len(got), len(want))
	}
	for at, w := range want {
		if got[at] != w {
			l.t.Fatalf("%s/%d, offset %d: %s, there %s", topic, partition, at, got[at], w)
		}
	}
}
