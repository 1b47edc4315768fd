// Package tidy is the law of the house, as tests.
//
// # What
//
// One table of rooms (table.go) and rules that are right or wrong, never taste: who may import whom, which words and calls stay where,
// what each package and gateway must have. ARCHITECTURE.md's table is printed from the same one.
//
// # Promises
//
// Every failure names the place and says what to do instead. When a rule is in the way, change the rule here for everyone and say why in
// docs/decisions; do not edit the table to make one build pass.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// table.go, then the rule whose test failed: each rule is one file with its test.
//
// # How tested
//
// Each rule is a function over parsed source, run here over the tree and, in rules_test.go, over small sources that break it.
package tidy
