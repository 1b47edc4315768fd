package link

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

// Times and limits of links.
const (
	lookEvery   = time.Second      // at whether documents have changed
	aroundEvery = 5 * time.Second  // at which topics and groups there are, and what groups have committed
	dialTime    = 10 * time.Second // to reach a broker
	requestTime = 30 * time.Second // for one request
	pauseFirst  = time.Second      // after an error, doubled
	pauseLast   = 30 * time.Second
	switchLook  = 100 * time.Millisecond
	metadataMin = 500 * time.Millisecond // between two looks of the client at where partitions are: a new topic waits for the next one

	fetchBytes   = 8 << 20   // of one answer
	recordsPoll  = 20_000    // records in one append
	batchBytes   = 512 << 10 // of records, before a batch is closed
	appendBytes  = 8 << 20   // of batches in one append
	GroupsMax    = 10_000    // groups that one link follows
	TopicsMax    = 10_000    // topics that one link copies
	commitsChunk = 500       // positions in one commit
)

// Linker works for all links. It is safe for many goroutines.
type Linker struct {
	broker *broker.Broker
	log    *slog.Logger

	mu      sync.Mutex
	workers map[key]*worker
	kick    chan struct{}

	tailEmptyFor time.Duration
}

type key struct{ namespace, name string }

// New makes a linker. It starts nothing.
func New(b *broker.Broker, log *slog.Logger) *Linker {
	return &Linker{broker: b, log: log, workers: map[key]*worker{}, kick: make(chan struct{}, 1), tailEmptyFor: tailEmptyFor}
}

// Run works until ctx ends.
func (l *Linker) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	timer := clock.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		l.reconcile(ctx, &all)
		timer.Reset(lookEvery)
		select {
		case <-timer.C:
		case <-l.kick:
		case <-ctx.Done():
			return
		}
	}
}

// Wake has a change of a document seen at once.
func (l *Linker) Wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// reconcile brings the workers in step with the documents. A worker whose document has changed ends, and the next look starts one anew: so no two copy
// for a link at a time.
func (l *Linker) reconcile(ctx context.Context, all *sync.WaitGroup) {
	there := map[key]*broker.Document{}
	for _, d := range l.broker.OwnDocuments(broker.KindLink) {
		there[key{d.Namespace, d.Name}] = d
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, w := range l.workers {
		select {
		case <-w.done:
			delete(l.workers, k)
		default:
			if d := there[k]; d == nil || d.Revision != w.doc.Revision {
				w.stop()
			}
		}
	}
	for k, d := range there {
		if l.workers[k] != nil {
			continue
		}
		s, err := Of(d)
		if err != nil {
			l.log.Error("a link cannot be read", "link", k.name, "namespace", k.namespace, "error", err)
			continue
		}
		if s.Mode == ModeSwitched {
			continue
		}
		w := newWorker(l, k, d, s)
		round, stop := context.WithCancel(ctx)
		w.stop = stop
		l.workers[k] = w
		all.Go(func() {
			w.run(round)
			stop()
			l.Wake()
		})
	}
}

// State is how a link fares; false while nobody works for it.
func (l *Linker) State(namespace, name string) (State, bool) {
	l.mu.Lock()
	w := l.workers[key{namespace, name}]
	l.mu.Unlock()
	if w == nil {
		return State{}, false
	}
	return w.state(), true
}

// Release lets everybody append to the streams of a link that is no more. Those that are linked by another one stay as they are.
func (l *Linker) Release(ctx context.Context, c *broker.Caller, name string) error {
	l.Wake()
	if err := l.ended(ctx, key{namespaceOf(c), name}); err != nil {
		return err
	}
	return release(ctx, l.broker, c, name)
}

// ended waits until nobody works for a link.
func (l *Linker) ended(ctx context.Context, k key) error {
	l.mu.Lock()
	w := l.workers[k]
	if w != nil {
		w.stop()
	}
	l.mu.Unlock()
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "link", k.name, "the link has not ended yet; try again")
	}
}

func namespaceOf(c *broker.Caller) string {
	if c.Namespace == "" {
		return broker.DefaultNamespace
	}
	return c.Namespace
}

func release(ctx context.Context, b *broker.Broker, c *broker.Caller, name string) error {
	list, err := b.ListStreams(ctx, c)
	if err != nil {
		return err
	}
	for i := range list {
		info, err := b.DescribeStream(ctx, c, list[i].Name)
		if fault.Is(err, fault.NotFound) || err == nil && info.Config.LinkedBy != name {
			continue
		}
		if err == nil {
			_, err = b.AlterStream(ctx, c, list[i].Name, func(s *broker.StreamConfig) error {
				s.LinkedBy = ""
				delete(s.Documents, topicKey)
				return nil
			}, 0)
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// Switch ends a link when everything is copied: from then on what was copied stands by itself, and producers and consumers go on here. Whoever calls
// has stopped the producers there; while they go on there is something more to copy, and until the wait is over the link goes on as before. The
// error says what is missing.
func (l *Linker) Switch(ctx context.Context, c *broker.Caller, name string, wait time.Duration) error {
	if !l.broker.Allowed(c, broker.ActionAlter, broker.KindLink, name) {
		return fault.New(fault.Denied, "switch", name, "you may not alter this link")
	}
	k := key{namespaceOf(c), name}
	d := l.broker.OwnDocument(broker.KindLink, k.namespace, name)
	if d == nil {
		return fault.New(fault.NotFound, "switch", name, "there is no link %q", name)
	}
	if s, err := Of(d); err == nil && s.Mode == ModeSwitched {
		return nil
	}
	l.mu.Lock()
	w := l.workers[k]
	l.mu.Unlock()
	if w == nil {
		return fault.New(fault.Unavailable, "switch", name, "the link has not begun to work yet; try again")
	}
	if w.settings.Mode == ModePause {
		return fault.New(fault.Conflict, "switch", name, "the link is paused; let it copy first")
	}
	asked := &ask{done: make(chan error, 1), until: clock.Now().Add(wait)}
	select {
	case w.asks <- asked:
	case <-w.done:
		return fault.New(fault.Unavailable, "switch", name, "the link is being started again; try again")
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "switch", name, "nothing was switched: %v", context.Cause(ctx))
	}
	var err error
	select {
	case err = <-asked.done:
	case <-w.done:
		select {
		case err = <-asked.done:
		default:
			err = fault.New(fault.Unavailable, "switch", name, "the link is being started again; try again")
		}
	}
	if err != nil {
		return err
	}
	// What is copied is whole. First the streams are let go, then the link is over: a crash in between leaves a link that copies nothing more, because
	// its streams are not linked, and says so; a second switch puts it right.
	if err := release(ctx, l.broker, c, name); err != nil {
		return err
	}
	_, _, err = l.broker.PutDocument(ctx, c, broker.KindLink, name, 0, func(old *broker.Document) (json.RawMessage, []byte, error) {
		if old == nil {
			return nil, nil, fault.New(fault.NotFound, "switch", name, "the link was deleted")
		}
		s, err := Of(old)
		if err != nil {
			return nil, nil, err
		}
		s.Mode = ModeSwitched
		told, err := json.Marshal(s)
		return told, nil, err // the password is needed no more
	})
	if err == nil {
		l.broker.System(broker.SystemEvent{Type: broker.TypeLinkSwitched, Subject: name, Caller: c, Data: map[string]any{"namespace": k.namespace}})
		l.Wake()
	}
	return err
}
