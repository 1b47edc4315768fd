// Package coupling says from the catalogue how services hang together: through contracts, or each with each.
//
// # What
//
//	coupling.go   Of: uses in, Report out
//	find.go       one finding each: what it looks for, and what to do
//	cycles.go     services that hang on one another in a ring
//
// # Promises
//
// Pure, and the same report for the same uses. Lists are bounded by named limits; what is left out is counted.
//
// # Imports
//
// Nothing of ours.
//
// # Where to start
//
// Of in coupling.go.
//
// # How tested
//
// Small worlds of services, with the report as text.
package coupling
