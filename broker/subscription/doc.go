// Package subscription is the machine of standing interests: it decides who gets which record, and remembers what became of each.
//
// # What
//
// A State is a fold of facts: for every subscription and partition a floor below which everything is done, bitmaps of what is exceptional
// above it, and how many records have arrived by which route. A Head is a State with what is never written: members, leases, timers, and a
// window of the records that come next. It says what it wants to be shown (Wants), is shown it (Feed, or Arrive with the records), and
// hands over (Out.Deliveries). Folder applies the facts of a durable frame to a State and writes rows.
//
//	append ─▶ Admit, Arrive ─▶ frame durable ─▶ Published ─▶ Wants ─▶ (caller looks) ─▶ Feed ─▶ Deliveries ─▶ Settle ─▶ Flush ─▶ frame
//
// Which records match is the caller's to say: subscriptions that look for the same share a Class, a Route names the exact set of classes a
// record reaches; content is looked at on delivery, and what does not match is settled as Skipped.
//
// # Promises
//
// Steppable: no goroutine, no clock, no chance, no I/O; time and a seed for jitter come in with OpenFrame and Tick. Evolving is done by the
// same functions for head and published state. A record that was settled in a durable frame is never handed over again. A record
// has one holder. Attempts from the second on are facts of the frame they are made in, so a poison record does not get them back. Order by
// key and total order hold under retries, crashes and several partitions; without order, what routes bring from several partitions and has waited
// is handed over as it arrived (merge.go). Nothing is handed over before its frame is published.
// Memory is bounded by TrackedMax entries of about 140 bytes, and by State; a subscription that nobody attends to costs about 1 KiB in head
// and published state together, and nothing for each record.
//
// # Imports
//
// broker/record, broker/fault, broker/fact; storage/state for the shape of rows. Never another machine.
//
// # Where to start
//
// state.go and chunk.go (what is remembered), head.go, put.go and route.go, reached.go and lookup.go (which records took which route), feed.go
// (records in), turn.go and dispatch.go (records out), ack.go, flush.go
// (what becomes facts), fold.go. docs/decisions/0014 says why.
//
// # How tested
//
// Scripts in testdata/scripts tell what a subscription does. model_test.go compares random worlds, with crashes and lost frames, with a
// naive model, and head, folded state and rows with one another after each frame; reached_test.go the index of routes with what was
// routed. bench_test.go has the sizes that were promised.
package subscription
