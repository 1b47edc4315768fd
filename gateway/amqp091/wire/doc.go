// Package wire is AMQP 0-9-1 in bytes, with RabbitMQ's extensions, as its clients write and expect them.
//
//	protocol   'A' 'M' 'Q' 'P' 0 0 9 1                      once, from the client; the answer is a method, or the header of what is spoken
//	frame      type u8 | channel u16 | size u32 | payload | 0xCE            8 bytes around a payload of size bytes, together ≤ frame-max
//	  1 method     class u16 | method u16 | fields
//	  2 header     class u16 | weight u16 (0) | body size u64 | flags u16 | properties, those whose flag is set, in the order of the flags
//	  3 body       bytes of the body
//	  8 heartbeat  nothing, on channel 0
//	content    method frame, header frame, and body frames until their sizes make up the body's; nothing else on that channel between
//	fields     u8 u16 u32 u64 big endian | shortstr: u8, bytes | longstr: u32, bytes | bits: packed into octets from the lowest
//	table      u32 bytes, then entries: shortstr name | type u8 | value               array: u32 bytes, then entries: type u8 | value
//	  t bool   b B int8 uint8   s u int16 uint16   I i int32 uint32   l L int64   f d float   D u8 scale, u32   S string
//	  x bytes  T u64 seconds    A array   F table   V nothing            (RabbitMQ's letters: the specification's differ in s, l and L)
//
// # What
//
// The protocol header and telling it from other protocols, the rules of tuning, frames, every method of the specification and of
// RabbitMQ's extensions, content headers with their properties, field tables, and the reply codes that errors are answered with.
//
// # Promises
//
// No I/O. Decoders never panic, allocate nothing that grows with their input, and return slices of it: a name, a table or a body is
// valid as long as the frame it came in. What has been decoded encodes to the same bytes, except for bits that mean nothing. Every
// error is an *Error with the reply code and the method for the answer. Bodies are not copied on their way out, beyond BodyBytesCopied.
//
// # Imports
//
// The standard library, and internal/assert.
//
// # Where to start
//
// DecodeFrame and Decoder for what comes in, Writer for what goes out; fields.go for how one description of a method serves both.
//
// # How tested
//
// Every method, property and type of field there and back; golden bytes from the specification's grammar; captures of real clients and
// RabbitMQ decoded and encoded to the same bytes; a fuzz target for each decoder, seeded with them; benchmarks that count allocations.
package wire
