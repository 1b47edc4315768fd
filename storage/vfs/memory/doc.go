// Package memory is a file system in memory that can lose power.
//
// # What
//
// New returns an FS that keeps, beside what a reader sees (the page cache), what a disk would hold. CrashClone returns the file system that
// the machine would find after the power came back: everything synced, and as much of the rest as the Mode says, torn at 512-byte
// sectors and in any order. A Sync that is made to fail (FailSync) leaves pages readable and marks them clean, as Linux does: no later Sync
// writes them, and the crash clone lacks them.
//
// # Promises
//
// The same operations and the same seed give the same clone, byte for byte.
// Two simplifications: folders themselves (MkdirAll) are durable at once, and unsynced changes of one folder's names survive as a
// prefix in their order, as journaling file systems keep them.
//
// # Imports
//
// vfs.
//
// # Where to start
//
// crash.go.
//
// # How tested
//
// vfstest, and crash_test.go for what a clone may and must hold.
package memory
