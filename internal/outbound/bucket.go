package outbound

import "time"

// bucket is a rate with a burst, as one time: the moment at which everything given so far would have been paid for (GCRA).
type bucket struct {
	every time.Duration // between two at the rate; 0 is no limit
	ahead time.Duration // how far the paid moment may lie in the future: the burst less one
	paid  time.Time
}

func newBucket(rate float64, burst int) bucket {
	if rate <= 0 {
		return bucket{}
	}
	every := max(time.Duration(float64(time.Second)/rate), 1)
	return bucket{every: every, ahead: every * time.Duration(max(burst, 1)-1)}
}

// take takes one, or says how long until there is one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	if b.every == 0 {
		return 0
	}
	if b.paid.Before(now) {
		b.paid = now
	}
	if over := b.paid.Sub(now) - b.ahead; over > 0 {
		// A clock that was set back must not stop the endpoint for as long.
		if over > b.every {
			b.paid = now.Add(b.ahead + b.every)
			return b.every
		}
		return over
	}
	b.paid = b.paid.Add(b.every)
	return 0
}

// giveBack returns one that was not used.
func (b *bucket) giveBack() {
	if b.every > 0 {
		b.paid = b.paid.Add(-b.every)
	}
}
