package broker_test

import (
	"fmt"
	"testing"
	"time"

	"leat/broker"
)

// What expires together dies together and in its order, however much it is: nothing waits to be asked for again, which the clock here never
// comes to.
func TestBurials_VeryManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 1})
		h.create("dead", broker.StreamConfig{Partitions: 1})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.DeadLetters, c.Policy.TTLMS = "dead", 1000
		}, "s")
		h.subscribe("after", broker.StartLatest, nil, "dead")
		const n, together = 6000, 500
		for i := 0; i < n; i += together {
			var es []broker.EventEntry
			for k := range together {
				es = append(es, event("s", "k", fmt.Sprint(i+k)))
			}
			h.mustAppend(es...)
		}
		h.clock.Advance(1500 * time.Millisecond)
		wait(t, func() bool { return h.standing("after").Waiting == n })
		if d := h.standing("w"); d.Waiting != 0 || d.Dead != n {
			t.Errorf("%d wait, %d died", d.Waiting, d.Dead)
		}
		for i, v := range payloads(h.receive("after", n/together)) {
			if v != fmt.Sprint(i) {
				t.Fatalf("letter %d is of %s", i, v)
			}
		}
	})
}
