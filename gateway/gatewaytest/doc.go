// Package gatewaytest is the suite that every gateway passes.
//
// # What
//
// Run takes a Kit: how to make the gateway, a few bytes of its protocol and small clients, and holds it to what the harness
// and the design promise: garbage, half frames, lengths that lie, slow and silent peers, many idle connections, limits, drain,
// TLS, logins, leaks, panics.
//
// # Promises
//
// Abilities are declared: what is offered must work, what is not must be refused in the protocol's own way. Every test opens a
// gateway and a listener on loopback of its own.
//
// # Imports
//
// gateway, Prometheus' client to read counters, goleak.
//
// # Where to start
//
// Kit. The example to copy is gateway/suite_test.go.
//
// # How tested
//
// gateway/suite_test.go runs it on a raw and on an HTTP gateway made for that purpose.
package gatewaytest
