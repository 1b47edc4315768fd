// Package session is what an AMQP 0-9-1 broker remembers of a connection, as machines without I/O, clock or goroutine.
//
// # What
//
//	Conn       frames in, steps out: handshake, tuning, channels, modes, contents put together; what may come when, and what is answered
//	           when it may not
//	Unacked    the deliveries of a channel that wait for their ack, by tag
//	Tx         what a transactional channel has published and acknowledged since its last commit
//	Heartbeat  when to send one, and when a peer is gone
//
// Conn decides nothing about exchanges, queues and messages: it hands the gateway what to do, and the gateway answers through it where
// the answer moves the connection on. The other machines are apart from it because they belong to whoever writes, not to whoever reads.
//
// # Promises
//
// Everything is bounded: contents under way by ContentBytesMax and HeldBytesMax, transactions by TxBytesMax and TxItemsMax, channels by
// what was tuned; the rest by what the gateway lets be under way. A publish that arrives in frames and an ack allocate
// nothing in the steady state. Refusals have RabbitMQ's codes, and its texts where clients are known to look at them. No machine may be
// used by two goroutines at once.
//
// # Imports
//
// gateway/amqp091/wire, internal/assert.
//
// # Where to start
//
// Conn.Frame, with testdata/scripts/handshake.txt beside it.
//
// # How tested
//
// Scripts, whose refusals are those that RabbitMQ 3.10 gave to the same frames; the captured sessions of real clients with RabbitMQ,
// both sides; Unacked against a simple model with random histories; a fuzz target that feeds Conn frames of any kind.
package session
