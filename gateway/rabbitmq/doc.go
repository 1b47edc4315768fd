// Package rabbitmq is the part of RabbitMQ's management HTTP API that tools and autoscalers call, about what AMQP clients have made here.
//
// # What
//
//	route.go               paths to handlers; guard.go: Host and Origin; login by Basic
//	handle_*.go            one kind of object per file
//	amqp.go, lane.go       a client of our own AMQP gateway, over memory
//	answer.go, page.go     JSON as RabbitMQ writes it; names, pages, columns, sorting
//	rates.go               counters into rates
//
// # Mapping
//
// What is changed (declare, bind, publish, get, purge, delete) goes through the AMQP gateway, as the caller, over a connection in memory: so it is
// decided, permitted and refused exactly as if an AMQP client had asked, with the same texts. What is told is what the gateway knows of itself
// (amqp091.Gateway.Queues, Exchanges, Bindings, Connections). The names of virtual hosts are those of AMQP connections.
//
// Counters of a queue are its subscription's: publish is what reached it, deliver what was handed over or dropped, ack what was acknowledged. They begin
// anew with the node; a rate is the difference between two requests at least sampleEvery apart.
//
// # Known gaps
//
// Permissions are regular expressions there and names or their beginnings here: others are refused (expression.go). Hashes of passwords cannot be taken
// over, so definitions are taken without users and permissions, and without parameters and operator policies; the answer says what was left out. Policies
// are for queues only. No web pages, no tracing, no shovels and federation.
//
// # Promises
//
// Nothing is sampled for this API while nobody calls it; connections and channels count what they do. Every list is bounded by the catalog; bodies and pages have limits of their own.
//
// # Imports
//
// broker, broker/fault, gateway, gateway/amqp091 and its wire: this is another door to the same rooms, see docs/decisions/0015. internal/clock.
//
// # Where to start
//
// Gateway.handle, then handle_queue.go.
//
// # How tested
//
// gatewaytest, and handlers against the real broker in memory; in gateway/amqp091/clienttest with rabbitmqadmin and a Go client, beside RabbitMQ's own.
package rabbitmq
