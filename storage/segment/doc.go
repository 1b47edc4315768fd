// Package segment keeps batches for good: in immutable files, sorted by (stream, partition, offset), shared by many partitions.
//
// # What
//
// A Build writes files from runs of batches that come in that order; Commit makes them part of the Store by replacing its manifest; a Cursor
// reads one partition across all files. What a run's bytes mean is not known here. Merging, retention and compaction are builds that
// copy what is to stay, and one Commit that adds and removes.
//
// # Promises
//
// A Commit is durable and whole, or did not happen, whatever fails and whenever the power goes. A cursor sees the files as they were when it was
// opened. Bytes are returned only under the sum they were written with; anything else is a CorruptError that names file, block and
// offsets, and leaves all other offsets readable. ReadPart returns bytes that nobody has checked, to callers who know
// the sum of a part, and a Span sends bytes that were checked, or written, since the store was opened. Verify finds every altered, removed or swapped byte. Memory: about 60 bytes a piece (a
// partition in a file), the cache, and the open builds.
//
// # Imports
//
// vfs.
//
// # Where to start
//
// format.go and index.go draw the bytes (docs/formats/segment.md all of them); writer.go is the life of a run, commit.go that of a file, cursor.go
// and read.go the way back.
//
// # How tested
//
// A model over random builds, merges and look-ups; crash clones after every call; faults on every n-th call; flipped bits in every file; readers
// during commits; golden folders of every format version; a fuzz target for each decoder.
package segment
