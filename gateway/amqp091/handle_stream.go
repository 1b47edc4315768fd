package amqp091

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// A queue of type stream keeps what reaches it, and each consumer reads it for himself from where he says. So the queue is a subscription that
// nobody receives from: it holds what is in the streams of its exchanges, as long as its x-max-age and x-max-length-bytes say, and counts it. Each
// consumer has a subscription of his own, with the same clauses, that is gone with him:
//
//	queue     ├─ dropped, 40 ─┼──────────── held, 60 ───────────┤ next is 100
//	consumer                  ├──── read from here, 60 ─────────┤        its first message is number 100 − 60 = 40
//
// So messages are numbered from 0 without a number being kept with any: in every consumer alike as far as they come by one exchange; those of several
// may be found in another order.

// reader is a consumer's reading of a stream.
type reader struct{ next int64 }

// number is that of the next delivery.
func (r *reader) number() int64 {
	r.next++
	return r.next - 1
}

const argumentOffset = "x-stream-offset"

// Reading a stream.
const (
	readerRun    = 1000 // deliveries under way, at most
	countTries   = 200  // of looking whether what there is to read has been counted
	countPause   = 5 * time.Millisecond
	readerPrefix = "amq.stream-reader-"
	offsetFirst  = "first"
	offsetLast   = "last"
	offsetNext   = "next"
)

// mayRead refuses a consumer that a stream does not take.
func (k *conn) mayRead(ch *channel, queue string, m *wire.BasicConsume) error {
	refuse := func(code wire.ReplyCode, text string) error {
		return &wire.Error{Code: code, Method: m.ID(), Text: fmt.Sprintf(text, fmt.Sprintf("queue '%s' in vhost '%s'", queue, k.vhost()))}
	}
	if m.NoAck {
		return refuse(wire.NotImplemented, "automatic acknowledgement not supported by stream queues %s")
	}
	if ch.prefetch == 0 {
		return refuse(wire.PreconditionFailed, "consumer prefetch count is not set for '%s'")
	}
	if _, err := offsetOf(m); err != nil {
		return err
	}
	return nil
}

// offset is where a consumer begins to read.
type offset struct {
	word   string // first, last, next; "" is one of the others
	number int64
	timeMS int64 // 0: it is the number
}

// offsetOf reads x-stream-offset: a word, a number, a time, or how long ago.
func offsetOf(m *wire.BasicConsume) (o offset, err error) {
	v, ok := m.Arguments.Get(argumentOffset)
	if !ok {
		return offset{word: offsetNext}, nil
	}
	if n, ok := v.Int(); ok && n >= 0 {
		return offset{number: n}, nil
	}
	if s, ok := v.Seconds(); ok && s > 0 {
		return offset{timeMS: s * 1000}, nil
	}
	if text, ok := v.Text(); ok {
		switch s := string(text); s {
		case offsetFirst, offsetLast, offsetNext:
			return offset{word: s}, nil
		default:
			if ms, ok := ageMS(s); ok {
				return offset{timeMS: max(1, clock.Now().UnixMilli()-ms)}, nil
			}
		}
	}
	return o, &wire.Error{
		Code: wire.PreconditionFailed, Method: m.ID(),
		Text: fmt.Sprintf("invalid arg '%s': '%s'; it is first, last, next, a number, a time, or an age as 1h", argumentOffset, plain(v)),
	}
}

// readStream makes the subscription of a consumer, and skips to where he begins.
func (k *conn) readStream(ctx context.Context, u *consumer, m *wire.BasicConsume) error {
	o, err := offsetOf(m)
	if err != nil {
		return err
	}
	c := k.us()
	held, err := k.g.b.DescribeSubscription(ctx, c, ourName(u.queue))
	if err != nil {
		return k.refusedConsumer(err, u.queue)
	}
	from := broker.Start{Kind: broker.StartLatest}
	if begin := held.Oldest; o.word != offsetNext && !begin.IsZero() {
		from = broker.Start{Kind: broker.StartTime, Time: max(o.timeMS, begin.UnixMilli(), held.Created.UnixMilli())}
	}
	name := readerPrefix + rand.Text()
	_, err = k.g.b.PutSubscription(ctx, c, name, func(s *broker.SubscriptionConfig) error {
		s.Streams, s.Address, s.Routed = held.Config.Streams, held.Config.Address, true
		s.Documents = map[string]string{documentReader: u.queue}
		s.Policy = broker.Policy{LeaseMS: leaseMS}
		return nil
	}, from, broker.NewOnly)
	if err != nil {
		return refusal(err, m.ID())
	}
	k.g.mu.Lock()
	k.g.readers[k.key(u.queue)] = append(k.g.readers[k.key(u.queue)], name)
	k.g.mu.Unlock()
	u.from, u.reader = name, &reader{}
	if err := k.place(ctx, u, o); err != nil {
		k.g.endReader(ctx, u)
		return refusal(err, m.ID())
	}
	return nil
}

// place finds out which number a consumer begins with, and skips what is before that.
func (k *conn) place(ctx context.Context, u *consumer, o offset) error {
	c := k.us()
	for range countTries {
		first, all, exact, err := k.counts(ctx, u)
		if err != nil {
			return err
		}
		if !exact { // it is being counted, or something came just now
			if err := clock.Sleep(ctx, countPause); err != nil {
				return err
			}
			continue
		}
		u.reader.next = first
		begin := first
		switch {
		case o.word == offsetLast:
			begin = all - 1
		case o.word == "" && o.timeMS == 0:
			begin = min(o.number, all)
		}
		n, err := k.g.b.Skip(ctx, c, u.from, begin-first)
		u.reader.next += n
		return err
	}
	return fault.New(fault.Unavailable, "consume", u.queue, "what is in the stream is being counted; try again")
}

// counts are the number of the first message that a consumer will read and that of the next one to come.
func (k *conn) counts(ctx context.Context, u *consumer) (first, all int64, exact bool, err error) {
	c := k.us()
	before, err := k.g.b.DescribeSubscription(ctx, c, ourName(u.queue))
	if err != nil {
		return 0, 0, false, err
	}
	mine, err := k.g.b.DescribeSubscription(ctx, c, u.from)
	if err != nil {
		return 0, 0, false, err
	}
	after, err := k.g.b.DescribeSubscription(ctx, c, ourName(u.queue))
	if err != nil {
		return 0, 0, false, err
	}
	all = arrived(&after)
	return max(0, all-mine.Waiting), all, mine.Exact && after.Exact && arrived(&before) == all, nil
}

// arrived is how many messages have come to a queue.
func arrived(i *broker.SubscriptionInfo) int64 {
	return i.Waiting + i.Acked + i.Skipped + i.Dead + i.Gaps
}

// endReader drops the subscription of a consumer of a stream.
func (g *Gateway) endReader(ctx context.Context, u *consumer) {
	if u.reader == nil {
		return
	}
	g.mu.Lock()
	var key queueKey
	for at, names := range g.readers {
		if i := slices.Index(names, u.from); i >= 0 {
			key = at
			if g.readers[at] = slices.Delete(names, i, i+1); len(g.readers[at]) == 0 {
				delete(g.readers, at)
			}
			break
		}
	}
	g.mu.Unlock()
	if key.name != "" {
		g.dropReader(ctx, key.namespace, u.from)
	}
}

func (g *Gateway) dropReader(ctx context.Context, namespace, name string) {
	if err := g.b.DeleteSubscription(ctx, g.b.OwnCaller(namespace), name); err != nil && !fault.Is(err, fault.NotFound) {
		g.log.Warn("the subscription of a consumer of a stream could not be deleted", "subscription", name, "error", err)
	}
}

// endReaders ends all consumers of a stream that was deleted.
func (g *Gateway) endReaders(ctx context.Context, key queueKey) {
	g.mu.Lock()
	names := g.readers[key]
	delete(g.readers, key)
	g.mu.Unlock()
	for _, name := range names {
		g.dropReader(ctx, key.namespace, name)
	}
}

// readersAgain has the consumers of a stream read what reaches it now.
func (g *Gateway) readersAgain(ctx context.Context, key queueKey) {
	g.mu.Lock()
	names := slices.Clone(g.readers[key])
	g.mu.Unlock()
	if len(names) == 0 {
		return
	}
	own, there := g.b.OwnSubscription(key.namespace, ourName(key.name))
	if !there {
		return
	}
	for _, name := range names {
		_, err := g.b.PutSubscription(ctx, g.b.OwnCaller(key.namespace), name, func(c *broker.SubscriptionConfig) error {
			if len(c.Streams) == 0 {
				return fault.New(fault.NotFound, "bind", name, "the consumer has ended")
			}
			c.Address = own.Config.Address
			for _, s := range own.Config.Streams {
				if !slices.Contains(c.Streams, s) {
					c.Streams = append(c.Streams, s)
				}
			}
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0)
		if err != nil && !fault.Is(err, fault.NotFound) {
			g.log.Warn("a consumer of a stream does not read what reaches it now", "queue", key.name, "error", err)
		}
	}
}
