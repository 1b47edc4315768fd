// Package access decides who may do what: principals, grants, quotas, secrets. Pure decisions on values.
//
// # What
//
// A User has secrets, which are only kept hashed, and grants (action, kind, pattern). Allows answers a question, Hash and the Check
// methods handle secrets: passwords as SCRAM keys of both hashes (RFC 5802, RFC 7677), tokens as SHA-256 of a random value.
//
// # Promises
//
// Nothing here keeps or logs a password or token. Comparing takes the same time whatever is wrong.
//
// # Imports
//
// broker/fault and the standard library.
//
// # Where to start
//
// access.go, secret.go.
//
// # How tested
//
// access_test.go, with the RFCs' vectors.
package access
