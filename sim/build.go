package sim

import (
	"errors"

	"leat/broker/record"
	"leat/broker/stream"
)

// Key modes that are built in the background, while everything else goes on.

var (
	errLife = errors.New("sim: the head is another one")
	errSlow = errors.New("sim: the frame is not published")
)

const buildSteps = 300 // of everybody else, while one command waits for its frame

// build lets the shard build what the next change of a key mode needs. Everybody else goes on between its steps.
func (w *World) build() {
	if w.builds || !w.building() {
		return
	}
	w.builds = true
	defer func() { w.builds = false }()
	lives, faults := w.lives, w.faults
	wait := func(seq uint64) error {
		for range buildSteps {
			if w.lives != lives || w.err != nil {
				return errLife
			}
			if w.node.Published().Seq() >= seq {
				return nil
			}
			w.beside()
		}
		return errSlow
	}
	pace := func() error {
		if w.rng.IntN(3) > 0 {
			w.beside()
		}
		if w.lives != lives || w.err != nil {
			return errLife
		}
		return nil
	}
	was := w.node.Published().Seq()
	w.tracef("a building begins at %d", was)
	err := w.node.Build(func() int64 { return w.clock.Now().UnixMilli() }, wait, pace)
	w.tracef("a building ends: %v", err)
	switch {
	case err == nil:
		w.kept.built++
	case w.faults == faults && !errors.Is(err, errLife) && !errors.Is(err, errSlow) && !isConflict(err):
		w.failf("a building fails, and nothing did: %v", err)
	}
}

// beside is one step of somebody else while a building goes on.
func (w *World) beside() {
	switch n := w.rng.IntN(16); {
	case n < 3:
		w.clients[w.rng.IntN(len(w.clients))].act()
	case n < 6:
		w.decide()
	case n < 8:
		w.take()
	case n < 10:
		w.write()
	case n < 12:
		w.publish()
	case n < 13:
		w.answer()
	case n < 15:
		w.keep()
	default:
		w.flush()
	}
}

// building says whether a change of a key mode is not done with.
func (w *World) building() bool {
	for id := uint32(1); w.names[id] != nil; id++ {
		if st, ok := w.node.Published().Stream(record.StreamID(id)); ok && st.Building {
			return true
		}
	}
	return false
}

// changed looks at what a stream keeps now.
func (w *World) changed(s *simStream, keys stream.KeyMode) {
	if s.keys != 0 && s.keys != keys {
		w.kept.modes++
		w.tracef("stream %d keeps %s, %s before", s.id, keys, s.keys)
		if keys == stream.KeysVersioned {
			s.converted, s.since = true, w.node.Published().Seq()
		}
	}
	if s.keys != stream.KeysVersioned || keys == stream.KeysVersioned {
		return
	}
	// It stops numbering: should it begin again, it counts again.
	for k := range w.versions {
		if k.stream == s.id {
			delete(w.versions, k)
		}
	}
	for k := range w.bases {
		if k.stream == s.id {
			delete(w.bases, k)
		}
	}
}
