package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/broker"
)

// gaps are what the system stream was told of gaps, from which offset to which, and how many events.
func (h *house) gaps() (out []string) {
	h.t.Helper()
	p, err := h.b.ReadPage(ctx, &broker.Caller{}, broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range p.Events {
		if e := d.Event(); e.Type == broker.TypeSubscriptionGap {
			var g struct{ From, To, Events int64 }
			if err := json.Unmarshal(d.Record.Value, &g); err != nil {
				h.t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s %d-%d %d", e.Subject, g.From, g.To, g.Events))
		}
	}
	return out
}

// A receiver is down for three days under a retention of one. It gets everything up to its limit, and one gap tells of the rest. One without a
// limit gets all, and a stream that nobody needs keeps one day.
func TestGap_ThreeDaysDownUnderOneDayOfRetention(t *testing.T) {
	test := func(t *testing.T, h *house, restart bool) {
		day := broker.StreamConfig{Keep: broker.Keep{RetentionMS: 24 * time.Hour.Milliseconds()}}
		h.create("s", day)
		h.create("idle", day)
		h.subscribe("limited", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.BacklogMax = 60 }, "s")
		h.mustAppend(event("s", "", "first"), event("idle", "", "first"))
		h.ack(h.receive("limited", 1)...)
		for hour := range 72 {
			h.mustAppend(event("s", "", fmt.Sprint(hour)), event("idle", "", fmt.Sprint(hour)))
			h.clock.Advance(time.Hour)
			h.keep()
			if restart && hour == 40 {
				h.restart()
			}
		}
		h.wantEnds("idle", "49-73")
		if i := h.standing("limited"); i.Waiting != 60 || i.Gaps != 12 || !i.Exact {
			t.Fatalf("%+v", i)
		}
		if got := h.gaps(); len(got) > 0 {
			t.Fatalf("told before somebody came: %v", got)
		}
		ds := h.receive("limited", 60)
		if string(ds[0].Record.Value) != "12" || string(ds[59].Record.Value) != "71" {
			t.Fatal(payloads(ds))
		}
		h.nothing("limited")
		wait(t, func() bool { return len(h.gaps()) == 1 })
		if got := h.gaps(); got[0] != "limited 1-13 12" {
			t.Fatal(got)
		}
		h.ack(ds...)
		if i := h.standing("limited"); i.Waiting != 0 || i.WaitingBytes != 0 || i.Gaps != 12 {
			t.Fatalf("%+v", i)
		}
		h.keep()
		h.wantEnds("s", "49-73")
	}
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restarted ", restart), func(t *testing.T) {
			h := newHouse(t, 1, "")
			h.system = true
			h.open()
			test(t, h, restart)
		})
	}
}

// Of what waits longest, what is delayed or was handed over counts like the rest: so much as the limit says is kept, whatever became of what is between.
func TestGap_KeepsTheNewestUnsettled(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1000}})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.BacklogMax = 4 }, "s")
		h.numbers("s", 0, 12)
		ds := h.receive("w", 8)
		h.ack(ds[1], ds[3], ds[6])
		if _, err := h.b.Release(ctx, h.c, handles(ds[2:3]), time.Hour, true); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Minute)
		wait(t, func() bool { h.clock.Advance(time.Second); return h.standing("w").Leased == 0 })
		h.keep() // 0 2 4 5 7 8 9 10 11 wait: 8 to 11 are kept
		if i := h.standing("w"); i.Gaps != 5 || i.Waiting != 4 {
			t.Fatalf("%+v", i)
		}
		h.wantEnds("s", "8-12")
		if got := strings.Join(payloads(h.receive("w", 4)), " "); got != "8 9 10 11" {
			t.Fatal(got)
		}
	})
}

// What was not told before a restart is told by it, once.
func TestGap_ToldAfterARestart(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1000}})
	h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policy.BacklogMax = 4 }, "s")
	lose := func(from, to int) {
		t.Helper()
		h.numbers("s", from, to)
		h.clock.Advance(time.Minute)
		h.keep()
	}
	told := func(want ...string) {
		t.Helper()
		var got []string
		for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(time.Millisecond) {
			if got = h.gaps(); len(got) >= len(want) {
				break
			}
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Fatalf("told %v, want %v", got, want)
		}
	}
	lose(0, 10)
	told()
	h.restart()
	told("w 0-6 6")
	lose(10, 12)
	wait(t, func() bool { return h.told("w") == 6 })
	h.restart()
	told("w 0-6 6", "w 6-8 2")
	wait(t, func() bool { return h.told("w") == 8 })
	h.forget()
	if i := h.standing("w"); i.Gaps != 8 || i.Waiting != 4 {
		t.Fatalf("%+v", i)
	}
	lose(12, 13)
	h.receive("w", 1) // somebody has come
	told("w 0-6 6", "w 6-8 2", "w 8-9 1")
	wait(t, func() bool { return h.told("w") == 9 })
	if _, err := h.b.PutSubscription(ctx, h.c, "w", func(c *broker.SubscriptionConfig) error { c.Policy.LeaseMS = 1; return nil }, broker.Start{Kind: broker.StartLatest}, 0); err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.mustAppend(event("s", "", "x"))
	told("w 0-6 6", "w 6-8 2", "w 8-9 1")
}

// told is of how many events that were lost a subscription remembers that it was told.
func (h *house) told(name string) int64 { return h.b.ToldGaps(h.c, name) }
