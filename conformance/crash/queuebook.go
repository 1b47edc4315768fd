package main

import (
	"fmt"
	"sync"
	"time"
)

// wrongMax is how many wrongs are told.
const wrongMax = 20

// queueBook holds what was promised about messages and what came of it, and judges each answer as it comes.
//
//	sent        by body: the ids it was acknowledged under     delivered at least once; in FIFO queues one id for one body
//	deletes     by id: when its delete was acknowledged        no receive that began after it has the message
//	groups      by group: the messages whose delete was tried  a message comes when all before it were, or stand before it in the same answer
//	attempts    by id and count: when it was received          each once, whatever was killed
type queueBook struct {
	mu        sync.Mutex
	acked     map[string]string // body → id
	seen      map[string]bool   // bodies received
	ids       map[string]string // of FIFO queues: body → id, as received
	deleted   map[string]time.Time
	tried     map[string]map[int]bool // group → number, a delete was asked for
	floor     map[string]int          // all below were tried
	counts    map[string]map[int]time.Time
	dead      map[string]bool // ids received as dead letters
	wrong     []string
	more      int
	delivered int
}

func newQueueBook() *queueBook {
	return &queueBook{
		acked: map[string]string{}, seen: map[string]bool{}, ids: map[string]string{}, deleted: map[string]time.Time{}, tried: map[string]map[int]bool{},
		floor: map[string]int{}, counts: map[string]map[int]time.Time{}, dead: map[string]bool{},
	}
}

func (b *queueBook) fault(format string, args ...any) {
	if len(b.wrong) >= wrongMax {
		b.more++
		return
	}
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// send notes an acknowledged message. again: it was acknowledged before, with a deduplication id, so it must be the same one.
func (b *queueBook) send(body, id string, fifo bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, ok := b.acked[body]; ok && fifo && was != id {
		b.fault("%s was sent again and has id %s, the first time %s", body, id, was)
	}
	b.acked[body] = id
}

// take notes what a receive that began at a time was answered with.
func (b *queueBook) take(began time.Time, ms []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ms {
		m := &ms[i]
		b.delivered++
		b.seen[m.Body] = true
		if at, ok := b.deleted[m.MessageId]; ok && began.After(at) {
			b.fault("%s (%s) was deleted %v before a receive that has it", m.Body, m.MessageId, began.Sub(at))
		}
	}
}

// takeGroups is take for a FIFO queue. Bodies are GROUP/NUMBER, numbered from 0.
func (b *queueBook) takeGroups(began time.Time, ms []message) {
	b.take(began, ms)
	b.mu.Lock()
	defer b.mu.Unlock()
	here := map[string]map[int]bool{}
	for i := range ms {
		m := &ms[i]
		if id, ok := b.ids[m.Body]; ok && id != m.MessageId {
			b.fault("%s is there twice: %s and %s", m.Body, id, m.MessageId)
		}
		b.ids[m.Body] = m.MessageId
		group, n, err := numbered(m.Body)
		if err != nil || group != m.Attributes.MessageGroupId {
			b.fault("%q is not of group %s: %v", m.Body, m.Attributes.MessageGroupId, err)
			continue
		}
		if here[group] == nil {
			here[group] = map[int]bool{}
		}
		for k := b.floor[group]; k < n; k++ {
			if !b.tried[group][k] && !here[group][k] {
				b.fault("%s came before %s/%d, which nobody has deleted", m.Body, group, k)
				break
			}
		}
		here[group][n] = true
	}
}

// try notes that messages of a FIFO queue are about to be deleted.
func (b *queueBook) try(ms []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ms {
		group, n, err := numbered(ms[i].Body)
		if err != nil {
			continue // takeGroups has said so
		}
		if b.tried[group] == nil {
			b.tried[group] = map[int]bool{}
		}
		for b.tried[group][n] = true; b.tried[group][b.floor[group]]; b.floor[group]++ {
			delete(b.tried[group], b.floor[group])
		}
	}
}

func (b *queueBook) gone(ms []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for i := range ms {
		if _, ok := b.deleted[ms[i].MessageId]; !ok {
			b.deleted[ms[i].MessageId] = now
		}
	}
}

// attempt notes what was received of a queue whose messages die after the third time.
func (b *queueBook) attempt(ms []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for i := range ms {
		m := &ms[i]
		b.seen[m.Body] = true
		var n int
		if _, err := fmt.Sscan(m.Attributes.ApproximateReceiveCount, &n); err != nil || n < 1 || n > attemptsMax {
			b.fault("%s is received for the %qth time; %d are allowed", m.Body, m.Attributes.ApproximateReceiveCount, attemptsMax)
			continue
		}
		if b.dead[m.MessageId] {
			b.fault("%s is received after it was a dead letter", m.Body)
		}
		if b.counts[m.MessageId] == nil {
			b.counts[m.MessageId] = map[int]time.Time{}
		}
		if _, twice := b.counts[m.MessageId][n]; twice {
			b.fault("%s is received for the %d. time, and was before", m.Body, n)
		}
		for later := n + 1; later <= attemptsMax; later++ {
			if _, ok := b.counts[m.MessageId][later]; ok {
				b.fault("%s is received for the %d. time after the %d.", m.Body, n, later)
			}
		}
		b.counts[m.MessageId][n] = now
	}
}

func (b *queueBook) buried(ms []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ms {
		b.dead[ms[i].MessageId] = true
		b.seen[ms[i].Body] = true
	}
}

// missing are acknowledged messages that nobody has received, and poisoned ones that are no dead letters.
func (b *queueBook) missing() (never, alive []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for body, id := range b.acked {
		if !b.seen[body] {
			never = append(never, body)
		}
		if isPoison(body) && !b.dead[id] {
			alive = append(alive, body)
		}
	}
	return never, alive
}

func (b *queueBook) report() *report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &report{wrong: append([]string(nil), b.wrong...), more: b.more}
}
