// Package vfs is the only way to the disk.
//
// # What
//
// FS and File are the few calls that storage needs, with what each promises about durability. The folder os (package osfs) is the
// machine's file system, memory is one that can lose power, faulty wraps either and lets calls fail on purpose.
//
// # Promises
//
// All three behave the same where no fault is asked for. What is not synced may be lost, in part and out of order; what is synced stays.
//
// # Imports
//
// Only the standard library; osfs also golang.org/x/sys/unix.
//
// # Where to start
//
// vfs.go, then memory/crash.go for what a crash may leave.
//
// # How tested
//
// vfstest is the suite that every implementation passes.
package vfs
