// Package address finds, for a record, the subscriptions whose address filters it meets.
//
// # What
//
// A Clause is one address filter: a stream, and conditions on subject, key, type and named headers. An Index holds the clauses of all
// subscriptions of a shard; a Matcher holds one record against it. (Sets of who is reached get a number, a route, in
// broker/subscription.)
//
//	stream ─┬─ terms     a hash trie: exact values, prefixes by length, headers by name and value
//	        ├─ patterns  a tree of words for each attribute and syntax, walked with all wildcards at once
//	        └─ all       clauses without a condition
//
// A clause with several conditions stands under the one that fewest others share; the rest is held against the records that get there.
//
// # Promises
//
// An Index is never changed; each change gives another one and costs some microseconds whatever their size. The cost of a
// match hardly depends on how many clauses there are: look-ups for what a record has, and a walk bounded by SubjectWordsMax times the
// nodes reached, however hostile the patterns. A Matcher allocates nothing in a
// steady state.
//
// # Imports
//
// broker/record and broker/fault.
//
// # Where to start
//
// Index.Add, Matcher.Match.
//
// # How tested
//
// Tables of patterns, among them those that brokers publish; random clauses, records and changes against a naive model, on every
// snapshot; hostile patterns by counting steps; allocations; a fuzz target for patterns.
package address
