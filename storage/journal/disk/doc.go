// Package disk is the journal in a folder of a local disk.
//
// # What
//
// A ring of files that are filled with zeros once, in the background, and used again after Trim: writing into written blocks syncs two to four
// times faster than first touch. A frame costs one write and one sync; one frame is in flight at a time.
//
// # Promises
//
// Those of journal.Journal. After a failed write or sync nothing is retried: the journal takes no more frames until it is opened again.
// Open tells a torn tail (bytes of one frame that was never acknowledged: cut, kept aside, logged) from damage (anything else: refused with
// file, offset, expected and found). What the last owner left without proof that it was synced is written again and synced before
// Open returns. Scan verifies headers, chain and facts, not the data they skip; Check verifies every byte.
//
// # Imports
//
// journal, vfs, internal/clock; xxhash for the chain.
//
// # Where to start
//
// format.go draws the bytes (docs/formats/journal.md draws all of them), append.go is the life of a frame, open.go and end.go the recovery,
// ring.go the filler.
//
// # How tested
//
// journaltest on the memory disk and a real one; crash clones after every sync; faults on every n-th call; bits flipped at random places; golden
// folders of every format version.
package disk
