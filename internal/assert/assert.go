// Package assert stops the program where an invariant is broken.
//
// # What
//
// That panics with the name of the invariant. It is for what cannot happen unless Leat itself is wrong; bad input and failing
// hardware are errors, not assertions.
//
// # Promises
//
// A broken invariant is never skipped: in a shard it stops the shard, in a connection it ends that connection.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// That.
//
// # How tested
//
// assert_test.go.
package assert

import "fmt"

// Broken is what That panics with.
type Broken struct{ Invariant string }

func (b Broken) Error() string { return "invariant broken: " + b.Invariant }

// That panics when ok is false. The invariant is a sentence that should have been true.
func That(ok bool, invariant string, args ...any) {
	if !ok {
		panic(Broken{fmt.Sprintf(invariant, args...)})
	}
}
