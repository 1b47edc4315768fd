// Package registry is the state of contracts of one namespace: subjects, their versions, ids, settings and bindings.
//
// # What
//
//	schema.go      what is kept of a version; identity by content
//	subject.go     names of subjects, and contexts, which are namespaces inside a namespace
//	registry.go    the index, folded from documents: Take, Drop; entry.go: what it keeps of a version, and how a document is read
//	staged.go      a view for registrations that are recorded together
//	resolve.go     texts with what they refer to, parsed and remembered
//	register.go    a new version; compatible.go: whether it may follow; merge.go: metadata and rules
//	find.go        looking up; shown.go: as it is recorded; delete.go, settings.go, mode.go; binding.go: which streams and types keep to which subject
//	declared.go    what consumers declare that they read; tags.go: fields that have tags
//	problem.go     refusals, with the numbers that registry clients know
//
// # Promises
//
// Decide, record, evolve: a verb that changes something only says which documents are to be put or deleted (Change); the caller makes them durable,
// all or none, and what is durable comes back through Take and Drop. Nothing else changes the index. An id is never given twice, also not after
// what had it is gone: the highest one is a document of its own before a version that had it is deleted.
//
// # Imports
//
// contract and its formats.
//
// # Where to start
//
// Registry in registry.go, then register.go.
//
// # How tested
//
// Beside the code, over a store in memory that is folded anew after each step.
package registry
