package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Faults: how often and how long.
const (
	nodeLifeMax   = 7 * time.Second // between two faults of the node
	earlyOneIn    = 4               // kills fall into the start
	earlyWithin   = 100 * time.Millisecond
	nodeStallMax  = 2 * time.Second
	longStallMin  = transactionTimeout + sessionTimeout/2 // longer than transactions may take
	longStallOne  = 6                                     // in so many stalls
	clientGapMax  = 1500 * time.Millisecond               // between two faults of clients
	clientStalled = 1500 * time.Millisecond
)

// counts are the faults of a run.
type counts struct{ kills, early, stalls, longStalls, clientStalls, clientKills, operatorAborts int }

func (c *counts) String() string {
	return fmt.Sprintf("node: %d kills (%d of them while it started), %d stalls (%d long); clients: %d stalls, %d kills; %d transactions aborted by operators",
		c.kills, c.early, c.stalls, c.longStalls, c.clientStalls, c.clientKills, c.operatorAborts)
}

// process is a client that is started again when it was killed.
type process struct {
	role, who, id string
	mu            sync.Mutex // of what follows; held while it is stopped, too
	cmd           *exec.Cmd
	ended         chan error
}

func (p *process) start(o *options, node string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(o.dir+"/clients.log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(self, "-role", p.role, "-who", p.who, "-id", p.id, "-node", node, "-dir", o.dir, "-seed", fmt.Sprint(o.seed), "-group", o.group)
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(p.cmd, p.ended)
	return nil
}

// finish is SIGTERM, upon which a client ends what it is about.
func (p *process) finish(limit time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s ended by itself: %w", p.who, err)
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-p.ended:
		p.cmd = nil
		if err != nil {
			return fmt.Errorf("%s: %w", p.who, err)
		}
		return nil
	case <-t.C:
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // says in the log where it hangs
		<-p.ended
		p.cmd = nil
		return fmt.Errorf("%s has not ended within %v", p.who, limit)
	}
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.cmd = nil
	}
}

// breakNode kills and stops the node until ctx ends, and leaves it running.
func (r *run) breakNode(ctx context.Context, rnd *rand.Rand) error {
	for ctx.Err() == nil {
		if err := r.node.ready(ctx); err != nil {
			return ended(ctx, err)
		}
		wait(ctx, time.Duration(rnd.Int64N(int64(nodeLifeMax))))
		if ctx.Err() != nil {
			break
		}
		if rnd.IntN(3) == 0 {
			d := time.Duration(rnd.Int64N(int64(nodeStallMax)))
			if rnd.IntN(longStallOne) == 0 {
				d = longStallMin + d
				r.longStalls++
			}
			r.stalls++
			if err := stall(ctx, r.node.cmd.Process, d); err != nil {
				return err
			}
			continue
		}
		for again := true; again; again = rnd.IntN(earlyOneIn) == 0 {
			if err := errors.Join(r.node.kill(), r.node.start()); err != nil {
				return err
			}
			r.kills++
			wait(ctx, time.Duration(rnd.Int64N(int64(earlyWithin))))
			r.early++
		}
		r.early-- // the last one ran
	}
	return nil
}

// ended is no error when it is only that the time is over.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// breakClients stops and kills clients, and aborts their transactions, until ctx ends.
func (r *run) breakClients(ctx context.Context, rnd *rand.Rand) error {
	for ctx.Err() == nil {
		wait(ctx, time.Duration(rnd.Int64N(int64(clientGapMax))))
		p := r.clients[rnd.IntN(len(r.clients))]
		switch what := rnd.IntN(10); {
		case what < 6:
			d := time.Duration(rnd.Int64N(int64(clientStalled)))
			if what == 0 {
				d += longStallMin
			}
			r.clientStalls++
			r.stalled.Go(func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.cmd != nil {
					_ = stall(ctx, p.cmd.Process, d) // what has ended by itself is noticed at the end
				}
			})
		case what < 8:
			if !p.mu.TryLock() {
				continue // it is stopped
			}
			err := r.killClient(p)
			p.mu.Unlock()
			if err != nil {
				return err
			}
		default:
			n, err := r.abortOne(ctx, rnd)
			r.operatorAborts += n
			if err != nil {
				fmt.Fprintln(os.Stderr, "operator:", err)
			}
		}
	}
	return nil
}

func (r *run) killClient(p *process) error {
	select {
	case err := <-p.ended:
		return fmt.Errorf("%s ended by itself: %w", p.who, err)
	default:
	}
	r.clientKills++
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	return p.start(r.options, r.node.kafka)
}

// abortOne looks for an open transaction in a partition and aborts it, as an operator would.
func (r *run) abortOne(ctx context.Context, rnd *rand.Rand) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(r.node.kafka), kgo.RequestRetries(0))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	at := parts()[rnd.IntN(len(parts()))]
	q := kmsg.NewPtrDescribeProducersRequest()
	q.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: at.Topic, Partitions: []int32{at.Partition}}}
	ps, err := q.RequestWith(ctx, c)
	if err != nil {
		return 0, nil //nolint:nilerr // the node is down
	}
	for _, p := range ps.Topics[0].Partitions[0].ActiveProducers {
		if p.CurrentTxnStartOffset < 0 {
			continue
		}
		m := kmsg.NewPtrWriteTxnMarkersRequest()
		m.Markers = []kmsg.WriteTxnMarkersRequestMarker{{
			ProducerID: p.ProducerID, ProducerEpoch: int16(p.ProducerEpoch),
			Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: at.Topic, Partitions: []int32{at.Partition}}},
		}}
		if a, err := m.RequestWith(ctx, c); err == nil && a.Markers[0].Topics[0].Partitions[0].ErrorCode == 0 {
			return 1, nil
		}
		return 0, nil
	}
	return 0, nil
}
