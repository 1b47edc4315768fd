// Package keys answers where the records of a key are: one entry for every keyed record, in memory while new, in sorted files afterwards.
//
// # What
//
// Index is a folder with one manifest. Add puts an entry into a chunk: a block of memory in which nothing is sorted and no table is kept, until
// somebody asks. A full chunk is sorted by (stream, key, position) and written to a file; FanIn files of a tier are merged into one of the next.
// Readers merge chunks and files: History of a key both ways and from any position, Last, At, Scan and LastIn over a range of keys.
// Import builds the index of a stream that lives already; DropStream and Keep say what merges leave out.
//
// # Promises
//
// What is in memory is lost in a crash: after Open, everything behind Durable is added again, in the same order, from the journal. What is
// durable is found whole after a crash at any moment. An Iter gives what was there when it was made, whatever is added, merged or dropped
// meanwhile; a file is removed when the last reader has left it. Nobody sees an entry before the Through of its frame.
//
// Damaged bytes are never served: every block, filter line, header and manifest has a sum over its bytes and its place. *CorruptError names
// file and block; other blocks stay readable.
//
// Memory is bounded: ChunkBytes for each of ChunksMax+1 chunks (a quarter more while they are looked into, once more where one frame is larger
// than a chunk), CacheBytes of blocks and of what is known of keys, and the directories of the files, some 40 bytes for each megabyte of them. Add waits
// when ChunksMax chunks wait for the disk.
//
// # Imports
//
// vfs, internal/assert, internal/clock; xxhash for filters.
//
// # Where to start
//
// index.go (Index, view, commit), then add.go and chunk.go for the way in, flush.go and merge.go for the way down, iter.go and last.go for the way
// out; past.go is what is remembered of keys that are asked for again. format.go, block.go, section.go and manifest.go draw the bytes, as does docs/formats/keys.md.
//
// # How tested
//
// model_test.go runs random work with crashes and reopenings against a plain map; crash_test.go fails and cuts at every call; damage_test.go
// flips bits; race_test.go reads beside an adder; fuzz_test.go has a target for every decoder; format_test.go opens the golden folder of every
// version; bench_test.go measures.
package keys
