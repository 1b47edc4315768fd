package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"leat/conformance/port"
)

// With -aside every stream has a contract that puts aside what breaks it, and producers send such events among good ones by Kafka, HTTP, SQS and AMQP
// while the node is killed.

// asideKiller is one run.
type asideKiller struct {
	*killer
	queue          *queueKiller // for its client of SQS
	amqp, registry string
	book           *asideBook
}

func runAside(ctx context.Context, o options) error {
	k := &asideKiller{killer: &killer{options: o}, book: newAsideBook(o.seed)}
	k.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * o.producers}}
	k.queue = &queueKiller{killer: k.killer, book: newQueueBook()}
	k.ledger = newLedger(o.seed) // faults of requests
	var err error
	for _, addr := range []*string{&k.kafka, &k.http, &k.queue.addr, &k.amqp, &k.registry} {
		if *addr, err = port.Free(); err != nil {
			return err
		}
	}
	k.more = []string{"--listen", "aws=" + k.queue.addr, "--listen", "amqp=" + k.amqp, "--listen", "schema-registry=" + k.registry}
	if err := os.WriteFile(k.file("leat.yaml"), []byte(o.config), 0o600); err != nil {
		return err
	}
	began := time.Now()
	err = k.loop(ctx)
	fmt.Fprintf(o.out, "%d kills (%d while starting), %d events acknowledged, %d of them put aside, %.0f s\n",
		k.early+k.late, k.early, k.book.acked, k.book.broken, time.Since(began).Seconds())
	if err != nil {
		return fmt.Errorf("%w\n  again: -aside -seed %d -producers %d -cycles %d -life %v; data and log are in %s", err, o.seed, o.producers, o.cycles, o.life, o.dir)
	}
	return nil
}

func (k *asideKiller) loop(ctx context.Context) error {
	if err := k.start(); err != nil {
		return err
	}
	defer func() { _ = k.kill() }() // when it is running still
	if err := errors.Join(k.ready(ctx), k.listens(ctx), k.bind(ctx)); err != nil {
		return err
	}
	finish, giveUp := context.WithCancel(ctx)
	defer giveUp()
	work, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, k.producers)
	var all sync.WaitGroup
	for i := range k.producers {
		way := &asideWays[i%len(asideWays)]
		p := &asideProducer{k: k, way: way, who: fmt.Sprintf("p%02d-%s", i, way.name), i: i / len(asideWays), r: rand.New(rand.NewPCG(k.seed, uint64(i)+1)), work: work, finish: finish}
		all.Go(func() { errs[i] = p.run() })
	}
	err := k.killing(ctx, func(int) error { return k.faults() })
	stop()
	if err != nil {
		giveUp()
	}
	timer := time.AfterFunc(2*finishTimeout, giveUp)
	defer timer.Stop()
	all.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return errors.Join(err, k.faults())
	}
	if err := k.faults(); err != nil {
		return err
	}
	return k.last(ctx)
}

// faults are answers that were wrong in themselves.
func (k *asideKiller) faults() error {
	_, _, wrong := k.ledger.promised()
	return errors.Join(k.book.faults(), cmpReport(&report{wrong: wrong}, nil))
}

// listens waits until all listeners are open: the one that says that the node is ready is not the last.
func (k *asideKiller) listens(ctx context.Context) error {
	for _, addr := range []string{k.queue.addr, k.amqp, k.registry} {
		for deadline := time.Now().Add(readyTimeout); ; time.Sleep(2 * time.Millisecond) {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				_ = c.Close()
				break
			}
			if ctx.Err() != nil || time.Now().After(deadline) {
				return err
			}
		}
	}
	return nil
}

// bind makes the streams, and binds a contract to each.
func (k *asideKiller) bind(ctx context.Context) error {
	schema := `{"schemaType":"JSON","schema":"{\"type\":\"object\",\"required\":[\"who\",\"n\"],\"properties\":{\"total\":{\"type\":\"number\",\"minimum\":0}}}"}`
	made := map[string]bool{}
	for i := range asideWays {
		w := &asideWays[i]
		if made[w.stream] {
			continue
		}
		made[w.stream] = true
		var err error
		switch w.name {
		case "sqs":
			err = k.queue.sqs(ctx, "CreateQueue", object{"QueueName": w.stream, "Attributes": map[string]string{"FifoQueue": "true"}}, nil)
		case "amqp":
			err = k.exchange(w.stream)
		default:
			_, err = k.must(ctx, http.MethodPut, k.http, "/v1/streams/"+w.stream, fmt.Sprintf(`{"partitions":%d}`, w.partitions()))
		}
		if err == nil {
			_, err = k.must(ctx, http.MethodPost, k.registry, "/subjects/"+w.stream+"/versions", schema)
		}
		if err == nil {
			_, err = k.must(ctx, http.MethodPut, k.registry, "/contracts/"+w.stream, fmt.Sprintf(`{"stream":%q,"subject":%[1]q,"enforce":"quarantine"}`, w.stream))
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", w.stream, err)
		}
	}
	return nil
}

// exchange declares one, and a queue so that something waits for it.
func (k *asideKiller) exchange(name string) error {
	c, err := amqp.Dial("amqp://guest:guest@" + k.amqp + "/")
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(name, "topic", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(name+".all", true, false, false, false, nil); err != nil {
		return err
	}
	return ch.QueueBind(name+".all", "#", name, false, nil)
}

// must makes a request that cannot fail.
func (k *asideKiller) must(ctx context.Context, method, addr, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	a, err := k.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, 4*answerBytesMax))
	if err == nil && a.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s %.300s", method, path, a.Status, text)
	}
	return text, err
}

// last reads and judges, and again after an orderly restart, where it must be the same.
func (k *asideKiller) last(ctx context.Context) error {
	var before int
	for _, when := range []string{"at the end", "after an orderly restart"} {
		history, n, err := k.readAll(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		asides, err := k.waiting(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		if err := cmpReport(k.book.judge(history, asides), nil); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		fmt.Fprintf(k.out, "%s: %d events stored, %d in quarantine\n", when, n, len(asides))
		if before > 0 && before != n+len(asides) {
			return fmt.Errorf("%s: WRONG: %d events, before %d", when, n+len(asides), before)
		}
		before = n + len(asides)
		if err := k.stop(); err != nil {
			return err
		}
		if when == "at the end" {
			if err := errors.Join(k.start(), k.ready(ctx)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readAll reads every stream in pages.
func (k *asideKiller) readAll(ctx context.Context) (map[partitionOf][]stored, int, error) {
	history, n, read := map[partitionOf][]stored{}, 0, map[string]bool{}
	for i := range asideWays {
		s := asideWays[i].stream
		if read[s] {
			continue
		}
		read[s] = true
		for from, more := "earliest", true; more; {
			p, err := k.page(ctx, s, from, "")
			if err != nil {
				return nil, 0, err
			}
			for i, e := range p.Events {
				at, err := parsePlace(p.Stored[i].Ref)
				if err != nil {
					return nil, 0, err
				}
				text, err := e.text()
				if err != nil {
					return nil, 0, err
				}
				part := partitionOf{s, at.partition}
				history[part] = append(history[part], stored{at, e.Key, text})
				n++
			}
			from, more = p.Next, !p.CaughtUp
		}
	}
	return history, n, nil
}

// waiting is all that is in quarantine.
func (k *asideKiller) waiting(ctx context.Context) (all []waitingAside, err error) {
	for from := int64(0); ; {
		text, err := k.must(ctx, http.MethodGet, k.registry, fmt.Sprintf("/quarantine?limit=1000&from=%d", from), "")
		if err != nil {
			return nil, err
		}
		var p struct {
			Records []waitingAside
			Next    *int64
		}
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, err
		}
		if all = append(all, p.Records...); p.Next == nil {
			return all, nil
		}
		from = *p.Next
	}
}
