package node_test

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"leat/node"
	osfs "leat/storage/vfs/os"
)

// moto starts a store of this test's own.
func moto(t *testing.T) (addr string) {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("no S3-compatible store is here: pip install 'moto[server]'")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
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
	return addr
}

// A node goes to an S3-compatible store and comes back. The store is not there yet when the node starts: it starts all the same.
func TestRestore_FromS3(t *testing.T) {
	if testing.Short() {
		t.Skip("the store takes seconds to start")
	}
	dir, addr := t.TempDir(), moto(t)
	cfg := keeping(t, "", 1)
	cfg.Archive.URL = "s3://leat/some/where?endpoint=" + addr + "&region=us-east-1&insecure=true"
	cfg.Archive.Keys = node.ArchiveKeys{AccessKey: "test", SecretKey: "testtest"}
	cfg.Archive.Packs.PackAge, cfg.Archive.Packs.RetryMax = 50*time.Millisecond, 100*time.Millisecond
	n, err := open(t, node.Options{Data: filepath.Join(dir, "data"), Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("test", "testtest", ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 { // Python starts when it starts
		if err = client.MakeBucket(t.Context(), "leat", minio.MakeBucketOptions{}); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("moto_server does not answer: %v", err)
	}
	for range 300 {
		if s, err := n.Broker.ArchiveState(admin); err == nil && s.Shards[0].Running && !s.Shards[0].Failing {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	moments := live(t, n, admin, rand.New(rand.NewPCG(6, 6)), 4, 2, 0)
	from, err := node.OpenArchivePlace(cfg.Archive.URL, cfg.Archive.Keys)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 { // the place is registered a pause after it can be
		if l, err := from.Lineages(t.Context()); err == nil && len(l) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, m := range moments[1:] {
		data := filepath.Join(t.TempDir(), "restored")
		opt := node.RestoreOptions{From: from, Data: data, Until: node.RestoreUntil{Position: &m.at}, Journal: cfg.Journal, State: cfg.State}
		if _, err := node.Restore(t.Context(), osfs.New(), opt); err != nil {
			t.Fatal(err)
		}
		again, err := open(t, node.Options{Data: data, Config: keeping(t, "", 1), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if got := fold(t, again.Broker, admin); got != m.fold {
			t.Errorf("restored from S3\n%s", firstDifference(got, m.fold))
		}
	}
}

func TestOpenArchivePlace(t *testing.T) {
	for text, want := range map[string]string{
		"/backups/leat":                            "file:///backups/leat",
		"file:///backups/leat/":                    "file:///backups/leat",
		"s3://b/p/q/?endpoint=minio:9000&region=r": "s3://b/p/q?endpoint=minio:9000",
		"s3://b":                "s3://b?endpoint=s3.amazonaws.com",
		"":                      "",
		"file://host/x":         "",
		"ftp://x/y":             "",
		"s3://b?endpont=x":      "",
		"s3://b?insecure=maybe": "",
		"s3://key:secret@b/p":   "",
		"s3:///p":               "",
		"s3://b/" + "p q":       "",
		"s3://%zz":              "",
	} {
		p, err := node.OpenArchivePlace(text, node.ArchiveKeys{})
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken as %s", text, p)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
}
