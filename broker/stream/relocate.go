package stream

import (
	"errors"

	"leat/broker/fact"
	"leat/storage/state"
)

// Relocate rewrites the rows of a frame that the journal has moved to another place: recovery writes the last frame again when its sync
// is not on record. Everything else about the frame is as it was.
func Relocate(st state.Store, rows state.Batch, facts []byte, place uint64) error {
	_, body, err := fact.ReadHead(facts)
	if err != nil {
		return err
	}
	return fact.Each(body, func(x fact.Fact) error {
		if x.Kind != fact.Appended {
			return nil
		}
		a, err := ReadAppended(x.Body)
		if err != nil {
			return err
		}
		key := RunKey(a.Stream, a.Partition, a.Base)
		v, err := st.Get(key)
		if errors.Is(err, state.ErrNotFound) {
			return nil // within a run that starts before, or of a deleted stream
		}
		if err != nil {
			return err
		}
		run, err := ReadRun(key, v)
		if err != nil {
			return err
		}
		run.Place = place
		rows.Set(key, run.append(nil))
		return nil
	})
}
