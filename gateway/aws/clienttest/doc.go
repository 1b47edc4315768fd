// Package clienttest runs real AWS clients, unchanged, against the real leat binary.
//
// # What
//
// SNS by aws-sdk-go-v2 in this module and by boto3: queues and endpoints that are subscribed, filter policies, FIFO topics, refusals as the clients name
// them; what was published and acknowledged arrives although the node is killed. sns-validator for Node checks the signatures.
//
//	LEAT_BIN     the binary; without it, it is built
//	LEAT_PEERS   where peers are installed; default: leat-peers in the user's cache directory
//
// # Promises
//
// A peer that is not there is installed with its own package manager (pip, npm, Maven). Where that cannot be done, the test is skipped and says so; it never
// passes.
//
// # Imports
//
// aws-sdk-go-v2. It is a module of its own, so that clients stay out of the product's go.mod.
//
// # Where to start
//
// node_test.go starts nodes, peer_test.go finds clients; one file per client.
//
// # How tested
//
// It is the test: go test ./... in this folder.
package clienttest
