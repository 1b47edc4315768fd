package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	lifeMax       = 5 * time.Second // of the node
	switchLifeMax = 8 * time.Second
	switchWithin  = 5 * time.Minute
	afterSwitch   = 10 * time.Second // that producers write to the new side
	ordersFirst   = 3
	ordersLast    = 5
	paymentsParts = 4
)

// run is one migration.
type run struct {
	*options
	kafka  *kafka
	node   *node
	ledger *ledger
	groups []*group
	kills  int
	rand   *rand.Rand
}

// team are goroutines that work until they are told to stop, and what went wrong with them.
type team struct {
	wg   sync.WaitGroup
	stop context.CancelFunc
	ctx  context.Context
	mu   sync.Mutex
	errs []error
}

func newTeam(ctx context.Context) *team {
	t := &team{}
	t.ctx, t.stop = context.WithCancel(ctx)
	return t
}

func (t *team) work(f func(context.Context) error) {
	t.wg.Go(func() {
		if err := f(t.ctx); err != nil {
			t.mu.Lock()
			t.errs = append(t.errs, err)
			t.mu.Unlock()
			t.stop() // nothing is proved without it
		}
	})
}

func (t *team) end() error {
	t.stop()
	t.wg.Wait()
	return errors.Join(t.errs...)
}

func migrate(ctx context.Context, o *options) (err error) {
	r := &run{options: o, ledger: &ledger{sent: map[part]map[int64]one{}}, rand: rand.New(rand.NewPCG(o.seed, 0))}
	for _, g := range []*group{
		{name: "billing", topics: []string{"orders", "payments"}}, {name: "audit", topics: []string{"payments"}, next: true}, {name: "slow", topics: []string{"orders"}, slow: true},
	} {
		g.seen = map[part][]int64{}
		r.groups = append(r.groups, g)
	}
	if r.node, err = newNode(o); err != nil {
		return err
	}
	if r.kafka, err = startKafka(ctx, o); err != nil {
		return err
	}
	defer func() { _ = r.kafka.end(syscall.SIGKILL) }()
	defer func() { _ = r.node.end(syscall.SIGKILL) }() // when it is running still
	if err := r.node.up(ctx); err != nil {
		return err
	}
	if err := r.there(ctx); err != nil {
		return err
	}
	if err := r.judge(ctx); err != nil {
		return err
	}
	return r.goOn(ctx)
}

// there is what happens until the switch.
func (r *run) there(ctx context.Context) error {
	for name, n := range map[string]int32{"orders": ordersFirst, "payments": paymentsParts, "accounts": 2, "clicks": 2, "temp": 1, "old": 1} {
		if err := createTopic(ctx, r.kafka.addr, name, n); err != nil {
			return err
		}
	}
	producers := newTeam(ctx)
	for i, codec := range codecs {
		p := r.producer(r.kafka.addr, fmt.Sprintf("plain%d", i))
		producers.work(func(ctx context.Context) error { return p.plain(ctx, codec, "orders", "orders", "accounts", "clicks") })
	}
	for i := range 3 {
		p := r.producer(r.kafka.addr, fmt.Sprintf("tx%d", i))
		producers.work(p.transactions)
	}
	consumers := newTeam(ctx)
	for _, g := range r.groups {
		consumers.work(func(ctx context.Context) error { return g.consume(ctx, r.kafka.addr, g.slow) })
	}
	err := r.untilStopped(ctx, producers.ctx)
	return errors.Join(err, producers.end(), consumers.end(), r.switchOver(ctx, err == nil))
}

func (r *run) producer(addr, name string) *producer {
	return &producer{addr: addr, name: name, ledger: r.ledger, rand: rand.New(rand.NewPCG(r.seed, uint64(len(name))*1000+uint64(name[len(name)-1])))}
}

// untilStopped links, and lets things happen while the node is killed.
func (r *run) untilStopped(ctx, working context.Context) error {
	if err := r.fill(ctx, "temp", 800); err != nil {
		return err
	}
	if err := r.fill(ctx, "old", 300); err != nil {
		return err
	}
	wait(ctx, r.length/20) // there is something before the link
	if _, err := r.node.leat(ctx, "link", "kafka://"+r.kafka.addr); err != nil {
		return err
	}
	nemesis := newTeam(ctx)
	nemesis.work(func(ctx context.Context) error {
		n, err := r.node.killing(ctx, r.rand, lifeMax)
		r.kills += n
		return err
	})
	began := time.Now()
	err := r.story(working, nemesis)
	wait(working, r.length-time.Since(began))
	return errors.Join(err, nemesis.end(), ctx.Err())
}

// story is what happens to topics there, and what the user does about it here.
func (r *run) story(ctx context.Context, nemesis *team) error {
	wait(ctx, r.length/4)
	if err := growTopic(ctx, r.kafka.addr, "orders", ordersLast); err != nil {
		return fmt.Errorf("grow orders: %w", err)
	}
	wait(ctx, r.length/8)
	if err := deleteTopic(ctx, r.kafka.addr, "temp"); err != nil {
		return fmt.Errorf("delete temp: %w", err)
	}
	if err := errors.Join(createTopic(ctx, r.kafka.addr, "temp", 1), r.fill(ctx, "temp", 3000)); err != nil {
		return err
	}
	if err := r.putRight(ctx, nemesis, "temp", "it is not the topic that it was"); err != nil {
		return err
	}
	wait(ctx, r.length/8)
	if err := deleteTopic(ctx, r.kafka.addr, "old"); err != nil {
		return fmt.Errorf("delete old: %w", err)
	}
	return r.putRight(ctx, nemesis, "old", "it is not there any more")
}

// putRight waits until the link says what is in its way, and deletes the stream.
func (r *run) putRight(ctx context.Context, nemesis *team, topic, says string) error {
	err := until(nemesis.ctx, readyTimeout, "the link says of "+topic+" that "+says, func() (bool, error) {
		out, _ := r.node.leat(ctx, "link", "show", "old") // the node may be down
		return strings.Contains(out, topic) && strings.Contains(out, says), nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("the link says of %s: %s\n", topic, says)
	return until(nemesis.ctx, readyTimeout, "the stream "+topic+" is deleted", func() (bool, error) {
		_, err := r.node.leat(ctx, "stream", "delete", topic, "--yes")
		return err == nil || strings.Contains(err.Error(), "there is no stream"), nil
	})
}

// fill writes a number of records to a topic there.
func (r *run) fill(ctx context.Context, topic string, n int) error {
	p := r.producer(r.kafka.addr, "fill")
	c, err := client(r.kafka.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	var rs []*kgo.Record
	for range n {
		rs = append(rs, p.record(topic))
	}
	if err := c.ProduceSync(ctx, rs...).FirstErr(); err != nil {
		return fmt.Errorf("fill %s: %w", topic, err)
	}
	return nil
}

// switchOver switches: not while a transaction is open, and in the end also while the node is killed.
func (r *run) switchOver(ctx context.Context, well bool) error {
	if !well {
		return nil
	}
	held, err := client(r.kafka.addr, kgo.TransactionalID("held"), kgo.TransactionTimeout(5*time.Minute))
	if err != nil {
		return err
	}
	defer held.Close()
	p := r.producer(r.kafka.addr, "held")
	rs := []*kgo.Record{p.record("payments"), p.record("payments"), p.record("payments")}
	if err := errors.Join(held.BeginTransaction(), p.burst(held, rs)); err != nil {
		return err
	}
	_, err = r.node.leat(ctx, "link", "switch", "old", "--wait", "20s")
	if err == nil || !strings.Contains(err.Error(), "a transaction open") || !strings.Contains(err.Error(), "payments/") {
		return fmt.Errorf("WRONG: a switch while a transaction is open: %w", err)
	}
	fmt.Println("switch, with a transaction open:", firstLine(err))
	if err := r.refused(ctx); err != nil {
		return err
	}
	if err := p.end(held, true); err != nil {
		return err
	}
	r.ledger.keep(rs...)
	nemesis := newTeam(ctx)
	nemesis.work(func(ctx context.Context) error {
		n, err := r.node.killing(ctx, r.rand, switchLifeMax)
		r.kills += n
		return err
	})
	began, tries := time.Now(), 0
	err = until(nemesis.ctx, switchWithin, "it is switched", func() (bool, error) {
		tries++
		_, err := r.node.leat(ctx, "link", "switch", "old", "--wait", "20s")
		return err == nil, nil //nolint:nilerr // the node may be down
	})
	err = errors.Join(err, nemesis.end())
	fmt.Printf("switched after %d tries, %.0f s; %d kills in all\n", tries, time.Since(began).Seconds(), r.kills)
	return err
}

func firstLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}

// refused sees to it that nobody else appends to what is linked.
func (r *run) refused(ctx context.Context) error {
	c, err := client(r.node.kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("no")}).FirstErr(); err == nil || !strings.Contains(err.Error(), "POLICY_VIOLATION") {
		return fmt.Errorf("WRONG: an append to a linked stream: %w", err)
	}
	return nil
}

var whole = map[string]int32{"orders": ordersLast, "payments": paymentsParts, "temp": 1}

// judge compares both sides.
func (r *run) judge(ctx context.Context) error {
	all := map[string]int32{"accounts": 2, "clicks": 2}
	maps.Copy(all, whole)
	there, err := readAll(ctx, r.kafka.addr, all)
	if err != nil {
		return err
	}
	here, err := readAll(ctx, r.node.kafka, all)
	if err != nil {
		return err
	}
	w := &report{}
	records, lost := 0, 0
	for p, t := range there {
		h := here[p]
		records += len(h.records)
		switch p.topic {
		case "accounts":
			w.compacted(p, t, h, r.ledger.sent[p])
		case "clicks":
			lost += w.trimmed(p, t, h, r.ledger.sent[p])
		default:
			w.same(p, t, h)
		}
	}
	sent := 0
	for _, s := range r.ledger.sent {
		sent += len(s)
	}
	fmt.Printf("%d records were sent, %d are here; of clicks %d were gone there before they were copied; accounts: %d there, %d here\n",
		sent, records, lost, count(there, "accounts"), count(here, "accounts"))
	for _, g := range r.groups {
		theirs, err1 := committed(ctx, r.kafka.addr, g.name, whole)
		ours, err2 := committed(ctx, r.node.kafka, g.name, whole)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if len(theirs) == 0 {
			w.add("group %s has committed nothing there", g.name)
		}
		for p, at := range theirs {
			if ours[p] != at {
				w.add("group %s: %v at %q, there at %q", g.name, p, ours[p], at)
			}
		}
		fmt.Printf("group %s: %d records consumed there, %d partitions committed\n", g.name, g.count(), len(theirs))
	}
	return w.err()
}

func count(all map[part]*read, topic string) (n int) {
	for p, r := range all {
		if p.topic == topic {
			n += len(r.records)
		}
	}
	return n
}

func (r *report) err() error {
	if len(r.wrong) == 0 {
		return nil
	}
	text := strings.Join(r.wrong, "\n  ")
	if r.more > 0 {
		text += fmt.Sprintf("\n  and %d more", r.more)
	}
	return errors.New("WRONG:\n  " + text)
}

// goOn has clients use the new side.
func (r *run) goOn(ctx context.Context) error {
	before, err := offsets(ctx, r.node.kafka, -1, whole)
	if err != nil {
		return err
	}
	producers, consumers := newTeam(ctx), newTeam(ctx)
	for i, codec := range codecs {
		p := r.producer(r.node.kafka, fmt.Sprintf("plain%d", i))
		producers.work(func(ctx context.Context) error { return p.plain(ctx, codec, "orders") })
	}
	for i := range 3 {
		producers.work(r.producer(r.node.kafka, fmt.Sprintf("tx%d", i)).transactions)
	}
	for _, g := range r.groups {
		consumers.work(func(ctx context.Context) error { return g.consume(ctx, r.node.kafka, false) })
	}
	wait(producers.ctx, afterSwitch)
	if err := producers.end(); err != nil {
		return errors.Join(err, consumers.end())
	}
	here, err := readAll(ctx, r.node.kafka, whole)
	if err != nil {
		return errors.Join(err, consumers.end())
	}
	want := map[*group]int{}
	for _, g := range r.groups {
		for _, t := range g.topics {
			want[g] += count(here, t)
		}
	}
	err = until(consumers.ctx, readTimeout, "groups have consumed all", func() (bool, error) {
		for _, g := range r.groups {
			if g.count() < want[g] {
				return false, nil
			}
		}
		return true, nil
	})
	if err = errors.Join(err, consumers.end()); err != nil {
		return err
	}
	w := &report{}
	fresh := 0
	for p, at := range before {
		if len(here[p].records) > 0 && here[p].end < at {
			w.add("%v ends at %d, and did at %d before", p, here[p].end, at)
		}
		if _, is := here[p].records[at]; here[p].end > at && p.topic == "orders" && !is {
			w.add("%v: the first new record is not at %d, where the old ones end", p, at)
		}
		for o := range here[p].records {
			if o >= at {
				fresh++
			}
		}
	}
	for _, g := range r.groups {
		for _, t := range g.topics {
			for n := range whole[t] {
				w.consumed(g.name, part{t, n}, here[part{t, n}].records, g.seen[part{t, n}])
			}
		}
		fmt.Printf("group %s: %d records, each once, on both sides together\n", g.name, g.count())
	}
	fmt.Printf("%d new records behind the old ones\n", fresh)
	if err := errors.Join(w.err(), r.node.end(syscall.SIGTERM)); err != nil {
		return err
	}
	fmt.Println("all is well")
	return nil
}
