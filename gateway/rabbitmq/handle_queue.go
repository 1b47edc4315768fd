package rabbitmq

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"leat/broker/fault"
	"leat/gateway/amqp091"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// vhostRoot is the name of the caller's own virtual host, in what is told.
const vhostRoot = "/"

// GET queues, queues/{vhost}: ?disable_stats=true leaves out counters.
func getQueues(ctx context.Context, x *call) error {
	all := []named{}
	if err := x.each(func(x *call) error {
		qs, err := x.g.amqp.Queues(ctx, &x.caller)
		for i := range qs {
			q := &qs[i]
			all = append(all, named{q.Name, func() (object, error) { return x.queue(ctx, q, x.query.Get("disable_stats") != "true") }})
		}
		return err
	}); err != nil {
		return err
	}
	return x.list(all)
}

// queue tells all of a queue. One that has gone is nothing.
func (x *call) queue(ctx context.Context, q *amqp091.QueueInfo, stats bool) (object, error) {
	d, err := x.g.amqp.Depth(ctx, &x.caller, q)
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // as said
	}
	if err != nil {
		return nil, err
	}
	unacked := int64(d.Leased)
	ready := max(0, d.Waiting-unacked)
	o := object{
		"name": q.Name, "vhost": x.vhost, "type": q.Type, "durable": q.Durable, "auto_delete": q.AutoDelete, "exclusive": q.Exclusive,
		"arguments": jsonOf(q.Arguments), "node": x.g.node(), "state": "running", "messages": d.Waiting, "messages_ready": ready, "messages_unacknowledged": unacked,
	}
	if d.Config.Policy.Suspended {
		o["state"] = "stopped"
	}
	if !stats {
		return o, nil
	}
	acked := d.Acked + d.Dead
	counts := [countsMax]int64{
		countPublish: d.Waiting + acked, countDeliver: acked + unacked, countAck: d.Acked,
		countMessages: d.Waiting, countReady: ready, countUnacked: unacked,
	}
	per := x.g.rates.of(fmt.Sprintf("q %s %d", d.Namespace, d.ID), clock.Now(), counts)
	for i, name := range map[int]string{countMessages: "messages", countReady: "messages_ready", countUnacked: "messages_unacknowledged"} {
		details(o, name, counts[i], per[i])
	}
	o["message_stats"] = messageStats(&counts, &per)
	more := object{
		"consumers": q.Consumers, "consumer_utilisation": utilisation(q.Consumers, ready), "consumer_capacity": utilisation(q.Consumers, ready),
		"message_bytes": d.WaitingBytes, "message_bytes_persistent": d.WaitingBytes, "messages_persistent": d.Waiting, "messages_ram": 0, "message_bytes_ram": 0,
		"messages_delayed": d.Delayed, "policy": nil, "operator_policy": nil, "effective_policy_definition": definitionOf(q.Applied), "exclusive_consumer_tag": nil,
		"single_active_consumer_tag": nil, "head_message_timestamp": nil, "memory": 0,
	}
	maps.Copy(o, more)
	if q.Policy != "" {
		o["policy"] = q.Policy
	}
	if !d.Oldest.IsZero() {
		o["head_message_timestamp"] = d.Oldest.Unix()
	}
	if q.Type != "classic" {
		o["leader"], o["members"], o["online"] = x.g.node(), []string{x.g.node()}, []string{x.g.node()}
	}
	return o, nil
}

// utilisation is how much of the time a queue could hand over at once: consumers that leave messages lying are all busy.
func utilisation(consumers int, ready int64) float64 {
	if consumers > 0 && ready == 0 {
		return 1
	}
	return 0
}

func messageStats(counts *[countsMax]int64, per *[countsMax]float64) object {
	o := object{}
	details(o, "publish", counts[countPublish], per[countPublish])
	details(o, "deliver", counts[countDeliver], per[countDeliver])
	details(o, "deliver_get", counts[countDeliver], per[countDeliver])
	details(o, "ack", counts[countAck], per[countAck])
	return o
}

// findQueue is the queue that the path names.
func (x *call) findQueue(ctx context.Context, name string) (*amqp091.QueueInfo, error) {
	qs, err := x.g.amqp.Queues(ctx, &x.caller)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(qs, func(q amqp091.QueueInfo) bool { return q.Name == name })
	if at < 0 {
		return nil, errNotFound
	}
	return &qs[at], nil
}

// GET queues/{vhost}/{name}
func getQueue(ctx context.Context, x *call) error {
	q, err := x.findQueue(ctx, x.vars[1])
	if err != nil {
		return err
	}
	o, err := x.queue(ctx, q, true)
	if err != nil {
		return err
	}
	if o == nil {
		return errNotFound
	}
	o["consumer_details"] = x.consumers(func(c *amqp091.ConsumerInfo) bool { return c.Queue == q.Name })
	o["incoming"], o["deliveries"] = []object{}, []object{}
	return x.item(o)
}

// queueBody is what a queue is declared with, here and in definitions.
type queueBody struct {
	Name       string `json:"name"`
	Vhost      string `json:"vhost"`
	Durable    *flag  `json:"durable"`
	AutoDelete *flag  `json:"auto_delete"`
	Exclusive  *flag  `json:"exclusive"`
	Arguments  object `json:"arguments"`
}

func (b *queueBody) method(name string) (*wire.QueueDeclare, error) {
	t, err := tableOf(b.Arguments)
	if err != nil {
		return nil, err
	}
	return &wire.QueueDeclare{
		Queue: []byte(name), Durable: b.Durable.or(true), AutoDelete: b.AutoDelete.or(false), Exclusive: b.Exclusive.or(false), Arguments: t,
	}, nil
}

// PUT queues/{vhost}/{name}: 201 when it is made, 204 when it is there.
func putQueue(ctx context.Context, x *call) error {
	var b queueBody
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	m, err := b.method(x.vars[1])
	if err != nil {
		return err
	}
	_, missing := x.findQueue(ctx, x.vars[1])
	if err := x.change(ctx, m); err != nil {
		return err
	}
	return x.done(made(missing != nil))
}

func made(is bool) int {
	if is {
		return http.StatusCreated
	}
	return http.StatusNoContent
}

// change has the AMQP gateway do one thing.
func (x *call) change(ctx context.Context, m wire.Method) error {
	a, err := x.g.open(ctx, x, x.vhost)
	if err != nil {
		return err
	}
	defer a.close()
	return a.do(m)
}

// DELETE queues/{vhost}/{name}?if-empty=true&if-unused=true
func deleteQueue(ctx context.Context, x *call) error {
	if _, err := x.findQueue(ctx, x.vars[1]); err != nil {
		return err
	}
	m := &wire.QueueDelete{Queue: []byte(x.vars[1]), IfEmpty: x.query.Get("if-empty") == "true", IfUnused: x.query.Get("if-unused") == "true"}
	if err := x.change(ctx, m); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}

// DELETE queues/{vhost}/{name}/contents
func purgeQueue(ctx context.Context, x *call) error {
	if _, err := x.findQueue(ctx, x.vars[1]); err != nil {
		return err
	}
	if err := x.change(ctx, &wire.QueuePurge{Queue: []byte(x.vars[1])}); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}

// getBody is what POST queues/{vhost}/{name}/get takes.
type getBody struct {
	Count    *count  `json:"count"`
	AckMode  *string `json:"ackmode"`
	Encoding *string `json:"encoding"`
	Truncate *count  `json:"truncate"`
	Requeue  *flag   `json:"requeue"` // of RabbitMQ before 3.7
}

// What becomes of messages that were got.
const (
	ackRequeue     = "ack_requeue_true"
	ackDrop        = "ack_requeue_false"
	rejectRequeue  = "reject_requeue_true"
	rejectDrop     = "reject_requeue_false"
	encodingAuto   = "auto"
	encodingBase64 = "base64"
)

func (b *getBody) check() error {
	if b.AckMode == nil && b.Requeue != nil {
		mode := ackDrop
		if b.Requeue.or(false) {
			mode = ackRequeue
		}
		b.AckMode = &mode
	}
	var missing []string
	for name, there := range map[string]bool{"count": b.Count != nil, "ackmode": b.AckMode != nil, "encoding": b.Encoding != nil} {
		if !there {
			missing = append(missing, "{key_missing,"+name+"}")
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return badRequest("[" + strings.Join(missing, ",") + "]")
	}
	if !slices.Contains([]string{ackRequeue, ackDrop, rejectRequeue, rejectDrop}, *b.AckMode) {
		return badRequest("ackmode is one of ack_requeue_true, ack_requeue_false, reject_requeue_true and reject_requeue_false")
	}
	if *b.Encoding != encodingAuto && *b.Encoding != encodingBase64 {
		return badRequest("encoding is auto or base64")
	}
	return nil
}

// POST queues/{vhost}/{name}/get: all messages are taken first, so that none that goes back is taken twice.
func getMessages(ctx context.Context, x *call) error {
	var b getBody
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return err
	}
	a, err := x.g.open(ctx, x, x.vhost)
	if err != nil {
		return err
	}
	defer a.close()
	out := []object{}
	bytes := int64(0)
	var tags []uint64
	for range min(int(*b.Count), x.g.cfg.GetMax) {
		answer, err := a.ask(channelNumber, &wire.BasicGet{Queue: []byte(x.vars[1])})
		if err != nil {
			return err
		}
		m, is := answer.(*wire.BasicGetOK)
		if !is {
			break
		}
		tags = append(tags, m.DeliveryTag)
		o := object{"redelivered": m.Redelivered, "exchange": string(m.Exchange), "routing_key": string(m.RoutingKey), "message_count": m.MessageCount}
		p, body, err := a.content()
		if err != nil {
			return err
		}
		b.tell(o, &p, body)
		out = append(out, o)
		if bytes += int64(len(body)); bytes > x.g.cfg.BodyBytesMax {
			break
		}
	}
	for _, tag := range tags {
		var m wire.Method = &wire.BasicReject{DeliveryTag: tag, Requeue: *b.AckMode != rejectDrop}
		if *b.AckMode == ackDrop {
			m = &wire.BasicAck{DeliveryTag: tag}
		}
		if err := a.w.Method(channelNumber, m); err != nil {
			return err
		}
	}
	if _, err := a.ask(channelNumber, &wire.ChannelClose{ReplyCode: wire.ReplySuccess}); err != nil { // answered when all before it is done
		return err
	}
	return x.answer(http.StatusOK, out)
}

// tell adds what is in a message.
func (b *getBody) tell(o object, p *wire.Properties, body []byte) {
	o["payload_bytes"] = len(body)
	if b.Truncate != nil {
		body = body[:min(len(body), int(*b.Truncate))]
	}
	o["payload"], o["payload_encoding"] = base64.StdEncoding.EncodeToString(body), encodingBase64
	if *b.Encoding == encodingAuto && utf8.Valid(body) {
		o["payload"], o["payload_encoding"] = string(body), "string"
	}
	o["properties"] = []object{} // as RabbitMQ writes none
	if props := propertiesOf(p); len(props) > 0 {
		o["properties"] = props
	}
}
