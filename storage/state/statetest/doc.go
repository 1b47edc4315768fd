// Package statetest is the suite that every state store passes.
//
// # What
//
// Run opens stores on a Disk, which can lose its power, and holds them to the contract of state.Store.
//
// # Promises
//
// An implementation that passes can stand under a shard. What is random comes from a fixed seed.
//
// # Imports
//
// storage/state.
//
// # Where to start
//
// Run.
//
// # How tested
//
// By the implementations that pass it.
package statetest
