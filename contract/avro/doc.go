// Package avro is the format AVRO of contracts: schemas of Apache Avro 1.12, their compatibility, and payloads in its binary encoding.
//
// # What
//
//	schema.go    the tree a schema is; Format
//	parse.go     text → tree, with names from references
//	default.go   whether a default fits its field
//	text.go      tree → the canonical text, as Avro's own library writes it, and the normalized one
//	reads.go     what a reader can resolve, by the specification's rules, with the words of Avro's library
//	validate.go  a walk over a binary payload that decodes nothing it does not need
//
// # Promises
//
// As contract. A payload is walked once and nothing is allocated while it keeps to its schema.
//
// # Imports
//
// contract, contract/jsontree.
//
// # Where to start
//
// node in schema.go.
//
// # How tested
//
// Tables; fuzz targets for Parse and Validate.
package avro
