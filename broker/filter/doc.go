// Package filter decides which events someone wants, by their content.
//
// # What
//
// A Filter is a CEL expression over one event. The names are the same everywhere: id source type subject time data headers stream key
// partition offset. An Input is one event as filters see it; what costs something (decoding data, the map of headers) is made when a
// filter first touches it, and once for all filters of that event.
//
// # Promises
//
// An expression is checked when it is compiled: its refusal is Invalid, about "where", and says line and column. Matching is bounded:
// the expression's length and depth are, an expression that loops has a cost limit, and regular expressions run in linear time. An
// error while matching is no match; it is counted and handed back to be shown.
//
// # Imports
//
// broker/record, broker/fault, and cel-go.
//
// # Where to start
//
// Compile and Filter.Match.
//
// # How tested
//
// Tables of expressions and events, bounds on what hostile expressions cost, and a fuzz target from text to match.
package filter
