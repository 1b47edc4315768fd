package memory

import (
	"testing"

	"leat/storage/state"
	"leat/storage/state/statetest"
)

// disk remembers the last store that was open on it.
type disk struct{ last *Store }

func (d *disk) Open() (state.Store, error) {
	d.last = d.last.Crash()
	return d.last, nil
}

func (d *disk) Crash() { d.last = d.last.Crash() }

func TestStore(t *testing.T) {
	statetest.Run(t, func(*testing.T) statetest.Disk { return &disk{last: New()} })
}
