// Package memory is a state store that lives in memory: for tests, for the simulation and for a node that keeps nothing.
//
// # What
//
// A copy-on-write B-tree. An iterator walks a clone, which costs nothing until the next Apply.
//
// # Promises
//
// All of state.Store. Durable moves with Flush only, and Crash returns the store as the next open would find it, so that tests
// can lose what was not flushed.
//
// # Imports
//
// storage/state and google/btree.
//
// # Where to start
//
// Store.
//
// # How tested
//
// statetest.
package memory
