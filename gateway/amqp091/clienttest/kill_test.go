package clienttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// ledger is what the clients of a node that is killed were told.
type ledger struct {
	mu        sync.Mutex
	confirmed map[string]bool // published, and confirmed
	committed map[string]int  // acknowledged, and the commit answered: in which life
	delivered map[string]int  // how often
	life      int
	wrong     []string
}

// TestKill kills a node again and again while clients publish with confirms, acknowledge in transactions, and move messages from one queue to
// another. What was confirmed is delivered; what was acknowledged before a kill does not come back after it; what was moved is in one place.
func TestKill(t *testing.T) {
	const cycles = 6
	n := startLeat(t)
	l := &ledger{confirmed: map[string]bool{}, committed: map[string]int{}, delivered: map[string]int{}}
	for l.life = range cycles {
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for _, work := range []func(context.Context, *amqp.Connection) error{l.publish, l.settle, l.move} {
			clients.Go(func() {
				for ctx.Err() == nil {
					c, err := amqp.Dial(n.url())
					if err != nil {
						time.Sleep(10 * time.Millisecond)
						continue
					}
					stop := context.AfterFunc(ctx, func() { _ = c.Close() })
					_ = work(ctx, c) // ends with the node
					stop()
					_ = c.Close()
				}
			})
		}
		time.Sleep(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		n.kill(t)
		cancel()
		clients.Wait()
		n.run(t)
	}
	c, err := amqp.Dial(n.url())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.life = cycles
	for end := time.Now().Add(clientPatience); l.lost() > 0 && time.Now().Before(end); { // what was handed over before the kill waits 5 s, uncounted
		for _, q := range []string{"kill.in", "kill.out"} {
			if err := l.drain(c, q); err != nil {
				t.Fatal(err)
			}
		}
	}
	lost := l.lost()
	if lost > 0 || len(l.wrong) > 0 || len(l.confirmed) < 100 || len(l.committed) < 100 {
		t.Errorf("%d confirmed, of which %d never came; %d acknowledged; wrong: %v", len(l.confirmed), lost, len(l.committed), l.wrong[:min(len(l.wrong), 10)])
	}
	t.Logf("%d confirmed, %d acknowledged, %d kills", len(l.confirmed), len(l.committed), cycles)
}

// lost counts what was confirmed and never came.
func (l *ledger) lost() (n int) {
	for id := range l.confirmed {
		if l.delivered[id] == 0 {
			n++
		}
	}
	return n
}

func killQueue(ch *amqp.Channel, name string) error {
	_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	return err
}

// publish sends messages, some of them to the queue whose messages are moved, with up to 200 unconfirmed.
func (l *ledger) publish(ctx context.Context, c *amqp.Connection) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	for _, q := range []string{"kill.in", "kill.out"} {
		if err := killQueue(ch, q); err != nil {
			return err
		}
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	type sent struct {
		id string
		d  *amqp.DeferredConfirmation
	}
	waiting := make(chan sent, 200)
	var confirms sync.WaitGroup
	confirms.Go(func() {
		for s := range waiting {
			if ok, err := s.d.WaitContext(ctx); err == nil && ok {
				l.mu.Lock()
				l.confirmed[s.id] = true
				l.mu.Unlock()
			}
		}
	})
	defer confirms.Wait()
	defer close(waiting)
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("%d-%d-%d", l.life, time.Now().UnixNano(), i)
		d, err := ch.PublishWithDeferredConfirm("", []string{"kill.in", "kill.out"}[i%2], false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(id)})
		if err != nil {
			return err
		}
		waiting <- sent{id, d}
	}
	return nil
}

// took notes a delivery.
func (l *ledger) took(d *amqp.Delivery) {
	id := string(d.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivered[id]++
	if life, is := l.committed[id]; is && life < l.life {
		l.wrong = append(l.wrong, fmt.Sprintf("%s came back in life %d, acknowledged in %d", id, l.life, life))
	}
}

func (l *ledger) commit(ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.committed[id] = l.life
	}
}

// settle acknowledges what is in the second queue, in transactions.
func (l *ledger) settle(_ context.Context, c *amqp.Connection) error {
	return l.transactions(c, "kill.out", func(_ *amqp.Channel, d *amqp.Delivery) ([]string, error) {
		return []string{string(d.Body)}, d.Ack(false)
	})
}

// move acknowledges what is in the first queue with what it publishes to the second.
func (l *ledger) move(_ context.Context, c *amqp.Connection) error {
	return l.transactions(c, "kill.in", func(ch *amqp.Channel, d *amqp.Delivery) ([]string, error) {
		if err := ch.Publish("", "kill.out", false, false, amqp.Publishing{Body: append([]byte("moved "), d.Body...)}); err != nil { //nolint:staticcheck // a transaction has no context
			return nil, err
		}
		return []string{string(d.Body)}, d.Ack(false)
	})
}

func (l *ledger) transactions(c *amqp.Connection, queue string, do func(*amqp.Channel, *amqp.Delivery) ([]string, error)) error {
	ch, err := c.Channel()
	if err == nil {
		err = killQueue(ch, queue)
	}
	if err == nil {
		err = ch.Qos(50, 0, false)
	}
	if err == nil {
		err = ch.Tx()
	}
	if err != nil {
		return err
	}
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	var ids []string
	for d := range ds {
		l.took(&d)
		more, err := do(ch, &d)
		if err != nil {
			return err
		}
		if ids = append(ids, more...); len(ids) == 10 {
			if err := ch.TxCommit(); err != nil {
				return err
			}
			l.commit(ids)
			ids = ids[:0]
		}
	}
	return nil
}

// drain takes what is left.
func (l *ledger) drain(c *amqp.Connection, queue string) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for last := time.Now(); ; {
		select {
		case d, ok := <-ds:
			if !ok {
				return fmt.Errorf("%s ended", queue)
			}
			last = time.Now()
			l.took(&d)
			if err := d.Ack(false); err != nil {
				return err
			}
		case <-time.After(time.Second):
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			switch {
			case err == nil && q.Messages == 0 && len(ds) == 0:
				return ch.Close()
			case err != nil || time.Since(last) > clientPatience:
				return fmt.Errorf("%s has %d messages that do not come: %w", queue, q.Messages, err)
			}
		}
	}
}
