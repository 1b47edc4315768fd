package sim

import (
	"bytes"
	"errors"

	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/memory"
)

// The shadow is a second shard that is given every frame as it is published and never moves, merges, crashes or forgets. What the first one holds
// in rows, journal and files together must be what the shadow holds in rows: this takes the place of folding the journal, which does not hold
// everything any more.

func (w *World) makeShadow() {
	disk := memory.New()
	files, index, err := openFiles(disk)
	if err != nil {
		panic(err)
	}
	cfg := w.config(statemem.New(), files, index, func() (journal.Journal, error) { return w.openJournal(disk) })
	cfg.Keep.WindowBytes = 0
	if w.shadow, err = shard.OpenStepper(cfg); err != nil {
		panic(err)
	}
	w.shadowRows = cfg.Store
}

// follow shows a frame to the shadow that is durable and about to be published.
func (w *World) follow(f *shard.Frame) {
	if !f.Empty() {
		w.shadowApply(f.Seq, f.Place, f.Facts)
	}
}

func (w *World) shadowApply(seq, place uint64, facts []byte) {
	if err := w.shadow.Published().Apply(seq, place, facts, nil); err != nil {
		w.failf("the shadow refuses frame %d: %v", seq, err)
	}
}

// catchUp gives the shadow frames that nobody was answered and that recovery found. None of them can have left the journal.
func (w *World) catchUp() {
	have, want := w.shadow.Published().Seq(), w.node.Published().Seq()
	if have == want {
		return
	}
	stop := errors.New("enough")
	err := w.journal.Scan(0, journal.Seq(have), func(e journal.Entry) error {
		if uint64(e.Seq) > want {
			return stop
		}
		w.shadowApply(uint64(e.Seq), uint64(e.Place), e.Facts)
		return nil
	})
	if err != nil && !errors.Is(err, stop) {
		w.failf("frames after %d: %v", have, err)
	}
	if got := w.shadow.Published().Seq(); got != want {
		w.failf("the shadow stands at frame %d, published is %d", got, want)
	}
}

// checkShadow: rows are the same, and a run is in a row or in a file, as it was appended.
func (w *World) checkShadow() {
	real, realRuns := splitRuns(rows(w.store, true))
	want, runs := splitRuns(rows(w.shadowRows, true))
	if d := differ(real, want); d != "" {
		w.failf("state is not the fold of the frames: %s", d)
		return
	}
	pub := w.node.Published()
	known := map[string][]byte{}
	for _, r := range runs {
		known[string(r.key)] = r.value
		id, n := stream.RunOf(r.key)
		src, ok := pub.Source(id, n)
		if !ok {
			w.failf("the shadow has a run of stream %d, which is gone", id)
			return
		}
		run, err := stream.ReadRun(r.key, r.raw)
		if err != nil {
			panic(err)
		}
		if start, _ := src.Part.Ends(); run.Next > start {
			w.checkRunAt(src, run, start)
		}
	}
	for _, r := range realRuns {
		if v, ok := known[string(r.key)]; !ok || !bytes.Equal(v, r.value) {
			w.failf("row %x is %s, should be %s", r.key, r.value, v)
		}
	}
}

// checkRunAt finds the run that the shadow has, by its first offset that is there and by its last.
func (w *World) checkRunAt(src shard.Source, want stream.Run, start record.Offset) {
	want.Place, want.Off = 0, 0
	for _, o := range []record.Offset{max(want.Base, start), want.Next - 1} {
		got, ok, err := w.node.Published().RunAt(src, o)
		got.Place, got.Off = 0, 0
		if err == nil && w.lossy(src.Stream) {
			// What is left of it is a part, or several.
			if ok && got.Base >= want.Base && got.Next <= want.Next && got.Batch >= want.Batch {
				got.Base, got.Next, got.Batch, got.Bytes, got.MaxTimeMS = want.Base, want.Next, want.Batch, want.Bytes, want.MaxTimeMS
			}
			if !ok {
				continue // readAll knows whether it may be gone
			}
		}
		if err != nil || !ok || got != want {
			w.failf("offset %d of %d/%d is in %+v, %t, %v; expected %+v", o, src.Stream, src.Partition, got, ok, err, want)
			return
		}
	}
}

func splitRuns(all []row) (others, runs []row) {
	for _, r := range all {
		if r.key[0] == state.PrefixRun {
			runs = append(runs, r)
		} else {
			others = append(others, r)
		}
	}
	return others, runs
}
