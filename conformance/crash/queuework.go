package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// What clients of SQS do while the node is killed. A send is repeated until it is answered: with a deduplication id that is safe, without one a
// message may come twice, under two ids.

// numbered reads GROUP/NUMBER.
func numbered(body string) (group string, n int, err error) {
	group, text, _ := strings.Cut(body, "/")
	n, err = strconv.Atoi(text)
	return group, n, err
}

func isPoison(body string) bool { return strings.HasPrefix(body, "poison") }

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// sendOne repeats a send until it is answered or finish ends.
func (k *queueKiller) sendOne(finish context.Context, in object) (s sent, ok bool) {
	for finish.Err() == nil {
		err := k.sqs(finish, "SendMessage", in, &s)
		if err == nil {
			return s, true
		}
		if !unsure(err) && finish.Err() == nil {
			k.book.mu.Lock()
			k.book.fault("a send was refused: %v", err)
			k.book.mu.Unlock()
		}
		rest(finish, 5*time.Millisecond)
	}
	return s, false
}

func (k *queueKiller) sendWork(work, finish context.Context, i int, r *rand.Rand) {
	for n := 0; work.Err() == nil; n++ {
		body := fmt.Sprintf("work%d/%d", i, n)
		if s, ok := k.sendOne(finish, object{"QueueUrl": standardQueue, "MessageBody": body}); ok {
			k.book.send(body, s.MessageId, false)
		}
		rest(work, time.Duration(r.Int64N(int64(3*time.Millisecond))))
	}
}

func (k *queueKiller) sendGroups(work, finish context.Context, i int, r *rand.Rand) {
	next := make([]int, groupsEach)
	send := func(g, n int) {
		group := fmt.Sprintf("g%d.%d", i, g)
		body := fmt.Sprintf("%s/%d", group, n)
		if s, ok := k.sendOne(finish, object{"QueueUrl": groupQueue, "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": body}); ok {
			k.book.send(body, s.MessageId, true)
		}
	}
	for work.Err() == nil {
		g := r.IntN(groupsEach)
		send(g, next[g])
		if next[g]++; r.IntN(resendOneIn) == 0 {
			send(g, r.IntN(next[g]))
		}
		rest(work, time.Duration(r.Int64N(int64(3*time.Millisecond))))
	}
}

func (k *queueKiller) sendPoison(work, finish context.Context, i int) {
	for n := 0; work.Err() == nil; n++ {
		body := fmt.Sprintf("poison%d/%d", i, n)
		if s, ok := k.sendOne(finish, object{"QueueUrl": poisonQueue, "MessageBody": body}); ok {
			k.book.send(body, s.MessageId, false)
		}
		rest(work, 50*time.Millisecond)
	}
}

// received hands what comes to fn until ctx ends.
func (k *queueKiller) each(ctx context.Context, queue string, fn func(began time.Time, ms []message)) {
	for ctx.Err() == nil {
		began := time.Now()
		ms, err := k.receive(ctx, queue, 10, -1)
		if err != nil {
			rest(ctx, 5*time.Millisecond)
			continue
		}
		fn(began, ms)
	}
}

// keep leaves some of what was received undeleted, while there is still time for it to come again.
func keep(work context.Context, r *rand.Rand, ms []message) []message {
	if work.Err() != nil {
		return ms
	}
	var out []message
	for i := range ms {
		if r.IntN(keepOneIn) > 0 {
			out = append(out, ms[i])
		}
	}
	return out
}

func (k *queueKiller) receiveWork(work, finish context.Context, r *rand.Rand) {
	k.each(finish, standardQueue, func(began time.Time, ms []message) {
		k.book.take(began, ms)
		if ms = keep(work, r, ms); len(ms) > 0 {
			gone, _ := k.remove(finish, standardQueue, ms) // what is not answered comes again, or does not
			k.book.gone(gone)
		}
	})
}

func (k *queueKiller) receiveGroups(work, finish context.Context, r *rand.Rand) {
	k.each(finish, groupQueue, func(began time.Time, ms []message) {
		k.book.takeGroups(began, ms)
		if ms = keep(work, r, ms); len(ms) > 0 {
			k.book.try(ms)
			gone, _ := k.remove(finish, groupQueue, ms) // likewise
			k.book.gone(gone)
		}
	})
}

// receivePoison never deletes. Half of what it gets it gives back at once, the other half by saying nothing.
func (k *queueKiller) receivePoison(finish context.Context, r *rand.Rand) {
	k.each(finish, poisonQueue, func(_ time.Time, ms []message) {
		k.book.attempt(ms)
		for i := range ms {
			if r.IntN(2) == 0 {
				_ = k.sqs(finish, "ChangeMessageVisibility", object{"QueueUrl": poisonQueue, "ReceiptHandle": ms[i].ReceiptHandle, "VisibilityTimeout": 0}, nil) // else its time runs out
			}
		}
	})
}

func (k *queueKiller) receiveDead(finish context.Context) {
	k.each(finish, deadQueue, func(began time.Time, ms []message) {
		k.book.take(began, ms)
		k.book.buried(ms)
		if len(ms) > 0 {
			gone, _ := k.remove(finish, deadQueue, ms) // likewise
			k.book.gone(gone)
		}
	})
}
