// Package clienttest runs real Kafka clients, unchanged, against the real leat binary.
//
// # What
//
// franz-go, sarama and kafka-go in this module; kcat, confluent-kafka for Python (both librdkafka) and the Java client with its console
// tools as programs, when they are there. Each produces (every compression, idempotent and not, acks 0, 1 and all), consumes from the
// start and from a time, reads in groups, administers topics, logs in, speaks TLS, and is refused what should be refused. Clients that hash keys
// differently write the same keys, beside conditional appends by HTTP, while partitions are added and the node is killed; then each key is read.
//
//	LEAT_BIN      the binary; without it, it is built
//	KCAT          kcat, if it is not on the path
//	PYTHON        a python that can import confluent_kafka
//	KAFKAJS       a folder in which kafkajs is installed (npm install kafkajs)
//	KAFKA_PYTHON  a python that can import kafka (kafka-python)
//	KAFKA_JARS    directories with the jars of java/pom.xml, one per version, separated by ":"
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
// node_test.go starts a node; one file per client. keys_test.go is about keys.
//
// # How tested
//
// It is the test: go test ./... in this folder.
package clienttest
