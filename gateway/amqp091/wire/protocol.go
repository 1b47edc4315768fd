package wire

import "bytes"

// Protocol is what a peer speaks, by the first bytes it sends.
type Protocol uint8

// What can be told apart. The gateway answers AMQP 0-9-1, hands AMQP 1.0 to the gateway that speaks it, and refuses the rest with the
// header of what it would have spoken, as the specification wants it.
const (
	NotAMQP       Protocol = iota // neither of what follows
	AMQP091                       // AMQP 0 0 9 1; also AMQP 1 1 0 9, which is 0-9 as old clients write it and differs in nothing they use
	AMQPOther                     // AMQP and a version that nobody here speaks
	AMQP10                        // AMQP 0 1 0 0
	AMQP10TLS                     // AMQP 2 1 0 0
	AMQP10SASL                    // AMQP 3 1 0 0
	LooksLikeTLS                  // a TLS client hello
	LooksLikeHTTP                 // GET, POST …
)

// ProtocolBytes is the length of a protocol header.
const ProtocolBytes = 8

// Header is what a client of this version sends first, and a server to whoever sent something else.
const Header = "AMQP\x00\x00\x09\x01"

// DecodeProtocol tells what a peer speaks from the first bytes it sent. done is false when more of them are needed, of at most
// ProtocolBytes: a peer that speaks something else is told so without being waited for.
func DecodeProtocol(b []byte) (p Protocol, done bool) {
	const start = "AMQP"
	switch n := min(len(b), len(start)); {
	case string(b[:n]) != start[:n]:
		return foreign(b)
	case len(b) < ProtocolBytes:
		return NotAMQP, false
	}
	switch [4]byte(b[4:8]) {
	case [4]byte{0, 0, 9, 1}, [4]byte{1, 1, 0, 9}:
		return AMQP091, true
	case [4]byte{0, 1, 0, 0}:
		return AMQP10, true
	case [4]byte{2, 1, 0, 0}:
		return AMQP10TLS, true
	case [4]byte{3, 1, 0, 0}:
		return AMQP10SASL, true
	}
	return AMQPOther, true
}

// foreign names the protocols that clients with a wrong address or without a TLS setting speak, for the log.
func foreign(b []byte) (p Protocol, done bool) {
	for _, method := range []string{"GET ", "PUT ", "POST ", "HEAD ", "DELETE ", "OPTIONS ", "PRI * "} {
		if n := min(len(b), len(method)); string(b[:n]) == method[:n] {
			return LooksLikeHTTP, n == len(method)
		}
	}
	if hello := []byte{0x16, 0x03}; bytes.HasPrefix(hello, b[:min(len(b), 2)]) {
		return LooksLikeTLS, len(b) >= 2
	}
	return NotAMQP, true
}
