// Package crossing holds the gateways against each other: what comes in by one goes out by the other as the CloudEvents bindings say.
//
// # What
//
// Tests with real clients of Kafka, AMQP 0-9-1 and SQS, and plain HTTP, against the real binary (leat serve --dev): what each sends the others
// get, as docs/words.md says. Webhooks in and out are among them.
//
// # Promises
//
// Everything is compared byte by byte, with values that the tests spell out: nothing of Leat's own code says what is right. The bindings
// are the CloudEvents 1.0.2 HTTP, JSON, Kafka and AMQP ones.
//
// # Imports
//
// franz-go, amqp091-go, aws-sdk-go-v2 and the standard library.
//
// # Where to start
//
// http_to_kafka_test.go, amqp_test.go, sqs_test.go; node_test.go is the binary and the clients of Kafka and HTTP.
//
// # How tested
//
// It is the test.
package crossing
