// Package state holds what facts have made of a shard so far: small, current state as one ordered key space.
//
// # What
//
// Store is the contract; memory/ and pebble/ are the two implementations and statetest/ is the suite both pass. keyspace.go
// registers every key prefix, with the layout of its keys and values, and has the helpers that put variable-length parts into
// keys without breaking their order.
//
// # Promises
//
// A store keeps no log of its own: the journal is the truth, and a store can be thrown away and rebuilt from it. One Apply holds
// the rows of one frame and the frame's mark, and a crash leaves exactly the first n applies for some n, which Applied tells after
// the next open. The journal may be trimmed up to Durable, never further.
//
// Keys that start with the byte 0x00 belong to the store itself: a batch must not name them and no iterator shows them.
//
// # Imports
//
// internal/assert here; pebble and btree in the folders of the implementations.
//
// # Where to start
//
// Store in state.go, then keyspace.go; docs/formats/state.md draws the bytes.
//
// # How tested
//
// keyspace_test.go, and statetest with both implementations: a model checked step by step, crashes, readers beside a writer. The
// pebble store also opens the golden directory of every released format.
package state
