// Package pebble is the state store of a node: Pebble without a log of its own.
//
// # What
//
// Store puts the rows of one frame and the frame's mark into one Pebble batch. Batches gather in memtables and reach the disk when a
// memtable is full or Flush is called; the journal is the only log.
//
// # Promises
//
// All of state.Store. Durable is read from the tables on disk themselves (durable.go walks the race), so it can be behind the
// truth and never ahead of it. A node that does nothing costs a few MiB; Config bounds cache, memtables, open files and
// compactions. The files have a fixed format number: a newer one is written only when that constant changes, which comes with a
// new golden directory.
//
// A failed write of a table is retried by Pebble for ever, slowly (trouble.go): Flush returns the error, Apply goes on until
// MemTablesMax are full and then waits. A failed write of Pebble's manifest cannot be retried: the store is then broken, says so, and
// must be closed and opened again.
//
// # Imports
//
// storage/state, cockroachdb/pebble. It reaches the disk through Pebble's own file system interface, which is what its
// tests crash.
//
// # Where to start
//
// Open in pebble.go, then durable.go.
//
// # How tested
//
// statetest on Pebble's crashable memory disk; durable_test.go for marks beside flushes; fail_test.go for a disk that
// refuses; format_test.go for the golden directories.
package pebble
