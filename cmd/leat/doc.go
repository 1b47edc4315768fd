// Leat is the binary: a node, and the commands that talk to one.
//
// # What
//
// One file for each command. Commands that work on a node speak its HTTP API and nothing else, so that they work from any machine and are
// a test of it; commands that work on a data directory (journal) open it themselves and need the node stopped.
//
// # Promises
//
// What is asked for goes to standard output, everything else (progress, questions, errors) to standard error. On a terminal a list is an
// aligned table; in a pipe it is tab-separated with the same columns and one header line; -o json is for programs and stays as it is.
// Exit codes are those of exit.go and documented in docs/operate/cli.md. Nothing is deleted without the name being typed or --yes.
//
// # Imports
//
// Everything; it is the top of the house. gateways.go lists the protocols in this binary.
//
// # Where to start
//
// main.go, then the command's file.
//
// # How tested
//
// cli_test.go runs commands in process against a small HTTP API of the same shape (fake_test.go).
package main
