// Jepsen runs transactions of a node while things break, records what clients did and saw, and checks that it can have been so.
//
// # What
//
// Clients are processes of their own, with a stock Kafka client (franz-go):
//
//	producers      several records to several partitions a transaction; commit most, abort some, dawdle over the time a transaction has
//	rivals         two processes with one transactional id, which fence each other
//	transformers   a group that consumes, transforms and produces: one output for each input, offsets in the transaction
//	plain          records of no transaction in the same partitions
//	readers        of committed records, and of all
//
// Faults, at random times from a seed: SIGKILL of the node, while it starts too; SIGSTOP of the node, longer than transactions may take now and then;
// SIGSTOP and SIGKILL of clients; operators who abort what is open.
//
// With -what versions the clients are goroutines that append with an expected version and read by key, by Kafka and by HTTP, on the same keys, while the
// node is killed; porcupine says whether the versions of each key can have happened one after the other.
//
// # Promises
//
// Nothing lost, torn, aborted but read, duplicated or out of order, no offset of a group without its output: the list is in history/doc.go. SIGKILL proves
// the logic, not the sync, as in conformance/crash. A run that fails keeps its folder: histories, what was read at the end, the node's log.
//
// # Imports
//
// franz-go, history and the standard library; nothing of Leat.
//
// # Where to start
//
// run.go is the run, node.go and nemesis.go what is done to the node and to clients; producer.go, transform.go, reader.go are the clients; final.go reads
// all when it is over; versions.go is the other run. history/ judges.
//
// # How tested
//
// The judge by its tests in history/; the rest by running it: make jepsen.
package main
