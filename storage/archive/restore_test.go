package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"leat/storage/archive"
	"leat/storage/archive/dir"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	"leat/storage/journal/memory"
	"leat/storage/vfs"
	vmem "leat/storage/vfs/memory"
	"leat/storage/vfs/vfstest"
)

func diskConfig() disk.Config {
	c := disk.Default()
	c.FileBytes, c.RingBytes, c.FrameBytesMax = 256<<10, 0, 64<<10
	return c
}

// entries are a journal's frames, data included, as text.
func entries(t testing.TB, j journal.Journal) []string {
	t.Helper()
	var out []string
	err := j.Scan(0, 0, func(e journal.Entry) error {
		data := make([]byte, e.DataBytes)
		if err := j.ReadAt(e.Place, 0, data); err != nil && len(data) > 0 {
			return err
		}
		out = append(out, fmt.Sprintf("%d %x %x", e.Seq, e.Facts, data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every prefix, by Seq and by time, is the journal's prefix.
func TestRestore_EveryPrefix(t *testing.T) {
	const frames = 60
	b, j := newBucket(), newJournal(t, frames)
	ship(t, b, source(j), quick())
	for seq := journal.Seq(1); seq <= frames; seq++ {
		for _, until := range []archive.Until{{Seq: seq}, {TimeMS: msOf(seq)}, {TimeMS: msOf(seq) + 9}} {
			if got, err := restored(t, b, until); err != nil || !slices.Equal(got, upTo(1, seq)) {
				t.Fatalf("until %s: %d frames, %v", until, len(got), err)
			}
		}
	}
}

// From one disk's journal to another's, with and without a checkpoint, and stopped in the middle.
func TestRestore_IntoAJournalOnDisk(t *testing.T) {
	from, err := disk.Open(vmem.New(), "/j", diskConfig(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	fill(t, from, 1, 150)
	b := newBucket()
	src := source(from)
	src.Lineage = from.Lineage()
	ship(t, b, src, quick())
	want := entries(t, from)
	for _, until := range []journal.Seq{1, 77, 150} {
		p, err := archive.NewPlan(t.Context(), b, shard, archive.Until{Seq: until})
		if err != nil {
			t.Fatal(err)
		}
		if p.Lineage != archive.Lineage(from.Lineage()) {
			t.Errorf("lineage %s, want %x", p.Lineage, from.Lineage())
		}
		base := vmem.New()
		bulk := archive.NewBulk(base)
		to, err := disk.Open(bulk, "/new", diskConfig(), disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped, err := p.WriteJournal(ctx, &stopping{to, cancel, 40}, nil)
		if until > 50 && (err == nil || stopped > 50) {
			t.Errorf("a restore that was stopped: seq %d, %v", stopped, err)
		}
		last, err := p.WriteJournal(t.Context(), to, nil)
		if err != nil || last != until {
			t.Fatalf("until %d: wrote up to %d: %v", until, last, err)
		}
		if err := errors.Join(to.Close(), bulk.Flush()); err != nil {
			t.Fatal(err)
		}
		crashed := base.CrashClone(rand.New(rand.NewPCG(1, 1)), vmem.KeepNone)
		again, err := disk.Open(crashed, "/new", diskConfig(), disk.Options{})
		if err != nil {
			t.Fatalf("until %d: open what was flushed, after a loss of power: %v", until, err)
		}
		if got := entries(t, again); !slices.Equal(got, want[:until]) {
			t.Errorf("until %d: %d frames are not the journal's prefix", until, len(got))
		}
		_ = again.Close()
	}
}

// stopping ends the context after some appends.
type stopping struct {
	journal.Journal
	cancel context.CancelFunc
	left   int
}

func (s *stopping) Append(f journal.Frame) (journal.Place, error) {
	if s.left--; s.left < 0 {
		s.cancel()
		return 0, context.Canceled
	}
	return s.Journal.Append(f)
}

func TestBulk_IsAFileSystem(t *testing.T) {
	vfstest.Run(t, func(*testing.T) (vfs.FS, string) { return archive.NewBulk(vmem.New()), "/" })
}

func TestPlan_RefusesWhatIsOutside(t *testing.T) {
	b := newBucket()
	if _, err := archive.NewPlan(t.Context(), b, shard, archive.Until{}); !errors.Is(err, archive.ErrOutside) {
		t.Errorf("an empty bucket: %v", err)
	}
	ship(t, b, source(newJournal(t, 30)), quick())
	for _, until := range []archive.Until{{Seq: 31}, {TimeMS: msOf(1) - 1}} {
		if _, err := archive.NewPlan(t.Context(), b, shard, until); !errors.Is(err, archive.ErrOutside) || !strings.Contains(err.Error(), until.String()) {
			t.Errorf("until %s: %v", until, err)
		}
	}
	if got, err := restored(t, b, archive.Until{TimeMS: msOf(30) + 1e9}); err != nil || len(got) != 30 {
		t.Errorf("until a time after the end: %d frames, %v", len(got), err)
	}
	if _, err := archive.NewPlan(t.Context(), b, 1, archive.Until{}); !errors.Is(err, archive.ErrOutside) {
		t.Errorf("another shard: %v", err)
	}
}

func TestPlan_NamesAHole(t *testing.T) {
	b, j := newBucket(), newJournal(t, 50)
	ship(t, b, source(j), quick())
	fill(t, j, 51, 100)
	ship(t, b, source(j), quick()) // its packs know that 50 were archived
	packs := names(t, b, "shard-0/packs/")
	for i := 1; i < len(packs)-1; i++ {
		raw := content(t, b, packs[i])
		if err := b.Delete(t.Context(), packs[i]); err != nil {
			t.Fatal(err)
		}
		var prev, last journal.Seq
		_, _ = fmt.Sscanf(packs[i], "shard-0/packs/%x-%x.pack", &prev, &last)
		_, err := archive.NewPlan(t.Context(), b, shard, archive.Until{})
		var hole *archive.MissingError
		switch {
		case last <= 50 && (!errors.As(err, &hole) || hole.After+1 != prev || hole.Until != last || !strings.Contains(err.Error(), "are missing")):
			t.Errorf("without %s: %v", packs[i], err)
		case last > 50 && err != nil && !errors.As(err, &hole):
			t.Errorf("without %s, which may not have been counted: %v", packs[i], err)
		}
		if got, err := restored(t, b, archive.Until{Seq: prev - 1}); err != nil || !slices.Equal(got, upTo(1, prev-1)) {
			t.Errorf("up to the hole: %d frames, %v", len(got), err)
		}
		r, err := archive.Verify(t.Context(), b, shard, nil)
		if err != nil || last <= 50 && len(r.Problems) != 1 {
			t.Errorf("verify without %s: %v, %v", packs[i], r.Problems, err)
		}
		if err := b.Put(t.Context(), packs[i], bytes.NewReader(raw), int64(len(raw))); err != nil {
			t.Fatal(err)
		}
	}
}

// A changed byte anywhere in a pack is found, with the pack's name, and never restored.
func TestFrames_DamageIsNamed(t *testing.T) {
	b := newBucket()
	cfg := quick()
	cfg.PackBytes = 6 << 10
	ship(t, b, source(newJournal(t, 12)), cfg)
	packs := names(t, b, "shard-0/packs/")
	rng := rand.New(rand.NewPCG(7, 7))
	for _, name := range packs {
		raw := content(t, b, name)
		step := max(len(raw)/40, 1)
		for at := 0; at < len(raw); at += 1 + rng.IntN(step) {
			broken := bytes.Clone(raw)
			broken[at] ^= 1 << rng.IntN(8)
			swap(t, b, name, broken)
			checkDamage(t, b, name, fmt.Sprintf("byte %d changed", at))
		}
		for _, cut := range []int{0, 1, 100, 160, 170, len(raw) / 2, len(raw) - 96, len(raw) - 1} {
			swap(t, b, name, raw[:cut])
			checkDamage(t, b, name, fmt.Sprintf("cut at %d", cut))
		}
		swap(t, b, name, append(bytes.Clone(raw), 0))
		checkDamage(t, b, name, "one byte more")
		for _, other := range packs {
			if other != name {
				swap(t, b, name, content(t, b, other))
				checkDamage(t, b, name, other+" in its place")
			}
		}
		swap(t, b, name, raw)
	}
	if _, err := restored(t, b, archive.Until{}); err != nil {
		t.Errorf("after all was put back: %v", err)
	}
}

func checkDamage(t *testing.T, b archive.Bucket, name, what string) {
	t.Helper()
	got, err := restored(t, b, archive.Until{})
	var d *archive.DamageError
	if !errors.As(err, &d) || !strings.HasPrefix(d.Name, name) || !slices.Equal(got, upTo(1, journal.Seq(len(got)))) {
		t.Errorf("%s, %s: restored %d frames, %v", name, what, len(got), err)
	}
	r, err := archive.Verify(t.Context(), b, shard, nil)
	if err != nil || len(r.Problems) == 0 || !strings.Contains(errors.Join(r.Problems...).Error(), name) {
		t.Errorf("%s, %s: verify: %v, %v", name, what, r.Problems, err)
	}
}

// A pack of the right range and a good hash, but of another archive, does not fit the chain.
func TestFrames_SwappedPackIsFound(t *testing.T) {
	b, other := newBucket(), newBucket()
	cfg := quick()
	ship(t, b, source(newJournal(t, 40)), cfg)
	j := memory.New()
	f := frameOf(2)
	f.Seq = 1
	if _, err := j.Append(f); err != nil {
		t.Fatal(err)
	}
	fill(t, j, 2, 40)
	ship(t, other, source(j), cfg)
	theirs := names(t, other, "shard-0/packs/")
	swapped := 0
	for _, name := range names(t, b, "shard-0/packs/")[1:] {
		if !slices.Contains(theirs, name) {
			continue
		}
		raw := content(t, b, name)
		swap(t, b, name, content(t, other, name))
		checkDamage(t, b, name, "swapped")
		swap(t, b, name, raw)
		swapped++
	}
	if swapped == 0 {
		t.Error("no packs of the same range: the test shows nothing")
	}
}

// files are the file system of a program: names and contents.
type files map[string]string

func (f files) refs(immutable bool) []archive.FileRef {
	var out []archive.FileRef
	for name, text := range f {
		out = append(out, archive.FileRef{
			Name: name, Size: int64(len(text)), Immutable: immutable && strings.HasPrefix(name, "seg/"),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		})
	}
	slices.SortFunc(out, func(a, b archive.FileRef) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func read(t testing.TB, fsys vfs.FS, name string) string {
	t.Helper()
	h, err := fsys.Open(name, vfs.Read)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	n, _ := h.Size()
	p := make([]byte, n)
	if _, err := h.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(p)
}

func TestCheckpoint_AndTheFramesAfterIt(t *testing.T) {
	b, j := newBucket(), newJournal(t, 100)
	ship(t, b, source(j), quick())
	count := &faulty{Bucket: b}
	cps := archive.NewCheckpoints(count, shard, ours)
	big := strings.Repeat("0123456789", 300_000)
	state := files{"seg/000001.seg": big, "seg/000002.seg": "second", "state/CURRENT": "one", "empty": "", "a b/ä.txt": "odd names"}
	for _, seq := range []journal.Seq{30, 60} {
		before := count.puts.Load()
		err := cps.Put(t.Context(), archive.Checkpoint{Seq: seq, After: seq, TimeMS: msOf(seq), Meta: fmt.Appendf(nil, `{"at":%d}`, seq), Files: state.refs(true)})
		if err != nil {
			t.Fatal(err)
		}
		if n := count.puts.Load() - before; seq == 60 && n != 3 {
			t.Errorf("the second checkpoint stored %d objects, want 3: a new file, a changed one, the manifest", n)
		}
		state["state/CURRENT"] = "two"
		state["seg/000003.seg"] = "third"
	}
	for _, c := range []struct {
		until archive.Until
		from  journal.Seq
		to    journal.Seq
		state string
	}{
		{archive.Until{}, 60, 100, "two"},
		{archive.Until{Seq: 60}, 60, 60, "two"},
		{archive.Until{Seq: 59}, 30, 59, "one"},
		{archive.Until{TimeMS: msOf(60) - 1}, 30, 59, "one"},
		{archive.Until{TimeMS: msOf(88)}, 60, 88, "two"},
		{archive.Until{Seq: 29}, 0, 29, ""},
	} {
		got, err := restored(t, b, c.until)
		if err != nil || !slices.Equal(got, upTo(c.from+1, c.to)) {
			t.Errorf("until %s: frames %v, %v", c.until, got, err)
		}
		p, err := archive.NewPlan(t.Context(), b, shard, c.until)
		if err != nil {
			t.Fatal(err)
		}
		fsys := vmem.New()
		var done, total int64
		if err := p.Fetch(t.Context(), fsys, "/new", func(d, n int64) { done, total = d, n }); err != nil {
			t.Fatal(err)
		}
		if c.state == "" {
			if p.Checkpoint != nil {
				t.Errorf("until %s: checkpoint at %d", c.until, p.Checkpoint.Seq)
			}
			continue
		}
		if done != total || total < int64(len(big)) {
			t.Errorf("progress ends with %d of %d", done, total)
		}
		if string(p.Checkpoint.Meta) != fmt.Sprintf(`{"at":%d}`, c.from) {
			t.Errorf("until %s: meta %s", c.until, p.Checkpoint.Meta)
		}
		crashed := fsys.CrashClone(rand.New(rand.NewPCG(1, 1)), vmem.KeepNone)
		if got := read(t, crashed, "/new/state/CURRENT"); got != c.state || read(t, crashed, "/new/seg/000001.seg") != big ||
			read(t, crashed, "/new/empty") != "" || read(t, crashed, "/new/a b/ä.txt") != "odd names" {
			t.Errorf("until %s: what was fetched is not what was put (%q)", c.until, got)
		}
		if err := p.Fetch(t.Context(), fsys, "/new", nil); err == nil {
			t.Error("fetched over files that are there")
		}
	}
	r, err := archive.Verify(t.Context(), b, shard, nil)
	if err != nil || len(r.Problems) > 0 || r.Checkpoints != 2 || r.Files != 11 || r.Frames != 100 {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

func TestCheckpoint_Refuses(t *testing.T) {
	b := newBucket()
	cps := archive.NewCheckpoints(b, shard, ours)
	for _, name := range []string{"", "../x", "/x", "a//b", `a\b`, "c:x", "."} {
		err := cps.Put(t.Context(), archive.Checkpoint{Seq: 1, After: 1, Files: files{name: "x"}.refs(false)})
		if err == nil {
			t.Errorf("a file named %q", name)
		}
	}
	twice := append(files{"x": "1"}.refs(false), files{"x": "2"}.refs(false)...)
	short := files{"x": "12345"}.refs(false)
	short[0].Size = 9
	reads := 0
	changing := files{"y": "12345"}.refs(false)
	changing[0].Open = func() (io.ReadCloser, error) {
		reads++
		return io.NopCloser(strings.NewReader(fmt.Sprintf("1234%d", reads))), nil
	}
	for what, refs := range map[string][]archive.FileRef{"the same file twice": twice, "a wrong size": short, "a file that changes": changing} {
		if err := cps.Put(t.Context(), archive.Checkpoint{Seq: 1, After: 1, Files: refs}); err == nil {
			t.Error(what)
		}
	}
	if got := names(t, b, ""); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
	if err := cps.Put(t.Context(), archive.Checkpoint{Seq: 1, After: 1, Files: files{"x": "1"}.refs(false)}); err != nil {
		t.Fatal(err)
	}
	err := archive.NewCheckpoints(b, shard, archive.Lineage{5}).Put(t.Context(), archive.Checkpoint{Seq: 2, After: 2})
	if !errors.Is(err, archive.ErrLineage) {
		t.Errorf("a checkpoint of another history: %v", err)
	}
	src := source(newJournal(t, 5))
	src.Lineage = archive.Lineage{5}
	s, err := archive.NewShipper(b, src, quick())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, archive.ErrLineage) {
		t.Errorf("packs of another history than the checkpoints: %v", err)
	}
}

func TestCheckpoint_DamageIsNamed(t *testing.T) {
	b := newBucket()
	cps := archive.NewCheckpoints(b, shard, ours)
	if err := cps.Put(t.Context(), archive.Checkpoint{Seq: 9, After: 9, TimeMS: 5, Files: files{"one": "content of one"}.refs(false)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, b, "") {
		raw := content(t, b, name)
		for at := range raw {
			broken := bytes.Clone(raw)
			broken[at] ^= 4
			swap(t, b, name, broken)
			p, err := archive.NewPlan(t.Context(), b, shard, archive.Until{})
			if err == nil {
				err = p.Fetch(t.Context(), vmem.New(), "/new", nil)
			}
			var d *archive.DamageError
			if (!errors.As(err, &d) || d.Name != name) && !errors.Is(err, archive.ErrNewer) {
				t.Errorf("%s with byte %d changed: %v", name, at, err)
			}
			if r, err := archive.Verify(t.Context(), b, shard, nil); err != nil || len(r.Problems) == 0 {
				t.Errorf("%s with byte %d changed: verify: %+v, %v", name, at, r, err)
			}
		}
		if err := b.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "/files/") {
			if r, err := archive.Verify(t.Context(), b, shard, nil); err != nil || len(r.Problems) != 1 {
				t.Errorf("without %s: verify: %+v, %v", name, r, err)
			}
		}
		swap(t, b, name, raw)
	}
}

func TestPrune_KeepsWhatIsNeeded(t *testing.T) {
	setup := func() (*dir.Bucket, *archive.Checkpoints) {
		b, j := newBucket(), newJournal(t, 200)
		ship(t, b, source(j), quick())
		cps := archive.NewCheckpoints(b, shard, ours)
		state := files{}
		for seq := journal.Seq(40); seq <= 200; seq += 40 {
			state[fmt.Sprintf("seg/%d", seq)] = fmt.Sprint("from ", seq)
			delete(state, fmt.Sprintf("seg/%d", seq-120))
			if err := cps.Put(t.Context(), archive.Checkpoint{Seq: seq, After: seq, TimeMS: msOf(seq), Files: state.refs(true)}); err != nil {
				t.Fatal(err)
			}
		}
		return b, cps
	}
	for _, c := range []struct {
		keep   archive.Keep
		oldest journal.Seq
	}{
		{archive.Keep{Last: 1}, 200},
		{archive.Keep{Last: 2}, 160},
		{archive.Keep{Last: 99}, 40},
		{archive.Keep{Last: 1, SinceMS: msOf(100)}, 80},
		{archive.Keep{Last: 1, SinceMS: msOf(80)}, 80},
		{archive.Keep{Last: 1, SinceMS: 1}, 40},
		{archive.Keep{Last: 4, SinceMS: msOf(199)}, 80},
	} {
		b, cps := setup()
		did, err := cps.Prune(t.Context(), c.keep)
		if err != nil {
			t.Fatal(err)
		}
		afterPrune(t, b, c.oldest)
		if got, err := cps.Prune(t.Context(), c.keep); err != nil || got != (archive.Pruned{}) {
			t.Errorf("%+v: a second prune takes %+v after %+v, %v", c.keep, got, did, err)
		}
		j := newJournal(t, 220) // shipping goes on
		if s := ship(t, b, source(j), quick()); s.Archived() != 220 {
			t.Errorf("%+v: archived %d after the prune", c.keep, s.Archived())
		}
	}
	_, cps := setup()
	if _, err := cps.Prune(t.Context(), archive.Keep{}); err == nil {
		t.Error("a prune that keeps nothing")
	}

	// Stopped at every call, and completed by the next one.
	b, _ := setup()
	count := &faulty{Bucket: b}
	if _, err := archive.NewCheckpoints(count, shard, ours).Prune(t.Context(), archive.Keep{Last: 2}); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= count.count(); at += 3 {
		b, _ := setup()
		f := &faulty{Bucket: b, rule: func(call int, _, _ string) fault {
			if call >= at {
				return refused
			}
			return fine
		}}
		if _, err := archive.NewCheckpoints(f, shard, ours).Prune(t.Context(), archive.Keep{Last: 2}); err == nil {
			t.Fatalf("call %d: no error", at)
		}
		if got, err := restored(t, b, archive.Until{Seq: 170}); err != nil || !slices.Equal(got, upTo(161, 170)) {
			t.Fatalf("call %d: restore after a prune that was stopped: %d frames, %v", at, len(got), err)
		}
		if r, err := archive.Verify(t.Context(), b, shard, nil); err != nil {
			t.Fatalf("call %d: verify %+v, %v", at, r, err)
		}
		s := ship(t, b, source(newJournal(t, 210)), quick())
		if s.Archived() != 210 {
			t.Fatalf("call %d: archived %d", at, s.Archived())
		}
		if _, err := archive.NewCheckpoints(b, shard, ours).Prune(t.Context(), archive.Keep{Last: 2}); err != nil {
			t.Fatal(err)
		}
		afterPrune(t, b, 160)
	}
}

// afterPrune checks that all from the oldest checkpoint on can be restored, and nothing before.
func afterPrune(t *testing.T, b archive.Bucket, oldest journal.Seq) {
	t.Helper()
	for seq := oldest; seq <= 200; seq += 13 {
		p, err := archive.NewPlan(t.Context(), b, shard, archive.Until{Seq: seq})
		if err != nil {
			t.Fatalf("until %d: %v", seq, err)
		}
		if err := p.Fetch(t.Context(), vmem.New(), "/new", nil); err != nil {
			t.Errorf("until %d: %v", seq, err)
		}
		if got, err := restored(t, b, archive.Until{Seq: seq}); err != nil || !slices.Equal(got, upTo(p.From()+1, seq)) {
			t.Errorf("until %d: %d frames, %v", seq, len(got), err)
		}
	}
	if oldest > 40 {
		if _, err := archive.NewPlan(t.Context(), b, shard, archive.Until{Seq: oldest - 1}); !errors.Is(err, archive.ErrOutside) {
			t.Errorf("before the oldest checkpoint at %d: %v", oldest, err)
		}
	}
	if r, err := archive.Verify(t.Context(), b, shard, nil); err != nil || len(r.Problems) > 0 {
		t.Errorf("verify after a prune: %+v, %v", r, err)
	}
}

// A bucket whose reads break off is an error of that read, not damage.
func TestRestore_BucketBreaksOff(t *testing.T) {
	b := newBucket()
	ship(t, b, source(newJournal(t, 60)), quick())
	count := &faulty{Bucket: b}
	if _, err := restored(t, count, archive.Until{}); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= count.count(); at++ {
		for _, how := range []fault{refused, torn} {
			f := &faulty{Bucket: b, rule: func(call int, op, _ string) fault {
				if call == at {
					return how
				}
				return fine
			}}
			var d *archive.DamageError
			got, err := restored(t, f, archive.Until{})
			if !errors.Is(err, errBucket) || errors.As(err, &d) || !slices.Equal(got, upTo(1, journal.Seq(len(got)))) {
				t.Errorf("call %d, %d: %d frames, %v", at, how, len(got), err)
			}
		}
	}
}
