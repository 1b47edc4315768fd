// Package usage is who appends and who reads events of which type, as it was seen: the ledger of real traffic, in bounded memory.
//
// # What
//
//	usage.go    Party, What, Use: the words
//	ledger.go   Ledger and Line: counting, the bound, and what becomes of the rest
//	summary.go  what is kept of a ledger over a restart, and how it comes back
//	service.go  which service a party is
//
// # Promises
//
// A ledger holds at most UsesMax uses; the one that was seen longest ago makes room, and is counted among the forgotten. Counting takes a look-up and a
// lock of its line, and allocates nothing for a party and type that are known. Nothing here reads a clock: who counts says when.
//
// # Imports
//
// Nothing of ours.
//
// # Where to start
//
// Ledger in ledger.go.
//
// # How tested
//
// Beside the code: the bound, many who count at once, and summaries that are read back.
package usage
