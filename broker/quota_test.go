package broker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
)

// spent demands a refusal for the quota, and gives when to come back.
func spent(t *testing.T, err error) time.Duration {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != fault.QuotaSpent || f.Retry != fault.Later || f.AfterMS <= 0 {
		t.Fatalf("got %v; want a spent quota, with a time to come back", err)
	}
	return time.Duration(f.AfterMS) * time.Millisecond
}

func TestQuota_EventsAndBytesOfAUser(t *testing.T) {
	h := newHouse(t, 3, "")
	h.open()
	ctx := context.Background()
	admin := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
	put := func(name string, q *broker.Quota) {
		t.Helper()
		if _, err := h.b.PutUser(ctx, h.c, broker.User{Name: name, Password: "correct horse", Grants: admin, Quota: q}); err != nil {
			t.Fatal(err)
		}
	}
	put("ann", nil)
	h.c.Principal = "ann"
	h.create("s", broker.StreamConfig{})
	put("bob", &broker.Quota{EventsPerSecond: 10})
	put("eve", &broker.Quota{BytesPerSecond: 1000})

	h.c.Principal = "bob"
	for range 11 { // the last of them finds the bucket just empty
		h.mustAppend(event("s", "", "v"))
	}
	_, err := h.append(event("s", "", "v"))
	wait := spent(t, err)
	if wait != 100*time.Millisecond || !strings.Contains(err.Error(), "10 events a second") {
		t.Errorf("%v: wait %v", err, wait)
	}
	h.clock.Advance(wait)
	h.mustAppend(event("s", "", "v"))
	_, err = h.append(event("s", "", "v"))
	spent(t, err)

	h.c.Principal = "ann" // no quota, and none of bob's debts
	for range 100 {
		h.mustAppend(event("s", "", strings.Repeat("x", 1000)))
	}

	h.c.Principal = "eve"
	h.mustAppend(event("s", "", strings.Repeat("x", 3000))) // larger than a second's worth, and paid for after
	_, err = h.append(event("s", "", "v"))
	if wait := spent(t, err); wait != 2*time.Second {
		t.Errorf("wait %v", wait)
	}

	// What is appended counts across changes of the user; a larger quota is in force at once, and none goes back to the node's.
	h.c.Principal = "ann"
	put("eve", &broker.Quota{BytesPerSecond: 3000})
	h.c.Principal = "eve"
	h.mustAppend(event("s", "", "v"))
	_, err = h.append(event("s", "", "v"))
	spent(t, err)
	h.c.Principal = "ann"
	put("eve", nil)
	h.c.Principal = "eve"
	for range 100 {
		h.mustAppend(event("s", "", "v"))
	}
	h.forget() // a quota is in the catalog
	if u, err := h.b.GetUser(ctx, h.c, "bob"); err != nil || u.Quota == nil || u.Quota.EventsPerSecond != 10 {
		t.Errorf("%+v, %v", u, err)
	}
	_, err = h.b.PutUser(ctx, h.c, broker.User{Name: "bob", Grants: admin, Quota: &broker.Quota{EventsPerSecond: -1}})
	wantKind(t, err, fault.Invalid)
}

func TestQuota_NothingOfARefusedRequestIsAppended(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.PrincipalEventsPerSecond = 5
	h.open()
	h.create("s", broker.StreamConfig{})
	h.mustAppend(event("s", "", "a"), event("s", "", "b"), event("s", "", "c"), event("s", "", "d"), event("s", "", "e"), event("s", "", "f"))
	_, err := h.append(event("s", "", "g"), event("s", "", "h"))
	spent(t, err)
	if got := h.values("s"); len(got) != 6 {
		t.Errorf("%v", got)
	}
}

func TestQuota_BatchesAreTakenAndThrottledThenRefused(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.PrincipalEventsPerSecond = 10
	h.open()
	h.create("s", broker.StreamConfig{})
	send := func(n int) (broker.BatchResult, time.Duration) {
		b := batch(t, -1, 0, 0, strings.Split(strings.Repeat("v,", n-1)+"v", ",")...)
		p := h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Batch: b}}})
		return p.Wait(context.Background())[0], p.Throttle()
	}
	for i, c := range []struct {
		n        int
		throttle time.Duration
		refused  bool
	}{
		{10, 0, false}, {5, 500 * time.Millisecond, false}, {10, 1500 * time.Millisecond, false}, {1, 0, true},
	} {
		r, throttle := send(c.n)
		if throttle != c.throttle || (r.Err != nil) != c.refused {
			t.Fatalf("batch %d: throttled %v, %v; want %v", i, throttle, r.Err, c.throttle)
		}
		if c.refused && spent(t, r.Err) != 500*time.Millisecond {
			t.Errorf("batch %d: %v", i, r.Err)
		}
	}
	// A producer that keeps away as long as it is told is never refused, and gets its rate.
	start, sent := h.clock.Now(), 0
	for h.clock.Advance(1500 * time.Millisecond); h.clock.Now().Sub(start) < time.Minute; {
		r, throttle := send(7)
		if r.Err != nil {
			t.Fatalf("after %d: %v", sent, r.Err)
		}
		sent += 7
		h.clock.Advance(throttle)
	}
	if sent < 580 || sent > 620 {
		t.Errorf("%d events in a minute of ten a second", sent)
	}
}
