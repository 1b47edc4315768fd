// Package dir is an archive's bucket in a folder: a mounted share, a second disk.
//
// # What
//
// An object is a file of its name. It is written under tmp/, synced, and renamed; its folder is synced then.
//
// # Promises
//
// Those of archive.Bucket. Nothing is overwritten: names are checked and taken under the lock of the folder, which the first Put or Delete takes and
// Close gives back, so one process writes at a time. Readers need no lock.
//
// # Imports
//
// archive, vfs.
//
// # Where to start
//
// dir.go.
//
// # How tested
//
// archivetest on the memory disk and a real one; crash clones after every call.
package dir
