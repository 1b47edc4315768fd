// Package journaltest is the suite that every journal engine passes.
//
// # What
//
// Run opens an engine again and again through a Store and checks each sentence of the journal.Journal contract.
//
// # Promises
//
// A failure names the rule that was broken.
//
// # Imports
//
// journal, testing.
//
// # Where to start
//
// Run.
//
// # How tested
//
// By the engines that pass it.
package journaltest
