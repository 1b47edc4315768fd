package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	amqpInFlight   = 4000 // published and not yet confirmed
	amqpPrefetch   = 1000
	amqpWritten    = 64 // messages in one write
	amqpEndToEnd   = 1000
	amqpBodyBytes  = 1024
	amqpConfirming = 4 * amqpInFlight
)

// window bounds what is in flight: who sends waits in take until some of it has come back.
type window struct {
	mu     sync.Mutex
	room   int
	failed error
	more   sync.Cond
}

func newWindow(n int) *window {
	w := &window{room: n}
	w.more.L = &w.mu
	return w
}

// take waits for room, and takes most of it at most.
func (w *window) take(most int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.room == 0 && w.failed == nil {
		w.more.Wait()
	}
	n := min(most, w.room)
	w.room -= n
	return n, w.failed
}

func (w *window) give(n int) {
	w.mu.Lock()
	w.room += n
	w.mu.Unlock()
	w.more.Signal()
}

func (w *window) fail(err error) {
	w.mu.Lock()
	w.failed = err
	w.mu.Unlock()
	w.more.Broadcast()
}

// confirms are publishes that wait for their confirmation: each is to come once.
type confirms struct {
	base uint64               // all below have come
	came [amqpConfirming]bool // of those from base on, at tag % len
}

// add takes a confirmation and returns how many publishes it is of.
func (c *confirms) add(tag uint64, multiple bool) (int, error) {
	if tag < c.base || tag >= c.base+amqpConfirming {
		return 0, fmt.Errorf("confirmation %d; all below %d had come", tag, c.base)
	}
	from, n := tag, 0
	if multiple {
		from = c.base
	}
	for t := from; t <= tag; t++ {
		if at := &c.came[t%amqpConfirming]; !*at {
			*at = true
			n++
		} else if !multiple {
			return 0, fmt.Errorf("confirmation %d came twice", tag)
		}
	}
	for c.came[c.base%amqpConfirming] {
		c.came[c.base%amqpConfirming] = false
		c.base++
	}
	return n, nil
}

// amqpProduce publishes n messages to a queue with amqpInFlight in flight, and returns confirmed messages a second.
func amqpProduce(ctx context.Context, p *proc, queue string, n int) (float64, error) {
	a, err := dialAMQP(p.amqp)
	if err != nil {
		return 0, err
	}
	defer a.close()
	if err := a.declare(queue); err != nil {
		return 0, err
	}
	return a.produce(ctx, n, []string{queue})
}

// produce publishes n messages to queues in turn, which have names of one length.
func (a *amqpClient) produce(ctx context.Context, n int, queues []string) (float64, error) {
	if err := a.confirm(); err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, a.close)
	defer stop()
	size := len(amqpMessage(queues[0], make([]byte, amqpBodyBytes)))
	var many []byte // whole rounds of at least amqpWritten messages
	for len(many) < amqpWritten*size {
		for _, q := range queues {
			many = append(many, amqpMessage(q, make([]byte, amqpBodyBytes))...)
		}
	}
	w := newWindow(amqpInFlight)
	began := time.Now()
	received := make(chan error, 1)
	go func() {
		err := a.confirmed(n, w)
		if err != nil {
			w.fail(err)
		}
		received <- err
	}()
	for sent, at := 0, 0; sent < n; {
		k, err := w.take(min(amqpWritten, n-sent, len(many)/size-at))
		if err == nil {
			_, err = a.c.Write(many[at*size : (at+k)*size])
		}
		if err != nil {
			a.close()
			return 0, errors.Join(err, <-received)
		}
		sent, at = sent+k, (at+k)%(len(many)/size)
	}
	if err := <-received; err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// confirmed reads confirmations of n publishes.
func (a *amqpClient) confirmed(n int, w *window) error {
	c := &confirms{base: 1}
	for seen, fresh := 0, 0; seen < n; {
		kind, p, err := a.next()
		if err != nil {
			return fmt.Errorf("after %d of %d confirmations: %w", seen, n, err)
		}
		if kind == 8 {
			continue
		}
		if kind != 1 || amqpMethod(binary.BigEndian.Uint32(p)) != amqpAck {
			return fmt.Errorf("instead of a confirmation: %w", amqpOther(kind, p))
		}
		k, err := c.add(binary.BigEndian.Uint64(p[4:]), p[12]&1 != 0)
		if err != nil {
			return err
		}
		seen, fresh = seen+k, fresh+k
		if a.br.Buffered() < amqpFrameBytes || fresh >= amqpWritten {
			w.give(fresh)
			fresh = 0
		}
	}
	return nil
}

// delivered reads deliveries and acknowledges each, as many in one write as came in one read, until took has seen n bodies.
func (a *amqpClient) delivered(n int, took func(body []byte)) error {
	var acks []byte
	for seen := 0; seen < n; {
		kind, p, err := a.next()
		if err != nil {
			return fmt.Errorf("after %d of %d deliveries: %w", seen, n, err)
		}
		switch {
		case kind == 1 && amqpMethod(binary.BigEndian.Uint32(p)) == amqpDeliver:
			at := 5 + int(p[4]) // behind the consumer tag
			acks = append(amqpHead(acks, 1, 1, 13), 0, 60, 0, 80)
			acks = append(append(acks, p[at:at+8]...), 0, amqpFrameEnd)
		case kind == 1:
			return fmt.Errorf("instead of a delivery: %w", amqpOther(kind, p))
		case kind == 3:
			if len(p) != amqpBodyBytes {
				return fmt.Errorf("a body of %d bytes", len(p))
			}
			seen++
			took(p)
			if a.br.Buffered() < amqpBodyBytes || seen == n {
				if _, err := a.c.Write(acks); err != nil {
					return err
				}
				acks = acks[:0]
			}
		}
	}
	return nil
}

// amqpConsumeAll takes n messages that are in a queue, acknowledging each, and returns messages a second.
func amqpConsumeAll(ctx context.Context, p *proc, queue string, n int) (float64, error) {
	a, err := dialAMQP(p.amqp)
	if err != nil {
		return 0, err
	}
	defer a.close()
	stop := context.AfterFunc(ctx, a.close)
	defer stop()
	began := time.Now()
	if err := a.consume(queue, amqpPrefetch); err != nil {
		return 0, err
	}
	if err := a.delivered(n, func([]byte) {}); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// amqpCycle publishes n messages with confirms while another connection consumes and acknowledges them: messages a second through both.
func amqpCycle(ctx context.Context, p *proc, queue string, n int) (float64, error) {
	a, err := dialAMQP(p.amqp)
	if err != nil {
		return 0, err
	}
	defer a.close()
	stop := context.AfterFunc(ctx, a.close)
	defer stop()
	if err := a.declare(queue); err != nil {
		return 0, err
	}
	if err := a.consume(queue, amqpPrefetch); err != nil {
		return 0, err
	}
	began := time.Now()
	published := make(chan error, 1)
	go func() {
		_, err := amqpProduce(ctx, p, queue, n)
		if err != nil {
			a.close()
		}
		published <- err
	}()
	err = a.delivered(n, func([]byte) {})
	seconds := time.Since(began).Seconds()
	if err != nil {
		a.close()
	}
	if err := errors.Join(err, <-published); err != nil {
		return 0, err
	}
	return float64(n) / seconds, nil
}

// amqpLatency is the time from a publish to its delivery to another connection, at amqpEndToEnd messages a second, durable and confirmed.
func amqpLatency(ctx context.Context, p *proc, queue string, d time.Duration) (*histogram, error) {
	pub, err := dialAMQP(p.amqp)
	if err != nil {
		return nil, err
	}
	defer pub.close()
	sub, err := dialAMQP(p.amqp)
	if err != nil {
		return nil, err
	}
	defer sub.close()
	if err := pub.declare(queue); err != nil {
		return nil, err
	}
	if err := errors.Join(pub.confirm(), sub.consume(queue, amqpPrefetch)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { pub.close(); sub.close() })
	defer stop()
	h := &histogram{}
	n, warm := int(d.Seconds()*amqpEndToEnd), 0
	epoch := time.Now()
	done := make(chan error, 2)
	go func() {
		done <- sub.delivered(n, func(body []byte) {
			if warm++; warm > n/5 {
				h.add(int64(time.Since(epoch)) - int64(binary.BigEndian.Uint64(body)))
			}
		})
	}()
	go func() { done <- pub.confirmed(n, newWindow(0)) }()
	message := amqpMessage(queue, make([]byte, amqpBodyBytes))
	stamp := message[len(message)-1-amqpBodyBytes:]
	var failed error
	err = pace(ctx, amqpEndToEnd, d, func() {
		binary.BigEndian.PutUint64(stamp, uint64(time.Since(epoch)))
		if _, err := pub.c.Write(message); err != nil {
			failed = err
		}
	})
	if err != nil || failed != nil {
		pub.close()
		sub.close()
	}
	return h, errors.Join(err, failed, <-done, <-done)
}
