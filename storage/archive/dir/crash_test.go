package dir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"leat/storage/archive"
	"leat/storage/archive/dir"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

func text(i int) string { return strings.Repeat(fmt.Sprint("content ", i, ";"), 40*i) }

func name(i int) string { return fmt.Sprintf("d%d/x/%d", i%3, i) }

// fill puts what it can and says which Puts were answered with success.
func fill(b archive.Bucket, n int) (done []int, err error) {
	for i := range n {
		if e := b.Put(context.Background(), name(i), strings.NewReader(text(i)), int64(len(text(i)))); e == nil {
			done = append(done, i)
		} else {
			err = errors.Join(err, e)
		}
	}
	return done, err
}

// whole checks that an object is there whole, or not at all.
func whole(b archive.Bucket, i int) (there bool, err error) {
	r, err := b.Get(context.Background(), name(i), 0, -1)
	if errors.Is(err, archive.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	p, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(p) != text(i) {
		return true, fmt.Errorf("object %d: %d bytes, want %d: %w", i, len(p), len(text(i)), err)
	}
	return true, nil
}

// What was answered survives the loss of power after any call, what was not is there whole or not at all, and the bucket goes on.
func TestPut_PowerLoss(t *testing.T) {
	const n = 9
	rng := rand.New(rand.NewPCG(1, 2))
	for _, mode := range []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome} {
		disk := memory.New()
		fsys := faulty.New(disk)
		b := dir.New(fsys, "/a")
		answered := 0
		var clones []*memory.FS
		var said []int
		fsys.Watch(func(c faulty.Call, _ error) {
			if c.Op.Changes() {
				clones, said = append(clones, disk.CrashClone(rng, mode)), append(said, answered)
			}
		})
		for i := range n {
			if err := b.Put(t.Context(), name(i), strings.NewReader(text(i)), int64(len(text(i)))); err != nil {
				t.Fatal(err)
			}
			answered++
		}
		if len(clones) < 4*n {
			t.Fatalf("%d crashes: the test shows little", len(clones))
		}
		for at, clone := range clones {
			after := dir.New(clone, "/a")
			for i := range n {
				there, err := whole(after, i)
				if err != nil || i < said[at] && !there {
					t.Fatalf("mode %d, crash %d, %d answered: object %d is there: %v, %v", mode, at, said[at], i, there, err)
				}
			}
			listed := 0
			for _, err := range after.List(t.Context(), "", "") {
				if err != nil {
					t.Fatal(err)
				}
				listed++
			}
			if listed > said[at]+1 {
				t.Fatalf("mode %d, crash %d: %d objects are listed, %d were answered", mode, at, listed, said[at])
			}
			if _, err := fill(after, n); err != nil && !errors.Is(err, archive.ErrExists) {
				t.Fatalf("mode %d, crash %d: after it: %v", mode, at, err)
			}
		}
	}
}

// Any call that fails fails its Put, leaves nothing half, and the next Put works.
func TestPut_Faults(t *testing.T) {
	const n = 4
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		for at := 1; ; at++ {
			disk := memory.New()
			fsys := faulty.New(disk)
			fsys.SetRule(faulty.NthCall(at, fault))
			b := dir.New(fsys, "/a")
			done, err := fill(b, n)
			if err == nil && len(done) == n {
				break // beyond the last call
			}
			if err != nil && !errors.Is(err, fault) {
				t.Fatalf("call %d: %v", at, err)
			}
			fsys.SetRule(nil)
			if _, err := fill(b, n); err != nil && !errors.Is(err, archive.ErrExists) {
				t.Fatalf("call %d: the Puts after it: %v", at, err)
			}
			for i := range n {
				if there, err := whole(b, i); !there || err != nil {
					t.Fatalf("call %d: object %d: %v, %v", at, i, there, err)
				}
			}
			if at > 1000 {
				t.Fatal("no end")
			}
		}
	}
}

func TestBucket_OneWriter(t *testing.T) {
	fsys := memory.New()
	first, second := dir.New(fsys, "/a"), dir.New(fsys, "/a")
	if _, err := fill(first, 2); err != nil {
		t.Fatal(err)
	}
	if err := second.Put(t.Context(), "x", strings.NewReader("x"), 1); err == nil {
		t.Error("two write to one folder")
	}
	if there, err := whole(second, 1); !there || err != nil {
		t.Errorf("a reader beside the writer: %v, %v", there, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.Put(t.Context(), "x", strings.NewReader("x"), 1); err == nil {
		t.Error("put after close")
	}
	if err := second.Put(t.Context(), "x", strings.NewReader("x"), 1); err != nil {
		t.Errorf("after the first closed: %v", err)
	}
	for _, name := range []string{"tmp/x", "LOCK"} {
		if err := second.Put(t.Context(), name, strings.NewReader("x"), 1); !errors.Is(err, archive.ErrBadName) {
			t.Errorf("put %s: %v", name, err)
		}
	}
}
