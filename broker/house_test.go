package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// State is a fold of the journal: rows after everything was replayed into an empty store are those that were written step by step.
func TestRestart_RowsAreTheFoldOfTheJournal(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		fill(h, 30)
		for _, m := range []broker.KeyMode{broker.KeysOff, broker.KeysLatest, broker.KeysVersioned} {
			h.create(m.String(), broker.StreamConfig{Keys: m, Partitions: 2})
			h.mustAppend(event(m.String(), "k", "1"), identified("a", m.String(), "x"))
		}
		for i := range int32(8) {
			if r := h.send("off", batch(t, 3, 1, i, "v")); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		h.clock.Advance(time.Hour) // identities go
		h.mustAppend(identified("a", "late", "x"))
		if _, err := h.b.AlterStream(ctx, h.c, "b", func(c *broker.StreamConfig) error { c.Keys, c.Partitions = broker.KeysVersioned, 5; return nil }, 0); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(event("b", "k0", "x"))
		h.built("b")
		if err := h.b.DeleteStream(ctx, h.c, "latest"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.b.NewProducer(ctx, h.c); err != nil {
			t.Fatal(err)
		}
		rows := func() (out []string) {
			for _, st := range h.states {
				out = append(out, dump(t, st))
			}
			return out
		}
		before, events := rows(), h.values("a", "b")
		for i, again := range []func(){h.restart, h.forget, h.restart} {
			again()
			for s, now := range rows() {
				if now != before[s] {
					t.Fatalf("%d: rows of shard %d differ\n%s\n%s", i, s, before[s], now)
				}
			}
			if got := h.values("a", "b"); strings.Join(got, " ") != strings.Join(events, " ") {
				t.Fatalf("%d: events %v, before %v", i, got, events)
			}
		}
	})
}

type casIn struct {
	read   bool
	expect uint64
	value  string
}

type casOut struct {
	ok      bool
	version uint64
	value   string
}

// A key is a register: appends with an expected version and reads by key are linearizable.
func TestLinearizable_ExpectedVersions(t *testing.T) {
	model := porcupine.Model{
		Init: func() any { return casOut{} },
		Step: func(st, in, out any) (bool, any) {
			s, i, o := st.(casOut), in.(casIn), out.(casOut)
			if i.read {
				return o.version == s.version && o.value == s.value, s
			}
			if !o.ok {
				return s.version != i.expect && o.version == s.version, s
			}
			return s.version == i.expect && o.version == s.version+1, casOut{version: o.version, value: i.value}
		},
	}
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysVersioned})
		began := time.Now()
		var mu sync.Mutex
		var ops []porcupine.Operation
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				known := uint64(0)
				for i := range 40 {
					in, out := casIn{read: (w+i)%3 == 0, expect: known, value: fmt.Sprint(w, "-", i)}, casOut{}
					call := time.Since(began).Nanoseconds()
					if in.read {
						p, err := h.b.ReadPage(context.Background(), h.c, broker.PageRequest{Streams: []string{"s"}, Key: []byte("k"), Limit: 1, Backward: true, From: broker.Start{Kind: broker.StartLatest}})
						if err != nil {
							t.Error(err)
							return
						}
						if len(p.Events) > 0 {
							out = casOut{version: p.Events[0].Version, value: string(p.Events[0].Record.Value)}
						}
						known = out.version
					} else {
						e := event("s", "k", in.value)
						e.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: known}
						r, err := h.append(e)
						switch {
						case err == nil:
							out = casOut{ok: true, version: r[0].Version}
						case fault.Is(err, fault.Conflict):
							out.version = fault.As(err).Detail.([]broker.FailedCondition)[0].Current
						default:
							t.Error(err)
							return
						}
						known = out.version
					}
					mu.Lock()
					ops = append(ops, porcupine.Operation{ClientId: w, Input: in, Call: call, Output: out, Return: time.Since(began).Nanoseconds()})
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if r := porcupine.CheckOperationsTimeout(model, ops, 20*time.Second); r != porcupine.Ok {
			t.Fatalf("%d operations are not linearizable: %s", len(ops), r)
		}
	})
}

func TestAppend_LargerThanAFrame(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff, BatchBytesMax: broker.BatchBytesLimit, Partitions: 3})
		big := strings.Repeat("x", 9<<20)
		var entries []broker.BatchEntry
		var events []broker.EventEntry
		for i := range 3 {
			entries = append(entries, broker.BatchEntry{Stream: "s", Partition: record.PartitionID(i), Batch: batch(t, -1, 0, 0, big)})
			events = append(events, in(event("s", "", big), i))
		}
		// Batches are judged alone, so a large request is appended in portions, in order; three of them follow it at once.
		for i := range 3 {
			entries = append(entries, broker.BatchEntry{Stream: "s", Partition: 0, Batch: batch(t, -1, 0, 0, fmt.Sprint(i))})
		}
		for i, r := range h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: entries}).Wait(context.Background()) {
			if want := record.Offset(max(0, i-2)); r.Err != nil || r.Base != want {
				t.Fatalf("entry %d: %+v, expected offset %d", i, r, want)
			}
		}
		_, err := h.append(events...)
		wantKind(t, err, fault.TooLarge)
		h.mustAppend(event("s", "", "small"))
		if why := h.b.Ready(); why != nil {
			t.Fatal(why)
		}
	})
}

func TestAlterStream_AllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		_, err := h.b.AlterStream(context.Background(), h.c, "s", func(c *broker.StreamConfig) error {
			c.Partitions, c.Documents = 9, map[string]string{"x": strings.Repeat("x", 300<<10)}
			return nil
		}, 0)
		wantKind(t, err, fault.TooLarge)
		p := h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Partition: 8, Batch: batch(t, -1, 0, 0, "x")}}})
		if r := p.Wait(context.Background())[0]; r.Err == nil || r.Err.Reason != fault.ReasonPartition {
			t.Fatalf("a partition of a change that was refused: %+v", r)
		}
	})
}

func TestUsers_SomebodyCanAlwaysManageThem(t *testing.T) {
	h := newHouse(t, 3, "")
	h.open()
	ctx := context.Background()
	admin := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
	reader := []broker.Grant{{Action: broker.ActionRead, Kind: broker.KindStream, Pattern: "a*"}}
	put := func(c *broker.Caller, name string, grants []broker.Grant) error {
		_, err := h.b.PutUser(ctx, c, broker.User{Name: name, Password: "correct horse", Grants: grants})
		return err
	}
	wantKind(t, put(h.c, "ann", reader), fault.Invalid) // the first must be able to
	if err := put(h.c, "ann", admin); err != nil {
		t.Fatal(err)
	}
	ann, bob := &broker.Caller{Principal: "ann"}, &broker.Caller{Principal: "bob"}
	wantKind(t, put(h.c, "eve", admin), fault.Denied)
	if err := put(ann, "bob", reader); err != nil {
		t.Fatal(err)
	}
	wantKind(t, put(bob, "bob", admin), fault.Denied)
	wantKind(t, put(ann, "ann", reader), fault.Conflict) // the last who can
	wantKind(t, h.b.DeleteUser(ctx, ann, "ann"), fault.Conflict)
	h.forget()
	if err := h.b.CheckPassword(ctx, ann, "ann", "correct horse"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, h.b.CheckPassword(ctx, ann, "ann", "wrong horse"), fault.Denied)
	if !h.b.Allowed(bob, broker.ActionRead, broker.KindStream, "abc") || h.b.Allowed(bob, broker.ActionWrite, broker.KindStream, "abc") || h.b.Allowed(h.c, broker.ActionRead, broker.KindStream, "abc") {
		t.Fatal("grants are not what was given")
	}
	_, err := h.b.CreateStream(ctx, bob, "abc", broker.StreamConfig{})
	wantKind(t, err, fault.Denied)
	if err := h.b.DeleteUser(ctx, ann, "bob"); err != nil {
		t.Fatal(err)
	}
	if err := h.b.DeleteUser(ctx, ann, "ann"); err != nil {
		t.Fatal(err)
	}
	if h.b.UsersExist() {
		t.Fatal("users are left")
	}
}

// Of many who would be the first user one becomes it, and the others are asked who they are.
func TestUsers_OneIsTheFirst(t *testing.T) {
	ctx := context.Background()
	admin := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
	h := newHouse(t, 1, "")
	h.open()
	const askers = 8
	errs := make([]error, askers)
	var wg sync.WaitGroup
	for i := range askers {
		wg.Go(func() {
			_, errs[i] = h.b.PutUser(ctx, h.c, broker.User{Name: fmt.Sprintf("u%d", i), NewToken: true, Grants: admin})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		wantKind(t, err, fault.Denied)
	}
	if made != 1 {
		t.Fatalf("%d first users", made)
	}
}

// Two admins who let go of their rights, or of each other, at the same time: one of them stays. Tokens that are asked for at the same
// time are all kept.
func TestUsers_ChangesAtOnceDoNotLoseEachOther(t *testing.T) {
	ctx := context.Background()
	admin := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
	h := newHouse(t, 1, "")
	h.open()
	put := func(c *broker.Caller, u broker.User) error { _, err := h.b.PutUser(ctx, c, u); return err }
	callers := []*broker.Caller{{Principal: "ann"}, {Principal: "bob"}}
	for round := range 10 {
		for _, c := range callers {
			by := h.c
			for _, x := range callers {
				if h.b.Allowed(x, broker.ActionAdmin, broker.KindUser, c.Principal) {
					by = x
				}
			}
			if err := put(by, broker.User{Name: c.Principal, NewToken: round == 0, Grants: admin}); err != nil {
				t.Fatal(round, err)
			}
		}
		var wg sync.WaitGroup
		for i, c := range callers {
			wg.Go(func() {
				if round%2 == 0 {
					_ = put(c, broker.User{Name: c.Principal}) // refused for one of the two, whichever
				} else {
					_ = h.b.DeleteUser(ctx, c, callers[1-i].Principal)
					_ = put(c, broker.User{Name: callers[1-i].Principal, NewToken: true})
				}
			})
		}
		wg.Wait()
		left := 0
		for _, c := range callers {
			if h.b.Allowed(c, broker.ActionAdmin, broker.KindUser, "ann") {
				left++
			}
		}
		if left != 1 {
			t.Fatalf("round %d: %d can manage users", round, left)
		}
	}
	boss := callers[0]
	if !h.b.Allowed(boss, broker.ActionAdmin, broker.KindUser, "eve") {
		boss = callers[1]
	}
	tokens := make([]string, 10)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			u, err := h.b.PutUser(ctx, boss, broker.User{Name: "eve", NewToken: true})
			if err != nil {
				t.Error(err)
			}
			tokens[i] = u.Token
		})
	}
	wg.Wait()
	for i, token := range tokens {
		if who, err := h.b.CheckToken(ctx, h.c, token); err != nil || who != "eve" {
			t.Errorf("token %d: %q %v", i, who, err)
		}
	}
}

// Who gives up waiting leaves nothing half done behind: the next change waits for the outcome of his.
func TestUsers_OneWhoLeavesIsWaitedFor(t *testing.T) {
	admin := []broker.Grant{{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"}}
	h := newHouse(t, 1, "")
	h.open()
	held, free := h.hold()
	ctx, leave := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := h.b.PutUser(ctx, h.c, broker.User{Name: "ann", NewToken: true, Grants: admin})
		first <- err
	}()
	<-held
	leave()
	wantKind(t, <-first, fault.Unknown)
	go func() {
		_, err := h.b.PutUser(context.Background(), h.c, broker.User{Name: "bob", NewToken: true, Grants: admin})
		second <- err
	}()
	close(free)
	wantKind(t, <-second, fault.Denied)
	if !h.b.Allowed(&broker.Caller{Principal: "ann"}, broker.ActionAdmin, broker.KindUser, "x") {
		t.Fatal("ann is not there")
	}
}

func TestReserve_InOrderAndNobodyBehindOneWhoLeaves(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.MemoryBytes = 16 << 20
	h.open()
	ctx := context.Background()
	hold, err := h.b.Reserve(ctx, h.c, 10<<20)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.b.Reserve(ctx, h.c, 17<<20)
	wantKind(t, err, fault.TooLarge)
	leaving, leave := context.WithCancel(ctx)
	large, small := make(chan error, 1), make(chan error, 1)
	go func() { _, err := h.b.Reserve(leaving, h.c, 12<<20); large <- err }()
	wait(t, func() bool { return h.b.ReserveWaiters() == 1 })
	go func() {
		release, err := h.b.Reserve(ctx, h.c, 1<<20)
		if err == nil {
			defer release()
		}
		small <- err
	}()
	wait(t, func() bool { return h.b.ReserveWaiters() == 2 }) // behind the large one, though it would fit
	leave()
	wantKind(t, <-large, fault.QuotaSpent)
	select {
	case err := <-small:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the small one fits and still waits behind one who has left")
	}
	hold()
	wait(t, func() bool { return h.b.MemoryReserved() == 0 })
}

func TestDiskReserve_AppendsAreRefusedTheRestGoesOn(t *testing.T) {
	h := newHouse(t, 1, "")
	free := int64(100)
	h.free = func() (int64, int64) { return free, 50 }
	h.open()
	h.create("s", broker.StreamConfig{})
	h.mustAppend(event("s", "", "1"))
	free = 49
	h.clock.Advance(2 * time.Second)
	_, err := h.append(event("s", "", "2"))
	if f := wantKind(t, err, fault.Unavailable); f.Reason != fault.ReasonDiskReserve || f.Retry != fault.Later {
		t.Fatalf("%+v", f)
	}
	h.create("other", broker.StreamConfig{})
	if err := h.b.DeleteStream(context.Background(), h.c, "other"); err != nil {
		t.Fatal(err)
	}
	if got := h.values("s"); len(got) != 1 {
		t.Fatal(got)
	}
	free = 100
	h.clock.Advance(2 * time.Second)
	h.mustAppend(event("s", "", "2"))
}
