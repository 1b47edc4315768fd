package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/filter/address"
	"leat/broker/record"
)

// bind adds or takes away what reaches a subscription.
func (h *house) bind(name string, keys []string, add bool) error {
	_, err := h.b.PutSubscription(context.Background(), h.c, name, func(c *broker.SubscriptionConfig) error {
		for _, key := range keys {
			f := broker.AddressFilter{Stream: "s", Subject: address.Pattern{Syntax: address.Words, Text: key}}
			if add {
				c.Address = append(c.Address, f)
			} else {
				c.Address = slices.DeleteFunc(c.Address, func(g broker.AddressFilter) bool { return g.Subject == f.Subject })
			}
		}
		return nil
	}, broker.Start{Kind: broker.StartLatest}, 0)
	return err
}

func routedBy(keys ...string) func(*broker.SubscriptionConfig) {
	return func(c *broker.SubscriptionConfig) {
		c.Routed = true
		for _, key := range keys {
			c.Address = append(c.Address, broker.AddressFilter{Stream: "s", Subject: address.Pattern{Syntax: address.Words, Text: key}})
		}
	}
}

// A queue has as many bindings as one likes, made and taken back one by one while what came by the first still waits.
func TestRouted_ManyBindingsOneByOne(t *testing.T) {
	const n = 1000
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
	h.subscribe("w", broker.StartLatest, routedBy("first"), "s")
	var want []string
	send := func(subject string, reaches bool) {
		h.mustAppend(subjected(subject, subject))
		if reaches {
			want = append(want, subject)
		}
	}
	send("first", true)
	for i := range n {
		if err := h.bind("w", []string{fmt.Sprint("key.", i)}, true); err != nil {
			t.Fatalf("binding %d: %v", i, err)
		}
		if i%100 == 7 {
			send(fmt.Sprint("key.", i), true)
			send(fmt.Sprint("key.", i+1), false)
		}
	}
	for i := range n {
		if i == n/2 {
			h.restart()
			h.clock.Advance(10 * time.Second)
		}
		if i%3 > 0 {
			continue
		}
		if err := h.bind("w", []string{fmt.Sprint("key.", i)}, false); err != nil {
			t.Fatalf("unbinding %d: %v", i, err)
		}
		if i%300 == 0 {
			send(fmt.Sprint("key.", i), false)
			send(fmt.Sprint("key.", i+1), true)
		}
	}
	if got := payloads(h.receive("w", len(want))); !slices.Equal(got, want) {
		t.Fatalf("got %v\nwant %v", got, want)
	}
	h.nothing("w")
}

// routedModel is who should get what.
type routedModel struct {
	*house
	r    *rand.Rand
	subs map[string]*routedSub
	sent int
	gone int // offsets that are trimmed
}

type routedSub struct {
	keys  []string
	waits []string // by the time of the append
	at    []int    // their offsets
}

var modelKeys = []string{"a", "b", "c", "a.*", "b.#", "#", "*.x", "d", "e", "f.g"}

var modelSubjects = []string{"a", "b", "c", "a.x", "b.x", "b.x.y", "d", "e", "f.g", "nobody's"}

func wordsMatch(key, subject string) bool {
	var match func(k, s []string) bool
	match = func(k, s []string) bool {
		switch {
		case len(k) == 0:
			return len(s) == 0
		case k[0] == "#":
			return match(k[1:], s) || len(s) > 0 && match(k, s[1:])
		}
		return len(s) > 0 && (k[0] == "*" || k[0] == s[0]) && match(k[1:], s[1:])
	}
	return match(strings.Split(key, "."), strings.Split(subject, "."))
}

func (m *routedModel) step() {
	m.t.Helper()
	names := []string{"p", "q", "r", "t", "u"}
	name := names[m.r.IntN(len(names))]
	x := m.subs[name]
	switch m.r.IntN(12) {
	case 0, 1, 2, 3, 4:
		m.send(1 + m.r.IntN(5))
	case 5:
		if x == nil {
			x = &routedSub{keys: []string{modelKeys[m.r.IntN(3)]}}
			m.subs[name] = x
			m.subscribe(name, broker.StartLatest, routedBy(x.keys...), "s")
		} else if m.r.IntN(4) == 0 {
			delete(m.subs, name)
			if err := m.b.DeleteSubscription(context.Background(), m.c, name); err != nil {
				m.t.Fatal(err)
			}
		}
	case 6, 7, 8:
		if x == nil {
			return
		}
		key := modelKeys[m.r.IntN(len(modelKeys))]
		i := slices.Index(x.keys, key)
		if i >= 0 {
			x.keys = slices.Delete(x.keys, i, i+1)
		} else {
			x.keys = append(x.keys, key)
		}
		if err := m.bind(name, []string{key}, i < 0); err != nil {
			m.t.Fatal(err)
		}
	case 9, 10:
		if x != nil {
			m.drain(name, x)
		}
	case 11:
		switch m.r.IntN(6) {
		case 0:
			m.restart()
			m.clock.Advance(10 * time.Second)
		case 1:
			m.forget()
			m.clock.Advance(10 * time.Second)
		case 2:
			m.trim()
		}
	}
}

func (m *routedModel) send(n int) {
	var es []broker.EventEntry
	for range n {
		subject := modelSubjects[m.r.IntN(len(modelSubjects))]
		v := fmt.Sprint(m.sent, " ", subject)
		e := subjected(subject, v)
		if m.r.IntN(4) == 0 {
			e.Record.Key = []byte("k")
		}
		es = append(es, e)
		for _, x := range m.subs {
			if slices.ContainsFunc(x.keys, func(k string) bool { return wordsMatch(k, subject) }) {
				x.waits, x.at = append(x.waits, v), append(x.at, m.sent)
			}
		}
		m.sent++
	}
	m.mustAppend(es...)
}

func (m *routedModel) trim() {
	m.gone += m.r.IntN(m.sent - m.gone + 1)
	if _, err := m.b.Truncate(context.Background(), m.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartOffset, Offset: record.Offset(m.gone)}}); err != nil {
		m.t.Fatal(err)
	}
	for _, x := range m.subs {
		n := 0
		for n < len(x.at) && x.at[n] < m.gone {
			n++
		}
		x.waits, x.at = x.waits[n:], x.at[n:]
	}
}

// drain takes some or all of what waits.
func (m *routedModel) drain(name string, x *routedSub) {
	m.t.Helper()
	n := len(x.waits)
	if n > 1 && m.r.IntN(2) == 0 {
		n = 1 + m.r.IntN(n)
	}
	if n > 0 {
		ds := m.receive(name, n)
		if got := payloads(ds); !slices.Equal(got, x.waits[:n]) {
			m.t.Fatalf("%s with %v got %q\nwant %q", name, x.keys, got, x.waits[:n])
		}
		m.ack(ds...)
		x.waits, x.at = x.waits[n:], x.at[n:]
	}
}

func TestRouted_Model(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, "")
			h.open()
			h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
			m := &routedModel{house: h, r: rand.New(rand.NewPCG(seed, 11)), subs: map[string]*routedSub{}}
			for range 250 {
				m.step()
			}
			for name, x := range m.subs {
				m.drain(name, x)
				for len(x.waits) > 0 {
					m.drain(name, x)
				}
				if i := m.standing(name); i.Waiting != 0 && m.gone == 0 {
					t.Errorf("%s: %+v", name, i)
				}
			}
			for name := range m.subs {
				ds, err := h.b.Receive(context.Background(), h.c, name, broker.ReceiveRequest{Max: 10, Wait: 20 * time.Millisecond})
				if err != nil || len(ds) > 0 {
					t.Errorf("%s got %q, %v", name, payloads(ds), err)
				}
			}
		})
	}
}

// While filters are added and taken away, what one of them matches all the time reaches everybody who has it, once: those who share a class and leave it,
// and one that is alone and stays in its own.
func TestRouted_ChangesBesideAppends(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
	names := []string{"p", "q", "r"}
	for _, name := range names {
		keys := []string{"always.#"}
		if name == "r" {
			keys = append(keys, "its own")
		}
		h.subscribe(name, broker.StartLatest, routedBy(keys...), "s")
	}
	const producers, each = 4, 150
	var appending, changing sync.WaitGroup
	stop := make(chan struct{})
	for _, name := range names {
		changing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := h.bind(name, []string{fmt.Sprint("b.", i/2%5)}, i%2 == 0); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for p := range producers {
		appending.Go(func() {
			for i := range each {
				if _, err := h.append(subjected("always.x", fmt.Sprint(p, "-", i)), subjected(fmt.Sprint("b.", i%5), "perhaps"), subjected("nobody's", "no")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	appending.Wait()
	close(stop)
	changing.Wait()
	for _, name := range names {
		got, n := map[string]int{}, h.standing(name).Waiting
		for _, d := range h.receive(name, int(n)) {
			got[string(d.Record.Value)]++
			h.ack(d)
		}
		if got["no"] > 0 {
			t.Errorf("%s got what it never asked for", name)
		}
		for p := range producers {
			for i := range each {
				if v := fmt.Sprint(p, "-", i); got[v] != 1 {
					t.Errorf("%s got %s %d times", name, v, got[v])
				}
			}
		}
		h.nothing(name)
		if i := h.standing(name); i.Waiting != 0 || i.WaitingBytes != 0 || !i.Exact {
			t.Errorf("%s: %+v", name, i)
		}
	}
}
