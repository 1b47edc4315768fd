package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"leat/conformance/port"
)

const (
	readyTimeout = 2 * time.Minute // recovery included
	// earlyOneIn kills fall into the start and the recovery, the others into running.
	earlyOneIn  = 3
	earlyWithin = 80 * time.Millisecond
)

var streams = []string{"idempotent", "plain", "single", "batch", "left", "right", conditionalStream}

// options are what a run is asked for.
type options struct {
	leat       string
	dir        string // data directory and log; removed when all is well
	seed       uint64
	cycles     int
	producers  int
	within     time.Duration // no new cycle after it; 0: no limit
	life       time.Duration // the longest time a node lives
	checkEvery int           // cycles
	config     string
	queues     bool // clients of SQS instead of producers and followers
	aside      bool // producers under contracts that put aside instead
	keeping    bool // events leave the journal, streams are truncated, keys are read
	out        io.Writer
}

// killer is one run.
type killer struct {
	options
	kafka, http string   // addresses, the same for the whole run
	more        []string // of the node's arguments
	client      *http.Client
	ledger      *ledger
	checker     *checker
	followers   []*follower
	trimmer     *trimmer
	finish      context.Context // producers that are waiting for an answer stop with it
	cmd         *exec.Cmd
	ended       chan error
	duplicates  atomic.Int64
	conflicts   atomic.Int64
	early, late int // kills
}

// run kills and checks; the error says all that is wrong.
func run(ctx context.Context, o options) error {
	k := &killer{options: o, ledger: newLedger(o.seed), checker: newChecker(o.seed)}
	k.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.producers + 1}}
	var err error
	if k.kafka, err = port.Free(); err != nil {
		return err
	}
	if k.http, err = port.Free(); err != nil {
		return err
	}
	if err := os.WriteFile(k.file("leat.yaml"), []byte(o.config), 0o600); err != nil {
		return err
	}
	began := time.Now()
	err = k.loop(ctx)
	promises, _, _ := k.ledger.promised()
	fmt.Fprintf(o.out, "%d kills (%d while starting), %d events acknowledged, %d sent again and known, %d conflicts, %.0f s\n",
		k.early+k.late, k.early, len(promises), k.duplicates.Load(), k.conflicts.Load(), time.Since(began).Seconds())
	if err != nil {
		return fmt.Errorf("%w\n  again: -seed %d -producers %d -cycles %d -life %v; data and log are in %s", err, o.seed, o.producers, o.cycles, o.life, o.dir)
	}
	return nil
}

func (k *killer) file(name string) string { return filepath.Join(k.dir, name) }

func (k *killer) loop(ctx context.Context) error {
	if err := k.start(); err != nil {
		return err
	}
	defer func() { _ = k.kill() }() // when it is running still
	if err := k.ready(ctx); err != nil {
		return err
	}
	if err := k.prepare(ctx); err != nil {
		return err
	}
	finish, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	k.finish = finish
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	k.followers = k.follow(following)
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()
	ended := k.produce(work)
	k.trimmer = k.trim(work)
	if err := k.cycle(ctx); err != nil {
		stopWork()
		stopWaiting()
		<-ended
		return err
	}
	stopWork()
	if err := k.trimmer.wait(); err != nil {
		return err
	}
	stopped := time.Now()
	timer := time.AfterFunc(finishTimeout+5*time.Second, stopWaiting)
	defer timer.Stop()
	if err := <-ended; err != nil {
		return err
	}
	fmt.Fprintf(k.out, "the producers were done %.1f s after the last start\n", time.Since(stopped).Seconds())
	return errors.Join(k.last(ctx, stopFollowing), k.keptEnough())
}

// cycle kills, starts, and now and then checks, while the producers go on.
func (k *killer) cycle(ctx context.Context) error {
	return k.killing(ctx, func(n int) error {
		if n%k.checkEvery != 0 {
			return nil
		}
		if err := k.ready(ctx); err != nil {
			return err
		}
		r, events, err := k.check(ctx)
		if err := cmpReport(r, err); err != nil {
			return err
		}
		fmt.Fprintf(k.out, "%d kills: %d events, all is well\n", n, events)
		return nil
	})
}

// killing kills and starts, and has somebody look after each time.
func (k *killer) killing(ctx context.Context, look func(kills int) error) error {
	r := rand.New(rand.NewPCG(k.seed, 0))
	began := time.Now()
	for n := 1; n <= k.cycles && (k.within == 0 || time.Since(began) < k.within) && ctx.Err() == nil; n++ {
		if n > 1 && r.IntN(earlyOneIn) == 0 { // the node was just started: it is still on its way up
			time.Sleep(time.Duration(r.Int64N(int64(earlyWithin))))
			k.early++
		} else {
			if err := k.ready(ctx); err != nil {
				return err
			}
			time.Sleep(time.Duration(r.Int64N(int64(k.life))))
			k.late++
		}
		if err := k.kill(); err != nil {
			return err
		}
		if err := k.start(); err != nil {
			return err
		}
		if err := look(n); err != nil {
			return fmt.Errorf("after %d kills: %w", n, err)
		}
	}
	return errors.Join(ctx.Err(), k.ready(ctx))
}

// last checks once more when nobody writes: by both gateways, and again after an orderly restart.
func (k *killer) last(ctx context.Context, stopFollowing func()) error {
	for _, when := range []string{"at the end", "after an orderly restart"} {
		promises, all, faults := k.ledger.promised()
		history, err := k.readKafka(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		r := k.checkAll(history, promises, all, faults)
		err = errors.Join(k.sameByHTTP(ctx, history, r), k.sameByKey(ctx, history, r))
		if when == "at the end" { // followers keep a node that is told to stop from ending at once
			for _, f := range k.followers {
				f.judge(history, r)
				_, n, _ := f.count()
				fmt.Fprintf(k.out, "the follower of %s was cut off and came back; %d connections brought something\n", f.stream, n)
			}
			stopFollowing()
		}
		if err := cmpReport(r, err); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
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

func (k *killer) check(ctx context.Context) (*report, int, error) {
	k.trimmer.mu.Lock() // or a partition would begin further on while it is read
	defer k.trimmer.mu.Unlock()
	promises, all, faults := k.ledger.promised() // before reading
	history, err := k.readKafka(ctx)
	if err != nil {
		return nil, 0, err
	}
	n := 0
	for _, h := range history {
		n += len(h)
	}
	r := k.checkAll(history, promises, all, faults)
	return r, n, k.sameByKey(ctx, history, r)
}

// checkAll judges a reading. What has been truncated is put back into it from earlier ones.
func (k *killer) checkAll(history map[partitionOf][]stored, promises []promise, all map[string]rules, faults []string) *report {
	var cut []string
	if k.keeping {
		cut = k.trimmer.complete(history)
	}
	return k.checker.check(history, promises, all, append(faults, cut...))
}

func cmpReport(r *report, err error) error {
	if err != nil || r == nil || len(r.wrong) == 0 {
		return err
	}
	text := strings.Join(r.wrong, "\n  ")
	if r.more > 0 {
		text += fmt.Sprintf("\n  and %d more", r.more)
	}
	return errors.New("WRONG:\n  " + text)
}

// kind is a way to write, and what must then hold.
type kind struct {
	name  string
	rules rules
	run   func(*killer, context.Context, string, *rand.Rand) error
}

var kinds = []kind{
	{"kafka-idempotent", rules{unique: true, ordered: true, streams: 1}, func(k *killer, ctx context.Context, n string, r *rand.Rand) error {
		return k.produceKafka(ctx, n, true, r)
	}},
	{"http-conditional", rules{unique: true, ordered: true, streams: 1}, (*killer).produceConditional},
	{"http-single", rules{unique: true, ordered: true, streams: 1}, (*killer).produceSingle},
	{"kafka-plain", rules{ordered: true, streams: 1}, func(k *killer, ctx context.Context, n string, r *rand.Rand) error {
		return k.produceKafka(ctx, n, false, r)
	}},
	{"http-batch", rules{unique: true, ordered: true, group: batchEvents, streams: 1}, (*killer).produceBatch},
	{"http-atomic", rules{unique: true, ordered: true, streams: 2}, (*killer).produceAtomic},
}

// produce starts the producers; the channel gives what went wrong with them when all have ended.
func (k *killer) produce(ctx context.Context) <-chan error {
	names := make([]string, k.producers)
	for i := range names {
		kind := kinds[i%len(kinds)]
		names[i] = fmt.Sprintf("p%02d-%s", i, kind.name)
		k.ledger.rules[names[i]] = kind.rules // nobody else looks at it yet, and nobody changes it later
	}
	errs := make([]error, k.producers)
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			errs[i] = kinds[i%len(kinds)].run(k, ctx, name, rand.New(rand.NewPCG(k.seed, uint64(i)+1)))
		})
	}
	ended := make(chan error, 1)
	go func() {
		wg.Wait()
		ended <- errors.Join(errs...)
	}()
	return ended
}

func (k *killer) prepare(ctx context.Context) error {
	for _, s := range streams {
		body := fmt.Sprintf(`{"partitions":%d,"keys":%q}`, partitions, k.keyMode(s))
		status, text, err := k.request(ctx, http.MethodPut, "/v1/streams/"+s, "application/json", []byte(body))
		if err != nil || status != http.StatusCreated {
			return fmt.Errorf("create stream %s: %d %.300s %w", s, status, text, err)
		}
	}
	return nil
}

// keyMode is what a stream keeps about its keys.
func (k *killer) keyMode(stream string) string {
	switch {
	case stream == conditionalStream:
		return "versioned"
	case k.keeping && slices.Contains(historyStreams, stream):
		return "history"
	default:
		return "off"
	}
}

func (k *killer) start() error {
	log, err := os.OpenFile(k.file("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	k.cmd = exec.Command(k.leat, append([]string{"serve", "--config", k.file("leat.yaml"), "--data", k.file("data"), "--listen", "kafka=" + k.kafka, "--listen", "http=" + k.http}, k.more...)...)
	k.cmd.Stdout, k.cmd.Stderr = log, log
	if err := k.cmd.Start(); err != nil {
		return err
	}
	k.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(k.cmd, k.ended)
	return nil
}

// ready waits until the node serves. A node that ends by itself, or never comes up, has failed.
func (k *killer) ready(ctx context.Context) error {
	deadline := time.Now().Add(readyTimeout)
	for {
		select {
		case err := <-k.ended:
			k.ended <- err
			return fmt.Errorf("the node ended by itself (%v): %s", err, k.logTail())
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if status, _, err := k.request(ctx, http.MethodGet, "/readyz", "", nil); err == nil && status == http.StatusOK {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node was not ready within %v: %s", readyTimeout, k.logTail())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (k *killer) logTail() string {
	b, _ := os.ReadFile(k.file("log"))
	return string(b[max(0, len(b)-3000):])
}

// kill is SIGKILL. A node that had ended before by itself has failed.
func (k *killer) kill() error {
	if k.cmd == nil {
		return nil
	}
	select {
	case err := <-k.ended:
		k.cmd = nil
		return fmt.Errorf("the node ended by itself (%v): %s", err, k.logTail())
	default:
	}
	err := k.cmd.Process.Kill()
	<-k.ended
	k.cmd = nil
	return err
}

// stop is SIGTERM, which must end in order.
func (k *killer) stop() error {
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-k.ended
	k.cmd = nil
	if err != nil {
		return fmt.Errorf("SIGTERM: %w: %s", err, k.logTail())
	}
	return nil
}

func kindNames() []string {
	var n []string
	for _, k := range kinds {
		n = append(n, k.name)
	}
	return slices.Clip(n)
}
