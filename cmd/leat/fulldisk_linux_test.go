package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leat/node"
)

// smallDisk is a file system of its own; the test is left out where none can be mounted.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

const testReserve = 8 << 20

func withReserve(c *node.Config) {
	c.DiskReserveBytes = testReserve
	c.Journal.RingBytes = 1 << 20
	c.State.MemTableBytes = 1 << 20
}

// fill publishes until the node refuses.
func fill(t *testing.T, c cli) {
	t.Helper()
	lines := strings.Repeat(strings.Repeat("x", 1000)+"\n", 27)
	for range 20_000 {
		_, errs, code := c.run(context.Background(), lines, "publish", "load", "--lines")
		switch {
		case code == exitOK:
		case code == exitLater && strings.Contains(errs, "disk"):
			return
		default:
			t.Fatalf("exit %d: %s", code, errs)
		}
	}
	t.Fatal("the disk does not get full")
}

func publishes(c cli) func() bool {
	return func() bool {
		_, _, code := c.run(context.Background(), "", "publish", "load", "x")
		return code == exitOK
	}
}

// TestDiskReserve: at the reserve events are refused, and everything that gives space back, or needs next to none, goes on.
func TestDiskReserve(t *testing.T) {
	data := filepath.Join(smallDisk(t, "30m"), "data")
	_, url, _ := smallNode(t, data, withReserve)
	c := cli{url: url}
	c.must(t, "", "stream create other")
	c.must(t, "", "publish other x")
	fill(t, c)
	c.must(t, "", "stream create another --partitions 3")
	c.must(t, "", "stream delete other --yes")
	c.must(t, "", "stream undelete other")
	if n := strings.Count(c.must(t, "", "read load --limit 500"), "\n"); n != 500 {
		t.Errorf("%d events are read at the reserve", n)
	}
	c.must(t, "", "stream truncate load --before latest --yes")
	eventually(t, "events are taken again after a truncation", publishes(c))
	fill(t, c)
	env := map[string]string{"LEAT_NEW_PASSWORD": "secret-of-admin"}
	c.env = env
	if _, errs, code := c.run(context.Background(), "", "user", "create", "admin", "--grant", "admin * *"); code != exitOK {
		t.Fatal(errs)
	}
	admin(url).must(t, "", "user list"+asAdmin) // a login
}

// TestFullDisk: not a byte is left on the volume, the reserve included. A truncation and a restart work, and then events are taken again.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "30m")
	data := filepath.Join(dir, "data")
	_, url, stop := smallNode(t, data, withReserve)
	c := cli{url: url}
	fill(t, c)
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) || f.Close() != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // flushes and windows fail meanwhile
	if publishes(c)() {
		t.Error("an event was taken on a full disk")
	}
	stop()
	crowd := func() { // whatever has become free is taken by somebody else
		f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_APPEND|os.O_WRONLY, 0)
		for err == nil {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) || f.Close() != nil {
			t.Fatal(err)
		}
	}
	crowd()
	_, url, stop = smallNode(t, data, withReserve)
	c = cli{url: url}
	c.must(t, "", "stream truncate load --before latest --yes")
	stop()
	_, url, _ = smallNode(t, data, withReserve)
	c = cli{url: url}
	eventually(t, "events are taken again", publishes(c))
}
