package archive_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leat/storage/archive"
	"leat/storage/archive/dir"
	vmem "leat/storage/vfs/memory"
	osfs "leat/storage/vfs/os"
)

var update = flag.Bool("update", false, "write the golden archive of the newest format again")

const goldenFormat = "testdata/formats/v1"

func TestGolden_OldArchivesAreRestored(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	all, err := filepath.Glob("testdata/formats/v*")
	if err != nil || !slices.Contains(all, goldenFormat) {
		t.Fatalf("golden archives %q, %v", all, err)
	}
	for _, folder := range all {
		b := dir.New(osfs.New(), folder)
		if got, err := restored(t, b, archive.Until{Seq: 19}); err != nil || !slices.Equal(got, upTo(1, 19)) {
			t.Errorf("%s: restored %v, %v", folder, got, err)
		}
		p, err := archive.NewPlan(t.Context(), b, shard, archive.Until{})
		if err != nil {
			t.Fatalf("%s: %v", folder, err)
		}
		if p.Lineage != ours || p.From() != 20 || string(p.Checkpoint.Meta) != `{"format":2}` || p.Checkpoint.TimeMS != msOf(20) {
			t.Errorf("%s: plan %+v", folder, p)
		}
		if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(21, 30)) {
			t.Errorf("%s: restored %v, %v", folder, got, err)
		}
		fsys := vmem.New()
		if err := p.Fetch(t.Context(), fsys, "/new", nil); err != nil || read(t, fsys, "/new/state/CURRENT") != "MANIFEST-000001\n" {
			t.Errorf("%s: fetch: %v", folder, err)
		}
		if r, err := archive.Verify(t.Context(), b, shard, nil); err != nil || len(r.Problems) > 0 || r.Frames != 30 {
			t.Errorf("%s: verify: %+v, %v", folder, r, err)
		}
	}
}

// writeGolden makes the archive: two packs, the second with a compressed block, and a checkpoint.
func writeGolden(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(goldenFormat); err != nil {
		t.Fatal(err)
	}
	b, cfg := newBucket(), quick()
	cfg.Compress = false
	j := newJournal(t, 10)
	ship(t, b, source(j), cfg)
	fill(t, j, 11, 30)
	cfg.Compress = true
	ship(t, b, source(j), cfg)
	err := archive.NewCheckpoints(b, shard, ours).Put(t.Context(), archive.Checkpoint{
		Seq: 20, After: 20, TimeMS: msOf(20), Meta: []byte(`{"format":2}`), Files: files{"state/CURRENT": "MANIFEST-000001\n", "seg/1.seg": "one"}.refs(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	to := dir.New(osfs.New(), goldenFormat)
	for _, name := range names(t, b, "") {
		raw := content(t, b, name)
		if err := to.Put(t.Context(), name, io.Reader(strings.NewReader(string(raw))), int64(len(raw))); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"LOCK", "tmp"} {
		if err := os.RemoveAll(filepath.Join(goldenFormat, own)); err != nil {
			t.Fatal(err)
		}
	}
}
