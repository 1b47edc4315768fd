package subscription

import "testing"

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
