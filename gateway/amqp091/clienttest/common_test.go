package clienttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// goClient is the common transcript by amqp091-go. Common.java and common.mjs say the same in their languages.
type goClient struct {
	ctx  context.Context
	conn *amqp.Connection
	out  strings.Builder
	name string
}

func commonByGo(ctx context.Context, url string) (transcript string, err error) {
	g := &goClient{ctx: ctx}
	if g.conn, err = amqp.Dial(url); err != nil {
		return "", err
	}
	defer g.conn.Close()
	for _, s := range []struct {
		name string
		run  func() error
	}{
		{"declare", g.declare},
		{"confirms", g.confirms},
		{"settle", g.settle},
		{"prefetch", g.prefetch},
		{"retry", g.retry},
		{"priorities", g.priorities},
		{"transactions", g.transactions},
		{"rpc", g.rpc},
		{"cancelled", g.cancelled},
		{"exclusive", g.exclusive},
	} {
		g.name = s.name
		if err := s.run(); err != nil {
			g.say("FAILED %v", err)
		}
		if g.conn.IsClosed() {
			if g.conn, err = amqp.Dial(url); err != nil {
				return g.out.String(), err
			}
		}
	}
	return g.out.String(), nil
}

func (g *goClient) say(format string, args ...any) {
	fmt.Fprintf(&g.out, g.name+": "+format+"\n", args...)
}

func (g *goClient) channel() (*amqp.Channel, error) { return g.conn.Channel() }

// refused says with which code and text a channel is closed.
func (g *goClient) refused(what string, call func(*amqp.Channel) error) error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err = call(ch); err == nil {
		_, err = ch.QueueDeclare("", false, false, true, false, nil)
	}
	if errors.Is(err, amqp.ErrClosed) { // by the refusal, which was there before the next request
		select {
		case e := <-closed:
			if e != nil {
				err = e
			}
		case <-time.After(clientPatience):
		}
	}
	var refused *amqp.Error
	if !errors.As(err, &refused) {
		g.say("%s was not refused: %v", what, err)
		return nil
	}
	g.say("%s %d %s", what, refused.Code, refused.Reason)
	return nil
}

// get is the next message of a queue, waited for.
func get(ch *amqp.Channel, queue string, autoAck bool, wait time.Duration) (amqp.Delivery, bool, error) {
	for end := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		d, ok, err := ch.Get(queue, autoAck)
		if ok || err != nil || time.Now().After(end) {
			return d, ok, err
		}
	}
}

func bodies(ch *amqp.Channel, queue string, n int) (string, error) {
	var out []string
	for range n {
		d, ok, err := get(ch, queue, true, clientPatience)
		if err != nil {
			return "", err
		}
		if !ok {
			d.Body = []byte("nothing")
		}
		out = append(out, string(d.Body))
	}
	return strings.Join(out, " "), nil
}

func text(s string) amqp.Publishing { return amqp.Publishing{Body: []byte(s)} }

func (g *goClient) declare() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	q, err := ch.QueueDeclare("c.declare", true, false, false, false, nil)
	if err != nil {
		return err
	}
	g.say("%s %d %d", q.Name, q.Messages, q.Consumers)
	if err := errors.Join(
		g.refused("other durable", func(c *amqp.Channel) error {
			_, err := c.QueueDeclare("c.declare", false, false, false, false, nil)
			return err
		}),
		g.refused("passive", func(c *amqp.Channel) error {
			_, err := c.QueueDeclarePassive("c.nosuch", false, false, false, false, nil)
			return err
		}),
		g.refused("unknown exchange", func(c *amqp.Channel) error {
			return c.PublishWithContext(g.ctx, "c.nosuch", "k", false, false, text("x"))
		}),
	); err != nil {
		return err
	}
	for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
		if err := ch.ExchangeDeclare("c."+kind, kind, false, false, false, false, nil); err != nil {
			return err
		}
		if err := ch.QueueBind("c.declare", "a.#", "c."+kind, false, amqp.Table{"x-match": "all", "k": "v"}); err != nil {
			return err
		}
		if err := ch.PublishWithContext(g.ctx, "c."+kind, "a.b", false, false, amqp.Publishing{Headers: amqp.Table{"k": "v"}, Body: []byte(kind)}); err != nil {
			return err
		}
	}
	got, err := bodies(ch, "c.declare", 3)
	if err != nil {
		return err
	}
	g.say("routed %s", got)
	for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
		if err := ch.ExchangeDelete("c."+kind, false, false); err != nil {
			return err
		}
	}
	n, err := ch.QueueDelete("c.declare", false, false, false)
	g.say("deleted with %d", n)
	return err
}

func (g *goClient) confirms() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if _, err := ch.QueueDeclare("c.confirms", true, false, false, false, nil); err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	returned := ch.NotifyReturn(make(chan amqp.Return, 1))
	var waiting []*amqp.DeferredConfirmation
	for i := range 100 {
		c, err := ch.PublishWithDeferredConfirmWithContext(g.ctx, "", "c.confirms", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: fmt.Append(nil, i)})
		if err != nil {
			return err
		}
		waiting = append(waiting, c)
	}
	acked := 0
	for _, c := range waiting {
		if ok, err := c.WaitContext(g.ctx); err != nil {
			return err
		} else if ok {
			acked++
		}
	}
	q, err := ch.QueueDeclarePassive("c.confirms", true, false, false, false, nil)
	if err != nil {
		return err
	}
	g.say("acked %d, messages %d", acked, q.Messages)
	c, err := ch.PublishWithDeferredConfirmWithContext(g.ctx, "amq.direct", "nowhere", true, false, text("lost"))
	if err != nil {
		return err
	}
	ok, err := c.WaitContext(g.ctx)
	if err != nil {
		return err
	}
	select {
	case r := <-returned:
		g.say("returned %d %s %s %s %s, then acked %t", r.ReplyCode, r.ReplyText, r.Exchange, r.RoutingKey, r.Body, ok)
	default:
		g.say("not returned before the ack")
	}
	n, err := ch.QueueDelete("c.confirms", false, false, false)
	g.say("deleted with %d", n)
	return err
}

func (g *goClient) settle() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if _, err := ch.QueueDeclare("c.settle", false, false, false, false, nil); err != nil {
		return err
	}
	for i := range 5 {
		if err := ch.PublishWithContext(g.ctx, "", "c.settle", false, false, text(fmt.Sprint(i))); err != nil {
			return err
		}
	}
	ds, err := ch.Consume("c.settle", "settler", false, false, false, false, nil)
	if err != nil {
		return err
	}
	next := func() (amqp.Delivery, error) {
		select {
		case d, ok := <-ds:
			if !ok {
				return d, errors.New("the consumer ended")
			}
			return d, nil
		case <-time.After(clientPatience):
			return amqp.Delivery{}, errors.New("nothing comes")
		}
	}
	var first []amqp.Delivery
	var line []string
	for range 5 {
		d, err := next()
		if err != nil {
			return err
		}
		first = append(first, d)
		line = append(line, fmt.Sprintf("%s %d %t", d.Body, d.DeliveryTag, d.Redelivered))
	}
	g.say("%s", strings.Join(line, ", "))
	if err := errors.Join(first[0].Ack(false), first[2].Nack(false, true)); err != nil { // 0 is done, 2 comes again
		return err
	}
	d, err := next()
	if err != nil {
		return err
	}
	g.say("again %s %d %t", d.Body, d.DeliveryTag, d.Redelivered)
	if err := errors.Join(d.Ack(false), first[3].Reject(false), ch.Cancel("settler", false), ch.Close()); err != nil { // 2 is done, 3 is dropped, 1 and 4 go back
		return err
	}
	if ch, err = g.channel(); err != nil {
		return err
	}
	defer ch.Close()
	got, err := bodies(ch, "c.settle", 2)
	if err != nil {
		return err
	}
	q, err := ch.QueueDeclarePassive("c.settle", false, false, false, false, nil)
	if err != nil {
		return err
	}
	g.say("left %s, then %d", got, q.Messages)
	if err := g.refused("unknown tag", func(c *amqp.Channel) error { return c.Ack(7, false) }); err != nil {
		return err
	}
	_, err = ch.QueueDelete("c.settle", false, false, false)
	return err
}

func (g *goClient) prefetch() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if _, err := ch.QueueDeclare("c.prefetch", false, false, false, false, nil); err != nil {
		return err
	}
	for i := range 10 {
		if err := ch.PublishWithContext(g.ctx, "", "c.prefetch", false, false, text(fmt.Sprint(i))); err != nil {
			return err
		}
	}
	if err := ch.Qos(3, 0, false); err != nil {
		return err
	}
	ds, err := ch.Consume("c.prefetch", "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	read := func(n int) (last amqp.Delivery) {
		var line []string
		for range n {
			select {
			case last = <-ds:
				line = append(line, string(last.Body))
			case <-time.After(clientPatience):
				line = append(line, "nothing")
			}
		}
		select {
		case d := <-ds:
			line = append(line, "and "+string(d.Body))
		case <-time.After(200 * time.Millisecond):
		}
		g.say("%s", strings.Join(line, " "))
		return last
	}
	last := read(3)
	if err := last.Ack(true); err != nil {
		return err
	}
	read(3)
	_, err = ch.QueueDelete("c.prefetch", false, false, false)
	return err
}

// retry is the pattern by which queues without delays wait: rejected messages go to a queue whose time to live is the delay.
func (g *goClient) retry() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.ExchangeDeclare("c.retry", "direct", false, false, false, false, nil); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare("c.work", false, false, false, false, amqp.Table{"x-dead-letter-exchange": "c.retry", "x-dead-letter-routing-key": "wait"}); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare("c.wait", false, false, false, false, amqp.Table{"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "c.work"}); err != nil {
		return err
	}
	if err := ch.QueueBind("c.wait", "wait", "c.retry", false, nil); err != nil {
		return err
	}
	if err := ch.PublishWithContext(g.ctx, "", "c.work", false, false, text("job")); err != nil {
		return err
	}
	for attempt := range 3 {
		d, ok, err := get(ch, "c.work", false, clientPatience)
		if err != nil {
			return err
		}
		if !ok {
			g.say("attempt %d: nothing comes", attempt)
			break
		}
		line := fmt.Sprintf("attempt %d: %s", attempt, d.Body)
		if deaths, ok := d.Headers["x-death"].([]any); ok {
			for _, x := range deaths {
				t := x.(amqp.Table)
				line += fmt.Sprintf(", %v %v %v times", t["queue"], t["reason"], t["count"])
			}
		}
		g.say("%s", line)
		if attempt == 2 {
			err = d.Ack(false)
		} else {
			err = d.Reject(false)
		}
		if err != nil {
			return err
		}
	}
	_, err1 := ch.QueueDelete("c.work", false, false, false)
	_, err2 := ch.QueueDelete("c.wait", false, false, false)
	return errors.Join(err1, err2, ch.ExchangeDelete("c.retry", false, false))
}

func (g *goClient) priorities() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if _, err := ch.QueueDeclare("c.priority", false, false, false, false, amqp.Table{"x-max-priority": 5}); err != nil {
		return err
	}
	for _, p := range []uint8{0, 3, 1, 5, 3, 9} {
		if err := ch.PublishWithContext(g.ctx, "", "c.priority", false, false, amqp.Publishing{Priority: p, Body: fmt.Append(nil, p)}); err != nil {
			return err
		}
	}
	got, err := bodies(ch, "c.priority", 6)
	if err != nil {
		return err
	}
	g.say("%s", got)
	_, err = ch.QueueDelete("c.priority", false, false, false)
	return err
}

func (g *goClient) transactions() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	other, err := g.channel()
	if err != nil {
		return err
	}
	defer other.Close()
	if _, err := ch.QueueDeclare("c.tx", false, false, false, false, nil); err != nil {
		return err
	}
	count := func(when string) error {
		q, err := other.QueueDeclarePassive("c.tx", false, false, false, false, nil)
		g.say("%s %d", when, q.Messages)
		return err
	}
	publish := func() error { return ch.PublishWithContext(g.ctx, "", "c.tx", false, false, text("x")) }
	if err := errors.Join(ch.Tx(), publish(), count("published"), ch.TxCommit(), count("committed"), publish(), ch.TxRollback(), count("rolled back")); err != nil {
		return err
	}
	d, ok, err := get(ch, "c.tx", false, clientPatience)
	if err != nil || !ok {
		return fmt.Errorf("get: %t %w", ok, err)
	}
	if err := errors.Join(d.Ack(false), ch.TxCommit(), count("acked")); err != nil {
		return err
	}
	_, err = ch.QueueDelete("c.tx", false, false, false)
	return err
}

func (g *goClient) rpc() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	server, err := g.channel()
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := server.QueueDeclare("c.rpc", false, false, false, false, nil); err != nil {
		return err
	}
	asked, err := server.Consume("c.rpc", "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	go func() {
		for d := range asked {
			_ = server.PublishWithContext(g.ctx, "", d.ReplyTo, false, false, amqp.Publishing{CorrelationId: d.CorrelationId, Body: []byte(strings.ToUpper(string(d.Body)))})
		}
	}()
	answers, err := ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	for i := range 3 {
		m := amqp.Publishing{ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: fmt.Sprint(i), Body: fmt.Append(nil, "hello ", i)}
		if err := ch.PublishWithContext(g.ctx, "", "c.rpc", false, false, m); err != nil {
			return err
		}
		select {
		case d := <-answers:
			g.say("%s %s", d.CorrelationId, d.Body)
		case <-time.After(clientPatience):
			return errors.New("no answer")
		}
	}
	_, err = server.QueueDelete("c.rpc", false, false, false)
	return err
}

func (g *goClient) cancelled() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	other, err := g.channel()
	if err != nil {
		return err
	}
	defer other.Close()
	if _, err := ch.QueueDeclare("c.cancel", false, false, false, false, nil); err != nil {
		return err
	}
	told := ch.NotifyCancel(make(chan string, 1))
	if _, err := ch.Consume("c.cancel", "mine", false, false, false, false, nil); err != nil {
		return err
	}
	if _, err := other.QueueDelete("c.cancel", false, false, false); err != nil {
		return err
	}
	select {
	case tag := <-told:
		g.say("%s", tag)
	case <-time.After(clientPatience):
		g.say("nobody says so")
	}
	return nil
}

func (g *goClient) exclusive() error {
	ch, err := g.channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if _, err := ch.QueueDeclare("c.only", false, false, false, false, nil); err != nil {
		return err
	}
	if _, err := ch.Consume("c.only", "", true, true, false, false, nil); err != nil {
		return err
	}
	if err := g.refused("second consumer", func(c *amqp.Channel) error {
		_, err := c.Consume("c.only", "", true, false, false, false, nil)
		return err
	}); err != nil {
		return err
	}
	_, err = ch.QueueDelete("c.only", false, false, false)
	return err
}
