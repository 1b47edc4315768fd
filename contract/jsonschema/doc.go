// Package jsonschema is the format JSON of contracts: JSON Schema of drafts 4 to 2020-12, what may follow what, and JSON payloads.
//
// # What
//
//	schema.go    Format, Schema: the text; draft 7 where it does not say which
//	resolve.go   $ref, $id and $anchor, within the text and its references; nothing is ever fetched
//	node.go      what a schema admits, as a tree of one kind per node: what changes are looked for in
//	reads.go     changes that a reader cannot bear, in the words of Confluent's registry; object.go, array.go, combined.go are parts of it
//	kinds.go     those words, their sentences, and which changes are borne
//	validate.go  payloads
//
// # Promises
//
// As contract. A pattern that Go's regular expressions do not know (lookaround, back references) matches everything: the schema is taken, and
// that keyword is not checked.
//
// # Imports
//
// contract, contract/jsontree; santhosh-tekuri/jsonschema validates.
//
// # Where to start
//
// schema.go, then node.go.
//
// # How tested
//
// Tables of our own; fuzz targets for Parse and Validate.
package jsonschema
