package group

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// ID is the id of a topic, which no other one has had or will have.
type ID [16]byte

// MarshalText writes it as hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads them.
func (id *ID) UnmarshalText(p []byte) error {
	if len(p) != 2*len(id) {
		return fmt.Errorf("the id of a topic has %d digits, not %d", 2*len(id), len(p))
	}
	_, err := hex.Decode(id[:], p)
	return err
}

// Topic is what a group needs to know of a topic.
type Topic struct {
	ID         ID
	Name       string
	Partitions int32
}

// Topics are those that a group can read, at one moment.
type Topics interface {
	// Version is another one when a topic came, went or has more partitions.
	Version() uint64
	// Topic is the topic of a name, false if there is none.
	Topic(name string) (Topic, bool)
	// Each calls fn for all that whoever asks may know of.
	Each(fn func(Topic))
}

// Parts are partitions: of each topic some, in order. What has been handed out is never changed.
type Parts map[ID][]int32

type part struct {
	topic ID
	n     int32
}

func (p Parts) has(x part) bool {
	_, found := slices.BinarySearch(p[x.topic], x.n)
	return found
}

// count is how many partitions there are.
func (p Parts) count() (n int) {
	for _, ns := range p {
		n += len(ns)
	}
	return n
}

func (p Parts) equal(q Parts) bool { return maps.EqualFunc(p, q, slices.Equal) }

// split are the partitions of p for which keep is true, and the others.
func (p Parts) split(keep func(part) bool) (yes, no Parts) {
	yes, no = Parts{}, Parts{}
	for id, ns := range p {
		for _, n := range ns {
			if keep(part{id, n}) {
				yes[id] = append(yes[id], n)
			} else {
				no[id] = append(no[id], n)
			}
		}
	}
	return yes, no
}

// with are the partitions of both.
func (p Parts) with(q Parts) Parts {
	out := Parts{}
	for id, ns := range p {
		out[id] = slices.Clone(ns)
	}
	for id, ns := range q {
		out[id] = append(out[id], ns...)
		slices.Sort(out[id])
		out[id] = slices.Compact(out[id])
	}
	return out
}

// within reports whether all of p are in q.
func (p Parts) within(q Parts) bool {
	for id, ns := range p {
		for _, n := range ns {
			if !q.has(part{id, n}) {
				return false
			}
		}
	}
	return true
}

// PartsOf makes Parts of what a client says, which may be in any order and say things twice.
func PartsOf(each func(add func(id ID, n int32))) Parts {
	p := Parts{}
	each(func(id ID, n int32) { p[id] = append(p[id], n) })
	for id := range p {
		slices.Sort(p[id])
		p[id] = slices.Compact(p[id])
	}
	return p
}
