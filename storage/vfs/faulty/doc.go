// Package faulty lets the calls of another file system fail on purpose.
//
// # What
//
// New wraps any vfs.FS. Each call is numbered and counted by kind; a rule sees it before it is made and says what goes wrong: an error, a
// short write, a flipped bit in what is read. A watcher sees it after it returned, which is where a test takes a crash clone or asserts
// that nothing was answered before its sync.
//
// # Promises
//
// Without a rule it changes nothing. A Sync that is made to fail on the memory disk loses its pages, as on Linux.
//
// # Imports
//
// vfs.
//
// # Where to start
//
// Rule, and NthCall.
//
// # How tested
//
// vfstest, and faulty_test.go for each fault.
package faulty
