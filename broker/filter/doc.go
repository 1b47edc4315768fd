// Package filter decides which events someone wants, by their content. (Which subscriptions an event reaches by its address is the
// matter of filter/address.)
//
// # What
//
// A Filter is a CEL expression over one event. The names are the same everywhere: id source type subject time data headers stream key
// partition offset. An Input is one event as filters see it; what costs something (decoding data, the map of headers) is made when a
// filter first touches it, and once for all filters of that event.
//
// A Predicate is a filter of any language as one kind of tree with three-valued logic. An Extract reads the fields that predicates look
// at, each once per event, whatever the number of predicates.
//
//	CEL       CompileCEL       pushdown.go, clauses.go   parts that are more than fields against constants stay CEL
//	policies  CompilePolicy    policy.go, rule.go, typed.go   JSON filter policies of subscription services
//	SQL       CompileSelector  lex.go, selector*.go, term.go   selectors and rules in SQL-92
//	          Predicate        predicate.go              Match, Explain, Failing, Errors
//	          Extract          field.go, extract.go, walk.go, value.go
//
// # Promises
//
// A filter is checked when it is compiled: its refusal is Invalid and says where (line and column, path in the policy, character of the
// selector). Matching is bounded: the length and depth of filters are, an expression that loops has a cost limit, regular expressions run in
// linear time, and patterns never go back by more than one wildcard. An error while matching is no match; it is counted and handed back to
// be shown. Explain says which clause failed, and what the event had. CompileCEL means what Compile means.
//
// # Imports
//
// broker/record, broker/fault, and cel-go.
//
// # Where to start
//
// Compile and Filter.Match; Predicate.Match and Extract.
//
// # How tested
//
// Tables of expressions and events, bounds on what hostile expressions cost, and fuzz targets from text to match for each language. CEL as
// a tree is fuzzed against CEL itself; policies are held against what their documentation says, selectors against the published
// tests of a message broker, LIKE and the walk through data against their definitions.
package filter
