package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// as is the caller of a test under another name and client.
func (h *house) as(principal, client string) *broker.Caller {
	return &broker.Caller{Namespace: h.c.Namespace, Principal: principal, Listener: "l", Protocol: "p", Client: client}
}

func (h *house) appendAs(c *broker.Caller, events ...broker.EventEntry) {
	h.t.Helper()
	if _, err := h.b.AppendEvents(context.Background(), c, broker.EventsAppend{Events: events}); err != nil {
		h.t.Fatal(err)
	}
	h.clock.Advance(time.Second)
}

func TestAudit_OfAnEvent(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		h.create("orders", broker.StreamConfig{Keys: broker.KeysOff})
		h.appendAs(h.as("ann", "till 7"), identified("orders", "x1", "v"))
		if r := h.send("orders", batch(t, 42, 3, 7, "a", "b")); r.Err != nil {
			t.Fatal(r.Err)
		}
		for again := range 2 { // also when all is read from the journal
			a, err := h.b.Audit(context.Background(), h.c, broker.AuditQuery{Ref: "orders/0/0"})
			if err != nil {
				t.Fatal(err)
			}
			want := &broker.AuditEvent{AuditOrigin: broker.AuditOrigin{Principal: "ann", Gateway: "p", Listener: "l", Client: "till 7"}, Ref: "orders/0/0",
				ID: "orders/0/0", Source: h.b.StreamURI(h.c.Namespace, "orders"), Type: "leat.record", Appended: "2023-11-14T22:13:20.000Z"}
			if d := cmp.Diff(want, a.Event, cmpopts.IgnoreFields(broker.AuditEvent{}, "Position")); d != "" || a.Event.Position == "" {
				t.Fatal(again, d)
			}
			a, err = h.b.Audit(context.Background(), h.c, broker.AuditQuery{Ref: "orders/0/2"})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&broker.AuditProducer{ID: 42, Epoch: 3, Sequence: 7}, a.Event.Producer); d != "" || a.Event.Client != "kit" {
				t.Fatal(d, a.Event.Client)
			}
			h.forget()
		}
		_, err := h.b.Audit(context.Background(), h.c, broker.AuditQuery{Ref: "orders/0/9"})
		wantKind(t, err, fault.NotFound)
	})
}

func TestAudit_OfAStream(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		if _, err := h.b.CreateStream(ctx, h.as("root", "cli"), "orders", broker.StreamConfig{Partitions: 2}); err != nil {
			t.Fatal(err)
		}
		ann, bob := h.as("ann", "1"), h.as("bob", "2")
		second := event("orders", "", "v")
		second.Partition = 1
		h.appendAs(ann, event("orders", "", "v"), event("orders", "", "v"))
		h.appendAs(bob, second)
		h.appendAs(ann, second, event("orders", "", "v"))
		a, err := h.b.Audit(ctx, h.c, broker.AuditQuery{Stream: "orders"})
		if err != nil {
			t.Fatal(err)
		}
		want := []broker.AuditAppends{
			{AuditOrigin: broker.AuditOrigin{Principal: "ann", Gateway: "p", Listener: "l", Client: "1"}, Stream: "orders", Events: 4, Writes: 3,
				First: "2023-11-14T22:13:20.000Z", Last: "2023-11-14T22:13:22.000Z", FirstRef: "orders/0/0", LastRef: "orders/1/1"},
			{AuditOrigin: broker.AuditOrigin{Principal: "bob", Gateway: "p", Listener: "l", Client: "2"}, Stream: "orders", Events: 1, Writes: 1,
				First: "2023-11-14T22:13:21.000Z", Last: "2023-11-14T22:13:21.000Z", FirstRef: "orders/1/0", LastRef: "orders/1/0"},
		}
		ignore := cmp.Options{cmpopts.IgnoreFields(broker.AuditAppends{}, "Bytes"), cmpopts.IgnoreUnexported(broker.AuditAppends{})}
		if d := cmp.Diff(want, a.Appends, ignore); d != "" || a.Next != "" {
			t.Fatal(d, a.Next)
		}
		h.systemEvents(1)
		a, err = h.b.Audit(ctx, h.c, broker.AuditQuery{Stream: "orders", Since: 1_700_000_001_000})
		if err != nil || len(a.Appends) != 2 || a.Appends[0].Principal != "bob" || a.Appends[1].Principal != "ann" || a.Appends[1].Events != 2 {
			t.Fatalf("since: %+v, %v", a.Appends, err)
		}
		if len(a.Changes) != 0 {
			t.Errorf("since: %v", a.Changes)
		}
		if err := h.b.DeleteStream(ctx, h.as("eve", ""), "orders"); err != nil {
			t.Fatal(err)
		}
		h.systemEvents(2)
		a, err = h.b.Audit(ctx, h.c, broker.AuditQuery{Stream: "orders"})
		if err != nil || len(a.Changes) != 2 || a.Changes[0].Type != broker.TypeStreamDeleted || a.Changes[1].Type != broker.TypeStreamCreated || len(a.Appends) != 0 {
			t.Fatalf("deleted: %+v, %v", a, err)
		}
		a, err = h.b.Audit(ctx, h.c, broker.AuditQuery{Stream: "orders", Limit: 1})
		if err != nil || len(a.Changes) != 1 || !a.ChangesMore {
			t.Fatalf("limit: %+v, %v", a, err)
		}
		_, err = h.b.Audit(ctx, h.c, broker.AuditQuery{Stream: "never"})
		wantKind(t, err, fault.NotFound)
		_, err = h.b.Audit(ctx, h.c, broker.AuditQuery{Stream: "a", Principal: "b"})
		wantKind(t, err, fault.Invalid)
	})
}

// A bounded answer goes on where it ended, and the sums are those of one answer.
func TestAudit_GoesOn(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.AuditScanMax = 70
	h.open()
	const appends = 400
	h.create("a", broker.StreamConfig{Partitions: 3})
	h.create("b", broker.StreamConfig{})
	for i := range appends {
		e := event("a", "", "v")
		if e.Partition = 2; i%4 < 2 {
			e.Partition = 0
		}
		if i%10 == 0 {
			e = event("b", "", "v")
		}
		h.appendAs(h.as(fmt.Sprint("p", i%3), ""), e)
	}
	for _, q := range []broker.AuditQuery{{Stream: "a"}, {Principal: "p1"}} {
		got, answers, seen := map[string]int64{}, 0, map[string]bool{}
		for {
			a, err := h.b.Audit(context.Background(), h.c, q)
			if err != nil {
				t.Fatal(err)
			}
			answers++
			for _, s := range a.Appends {
				got[s.Principal+" "+s.Stream] += s.Events
			}
			if a.Next == "" {
				break
			}
			if seen[a.Next] {
				t.Fatalf("%s comes twice", a.Next)
			}
			seen[a.Next], q.From = true, a.Next
		}
		want := map[string]int64{}
		for i := range appends {
			s := "a"
			if i%10 == 0 {
				s = "b"
			}
			if p := fmt.Sprint("p", i%3); q.Stream == s || q.Principal == p {
				want[p+" "+s]++
			}
		}
		if d := cmp.Diff(want, got); d != "" || answers < 4 {
			t.Errorf("%+v in %d answers: %s", q, answers, d)
		}
	}
}

// Only what somebody may read is told.
func TestAudit_NeedsGrants(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		root := &broker.Caller{Principal: "root", Namespace: h.c.Namespace}
		for _, name := range []string{"open", "secret"} {
			h.create(name, broker.StreamConfig{})
			h.appendAs(h.as("ann", ""), event(name, "", "v"))
		}
		if _, err := h.b.PutUser(ctx, root, broker.User{Name: "root", Password: "a password", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.PutUser(ctx, root, broker.User{Name: "bob", Password: "a password", Grants: []broker.Grant{{Action: "read", Kind: "stream", Pattern: "open"}}}); err != nil {
			t.Fatal(err)
		}
		bob := h.as("bob", "")
		for _, q := range []broker.AuditQuery{{Stream: "secret"}, {Ref: "secret/0/0"}} {
			_, err := h.b.Audit(ctx, bob, q)
			wantKind(t, err, fault.Denied)
		}
		a, err := h.b.Audit(ctx, bob, broker.AuditQuery{Principal: "ann"})
		if err != nil || len(a.Appends) != 1 || a.Appends[0].Stream != "open" || !a.ChangesHidden || len(a.Changes) != 0 {
			t.Fatalf("%+v, %v", a, err)
		}
		if a, err := h.b.Audit(ctx, root, broker.AuditQuery{Principal: "root"}); err != nil || len(a.Changes) != 2 {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}

// What is known of who appended stays the same when events leave the journal.
func TestAudit_SurvivesSegmenting(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("a", broker.StreamConfig{Partitions: 2})
		for i := range 400 {
			e := event("a", "", value("v"))
			e.Partition = record.PartitionID(i % 2)
			h.appendAs(h.as(fmt.Sprint("p", i%3), ""), e)
		}
		h.moved()
		check := func(when string) {
			a, err := h.b.Audit(context.Background(), h.c, broker.AuditQuery{Stream: "a"})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int64{}
			for _, s := range a.Appends {
				got[s.Principal] += s.Events
			}
			if d := cmp.Diff(map[string]int64{"p0": 134, "p1": 133, "p2": 133}, got); d != "" || a.Appends[0].FirstRef != "a/0/0" {
				t.Fatal(when, d, a.Appends)
			}
			a, err = h.b.Audit(context.Background(), h.c, broker.AuditQuery{Ref: "a/1/3"})
			if err != nil || a.Event.Principal != "p1" || a.Event.Appended != auditTestTime(7) {
				t.Fatalf("%s: %+v, %v", when, a.Event, err)
			}
			a, err = h.b.Audit(context.Background(), h.c, broker.AuditQuery{Stream: "a", Since: 1_700_000_000_000 + 100_000})
			if n := a.Appends[0].Events + a.Appends[1].Events + a.Appends[2].Events; err != nil || n != 300 {
				t.Fatalf("%s: %d since then, %v", when, n, err)
			}
		}
		check("moved")
		h.restart()
		check("restarted")
	})
}

// auditTestTime is the append time of the i-th event that appendAs appended.
func auditTestTime(i int) string {
	return time.UnixMilli(1_700_000_000_000 + int64(i)*1000).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
