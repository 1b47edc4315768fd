package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"leat/conformance/port"
)

// With -queues the node is killed while clients of SQS send, receive and delete.

const (
	standardQueue = "work"
	groupQueue    = "groups.fifo"
	poisonQueue   = "poison"
	deadQueue     = "dead"

	attemptsMax     = 3
	groupsEach      = 4 // groups of a sender
	visibilityShort = 2 // seconds
	drainTime       = 90 * time.Second
	resendOneIn     = 10 // an acknowledged message of a group is sent again, now and then
	keepOneIn       = 5  // a received message is not deleted, now and then
)

// queueKiller is one run.
type queueKiller struct {
	*killer
	addr string // of SQS
	book *queueBook
}

func runQueues(ctx context.Context, o options) error {
	k := &queueKiller{killer: &killer{options: o}, book: newQueueBook()}
	k.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * o.producers}}
	var err error
	for _, addr := range []*string{&k.kafka, &k.http, &k.addr} {
		if *addr, err = port.Free(); err != nil {
			return err
		}
	}
	k.more = []string{"--listen", "aws=" + k.addr}
	if err := os.WriteFile(k.file("leat.yaml"), []byte(o.config), 0o600); err != nil {
		return err
	}
	began := time.Now()
	err = k.loop(ctx)
	fmt.Fprintf(o.out, "%d kills (%d while starting), %d messages acknowledged, %d deliveries, %d deleted, %d dead, %.0f s\n",
		k.early+k.late, k.early, len(k.book.acked), k.book.delivered, len(k.book.deleted), len(k.book.dead), time.Since(began).Seconds())
	if err != nil {
		return fmt.Errorf("%w\n  again: -queues -seed %d -producers %d -cycles %d -life %v; data and log are in %s", err, o.seed, o.producers, o.cycles, o.life, o.dir)
	}
	return nil
}

func (k *queueKiller) loop(ctx context.Context) error {
	if err := k.start(); err != nil {
		return err
	}
	defer func() { _ = k.kill() }() // when it is running still
	if err := errors.Join(k.ready(ctx), k.makeQueues(ctx)); err != nil {
		return err
	}
	finish, stopReceiving := context.WithCancel(ctx)
	defer stopReceiving()
	work, stopSending := context.WithCancel(ctx)
	defer stopSending()
	var senders, receivers sync.WaitGroup
	for i := range k.producers {
		r := rand.New(rand.NewPCG(k.seed, uint64(i)+1))
		switch i % 3 {
		case 0:
			senders.Go(func() { k.sendWork(work, finish, i, r) })
		case 1:
			senders.Go(func() { k.sendGroups(work, finish, i, r) })
		default:
			senders.Go(func() { k.sendPoison(work, finish, i) })
		}
		r2 := rand.New(rand.NewPCG(k.seed, uint64(i)+1000)) // its own: the sender has the other one
		switch i % 3 {
		case 0:
			receivers.Go(func() { k.receiveWork(work, finish, r2) })
		case 1:
			receivers.Go(func() { k.receiveGroups(work, finish, r2) })
		default:
			receivers.Go(func() { k.receivePoison(finish, r2) })
			receivers.Go(func() { k.receiveDead(finish) })
		}
	}
	err := k.cycle(ctx)
	stopSending()
	if err != nil {
		stopReceiving()
	}
	senders.Wait()
	if err == nil {
		err = k.drain(ctx)
	}
	stopReceiving()
	receivers.Wait()
	return errors.Join(err, cmpReport(k.book.report(), nil), k.stop())
}

func (k *queueKiller) makeQueues(ctx context.Context) error {
	policy := fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:%s","maxReceiveCount":%d}`, deadQueue, attemptsMax)
	short := strconv.Itoa(visibilityShort)
	for _, q := range []struct {
		name       string
		attributes map[string]string
	}{
		{standardQueue, map[string]string{"VisibilityTimeout": short}},
		{groupQueue, map[string]string{"FifoQueue": "true", "VisibilityTimeout": short}},
		{deadQueue, nil},
		{poisonQueue, map[string]string{"VisibilityTimeout": "1", "RedrivePolicy": policy}},
	} {
		if err := k.sqs(ctx, "CreateQueue", object{"QueueName": q.name, "Attributes": q.attributes}, nil); err != nil {
			return fmt.Errorf("create queue %s: %w", q.name, err)
		}
	}
	return nil
}

// cycle kills and starts, and looks now and then whether something is wrong already.
func (k *queueKiller) cycle(ctx context.Context) error {
	r := rand.New(rand.NewPCG(k.seed, 0))
	began := time.Now()
	for n := 1; n <= k.cycles && (k.within == 0 || time.Since(began) < k.within) && ctx.Err() == nil; n++ {
		if n > 1 && r.IntN(earlyOneIn) == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(earlyWithin))))
			k.early++
		} else {
			if err := k.ready(ctx); err != nil {
				return err
			}
			time.Sleep(time.Duration(r.Int64N(int64(2 * k.life))))
			k.late++
		}
		if err := errors.Join(k.kill(), k.start()); err != nil {
			return err
		}
		if err := cmpReport(k.book.report(), nil); err != nil {
			return fmt.Errorf("after %d kills: %w", n, err)
		}
		if n%k.checkEvery == 0 {
			k.book.mu.Lock()
			fmt.Fprintf(k.out, "%d kills: %d messages acknowledged, %d deliveries, all is well\n", n, len(k.book.acked), k.book.delivered)
			k.book.mu.Unlock()
		}
	}
	return errors.Join(ctx.Err(), k.ready(ctx))
}

// drain waits until all that was acknowledged has come, the queues are empty, and stay so over an orderly restart.
func (k *queueKiller) drain(ctx context.Context) error {
	deadline := time.Now().Add(drainTime)
	for ; ; time.Sleep(200 * time.Millisecond) {
		never, alive := k.book.missing()
		left, err := k.left(ctx)
		if len(never)+len(alive) == 0 && left == "" && err == nil {
			break
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("WRONG: %v after the end %d acknowledged messages never came (%.200v), %d are no dead letters (%.200v); left: %s %w",
				drainTime, len(never), never, len(alive), alive, left, errors.Join(err, ctx.Err()))
		}
	}
	if err := errors.Join(k.stop(), k.start(), k.ready(ctx)); err != nil {
		return err
	}
	time.Sleep(2 * visibilityShort * time.Second) // receivers are there: what came back would be noted
	if left, err := k.left(ctx); left != "" || err != nil {
		return fmt.Errorf("WRONG: after an orderly restart there is %s %w", left, err)
	}
	return nil
}

// left says which queues are not empty.
func (k *queueKiller) left(ctx context.Context) (string, error) {
	var text strings.Builder
	for _, q := range []string{standardQueue, groupQueue, poisonQueue, deadQueue} {
		var out struct{ Attributes map[string]string }
		if err := k.sqs(ctx, "GetQueueAttributes", object{"QueueUrl": q, "AttributeNames": []string{"All"}}, &out); err != nil {
			return "", err
		}
		for _, kind := range []string{"", "NotVisible", "Delayed"} {
			if n := out.Attributes["ApproximateNumberOfMessages"+kind]; n != "0" {
				fmt.Fprintf(&text, "%s: %s %s; ", q, n, kind)
			}
		}
	}
	return text.String(), nil
}
