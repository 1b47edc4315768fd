// Package sim runs a shard, its machines and its journal through thousands of small disasters, from one seed, on one goroutine.
//
// # What
//
// A World has a disk in memory that can lose power, a journal on it, a state store, a shard.Stepper and a handful of clients. A seed decides
// who does what next, what goes wrong, and when the power goes. Checkers compare what is stored with what was answered.
//
// # Promises
//
// The same seed gives the same run, line by line of its trace: TestSeed_RunsTheSameTwice. What a fault may do, and what is claimed to
// survive it, stands at the top of faults.go.
//
// # Imports
//
// Everything: only node, cmd and sim see the whole house.
//
// # Where to start
//
// faults.go (the plan), world.go (one step), client.go (who asks), keep.go (the keeper, and readers in the middle of its steps), compact.go
// (which records may be missing), build.go (key modes that are built), desk.go (who receives by subscriptions, in every second seed), till.go (who makes transactions, in every third), check.go
// (what must hold), shadow.go (a second shard that is given every frame and moves nothing: what the first one keeps is compared with it).
//
// # How tested
//
// Each of `go test ./sim`: some hundred seeds, and every seed that ever found something, by name. One seed with its trace:
//
//	go test ./sim -run TestSeeds -seed 1234 -v
//
// For long: go test ./sim -run TestSeeds -for 30m (or -seeds 100000). Readers that race a real broker's keeper, which no seed can repeat:
//
//	go test ./sim -race -run TestRace -race-for 30m
package sim
