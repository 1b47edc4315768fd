// Package amqp091 is AMQP 0-9-1 with RabbitMQ's extensions, on the broker.
//
// # What
//
//	wire/, session/       bytes ↔ values; what a connection remembers: frames in, steps out
//	conn.go, step.go      one connection: reader, heartbeats, what a step asks for; handle_*.go: exchanges, queues, publish, consume
//	testdata/captures/    sessions of real clients with RabbitMQ 3.10.8
//
// # Mapping
//
//	virtual host    the user's namespace: "/" or its name       exchange   a stream of its name; the one without a name: amqp.default
//	queue           a routed subscription of its name           binding    an address filter: direct exact, topic words, fanout anything
//	routing key     subject (ce_subject)                        properties header amqp.properties, byte by byte, and cloudEvents:x as ce_x
//	consumer        a member with prefetch                      ack, requeue, reject   ack, release, reject
//
// So a message is stored once, in the stream of its exchange, whatever the number of queues. Queues read amqp.default by their name.
//
// # Known gaps
//
// Refused: transactions, headers exchanges, bindings between exchanges, arguments of queues (but x-queue-type), bindings and consumers,
// exclusive consumers, a prefetch over a channel, names that no stream may have. A queue is changed 32 times at most (bindings). Queues that
// are not durable outlive a restart. A silent peer is cut after the listener's idle time, not after two heartbeats. Expiration and
// priority are handed on and do nothing. exchange.delete takes what its queues have not had yet along.
//
// # What RabbitMQ does
//
// Measured with RabbitMQ 3.10.8, where the specification is silent or says otherwise; a client may depend on it.
//
//   - A frame may be 8 bytes longer than frame-max. Empty body frames are skipped within a content, and are 505 behind its end.
//   - An ack of a tag that does not wait is 406 on the channel, with multiple too, also of tag 0; tag 0 with multiple is all, and all of none is fine.
//   - confirm.select may be repeated; from tx to confirm mode or back is 406. tx.commit without tx.select is 406.
//   - basic.qos with a prefetch-size, basic.recover without requeue, channel.flow that stops, immediate: 540, which ends the connection.
//   - basic.recover-async is not answered; basic.cancel of an unknown consumer is, as if it had been there; access.request gets ticket 1.
//   - A channel that is not open: 504 "expected 'channel.open'". One opened twice: 504. A method of class connection on it, or a stray
//     close-ok: 503 "unimplemented method". Any other class on channel 0: 504 "unexpected method in connection state running".
//   - A virtual host that is not there: 530 "vhost nope not found". A refused login: 403 for clients that have the capability
//     authentication_failure_close, a closed socket for others.
//   - Confirmations may be one by one even when they could be joined; every client captured here takes both.
//   - The properties of a message go out as they came in, byte by byte.
//
// Where its behaviour is an accident, ours is not: it drops the connection without a word on an unknown method (here 540) and on a table
// with an unknown type (here 502), and answers bad properties with 541 (here 501 or 502).
//
// # Promises
//
// See wire and session.
//
// # Imports
//
// broker, broker/record, broker/fault, broker/filter/address, gateway, gateway/amqp091/wire, gateway/amqp091/session, internal/clock.
//
// # Where to start
//
// conn.read and conn.step; session.Conn.Frame.
//
// # How tested
//
// gatewaytest; sessions against the real broker in memory; wire and session with captures of amqp091-go, pika, py-amqp, amqplib and Java.
package amqp091
