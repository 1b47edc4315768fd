package statetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"leat/storage/state"
)

// Disk is what stores are opened on. One store at a time is open on it.
type Disk interface {
	// Open opens the store with what the disk holds.
	Open() (state.Store, error)
	// Crash takes away what is not durable at this moment, also from under an open store, which the suite does not use again, and
	// lets go of that store. The next Open opens what is left.
	Crash()
}

// Run holds the stores on the disks that fresh returns to the contract. Each call of fresh returns an empty disk.
func Run(t *testing.T, fresh func(t *testing.T) Disk) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"Rows", (*suite).rows},
		{"OrderWithinBatch", (*suite).orderWithinBatch},
		{"Copies", (*suite).copies},
		{"OwnKeysAreRefused", (*suite).ownKeys},
		{"IteratorMoves", (*suite).moves},
		{"IteratorIsASnapshot", (*suite).snapshot},
		{"Model", (*suite).model},
		{"Marks", (*suite).marks},
		{"FlushedSurvivesCrash", (*suite).flushedSurvives},
		{"CrashLeavesAPrefix", (*suite).crashPrefix},
		{"ReadersBesideAWriter", (*suite).readers},
		{"Closed", (*suite).closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&suite{T: t, disk: fresh(t)}) })
	}
}

type suite struct {
	*testing.T
	disk Disk
	seq  uint64
}

func (s *suite) open() state.Store {
	s.Helper()
	st, err := s.disk.Open()
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	return st
}

func (s *suite) close(st state.Store) {
	s.Helper()
	if err := st.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
}

// apply fills one batch and applies it with the next mark.
func (s *suite) apply(st state.Store, fill func(state.Batch)) {
	s.Helper()
	b := st.NewBatch()
	fill(b)
	s.seq++
	if err := st.Apply(b, markOf(s.seq)); err != nil {
		s.Fatalf("apply %d: %v", s.seq, err)
	}
}

func markOf(seq uint64) state.Mark { return state.Mark{Seq: seq, Place: seq * 1000} }

func (s *suite) wantGet(st state.Store, key, want string) {
	s.Helper()
	got, err := st.Get([]byte(key))
	if err != nil || string(got) != want {
		s.Fatalf("get %q: got %q, %v; want %q", key, got, err, want)
	}
}

func (s *suite) wantAbsent(st state.Store, key string) {
	s.Helper()
	if got, err := st.Get([]byte(key)); err != state.ErrNotFound { //nolint:errorlint // the contract says unwrapped
		s.Fatalf("get %q: got %q, %v; want ErrNotFound as it is", key, got, err)
	}
}

// all reads every row of lo <= key < hi as "key=value ", forward, and checks that backward gives the same.
func (s *suite) all(st state.Store, lo, hi []byte) string {
	s.Helper()
	it, err := st.Iter(lo, hi)
	if err != nil {
		s.Fatalf("iter: %v", err)
	}
	var rows []string
	for it.Next() {
		rows = append(rows, fmt.Sprintf("%s=%s ", it.Key(), it.Value()))
	}
	for i := len(rows) - 1; i >= 0; i-- {
		if !it.Prev() {
			s.Fatalf("walking back ended %d rows early", i+1)
		}
		if got := fmt.Sprintf("%s=%s ", it.Key(), it.Value()); got != rows[i] {
			s.Fatalf("walking back: got %q, want %q", got, rows[i])
		}
	}
	if it.Prev() {
		s.Fatalf("walking back goes on past the first row to %q", it.Key())
	}
	if err := errors.Join(it.Err(), it.Close()); err != nil {
		s.Fatalf("iter: %v", err)
	}
	return string(bytes.Join(toBytes(rows), nil))
}

func toBytes(ss []string) [][]byte {
	out := make([][]byte, len(ss))
	for i, s := range ss {
		out[i] = []byte(s)
	}
	return out
}

func set(b state.Batch, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
}

func (s *suite) rows() {
	st := s.open()
	defer s.close(st)
	s.wantAbsent(st, "a")
	if got := s.all(st, nil, nil); got != "" {
		s.Fatalf("an empty store shows %q", got)
	}
	s.apply(st, func(b state.Batch) { set(b, "b", "2", "a", "1", "d", "", "c", "3\x00x") })
	s.wantGet(st, "a", "1")
	s.wantGet(st, "c", "3\x00x")
	s.wantGet(st, "d", "")
	s.wantAbsent(st, "bb")
	if got, want := s.all(st, nil, nil), "a=1 b=2 c=3\x00x d= "; got != want {
		s.Fatalf("all rows: got %q, want %q", got, want)
	}
	s.apply(st, func(b state.Batch) {
		b.Delete([]byte("b"))
		b.Delete([]byte("nobody"))
		set(b, "a", "one")
	})
	if got, want := s.all(st, nil, nil), "a=one c=3\x00x d= "; got != want {
		s.Fatalf("after delete: got %q, want %q", got, want)
	}
	for _, c := range []struct{ lo, hi, want string }{{"a", "c", "a=one "}, {"b", "d", "c=3\x00x "}, {"d", "d", ""}, {"x", "a", ""}} {
		if got := s.all(st, []byte(c.lo), []byte(c.hi)); got != c.want {
			s.Fatalf("rows of [%s, %s): got %q, want %q", c.lo, c.hi, got, c.want)
		}
	}
	s.apply(st, func(b state.Batch) {
		b.DeleteRange([]byte("x"), []byte("a")) // wrong way round: nothing
		b.DeleteRange([]byte("c"), []byte("c")) // empty: nothing
		b.DeleteRange([]byte("a"), []byte("c"))
	})
	if got, want := s.all(st, nil, nil), "c=3\x00x d= "; got != want {
		s.Fatalf("after delete range: got %q, want %q", got, want)
	}
}

func (s *suite) orderWithinBatch() {
	st := s.open()
	defer s.close(st)
	s.apply(st, func(b state.Batch) { set(b, "old", "1") })
	s.apply(st, func(b state.Batch) {
		if b.Len() != 0 {
			s.Errorf("a new batch has length %d", b.Len())
		}
		set(b, "a", "1", "a", "2", "b", "1", "c", "1")
		b.Delete([]byte("b"))
		b.DeleteRange([]byte("c"), []byte("z"))
		set(b, "d", "after the range")
		if b.Len() != 7 {
			s.Errorf("seven changes: Len is %d", b.Len())
		}
	})
	if got, want := s.all(st, nil, nil), "a=2 d=after the range "; got != want {
		s.Fatalf("changes take effect in their order: got %q, want %q", got, want)
	}
	b := st.NewBatch()
	set(b, "never", "1")
	b.Discard()
	s.wantAbsent(st, "never")
	if st.Applied() != markOf(s.seq) {
		s.Fatalf("a discarded batch moved the mark to %v", st.Applied())
	}
}

func (s *suite) copies() {
	st := s.open()
	defer s.close(st)
	key, value := []byte("key"), []byte("value")
	lo, hi := []byte("a"), []byte("b")
	s.apply(st, func(b state.Batch) {
		set(b, "ab", "1")
		b.Set(key, value)
		b.DeleteRange(lo, hi)
		copy(key, "xxx")
		copy(value, "xxxxx")
		copy(hi, "z")
	})
	got, err := st.Get([]byte("key"))
	if err != nil || string(got) != "value" {
		s.Fatalf("a batch copies what it is given: got %q, %v", got, err)
	}
	copy(got, "zzzzz")
	s.wantGet(st, "key", "value")
	lo, hi = []byte("a"), []byte("z")
	it, err := st.Iter(lo, hi)
	if err != nil {
		s.Fatal(err)
	}
	copy(hi, "b")
	if !it.Next() || string(it.Key()) != "key" {
		s.Fatalf("an iterator copies its bounds")
	}
	if err := it.Close(); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) ownKeys() {
	st := s.open()
	defer s.close(st)
	s.apply(st, func(b state.Batch) { set(b, "\x01", "lowest", "\xff\xff", "highest") })
	for name, do := range map[string]func(state.Batch){
		"Set":         func(b state.Batch) { b.Set([]byte("\x00mark"), nil) },
		"Set empty":   func(b state.Batch) { b.Set(nil, nil) },
		"Delete":      func(b state.Batch) { b.Delete([]byte("\x00mark")) },
		"DeleteRange": func(b state.Batch) { b.DeleteRange([]byte{0}, []byte("z")) },
	} {
		func() {
			b := st.NewBatch()
			defer b.Discard()
			defer func() {
				if recover() == nil {
					s.Errorf("%s of a key of the store's own must panic", name)
				}
			}()
			do(b)
		}()
	}
	for _, lo := range [][]byte{nil, {}, {0}, []byte("\x00a")} {
		if got, want := s.all(st, lo, nil), "\x01=lowest \xff\xff=highest "; got != want {
			s.Fatalf("rows from %q: got %q, want %q", lo, got, want)
		}
	}
	if got := s.all(st, []byte{0}, []byte{1}); got != "" {
		s.Fatalf("the store's own rows are shown: %q", got)
	}
}

func (s *suite) closed() {
	st := s.open()
	s.apply(st, func(b state.Batch) { set(b, "a", "1") })
	b := st.NewBatch()
	s.close(st)
	_, getErr := st.Get([]byte("a"))
	_, iterErr := st.Iter(nil, nil)
	for name, err := range map[string]error{"Get": getErr, "Iter": iterErr, "Apply": st.Apply(b, state.Mark{}), "Flush": st.Flush(), "Close": st.Close()} {
		if !errors.Is(err, state.ErrClosed) {
			s.Errorf("%s of a closed store: got %v, want ErrClosed", name, err)
		}
	}
	b.Discard()
}

// readers checks under -race that reads beside Apply see whole frames: both rows of a pair always carry the same number.
func (s *suite) readers() {
	st := s.open()
	defer s.close(st)
	var wg sync.WaitGroup
	var stop atomic.Bool
	pair := func(b state.Batch, n uint64) {
		v := binary.BigEndian.AppendUint64(nil, n)
		b.Set([]byte("p1"), v)
		b.Set([]byte("p2"), v)
	}
	s.apply(st, func(b state.Batch) { pair(b, 0) })
	for range 4 {
		wg.Go(func() {
			for last := uint64(0); !stop.Load(); {
				it, err := st.Iter([]byte("p"), []byte("q"))
				if err != nil {
					s.Errorf("iter: %v", err)
					return
				}
				var got []uint64
				for it.Next() {
					got = append(got, binary.BigEndian.Uint64(it.Value()))
				}
				if err := it.Close(); err != nil || len(got) != 2 || got[0] != got[1] || got[0] < last {
					s.Errorf("a reader saw half a frame, or went back: %v after %d, %v", got, last, err)
					return
				}
				last = got[0]
				if v, err := st.Get([]byte("p1")); err != nil || binary.BigEndian.Uint64(v) < last {
					s.Errorf("get went back behind %d: %x, %v", last, v, err)
					return
				}
				if st.Durable().Seq > st.Applied().Seq {
					s.Error("durable is ahead of applied")
					return
				}
			}
		})
	}
	for n := uint64(1); n <= 500; n++ {
		s.apply(st, func(b state.Batch) { pair(b, n) })
		if n%100 == 0 {
			if err := st.Flush(); err != nil {
				s.Fatal(err)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) } //nolint:gosec // tests repeat
