// Package aws is SQS: queues for programs that speak to Amazon's, with the client library they have.
//
// # What
//
// SQS 2012-11-05 in both protocols (AWS JSON 1.0 and the query protocol) at one endpoint: all 23 actions. SNS is refused with
// UnsupportedOperation.
//
// # Mapping
//
//	queue                      a stream with the document sqs.queue, and the subscription of the same name to it
//	message                    a record: body is the value, attributes are headers (translate.go)
//	MessageGroupId             key; FIFO queues have order by key, and one record of a key is out at a time
//	MessageDeduplicationId     id of the record, whose source is the queue (or the queue and the group)
//	VisibilityTimeout          lease; ChangeMessageVisibility renews it, and 0 releases
//	ReceiptHandle              handle
//	DelaySeconds               leat-deliver-at
//	MessageRetentionPeriod     time to live of the subscription
//	RedrivePolicy              dead letters and attempts of the subscription
//	PurgeQueue                 rewind to the end
//	StartMessageMoveTask       append and ack in one frame, batch by batch (move.go)
//
// A stream that is there already becomes a queue by CreateQueue, from then on; DeleteQueue leaves such a stream as it was.
//
// Gaps: a message that outlives its retention goes to the dead letters where there are some. Dead letters are made when a message comes back
// for the last time, not when it would be received once more. Policies, permissions and keys (KMS) are kept and have no effect; nor has
// FifoThroughputLimit. A deleted queue can be made again at once. A deduplication id is remembered five minutes, or for the node's dedup_window where that is less. When a message was
// received first, and what a ReceiveRequestAttemptId was answered, is forgotten by a restart. A move task ends with its node.
//
// Users: the access key is the user's name, the session token and the secret key are both a token of the user: passwords are kept as
// hashes, from which no signature could be checked. Bearer and Basic are taken too.
//
// # Promises
//
// A message is durable when SendMessage is answered; a deleted one is never received again. Bodies are bounded, and reserved from the node's
// memory before they are read; a long poll holds none. What a client who has gone was to receive is given back at once.
//
// # Imports
//
// gateway, broker, record, fault, and wire below.
//
// # Where to start
//
// call.go, then translate.go.
//
// # How tested
//
// On a real broker over memory: every verb in both protocols, the requests of real clients as captured, and gatewaytest.
package aws
