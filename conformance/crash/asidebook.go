package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
)

// asideWay is a way to write under a contract that puts aside, and what must then hold.
type asideWay struct {
	name   string
	stream string
	block  int  // one of so many breaks the contract: see broken
	once   bool // what is sent again is known
	places bool // the producer is told the partition and offset of each, also of what is put aside
}

var asideWays = []asideWay{
	{name: "kafka", stream: "kafka", block: 500, once: true, places: true},                        // batches of 500, the next one when it is answered
	{name: "kafka-pipelined", stream: "kafka", block: 500, once: true, places: true},              // several on their way
	{name: "kafka-transaction", stream: "kafka-transaction", block: 50, once: true, places: true}, // committed, aborted, or nobody knows
	{name: "http", stream: "http", block: 100, once: true},                                        // the same source and id again
	{name: "sqs", stream: "sqs.fifo", block: 100, once: true},                                     // the same id of deduplication again
	{name: "amqp", stream: "amqp", block: 100},                                                    // no identity: what was not confirmed may come twice
}

func (w *asideWay) partitions() int {
	if w.places {
		return partitions
	}
	return 1
}

// What a producer knows of an event that it sent.
const (
	asideUnknown   = iota // it may be there
	asidePromised         // it is there
	asideForbidden        // it was aborted
)

// asideEvent is what is sent: its text says all, so that the judge knows what to expect of it.
type asideEvent struct {
	Who   string `json:"who"`
	N     int    `json:"n"`
	Total int    `json:"total"` // the contract: not below zero
	Pad   string `json:"pad"`
}

// broken reports whether an event breaks the contract. Of a block it is a random one; now and then all of them or none.
func (w *asideWay) broken(seed uint64, who string, n int) bool {
	h := crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %s %d", seed, who, n/w.block))
	switch {
	case h%100 == 0:
		return true
	case h%7 == 0:
		return false
	}
	return n%w.block == int(h>>8)%w.block
}

func (w *asideWay) text(seed uint64, who string, n int) string {
	e := asideEvent{Who: who, N: n, Total: 1, Pad: strings.Repeat("x", (n*7)%60)}
	if w.broken(seed, who, n) {
		e.Total = -1
	}
	b, _ := json.Marshal(e)
	return string(b)
}

// asideSent is what one producer has sent.
type asideSent struct {
	way    *asideWay
	state  []int         // of each event
	at     map[int]place // that were told
	groups [][2]int      // transactions of unknown outcome: from, to
	counts map[int]int   // by the judge: how often each was found
	last   map[int32]int // by the judge: the last one found in a partition
}

// asideBook is what producers were promised.
type asideBook struct {
	seed   uint64
	mu     sync.Mutex
	sent   map[string]*asideSent
	wrong  report
	acked  int
	broken int // of those
}

func newAsideBook(seed uint64) *asideBook {
	return &asideBook{seed: seed, sent: map[string]*asideSent{}}
}

func (b *asideBook) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong.add(format, args...)
}

func (b *asideBook) faults() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.wrong
	r.wrong = slices.Clone(r.wrong)
	return cmpReport(&r, nil)
}

func (b *asideBook) introduce(who string, w *asideWay) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[who] = &asideSent{way: w, at: map[int]place{}}
}

// send notes that the next events are on their way.
func (b *asideBook) send(who string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sent[who]
	s.state = append(s.state, make([]int, n)...)
}

// answer notes what is known of events.
func (b *asideBook) answer(who string, from, to, state int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sent[who]
	for n := from; n < to; n++ {
		if s.state[n] == state {
			continue
		}
		if s.state[n] = state; state == asidePromised {
			b.acked++
			if s.way.broken(b.seed, who, n) {
				b.broken++
			}
		}
	}
}

// told notes where an event is said to be.
func (b *asideBook) told(who string, n int, at place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[who].at[n] = at
}

// whole notes that events are there all or none.
func (b *asideBook) whole(who string, from, to int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sent[who]
	s.groups = append(s.groups, [2]int{from, to})
}

// waitingAside is a record in quarantine, as the registry tells it.
type waitingAside struct {
	Ref, Contract, Field, Reason, Stream, Protocol string
	Partition                                      *int32
	Offset                                         *int64
	Value                                          struct{ Text string }
}

// judge says what is wrong about what is stored. stored: by partition, in order.
func (b *asideBook) judge(history map[partitionOf][]stored, asides []waitingAside) *report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &report{wrong: slices.Clone(b.wrong.wrong), more: b.wrong.more}
	for _, s := range b.sent {
		s.counts, s.last = map[int]int{}, map[int32]int{}
	}
	for _, part := range sortedParts(history) {
		for _, e := range history[part] {
			s, n, err := b.find(e.data, part.stream)
			if err != nil {
				r.add("%v: %v", e.at, err)
				continue
			}
			who := fmt.Sprintf("%s %d", nameOf(e.data), n)
			if s.way.broken(b.seed, nameOf(e.data), n) {
				r.add("%v: %s breaks the contract", e.at, who)
			}
			if s.counts[n]++; s.counts[n] == 1 {
				if last, some := s.last[part.partition]; some && n < last {
					r.add("%v: %s comes after %d", e.at, who, last)
				}
				s.last[part.partition] = n
			}
			if told, some := s.at[n]; some && told != e.at && s.state[n] == asidePromised {
				r.add("%v: %s was acknowledged at %v", e.at, who, told)
			}
		}
	}
	for i := range asides {
		b.judgeAside(&asides[i], r)
	}
	for who, s := range b.sent {
		s.counted(who, r)
	}
	return r
}

func (b *asideBook) judgeAside(a *waitingAside, r *report) {
	s, n, err := b.find(a.Value.Text, a.Stream)
	if err != nil {
		r.add("%s: %v", a.Ref, err)
		return
	}
	who := nameOf(a.Value.Text)
	if !s.way.broken(b.seed, who, n) || a.Field != "total" || a.Contract != s.way.stream || a.Reason == "" {
		r.add("%s: %s %d keeps the contract, or this does not say what it breaks: %+v", a.Ref, who, n, a)
	}
	s.counts[n]++
	if told, some := s.at[n]; some && s.state[n] == asidePromised {
		if a.Partition == nil || a.Offset == nil || *a.Partition != told.partition || *a.Offset != told.offset {
			r.add("%s: %s %d was acknowledged at %v, and this says another place", a.Ref, who, n, told)
		}
	}
}

// find is the producer and number of an event, which must be as it was sent.
func (b *asideBook) find(text, stream string) (*asideSent, int, error) {
	var e asideEvent
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return nil, 0, fmt.Errorf("nobody sent %.80q", text)
	}
	s := b.sent[e.Who]
	if s == nil || e.N < 0 || e.N >= len(s.state) || stream != s.way.stream || text != s.way.text(b.seed, e.Who, e.N) {
		return nil, 0, fmt.Errorf("nobody sent %.80q to %s", text, stream)
	}
	return s, e.N, nil
}

func nameOf(text string) string {
	var e asideEvent
	_ = json.Unmarshal([]byte(text), &e) // find has
	return e.Who
}

// counted judges how often each event of a producer was found, in its stream and in quarantine together: which of both was looked at there.
func (s *asideSent) counted(who string, r *report) {
	for n, state := range s.state {
		switch found := s.counts[n]; {
		case state == asidePromised && found == 0:
			r.add("LOST: %s %d was acknowledged", who, n)
		case state == asideForbidden && found > 0:
			r.add("%s %d is there, and was aborted", who, n)
		case s.way.once && found > 1:
			r.add("%s %d is there %d times", who, n, found)
		}
	}
	for _, g := range s.groups {
		found := 0
		for n := g[0]; n < g[1]; n++ {
			found += min(s.counts[n], 1)
		}
		if found != 0 && found != g[1]-g[0] {
			r.add("of a transaction of %s, %d to %d, %d are there", who, g[0], g[1]-1, found)
		}
	}
}

var errGaveUp = errors.New("it was not answered although the node runs")
