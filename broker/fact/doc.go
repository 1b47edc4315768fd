// Package fact is the envelope of what the journal holds: the list of kinds and how one fact follows the other in a frame.
//
// # What
//
// A fact says that something has happened; it is never a request. The facts region of a frame is a head and then facts, one after the
// other:
//
//	head   version u8 = 1 | shard u16 | lineage u32 | time i64          big endian, 15 bytes; time in ms, for all facts of the frame
//	fact   kind uvarint | version uvarint | length uvarint | body       repeated to the end
//
// What a body holds is known only to the machine that decides it (broker/stream, broker/catalog, broker/subscription).
//
// # Promises
//
// A kind number, once used, keeps its meaning for ever. A decoder that meets a kind or version it does not know stops and says which
// version of Leat is needed; it never skips one.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// Kind, Writer, Each.
//
// # How tested
//
// fact_test.go: round trips and a fuzz target.
package fact
