package sim

import (
	"math/rand/v2"
	"strings"
	"syscall"

	"leat/storage/vfs/faulty"
	"leat/storage/vfs/memory"
)

// The plan of what goes wrong.
//
// Power. At any moment between two steps, and before or after any single call to the file system, the machine stops. Of what was written and not
// synced the disk has nothing, all, or any mixture: each 512-byte sector in any version it had since the last sync, in any order (torn and
// reordered writes), sizes likewise, names of a folder as a prefix of their changes. State rows that were not flushed are gone.
// Claimed: whatever was answered with success is there, unaltered; what was in flight is there whole or not at all; what a reader has seen
// stays.
//
// Sync errors. A sync fails, and as on Linux the pages stay readable and count as clean: they never reach the disk by a later sync. Claimed:
// nothing of it is answered with success before it has been written anew; the shard recovers by itself once the disk works again.
//
// EIO and ENOSPC. Any call to the file system fails, once or for a while; a write may have put down a part first. Claimed: as for a
// sync error; a refusal that says "nothing was written" is true.
//
// Segment files that cannot be opened. Claimed: the shard opens; what they hold is refused as corrupt until the next open, the rest is served, and
// nothing that the keeper does meanwhile is wrong when they are back.
//
// Readers. They are overtaken in the middle of a read by windows, merges, truncations and deletions, and hold walks of keys and cursors of
// files open over many steps. Claimed: a reader gets the record or is told that it was trimmed, and where the partition begins; never a hole.
//
// Compaction and changes of key modes. Streams let go of superseded records and of tombstones, with a lag and a retention that change, some keys
// stand in several partitions; modes change at any time, what that needs is built while everything else goes on, and is interrupted by any of the above. Claimed: of each key the newest
// record is there, never an older one without it; a tombstone goes after its time, and after all that is older; offsets and positions stay; what has gone does not come back;
// what the index says of a key is what its records say; a version that was answered never changes.
//
// Bit flips. A read gives back a changed bit. Claimed for reads of events: it is refused as corrupt, never served. Not claimed while a
// journal is being opened: there a flip in what follows the last seal cannot be told from a torn write (docs/formats/journal.md names the place).
//
// Clocks. The time of day jumps forwards and backwards by minutes. Claimed: append times never run backwards; the dedup window counts
// from the append time of the first to the time of day of the next or the latest append time, so a jump forward shortens it. Jumps here stay below the day after which idle producers are forgotten.
//
// Clients and wires. Requests wait long enough to be judged on rows that have changed since. Answers arrive late, in another order, or never;
// the client then asks again while its first request may still be under way. Claimed: an idempotent producer leaves no duplicates and no
// gaps; an expected version is used once; the same (source, id) gets the first ref.
//
// Not modelled here: two owners of one journal (journaltest does), a disk that lies about a sync, damage of what is stored
// (journal/disk's damage tests).

// dice are the odds of one run, drawn from its seed: some runs are calm, some are all fault.
type dice struct {
	crash     int // one in so many steps; 0: never
	callFault int // likewise: the n-th call from now on fails
	jump      int
	loseReply int // one in so many answers
	flip      int // one in so many cold reads
	ring      bool
	small     bool // small frames, so that they are many and overlays short
	hot       int64
	window    int64 // moved to segment files at a time; 0: never

	compact  bool // streams let go of superseded records, and change their key modes
	versions int  // of keys that are remembered
}

func drawDice(rng *rand.Rand) dice {
	oneOf := func(ns ...int) int { return ns[rng.IntN(len(ns))] }
	return dice{
		crash: oneOf(0, 60, 150, 400), callFault: oneOf(0, 0, 40, 120), jump: oneOf(0, 0, 50, 200), loseReply: oneOf(0, 3, 10), flip: oneOf(0, 2, 5),
		ring: rng.IntN(3) == 0, small: rng.IntN(2) == 0, hot: int64(oneOf(0, 4<<10, 1<<20)),
		window: int64(oneOf(0, 256, 1<<10, 1<<10, 4<<10)),
	}
}

// power is what a rule panics with when the machine stops in the middle of a call.
type power struct{ call faulty.Call }

// arm makes one of the coming calls fail, or stops the machine at it.
func (w *World) arm() {
	n := w.fs.Calls() + 1 + w.rng.IntN(12)
	kind := w.rng.IntN(6)
	lasts := 1
	if w.rng.IntN(4) == 0 {
		lasts = 1 + w.rng.IntN(30)
	}
	written := int64(w.rng.IntN(3) * w.rng.IntN(3000))
	w.tracef("arm kind=%d call=+%d lasts=%d written=%d", kind, n-w.fs.Calls(), lasts, written)
	w.fs.SetRule(func(c faulty.Call) faulty.Fault {
		if c.Number < n || c.Number >= n+lasts {
			return faulty.Fault{}
		}
		switch kind {
		case 0: // the next sync fails, whichever call it is
			if c.Op != faulty.Sync {
				n++
				return faulty.Fault{}
			}
			return faulty.Fault{Err: syscall.EIO}
		case 1:
			return faulty.Fault{Err: syscall.EIO, Written: written}
		case 2:
			return faulty.Fault{Err: syscall.ENOSPC}
		case 3:
			return faulty.Fault{Err: syscall.ENOSPC, Written: written}
		default:
			if c.Op == faulty.WriteAt && written > 0 {
				// A part of the write is in the page cache when the power goes.
				return faulty.Fault{Err: errPower, Written: written}
			}
			panic(power{c})
		}
	})
}

// armFile makes some segment files impossible to open, with the directories beside them.
func (w *World) armFile() {
	which := byte(w.rng.IntN(3))
	w.tracef("arm segment files %d", which)
	w.fs.SetRule(func(c faulty.Call) faulty.Fault {
		if number, ok := strings.CutPrefix(c.Name, "/segments/segment-"); ok && c.Op == faulty.Open && number[15]%3 == which {
			return faulty.Fault{Err: syscall.EIO}
		}
		return faulty.Fault{}
	})
}

// crashMode is how much of the page cache survives.
func (w *World) crashMode() memory.Mode {
	return []memory.Mode{memory.KeepNone, memory.KeepAll, memory.KeepSome, memory.KeepSome}[w.rng.IntN(4)]
}
