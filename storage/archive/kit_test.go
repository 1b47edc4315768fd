package archive_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/storage/archive"
	"leat/storage/archive/dir"
	"leat/storage/journal"
	"leat/storage/journal/memory"
	vmem "leat/storage/vfs/memory"
)

var ours = archive.Lineage{1, 2, 3}

const shard = archive.Shard(0)

// timeOf is what the frames of these tests begin with.
func timeOf(facts []byte) int64 { return int64(binary.LittleEndian.Uint64(facts)) }

// msOf is the time of a frame: ten milliseconds a frame.
func msOf(seq journal.Seq) int64 { return 1_000_000 + int64(seq)*10 }

// frameOf makes a frame of a size that differs by Seq; every third has data that does not compress.
func frameOf(seq journal.Seq) journal.Frame {
	facts := binary.LittleEndian.AppendUint64(nil, uint64(msOf(seq)))
	facts = append(facts, strings.Repeat(fmt.Sprintf("fact %d;", seq), int(seq%5))...)
	n := int(seq*7919%4000) + 1
	data := bytes.Repeat(fmt.Appendf(nil, "data %d,", seq), n)[:n]
	if seq%3 == 0 {
		rng := rand.New(rand.NewPCG(uint64(seq), 1))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
	}
	if seq%7 == 0 {
		return journal.Frame{Seq: seq, Facts: facts}
	}
	return journal.Frame{Seq: seq, Facts: facts, Data: [][]byte{data[:n/2], data[n/2:]}}
}

func fill(t testing.TB, j journal.Journal, from, to journal.Seq) {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		if _, err := j.Append(frameOf(seq)); err != nil {
			t.Fatalf("append %d: %v", seq, err)
		}
	}
}

// same checks that a frame is the one that fill wrote.
func same(f archive.Frame) error {
	want := frameOf(f.Seq)
	if !bytes.Equal(f.Facts, want.Facts) || !bytes.Equal(f.Data, bytes.Join(want.Data, nil)) || f.TimeMS != msOf(f.Seq) {
		return fmt.Errorf("frame %d is not what was appended", f.Seq)
	}
	return nil
}

func newBucket() *dir.Bucket { return dir.New(vmem.New(), "/archive") }

// quick ships small packs at once.
func quick() archive.Config {
	c := archive.Default()
	c.PackBytes, c.PackAge = 16<<10, 5*time.Millisecond
	return c
}

func source(j journal.Journal) archive.Source {
	return archive.Source{Shard: shard, Lineage: ours, Journal: func() journal.Journal { return j }, TimeMS: timeOf, Log: slog.New(slog.DiscardHandler)}
}

// ship runs a shipper until the journal's tail is archived, and returns it stopped.
func ship(t testing.TB, b archive.Bucket, src archive.Source, cfg archive.Config) *archive.Shipper {
	t.Helper()
	s, err := archive.NewShipper(b, src, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	flush, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := s.Flush(flush); err != nil {
		t.Errorf("flush: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	return s
}

// restored are the frames of a plan, each checked against fill.
func restored(t testing.TB, b archive.Bucket, until archive.Until) ([]journal.Seq, error) {
	t.Helper()
	p, err := archive.NewPlan(context.Background(), b, shard, until)
	if err != nil {
		return nil, err
	}
	var seqs []journal.Seq
	err = p.Frames(context.Background(), nil, func(f archive.Frame) error {
		seqs = append(seqs, f.Seq)
		return same(f)
	})
	return seqs, err
}

func upTo(from, to journal.Seq) []journal.Seq {
	var out []journal.Seq
	for s := from; s <= to; s++ {
		out = append(out, s)
	}
	return out
}

func names(t testing.TB, b archive.Bucket, prefix string) []string {
	t.Helper()
	var out []string
	for o, err := range b.List(context.Background(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Name)
	}
	return out
}

func content(t testing.TB, b archive.Bucket, name string) []byte {
	t.Helper()
	r, err := b.Get(context.Background(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return p
}

// swap puts other bytes under a name, as damage does.
func swap(t testing.TB, b archive.Bucket, name string, p []byte) {
	t.Helper()
	if err := errors.Join(b.Delete(context.Background(), name), b.Put(context.Background(), name, bytes.NewReader(p), int64(len(p)))); err != nil {
		t.Fatal(err)
	}
}

// faulty is a bucket whose calls go wrong when told to.
type faulty struct {
	archive.Bucket
	mu    sync.Mutex
	calls int
	rule  func(call int, op, name string) fault
	puts  atomic.Int64
}

type fault int

const (
	fine    fault = iota
	refused       // nothing happens
	lost          // it happens, and the answer is an error
	torn          // a Get breaks off in the middle
	stuck         // a Put takes until its context ends
)

var errBucket = errors.New("the bucket is out")

func (f *faulty) judge(op, name string) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.rule == nil {
		return fine
	}
	return f.rule(f.calls, op, name)
}

func (f *faulty) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *faulty) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	v := f.judge("put", name)
	switch v {
	case refused:
		return errBucket
	case stuck:
		<-ctx.Done()
		return ctx.Err()
	}
	err := f.Bucket.Put(ctx, name, content, size)
	if err == nil {
		f.puts.Add(1)
	}
	if v == lost && err == nil {
		return errBucket
	}
	return err
}

func (f *faulty) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	v := f.judge("get", name)
	if v == refused || v == lost {
		return nil, errBucket
	}
	r, err := f.Bucket.Get(ctx, name, off, n)
	if v == torn && err == nil {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r, 7), errReader{}), r}, nil
	}
	return r, err
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBucket }

func (f *faulty) List(ctx context.Context, prefix, after string) iter.Seq2[archive.Object, error] {
	if f.judge("list", prefix) != fine {
		return func(yield func(archive.Object, error) bool) { yield(archive.Object{}, errBucket) }
	}
	return f.Bucket.List(ctx, prefix, after)
}

func (f *faulty) Delete(ctx context.Context, name string) error {
	v := f.judge("delete", name)
	if v == refused {
		return errBucket
	}
	err := f.Bucket.Delete(ctx, name)
	if v == lost && err == nil {
		return errBucket
	}
	return err
}

func newJournal(t testing.TB, to journal.Seq) *memory.Journal {
	t.Helper()
	j := memory.New()
	fill(t, j, 1, to)
	return j
}
