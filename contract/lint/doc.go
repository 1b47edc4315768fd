// Package lint looks at the schema of an event as a reader of the event would: does it say enough to be used without asking back?
//
// # What
//
//	lint.go    Check: a schema and what is known around it in, findings out; which rules are switched off
//	rules.go   the rules, each with its name, severity, sentence and advice
//	words.go   names of fields, cut into words, and the lists of words that rules know
//
// # Promises
//
// Pure; the same findings for the same schema, in the order of the rules. It knows fields by their paths, so it works for every format. Rules may be
// switched off in the metadata of a schema, and the report says which and why.
//
// # Imports
//
// contract.
//
// # Where to start
//
// rules.go.
//
// # How tested
//
// Schemas of all formats, good and bad, with their findings as text.
package lint
