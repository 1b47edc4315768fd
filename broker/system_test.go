package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/storage/journal"
)

// told is one event of the system stream as a test looks at it.
type told struct {
	kind, subject, principal, namespace string
	data                                map[string]any
	seq                                 uint64
}

func (t told) String() string { return strings.TrimPrefix(t.kind, "leat.") + " " + t.subject }

// systemEvents waits until n events are told, but for those of the start, and returns them.
func (h *house) systemEvents(n int) []told {
	h.t.Helper()
	c := &broker.Caller{Principal: "root"}
	for range 200 {
		p, err := h.b.ReadPage(context.Background(), c, broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 1000})
		if err != nil {
			h.t.Fatal(err)
		}
		var out []told
		for _, d := range p.Events {
			e := d.Event()
			x := told{kind: e.Type, subject: e.Subject, seq: d.Position.Seq}
			if err := json.Unmarshal(e.Data, &x.data); err != nil || e.Validate() != nil || e.Source != "/node/1" {
				h.t.Fatalf("%s: %v, %v, source %q", e.Data, err, e.Validate(), e.Source)
			}
			x.principal, _ = x.data["principal"].(string)
			x.namespace, _ = x.data["namespace"].(string)
			if x.subject != broker.SystemStream || x.kind != broker.TypeStreamCreated {
				out = append(out, x)
			}
		}
		if len(out) >= n {
			return out
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("%d system events did not come", n)
	return nil
}

func eachSystem(t *testing.T, test func(t *testing.T, h *house)) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, l.shards, l.namespace)
			h.system = true
			h.open()
			test(t, h)
		})
	}
}

func TestSystem_ChangesAreTold(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.c.Principal, h.c.Address = "ann", "10.0.0.7"
		h.create("orders", broker.StreamConfig{Partitions: 2, Keys: broker.KeysHistory})
		if _, err := h.b.AlterStream(ctx, h.c, "orders", func(c *broker.StreamConfig) error { c.Partitions, c.Keys = 3, broker.KeysVersioned; return nil }, 0); err != nil {
			t.Fatal(err)
		}
		if err := h.b.DeleteStream(ctx, h.c, "orders"); err != nil {
			t.Fatal(err)
		}
		got := h.systemEvents(3)
		if s := fmt.Sprint(got[:3]); s != "[stream.created orders stream.altered orders stream.deleted orders]" {
			t.Fatal(s)
		}
		ns := h.c.Namespace
		if ns == "" {
			ns = "default"
		}
		for _, e := range got[:3] {
			if e.principal != "ann" || e.namespace != ns || e.data["gateway"] != "test" || e.data["listener"] != "test" || e.data["client"] != "kit" || e.data["address"] != "10.0.0.7" {
				t.Errorf("%s: %v", e, e.data)
			}
		}
		if old, now := fmt.Sprint(got[1].data["old"]), fmt.Sprint(got[1].data["new"]); old != "map[keys:history partitions:2]" || now != "map[keys:versioned partitions:3]" {
			t.Errorf("altered from %s to %s", old, now)
		}
	})
}

// An event of a change in the system stream's own shard is in the frame of the change: between the two there is no place for a crash.
func TestSystem_TheEventIsInTheFrameOfTheChange(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	h.create("orders", broker.StreamConfig{})
	at := h.systemEvents(1)[0].seq
	frames := 0
	j := h.journals[0].Open()
	err := j.Scan(0, 0, func(e journal.Entry) error {
		if uint64(e.Seq) == at {
			frames++
			// The catalog's fact of the stream and the batch of the event, in one frame.
			if !strings.Contains(string(e.Facts), "orders") {
				t.Errorf("frame %d does not hold the change", at)
			}
		}
		return nil
	})
	if err != nil || frames != 1 {
		t.Fatalf("%d frames, %v", frames, err)
	}
}

func TestSystem_UsersAreToldWithoutSecrets(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		root := &broker.Caller{Principal: "root", Protocol: "test"}
		all := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
		for _, u := range []broker.User{
			{Name: "root", Password: "hunter2hunter2", Grants: all}, {Name: "bob", Password: "swordfish-swordfish", Grants: []broker.Grant{}},
			{Name: "bob", Password: "another-secret", NewToken: true, Grants: []broker.Grant{{Action: "read", Kind: "stream", Pattern: "*"}}},
		} {
			if _, err := h.b.PutUser(ctx, root, u); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.b.DeleteUser(ctx, root, "bob"); err != nil {
			t.Fatal(err)
		}
		got := h.systemEvents(4)
		if s := fmt.Sprint(got); s != "[user.created root user.created bob user.altered bob user.deleted bob]" {
			t.Fatal(s)
		}
		text := fmt.Sprint(got[2].data)
		for _, want := range []string{"password_changed:true", "tokens:1", "tokens:0", "action:read"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", text, want)
			}
		}
		if strings.Contains(fmt.Sprint(got), "stored_key") || strings.Contains(fmt.Sprint(got), "secret") {
			t.Error("a secret is told")
		}
		if _, err := h.b.PutUser(ctx, root, broker.User{Name: "leat", Password: "x", Grants: all}); !fault.Is(err, fault.Invalid) {
			t.Errorf("the platform's name was given to a user: %v", err)
		}
	})
}

func TestSystem_NobodyElseWritesOrDeletes(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		try := func(c *broker.Caller, who string) {
			t.Helper()
			for _, name := range []string{broker.SystemStream, "leat.mine"} {
				_, err := h.b.AppendEvents(ctx, c, broker.EventsAppend{Events: []broker.EventEntry{event(name, "k", "v")}, AutoCreate: true})
				f := wantKind(t, err, fault.Denied)
				if !strings.Contains(f.Text, "platform's own") {
					t.Errorf("%s: %s", who, f.Text)
				}
				p := h.b.SubmitBatches(ctx, c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: name, Batch: batch(t, -1, 0, 0, "v")}}, AutoCreate: true})
				wantKind(t, p.Wait(ctx)[0].Err, fault.Denied)
				_, err = h.b.CreateStream(ctx, c, name, broker.StreamConfig{})
				wantKind(t, err, fault.Denied)
				wantKind(t, h.b.DeleteStream(ctx, c, name), fault.Denied)
			}
		}
		anybody := &broker.Caller{}
		try(anybody, "anybody")
		try(h.c, "anybody in the namespace")
		if _, err := h.b.ReadPage(ctx, anybody, broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 1}); err != nil {
			t.Errorf("without users everybody reads: %v", err)
		}
		root := &broker.Caller{Principal: "root"}
		for _, u := range []struct {
			name string
			may  bool
			g    broker.Grant
		}{
			{"root", true, broker.Grant{Action: "admin", Kind: "*", Pattern: "*"}}, {"reader", false, broker.Grant{Action: "read", Kind: "stream", Pattern: "*"}},
			{"auditor", true, broker.Grant{Action: "read", Kind: "stream", Pattern: "leat.system"}}, {"all", true, broker.Grant{Action: "*", Kind: "stream", Pattern: "*"}},
		} {
			if _, err := h.b.PutUser(ctx, root, broker.User{Name: u.name, Password: "a password", Grants: []broker.Grant{u.g}}); err != nil {
				t.Fatal(err)
			}
			c := &broker.Caller{Principal: u.name}
			if _, err := h.b.ReadPage(ctx, c, broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 1}); u.may != (err == nil) {
				t.Errorf("%s reads: %v", u.name, err)
			}
			if list, _ := h.b.ListStreams(ctx, c); u.may != (len(list) > 0) {
				t.Errorf("%s sees %v", u.name, list)
			}
			try(c, u.name)
		}
	})
}

func TestSystem_RefusedLoginsAreToldButNotAll(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	c := &broker.Caller{Protocol: "test", Address: "10.1.1.1"}
	for range 40 {
		if err := h.b.CheckPassword(context.Background(), c, "mallory\n", "guess"); !fault.Is(err, fault.Denied) {
			t.Fatal(err)
		}
	}
	if _, err := h.b.CheckToken(context.Background(), c, "guess"); err == nil {
		t.Fatal("a token was taken")
	}
	if got := h.systemEvents(6); len(got) != 6 || got[0].data["address"] != "10.1.1.1" || got[0].data["principal"] != "mallory\ufffd" {
		t.Fatalf("%d events, first %v", len(got), got[0].data)
	}
	h.restart() // what was not told one by one is told at the end
	got := h.systemEvents(7)
	if len(got) != 7 || got[6].kind != broker.TypeLoginRefused || got[6].data["count"] != 35. {
		t.Fatalf("%d events, last %v", len(got), got[len(got)-1].data)
	}
}

// A burst of names cannot fill the memory, and all of it is counted.
func TestSystem_RefusedLoginsOfManyNamesAreBounded(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	const names = 2000
	for i := range names {
		h.b.LoginRefused(&broker.Caller{Address: "10.1.1.1"}, fmt.Sprint("user", i))
	}
	h.restart()
	sum := int(h.b.SystemDropped())
	dropped := 0
	c := &broker.Caller{}
	from := broker.Start{}
	for {
		p, err := h.b.ReadPage(context.Background(), c, broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 1000, From: from})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Events {
			e := d.Event()
			var data struct{ Count int }
			_ = json.Unmarshal(e.Data, &data)
			switch e.Type {
			case broker.TypeLoginRefused:
				sum += data.Count
			case broker.TypeSystemDropped:
				dropped += data.Count
			}
		}
		if p.CaughtUp {
			break
		}
		from = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
	if sum+dropped != names {
		t.Fatalf("%d told and %d dropped of %d", sum, dropped, names)
	}
}

func TestSystem_TheDiskIsTold(t *testing.T) {
	h := newHouse(t, 1, "")
	free := int64(1000)
	h.free = func() (int64, int64) { return free, 100 }
	h.system = true
	h.open()
	h.create("s", broker.StreamConfig{})
	h.mustAppend(event("s", "", "v"))
	free = 50
	h.clock.Advance(2 * time.Second)
	if _, err := h.append(event("s", "", "v")); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	got := h.systemEvents(2) // written although the disk is low
	if got[1].kind != broker.TypeDiskLow || got[1].data["free_bytes"] != 50. {
		t.Fatal(got)
	}
	free = 1000
	h.clock.Advance(2 * time.Second)
	h.mustAppend(event("s", "", "v"))
	if got := h.systemEvents(3); got[2].kind != broker.TypeDiskRecovered {
		t.Fatal(got)
	}
}

// Whoever tells something never waits, whatever the disk does.
func TestSystem_NeverBlocks(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	const n = 2000
	long := strings.Repeat("x", 100<<10)
	for i := range n {
		e := broker.SystemEvent{Type: broker.TypeLagHigh, Subject: fmt.Sprint(i)}
		if i%50 == 0 { // more than is taken
			e.Data = map[string]any{"long": long}
		}
		h.b.System(e)
	}
	h.b.System(broker.SystemEvent{Type: broker.TypeLagHigh, Data: map[string]any{"no json": make(chan int)}})
	written := 0
	for range 6000 {
		if written = h.count(broker.TypeLagHigh); written+int(h.b.SystemDropped()) == n+1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d written, %d dropped, of %d", written, h.b.SystemDropped(), n+1)
}

// count is how many events of a type the system stream has.
func (h *house) count(kind string) (n int) {
	q := broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 1000}
	for {
		p, err := h.b.ReadPage(context.Background(), &broker.Caller{}, q)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, d := range p.Events {
			e := d.Event()
			if e.Type != kind {
				continue
			}
			if n++; len(e.Data) > 1<<10 {
				h.t.Fatalf("%d bytes of data were taken", len(e.Data))
			}
		}
		if p.CaughtUp {
			return n
		}
		q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}
