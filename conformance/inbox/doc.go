// Package inbox kills what takes part in webhooks out: the receiver, and the node.
//
// # What
//
// The samples of examples/inbox against the real binary: each is killed a hundred times while events are pushed to it, and has a row for every
// event, once. And the node itself, killed while it pushes: every event comes at least once, always under the same id.
//
// # Promises
//
// Kills are SIGKILL, at moments of chance, while events wait and are under way. What was acknowledged to the producer is what must be there.
//
// # Imports
//
// The standard library. Python where there is one; else its half is skipped, loudly.
//
// # Where to start
//
// inbox_test.go.
//
// # How tested
//
// It is the test.
package inbox
