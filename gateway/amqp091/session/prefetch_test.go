package session

import (
	"testing"

	"leat/gateway/amqp091/wire"
)

func TestPrefetch(t *testing.T) {
	var p Prefetch
	room := func(w *Window, want int) {
		t.Helper()
		if got := p.Room(w, 100); got != want {
			t.Errorf("room for %d, want %d", got, want)
		}
	}
	free := p.Consumer()
	room(&free, 100)
	p.Set(&wire.BasicQoS{PrefetchCount: 3})
	a, b := p.Consumer(), p.Consumer()
	room(&free, 100) // those there are keep theirs
	for range 3 {
		p.Sent(&a)
	}
	room(&a, 0)
	room(&b, 3)

	p.Set(&wire.BasicQoS{PrefetchCount: 5, Global: true}) // counts what has been sent before
	room(&a, 0)
	room(&b, 2)
	room(&free, 2)
	p.Sent(&b)
	p.Sent(&free)
	room(&b, 0)
	p.Settled(&a)
	room(&a, 1)
	room(&b, 1)

	p.Set(&wire.BasicQoS{PrefetchCount: 1, Global: true}) // under what waits already
	room(&free, 0)
	p.Set(&wire.BasicQoS{Global: true}) // none
	room(&free, 100)
	room(&b, 2)
	c := p.Consumer()
	room(&c, 3)
	p.Set(&wire.BasicQoS{})
	d := p.Consumer()
	room(&d, 100)
	if got := p.Room(&d, 7); got != 7 {
		t.Error(got)
	}
}
