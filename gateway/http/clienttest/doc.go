// Package clienttest holds the HTTP gateway to real clients: the CloudEvents SDK for Go, Node and Python. It is a module of its own, so
// that their dependencies stay out of Leat's go.mod.
//
// # What
//
// Tests that start the gateway over a real broker in memory and talk to it as their users would. Node and Python are skipped, and say
// so, where they are not installed.
//
// # Promises
//
// None to other packages; nothing is exported.
//
// # Imports
//
// gateway/http and what starts it, and the clients.
//
// # Where to start
//
// sdk_test.go.
//
// # How tested
//
// It is a test: go test ./... in this folder.
package clienttest
