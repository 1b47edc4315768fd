package shard_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"leat/broker/shard"
	"leat/broker/stream"
	"leat/storage/journal"
	"leat/storage/keys"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// stuckRows cannot be made durable for a while.
type stuckRows struct {
	state.Store
	stuck *bool
}

func (s stuckRows) Flush() error {
	if *s.stuck {
		return errors.New("the rows are stuck")
	}
	return s.Store.Flush()
}

// Windows go to segment files, and what else needs the journal lags behind: rows or key files cannot be written. The journal keeps what that one lacks, and for no other
// reason: after a crash all is there, and once it has caught up the journal lets go.
func TestHolders_WhoLagsKeepsTheJournal(t *testing.T) {
	for _, lags := range []string{"state", "keys"} {
		t.Run(lags, func(t *testing.T) {
			fs, rows := memory.New(), statemem.New()
			var log journal.Journal
			var index *keys.Index
			stuck := false
			failing := faulty.New(fs)
			n, err := open(fs, rows, func(c *shard.Config) {
				openJournal := c.OpenJournal
				c.OpenJournal = func() (j journal.Journal, err error) {
					log, err = openJournal()
					return log, err
				}
				c.OpenKeys = func(opt keys.Options) (x *keys.Index, err error) {
					opt.Log, opt.Foreground = quiet, true
					index, err = keys.Open(failing, "/keys", keys.Default(), opt) // its memory is never full here
					return index, err
				}
				if lags == "state" {
					c.Store = stuckRows{rows, &stuck}
				}
			})
			must(t, err)
			failing.SetRule(func(c faulty.Call) faulty.Fault {
				if stuck && lags == "keys" && strings.HasPrefix(c.Name, "/keys/") {
					return faulty.Fault{Err: syscall.EIO}
				}
				return faulty.Fault{}
			})
			l := &life{t: t, rng: rand.New(rand.NewPCG(7, 1)), n: n, m: newModel()}
			for _, mode := range []stream.KeyMode{stream.KeysLatest, stream.KeysHistory, stream.KeysVersioned} {
				l.create(mode)
			}
			must(t, rows.Flush()) // before the first window it has to be durable, or there is none
			stuck = true
			refused := 0
			for i := range 400 {
				l.append()
				if lags == "state" && i%20 == 19 {
					must(t, index.Flush())
				}
				for range 3 {
					if _, err := n.Keep(); err != nil {
						refused++
					}
				}
			}
			held, hs := log.Held(), n.Holders()
			if held < 3*journalFileBytes || refused == 0 {
				t.Fatalf("the journal holds %d bytes only, %d refused: %+v", held, refused, hs)
			}
			at := slices.IndexFunc(hs, func(h shard.Holder) bool { return h.Name == lags })
			if at < 0 || slices.ContainsFunc(hs, func(h shard.Holder) bool { return h.Name != lags && h.Seq <= hs[at].Seq }) {
				t.Fatalf("it is not %s that holds the journal: %+v", lags, hs)
			}
			after, err := open(fs.CrashClone(l.rng, memory.KeepNone), rows.Crash(), nil)
			must(t, err)
			must(t, l.m.check(after))
			stuck = false
			for range 40 {
				l.append()
			}
			must(t, n.keepAll())
			if left := log.Held(); left > held/2 {
				t.Errorf("%s has caught up, and the journal holds %d bytes of %d", lags, left, held)
			}
		})
	}
}
