package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
	"leat/internal/outbound"
)

// Limits of a Sender.
const (
	LinesMax  = 10_000          // subscriptions that push; what is beyond is logged and not pushed
	stopGrace = 5 * time.Second // for what is under way when the node stops
	awaitMost = 2 * time.Second // until a change holds
	awaitLook = time.Millisecond
)

// Sender pushes for all subscriptions that ask for it. It is safe for many goroutines.
type Sender struct {
	broker *broker.Broker
	client *outbound.Client
	log    *slog.Logger

	mu    sync.Mutex
	lines map[lineKey]*line
	named map[lineName]*line          // the same
	ended map[lineKey]<-chan struct{} // of lines that may still be finishing, closed when they have
	over  bool                        // LinesMax was reached
}

type lineKey struct {
	namespace, name string
	id              uint32
}

type lineName struct{ namespace, name string }

// New makes a sender. reg is where its numbers go. It starts nothing.
func New(b *broker.Broker, client *outbound.Client, reg prometheus.Registerer, log *slog.Logger) (*Sender, error) {
	s := &Sender{broker: b, client: client, log: log, lines: map[lineKey]*line{}, named: map[lineName]*line{}, ended: map[lineKey]<-chan struct{}{}}
	if reg != nil {
		if err := reg.Register(&collector{s}); err != nil {
			return nil, fmt.Errorf("push: metrics: %w", err)
		}
	}
	return s, nil
}

// Run pushes until ctx ends, then finishes what is under way, for a limited time. What is not finished is handed over again later.
func (s *Sender) Run(ctx context.Context) {
	var lines sync.WaitGroup
	defer lines.Wait()
	watch := s.broker.WatchSubscriptions(DocumentKey)
	for {
		s.reconcile(ctx, &lines, watch.All())
		select {
		case <-watch.Changed():
		case <-ctx.Done():
			return
		}
	}
}

// reconcile brings the lines in step with the subscriptions. Each line has one goroutine from its beginning to its end, and one that follows
// another for the same subscription waits for that to have ended: so no two send for it at a time.
func (s *Sender) reconcile(ctx context.Context, lines *sync.WaitGroup, subs []broker.OwnSubscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[lineKey]bool{}
	for i := range subs {
		k := lineKey{subs[i].Namespace, subs[i].Name, subs[i].ID}
		doc, err := ParseDocument(subs[i].Config.Documents[DocumentKey])
		if err != nil {
			s.log.Error("a subscription is not pushed", "subscription", k.name, "namespace", k.namespace, "error", err)
			continue
		}
		there[k] = true
		if l := s.lines[k]; l != nil {
			l.set(&subs[i], &doc)
			continue
		}
		if len(s.lines) >= LinesMax {
			if !s.over {
				s.log.Error("subscriptions are not pushed: there are too many that ask for it", "most", LinesMax, "subscription", k.name)
			}
			s.over = true
			continue
		}
		l := newLine(s, k, s.ended[k])
		s.lines[k], s.named[lineName{k.namespace, k.name}] = l, l
		l.set(&subs[i], &doc)
		lines.Go(func() { l.run(ctx) })
	}
	for k, l := range s.lines {
		if n := (lineName{k.namespace, k.name}); !there[k] {
			l.end()
			delete(s.lines, k)
			s.ended[k] = l.done
			if s.named[n] == l { // and not one that has its name now
				delete(s.named, n)
			}
		}
	}
	for k, done := range s.ended {
		select {
		case <-done:
			delete(s.ended, k)
		default:
		}
	}
}

// find is the line of a subscription; nil: it does not push, or not yet.
func (s *Sender) find(namespace, name string) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named[lineName{namespace, name}]
}

// Await waits until what was set about the push of a subscription by a revision of it holds: no request is begun by what was set before. It does not
// wait long, should requests that are under way take their time; then the change holds when they have ended.
func (s *Sender) Await(ctx context.Context, namespace, name string, revision uint64, pushes bool) {
	ctx, cancel := context.WithTimeout(ctx, awaitMost)
	defer cancel()
	for !s.holds(lineName{namespace, name}, revision, pushes) && clock.Sleep(ctx, awaitLook) == nil {
		continue
	}
}

func (s *Sender) holds(n lineName, revision uint64, pushes bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.named[n]; l != nil || pushes {
		return pushes && l != nil && l.holds(revision)
	}
	for k, done := range s.ended {
		if (lineName{k.namespace, k.name}) != n {
			continue
		}
		select {
		case <-done:
		default:
			return false
		}
	}
	return true
}

// State is how the push of a subscription fares. ok is false when there is none.
func (s *Sender) State(namespace, name string) (st State, ok bool) {
	l := s.find(namespace, name)
	if l == nil {
		return st, false
	}
	return l.state(), true
}

// Resume ends a pause, has a handshake that was refused made again, and ends the wait for an endpoint that failed. It reports whether there is
// such a push. Who may is the caller's to know.
func (s *Sender) Resume(ctx context.Context, c *broker.Caller, namespace, name string) (bool, error) {
	l := s.find(namespace, name)
	if l == nil {
		return false, nil
	}
	was := false
	err := l.remember(ctx, func(d *Document) {
		was = d.Paused != nil
		d.Paused, d.Refused = nil, nil
	})
	if err != nil {
		return true, err
	}
	l.resume()
	if was {
		s.tell(broker.TypePushResumed, l.key, c, nil)
	}
	return true, nil
}

// tell writes an event of the system stream.
func (s *Sender) tell(typ string, k lineKey, c *broker.Caller, data map[string]any) {
	if data == nil {
		data = map[string]any{}
	}
	data["namespace"] = k.namespace
	s.broker.System(broker.SystemEvent{Type: typ, Subject: k.name, Caller: c, Data: data})
}

// remember changes what is kept with the subscription. Nothing is written when nothing changes.
func (l *line) remember(ctx context.Context, change func(d *Document)) error {
	err := l.s.broker.SetOwnDocument(ctx, l.key.namespace, l.key.name, l.key.id, DocumentKey, func(old string) (string, error) {
		if old == "" {
			return "", fault.New(fault.NotFound, "push", l.key.name, "the subscription does not push any more")
		}
		d, err := ParseDocument(old)
		if err != nil {
			return "", err
		}
		change(&d)
		now := d.Text()
		if before, err := ParseDocument(old); err == nil && before.Text() == now {
			return "", errNoChange
		}
		return now, nil
	})
	if errors.Is(err, errNoChange) {
		return nil
	}
	return err
}

// errNoChange ends an edit that changes nothing.
var errNoChange = errors.New("push: nothing changes")

func nowMS() int64 { return clock.Now().UnixMilli() }
