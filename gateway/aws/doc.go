// Package aws is SQS and SNS: queues and topics for programs that speak to Amazon's, with the client library they have.
//
// # What
//
// SQS 2012-11-05 in both protocols (AWS JSON 1.0 and the query protocol) at one endpoint: all 23 actions. SNS
// 2010-03-31 at the same one: topics, subscriptions of queues and HTTP endpoints, publishing. Its actions for phones, mobile push and data protection
// are refused as Amazon does in regions that lack them.
//
// # Mapping
//
//	queue                      a stream with the document sqs.queue, and the subscription of the same name to it
//	message                    a record: body is the value, attributes are headers (translate.go)
//	MessageGroupId             key; FIFO queues have order by key, and what is out of a key is one receiver's, ten at most
//	MessageDeduplicationId     id of the record, whose source is the queue (or the queue and the group)
//	VisibilityTimeout          lease; ChangeMessageVisibility renews it, and 0 releases
//	ReceiptHandle              handle
//	DelaySeconds               leat-deliver-at
//	MessageRetentionPeriod     time to live of the subscription
//	RedrivePolicy              dead letters and attempts of the subscription
//	PurgeQueue                 rewind to the end
//	StartMessageMoveTask       append and ack in one frame, batch by batch (move.go)
//
//	topic                      a stream with the document sns.topic: of its name, or <name>.topic where that is a queue's stream
//	Publish                    one record, whatever the number of subscriptions (sns_notice.go)
//	Subscribe, sqs             the topic's stream beside the queue's own in the queue's subscription, with the FilterPolicy as that stream's policy;
//	                           the envelope is made and signed when the message is received, and stored nowhere (sns_queue.go)
//	Subscribe, http, https     a subscription sns-<id>, whose one member pushes (sns_push.go); nothing reaches it before it is confirmed
//
// A stream that is there already becomes a queue by CreateQueue, from then on; DeleteQueue leaves such a stream as it was.
//
// Gaps of SNS are in docs/sns.md. Those of SQS: dead letters are made when a message comes back
// for the last time, not when it would be received once more. Policies, permissions and keys (KMS) are kept and have no effect; nor has
// FifoThroughputLimit. A deleted queue can be made again at once. A deduplication id is remembered five minutes, or for the node's dedup_window where that is less. When a message was
// received first, and what a ReceiveRequestAttemptId was answered, is forgotten by a restart. A move task ends with its node.
//
// Users: signatures are checked with the secrets of access keys, which are kept as they are. Else the access key is the user's name, the
// session token and the secret key are both a token of the user: of passwords and tokens there are hashes only, from which no signature
// could be checked. Bearer and Basic are taken too.
//
// # Promises
//
// A message is durable when SendMessage is answered; a deleted one is never received again. Bodies are bounded, and reserved from the node's
// memory before they are read; a long poll holds none. What a client who has gone was to receive is given back at once, and what an attempt of
// an SDK's has not read, with its next one (attempt.go). What was published and matches reaches every queue and endpoint that was subscribed then:
// an endpoint at least once, until its delivery policy is spent, and then the dead-letter queue, in the frame in which the delivery is settled.
//
// # Imports
//
// gateway, broker, record, filter, fault, internal/outbound, and wire below.
//
// # Where to start
//
// call.go, then translate.go; sns.go for SNS.
//
// # How tested
//
// On a real broker over memory: every verb in both protocols, the requests of real clients as captured, and gatewaytest.
package aws
