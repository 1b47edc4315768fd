package amqp091

import (
	"crypto/rand"
	"strings"

	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
)

// Direct reply-to: a requester consumes from a queue that is none, publishes with its name as reply-to, and what others publish to the name
// that they get instead comes to it at once, unstored, at most once. It has to be the same channel.
//
//	requester   consume amq.rabbitmq.reply-to · publish, reply-to amq.rabbitmq.reply-to  →  stored with reply-to amq.rabbitmq.reply-to.TOKEN
//	replier     publish to the exchange without a name, routing key amq.rabbitmq.reply-to.TOKEN  →  the requester's socket
const (
	replyQueue  = "amq.rabbitmq.reply-to"
	replyPrefix = replyQueue + "."
)

// replier is where replies go.
type replier struct {
	k   *conn
	ch  *channel
	tag string
}

// consumeReplies is basic.consume of the queue that is none.
func (k *conn) consumeReplies(ch *channel, m *wire.BasicConsume) error {
	refuse := func(text string) error { return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: text} }
	switch {
	case !m.NoAck:
		return refuse("reply consumer cannot acknowledge")
	case ch.reply != "":
		return refuse("reply consumer already set")
	}
	tag := string(m.ConsumerTag)
	if tag == "" {
		tag = "amq.ctag-" + rand.Text()
	}
	ch.reply, ch.replyTag = rand.Text(), tag
	k.g.mu.Lock()
	k.g.repliers[ch.reply] = replier{k, ch, tag}
	k.g.mu.Unlock()
	return k.unless(m.NoWait, ch, &wire.BasicConsumeOK{ConsumerTag: []byte(tag)})
}

// dropReply forgets a requester.
func (g *Gateway) dropReply(token string) {
	if token == "" {
		return
	}
	g.mu.Lock()
	delete(g.repliers, token)
	g.mu.Unlock()
}

// requests gives a message that asks for replies to the queue that is none the name that leads back to its channel.
func (k *conn) requests(ch *channel, m *session.Content) error {
	if m.Properties.Flags&wire.HasReplyTo == 0 || string(m.Properties.ReplyTo) != replyQueue {
		return nil
	}
	if ch.reply == "" {
		return &wire.Error{Code: wire.PreconditionFailed, Method: wire.IDBasicPublish, Text: "fast reply consumer does not exist"}
	}
	p := m.Properties
	p.ReplyTo = []byte(replyPrefix + ch.reply)
	raw, err := p.Append(nil)
	if err != nil {
		return &wire.Error{Code: wire.PreconditionFailed, Method: wire.IDBasicPublish, Text: "the properties are too long with the name that replies go to"}
	}
	m.Properties, m.RawProperties = p, raw
	return nil
}

// replyAlive reports whether somebody waits for replies at a name.
func (g *Gateway) replyAlive(queue string) bool {
	token, is := strings.CutPrefix(queue, replyPrefix)
	if !is {
		return queue == replyQueue
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, there := g.repliers[token]
	return there
}

// reply hands a message to who waits for it. A requester that does not read what it has gets nothing more; nobody waits for it.
func (k *conn) reply(token string, m *session.Content) (reached bool) {
	k.g.mu.Lock()
	to, there := k.g.repliers[token]
	k.g.mu.Unlock()
	if !there {
		return false
	}
	o := to.k
	o.mu.Lock()
	defer o.mu.Unlock()
	if to.ch.ended || o.broke != nil || o.w.Len() > outputBytesMax {
		return false
	}
	body := m.Body
	if len(body) > wire.BodyBytesCopied {
		body = append([]byte(nil), body...) // it is written when the frame is gone
	}
	d := &wire.BasicDeliver{ConsumerTag: []byte(to.tag), DeliveryTag: to.ch.unacked.Skip(), RoutingKey: m.RoutingKey}
	if o.w.Content(to.ch.number, d, m.RawProperties, body) != nil {
		return false
	}
	if !o.writing {
		o.writing = true
		go o.writeRest()
	}
	return true
}
