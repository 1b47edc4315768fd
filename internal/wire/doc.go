// Package wire reads and writes bounded binary values.
//
// # What
//
// Reader takes numbers, bytes and strings from a slice, and remembers the first thing that went wrong; the Append functions write what
// it reads. Numbers of fixed width are big-endian; varints are those of encoding/binary.
//
// # Promises
//
// No input makes a Reader panic. Nothing it returns is longer than its input, and it allocates only what String copies. After the first
// error every further read gives zero values, so that a decoder checks once, at its end. A varint has one form only: a longer way to
// write the same number is an error, so what was decoded encodes to the same bytes.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// Reader, and Done for how a decoder ends.
//
// # How tested
//
// Tables, a property over random sequences of values, and a fuzz target that reads arbitrary bytes by an arbitrary plan.
package wire
