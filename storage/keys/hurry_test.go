package keys

import (
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// A full disk holds Add back; Hurry lets it go on, and what was added is still read.
func TestHurry_AddGoesOnWithoutADisk(t *testing.T) {
	fs := faulty.New(memory.New())
	cfg := Default()
	cfg.ChunkBytes, cfg.ChunksMax = ChunkBytesMin, 1
	x, err := Open(fs, "/keys", cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	fs.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Op == faulty.WriteAt {
			return faulty.Fault{Err: syscall.ENOSPC}
		}
		return faulty.Fault{}
	})
	const total = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range uint64(total) {
			x.Add(&Entry{Stream: 1, Key: fmt.Append(nil, "key", i), Seq: i + 1, Offset: i})
			x.Through(i + 1)
		}
	}()
	select {
	case <-done:
		t.Fatal("a full disk did not hold Add back")
	case <-time.After(50 * time.Millisecond):
	}
	x.Hurry()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("Add still waits")
	}
	for _, i := range []uint64{0, total / 2, total - 1} {
		if e, ok, err := x.Last(1, fmt.Append(nil, "key", i), total); err != nil || !ok || e.Offset != i {
			t.Fatalf("key%d: %+v, %t, %v", i, e, ok, err)
		}
	}
	fs.SetRule(nil)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
