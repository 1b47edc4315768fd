// Package avrofile reads and writes object container files of Apache Avro: the file around the data, not the data.
//
// # What
//
// AppendHeader and AppendBlock write; Reader gives the header's schema and codec, and then the blocks, as they stand or inflated. Codecs are null, deflate
// and zstandard. Append… and Data write and read the few kinds of values that records of ours are made of.
//
//	"Obj" 1 | map: avro.schema, avro.codec | sync, 16 bytes | block | block | ...
//	block: records, bytes (zigzag varints) | data | sync
//
// # Promises
//
// Nothing is read beyond a limit with a name: header, block, what a block is inflated to. What cannot be is an error, never a panic.
//
// # Imports
//
// klauspost/compress for zstandard.
//
// # Where to start
//
// file.go, then data.go.
//
// # How tested
//
// Round trips in all codecs, every cut and flipped byte of a small file, a fuzz target; files are read by fastavro in cmd/leat where Python has it.
package avrofile
