// Package osfs is the machine's file system behind vfs.FS.
//
// # What
//
// New returns the FS. WriteV is pwritev on Linux and a loop of pwrite elsewhere; Sync is fdatasync on Linux and F_FULLFSYNC on
// Darwin, where fsync alone leaves bytes in the drive's cache; Lock is flock.
//
// # Promises
//
// Those of vfs.FS. Nothing here retries a failed sync.
//
// # Imports
//
// vfs, golang.org/x/sys/unix.
//
// # Where to start
//
// fs.go; the calls that differ by system are in sys_linux.go and sys_darwin.go.
//
// # How tested
//
// vfstest on a temporary folder.
package osfs
