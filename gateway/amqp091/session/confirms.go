package session

import (
	"leat/gateway/amqp091/wire"
	"leat/internal/assert"
)

// Confirms are the publishes of a confirming channel, numbered from 1, and what has become of them.
//
//	number   … 7 8 | 9 10 11 12 13 14 | 15 …
//	               base      ▲       next         settled: 9 10 11 13        said: ack 11 multiple, ack 13
//
// Below base everything has been said. What is settled from base on without a gap is said in one method for each run of equal outcomes;
// what is settled beyond a gap is said one by one, because nobody should wait for somebody else's message.
type Confirms struct {
	base, next uint64    // next is the number of the last publish, plus 1
	ring       []outcome // of number n at n % len
	beyond     []uint64  // settled since the last Flush, in the order in which that happened
}

// outcome is what has become of a publish.
type outcome uint8

const (
	waiting outcome = iota
	acked
	nacked
	said
)

// Memory that an idle channel may keep for its confirmations.
const (
	confirmsFirst = 64
	confirmsKept  = 4096
)

// NewConfirms is the machine of a channel that has just been told to confirm.
func NewConfirms() *Confirms { return &Confirms{base: 1, next: 1} }

// Publish numbers a publish.
func (c *Confirms) Publish() uint64 {
	if c.next-c.base == uint64(len(c.ring)) {
		c.grow()
	}
	n := c.next
	c.next++
	*c.at(n) = waiting
	return n
}

func (c *Confirms) at(n uint64) *outcome { return &c.ring[n&uint64(len(c.ring)-1)] }

func (c *Confirms) grow() {
	ring := make([]outcome, max(2*len(c.ring), confirmsFirst))
	for n := c.base; n < c.next; n++ {
		ring[n&uint64(len(ring)-1)] = *c.at(n)
	}
	c.ring = ring
}

// Waiting is how many publishes are not settled, or not said.
func (c *Confirms) Waiting() int { return int(c.next - c.base) }

// Settle says what has become of a publish, once: ok when it is durable or had nowhere to go. A basic.return for it must have been
// written before.
func (c *Confirms) Settle(n uint64, ok bool) {
	assert.That(n >= c.base && n < c.next && *c.at(n) == waiting, "a publish is settled once")
	*c.at(n) = nacked
	if ok {
		*c.at(n) = acked
	}
	c.beyond = append(c.beyond, n)
}

// Flush adds what is settled and has not been said, in as few methods as that takes.
func (c *Confirms) Flush(w *wire.Writer, channel uint16) {
	for c.base < c.next && *c.at(c.base) != waiting {
		c.run(w, channel)
	}
	for _, n := range c.beyond {
		if n < c.base || *c.at(n) == said {
			continue
		}
		c.say(w, channel, n, *c.at(n), false)
		*c.at(n) = said
	}
	c.beyond = c.beyond[:0]
	if c.base == c.next && len(c.ring) > confirmsKept {
		c.ring, c.beyond = nil, nil
	}
}

// run says the equal outcomes at base in one method, and moves base behind them. What was said before joins any run.
func (c *Confirms) run(w *wire.Writer, channel uint16) {
	what, last, count := said, uint64(0), 0
	for ; c.base < c.next; c.base++ {
		switch o := *c.at(c.base); {
		case o == waiting || o != said && what != said && o != what:
			c.say(w, channel, last, what, count > 1)
			return
		case o != said:
			what, last = o, c.base
			count++
		}
	}
	c.say(w, channel, last, what, count > 1)
}

func (c *Confirms) say(w *wire.Writer, channel uint16, n uint64, o outcome, multiple bool) {
	switch o {
	case acked:
		w.Ack(channel, n, multiple)
	case nacked:
		w.Nack(channel, n, multiple, false)
	case waiting, said:
	}
}
