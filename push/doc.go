// Package push hands the events of subscriptions to endpoints of others over HTTP: webhooks out.
//
// # What
//
// A subscription pushes when it has a Document of this package among its documents. For each of those the Sender keeps one line: it attaches as
// a member of the subscription, takes deliveries as fast as the endpoint takes them, sends them, and settles them by what came of it.
//
//	settings.go   Settings and Document: what is set, and what is remembered over a restart
//	sender.go     Sender: which lines there are, in step with the subscriptions; pause, resume
//	line.go       one subscription: handshake, attach, pump, again
//	pump.go       tickets, credit, deliveries: what is under way
//	judge.go      what an answer means for a delivery; settle.go tells the broker, in batches
//	request.go    events as HTTP; handshake.go consent before the first of them
//	state.go, metrics.go  what is shown
//
// # Promises
//
// There is at most one line for a subscription, so at most its concurrency of requests under way. A delivery is acknowledged after the endpoint
// said 2xx, and sent again otherwise, with the same id: at least once. Its id is that of the broker, over attempts and restarts. What
// cannot be sent at once is not taken: an endpoint that is down, slow or limited costs no attempts beyond those it was sent, and holds back no other.
// Order is the subscription's. Secrets and values of headers leave only in requests.
//
// A line acts as the user who set it up, and no longer than that user may read the subscription.
//
// # Imports
//
// broker and its vocabulary; internal/outbound, internal/hooks.
//
// # Where to start
//
// Sender, then line.run.
//
// # How tested
//
// The real broker and real endpoints that are fast, dead, slow, stalled, flapping, redirecting, private, or want a handshake; conformance/ kills the
// process under it and the receiver before it.
package push
