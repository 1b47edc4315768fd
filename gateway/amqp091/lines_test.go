package amqp091

import (
	"testing"

	"leat/gateway/amqp091/wire"
)

func TestJoinLines(t *testing.T) {
	d := &wire.QueueDeclare{Queue: []byte("q\ru\ne\r\nue_\ntest\n\r")}
	joinLines(d)
	b := &wire.QueueBind{Queue: []byte("a\nb"), Exchange: []byte("x"), RoutingKey: []byte("k\nk")}
	joinLines(b)
	c := &wire.BasicConsume{Queue: []byte("a\nb")}
	joinLines(c)
	if string(d.Queue) != "queue_test" || string(b.Queue) != "ab" || string(b.Exchange) != "x" || string(b.RoutingKey) != "k\nk" || string(c.Queue) != "a\nb" {
		t.Errorf("%q %q %q %q %q", d.Queue, b.Queue, b.Exchange, b.RoutingKey, c.Queue)
	}
}
