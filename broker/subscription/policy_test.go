package subscription

import (
	"testing"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Every number of a policy is good at both ends of its range and not beyond.
func TestPolicy_LimitsHoldAtBothEnds(t *testing.T) {
	for name, c := range map[string]struct {
		min, max int64
		set      func(*Policy, int64)
	}{
		"lease":         {1, LeaseMaxMS, func(p *Policy, v int64) { p.LeaseMS = v }},
		"max_attempts":  {0, AttemptsLimit, func(p *Policy, v int64) { p.AttemptsMax = int32(v) }},
		"backoff":       {0, DelayLimitMS, func(p *Policy, v int64) { p.BackoffMS, p.BackoffMaxMS = v, max(v, 0) }},
		"backoff_max":   {5, DelayLimitMS, func(p *Policy, v int64) { p.BackoffMS, p.BackoffMaxMS = 5, v }},
		"jitter":        {0, 100, func(p *Policy, v int64) { p.JitterPercent = int32(v) }},
		"delay":         {0, DelayLimitMS, func(p *Policy, v int64) { p.DelayMS = v }},
		"ttl":           {0, 100 * DelayLimitMS, func(p *Policy, v int64) { p.TTLMS = v }},
		"priorities":    {1, PrioritiesMax, func(p *Policy, v int64) { p.Priorities = int32(v) }},
		"max_unacked":   {1, UnackedLimit, func(p *Policy, v int64) { p.UnackedMax = int32(v) }},
		"max_run":       {1, RunLimit, func(p *Policy, v int64) { p.RunMax = int32(v) }},
		"max_length":    {0, PolicyNumberLimit, func(p *Policy, v int64) { p.LengthMax = v }},
		"max_bytes":     {0, PolicyNumberLimit, func(p *Policy, v int64) { p.BytesMax = v }},
		"backlog_limit": {0, PolicyNumberLimit, func(p *Policy, v int64) { p.BacklogMax = v }},
	} {
		check := func(v int64) *fault.Error {
			p := Policy{Kind: Delivery}
			c.set(&p, v)
			return p.Check()
		}
		if err := check(c.min); err != nil {
			t.Errorf("%s of %d: %v", name, c.min, err)
		}
		if err := check(c.max); err != nil {
			t.Errorf("%s of %d: %v", name, c.max, err)
		}
		if err := check(c.max + 1); err == nil || err.Subject != name {
			t.Errorf("%s of %d: %v", name, c.max+1, err)
		}
		if below := c.min - 1; below != 0 { // 0 is the default of some
			if err := check(below); (err == nil || err.Subject != name) && name != "priorities" && name != "max_run" {
				t.Errorf("%s of %d: %v", name, below, err)
			}
		}
	}
}

// A policy reads back from its row as it was.
func TestPolicy_ReadsBack(t *testing.T) {
	p := Policy{
		Kind: Delivery, Order: OrderKey, Members: SingleActive, Overflow: RejectAppend, Volatile: true, Suspended: true, Expires: true, Bury: true,
		LeaseMS: 1, AttemptsMax: 2, BackoffMS: 3, BackoffMaxMS: 4, JitterPercent: 5, DelayMS: 6, TTLMS: 7, Priorities: 8, UnackedMax: 9, RunMax: 10,
		LengthMax: 11, BytesMax: 12, BacklogMax: 13,
	}
	b := fact.ReadBody(p.append(nil))
	if got := readPolicy(b); got != p || b.Err() != nil {
		t.Fatalf("got %+v, %v", got, b.Err())
	}
}

// What is too much for one call is refused, and changes nothing.
func TestHead_RefusesTooMuchAtOnce(t *testing.T) {
	w := newWorld(t)
	f := w.open()
	cursor, _ := w.head.Put(0, Policy{Kind: Cursor}, 0, f)
	at := Place{1, 0}
	if err := w.head.Commit(cursor, []Move{{Place: at, Metadata: make([]byte, CursorMetadataMax)}}, f); err != nil {
		t.Fatal(err)
	}
	if err := w.head.Commit(cursor, []Move{{Place: at, To: 1, Metadata: make([]byte, CursorMetadataMax+1)}}, f); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("metadata: %v", err)
	}
	starts := make([]Start, SourcesMax)
	for i := range starts {
		starts[i] = Start{Place: Place{2, record.PartitionID(i)}}
	}
	if err := w.head.Begin(cursor, starts, f); !fault.Is(err, fault.QuotaSpent) {
		t.Fatalf("sources: %v", err)
	}
	if err := w.head.Begin(cursor, starts[1:], f); err != nil {
		t.Fatal(err)
	}
	id, _ := w.head.Put(0, Policy{Kind: Delivery}, 1, f)
	if err := w.head.Begin(id, []Start{{Place: at}}, f); err != nil {
		t.Fatal(err)
	}
	if _, err := w.head.Revive(id, at, make([]Revival, ReviveMax+1), f); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("revivals: %v", err)
	}
	if n, err := w.head.Revive(id, at, make([]Revival, ReviveMax), f); n != 0 || err != nil {
		t.Fatalf("revivals of what is not there: %d, %v", n, err)
	}
	w.publish()
	w.check()
}

// Subscriptions that nobody attends to have no desk, and records pass them by; a thousand of one class make one route.
func TestHead_KeepsNoDeskForThoseNobodyAttendsTo(t *testing.T) {
	w := newWorld(t)
	f := w.open()
	at := Place{1, 0}
	var ids []ID
	for range 1000 {
		id, _ := w.head.Put(0, Policy{Kind: Delivery}, 1, f)
		if err := w.head.Begin(id, []Start{{Place: at}}, f); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	w.append(at, []logged{{to: ids[:1], Meta: Meta{Size: 5}}})
	w.publish()
	if len(w.head.desks) != 0 || len(w.head.Routes) != 1 {
		t.Fatalf("%d desks, %d routes", len(w.head.desks), len(w.head.Routes))
	}
	for _, id := range ids {
		if d, _ := w.head.Depth(id); d.Total != (Amount{1, 5}) {
			t.Fatalf("%d has %v", id, d.Total)
		}
	}
	if err := w.head.Attach(ids[7], Member{ID: 1, Credit: 1}); err != nil {
		t.Fatal(err)
	}
	w.feed()
	l := w.head.Drain().Deliveries[0]
	w.open()
	w.head.Settle(nil, []Handle{l.Handle}, Acked)
	w.publish()
	w.head.Detach(ids[7], 1, true)
	w.publish()
	if len(w.head.desks) != 0 {
		t.Fatalf("%d desks are left behind", len(w.head.desks))
	}
	w.check()
}

// When as much is known as may be, whoever has something goes on with that, and gets more when others have settled theirs.
func TestHead_GoesOnAfterTooMuchWasKnown(t *testing.T) {
	w := newWorld(t)
	w.quiet = true
	w.head.trackedMax = 100
	f := w.open()
	at := Place{1, 0}
	var ids []ID
	for range 2 {
		id, _ := w.head.Put(0, Policy{Kind: Delivery}, 0, f)
		if err := w.head.Begin(id, []Start{{Place: at, All: true}}, f); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	w.append(at, make([]logged, 6000))
	w.publish()
	held := map[ID][]Handle{}
	take := func() {
		w.feed()
		for o := w.head.Drain(); !o.Empty(); o = w.head.Drain() {
			for _, l := range o.Deliveries {
				held[l.Sub] = append(held[l.Sub], l.Handle)
			}
			w.head.Drained()
			w.feed()
		}
	}
	for k, id := range ids {
		if err := w.head.Attach(id, Member{ID: MemberID(k + 1), Credit: Endless, Prefetch: 2000}); err != nil {
			t.Fatal(err)
		}
		take()
	}
	if w.head.slab.used > 100+2*WindowMax {
		t.Fatalf("%d are known; the limit is 100", w.head.slab.used)
	}
	for n := 0; len(held[ids[0]])+len(held[ids[1]]) > 0; n++ {
		for _, id := range ids {
			w.open()
			w.head.Settle(nil, held[id], Acked)
			held[id] = nil
		}
		w.publish()
		w.head.Tick(w.now)
		if take(); n > 100 {
			t.Fatal("no end")
		}
	}
	for _, id := range ids {
		if d, _ := w.head.Depth(id); d.Total.Count != 0 {
			t.Fatalf("%d has %d left that nobody gets", id, d.Total.Count)
		}
	}
}
