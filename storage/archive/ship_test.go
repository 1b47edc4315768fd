package archive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/storage/archive"
	"leat/storage/journal"
	"leat/storage/journal/memory"
)

func TestShip_EveryFrameOnce(t *testing.T) {
	b, j := newBucket(), newJournal(t, 300)
	s := ship(t, b, source(j), quick())
	if s.Archived() != 300 {
		t.Errorf("archived %d, want 300", s.Archived())
	}
	got, err := restored(t, b, archive.Until{})
	if err != nil || !slices.Equal(got, upTo(1, 300)) {
		t.Errorf("restored %d frames: %v", len(got), err)
	}
	if n := len(names(t, b, "shard-0/packs/")); n < 10 {
		t.Errorf("%d packs, want many", n)
	}
	st := s.State()
	if st.LagSeqs != 0 || st.Lag != 0 || st.LagBytes != 0 || st.InFlight != 0 || st.Failing || st.Stopped != nil || st.SentBytes >= st.PackedBytes {
		t.Errorf("state %+v", st)
	}
}

func TestShip_GoesOnAfterARestart(t *testing.T) {
	b, j := newBucket(), newJournal(t, 50)
	for to := journal.Seq(50); to <= 200; to += 50 {
		if s := ship(t, b, source(j), quick()); s.Archived() != to {
			t.Fatalf("archived %d, want %d", s.Archived(), to)
		}
		if to < 200 {
			fill(t, j, to+1, to+50)
		}
	}
	if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(1, 200)) {
		t.Errorf("restored %d frames: %v", len(got), err)
	}
}

// A shipper is stopped at each call to the bucket, before or after that call has had its effect, also while packs are in flight out of order.
// The next one goes on; nothing is twice and nothing is missing.
func TestShip_StoppedAtEveryCall(t *testing.T) {
	const frames = 60
	count := &faulty{Bucket: newBucket()}
	ship(t, count, source(newJournal(t, frames)), quick())
	total := count.count()
	for _, how := range []fault{refused, lost} {
		for at := 1; at <= total; at++ {
			b, j := newBucket(), newJournal(t, frames)
			ctx, cancel := context.WithCancel(t.Context())
			f := &faulty{Bucket: b, rule: func(call int, _, _ string) fault {
				if call < at {
					return fine
				}
				cancel()
				if call == at {
					return how
				}
				return refused
			}}
			cfg := quick()
			s, err := archive.NewShipper(f, source(j), cfg)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Run(ctx)
			cancel()
			said := s.Archived()
			before, err := restored(t, b, archive.Until{})
			if len(before) < int(said) || err != nil && !errors.Is(err, archive.ErrOutside) {
				t.Fatalf("%d at call %d: %d archived, %d restored: %v", how, at, said, len(before), err)
			}
			if got := ship(t, b, source(j), cfg).Archived(); got != frames {
				t.Fatalf("%d at call %d: %d archived after the restart", how, at, got)
			}
			if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(1, frames)) {
				t.Fatalf("%d at call %d: restored %d frames: %v", how, at, len(got), err)
			}
			r, err := archive.Verify(t.Context(), b, shard, nil)
			if err != nil || len(r.Problems) > 0 || r.Frames != frames {
				t.Fatalf("%d at call %d: %+v, %v", how, at, r, err)
			}
		}
	}
}

// Packs that are in the bucket behind a hole, because uploads end in any order, are left out by a restore and replaced by the next shipper.
func TestShip_OutOfOrderThenStopped(t *testing.T) {
	for held := range 4 {
		b, j := newBucket(), newJournal(t, 60)
		ctx, cancel := context.WithCancel(t.Context())
		n, stuck := 0, ""
		f := &faulty{Bucket: b}
		f.rule = func(_ int, op, name string) fault {
			switch {
			case op != "put":
				return fine
			case name == stuck:
				return refused // also when it comes again before the others have
			}
			if n++; n == held+1 {
				stuck = name
				return refused
			}
			if n > 6 {
				cancel()
			}
			return fine
		}
		s, err := archive.NewShipper(f, source(j), quick())
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Run(ctx)
		cancel()
		p, err := archive.NewPlan(t.Context(), b, shard, archive.Until{})
		if err != nil && !errors.Is(err, archive.ErrOutside) {
			t.Fatalf("held %d: plan after the stop: %v", held, err)
		}
		if err == nil && held > 0 && len(p.Leftover) == 0 {
			t.Errorf("held %d: nothing is left over, the test shows nothing (%d packs)", held, len(p.Packs))
		}
		if got := ship(t, b, source(j), quick()).Archived(); got != 60 {
			t.Fatalf("held %d: archived %d", held, got)
		}
		if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(1, 60)) {
			t.Fatalf("held %d: restored %d: %v", held, len(got), err)
		}
	}
}

func TestShip_FailingBucketIsSeenAndOutlived(t *testing.T) {
	b, j := newBucket(), newJournal(t, 100)
	var mu sync.Mutex
	out := true
	f := &faulty{Bucket: b, rule: func(call int, op, _ string) fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case out && call > 3:
			return refused
		case call%3 == 0:
			return lost
		}
		return fine
	}}
	cfg := quick()
	cfg.RetryMax = archive.RetryMin
	s, err := archive.NewShipper(f, source(j), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for deadline := time.Now().Add(60 * time.Second); s.State().Failures < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no failures are seen: %+v", s.State())
		}
	}
	st := s.State()
	if !st.Failing || !errors.Is(st.LastError, errBucket) || st.ErrorTime.IsZero() || st.LagSeqs == 0 || st.LagBytes == 0 || st.Lag <= 0 {
		t.Errorf("state of a failing shipper: %+v", st)
	}
	if max := int64(cfg.Uploads+1) * (cfg.PackBytes + 8<<10); st.LagBytes > max {
		t.Errorf("%d bytes are held, at most %d", st.LagBytes, max)
	}
	fill(t, j, 101, 150) // the journal does not care
	mu.Lock()
	out = false
	mu.Unlock()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.State(); st.Failing || st.Archived != 150 {
		t.Errorf("state after it works again: %+v", st)
	}
	cancel()
	<-ended
	if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(1, 150)) {
		t.Errorf("restored %d: %v", len(got), err)
	}
}

// Puts that never return are given up and made again, while others go on.
func TestShip_StuckUploads(t *testing.T) {
	b := newBucket()
	var mu sync.Mutex
	seen := map[string]bool{}
	f := &faulty{Bucket: b, rule: func(call int, op, name string) fault {
		mu.Lock()
		defer mu.Unlock()
		if op == "put" && call%3 == 0 && !seen[name] {
			seen[name] = true
			return stuck
		}
		return fine
	}}
	cfg := quick()
	cfg.UploadTimeout, cfg.RetryMax = 30*time.Millisecond, archive.RetryMin
	s := ship(t, f, source(newJournal(t, 120)), cfg)
	if st := s.State(); len(seen) == 0 || st.Failures < int64(len(seen)) || !errors.Is(st.LastError, context.DeadlineExceeded) {
		t.Errorf("%d puts were stuck: %+v", len(seen), st)
	}
	if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(1, 120)) {
		t.Errorf("restored %d: %v", len(got), err)
	}
}

func TestShip_JournalIsReplaced(t *testing.T) {
	b := newBucket()
	store, err := memory.NewStore(memory.Default())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	now := store.Open()
	src := source(nil)
	src.Journal = func() journal.Journal {
		mu.Lock()
		defer mu.Unlock()
		if now == nil {
			return nil
		}
		return now
	}
	s, err := archive.NewShipper(b, src, quick())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	last := journal.Seq(0)
	for i := range 6 {
		fill(t, now, last+1, last+20)
		last += 20
		s.Wake()
		time.Sleep(time.Duration(i) * 7 * time.Millisecond)
		mu.Lock()
		old := now
		now = nil
		mu.Unlock()
		_ = old.Close()
		time.Sleep(time.Duration(i%3) * 5 * time.Millisecond)
		mu.Lock()
		now = store.Open()
		mu.Unlock()
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(1, last)) {
		t.Errorf("restored %d: %v", len(got), err)
	}
}

func TestShip_Refuses(t *testing.T) {
	shipped := func() (archive.Bucket, *memory.Journal) {
		b, j := newBucket(), newJournal(t, 40)
		ship(t, b, source(j), quick())
		return b, j
	}
	run := func(b archive.Bucket, src archive.Source) error {
		s, err := archive.NewShipper(b, src, quick())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		err = s.Run(ctx)
		if st := s.State(); st.Running || !errors.Is(st.Stopped, err) {
			t.Errorf("state after %v: %+v", err, st)
		}
		if err := s.Flush(ctx); err == nil {
			t.Error("flush of a stopped shipper succeeds")
		}
		return err
	}

	b, j := shipped()
	fill(t, j, 41, 50)
	src := source(j)
	src.Lineage = archive.Lineage{9}
	if err := run(b, src); !errors.Is(err, archive.ErrLineage) {
		t.Errorf("other lineage: %v", err)
	}
	if err := run(b, source(newJournal(t, 39))); !errors.Is(err, archive.ErrDiverged) {
		t.Errorf("journal behind the archive: %v", err)
	}
	other := memory.New()
	fill(t, other, 1, 39)
	f := frameOf(41)
	f.Seq = 40
	for _, f := range []journal.Frame{f, frameOf(41)} {
		if _, err := other.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(b, source(other)); !errors.Is(err, archive.ErrDiverged) {
		t.Errorf("journal with another frame 40: %v", err)
	}
	src = source(j)
	rotten := errors.New("batch CRC")
	src.Check = func([]byte, []byte) error { return rotten }
	var bad *archive.BadFrameError
	if err := run(b, src); !errors.As(err, &bad) || bad.Seq != 41 || !errors.Is(err, rotten) {
		t.Errorf("a frame that does not check: %v", err)
	}
	// Somebody else takes the name of the next pack.
	b2 := &faulty{Bucket: b}
	b2.rule = func(_ int, op, name string) fault {
		if op == "put" {
			_ = b.Put(t.Context(), name, strings.NewReader("theirs"), 6)
		}
		return fine
	}
	if err := run(b2, source(j)); !errors.Is(err, archive.ErrTwoWriters) {
		t.Errorf("a name that somebody else took: %v", err)
	}
}

// A journal that was trimmed while nobody archived: the archive begins anew, and says so.
func TestShip_Gap(t *testing.T) {
	b, j := newBucket(), newJournal(t, 40)
	ship(t, b, source(j), quick())
	fill(t, j, 41, 60)
	if err := j.Trim(51); err != nil {
		t.Fatal(err)
	}
	ship(t, b, source(j), quick())
	fill(t, j, 61, 80)
	if err := j.Trim(60); err != nil { // Archived is 60: that is no gap
		t.Fatal(err)
	}
	ship(t, b, source(j), quick())
	var hole *archive.MissingError
	if _, err := restored(t, b, archive.Until{}); !errors.As(err, &hole) || hole.After != 40 || hole.Until != 50 {
		t.Errorf("restore over a gap: %v", err)
	}
	if got, err := restored(t, b, archive.Until{Seq: 40}); err != nil || !slices.Equal(got, upTo(1, 40)) {
		t.Errorf("restore before the gap: %d frames, %v", len(got), err)
	}
	cps := archive.NewCheckpoints(b, shard, ours)
	if err := cps.Put(t.Context(), archive.Checkpoint{Seq: 55, After: 55, TimeMS: msOf(55)}); err != nil {
		t.Fatal(err)
	}
	if got, err := restored(t, b, archive.Until{}); err != nil || !slices.Equal(got, upTo(56, 80)) {
		t.Errorf("restore from a checkpoint behind the gap: %d frames, %v", len(got), err)
	}
	r, err := archive.Verify(t.Context(), b, shard, nil)
	if err != nil || len(r.Problems) > 0 || len(r.Gaps) != 1 || r.Gaps[0].Until != 50 {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

func TestFlush_EndsWithTheShipper(t *testing.T) {
	s, err := archive.NewShipper(&faulty{Bucket: newBucket(), rule: func(int, string, string) fault { return refused }}, source(newJournal(t, 5)), quick())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		time.Sleep(20 * time.Millisecond)
		cancel()
	}()
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush(t.Context()) }()
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) || s.State().Stopped != nil {
		t.Errorf("run: %v, state %+v", err, s.State())
	}
	if err := <-flushed; err == nil {
		t.Error("flush of what was never shipped succeeds")
	}
}

func TestConfig_Ends(t *testing.T) {
	if err := archive.Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, set := range map[string]func(*archive.Config, bool){
		"pack_bytes": func(c *archive.Config, over bool) {
			c.PackBytes = pick[int64](over, archive.PackBytesMax+1, archive.PackBytesMin-1)
		},
		"pack_age": func(c *archive.Config, over bool) { c.PackAge = pick(over, archive.PackAgeMax+1, archive.PackAgeMin-1) },
		"uploads":  func(c *archive.Config, over bool) { c.Uploads = pick(over, archive.UploadsMax+1, 0) },
		"upload_timeout": func(c *archive.Config, over bool) {
			c.UploadTimeout = pick(over, archive.UploadTimeoutMax+1, archive.UploadTimeoutMin-1)
		},
		"retry_max": func(c *archive.Config, over bool) { c.RetryMax = pick(over, archive.RetryMaxMax+1, archive.RetryMin-1) },
	} {
		for _, over := range []bool{false, true} {
			c := archive.Default()
			set(&c, over)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s beyond an end (%v): %v", name, over, err)
			}
		}
	}
	if _, err := archive.NewShipper(nil, archive.Source{}, archive.Default()); err == nil {
		t.Error("a shipper of nothing")
	}
}

func pick[T any](over bool, a, b T) T {
	if over {
		return a
	}
	return b
}

func ExampleUntil() {
	fmt.Println(archive.Until{}, archive.Until{Seq: 7}, archive.Until{TimeMS: 1})
	// Output: the end seq 7 1970-01-01T00:00:00.001Z
}
