// Package node assembles a process: configuration in, running parts out, started in order and stopped in the reverse one.
//
// # What
//
// Open takes a data directory (or none: memory), opens journal, state and broker of every shard, and makes the gateways it is given;
// Start opens their listeners; Stop drains them and closes everything.
//
// # Promises
//
// A data directory is opened by one process at a time. A listener that is not on loopback refuses to start while there are no users,
// unless told to be insecure. Stopping loses nothing that was answered.
//
// # Imports
//
// Everything but the gateways' packages: those come in through Protocol, from cmd/leat/gateways.go.
//
// # Where to start
//
// node.go, datadir.go, config.go.
//
// # How tested
//
// node_test.go, and conformance/ with the real binary.
package node
