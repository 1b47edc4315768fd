package archive_test

import (
	"errors"
	"slices"
	"testing"

	"leat/storage/archive"
	"leat/storage/journal"
	vmem "leat/storage/vfs/memory"
)

// A checkpoint whose files hold less than its Seq in parts brings frames from before it along, and every moment from Seq on can be restored.
func TestCheckpoint_NeedsFramesFromBefore(t *testing.T) {
	b := newBucket()
	cfg := quick()
	cfg.PackBytes = archive.PackBytesMin
	ship(t, b, source(newJournal(t, 200)), cfg)
	cps := archive.NewCheckpoints(b, shard, ours)
	for _, c := range []archive.Checkpoint{{Seq: 40, After: 0, TimeMS: msOf(40)}, {Seq: 90, After: 60, TimeMS: msOf(90)}, {Seq: 150, After: 120, TimeMS: msOf(150)}} {
		c.Files = files{"state/CURRENT": "x"}.refs(false)
		if err := cps.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := cps.Put(t.Context(), archive.Checkpoint{Seq: 7, After: 8}); err == nil {
		t.Error("a checkpoint that needs frames only from behind it on")
	}
	check := func(when string, cases map[journal.Seq]journal.Seq) {
		t.Helper()
		for until, after := range cases {
			got, err := restored(t, b, archive.Until{Seq: until})
			if err != nil || !slices.Equal(got, upTo(after+1, until)) {
				t.Errorf("%s, until %d: frames %v, %v", when, until, got, err)
			}
		}
	}
	check("all", map[journal.Seq]journal.Seq{39: 0, 40: 0, 89: 0, 90: 60, 149: 60, 150: 120, 200: 120})
	if got, err := restored(t, b, archive.Until{TimeMS: msOf(149)}); err != nil || !slices.Equal(got, upTo(61, 149)) {
		t.Errorf("until a time: frames %v, %v", got, err)
	}
	if _, err := cps.Prune(t.Context(), archive.Keep{Last: 2}); err != nil {
		t.Fatal(err)
	}
	check("pruned", map[journal.Seq]journal.Seq{90: 60, 149: 60, 150: 120, 200: 120})
	if _, err := archive.NewPlan(t.Context(), b, shard, archive.Until{Seq: 89}); !errors.Is(err, archive.ErrOutside) {
		t.Errorf("before the oldest checkpoint: %v", err)
	}
	if _, err := archive.NewCheckpoints(b, shard, ours).Prune(t.Context(), archive.Keep{Last: 1}); err != nil {
		t.Fatal(err)
	}
	check("pruned to one", map[journal.Seq]journal.Seq{150: 120, 163: 120})

	// A pack between After and Seq that is gone is missing, not left over.
	p, err := archive.NewPlan(t.Context(), b, shard, archive.Until{})
	if err != nil || len(p.Packs) < 3 || p.Packs[1].Last > 150 {
		t.Fatalf("%d packs, %v", len(p.Packs), err)
	}
	if err := b.Delete(t.Context(), p.Packs[1].Name); err != nil {
		t.Fatal(err)
	}
	var missing *archive.MissingError
	if _, err := archive.NewPlan(t.Context(), b, shard, archive.Until{}); !errors.As(err, &missing) {
		t.Errorf("a hole between the checkpoint's ends: %v", err)
	}
	if err := p.Fetch(t.Context(), vmem.New(), "/new", nil); err != nil {
		t.Error(err)
	}
}

// An immutable file is known by its mark as well as by name and size.
func TestCheckpoint_MarkTellsFilesApart(t *testing.T) {
	b := newBucket()
	cps := archive.NewCheckpoints(b, shard, ours)
	put := func(seq journal.Seq, text, mark string) string {
		refs := files{"seg/1": text}.refs(true)
		refs[0].Mark = mark
		if err := cps.Put(t.Context(), archive.Checkpoint{Seq: seq, After: seq, Files: refs}); err != nil {
			t.Fatal(err)
		}
		all, err := archive.ListCheckpoints(t.Context(), b, shard)
		if err != nil {
			t.Fatal(err)
		}
		return all[len(all)-1].Files[0].SHA256
	}
	one := put(1, "one", "a")
	if put(2, "two", "a") != one {
		t.Error("a file of the same mark was read again")
	}
	if put(3, "two", "b") == one {
		t.Error("a file of another mark was taken for the one before")
	}
}
