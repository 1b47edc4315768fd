package shard

import (
	"fmt"
	"time"

	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/segment"
)

// What a MissingError is about.
const (
	MissingState = "state"
	MissingKeys  = "keys"
)

// MissingError says that frames are needed which the journal has let go of. It does so only when state and keys hold them durably: so what did was
// deleted since, or an older copy was put in its place.
type MissingError struct {
	What      string // MissingState or MissingKeys
	Holds, At uint64 // it holds frames up to Holds; the journal begins at At
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s holds frames up to %d, and the journal begins at frame %d: what is between is not there any more", e.What, e.Holds, e.At)
}

// replaySays is how often a long replay tells how far it is.
const replaySays = 5 * time.Second

// replay is one way through the journal at recovery.
type replay struct {
	s      *Shard
	after  uint64 // rows hold frames up to here
	last   uint64 // of the journal
	begun  bool
	frames int
	said   time.Time
}

// reached is called for every frame, in order. The first one shows whether the journal still begins where it must.
func (r *replay) reached(e journal.Entry) error {
	if !r.begun {
		r.begun = true
		if err := r.s.published.reaches(r.after, uint64(e.Seq)); err != nil {
			return err
		}
	}
	r.frames++
	if r.frames%1024 == 0 {
		if now := r.s.cfg.Clock.Now(); now.Sub(r.said) >= replaySays {
			r.said = now
			r.s.cfg.Log.Info("replaying the journal", "shard", r.s.cfg.ID, "frame", uint64(e.Seq), "of", r.last)
		}
	}
	return nil
}

// reaches says what is missing when the journal's first frame behind what is held, or the last that is held, is at.
//
// The frame that rows end with is never let go of. Of frames behind the end of key files it is not said that there are any with events at all: numbers of
// frames have gaps. Segment files tell.
func (p *Published) reaches(after, at uint64) error {
	through := p.segments.Through()
	switch {
	case after > 0 && at > after, after == 0 && at > 1 && through > 0:
		return &MissingError{MissingState, after, at}
	case p.keyed+1 < at && p.keyed < through && p.keyedBetween(p.keyed, at):
		return &MissingError{MissingKeys, p.keyed, at}
	}
	return nil
}

// keyedBetween says whether segment files have events, of streams that keep keys, of frames behind from and before to.
func (p *Published) keyedBetween(from, to uint64) bool {
	for id, st := range p.folder.Streams {
		if st.Keys == stream.KeysOff {
			continue
		}
		for n := range st.Partitions {
			if p.runBetween(uint32(id), uint32(n), from, to) {
				return true
			}
		}
	}
	return false
}

func (p *Published) runBetween(id, partition uint32, from, to uint64) bool {
	c := p.segments.Cursor(id, partition)
	defer c.Close()
	// What cannot be read says nothing; whoever reads it is told.
	return c.Search(func(r *segment.Run) bool { return r.Seq > from }) && c.Run().Seq < to
}
