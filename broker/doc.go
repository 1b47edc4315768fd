// Package broker is the one way in: every gateway, view and flow goes through it, and name, permission, quota and metrics are handled
// here and nowhere else.
//
// # What
//
// Broker is a concrete type over one or more shards. A namespace lives in one shard. Append, Read, ReadLatest, Follow, Describe and the
// administration of streams and users are its verbs, one file each. It speaks of streams, partitions, records, keys and positions; the
// words of a protocol stay in that protocol's gateway. What streams keep is decided here, too: retention.go, truncate.go, trash.go.
// Subscriptions are subscribe.go (make, describe), member.go (hand over), settle.go, deadletter.go, rewind.go; look.go finds their records.
// What the platform changes is told in a stream of its own (system.go, note.go); audit.go and doctor.go answer who did what, and how it fares.
//
// # Promises
//
// What is answered is durable. Refusals are *fault.Error. All methods may be called by many goroutines. Slices handed in belong to the
// broker from then on; slices handed out are shared and never written to.
//
// # Imports
//
// broker/*, storage/state and storage/journal as given to it at Open; small internal tools.
//
// # Where to start
//
// broker.go, then append.go, read.go, follow.go; subscribe.go and member.go for a gateway that hands events over.
//
// # How tested
//
// The real broker over the memory journal, with one and three shards.
package broker
