package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// part is a partition.
type part struct {
	topic     string
	partition int32
}

func (p part) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// one is a record as it is compared.
type one struct {
	key, text string // text is all of it
	null      bool   // a tombstone
}

func oneOf(r *kgo.Record) one {
	return one{string(r.Key), fmt.Sprintf("%d %q %v %q %v %v", r.Timestamp.UnixMilli(), r.Key, r.Key == nil, r.Value, r.Value == nil, r.Headers), r.Value == nil}
}

// read is a partition as it was read, of what is committed.
type read struct {
	start, end int64
	records    map[int64]one
}

// report gathers what is wrong, up to a limit.
type report struct {
	wrong []string
	more  int
}

const wrongMax = 20

func (r *report) add(format string, args ...any) {
	if len(r.wrong) == wrongMax {
		r.more++
		return
	}
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// same is the rule for a topic of which nothing is removed.
func (r *report) same(p part, there, here *read) {
	r.ends(p, there, here)
	for at, w := range there.records {
		if got, is := here.records[at]; !is {
			r.add("LOST: %v: nothing is at %d, there %.80s", p, at, w.text)
		} else if got != w {
			r.add("%v: at %d is %.80s, there %.80s", p, at, got.text, w.text)
		}
	}
	for at, got := range here.records {
		if _, is := there.records[at]; !is {
			r.add("%v: at %d is %.80s, there nothing", p, at, got.text)
		}
	}
}

func (r *report) ends(p part, there, here *read) {
	if there.end != here.end {
		r.add("%v ends at %d, there at %d", p, here.end, there.end)
	}
}

// trimmed is the rule where the beginning of the log goes away: what is still there is here, and what is here was sent so.
func (r *report) trimmed(p part, there, here *read, sent map[int64]one) (lost int) {
	r.ends(p, there, here)
	from := max(there.start, here.start)
	for at, w := range there.records {
		if got, is := here.records[at]; at >= from && (!is || got != w) {
			r.add("LOST: %v: at %d is %.80s, there %.80s", p, at, got.text, w.text)
		}
	}
	for at, got := range here.records {
		if sent[at] != got {
			r.add("%v: at %d is %.80s, sent was %.80s", p, at, got.text, sent[at].text)
		}
	}
	for at := range sent {
		if _, is := here.records[at]; at >= here.start && !is {
			lost++
		}
	}
	return lost
}

// compacted is the rule for a topic that keeps the newest of each key: it is the same one, and what is here was sent so.
func (r *report) compacted(p part, there, here *read, sent map[int64]one) {
	r.ends(p, there, here)
	newest := func(m map[int64]one) map[string]int64 {
		out := map[string]int64{}
		for _, at := range slices.Sorted(maps.Keys(m)) {
			out[m[at].key] = at
		}
		return out
	}
	for at, got := range here.records {
		if sent[at] != got {
			r.add("%v: at %d is %.80s, sent was %.80s", p, at, got.text, sent[at].text)
		}
	}
	mine := newest(here.records)
	for key, at := range newest(sent) {
		if at2, is := mine[key]; (!is || at2 != at) && !sent[at].null {
			r.add("LOST: %v: the newest of %q is at %d, here at %d", p, key, at, at2)
		} else if is && at2 != at {
			r.add("%v: %q was deleted at %d, and is here at %d", p, key, at, at2)
		}
	}
	for key, at := range newest(there.records) {
		if mine[key] != at && !sent[at].null {
			r.add("LOST: %v: the newest of %q is there at %d, here at %d", p, key, at, mine[key])
		}
	}
}

// consumed is the rule for a group: every record once, on both sides together.
func (r *report) consumed(group string, p part, records map[int64]one, seen []int64) {
	got := map[int64]int{}
	for _, at := range seen {
		if got[at]++; got[at] == 2 {
			r.add("%s was given %v %d twice", group, p, at)
		}
		if _, is := records[at]; !is {
			r.add("%s was given %v %d, where nothing is", group, p, at)
		}
	}
	for at := range records {
		if got[at] == 0 {
			r.add("LOST: %s was not given %v %d", group, p, at)
		}
	}
	if !slices.IsSorted(seen) {
		r.add("%s was given %v out of order", group, p)
	}
}
