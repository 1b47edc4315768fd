// Package protobuf is the format PROTOBUF of contracts: files of proto2, proto3 and editions, what may follow what, and payloads on the wire.
//
// # What
//
//	schema.go    Format, Schema: a file, from its text or from a serialized descriptor in base64, as some clients send it
//	text.go      descriptor → text, so that two texts of one meaning are one schema; option.go: options in it
//	reads.go     changes that a reader cannot bear, in the words of Confluent's registry
//	validate.go  a walk over a payload by its message type
//
// # Promises
//
// As contract. The canonical text has no comments. A payload that names fields which the file does not know is taken: that is what Protobuf
// promises to old readers.
//
// # Imports
//
// contract; bufbuild/protocompile parses, google.golang.org/protobuf has descriptors.
//
// # Where to start
//
// schema.go.
//
// # How tested
//
// Tables of our own; fuzz targets for Parse and Validate.
package protobuf
