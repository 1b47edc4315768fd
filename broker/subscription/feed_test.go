package subscription

import (
	"slices"
	"testing"

	"leat/broker/record"
)

// Who attends for the first time when records have arrived and their frame is not durable yet, gets them with it: nobody had a desk when they came.
func TestArrive_WhoComesBeforeTheFrameIsDurableGetsThem(t *testing.T) {
	w := newWorld(t)
	fr := w.open()
	id, _ := w.head.Put(0, withKind(Policy{}), 1, fr)
	at := Place{1, 0}
	_ = w.head.Begin(id, []Start{{Place: at}}, fr)
	w.publish()
	if len(w.head.desks) > 0 {
		t.Fatal("there is a desk already")
	}
	w.append(at, []logged{{to: []ID{1}}, {to: []ID{1}}})
	if err := w.head.Attach(id, Member{ID: 1, Credit: Endless}); err != nil {
		t.Fatal(err)
	}
	if n := len(w.head.Drain().Deliveries); n > 0 {
		t.Fatalf("%d before they are durable", n)
	}
	w.publish()
	w.feed()
	if n := len(w.head.Drain().Deliveries); n != 2 {
		t.Fatalf("%d of 2 were handed over", n)
	}
}

// What expired before it was shown dies behind what is on the wheel for an earlier time, though the wheel has not moved yet.
func TestFeed_WhatComesTooLateDiesInItsTurn(t *testing.T) {
	w := newWorld(t)
	fr := w.open()
	id, _ := w.head.Put(0, withKind(Policy{Bury: true, TTLMS: 1000}), 1, fr)
	at := Place{1, 0}
	_ = w.head.Begin(id, []Start{{Place: at, All: true}}, fr)
	w.publish()
	w.append(at, []logged{{}, {}})
	w.publish()
	early := w.now
	w.now += 1500
	w.append(at, []logged{{Meta: Meta{AppendedMS: early}}, {Meta: Meta{AppendedMS: early}}})
	w.publish()
	var died []record.Offset
	for more := true; more; {
		more = w.head.Tick(w.now)
		for _, b := range w.head.Drain().Burials {
			died = append(died, b.At.Offset)
		}
		w.head.Drained()
	}
	if !slices.Equal(died, []record.Offset{0, 1, 2, 3}) {
		t.Errorf("they died in the order %v", died)
	}
}
