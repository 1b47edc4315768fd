// Package clienttest runs real AMQP clients, unchanged, against the real leat binary, and against RabbitMQ where that is installed.
//
// # What
//
// Each client does the same and prints what it sees: a transcript. pika has one of its own, which is the longest; amqp091-go, amqplib and the Java
// client share one (common). Celery runs a worker. testdata has the transcripts as RabbitMQ gave them, and Leat has to give the same; where it does not
// yet, testdata/gaps.txt names the section. Then each client is left alone while its node is killed and started again.
//
//	LEAT_BIN          the binary; without it, it is built
//	LEAT_PEERS        where peers are installed; default: leat-peers in the user's cache directory
//	RABBITMQ_SERVER   the script that starts RabbitMQ; default: /usr/lib/rabbitmq/bin/rabbitmq-server
//	RABBITMQADMIN     the script of that name; default: the one that comes with RabbitMQ
//
// # Promises
//
// A peer that is not there is installed with its own package manager (pip, npm, Maven). Where that cannot be done, the test is skipped and says so; it
// never passes.
//
// # Imports
//
// amqp091-go. It is a module of its own, so that clients stay out of the product's go.mod.
//
// # Where to start
//
// transcript_test.go, then pika_client.py. node_test.go starts nodes, peer_test.go finds clients.
//
// # How tested
//
// It is the test: go test ./... in this folder; -update takes the transcripts from RabbitMQ again.
package clienttest
