// Package jsontree is JSON that keeps what a schema's text says: the order of members, and numbers as they are written.
//
// # What
//
// Parse makes a tree of Values; Append writes it, in its own order or in that of the names; Equal compares what is said.
//
// # Promises
//
// Texts nest no deeper than DepthMax and have no more than NodesMax values. A written tree is read as the same tree.
//
// # Imports
//
// Nothing of ours.
//
// # Where to start
//
// Value in jsontree.go.
//
// # How tested
//
// Beside the code, and by the formats that use it.
package jsontree
