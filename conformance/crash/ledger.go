package main

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// place is where an event is stored.
type place struct {
	stream    string
	partition int32
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%s/%d/%d", p.stream, p.partition, p.offset) }

func parsePlace(ref string) (place, error) {
	parts := strings.Split(ref, "/")
	if len(parts) != 3 {
		return place{}, fmt.Errorf("ref %q", ref)
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return place{}, fmt.Errorf("ref %q: %w", ref, err)
	}
	offset, err := strconv.ParseInt(parts[2], 10, 64)
	return place{parts[0], int32(partition), offset}, err
}

// promise is an event of a producer that was answered.
type promise struct {
	producer string
	seq      int
	at       place
	key      string
	version  uint64 // 0: none was answered
}

// rules are what holds for all events of a producer.
type rules struct {
	unique  bool // no event is there twice
	ordered bool // in each partition, first occurrences are in the order they were sent
	group   int  // all or nothing: events whose seq/group is the same (over all streams), 0 for none
	streams int  // each event is in this many streams
}

// ledger holds what was promised. Producers write, the checker takes copies.
type ledger struct {
	seed     uint64
	mu       sync.Mutex
	rules    map[string]rules
	promises []promise
	faults   []string // what a producer was answered and must not have been
}

func newLedger(seed uint64) *ledger { return &ledger{seed: seed, rules: map[string]rules{}} }

func (l *ledger) keep(p ...promise) {
	l.mu.Lock()
	l.promises = append(l.promises, p...)
	l.mu.Unlock()
}

// fault notes an answer that is wrong in itself.
func (l *ledger) fault(format string, args ...any) {
	l.mu.Lock()
	if len(l.faults) < faultsMax {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
	l.mu.Unlock()
}

func (l *ledger) promised() ([]promise, map[string]rules, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Promises are only appended, so the slice may be read without the lock.
	return l.promises[:len(l.promises):len(l.promises)], l.rules, append([]string(nil), l.faults...)
}

// payload is the data of a producer's event: who, which, and bytes that follow from both, so that a changed one is noticed and can be
// told from a foreign one.
//
//	p03-http-single 17 <filler of 0..paddingMax letters> <crc32 of all before>
func payload(seed uint64, producer string, seq int) string {
	r := rand.New(rand.NewPCG(seed^uint64(crc32.ChecksumIEEE([]byte(producer))), uint64(seq)))
	b := append(make([]byte, 0, paddingMax+64), producer...)
	b = strconv.AppendInt(append(b, ' '), int64(seq), 10)
	b = append(b, ' ')
	n := r.IntN(paddingMax)
	if r.IntN(largeOneIn) == 0 {
		n = largeBytes
	}
	for range n {
		b = append(b, 'a'+byte(r.Uint32()%26))
	}
	return fmt.Sprintf("%s %08x", b, crc32.ChecksumIEEE(b))
}

// owner reads who sent a payload, and which it is.
func owner(data string) (producer string, seq int, err error) {
	parts := strings.SplitN(data, " ", 3)
	if len(parts) != 3 {
		return "", 0, fmt.Errorf("no payload of ours: %.80q", data)
	}
	seq, err = strconv.Atoi(parts[1])
	return parts[0], seq, err
}

const (
	paddingMax = 300
	largeOneIn = 500
	largeBytes = 60_000
	faultsMax  = 20
)
