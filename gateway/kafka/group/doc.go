// Package group is the machine of a consumer group: who is in it, in which generation, and who reads what.
//
// # What
//
// Classic is a group of the older protocol, where members join, one of them says who reads what, and all sync (JoinGroup, SyncGroup, Heartbeat,
// LeaveGroup). It follows Apache Kafka's coordinator in what it answers, state by state. Offsets are no part of it.
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
// classic.go, which draws the states; join.go and sync.go are the protocol, tick.go is time, ledger.go what is kept.
//
// # How tested
//
// Scripts in testdata/scripts; a model that lets many members come, go and crash and looks that no partition has two owners; real clients in ../clienttest.
package group
