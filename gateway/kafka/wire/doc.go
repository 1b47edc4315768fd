// Package wire is the Kafka protocol in bytes, as far as the generic codec is too slow or too generous with memory for it.
//
// # What
//
// Request headers, Produce and Fetch in both directions, and Metadata responses, for the versions that the gateway advertises, in the
// plain and in the "flexible" (compact lengths, tagged fields) encoding. All other requests are decoded by kmsg.
//
// # Promises
//
// No I/O. Decoders never panic, never allocate more than a small multiple of their input, and return slices of it: names and record
// batches are not copied, so they live as long as the frame. Encoders append to what they are given.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// Reader, then Produce.Decode and AppendProduceResponse; Fetch.Decode and FetchResponse.
//
// # How tested
//
// Every encoder and decoder against kmsg for every version; a fuzz target for each decoder, seeded with captures of real clients.
package wire
