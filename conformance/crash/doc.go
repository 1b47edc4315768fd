// Crash kills a node again and again under load and checks that it kept its word.
//
// # What
//
// Several producers write through both gateways while the node is killed with SIGKILL at random times, while it starts and recovers
// included, and started again on the same data directory:
//
//	kafka-idempotent   stock client, keyed, retries by itself     nothing lost, no duplicates, order
//	kafka-plain        the same without idempotence               nothing lost, order of first occurrences
//	http-single        one event a request, own id, sent again    nothing lost, no duplicates, order
//	http-batch         ten events a request                       the same, and all of a batch or nothing
//	http-atomic        two streams in one append                  the same, and both or neither
//	http-conditional   rivals on the same versioned keys          versions without gaps, each answered version holds what was sent
//
// With -keeping, windows, segment files and key files are so small that every kill finds the node moving, merging, flushing or trimming; two
// streams are truncated all the while by small steps; and every check reads the keys of three streams one by one.
//
// Two followers read by server-sent events all the while, and come back after each kill with the last id they saw.
//
// With -queues clients of SQS do: senders to a standard queue, to a FIFO queue and of poisoned messages, receivers that delete most of what
// they get, some that never do, and some of dead letters. Every message that was acknowledged is delivered; none comes back whose delete was
// answered; a group goes on only when what is before was deleted; a message sent again within the window is the same one; a second and a third
// attempt are each made once, then the message is a dead letter and nothing else.
//
// With -aside every stream has a contract that puts what breaks it into quarantine, and one event of a hundred to five hundred does; now and then a whole
// batch. Producers are an idempotent Kafka client in compressed batches, one at a time or several on their way, a transactional one, HTTP with ids, a FIFO
// queue of SQS with ids of deduplication, and AMQP with confirms. Exactly the good ones are in the stream, in order and where it was answered; exactly the
// bad ones are in quarantine; each once, but for AMQP, which gives no identity. A transaction is there whole, in both together, or not at all.
//
// # Promises
//
// What the checker says of a run: every acknowledged event is there with the bytes that were sent, at the place that was answered;
// offsets are dense; a partition begins where its last truncation said; a key has its events in order and versions without a gap; a follower misses nothing and gets nothing twice; what any check has read once is there in every later one; the HTTP gateway tells the same as Kafka. SIGKILL proves
// the logic, not the sync: the kernel keeps what was written. Tests of the journal prove the sync.
//
// A run that fails prints its seed and parameters and keeps the data directory. Only a part of a run can be repeated: the seed fixes what
// is sent and when it is killed, not how the machine schedules it.
//
// # Imports
//
// franz-go and the standard library; nothing of Leat.
//
// # Where to start
//
// run.go is the loop; producer_kafka.go and producer_http.go write, trim.go truncates; ledger.go holds what was promised;
// read.go and follow.go read; check.go compares. queues.go is the loop of -queues, queuework.go its clients, queuebook.go judges;
// aside.go, asidework.go and asidebook.go are the same for -aside.
//
// # How tested
//
// crash_test.go: the checker is shown histories that are wrong, each in one way; and a short run of the whole.
package main
