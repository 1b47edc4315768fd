// Package memory is a journal that lives in memory, for tests, simulation and dev mode.
//
// # What
//
// A Store is what a disk would be: it outlives its Journals. Open takes it over under a new epoch and fences the owner before. A hook sees
// each frame before it is appended and decides what becomes of it, so that a simulation can step, refuse, lose or half-answer appends.
//
// # Promises
//
// Those of journal.Journal, but durability: it ends with the process.
//
// # Imports
//
// journal.
//
// # Where to start
//
// Store.Open.
//
// # How tested
//
// journaltest, and memory_test.go for the hook.
package memory
