// Package wire is SQS and SNS in bytes: requests and answers of both services, in both protocols in which they are asked.
//
// # What
//
// AWS JSON 1.0 (today's clients of SQS) and the query protocol (SNS, older clients of SQS, plain HTTP). ParseCall says which action a
// request is for; each action is an Action value (SendMessage, Publish, …) whose Decode reads and checks the request and whose Append
// writes the answer; AppendError writes refusals, with Amazon's codes and words. Beside that: digests, names, URLs and
// ARNs, attributes of queues, topics and subscriptions.
//
// A type is described once, as a shape (shape.go): a list of members, each of a kind. Four forms walk it: JSON in and out, parameters in,
// XML out. Packages below this one: sigv4 (signatures of requests), envelope (what SNS delivers, and its signatures).
//
// SQS 2012-11-05, all 23 actions. SNS 2010-03-31, all 42. Limits are in limit.go, as Amazon's reference has them in November 2026.
//
// # Promises
//
// No I/O, no clock. Decoders never panic and take memory in proportion to their input: lists have at most ItemsMax elements, requests at
// most ParamsMax parameters, unknown JSON is at most DepthMax deep. The body of a request belongs to its Call: texts are not copied, and
// escapes are undone in it, so what was decoded lives as long as the body does and the body is used for nothing else. Busy actions do not
// reflect. Answers are valid in their form whatever the texts are: what JSON or XML cannot carry becomes U+FFFD (see ValidText).
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// ParseCall, Action, then sqs_message.go; shape.go for how it works.
//
// # How tested
//
// Captures of real clients (aws-sdk-go-v2, boto3, the older boto3 that speaks the query protocol, AWS SDK for JavaScript v3) are decoded and
// compared with what was asked for; every action goes through every form and back; tables of refusals with Amazon's texts; digests against
// published ones; JSON against encoding/json; a fuzz target for each decoder.
package wire
