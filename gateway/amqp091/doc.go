// Package amqp091 is AMQP 0-9-1 with RabbitMQ's extensions. What is here so far needs no broker: the codec and the machines of a session.
// No listener speaks it yet.
//
// # What
//
//	wire/                 bytes ↔ values
//	session/              what a connection remembers: frames in, steps out; confirmations, unacknowledged deliveries, transactions
//	testdata/captures/    sessions of real clients with RabbitMQ 3.10.8
//
// The parts meet like this. One goroutine reads, one writes; Unacked, Confirms and Prefetch are reached by both and have a lock per channel.
//
//	reader   wire.DecodeFrameHead before memory is taken → wire.DecodeFrame → session.Conn.Frame → Step
//	           Publish   → translate; append; mandatory without a match: basic.return first; then Confirms.Settle, whose Flush the writer calls
//	           Call      → the broker → Writer.Method, or Conn.Fail with a *wire.Error
//	           acks      → Unacked.Take → the subscription; in a transaction Tx.Settle until the commit
//	           an error of DecodeFrame: nothing behind it can be understood; Conn.Fail on channel 0, write, close the socket
//	writer   deliveries → Unacked.Add gives the tag → Writer.Content → Pieces into one vectored write (AppendTo over TLS) → Reset
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
// Nothing yet.
//
// # Where to start
//
// session.Conn.Frame, and session/testdata/scripts/handshake.txt.
//
// # How tested
//
// In wire and session: captures of amqp091-go, pika, py-amqp, amqplib and the Java client decode and encode to the same bytes, and their
// sessions go through Conn.
package amqp091
