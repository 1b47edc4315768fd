// Package connect runs what `leat connect` prints: a program for each protocol and language, against the real binary.
//
// # What
//
// Without users, and with a user over TLS. Programs in Go are compiled and run here; those in Python, JavaScript and Java where their client
// libraries can be installed (python3 with venv, npm, Maven), else they are skipped, one by one.
//
// # Promises
//
// A program runs as it was printed, unchanged.
//
// # Imports
//
// The client libraries in Go are dependencies of the printed programs, not of the test.
//
// # Where to start
//
// connect_test.go; peers_test.go installs.
//
// # How tested
//
// It is the test.
package connect
