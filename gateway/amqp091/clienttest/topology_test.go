package clienttest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// What is durable is there after a kill with what it held, what is not and what belonged to a connection is gone, and what was bound still
// leads where it led.
func TestTopology_OutlivesAKill(t *testing.T) {
	n := startLeat(t)
	ctx := patience(t)
	conn, err := amqp.Dial(n.url())
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	declare := func(name string, durable, exclusive bool, args amqp.Table) {
		t.Helper()
		_, err := ch.QueueDeclare(name, durable, false, exclusive, false, args)
		must(err)
	}
	must(ch.Confirm(false))
	must(ch.ExchangeDeclare("logs", "topic", true, false, false, false, nil))
	must(ch.ExchangeDeclare("inner", "direct", true, false, true, false, nil))
	must(ch.ExchangeDeclare("by header", "headers", true, false, false, false, amqp.Table{"alternate-exchange": "logs"}))
	must(ch.ExchangeDeclare("gone", "fanout", false, false, false, false, nil))
	must(ch.ExchangeBind("inner", "#.disk", "logs", false, nil))
	declare("durable", true, false, amqp.Table{"x-dead-letter-exchange": "logs", "x-dead-letter-routing-key": "dead"})
	declare("dead", true, false, nil)
	declare("transient", false, false, nil)
	declare("mine", true, true, nil)
	declare("short", true, false, amqp.Table{"x-expires": int32(1500)})
	declare("log", true, false, amqp.Table{"x-queue-type": "stream"})
	for _, b := range [][3]string{{"durable", "eu.disk", "inner"}, {"dead", "dead", "logs"}, {"transient", "#", "gone"}, {"log", "eu.#", "logs"}} {
		must(ch.QueueBind(b[0], b[1], b[2], false, nil))
	}
	must(ch.QueueBind("durable", "", "by header", false, amqp.Table{"x-match": "any", "a": int32(1)}))
	publish := func(ch *amqp.Channel, exchange, key string, h amqp.Table) {
		t.Helper()
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Headers: h, Body: []byte(exchange + "/" + key)})
		must(err)
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			t.Fatalf("%s/%s: %v, %v", exchange, key, ok, err)
		}
	}
	for range 3 {
		publish(ch, "logs", "eu.disk", nil)
	}
	publish(ch, "by header", "k", amqp.Table{"a": int64(1)})
	publish(ch, "", "transient", nil)
	d, ok, err := ch.Get("durable", false)
	if err != nil || !ok {
		t.Fatalf("nothing to get: %v", err)
	}
	must(d.Reject(false)) // a dead letter
	if _, ok, err := get(ch, "dead", false, clientPatience); err != nil || !ok {
		t.Fatalf("no dead letter: %v", err)
	}

	n.kill(t)
	n.run(t)
	if conn, err = amqp.Dial(n.url()); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	check := func(f func(*amqp.Channel) error, code int) {
		t.Helper()
		ch, err := conn.Channel()
		must(err)
		err = f(ch)
		var refused *amqp.Error
		if !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("got %v, want %d", err, code)
		}
	}
	for _, q := range []string{"transient", "mine"} {
		check(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
			return err
		}, amqp.NotFound)
	}
	check(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive("gone", "fanout", true, false, false, false, nil)
	}, amqp.NotFound)
	check(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare("logs", "direct", true, false, false, false, nil)
	}, amqp.PreconditionFailed)

	if ch, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	must(ch.Confirm(false))
	count := func(queue string, want int) {
		t.Helper()
		for end := time.Now().Add(clientPatience); ; time.Sleep(50 * time.Millisecond) { // what was handed over waits a moment after a kill
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			must(err)
			if q.Messages == want {
				return
			}
			if time.Now().After(end) {
				t.Errorf("%s has %d messages, want %d", queue, q.Messages, want)
				return
			}
		}
	}
	count("durable", 3)
	count("dead", 1)
	publish(ch, "logs", "eu.disk", nil)
	publish(ch, "by header", "eu.disk", nil) // by the alternate
	count("durable", 5)
	must(ch.Qos(10, 0, false))
	deliveries, err := ch.ConsumeWithContext(ctx, "log", "", false, false, false, false, amqp.Table{"x-stream-offset": "first"})
	must(err)
	for i := range 5 {
		d := <-deliveries
		if got := fmt.Sprint(d.Headers["x-stream-offset"]); got != fmt.Sprint(i) {
			t.Errorf("message %d of the stream has number %s", i, got)
		}
		must(d.Ack(false))
	}
	for end := time.Now().Add(clientPatience); ; { // to ask is to use it: not before its time is over
		time.Sleep(1700 * time.Millisecond)
		ch, err := conn.Channel()
		must(err)
		var refused *amqp.Error
		if _, err = ch.QueueDeclarePassive("short", true, false, false, false, nil); errors.As(err, &refused) && refused.Code == amqp.NotFound {
			break
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("a queue that nobody uses is still there: %v", err)
		}
		must(ch.Close())
	}
}
