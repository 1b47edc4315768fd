package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"leat/storage/journal"
)

// Store is one journal that can be opened more than once.
type Store struct {
	// Open opens the journal again. What was durable before is there.
	Open func(t *testing.T) (journal.Journal, error)
	// Fences: Open works while another owner has it, and fences that owner. Otherwise it must be refused until Close.
	Fences bool
}

// Run passes an engine through the suite. fresh returns the store of an empty journal; the engine's FrameBytesMax should be small (64 KiB
// or so) because frames of that size are written.
func Run(t *testing.T, fresh func(t *testing.T) Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"EmptyJournal", emptyJournal},
		{"ScanReturnsFramesInOrder", scanInOrder},
		{"ScanFromPlaceAndAfterSeq", scanFrom},
		{"ScanStopsAtTheErrorOfFn", scanStops},
		{"SeqMustGrow", seqMustGrow},
		{"SeqNeedNotBeDense", seqSparse},
		{"ReadAtReturnsData", readAt},
		{"ReadAtRefusesWhatIsNotThere", readAtRefuses},
		{"LargestFrame", largestFrame},
		{"AppendKeepsNothing", keepsNothing},
		{"ReopenKeepsFramesAndRaisesEpoch", reopen},
		{"SecondOwner", secondOwner},
		{"ClosedJournalRefuses", closedRefuses},
		{"TrimKeepsTheRest", trim},
		{"ReadersDuringAppend", readersDuringAppend},
		{"ManyFrames", manyFrames},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

func (s Store) open(t *testing.T) journal.Journal {
	t.Helper()
	j, err := s.Open(t)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func mustClose(t *testing.T, j journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// Facts and Data return what the suite puts into the frame with that Seq: recognisable, and of a size that differs by Seq.
func Facts(seq journal.Seq) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "facts %d;", seq), int(seq%7))
}

// Data is the data region of that frame, in pieces.
func Data(seq journal.Seq) [][]byte {
	var pieces [][]byte
	for i := range int(seq % 4) {
		pieces = append(pieces, bytes.Repeat(fmt.Appendf(nil, "data %d/%d;", seq, i), int(seq*31%257)))
	}
	return pieces
}

// FrameOf makes the suite's frame of that Seq.
func FrameOf(seq journal.Seq) journal.Frame {
	return journal.Frame{Seq: seq, Facts: Facts(seq), Data: Data(seq)}
}

// Fill appends frames with the Seqs from..to and returns their places.
func Fill(t testing.TB, j journal.Journal, from, to journal.Seq) map[journal.Seq]journal.Place {
	t.Helper()
	places := map[journal.Seq]journal.Place{}
	for seq := from; seq <= to; seq++ {
		p, err := j.Append(FrameOf(seq))
		if err != nil {
			t.Fatalf("append %d: %v", seq, err)
		}
		if p <= places[seq-1] {
			t.Fatalf("append %d: place %d is not beyond %d", seq, p, places[seq-1])
		}
		places[seq] = p
	}
	return places
}

// Verify checks one entry against FrameOf, its data included.
func Verify(j journal.Journal, e journal.Entry) error {
	if want := Facts(e.Seq); !bytes.Equal(e.Facts, want) {
		return fmt.Errorf("frame %d: facts %.40q, want %.40q", e.Seq, e.Facts, want)
	}
	want := bytes.Join(Data(e.Seq), nil)
	if e.DataBytes != int64(len(want)) {
		return fmt.Errorf("frame %d: %d bytes of data, want %d", e.Seq, e.DataBytes, len(want))
	}
	got := make([]byte, len(want))
	if err := j.ReadAt(e.Place, 0, got); err != nil {
		return fmt.Errorf("frame %d: read data: %w", e.Seq, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("frame %d: data is not what was appended", e.Seq)
	}
	return nil
}

// Seqs scans and verifies, and returns the Seqs in the order they came.
func Seqs(t testing.TB, j journal.Journal, from journal.Place, after journal.Seq) []journal.Seq {
	t.Helper()
	var seqs []journal.Seq
	err := j.Scan(from, after, func(e journal.Entry) error {
		seqs = append(seqs, e.Seq)
		return Verify(j, e)
	})
	if err != nil {
		t.Fatalf("scan after %d: %v", after, err)
	}
	return seqs
}

func wantRange(t testing.TB, got []journal.Seq, from, to journal.Seq) {
	t.Helper()
	want := 0
	if to >= from {
		want = int(to - from + 1)
	}
	if len(got) != want {
		t.Fatalf("got %d frames %v, want %d..%d", len(got), got, from, to)
	}
	for i, seq := range got {
		if seq != from+journal.Seq(i) {
			t.Fatalf("got frame %d at %d, want %d", seq, i, from+journal.Seq(i))
		}
	}
}

func emptyJournal(t *testing.T, s Store) {
	j := s.open(t)
	if tail := j.Tail(); tail.Seq != 0 || tail.Place != 0 || tail.Epoch == 0 {
		t.Fatalf("tail of an empty journal is %+v, want no frame and an epoch", tail)
	}
	wantRange(t, Seqs(t, j, 0, 0), 1, 0)
	if j.Limits().FrameBytesMax <= 0 {
		t.Fatalf("limits %+v", j.Limits())
	}
}

func scanInOrder(t *testing.T, s Store) {
	j := s.open(t)
	places := Fill(t, j, 1, 40)
	wantRange(t, Seqs(t, j, 0, 0), 1, 40)
	if tail := j.Tail(); tail.Seq != 40 || tail.Place != places[40] {
		t.Fatalf("tail is %+v, want frame 40 at %d", tail, places[40])
	}
	err := j.Scan(0, 0, func(e journal.Entry) error {
		if e.Place != places[e.Seq] || e.Epoch != j.Tail().Epoch {
			return fmt.Errorf("frame %d at %d epoch %d, appended at %d epoch %d", e.Seq, e.Place, e.Epoch, places[e.Seq], j.Tail().Epoch)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func scanFrom(t *testing.T, s Store) {
	j := s.open(t)
	places := Fill(t, j, 1, 60)
	for after := journal.Seq(0); after <= 60; after += 3 {
		wantRange(t, Seqs(t, j, 0, after), after+1, 60)
		for _, hint := range []journal.Seq{1, after, after + 1, after + 20, 60} {
			// A hint beyond the first wanted frame is a caller's mistake (a place that has moved); it must not skip frames.
			wantRange(t, Seqs(t, j, places[hint], after), after+1, 60)
		}
	}
	wantRange(t, Seqs(t, j, 1<<60, 10), 11, 60)
}

func scanStops(t *testing.T, s Store) {
	j := s.open(t)
	Fill(t, j, 1, 10)
	stop, calls := errors.New("enough"), 0
	err := j.Scan(0, 0, func(journal.Entry) error {
		if calls++; calls == 3 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 3 {
		t.Fatalf("scan returned %v after %d calls, want the error of fn after 3", err, calls)
	}
}

func seqMustGrow(t *testing.T, s Store) {
	j := s.open(t)
	Fill(t, j, 1, 5)
	for _, seq := range []journal.Seq{0, 1, 5} {
		if _, err := j.Append(FrameOf(seq)); !errors.Is(err, journal.ErrOrder) {
			t.Fatalf("append %d after 5: %v, want ErrOrder", seq, err)
		}
	}
	Fill(t, j, 6, 8)
	wantRange(t, Seqs(t, j, 0, 0), 1, 8)
}

func seqSparse(t *testing.T, s Store) {
	j := s.open(t)
	for _, seq := range []journal.Seq{5, 6, 1000, 1 << 40} {
		if _, err := j.Append(journal.Frame{Seq: seq, Facts: []byte("f")}); err != nil {
			t.Fatalf("append %d: %v", seq, err)
		}
	}
	var got []journal.Seq
	if err := j.Scan(0, 6, func(e journal.Entry) error { got = append(got, e.Seq); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != 1000 || got[1] != 1<<40 {
		t.Fatalf("scan after 6: %v", got)
	}
}

func readAt(t *testing.T, s Store) {
	j := s.open(t)
	places := Fill(t, j, 1, 30)
	for seq, place := range places {
		want := bytes.Join(Data(seq), nil)
		for _, off := range []int{0, len(want) / 3, len(want)} {
			got := make([]byte, (len(want)-off)/2)
			if err := j.ReadAt(place, int64(off), got); err != nil {
				t.Fatalf("frame %d from %d: %v", seq, off, err)
			}
			if !bytes.Equal(got, want[off:][:len(got)]) {
				t.Fatalf("frame %d from %d: wrong bytes", seq, off)
			}
		}
	}
}

func readAtRefuses(t *testing.T, s Store) {
	j := s.open(t)
	places := Fill(t, j, 1, 3)
	p := make([]byte, 1<<20)
	for _, place := range []journal.Place{0, places[3], places[3] + 1<<50} {
		if err := j.ReadAt(place, 0, p); err == nil {
			t.Fatalf("read of %d bytes at place %d worked", len(p), place)
		}
	}
	if err := j.ReadAt(places[3], -1, p[:1]); err == nil {
		t.Fatal("read before the data worked")
	}
}

func largestFrame(t *testing.T, s Store) {
	j := s.open(t)
	limit := j.Limits().FrameBytesMax
	if _, err := j.Append(journal.Frame{Seq: 1, Facts: []byte{1}, Data: [][]byte{make([]byte, limit)}}); !errors.Is(err, journal.ErrTooLarge) {
		t.Fatalf("append of limit + 1: %v, want ErrTooLarge", err)
	}
	facts, data := bytes.Repeat([]byte("f"), 100), bytes.Repeat([]byte("d"), int(limit)-100)
	for seq := journal.Seq(1); seq <= 3; seq++ {
		place, err := j.Append(journal.Frame{Seq: seq, Facts: facts, Data: [][]byte{data[:1], data[1:]}})
		if err != nil {
			t.Fatalf("append at the limit: %v", err)
		}
		got := make([]byte, len(data))
		if err := j.ReadAt(place, 0, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("read at the limit: %v", err)
		}
	}
	mustClose(t, j)
	j = s.open(t)
	n := 0
	if err := j.Scan(0, 0, func(e journal.Entry) error { n++; return nil }); err != nil || n != 3 {
		t.Fatalf("after reopen: %d frames, %v", n, err)
	}
}

func keepsNothing(t *testing.T, s Store) {
	j := s.open(t)
	facts, data := []byte("facts"), []byte("data")
	place, err := j.Append(journal.Frame{Seq: 1, Facts: facts, Data: [][]byte{data}})
	if err != nil {
		t.Fatal(err)
	}
	copy(facts, "XXXXX")
	copy(data, "XXXX")
	got := make([]byte, 4)
	if err := j.ReadAt(place, 0, got); err != nil || string(got) != "data" {
		t.Fatalf("data is %q (%v) after the caller used its buffer again", got, err)
	}
	err = j.Scan(0, 0, func(e journal.Entry) error {
		if string(e.Facts) != "facts" {
			return fmt.Errorf("facts are %q after the caller used its buffer again", e.Facts)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, s Store) {
	var epoch journal.Epoch
	for round := range journal.Seq(5) {
		j := s.open(t)
		tail := j.Tail()
		if tail.Epoch <= epoch {
			t.Fatalf("epoch %d after %d: every open takes a higher one", tail.Epoch, epoch)
		}
		if tail.Seq != round*10 {
			t.Fatalf("tail is %+v after %d frames", tail, round*10)
		}
		epoch = tail.Epoch
		wantRange(t, Seqs(t, j, 0, 0), 1, round*10)
		wantRange(t, Seqs(t, j, tail.Place, tail.Seq), 1, 0)
		Fill(t, j, round*10+1, round*10+10)
		mustClose(t, j)
	}
}

func secondOwner(t *testing.T, s Store) {
	first := s.open(t)
	Fill(t, first, 1, 3)
	second, err := s.Open(t)
	if !s.Fences {
		if err == nil {
			t.Fatal("the journal was opened twice at the same time")
		}
		Fill(t, first, 4, 6)
		mustClose(t, first)
		wantRange(t, Seqs(t, s.open(t), 0, 0), 1, 6)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Append(FrameOf(4)); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("append of the owner before: %v, want ErrFenced", err)
	}
	Fill(t, second, 4, 6)
	wantRange(t, Seqs(t, second, 0, 0), 1, 6)
	mustClose(t, second)
}

func closedRefuses(t *testing.T, s Store) {
	j := s.open(t)
	places := Fill(t, j, 1, 3)
	mustClose(t, j)
	mustClose(t, j) // again
	if _, err := j.Append(FrameOf(4)); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("append: %v, want ErrClosed", err)
	}
	if err := j.ReadAt(places[3], 0, make([]byte, 1)); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("read: %v, want ErrClosed", err)
	}
	if err := j.Scan(0, 0, func(journal.Entry) error { return nil }); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("scan: %v, want ErrClosed", err)
	}
	if err := j.Trim(2); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("trim: %v, want ErrClosed", err)
	}
}

func trim(t *testing.T, s Store) {
	j := s.open(t)
	places := Fill(t, j, 1, 200)
	var trimmed journal.Seq = 1
	check := func(j journal.Journal, before, to journal.Seq) {
		t.Helper()
		got := Seqs(t, j, 0, before-1)
		wantRange(t, got, before, to)
		all := Seqs(t, j, 0, 0)
		wantRange(t, all, all[0], to)
		if all[0] > before {
			t.Fatalf("trim before %d let go of frame %d too", before, all[0]-1)
		}
		for seq := journal.Seq(1); seq < all[0]; seq++ {
			if err := j.ReadAt(places[seq], 0, nil); !errors.Is(err, journal.ErrTrimmed) {
				t.Fatalf("read of trimmed frame %d: %v, want ErrTrimmed", seq, err)
			}
		}
	}
	for _, before := range []journal.Seq{1, 50, 120, 120, 60, 200} {
		if err := j.Trim(before); err != nil {
			t.Fatalf("trim before %d: %v", before, err)
		}
		trimmed = max(trimmed, before)
		check(j, trimmed, 200)
	}
	maps.Copy(places, Fill(t, j, 201, 260))
	check(j, 200, 260)
	mustClose(t, j)
	j = s.open(t)
	check(j, 200, 260)
	Fill(t, j, 261, 270)
}

func readersDuringAppend(t *testing.T, s Store) {
	j := s.open(t)
	var appended atomic.Uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				before := journal.Seq(appended.Load())
				var last journal.Seq
				err := j.Scan(0, 0, func(e journal.Entry) error {
					if e.Seq != last+1 {
						return fmt.Errorf("frame %d after %d", e.Seq, last)
					}
					last = e.Seq
					return Verify(j, e)
				})
				if err != nil || last < before {
					t.Errorf("scan during appends ended at %d (appended before it began: %d): %v", last, before, err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for seq := journal.Seq(1); seq <= 120; seq++ {
		if _, err := j.Append(FrameOf(seq)); err != nil {
			t.Errorf("append %d: %v", seq, err)
			break
		}
		if got := j.Tail().Seq; got != seq {
			t.Errorf("tail is %d after append of %d", got, seq)
		}
		appended.Store(uint64(seq))
	}
	close(done)
	wg.Wait()
}

func manyFrames(t *testing.T, s Store) {
	j := s.open(t)
	for i := range journal.Seq(5) {
		Fill(t, j, i*200+1, i*200+200)
		if i%2 == 1 {
			mustClose(t, j)
			j = s.open(t)
		}
	}
	wantRange(t, Seqs(t, j, 0, 0), 1, 1000)
	for after := journal.Seq(0); after < 1000; after += 97 {
		wantRange(t, Seqs(t, j, 0, after), after+1, 1000)
	}
}
