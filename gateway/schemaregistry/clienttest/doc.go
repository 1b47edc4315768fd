// Package clienttest runs real clients of schema registries, unchanged, against the real leat binary.
//
// # What
//
// franz-go's sr in this module; confluent-kafka for Python with its Avro, JSON Schema and Protobuf serializers as a program, when it
// is there. Each registers, reads, compares, configures and deletes; a contract is broken through Kafka and through HTTP. AsyncAPI's parser for
// JavaScript reads what a node writes of its streams.
//
//	LEAT_BIN    the binary; without it, it is built
//	LEAT_PEERS  folder for what is installed, by default in the user's cache: AsyncAPI's parser, with npm
//	PYTHON      a python that can import confluent_kafka with what its serializers need: pip install 'confluent-kafka[avro,json,protobuf,rules]'
//
// # Promises
//
// A peer that is not there is a skipped test that says how to get it, never a passed one.
//
// # Imports
//
// The clients. It is a module of its own, so that they stay out of the product's go.mod.
//
// # Where to start
//
// node_test.go starts a node; client_test.go.
//
// # How tested
//
// It is the test: go test ./... in this folder.
package clienttest
