package s3_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"leat/storage/archive"
	"leat/storage/archive/archivetest"
	"leat/storage/archive/s3"
	"leat/storage/journal"
	"leat/storage/journal/journaltest"
	"leat/storage/journal/memory"
	vmem "leat/storage/vfs/memory"
)

// store returns a store to test against: the one that LEAT_S3_TEST names ("host:port bucket access secret", plain HTTP), or a moto server of
// this test's own.
func store(t *testing.T) s3.Config {
	t.Helper()
	if named := strings.Fields(os.Getenv("LEAT_S3_TEST")); len(named) == 4 {
		return s3.Config{Endpoint: named[0], Insecure: true, Bucket: named[1], Access: named[2], Secret: named[3]}
	}
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("no S3-compatible store is here: pip install 'moto[server]', or set LEAT_S3_TEST=\"host:port bucket access secret\"")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := s3.Config{Endpoint: addr, Insecure: true, Region: "us-east-1", Bucket: "leat", Access: "test", Secret: "testtest"}
	client, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4(c.Access, c.Secret, ""), Region: c.Region})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 { // Python starts when it starts
		if err = client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{}); err == nil {
			return c
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("moto_server does not answer: %v", err)
	return c
}

func TestSuite(t *testing.T) {
	c := store(t)
	archivetest.Run(t, func(t *testing.T) archive.Bucket {
		c := c
		c.PageMax = 50
		c.Prefix = fmt.Sprintf("%s-%s", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), rand.Text())
		b, err := s3.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !b.Conditional() {
			t.Error("the store does not refuse a name that is taken; the suite's race cannot hold")
		}
		return b
	})
}

// A shard's history goes to the store and comes back.
func TestArchive_ThereAndBack(t *testing.T) {
	c := store(t)
	c.Prefix = "there-and-back-" + rand.Text()
	b, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	j := memory.New()
	journaltest.Fill(t, j, 1, 500)
	cfg := archive.Default()
	cfg.PackBytes, cfg.PackAge = 32<<10, 50*time.Millisecond
	s, err := archive.NewShipper(b, archive.Source{
		Lineage: archive.Lineage{1}, Journal: func() journal.Journal { return j }, TimeMS: func([]byte) int64 { return 0 },
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	text := strings.Repeat("a file of a checkpoint ", 100_000)
	cps := archive.NewCheckpoints(b, 0, archive.Lineage{1})
	for _, seq := range []journal.Seq{100, 200} {
		err := cps.Put(t.Context(), archive.Checkpoint{Seq: seq, After: seq, Files: []archive.FileRef{{
			Name: "state/x", Size: int64(len(text)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := archive.NewPlan(t.Context(), b, 0, archive.Until{Seq: 450})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fetch(t.Context(), vmem.New(), "/new", nil); err != nil || p.From() != 200 {
		t.Errorf("fetch: %v, from %d", err, p.From())
	}
	to := memory.New()
	if last, err := p.WriteJournal(t.Context(), to, nil); err != nil || last != 450 {
		t.Fatalf("restored up to %d: %v", last, err)
	}
	err = to.Scan(0, 0, func(e journal.Entry) error { return journaltest.Verify(to, e) })
	if got := journaltest.Seqs(t, to, 0, 0); err != nil || len(got) != 250 {
		t.Errorf("%d frames: %v", len(got), err)
	}
	if did, err := cps.Prune(t.Context(), archive.Keep{Last: 1}); err != nil || did.Checkpoints != 1 || did.Packs == 0 || did.Files != 0 {
		t.Errorf("pruned %+v: %v", did, err)
	}
	if r, err := archive.Verify(t.Context(), b, 0, nil); err != nil || len(r.Problems) > 0 || r.Last != 500 {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

// A store that does not know the condition, or refuses it, is found out, and names are still not overwritten.
func TestOpen_StoreWithoutConditions(t *testing.T) {
	c := store(t)
	for name, refuse := range map[string]bool{"ignores": false, "refuses": true} {
		t.Run(name, func(t *testing.T) {
			to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.Endpoint})
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if refuse && r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotImplemented)
					return
				}
				r.Header.Del("If-None-Match")
				to.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			c := c
			c.Endpoint, c.Prefix = strings.TrimPrefix(proxy.URL, "http://"), name+rand.Text()
			b, err := s3.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if b.Conditional() {
				t.Error("taken for a store that knows the condition")
			}
			for i, want := range []error{nil, archive.ErrExists} {
				if err := b.Put(t.Context(), "once", strings.NewReader("x"), 1); !errors.Is(err, want) {
					t.Errorf("put %d: %v, want %v", i+1, err, want)
				}
			}
		})
	}
}

func TestOpen_SaysWhatIsWrong(t *testing.T) {
	for _, c := range []s3.Config{
		{Endpoint: "", Bucket: "b"},
		{Endpoint: "https://host", Bucket: "b"},
		{Endpoint: "host"},
		{Endpoint: "host", Bucket: "b", Access: "a"},
		{Endpoint: "host", Bucket: "b", PageMax: 1001},
		{Endpoint: "host", Bucket: "b", Prefix: "../x"},
	} {
		if _, err := s3.Open(t.Context(), c); err == nil {
			t.Errorf("opened with %+v", c)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := s3.Open(ctx, s3.Config{Endpoint: "127.0.0.1:1", Insecure: true, Region: "x", Bucket: "bucket", Access: "a", Secret: "b"})
	if err == nil || errors.Is(err, archive.ErrExists) {
		t.Errorf("opened a store that is not there: %v", err)
	}
}
