package pebble

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat/storage/state"
	"leat/storage/state/statetest"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// small is a Config whose memtables fill quickly.
func small() Config {
	cfg := Default()
	cfg.MemTableBytes = 256 * kib
	cfg.CacheBytes = mib
	cfg.Log = quiet()
	return cfg
}

// disk is Pebble's memory file system, which forgets what was not synced; some of it, chosen by chance, is left.
type disk struct {
	t    *testing.T
	fs   *vfs.MemFS
	rng  *rand.Rand
	last *Store
}

func newDisk(t *testing.T) statetest.Disk {
	return &disk{t: t, fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(1, 2))}
}

func (d *disk) Open() (state.Store, error) {
	st, err := OpenFS(d.fs, "state", small())
	d.last = st
	return st, err
}

func (d *disk) Crash() {
	d.fs = d.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.rng.IntN(101), RNG: d.rng})
	if err := d.last.Close(); err != nil {
		d.t.Error(err)
	}
}

func TestStore_OnADiskThatCrashes(t *testing.T) { statetest.Run(t, newDisk) }

// dir is the machine's disk, where Crash is only a close without a flush.
type dir struct {
	t    *testing.T
	name string
	last *Store
}

func (d *dir) Open() (state.Store, error) {
	st, err := Open(d.name, small())
	d.last = st
	return st, err
}

func (d *dir) Crash() {
	if err := d.last.Close(); err != nil {
		d.t.Error(err)
	}
}

func TestStore_OnTheMachinesDisk(t *testing.T) {
	statetest.Run(t, func(t *testing.T) statetest.Disk { return &dir{t: t, name: t.TempDir()} })
}
