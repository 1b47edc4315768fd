// Package catalog is the machine of named things: streams, users, namespaces and the documents that gateways own.
//
// # What
//
// An entry is (kind, namespace, name) → id, revision, document. The document is bytes whose meaning its owner knows. Changes are
// compare-and-set on the revision. State decides on head (Put, Delete) and is the fold of durable facts (Apply).
//
// # Promises
//
// Names exist only here. A revision is never used twice within a shard, also not for a name that was deleted and made again.
//
// # Imports
//
// broker/fact, broker/fault; storage/state for rows. Never another machine.
//
// # Where to start
//
// catalog.go.
//
// # How tested
//
// catalog_test.go, and with the broker.
package catalog
