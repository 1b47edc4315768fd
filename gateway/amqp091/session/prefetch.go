package session

import "leat/gateway/amqp091/wire"

// Window is how many deliveries may wait for their ack at once, and how many do. The zero Window has no limit.
type Window struct {
	limit int // 0 is none
	held  int
}

// room is how many more may be sent.
func (w *Window) room(most int) int {
	if w.limit == 0 {
		return most
	}
	return max(0, min(most, w.limit-w.held))
}

// Prefetch are the windows of a channel, in RabbitMQ's reading of basic.qos, which is not the specification's:
//
//	global=false   the window of each consumer that starts from here on; those there are keep theirs
//	global=true    one window over all consumers of the channel, at once
//
// Both hold together. Deliveries that want no ack, and those of basic.get, are in no window.
type Prefetch struct {
	channel Window
	next    int
}

// Set takes a basic.qos.
func (p *Prefetch) Set(q *wire.BasicQoS) {
	if q.Global {
		p.channel.limit = int(q.PrefetchCount)
	} else {
		p.next = int(q.PrefetchCount)
	}
}

// Consumer is the window of a consumer that starts now.
func (p *Prefetch) Consumer() Window { return Window{limit: p.next} }

// Room is how many of most deliveries may be sent to a consumer.
func (p *Prefetch) Room(consumer *Window, most int) int { return consumer.room(p.channel.room(most)) }

// Sent notes a delivery to a consumer.
func (p *Prefetch) Sent(consumer *Window) {
	consumer.held++
	p.channel.held++
}

// Settled notes that one of a consumer's waits no more: acknowledged, given back or taken from it. It may have ended.
func (p *Prefetch) Settled(consumer *Window) {
	consumer.held--
	p.channel.held--
}
