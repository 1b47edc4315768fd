package shard

import (
	"sync/atomic"

	"leat/broker/stream"
)

// Lane keeps commands in order that one maker hands in one behind the other without waiting for answers, also where one of them is found stale and
// has to be resolved again. Its commands have turns, which never go back. When one is found stale, so are all of its turn that are decided after it, whatever they
// were resolved against; who hands them in again, in their order, does so with a later turn.
//
//	handed in        A₀ B₀ C₀                              A₁ B₁ C₁ D₁
//	decided          A₀ stale, so B₀ and C₀ are as well    A₁ B₁ C₁ D₁
//
// Without it B would be appended where it stands, and A behind it.
type Lane struct{ turn atomic.Uint64 } // commands of earlier ones are stale; shards write it while they decide

// passed says that the command's turn is over: one before it was stale.
func (a *Append) passed() bool { return a.Lane != nil && a.Turn < a.Lane.turn.Load() }

// pass ends the turn of a command that is stale.
func (a *Append) pass() {
	if a.Lane != nil && a.Stale != stream.Fresh && a.Turn >= a.Lane.turn.Load() {
		a.Lane.turn.Store(a.Turn + 1)
	}
}
