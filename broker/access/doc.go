// Package access decides who may do what: principals, grants, quotas, secrets. Pure decisions on values.
//
// # What
//
// A User has secrets, which are only kept hashed, and grants (action, kind, pattern). Allows answers a question, Hash and the Check
// methods handle secrets: passwords as SCRAM keys of both hashes (RFC 5802, RFC 7677), tokens as SHA-256 of a random value.
// A Quota says how much somebody may append a second; a Bucket counts it, with the time it is told.
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
// access.go, secret.go, quota.go.
//
// # How tested
//
// access_test.go, with the RFCs' vectors; quota_test.go, second by second.
package access
