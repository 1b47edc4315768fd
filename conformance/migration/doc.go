// Migration moves from a real Apache Kafka to Leat by a link, while everything that can happen there happens, and the node is killed every few seconds.
//
// # What
//
// An Apache Kafka of one broker, from its jars, and the binary with a link to it. There:
//
//	orders      plain records, all compressions; gets two more partitions in the middle
//	payments    transactions: committed, aborted, open for a while, and one that is open at the switch
//	accounts    compacted all the time, with tombstones
//	clicks      retention deletes segments while they are copied
//	temp        deleted and made again in the middle, further than it was
//	old         deleted in the middle
//	billing, audit, slow    groups that commit; audit is one of KIP-848, slow is far behind
//
// Then the switch: refused while a transaction is open, repeated while the node is killed; and clients go on with the new address.
//
// # Promises
//
// What the judge says of a run: each partition ends here where it ends there; each record is at its offset with key, value, headers, time, and nothing is at
// any other, but for what retention or compaction has removed there; the newest record of each key of a compacted topic is the same one; groups have
// committed the same offsets with the same metadata. And behind the switch: new records follow the old ones without a gap, and each group has consumed every
// record once, on both sides together.
//
// # Imports
//
// franz-go and the standard library; nothing of Leat.
//
// # Where to start
//
// run.go is the story; peers.go starts both sides; work.go has producers and groups; read.go reads; judge.go compares.
//
// # How tested
//
// The judge by judge_test.go; the rest by running it: make migration.
package main
