// Package asyncapi writes what is known of streams, types of events and who uses them as an AsyncAPI 3.0 document.
//
// # What
//
//	document.go   Document: streams, messages, operations and servers in, the document out
//	payload.go    a schema as AsyncAPI wants it: each format under its own name
//	server.go     listeners as servers, with bindings and security schemes
//
// # Promises
//
// Pure, and the same bytes for the same input. Every reference in the document leads somewhere. A schema that refers to others is not shown half: its
// place says where it is instead.
//
// # Imports
//
// Nothing of ours.
//
// # Where to start
//
// Document in document.go.
//
// # How tested
//
// A document of everything is compared with testdata/, and was read by AsyncAPI's own parser: docs/testing.md says how.
package asyncapi
