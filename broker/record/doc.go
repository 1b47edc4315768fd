// Package record is the vocabulary of user data and its one stored encoding.
//
// # What
//
// Record, Header, Offset, Ref and Position; the record batch (magic 2) that is stored, byte for byte as a producer sent it, and that
// every gateway without a batch of its own builds; Event, a CloudEvent 1.0.2, with its way into a record, out of it, and its JSON.
//
//	batch.go    61 bytes of header: parse, check, the two fields that may be patched
//	inflate.go  the records section without its compression, under limits
//	each.go     the records of a batch
//	build.go    a batch from records
//	name.go     stream names and refs; position.go  places in everything
//	event.go    the CloudEvent and its rules; binding.go  event <-> record; eventjson.go, parsejson.go  event <-> JSON; http.go  event -> headers
//
// docs/formats/record-batch.md and docs/formats/cloudevents.md draw what is read and written here.
//
// # Promises
//
// No input makes a decoder panic, and none makes it take more memory than its limits name. What cannot be decoded is a *fault.Error
// that says what and where. Nothing of a record is lost on the way to an event: what has no attribute is kept as a header. Encoders
// are deterministic: the same records give the same bytes. Compression and JSON reuse their buffers; a steady state allocates nothing.
//
// # Imports
//
// broker/fault and the compression libraries. No clock, no I/O.
//
// # Where to start
//
// Record and BatchHeader for the batch, Event for CloudEvents.
//
// # How tested
//
// Tables and properties beside the code; batches are read by and written with an independent implementation (kmsg, kgo); a fuzz target
// for each decoder; the JSON tokenizer is fuzzed against jsontext; the examples of the CloudEvents specification are in testdata.
package record
