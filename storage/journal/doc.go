// Package journal is the contract of the log engines.
//
// # What
//
// A Journal appends frames atomically and in order, durable on return, and gives them back: by a scan of their facts, and by a read of
// their data at a place. disk is the engine of a single node, memory the one of tests and dev mode.
//
// # Promises
//
// They stand at the methods of Journal. Each has a test in journaltest that every engine passes.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// journal.go.
//
// # How tested
//
// journaltest.
package journal
