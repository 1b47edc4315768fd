package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/contract/registry"
	"leat/storage/journal"
	journalmem "leat/storage/journal/memory"
)

// enroll registers a text, in the way of registrations or in that of any change. meanwhile runs when it has been decided, and before it is recorded.
func (h *house) enroll(together bool, subject, text string, meanwhile func(), refs ...registry.Reference) (v *registry.Version, err error) {
	in := registry.Registration{Content: registry.Content{Text: text, References: refs}, Force: true}
	decide := func(r *registry.Registry) (c registry.Change, err error) {
		if v, c, err = r.Register(subject, in); err == nil && meanwhile != nil {
			meanwhile()
		}
		return c, err
	}
	if together {
		err = h.b.RegisterContract(context.Background(), h.c, subject, decide)
	} else {
		err = h.b.ChangeContracts(context.Background(), h.c, broker.ActionCreate, subject, decide)
	}
	return v, err
}

func named(n int) string { return fmt.Sprintf(`{"type":"record","name":"R%d","fields":[]}`, n) }

// A registration whose frame was written has its id, also when its client was told that nobody knows: the next one gets another. Here the next one comes
// while the shard is recovering, and would be recorded when that is over.
func TestContracts_AnIDOfUnknownOutcomeIsNotGivenAgain(t *testing.T) {
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprint("together=", together), func(t *testing.T) {
			h := newHouse(t, 1, "")
			h.open()
			if v, err := h.enroll(together, "s", named(0), nil); err != nil || v.ID != 1 {
				t.Fatal(v, err)
			}
			recover := make(chan struct{})
			h.opening = func() { <-recover }
			var once sync.Once
			h.journals[0].SetHook(func(journal.Frame) (o journalmem.Outcome) {
				once.Do(func() { o = journalmem.Kept })
				return o
			})
			_, err := h.enroll(together, "s", named(1), nil)
			wantKind(t, err, fault.Unknown)
			goOn := sync.OnceFunc(func() { close(recover); h.healthy() })
			v, err := h.enroll(together, "s", named(2), goOn)
			goOn()
			if err != nil {
				wantKind(t, err, fault.Unavailable)
				if v, err = h.enroll(together, "s", named(2), nil); err != nil {
					t.Fatal(err)
				}
			}
			if v.Version != 3 || v.ID != 3 {
				t.Errorf("the next one is version %d with id %d, want 3 and 3", v.Version, v.ID)
			}
			for i, again := range []func(){func() {}, h.restart, h.forget} {
				h.opening = nil
				again()
				all, err := h.b.Contracts("").Versions("s", registry.Live)
				if err != nil || len(all) != 3 {
					t.Fatalf("%d: %v, %v", i, all, err)
				}
				for n, v := range all {
					if v.ID != n+1 || v.Text != named(n) {
						t.Errorf("%d: version %d has id %d and is %s", i, v.Version, v.ID, v.Text)
					}
				}
			}
		})
	}
}

// Who leaves does not take his change with him: the next decides when it is known.
func TestContracts_OneWhoLeavesIsWaitedFor(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	if _, err := h.enroll(true, "s", named(0), nil); err != nil {
		t.Fatal(err)
	}
	remove := func(ctx context.Context, permanent bool) error {
		return h.b.ChangeContracts(ctx, h.c, broker.ActionDelete, "s", func(r *registry.Registry) (registry.Change, error) {
			_, c, err := r.DeleteVersion("s", 1, permanent)
			return c, err
		})
	}
	held, free := h.hold()
	ctx, leave := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- remove(ctx, false) }()
	<-held
	leave()
	wantKind(t, <-first, fault.Unknown)
	decided := make(chan struct{})
	go func() {
		_, err := h.enroll(true, "s", named(0), func() { close(decided) }) // there already, unless it was deleted
		second <- err
	}()
	select {
	case <-decided:
		t.Error("it was decided while the change before it was on its way")
	case <-time.After(20 * time.Millisecond): // too short a time lets a fault pass, and fails nobody
	}
	close(free)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if v, err := h.b.Contracts("").Version("s", registry.Latest, false); err != nil || v.Version != 2 || v.ID != 1 {
		t.Errorf("%+v, %v: the first version was deleted, the content is registered anew", v, err)
	}
}

// Many register while the disk fails now and then: an id stands for one content, a version that was acknowledged stays what it was.
func TestContracts_IDsOverFailures(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const clients, each, subjects = 6, 40, 4
		h.rough(5, true)
		var mu sync.Mutex
		ids, versions := map[int]string{}, map[string]string{}
		saw := func(v *registry.Version, text string) {
			mu.Lock()
			defer mu.Unlock()
			place := fmt.Sprint(v.Subject, ":", v.Version)
			if was, ok := ids[v.ID]; ok && was != text {
				t.Errorf("the id %d stands for %s and %s", v.ID, was, text)
			}
			if was, ok := versions[place]; ok && was != text {
				t.Errorf("%s is %s and %s", place, was, text)
			}
			ids[v.ID], versions[place] = text, text
		}
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 3))
				for n := range each {
					text := named(r.IntN(clients * each))
					v, err := h.enroll(n%4 > 0, fmt.Sprint("s", r.IntN(subjects)), text, nil)
					for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
						var f *fault.Error
						if !errors.As(err, &f) || f.Kind != fault.Unknown && f.Kind != fault.Unavailable {
							t.Error(err)
							return
						}
						if f.Kind == fault.Unknown {
							break // he registers something else
						}
						v, err = h.enroll(n%4 > 0, fmt.Sprint("s", r.IntN(subjects)), text, nil)
					}
					if err == nil {
						saw(v, text)
					}
				}
			})
		}
		wg.Wait()
		h.rough(0, false)
		for _, again := range []func(){h.healthy, h.restart, h.forget} {
			again()
			found := 0
			for v := range h.b.Contracts(h.c.Namespace).Schemas("", registry.WithDeleted, false) {
				saw(v, v.Text)
				found++
			}
			if found < len(versions) {
				t.Errorf("%d versions, %d were acknowledged", found, len(versions))
			}
		}
	})
}
