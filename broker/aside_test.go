package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/storage/vfs"
)

// filed is how many bytes segment files have.
func (h *house) filed() (n int64) {
	for _, d := range h.disks {
		names, err := d.List("/segments")
		if err != nil {
			continue
		}
		for _, name := range names {
			if f, err := d.Open("/segments/"+name, vfs.Read); err == nil && strings.HasSuffix(name, ".seg") {
				size, _ := f.Size()
				n += size
				_ = f.Close()
			}
		}
	}
	return n
}

// A record that waits while all around it are done and old holds back no file: it is copied aside, delivered from there after a restart as what it was,
// and the copy goes once nobody needs it.
func TestAside_AStragglerHoldsNoFiles(t *testing.T) {
	for _, routed := range []bool{false, true} {
		t.Run(fmt.Sprint("routed ", routed), func(t *testing.T) {
			keeping(t, func(t *testing.T, h *house) {
				h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionMS: time.Hour.Milliseconds()}})
				h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
					c.Policy.LeaseMS = 1000
					if routed {
						c.Address = []broker.AddressFilter{{}}
					}
				}, "s")
				straggler := event("s", "k", value("late"))
				straggler.Record.Headers = []record.Header{{Key: "own", Value: []byte("x")}, {Key: broker.HeaderDeadReason, Value: []byte("its own")}}
				h.mustAppend(straggler)
				for i := range 400 {
					h.mustAppend(event("s", "", value(fmt.Sprint(i))))
				}
				h.moved()
				ds := h.receive("w", 401)
				h.ack(ds[1:]...)
				before := h.filed()
				if before < 32<<10 {
					t.Fatalf("%d bytes in segment files", before)
				}
				h.restart() // and nobody attends to it
				h.clock.Advance(2 * time.Hour)
				h.mustAppend(event("s", "", "young"))
				wait(t, func() bool {
					h.keep()
					return h.ends("s") == "401-402"
				})
				wait(t, func() bool { return h.filed() < before/4 })
				if got := h.ends(broker.AsideStream); got != "0-1" {
					t.Fatalf("copies: %s", got)
				}
				h.restart()
				h.clock.Advance(2 * time.Hour)
				h.keep()
				if got := h.ends(broker.AsideStream); got != "0-1" {
					t.Fatalf("a copy that is needed went: %s", got)
				}
				ds = h.receive("w", 2)
				i := 0
				if string(ds[1].Record.Key) == "k" {
					i = 1
				}
				late := ds[i]
				if late.Ref.String() != "s/0/0" || string(late.Record.Value) != value("late") || late.Attempt < 2 || len(late.Record.Headers) != 2 {
					t.Fatalf("%v attempt %d: %q %v", late.Ref, late.Attempt, late.Record.Value, late.Record.Headers)
				}
				h.ack(ds...)
				if s := h.standing("w"); s.Waiting != 0 || s.WaitingBytes != 0 || s.Acked != 402 || s.Gaps != 0 {
					t.Fatalf("%+v", s)
				}
				h.clock.Advance(2 * time.Hour)
				wait(t, func() bool { h.keep(); return h.ends(broker.AsideStream) == "1-1" })
			})
		})
	}
}

// One who is far behind is waited for: nothing is copied.
func TestAside_NotOfThoseWhoAreBehind(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1000}})
		h.subscribe("w", broker.StartLatest, nil, "s")
		var es []broker.EventEntry
		for i := range 1100 {
			es = append(es, event("s", "", fmt.Sprint(i)))
		}
		h.mustAppend(es...)
		h.clock.Advance(time.Minute)
		for range 20 {
			h.keep()
			time.Sleep(5 * time.Millisecond)
		}
		h.wantEnds("s", "0-1100")
		h.ack(h.receive("w", 600)...)
		h.ack(h.receive("w", 500)...)
		wait(t, func() bool { h.clock.Advance(2 * time.Second); h.keep(); return h.ends("s") == "1100-1100" })
	})
}
