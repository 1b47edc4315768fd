package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"leat/conformance/jepsen/history"
)

// settleTimeout is how long anything may take once nothing breaks any more.
const settleTimeout = 3 * time.Minute

// run is one run of transactions.
type run struct {
	*options
	counts
	node    *node
	clients []*process
	stalled sync.WaitGroup
}

// team are the clients. The two of one id fence each other.
func team() []*process {
	return []*process{
		{role: "producer", who: "p0", id: "t0"},
		{role: "producer", who: "p1", id: "t1"},
		{role: "producer", who: "p2", id: "t2"},
		{role: "producer", who: "r0", id: "rival"},
		{role: "producer", who: "r1", id: "rival"},
		{role: "transformer", who: "x0", id: "w0"},
		{role: "transformer", who: "x1", id: "w1"},
		{role: "transformer", who: "x2", id: "w2"},
		{role: "plain", who: "n0"},
		{role: "committed", who: "committed"},
		{role: "all", who: "all"},
	}
}

// parts are all partitions.
func parts() (out []history.Part) {
	for _, t := range []string{"a", "b"} {
		for p := range inputs[t] {
			out = append(out, history.Part{Topic: t, Partition: p}, history.Part{Topic: outputOf(t), Partition: p})
		}
	}
	return out
}

func historyFile(dir, who string) string { return filepath.Join(dir, "history", who+".jsonl") }

func transactions(ctx context.Context, o *options) error {
	n, err := newNode(o)
	if err != nil {
		return err
	}
	r := &run{options: o, node: n, clients: team()}
	if err := os.Mkdir(filepath.Join(o.dir, "history"), 0o700); err != nil {
		return err
	}
	defer func() {
		for _, p := range r.clients {
			p.kill()
		}
		_ = n.kill() // when it is running still
	}()
	if err := errors.Join(n.start(), n.ready(ctx), r.create(ctx)); err != nil {
		return err
	}
	for _, p := range r.clients {
		if err := p.start(o, n.kafka); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := r.breakThings(ctx); err != nil {
		return err
	}
	fmt.Printf("%v; %.0f s; members of KIP-848: %v\n", &r.counts, time.Since(began).Seconds(), o.consumer())
	final, err := r.settle(ctx)
	if err != nil {
		return err
	}
	ls, err := history.LoadAll(filepath.Join(o.dir, "history"))
	if err != nil {
		return err
	}
	return tell(history.Check(ls, final))
}

// breakThings breaks node and clients for as long as was asked for, and leaves all running.
func (r *run) breakThings(ctx context.Context) error {
	some, cancel := context.WithTimeout(ctx, r.length)
	defer cancel()
	errs := make(chan error, 2)
	go func() { errs <- r.breakNode(some, rand.New(rand.NewPCG(r.seed, 1))) }()
	go func() { errs <- r.breakClients(some, rand.New(rand.NewPCG(r.seed, 2))) }()
	err := <-errs
	if err != nil {
		cancel()
	}
	err = errors.Join(err, <-errs)
	r.stalled.Wait()
	return errors.Join(err, ctx.Err())
}

// settle lets everybody finish, step by step, and reads all that is there: twice, with an orderly restart in between.
func (r *run) settle(ctx context.Context) (*history.Final, error) {
	if err := errors.Join(r.node.ready(ctx), r.finish("producer", "plain")); err != nil {
		return nil, err
	}
	if err := r.stable(ctx); err != nil {
		return nil, err
	}
	if err := r.consumed(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(r.finish("transformer"), r.stable(ctx)); err != nil {
		return nil, err
	}
	final, err := r.readAll(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.caughtUp(ctx, final), r.finish("committed", "all"), r.sameByHTTP(ctx, final)); err != nil {
		return nil, err
	}
	if err := errors.Join(r.node.stop(), r.node.start(), r.node.ready(ctx)); err != nil {
		return nil, err
	}
	again, err := r.readAll(ctx)
	if err != nil {
		return nil, err
	}
	return final, same(final, again)
}

// finish ends the clients of some roles in order.
func (r *run) finish(roles ...string) error {
	var errs []error
	for _, p := range r.clients {
		if slices.Contains(roles, p.role) {
			errs = append(errs, p.finish(settleTimeout))
		}
	}
	return errors.Join(errs...)
}

// tell prints a report; what is wrong is an error.
func tell(r *history.Report) error {
	s := &r.Stats
	fmt.Printf("%d instances of producers; %d transactions committed over %d partitions, %d aborted, %d with unknown outcome (%d of them committed), %d fenced\n",
		s.Instances, s.Committed, s.Parts, s.Aborted, s.Unknown, s.UnknownSeen, s.Fenced)
	fmt.Printf("compacted: %d records of %d keys are left of those that %d transactions wrote\n", s.State, s.StateKeys, s.StateWritten)
	fmt.Printf("%d records stored, %d visible, %d markers, %d consumed and transformed, %d read by followers\n", s.Records, s.Visible, s.Markers, s.Moves, s.Read)
	if len(r.Wrong) == 0 {
		fmt.Println("nothing lost, torn, read though aborted, doubled or out of order")
		return nil
	}
	var b strings.Builder
	for _, w := range r.Wrong {
		fmt.Fprintf(&b, "\n  %s: %s", w.Kind, w.Text)
	}
	for kind, n := range r.More {
		fmt.Fprintf(&b, "\n  %s: and %d more", kind, n)
	}
	return errors.New("WRONG:" + b.String())
}
