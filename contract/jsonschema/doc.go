// Package jsonschema is the format JSON of contracts: JSON Schema of drafts 4 to 2020-12, what may follow what, and JSON payloads.
//
// # What
//
//	schema.go    Format, Schema: the text; draft 7 where it does not say which
//	resolve.go   $ref, $id and $anchor, within the text and its references; nothing is ever fetched
//	node.go      what a schema admits, as a tree of one kind per node: what changes are looked for in
//	reads.go     changes that a reader cannot bear, in the words of Confluent's registry; object.go, array.go, combined.go are parts of it
//	kinds.go     those words, their sentences, and which changes are borne
//	validate.go  payloads, and why one is refused
//	tape.go      a payload, read once; decimal.go: its numbers, exactly; hash.go: values that are equal
//	program.go   the compiled schema as rules; matcher.go: patterns as tables; formats.go: formats of most events
//	run.go       the rules over a tape; run_parts.go: objects, arrays, choices
//
// # Promises
//
// As contract. Whether a payload keeps to a schema our rules decide, for every keyword, without allocation; what they refuse the library looks at
// again, to say why, and has the last word. One check takes no more than the steps named in run.go. A pattern that Go's regular expressions do not know (lookaround, back references) matches everything: the schema is taken, and
// that keyword is not checked.
//
// # Imports
//
// contract, contract/jsontree; santhosh-tekuri/jsonschema compiles and explains.
//
// # Where to start
//
// schema.go, then node.go.
//
// # How tested
//
// Tables of our own; schemas and payloads made up at random, of which our rules must say what the library says; fuzz targets for the parser, the
// rules, tapes, patterns and numbers. make suite-jsonschema runs the suite of json-schema.org.
package jsonschema
