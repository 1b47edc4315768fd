// Package s3 is an archive's bucket in an S3-compatible store.
//
// # What
//
// An object is an object of its name below a prefix, written with one PUT.
//
// # Promises
//
// Those of archive.Bucket. A name is taken with If-None-Match, so of two writers one is refused; a store that does not know the condition is found
// out by Open, and then names are looked up before they are written, which does not stop two writers at once.
//
// # Imports
//
// archive; minio-go.
//
// # Where to start
//
// s3.go.
//
// # How tested
//
// archivetest against a moto server where one is installed, or any store named in LEAT_S3_TEST; without either that is skipped and says so.
package s3
