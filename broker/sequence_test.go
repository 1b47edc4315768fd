package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// numbered is an event with a number in its series; "" is none.
func numbered(stream, source, key, sequence string) broker.EventEntry {
	e := event(stream, key, sequence)
	add := func(name, value string) {
		e.Record.Headers = append(e.Record.Headers, record.Header{Key: name, Value: []byte(value)})
	}
	add("ce_specversion", "1.0")
	add("ce_id", "x")
	add("ce_source", source)
	if sequence != "" {
		add("ce_sequence", sequence)
	}
	return e
}

func marks(ds []broker.Delivery) string {
	var out []string
	for i := range ds {
		m := ds[i].Marks
		s := string(ds[i].Record.Value)
		if m.Gap > 0 {
			s += fmt.Sprint("+", m.Gap)
		}
		if m.Late {
			s += "late"
		}
		if m.DuplicateOf != "" {
			s += "=" + m.DuplicateOf
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestMarks(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.create("s", broker.StreamConfig{})
		with := func(c *broker.SubscriptionConfig) { c.Marks = true }
		h.subscribe("w", broker.StartLatest, with, "s")
		h.subscribe("some", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Marks, c.Where = true, `key == "k" && offset != 3` }, "s")
		h.subscribe("none", broker.StartLatest, nil, "s")
		for _, n := range []string{"1", "2", "5", "3", "5", "6", ""} {
			h.mustAppend(numbered("s", "/a", "k", n))
		}
		for _, n := range []string{"7", "9"} { // series of their own
			h.mustAppend(numbered("s", "/b", "k", n), numbered("s", "/a", "j", n))
		}
		for _, n := range []string{"m", "z", "n", "n"} { // texts have an order and no gaps
			h.mustAppend(numbered("s", "/a", "k", n))
		}
		const all = "1 2 5+2 3late 5=s/0/2 6  7 7 9+1 9+1 m z nlate n=s/0/13"
		const most = "1 2 5+2 5=s/0/2 6  7 9+1 m z nlate n=s/0/13"
		ds := h.receive("w", 15)
		if got := marks(ds); got != all {
			t.Fatal(got)
		}
		if got := marks(h.receive("some", 12)); got != most {
			t.Fatal(got)
		}
		if got := marks(h.receive("none", 15)); strings.ContainsAny(got, "=+") {
			t.Fatal(got)
		}
		// The same for each attempt, after a restart and a rewind, from the middle too.
		if _, err := h.b.Release(ctx, h.c, handles(ds), 0, true); err != nil {
			t.Fatal(err)
		}
		if got := marks(h.receive("w", 15)); got != all {
			t.Fatal(got)
		}
		h.restart()
		h.clock.Advance(10 * time.Second)
		if got := marks(h.receive("w", 15)); got != all {
			t.Fatal(got)
		}
		if err := h.b.Rewind(ctx, h.c, "w", broker.Start{Kind: broker.StartOffset, Offset: 4}); err != nil {
			t.Fatal(err)
		}
		if got := marks(h.receive("w", 11)); got != "5=s/0/2 6  7 7 9+1 9+1 m z nlate n=s/0/13" {
			t.Fatal(got)
		}
		h.restart()
		h.shadow("shade", "w", nil)
		h.mustAppend(numbered("s", "/a", "k", "8"))
		h.clock.Advance(10 * time.Second)
		ds = h.receive("w", 12)
		h.ack(ds...)
		if got := marks(h.comes("shade", 12)); got != marks(ds) || !strings.Contains(got, "8+1") || !strings.Contains(got, "5=s/0/2") {
			t.Fatal(got)
		}
	})
}

// Without a key a partition has but some of what a source sends.
func TestMarks_OfPartitions(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{Partitions: 2})
	h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Marks = true }, "s")
	h.mustAppend(numbered("s", "/a", "", "1"), numbered("s", "/a", "", "4"), numbered("s", "/a", "k", "1"), numbered("s", "/a", "k", "4"))
	if got := marks(h.receive("w", 4)); got != "1 4 1 4+2" {
		t.Fatal(got)
	}
}

// What is told is what the window before an event says, wherever one begins.
func TestMarks_ByChance(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{})
	h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Marks = true }, "s")
	r := rand.New(rand.NewPCG(7, 7))
	const n = 3*broker.SequenceWindow - 100
	type sent struct {
		series int
		number int64
	}
	var log []sent
	next := map[int]int64{}
	for len(log) < n {
		var es []broker.EventEntry
		for range 256 {
			v := sent{series: r.IntN(5)}
			if r.IntN(8) == 0 {
				v.series = 5 + r.IntN(3000) // seldom
			}
			switch r.IntN(12) {
			case 0:
				next[v.series] += int64(r.IntN(4)) // some are left out
			case 1:
				v.number = max(0, next[v.series]-int64(r.IntN(6000)))
			}
			if v.number == 0 {
				next[v.series]++
				v.number = next[v.series]
			}
			log = append(log, v)
			es = append(es, numbered("s", "/"+strconv.Itoa(v.series), "k", strconv.FormatInt(v.number, 10)))
		}
		h.mustAppend(es...)
	}
	want := func(o int) broker.Marks {
		var m broker.Marks
		var top int64
		for p := max(0, o-broker.SequenceWindow); p < o; p++ {
			if log[p].series != log[o].series {
				continue
			}
			if top = max(top, log[p].number); log[p].number == log[o].number {
				m.DuplicateOf = fmt.Sprint("s/0/", p)
			}
		}
		switch {
		case m.DuplicateOf != "" || top == 0:
		case top > log[o].number:
			m.Late = true
		default:
			m.Gap = log[o].number - top - 1
		}
		return m
	}
	some := broker.Marks{}
	check := func(from, most int) {
		t.Helper()
		for o := from; o < min(from+most, len(log)); {
			ds := h.receive("w", min(500, from+most-o, len(log)-o))
			for i := range ds {
				if ds[i].Ref.Offset != record.Offset(o) {
					t.Fatalf("%s, not %d", ds[i].Ref, o)
				}
				w := want(o)
				if ds[i].Marks != w {
					t.Fatalf("%d: %+v, want %+v", o, ds[i].Marks, w)
				}
				some.Late, some.Gap = some.Late || w.Late, some.Gap+w.Gap
				if w.DuplicateOf != "" {
					some.DuplicateOf = "some"
				}
				o++
			}
			h.ack(ds...)
		}
	}
	check(0, len(log))
	if some.Gap == 0 || !some.Late || some.DuplicateOf == "" {
		t.Fatalf("%+v: nothing was tried", some)
	}
	for _, from := range []int{10_000, 300, 9_000, 5_000} {
		if err := h.b.Rewind(ctx, h.c, "w", broker.Start{Kind: broker.StartOffset, Offset: record.Offset(from)}); err != nil {
			t.Fatal(err)
		}
		check(from, 1500)
	}
}
