// Package kafkagroup says which subscription stands for which consumer group of Kafka.
//
// # What
//
// Name, and the document by which such a subscription is known. The gateway needs it, whose groups they are, and links, which bring groups of other
// clusters.
//
// # Promises
//
// Different groups have different names, and every name is one that a subscription may have.
//
// # Imports
//
// broker/record, for the rules of names.
//
// # Where to start
//
// Name.
//
// # How tested
//
// Ids of all kinds, that look like one another.
package kafkagroup
