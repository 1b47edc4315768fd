// Package shard is the engine: journal, state and the loop that decides.
//
// # What
//
// Core is the steppable part: a request is decided against head state, what was decided joins the open frame as facts. Published is the
// other side: what durable frames have made, which everybody reads. Shard is the thin shell that moves frames between the two:
//
//	callers ──inbox──▶ decide ──frame──▶ write + sync ──frame──▶ publish ──▶ replies, readers
//	                   (Core)            (journal)               (Published)
//
// Three goroutines, one for each arrow. While one frame is written, the next fills; so the sync time sets the size of a group by itself.
//
// Subscriptions have a head beside that of streams. What follows from what is decided for them goes out with the frame that a crash must
// not undo it without, else at once; what they want to be shown is read beside the loop, and comes back to it like a request:
//
//	decide ──wants──▶ feeder ──Look──▶ published records ──Feed──▶ decide ──deliveries──▶ members
//
// # Promises
//
// A reply is released only after the frame it depends on is durable and published. Nothing of a frame is visible before. When a write or
// sync fails, head is dropped and rebuilt from published state and the journal, what was in the frame is answered Unknown, what was
// decided after it Unavailable, and the shard goes on.
//
// # Imports
//
// The machines broker/stream, broker/subscription and broker/catalog, broker/record, broker/fault, broker/fact; storage/journal, storage/state.
//
// # Where to start
//
// core.go, then shard.go, published.go, read.go; attend.go, subscribing.go and feeding.go for subscriptions; keys.go and marks.go for records that are read one by one.
//
// # How tested
//
// Through broker, with one and three shards; and step by step, with faults, by sim/ (Stepper). crash_test.go crashes after every sync, rename and
// removal while events leave the journal, are merged, truncated and deleted (with -short after one in eight).
package shard
