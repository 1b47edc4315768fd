// Package fault is the closed set of refusals: what the broker answers when it does not do what it was asked.
//
// # What
//
// Kind is why, Reason narrows it where a protocol has a word for it, Error carries both with a text that a person can act on. Each
// gateway translates every kind in one exhaustive switch.
//
// # Promises
//
// The text never carries internals: those are in Cause, for the log. Retry is part of the type, so that a gateway need not guess.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// fault.go.
//
// # How tested
//
// fault_test.go, and each gateway's own table of all kinds.
package fault
