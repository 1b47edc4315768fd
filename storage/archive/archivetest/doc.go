// Package archivetest is the suite that every archive.Bucket passes.
//
// # What
//
// Run checks a bucket on fresh, empty places.
//
// # Promises
//
// What it asks for holds on every kind of bucket, so an archive tested in a folder meets no surprise on a store.
//
// # Imports
//
// archive, testing.
//
// # Where to start
//
// Run.
//
// # How tested
//
// By the buckets that pass it.
package archivetest
