package push

import (
	"context"
	"log/slog"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

type verb uint8

const (
	verbAck verb = iota
	verbRelease
	verbReject
)

// verdict is what shall become of deliveries.
type verdict struct {
	verb    verb
	handles []broker.Handle
	after   time.Duration // of a release
	counts  bool          // likewise
}

// Limits of a settler.
const (
	verdictsMax = 1_024 // that wait; who has one more waits with it
	settleTime  = 10 * time.Second
	settleTries = 8
	settlePause = 50 * time.Millisecond // doubled
)

// settler tells the broker what became of deliveries: all that came while it told the last ones, in one call.
type settler struct {
	broker *broker.Broker
	caller *broker.Caller
	log    *slog.Logger
	in     chan verdict
	done   chan struct{}
}

func newSettler(b *broker.Broker, c *broker.Caller, log *slog.Logger) *settler {
	s := &settler{broker: b, caller: c, log: log, in: make(chan verdict, verdictsMax), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *settler) add(v verdict) { s.in <- v }

// close settles what waits and ends. Nothing may be added from then on.
func (s *settler) close() {
	close(s.in)
	<-s.done
}

func (s *settler) run() {
	defer close(s.done)
	for v := range s.in {
		calls := append(make([]verdict, 0, 4), v)
		for n := len(v.handles); n < broker.SettleMax/2; {
			var more verdict
			ok := false
			select {
			case more, ok = <-s.in:
			default:
			}
			if !ok {
				break
			}
			calls = join(calls, more)
			n += len(more.handles)
		}
		for i := range calls {
			s.settle(&calls[i])
		}
	}
}

// join adds a verdict to one of its like.
func join(calls []verdict, v verdict) []verdict {
	for i := range calls {
		c := &calls[i]
		if c.verb == v.verb && c.after == v.after && c.counts == v.counts {
			c.handles = append(c.handles, v.handles...)
			return calls
		}
	}
	return append(calls, v)
}

// settle tells of one verdict. When it cannot, the leases run out and the deliveries come again, with the same ids.
func (s *settler) settle(v *verdict) {
	pause := settlePause
	for try := 1; ; try++ {
		err := s.once(v)
		if err == nil {
			return
		}
		passing := fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unknown) || fault.Is(err, fault.QuotaSpent)
		if !passing || try == settleTries {
			s.log.Warn("what became of deliveries could not be noted; they are sent again", "deliveries", len(v.handles), "error", err)
			return
		}
		<-clock.After(pause)
		pause *= 2
	}
}

func (s *settler) once(v *verdict) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	switch v.verb {
	case verbAck:
		_, err = s.broker.Ack(ctx, s.caller, v.handles)
	case verbRelease:
		_, err = s.broker.Release(ctx, s.caller, v.handles, v.after, v.counts)
	case verbReject:
		_, err = s.broker.Reject(ctx, s.caller, v.handles)
	}
	return err
}
