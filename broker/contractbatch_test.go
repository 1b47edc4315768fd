package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"leat/contract/registry"
)

// Many register at once, also versions of one subject: every id stands for one content, every version is there once, and a restart finds the same.
func TestRegisterContract_Together(t *testing.T) {
	each(t, func(t *testing.T, h *house) { registerTogether(t, h) })
}

func registerTogether(t *testing.T, h *house) {
	const clients, each, subjects = 16, 12, 5
	ids := make([]map[int]string, clients)
	var wg sync.WaitGroup
	for i := range clients {
		ids[i] = map[int]string{}
		wg.Go(func() {
			for n := range each {
				text := fmt.Sprintf(`{"type":"record","name":"R%d","fields":[]}`, (i+n)%20)
				var v *registry.Version
				err := h.b.RegisterContract(context.Background(), h.c, "s", func(r *registry.Registry) (c registry.Change, err error) {
					in := registry.Registration{Content: registry.Content{Text: text}, Force: true}
					v, c, err = r.Register(fmt.Sprintf("s%d", (i*n)%subjects), in)
					return c, err
				})
				if err != nil {
					t.Error(err)
					return
				}
				ids[i][v.ID] = text
			}
		})
	}
	wg.Wait()
	all := map[int]string{}
	for _, some := range ids {
		for id, text := range some {
			if was, ok := all[id]; ok && was != text {
				t.Fatalf("the id %d stands for %s and %s", id, was, text)
			}
			all[id] = text
		}
	}
	if len(all) != 20 {
		t.Errorf("%d ids, want 20", len(all))
	}
	said := func() (out []string) {
		for s := range subjects {
			versions, err := h.b.Contracts(h.c.Namespace).Versions(fmt.Sprintf("s%d", s), registry.Live)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range versions {
				if v.Version != i+1 {
					t.Errorf("s%d has version %d at place %d", s, v.Version, i)
				}
				out = append(out, fmt.Sprint(v.Subject, v.Version, v.ID))
			}
		}
		return out
	}
	before := said()
	h.restart()
	if after := said(); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before %v, after %v", before, after)
	}
}

// A refusal is of one alone, and a panic of one leaves nobody waiting.
func TestRegisterContract_OneFails(t *testing.T) {
	each(t, func(t *testing.T, h *house) { registerOneFails(t, h) })
}

func registerOneFails(t *testing.T, h *house) {
	no := errors.New("no")
	if err := h.b.RegisterContract(context.Background(), h.c, "s", func(*registry.Registry) (registry.Change, error) { return registry.Change{}, no }); !errors.Is(err, no) {
		t.Error(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		_ = h.b.RegisterContract(context.Background(), h.c, "s", func(*registry.Registry) (registry.Change, error) { panic("wrong") })
	}()
	if err := h.b.RegisterContract(context.Background(), h.c, "s", func(r *registry.Registry) (registry.Change, error) {
		_, c, err := r.Register("s", registry.Registration{Content: registry.Content{Text: `"string"`}})
		return c, err
	}); err != nil {
		t.Error(err)
	}
}

// Who gives up while his schema is decided, and finds it put back because it depends on another that is on its way, does not wait for somebody to come by.
func TestRegisterContract_GivesUpWhileItIsPutBack(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	nothing := func(*registry.Registry) (registry.Change, error) { return registry.Change{}, nil }
	for i := range 20 {
		subject := fmt.Sprint("s", i)
		gone, give := context.WithCancel(context.Background())
		late, decider, first, again := make(chan error, 1), make(chan error, 1), true, true
		err := h.b.RegisterContract(context.Background(), h.c, subject, func(*registry.Registry) (registry.Change, error) {
			if !first {
				return registry.Change{}, nil
			}
			first = false
			go func() { decider <- h.b.RegisterContract(context.Background(), h.c, subject, nothing) }() // has the token next, and decides for all
			time.Sleep(time.Millisecond)
			go func() {
				late <- h.b.RegisterContract(gone, h.c, subject, func(*registry.Registry) (registry.Change, error) {
					if !again {
						return registry.Change{}, nil
					}
					again = false
					give()
					time.Sleep(5 * time.Millisecond) // whoever waits for it sees that it has given up
					return registry.Change{}, registry.ErrStaged
				})
			}()
			time.Sleep(time.Millisecond)
			return registry.Change{}, registry.ErrStaged
		})
		if err := <-decider; err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		give()
		select {
		case <-late:
		case <-time.After(time.Minute):
			t.Fatal("it waits for ever")
		}
	}
}
