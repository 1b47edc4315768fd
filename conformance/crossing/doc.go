// Package crossing holds the gateways against each other: what comes in by one goes out by the other as the CloudEvents bindings say.
//
// # What
//
// Tests, with a real Kafka client on one side and plain HTTP on the other, against the real binary (leat serve --dev).
//
// # Promises
//
// Everything is compared byte by byte, with values that the tests spell out: nothing of Leat's own code says what is right. The bindings
// are the CloudEvents 1.0.2 HTTP, JSON and Kafka ones.
//
// # Imports
//
// franz-go and the standard library.
//
// # Where to start
//
// http_to_kafka_test.go; node_test.go is the binary and the two clients.
//
// # How tested
//
// It is the test.
package crossing
