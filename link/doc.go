// Package link copies topics of a Kafka cluster into streams of the same names, with their offsets, and the committed offsets of groups, until the
// switch: the way in for a team that moves.
//
// # What
//
// A link is a document of the catalog (broker.KindLink). The Linker keeps one worker for each:
//
//	settings.go  Settings: from where, what, as whom
//	linker.go    Linker: which workers there are, in step with the documents; Switch
//	worker.go    one link: look around, copy, follow groups, again
//	topics.go    streams for topics, with what they say about partitions and retention
//	copy.go      records as batches at the offsets they had
//	tail.go      ends of partitions at which there are no records
//	groups.go    committed offsets as positions of cursor subscriptions
//	state.go     what is shown
//
// # Promises
//
// A record is at the offset it has there, or not at all; each is there once, whatever is killed when, because a batch goes to its offset or nowhere
// and copying goes on from where a partition ends. Records of aborted transactions, markers and what was compacted away are offsets at which nothing is. Nobody
// else appends to a stream while it is linked. After a switch each partition ends where it ended there, so that a group goes on at the offset it
// committed there.
//
// A link acts as the user who set it up.
//
// # Imports
//
// broker and its vocabulary; franz-go as the client.
//
// # Where to start
//
// Linker, then worker.round.
//
// # How tested
//
// Against a Kafka that is played in the test (kfake) and against a second Leat: transactions, compacted topics, retention that overtakes, topics made
// again, restarts at any moment. Against Apache Kafka: make migration.
package link
