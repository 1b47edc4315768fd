// Package group is the machine of a consumer group: who is in it, in which generation, and who reads what.
//
// # What
//
// Classic is a group of the older protocol, where members join, one of them says who reads what, and all sync (JoinGroup, SyncGroup, Heartbeat,
// LeaveGroup). Consumer is one of the newer protocol (KIP-848), where the group says who reads what, and each member gets there heartbeat by heartbeat.
// Both follow Apache Kafka's coordinator in what they answer. Offsets are no part of them.
//
// # Promises
//
// Steppable: commands and the time in, answers and rows out; no goroutine, no clock, no chance, no I/O. One caller at a time. What is to be kept is in
// Unsaved, and is to be kept before what Take gives is told to anybody; a group loaded from its rows stands in the same generation with the same members.
// What members say is bounded by Config.
//
// # Imports
//
// The standard library.
//
// # Where to start
//
// classic.go, which draws the states; join.go and sync.go are the protocol, tick.go is time. consumer.go, which draws how a member gets to its target;
// assign.go shares out. ledger.go and consumerledger.go are what is kept.
//
// # How tested
//
// Scripts in testdata/scripts; models that let members come, go and die, lose answers and crash the node, and look that nothing has two owners and in the
// end everything has one; real clients in ../clienttest.
package group
