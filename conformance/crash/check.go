package main

import (
	"fmt"
	"slices"
)

// stored is an event as a reader was given it.
type stored struct {
	at   place
	key  string
	data string
}

// checker compares what is stored with what was promised, and with what earlier checks have read.
type checker struct {
	seed uint64
	seen map[partitionOf][]uint64 // hash of each event read, by offset
}

type partitionOf struct {
	stream    string
	partition int32
}

func newChecker(seed uint64) *checker {
	return &checker{seed: seed, seen: map[partitionOf][]uint64{}}
}

// report gathers what is wrong, up to a limit.
type report struct {
	wrong []string
	more  int
}

func (r *report) add(format string, args ...any) {
	if len(r.wrong) == faultsMax {
		r.more++
		return
	}
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// check judges one reading of everything. Promises must have been taken before the reading began; what was promised since may be there.
func (c *checker) check(history map[partitionOf][]stored, promises []promise, all map[string]rules, faults []string) *report {
	r := &report{wrong: faults}
	occurrences := map[eventOf][]place{}
	for _, part := range sortedParts(history) {
		c.partition(r, part, history[part], all, occurrences)
	}
	c.kept(r, history, promises)
	for e, places := range occurrences {
		rule := all[e.producer]
		if rule.unique && len(places) != rule.streams {
			r.add("%s %d is stored %d times, want %d: %v", e.producer, e.seq, len(places), rule.streams, places)
		}
	}
	wholeGroups(r, occurrences, all)
	return r
}

type eventOf struct {
	producer string
	seq      int
}

// partition checks one partition by itself: dense, unaltered, in order, and the same as it was.
func (c *checker) partition(r *report, part partitionOf, events []stored, all map[string]rules, occurrences map[eventOf][]place) {
	before := c.seen[part]
	if len(events) < len(before) {
		r.add("%v: %d events were read before, now there are %d", part, len(before), len(events))
	}
	last := map[string]int{}
	now := make([]uint64, len(events))
	for i, e := range events {
		if e.at.offset != int64(i) {
			r.add("%v: offset %d follows %d", part, e.at.offset, i-1)
			return
		}
		now[i] = hash(e.key, e.data)
		if i < len(before) && before[i] != now[i] {
			r.add("%v: an earlier reader was given something else here than %.60q", e.at, e.data)
		}
		producer, seq, err := owner(e.data)
		rule, known := all[producer]
		if err != nil || !known || e.data != payload(c.seed, producer, seq) {
			r.add("%v: nobody sent %.80q (%d bytes)", e.at, e.data, len(e.data))
			continue
		}
		id := eventOf{producer, seq}
		if before := occurrences[id]; !rule.unique && slices.ContainsFunc(before, func(p place) bool { return p.stream == part.stream }) {
			occurrences[id] = append(before, e.at)
			continue // a duplicate, which is allowed, says nothing about order
		}
		occurrences[id] = append(occurrences[id], e.at)
		if l, ok := last[producer]; ok && rule.ordered && seq < l {
			r.add("%v: %s %d comes after %d", e.at, producer, seq, l)
		}
		last[producer] = seq
	}
	c.seen[part] = now
}

// kept checks that every promise is where it was said to be, and that versions are without gaps.
func (c *checker) kept(r *report, history map[partitionOf][]stored, promises []promise) {
	versions := map[string]map[uint64]promise{}
	for _, p := range promises {
		events := history[partitionOf{p.at.stream, p.at.partition}]
		if p.at.offset < 0 || p.at.offset >= int64(len(events)) {
			r.add("LOST: %s %d was acknowledged at %v, where nothing is", p.producer, p.seq, p.at)
			continue
		}
		if e := events[p.at.offset]; e.data != payload(c.seed, p.producer, p.seq) || e.key != p.key {
			r.add("LOST: %s %d was acknowledged at %v, where key %q, %.60q is", p.producer, p.seq, p.at, e.key, e.data)
		}
		if p.version == 0 {
			continue
		}
		if versions[p.key] == nil {
			versions[p.key] = map[uint64]promise{}
		}
		if q, ok := versions[p.key][p.version]; ok && (q.producer != p.producer || q.seq != p.seq) {
			r.add("version %d of key %s was given to %s %d and to %s %d", p.version, p.key, q.producer, q.seq, p.producer, p.seq)
		}
		versions[p.key][p.version] = p
	}
	// The n-th event of a key has version n: every event of these streams was appended with an expected version.
	count := map[string]uint64{}
	for _, part := range sortedParts(history) {
		if part.stream != conditionalStream {
			continue
		}
		for _, e := range history[part] {
			count[e.key]++
			if p, ok := versions[e.key][count[e.key]]; ok && p.at != e.at {
				r.add("version %d of key %s was answered at %v and is at %v", count[e.key], e.key, p.at, e.at)
			}
		}
	}
	for key, v := range versions {
		for n := range v {
			if n > count[key] {
				r.add("version %d of key %s was answered, but the key has %d events", n, key, count[key])
			}
		}
	}
}

// wholeGroups checks that what was sent as one is there as one.
func wholeGroups(r *report, occurrences map[eventOf][]place, all map[string]rules) {
	found := map[eventOf]int{} // seq is the group's number
	for e := range occurrences {
		if g := all[e.producer].group; g > 0 {
			found[eventOf{e.producer, e.seq / g}]++
		}
	}
	for g, n := range found {
		if want := all[g.producer].group; n != want {
			r.add("of group %d of %s, %d of %d events are stored", g.seq, g.producer, n, want)
		}
	}
}

func sortedParts(history map[partitionOf][]stored) []partitionOf {
	parts := make([]partitionOf, 0, len(history))
	for p := range history {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b partitionOf) int {
		if a.stream != b.stream {
			if a.stream < b.stream {
				return -1
			}
			return 1
		}
		return int(a.partition - b.partition)
	})
	return parts
}

// hash is FNV-1a; its only use is to notice a change.
func hash(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range parts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}
