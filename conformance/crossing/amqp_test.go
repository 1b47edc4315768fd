package crossing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// channel is a channel of an AMQP connection of its own.
func channel(t *testing.T) *amqp.Channel {
	t.Helper()
	c, err := amqp.Dial("amqp://guest:guest@" + node.AMQP + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// queueOn declares a topic exchange and a queue bound to it with a pattern.
func queueOn(t *testing.T, ch *amqp.Channel, exchange, queue, pattern string) {
	t.Helper()
	if err := ch.ExchangeDeclare(exchange, "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(queue, pattern, exchange, false, nil); err != nil {
		t.Fatal(err)
	}
}

// messages takes n messages of a queue and acknowledges them.
func messages(t *testing.T, ch *amqp.Channel, queue string, n int) (ds []amqp.Delivery) {
	t.Helper()
	tag := "taker"
	in, err := ch.Consume(queue, tag, false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for len(ds) < n {
		select {
		case d, ok := <-in:
			if !ok {
				t.Fatalf("%s: the channel closed after %d of %d", queue, len(ds), n)
			}
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
			ds = append(ds, d)
		case <-time.After(waitMost):
			t.Fatalf("%s: %d of %d messages came", queue, len(ds), n)
		}
	}
	if err := ch.Cancel(tag, false); err != nil {
		t.Fatal(err)
	}
	return ds
}

// empty demands that a queue has nothing more to hand over.
func empty(t *testing.T, ch *amqp.Channel, queue string) {
	t.Helper()
	if d, ok, err := ch.Get(queue, true); err != nil || ok {
		t.Fatalf("%s has %q more, %v", queue, d.Body, err)
	}
}

// A Kafka producer feeds an AMQP queue: the stream that both name is a topic to one and an exchange to the other. The key routes.
func TestKafkaToAMQP(t *testing.T) {
	ch := channel(t)
	queueOn(t, ch, "kafka-to-amqp", "kafka-to-amqp.eu", "orders.eu.#")
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	err := client(t, kgo.DefaultProduceTopic("kafka-to-amqp")).ProduceSync(ctx,
		&kgo.Record{Key: []byte("orders.eu.berlin"), Value: []byte(`{"total":1}`), Headers: []kgo.RecordHeader{
			{Key: "content-type", Value: []byte("application/json")}, {Key: "trace", Value: []byte("abc")},
			{Key: "ce_id", Value: []byte("7")}, {Key: "ce_source", Value: []byte("/shop")}, {Key: "ce_type", Value: []byte("order.placed")}, {Key: "ce_specversion", Value: []byte("1.0")},
		}},
		&kgo.Record{Key: []byte("orders.us.austin"), Value: []byte("not for this queue")},
		&kgo.Record{Key: []byte("orders.eu.paris"), Value: []byte{0, 255}},
	).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	ds := messages(t, ch, "kafka-to-amqp.eu", 2)
	if d := ds[0]; d.RoutingKey != "orders.eu.berlin" || d.Exchange != "kafka-to-amqp" || string(d.Body) != `{"total":1}` || d.ContentType != "application/json" ||
		d.Headers["trace"] != "abc" || d.Headers["cloudEvents:id"] != "7" || d.Headers["cloudEvents:source"] != "/shop" || d.Headers["cloudEvents:type"] != "order.placed" {
		t.Errorf("%+v %v", d, d.Headers)
	}
	if !bytes.Equal(ds[1].Body, []byte{0, 255}) || ds[1].RoutingKey != "orders.eu.paris" {
		t.Errorf("%+v", ds[1])
	}
	empty(t, ch, "kafka-to-amqp.eu")
}

// What an AMQP publisher sends, Kafka reads, and a second AMQP consumer gets exactly as it was published.
func TestAMQPToKafkaAndBack(t *testing.T) {
	ch := channel(t)
	queueOn(t, ch, "amqp-to-kafka", "amqp-to-kafka.all", "#")
	sent := amqp.Publishing{
		ContentType: "text/plain", MessageId: "m-1", CorrelationId: "c-1", ReplyTo: "back", AppId: "shop", Type: "order.placed", Priority: 3, DeliveryMode: amqp.Persistent,
		Timestamp: time.Unix(1_700_000_000, 0), Headers: amqp.Table{"n": int32(5), "cloudEvents:source": "/shop", "cloudEvents:id": "7"}, Body: []byte("hello"),
	}
	if err := ch.PublishWithContext(t.Context(), "amqp-to-kafka", "orders.eu", false, false, sent); err != nil {
		t.Fatal(err)
	}
	r := consume(t, "amqp-to-kafka", 1)[0]
	have := map[string]string{}
	for _, h := range r.Headers {
		have[h.Key] = string(h.Value)
	}
	if string(r.Value) != "hello" || have["ce_subject"] != "orders.eu" || have["content-type"] != "text/plain" || have["ce_source"] != "/shop" || have["ce_id"] != "7" {
		t.Errorf("%q %s", r.Value, headers(r))
	}
	d := messages(t, ch, "amqp-to-kafka.all", 1)[0]
	if d.MessageId != "m-1" || d.CorrelationId != "c-1" || d.ReplyTo != "back" || d.AppId != "shop" || d.Type != "order.placed" || d.Priority != 3 ||
		!d.Timestamp.Equal(sent.Timestamp) || d.Headers["n"] != int32(5) || d.DeliveryMode != amqp.Persistent || string(d.Body) != "hello" || d.RoutingKey != "orders.eu" {
		t.Errorf("%+v", d)
	}
}

// An AMQP queue that was worked off is rewound to yesterday, from the command line, and hands over again.
func TestAMQPQueueIsRewound(t *testing.T) {
	ch := channel(t)
	queueOn(t, ch, "rewound", "rewound.q", "#")
	for i := range 5 {
		if err := ch.PublishWithContext(t.Context(), "rewound", "x", false, false, amqp.Publishing{Body: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	messages(t, ch, "rewound.q", 5)
	empty(t, ch, "rewound.q")
	out, err := exec.Command(leat, "--url", "http://"+node.HTTP, "sub", "rewind", "rewound.q", "--to", "-24h", "--yes").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for i, d := range messages(t, ch, "rewound.q", 5) {
		if string(d.Body) != fmt.Sprint(i) {
			t.Errorf("%d: %q", i, d.Body)
		}
	}
	empty(t, ch, "rewound.q")
	list, err := exec.Command(leat, "--url", "http://"+node.HTTP, "queue", "ls", "--prefix", "rewound", "-o", "json").CombinedOutput()
	var rows []map[string]any
	if err != nil || json.Unmarshal(list, &rows) != nil || len(rows) != 1 || rows[0]["of"] != "amqp" || rows[0]["depth"] != 0.0 {
		t.Errorf("%v %s", err, list)
	}
}

// What a webhook brings in goes out by AMQP.
func TestWebhookToAMQP(t *testing.T) {
	ch := channel(t)
	queueOn(t, ch, "hooked", "hooked.q", "#")
	request(t, http.StatusCreated, "PUT", "/v1/hooks/crossing", map[string]string{"Content-Type": "application/json"},
		`{"scheme":"none","stream":"hooked","type":{"header":"x-kind"},"id":{"pointer":"/id"},"subject":{"pointer":"/region"}}`)
	body := `{"id":"evt_1","region":"eu.berlin","total":7}`
	request(t, http.StatusOK, "POST", "/v1/hooks/crossing", map[string]string{"Content-Type": "application/json", "X-Kind": "order.placed"}, body)
	d := messages(t, ch, "hooked.q", 1)[0]
	if string(d.Body) != body || d.ContentType != "application/json" || d.RoutingKey != "eu.berlin" || d.Headers["cloudEvents:id"] != "evt_1" ||
		d.Headers["cloudEvents:type"] != "order.placed" || d.Headers["cloudEvents:source"] != "/hooks/crossing" {
		t.Errorf("%+v %v", d, d.Headers)
	}
}

// An event that was published by HTTP reaches an AMQP queue with the same attributes.
func TestHTTPToAMQP(t *testing.T) {
	ch := channel(t)
	queueOn(t, ch, "http-to-amqp", "http-to-amqp.q", "eu.*")
	publish(t, "http-to-amqp", structured, `{"specversion":"1.0","id":"1","source":"/a","type":"t","subject":"eu.x","time":"2026-11-21T10:00:00Z","datacontenttype":"application/json","ext":"v","data":{"a":1}}`)
	publish(t, "http-to-amqp", structured, `{"specversion":"1.0","id":"2","source":"/a","type":"t","subject":"us.x","data":{"a":2}}`)
	d := messages(t, ch, "http-to-amqp.q", 1)[0]
	for name, want := range map[string]string{"id": "1", "source": "/a", "type": "t", "time": "2026-11-21T10:00:00Z", "ext": "v", "subject": "eu.x"} {
		if got := d.Headers["cloudEvents:"+name]; got != want {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
	if string(d.Body) != `{"a":1}` || d.ContentType != "application/json" {
		t.Errorf("%+v", d)
	}
	empty(t, ch, "http-to-amqp.q")
}
