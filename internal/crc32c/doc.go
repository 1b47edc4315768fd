// Package crc32c joins checksums.
//
// # What
//
// What is known of two pieces gives the checksum of both, without a look at their bytes. A batch of records comes with a checksum that is compared before the
// batch is taken, and a frame of the journal has one over all its batches: the second follows from the first, so that a megabyte is gone through once.
//
// # Promises
//
// Join gives what hash/crc32 gives of the joined bytes, for every length that an int64 has.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// Join.
//
// # How tested
//
// Against the vectors of RFC 3720, against the checksums of random bytes that were joined at random places, and for lengths beyond memory by joining zeros to
// zeros.
package crc32c
