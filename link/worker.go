package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
)

// worker copies for one link, from one revision of its document to the next. All of it but what is shown belongs to one goroutine.
type worker struct {
	l        *Linker
	key      key
	doc      *broker.Document
	settings Settings
	caller   *broker.Caller
	log      *slog.Logger
	stop     context.CancelFunc
	done     chan struct{}
	asks     chan *ask
	shown

	client    *kgo.Client
	aside     *kgo.Client // for what must not wait behind what the client waits for; nil: nothing did
	admin     *kadm.Client
	copies    map[part]*copying
	known     map[string]kadm.TopicID     // topics for which there is a stream
	gone      map[string]bool             // streams for which there is no topic any more; nil: nobody has looked
	committed map[string]map[part]promise // of groups, as they were last copied
	builder   *record.Builder
	asked     *ask // somebody waits for everything to be copied
}

// ask is somebody who waits for everything to be copied.
type ask struct {
	done  chan error
	until time.Time
}

func newWorker(l *Linker, k key, d *broker.Document, s Settings) *worker {
	w := &worker{
		l: l, key: k, doc: d, settings: s, done: make(chan struct{}), asks: make(chan *ask),
		caller:  &broker.Caller{Principal: d.By, Namespace: k.namespace, Protocol: "link", Client: k.name},
		log:     l.log.With("link", k.name, "namespace", k.namespace),
		builder: record.NewBuilder(),
	}
	w.parts, w.stopped = map[part]*PartitionState{}, map[string]string{}
	w.at(StateStarting, "", clock.Now())
	return w
}

func (w *worker) state() State { return w.tell() }

// run goes round until ctx ends.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer func() { w.answer(fault.New(fault.Unavailable, "switch", w.key.name, "the link has stopped")) }()
	if w.settings.Mode == ModePause {
		w.at(StatePaused, "", clock.Now())
		<-ctx.Done()
		return
	}
	pause := pauseFirst
	for ctx.Err() == nil {
		began := clock.Now()
		err := w.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if clock.Since(began) > pauseLast {
			pause = pauseFirst
		}
		why := reason(err)
		if w.tell().Why != why {
			w.log.Warn("a link was interrupted; it goes on", "error", err)
		}
		w.at(StateWaiting, why, clock.Now())
		w.answer(fault.New(fault.Unavailable, "switch", w.key.name, "the link does not work just now: %s", why))
		timer := clock.NewTimer(pause)
		select {
		case <-timer.C:
		case a := <-w.asks:
			a.done <- fault.New(fault.Unavailable, "switch", w.key.name, "the link does not work just now: %s", why)
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, pauseLast)
	}
}

// reason is an error in words for people.
func reason(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Text
	}
	return err.Error()
}

// round copies with one client until something fails.
func (w *worker) round(ctx context.Context) error {
	opts, err := w.settings.reach(w.key.name, string(w.doc.Secret))
	if err != nil {
		return err
	}
	// Control records are kept so that the end of a partition is seen also where a marker is the last that is there.
	w.client, err = kgo.NewClient(append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes/4),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{}))...)
	if err != nil {
		return fmt.Errorf("the client cannot be made: %w", err)
	}
	defer w.client.Close()
	defer w.closeAside()
	w.admin = kadm.NewClient(w.client)
	w.copies, w.known, w.committed = map[part]*copying{}, map[string]kadm.TopicID{}, map[string]map[part]promise{}
	w.gone = nil
	next := clock.Now()
	for {
		now := clock.Now()
		if !now.Before(next) {
			if err := w.around(ctx); err != nil {
				return err
			}
			next = clock.Now().Add(aroundEvery)
			w.at(StateCopying, "", clock.Now())
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
		if err := w.poll(ctx, next); err != nil {
			return err
		}
		select {
		case a := <-w.asks:
			w.answer(fault.New(fault.Conflict, "switch", w.key.name, "somebody else waits for it now"))
			w.asked = a
			w.at(StateSwitching, "", clock.Now())
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
	}
}

// around looks at which topics and groups there are, and what they have.
func (w *worker) around(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTime)
	defer cancel()
	if err := w.topics(ctx); err != nil {
		return err
	}
	if err := w.ends(ctx); err != nil {
		return err
	}
	if err := w.groups(ctx); err != nil {
		return err
	}
	w.count(len(w.known), len(w.committed))
	return nil
}

// ends takes note of where partitions end there.
func (w *worker) ends(ctx context.Context) error {
	if len(w.known) == 0 {
		return nil
	}
	ends, err := w.admin.ListCommittedOffsets(ctx, names(w.known)...)
	if err != nil {
		return fmt.Errorf("the ends of partitions cannot be listed: %w", err)
	}
	if err := w.tails(ctx, ends); err != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) {
		if x := w.copies[part{o.Topic, o.Partition}]; x != nil && o.Err == nil {
			w.progress(x.part, x.next, record.Offset(o.Offset))
		}
	})
	return nil
}

func names(m map[string]kadm.TopicID) []string { return slices.Collect(maps.Keys(m)) }

// settle answers whoever waits for everything to be copied, once it is, or when the time is over.
func (w *worker) settle(ctx context.Context) error {
	if w.asked == nil {
		return nil
	}
	behind, err := w.behind(ctx)
	if err != nil {
		return err
	}
	if len(behind) == 0 {
		if err := w.groups(ctx); err != nil {
			return err
		}
		w.answer(nil)
		return nil
	}
	if clock.Now().After(w.asked.until) {
		w.answer(fault.New(fault.Conflict, "switch", w.key.name, "nothing was switched, the link goes on: %s", strings.Join(behind, "; ")))
		w.at(StateCopying, "", clock.Now())
	}
	return nil
}

const behindMax = 5 // partitions that are named

// behind says what is not copied yet.
func (w *worker) behind(ctx context.Context) (out []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if err := w.topics(ctx); err != nil {
		return nil, err
	}
	for _, s := range w.tell().Stopped {
		out = append(out, fmt.Sprintf("%s is not copied: %s", s.What, s.Why))
	}
	if len(w.known) == 0 {
		return out, nil
	}
	ends, err := w.admin.ListEndOffsets(ctx, names(w.known)...)
	if err != nil {
		return nil, fmt.Errorf("the ends of partitions cannot be listed: %w", err)
	}
	if err := w.tails(ctx, ends); err != nil {
		return nil, err
	}
	more := 0
	for p, x := range w.copies {
		o, ok := ends.Lookup(p.topic, p.partition)
		switch {
		case ok && o.Err == nil && record.Offset(o.Offset) == x.next:
		case len(out) >= behindMax:
			more++
		case !ok || o.Err != nil:
			out = append(out, fmt.Sprintf("%s/%d: its end is not known", p.topic, p.partition))
		default:
			out = append(out, fmt.Sprintf("%s/%d ends at %d there and at %d here; is somebody still producing, or a transaction open?", p.topic, p.partition, o.Offset, x.next))
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more partitions", more))
	}
	return out, nil
}

// answer tells whoever waits what came of it.
func (w *worker) answer(err error) {
	if w.asked != nil {
		w.asked.done <- err // it has room for one
		w.asked = nil
	}
}

// halt has something not copied any more, and says so once.
func (w *worker) halt(what, why string) {
	if w.shown.stop(what, why) {
		w.log.Error("a link leaves something out", "what", what, "why", why)
		w.l.broker.System(broker.SystemEvent{
			Type: broker.TypeLinkStopped, Subject: w.key.name, Data: map[string]any{"namespace": w.key.namespace, "what": what, "why": why},
		})
	}
}
