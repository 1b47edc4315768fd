package group

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Assignors of this side. Each says who is to own what; both are given who was to own what before.
const (
	Uniform = "uniform" // as even as can be, and nothing moves that need not
	Range   = "range"   // of each topic a run of neighbours, so that the same numbers of several topics are with the same member
)

// Assignors are their names, the first one being that of groups whose members do not say.
var Assignors = []string{Uniform, Range}

// subscriber is a member as an assignor sees it.
type subscriber struct {
	id     string
	order  string // members are taken in this order: a static one by its instance, which stays when it restarts
	topics []ID   // sorted
	before Parts  // what it was to own
}

// reads reports whether it is subscribed to a topic.
func (s *subscriber) reads(id ID) bool {
	_, found := slices.BinarySearchFunc(s.topics, id, compareID)
	return found
}

func compareID(a, b ID) int { return bytes.Compare(a[:], b[:]) }

// assign says who is to own what: every partition of a topic that somebody reads has one owner, who reads it.
func assign(assignor string, ss []*subscriber, topics map[ID]Topic) map[string]Parts {
	slices.SortFunc(ss, func(a, b *subscriber) int {
		return cmp.Or(strings.Compare(a.order, b.order), strings.Compare(a.id, b.id))
	})
	if assignor == Range {
		return assignRange(ss, topics)
	}
	return assignUniform(ss, topics)
}

func sortedTopics(topics map[ID]Topic) []Topic {
	ts := make([]Topic, 0, len(topics))
	for _, t := range topics {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b Topic) int { return cmp.Or(strings.Compare(a.Name, b.Name), compareID(a.ID, b.ID)) })
	return ts
}

func assignRange(ss []*subscriber, topics map[ID]Topic) map[string]Parts {
	out := make(map[string]Parts, len(ss))
	for _, s := range ss {
		out[s.id] = Parts{}
	}
	for _, t := range sortedTopics(topics) {
		var readers []*subscriber
		for _, s := range ss {
			if s.reads(t.ID) {
				readers = append(readers, s)
			}
		}
		if len(readers) == 0 {
			continue
		}
		each, extra, at := int(t.Partitions)/len(readers), int(t.Partitions)%len(readers), int32(0)
		for i, s := range readers {
			n := each
			if i < extra {
				n++
			}
			for range n {
				out[s.id][t.ID] = append(out[s.id][t.ID], at)
				at++
			}
		}
	}
	return out
}

// load is a member while partitions are shared out.
type load struct {
	*subscriber
	own map[part]struct{}
}

// assignUniform keeps what can be kept, gives what is free to whoever has least, and then moves from those who have too much to those who have too little.
func assignUniform(ss []*subscriber, topics map[ID]Topic) map[string]Parts {
	loads := make([]*load, len(ss))
	taken := map[part]struct{}{}
	for i, s := range ss {
		l := &load{s, map[part]struct{}{}}
		loads[i] = l
		for id, ns := range s.before {
			t, there := topics[id]
			if !there || !s.reads(id) {
				continue
			}
			for _, n := range ns {
				x := part{id, n}
				if _, double := taken[x]; n < t.Partitions && !double {
					taken[x], l.own[x] = struct{}{}, struct{}{}
				}
			}
		}
	}
	if same(ss) {
		shareEvenly(loads, topics, taken)
	} else {
		shareFairly(loads, topics, taken)
	}
	out := make(map[string]Parts, len(ss))
	for _, l := range loads {
		out[l.id] = PartsOf(func(add func(ID, int32)) {
			for x := range l.own {
				add(x.topic, x.n)
			}
		})
	}
	return out
}

// same reports whether all read the same.
func same(ss []*subscriber) bool {
	for _, s := range ss[min(1, len(ss)):] {
		if !slices.Equal(s.topics, ss[0].topics) {
			return false
		}
	}
	return true
}

// free are the partitions that nobody has, topic by topic.
func free(topics map[ID]Topic, taken map[part]struct{}) (xs []part) {
	for _, t := range sortedTopics(topics) {
		for n := range t.Partitions {
			if _, has := taken[part{t.ID, n}]; !has {
				xs = append(xs, part{t.ID, n})
			}
		}
	}
	return xs
}

// shareEvenly is for members that read the same: each is to have n partitions, or n+1. Those who have most already keep the larger shares.
func shareEvenly(loads []*load, topics map[ID]Topic, taken map[part]struct{}) {
	if len(loads) == 0 || len(loads[0].topics) == 0 {
		return
	}
	total := 0
	for _, t := range topics {
		total += int(t.Partitions)
	}
	each, extra := total/len(loads), total%len(loads)
	byLoad := slices.Clone(loads)
	slices.SortStableFunc(byLoad, func(a, b *load) int { return cmp.Compare(len(b.own), len(a.own)) })
	quota := make(map[*load]int, len(loads))
	var spare []part
	for i, l := range byLoad {
		quota[l] = each
		if i < extra {
			quota[l]++
		}
		for len(l.own) > quota[l] {
			x := l.last()
			delete(l.own, x)
			spare = append(spare, x)
		}
	}
	spare = append(spare, free(topics, taken)...)
	for _, l := range loads {
		n := min(max(quota[l]-len(l.own), 0), len(spare))
		for _, x := range spare[:n] {
			l.own[x] = struct{}{}
		}
		spare = spare[n:]
	}
}

// last is the one that goes first when there are too many: always the same of the same.
func (l *load) last() (last part) {
	first := true
	for x := range l.own {
		if first || comparePart(x, last) > 0 {
			last, first = x, false
		}
	}
	return last
}

func comparePart(a, b part) int { return cmp.Or(compareID(a.topic, b.topic), cmp.Compare(a.n, b.n)) }

// shareFairly is for members that read different topics.
func shareFairly(loads []*load, topics map[ID]Topic, taken map[part]struct{}) {
	readers := map[ID][]*load{}
	for _, l := range loads {
		for _, id := range l.topics {
			readers[id] = append(readers[id], l)
		}
	}
	least := func(id ID) *load {
		return slices.MinFunc(readers[id], func(a, b *load) int { return cmp.Compare(len(a.own), len(b.own)) })
	}
	xs := free(topics, taken)
	slices.SortStableFunc(xs, func(a, b part) int { return cmp.Compare(len(readers[a.topic]), len(readers[b.topic])) }) // the least choice first
	for _, x := range xs {
		if len(readers[x.topic]) > 0 {
			least(x.topic).own[x] = struct{}{}
		}
	}
	// Each move makes the difference of two members smaller, so it ends; and it has a limit, should it not be worth its while.
	for moves, moved := 0, true; moved && moves < movesMax; {
		moved = false
		byLoad := slices.Clone(loads)
		slices.SortStableFunc(byLoad, func(a, b *load) int { return cmp.Compare(len(b.own), len(a.own)) })
		for _, l := range byLoad {
			for _, x := range l.sorted() {
				if to := least(x.topic); len(to.own)+1 < len(l.own) {
					delete(l.own, x)
					to.own[x] = struct{}{}
					moves, moved = moves+1, true
				}
			}
		}
	}
}

// movesMax is how many partitions one assignment moves for the sake of evenness.
const movesMax = 100_000

func (l *load) sorted() []part {
	xs := make([]part, 0, len(l.own))
	for x := range l.own {
		xs = append(xs, x)
	}
	slices.SortFunc(xs, comparePart)
	return xs
}
