// Package amqp091 is AMQP 0-9-1 with RabbitMQ's extensions, on the broker.
//
// # What
//
//	wire/, session/       bytes ↔ values; what a connection remembers: frames in, steps out
//	conn.go, step.go      one connection and who works for it; input.go, output.go, handle_*.go; confirm.go waits for the disk, settle.go acks
//
// # Mapping
//
//	virtual host    a namespace: "/" is the user's, or the default one        exchange   a stream of its name; the one without a name: amqp.default
//	queue           a routed subscription of its name, see arguments.go       binding    clauses of the subscription, see binding.go
//	stream queue    that, and a subscription for each consumer                dead letter exchange   an undertaker, see death.go
//	routing key     subject (ce_subject)                                      properties   header amqp.properties, byte by byte, and cloudEvents:x as ce_x
//	consumer        a member with prefetch                                    ack, requeue, reject   ack, release, reject
//	expiration, priority, x-delay   leat-expires-at, leat-priority, leat-deliver-at      configure, write, read   create and delete, write and alter, read
//
// A message is stored once, in the stream of its exchange, whatever the number of queues; route.go has the exceptions. What binds exchanges to one another becomes clauses of the
// queues behind them when it changes (binding.go). Only what would reach nobody goes on to the alternate of its exchange, whose stream has it then. The
// stream of a deleted exchange stays, marked, while queues read it. name.go escapes names, document.go is what else is kept.
//
// # Known gaps
//
// x-max-length-bytes counts bytes as stored; there are 32 priorities. A transaction that a full queue with reject-publish would refuse is refused as
// a whole. What has outlived its own expiration is counted until somebody asks, where there are no dead letters. An alternate of an
// exchange that was come to by another exchange is not asked. Only what AMQP publishes passes a headers exchange that asks for something.
// Reading a stream from a number costs reading past what is before; a binding holds for it
// backwards. Names and keys of bindings are UTF-8. No consumer timeouts.
// Messages have at most 19 MiB. A commit is a frame of at most broker.request_events_max events, and a batch of each stream.
//
// # What RabbitMQ does
//
// Measured with RabbitMQ 3.10.8, where the specification is silent or says otherwise; a client may depend on it. testdata/captures has its sessions.
//
//   - A frame may be 8 bytes longer than frame-max. Empty body frames are skipped within a content, and are 505 behind its end.
//   - An ack of a tag that does not wait is 406 on the channel, with multiple too, also of tag 0; tag 0 with multiple is all, and all of none is fine.
//   - confirm.select may be repeated; from tx to confirm mode or back is 406, and tx.commit without tx.select. access.request gets ticket 1.
//   - basic.qos with a prefetch-size, basic.recover without requeue, channel.flow that stops, immediate: 540. basic.recover-async is not answered.
//   - A channel that is not open, or opened twice: 504. A method of class connection on it, or a stray close-ok: 503 "unimplemented method". Any
//     other class on channel 0: 504. A refused login: 403 for clients with authentication_failure_close, a closed socket for others.
//   - Confirmations may be one by one or joined. Properties go out as they came in, byte by byte.
//   - An accident: it drops the connection without a word on an unknown method (here 540) and on a table with an unknown type (here 502), and answers
//     bad properties with 541 (here 501 or 502).
//
// # Promises
//
// A confirmation says that the message is on disk; a message is copied once, and allocates nothing of its own. Whoever does not read what it is sent
// holds nobody else. What was handed over and not acknowledged comes back when its channel ends. See wire and session.
//
// # Imports
//
// broker, broker/record, broker/fault, broker/filter/address, gateway, gateway/amqp091/wire, gateway/amqp091/session, internal/clock.
//
// # Where to start
//
// conn.read and conn.step; session.Conn.Frame; topology.go for what leads where.
//
// # How tested
//
// Scripts of what a client says and is answered, recorded from RabbitMQ 3.10.8 and held against both (script_test.go); gatewaytest; sessions against the real broker in memory; wire and session with captures of amqp091-go, pika, py-amqp, amqplib and Java.
package amqp091
