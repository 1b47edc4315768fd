// Package stream is the machine of durable logs: it judges appends, gives offsets, and says what facts have made of every stream.
//
// # What
//
// State is a fold of facts: which streams exist, where their partitions end, what idempotent producers have sent. A Head is a State that
// also knows what is not durable yet, and decides: Append checks a resolved command (sequence of a producer, expected versions, identity)
// against it and records the outcome as facts in the open frame. Folder applies the facts of a durable frame to a State and writes the
// rows that readers use.
//
// # Promises
//
// Steppable: no goroutine, no clock, no chance, no I/O. Deciding never inflates and never looks at a record. Evolving is done by the
// same functions for head and published state, so folding the journal gives byte for byte what deciding left behind.
//
// # Imports
//
// broker/record, broker/fault, broker/fact; storage/state for the shape of rows. Never another machine.
//
// # Where to start
//
// state.go, then append.go and trim.go (decide), facts.go (record), fold.go (evolve).
//
// # How tested
//
// Scripts in testdata/scripts, the simulation in sim/, and broker's own tests.
package stream
