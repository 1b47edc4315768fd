package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"leat/conformance/port"
)

// The group amqp holds Leat against RabbitMQ with quorum queues, which sync like Leat does, and its work queue against NATS JetStream. What is
// sent are raw frames, by the same program to either side: see amqpclient.go.

const (
	amqpQueue    = "work"
	rabbitSlow   = 4 // runs of RabbitMQ are shorter by this
	rabbitErlang = "/usr/lib/rabbitmq/bin/rabbitmq-server"
)

func amqpWorks() []work {
	rabbit := func(*bench) string { return missing(rabbitErlang, "RabbitMQ, "+rabbitErlang) }
	nats := func(b *bench) string {
		if b.peers == "" {
			return "give -peers a folder with nats-server"
		}
		return missing(filepath.Join(b.peers, "nats-server"), "nats-server in "+b.peers+"; make peers fetches it")
	}
	return []work{
		{"amqp-rabbit", "AMQP 0-9-1 against RabbitMQ quorum queues", rabbit, (*bench).amqpAgainstRabbit},
		{"amqp-kafka", "AMQP publishing against our own Kafka produce", func(*bench) string { return "" }, (*bench).amqpAgainstKafka},
		{"amqp-queues", "publishing to one of many queues", func(*bench) string { return "" }, (*bench).amqpManyQueues},
		{"amqp-nats", "a work queue by AMQP against NATS JetStream", nats, (*bench).amqpAgainstNATS},
	}
}

// startRabbit starts RabbitMQ as a node of its own, which knows nobody: its own port mapper, cookie and folders.
func (b *bench) startRabbit(ctx context.Context) (*proc, error) {
	dir, err := b.newDir()
	if err != nil {
		return nil, err
	}
	p := &proc{}
	ports := map[string]string{}
	for _, name := range []string{"amqp", "epmd", "dist"} {
		addr, err := port.Free()
		if err != nil {
			return nil, err
		}
		_, ports[name], _ = net.SplitHostPort(addr)
		if name == "amqp" {
			p.amqp = addr
		}
	}
	for name, text := range map[string]string{
		"rabbitmq.conf": "listeners.tcp.1 = " + p.amqp + "\nloopback_users = none\n", "plugins": "[].\n", ".erlang.cookie": strings.Repeat("BENCH", 4),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400); err != nil {
			return nil, err
		}
	}
	mapper := exec.Command("epmd", "-port", ports["epmd"], "-address", "127.0.0.1")
	if err := mapper.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.after = func() error {
		_ = mapper.Process.Kill()
		_ = mapper.Wait() // it was killed
		return nil
	}
	p.env = append(os.Environ(),
		"HOME="+dir, "RUNNING_UNDER_SYSTEMD=1", "RABBITMQ_NODENAME=bench@localhost", "RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "logs"), "RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_DIST_PORT="+ports["dist"],
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT="+ports["epmd"])
	return launch(ctx, "RabbitMQ", dir, amqpReady, p, rabbitErlang)
}

// amqpReady reports whether a server takes logins: the port opens before that.
func amqpReady(p *proc) bool {
	a, err := dialAMQP(p.amqp)
	if err != nil {
		time.Sleep(100 * time.Millisecond)
		return false
	}
	a.close()
	return true
}

func (b *bench) amqpAgainstRabbit(ctx context.Context) error {
	const other = "RabbitMQ, quorum queue"
	published := b.row("amqp-publish", "AMQP publish with confirms, 1 KiB, 4,000 in flight", "messages/s", other, 4)
	consumed := b.row("amqp-consume", "AMQP consume, ack each, prefetch 1,000, 1 KiB", "messages/s", other, 3)
	p50 := b.row("amqp-p50", fmt.Sprintf("AMQP end to end at %d/s, p50", amqpEndToEnd), "ms", other, 1)
	p99 := b.row("amqp-p99", fmt.Sprintf("AMQP end to end at %d/s, p99", amqpEndToEnd), "ms", other, 1)
	p50.less, p99.less = true, true
	for i := range b.pairs {
		if err := b.amqpPair(ctx, i, published, consumed, p50, p99); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) amqpPair(ctx context.Context, i int, published, consumed, p50, p99 *row) error {
	var procs [2]*proc
	for s, start := range []func(context.Context) (*proc, error){func(ctx context.Context) (*proc, error) { return b.startLeatAMQP(ctx, b.ring) }, b.startRabbit} {
		p, err := start(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = p.stop() }()
		procs[s] = p
		if _, err := amqpCycle(ctx, p, "warm", b.warmBytes/amqpBodyBytes/rabbitSlow); err != nil {
			return fmt.Errorf("warm %s: %w", p.name, err)
		}
	}
	n := func(side int) int { return b.volume / amqpBodyBytes / 2 / (1 + (rabbitSlow-1)*side) }
	if err := published.pair(i, procs[0], procs[1], func(s int, p *proc) (float64, error) { return amqpProduce(ctx, p, amqpQueue, n(s)) }); err != nil {
		return err
	}
	if err := consumed.pair(i, procs[0], procs[1], func(s int, p *proc) (float64, error) { return amqpConsumeAll(ctx, p, amqpQueue, n(s)) }); err != nil {
		return err
	}
	return times(i, procs[0], procs[1], p50, p99, func(_ int, p *proc) (*histogram, error) {
		return amqpLatency(ctx, p, "latency", b.latencyFor)
	})
}

// amqpAgainstKafka holds publishing to a queue against producing to a topic of the same node.
func (b *bench) amqpAgainstKafka(ctx context.Context) error {
	r := b.row("amqp-kafka", "AMQP publish with confirms, 1 KiB, 4,000 in flight", "messages/s", "our own Kafka produce", 0.55)
	n := b.volume / amqpBodyBytes
	for i := range b.pairs {
		p, err := b.startLeatAMQP(ctx, b.ring)
		if err != nil {
			return err
		}
		_, err = amqpProduce(ctx, p, "warm", b.warmBytes/amqpBodyBytes)
		if err == nil {
			_, _, err = produce(ctx, p, []string{"warm"}, amqpBodyBytes, b.warmBytes/amqpBodyBytes)
		}
		if err == nil {
			err = r.pair(i, p, p, func(side int, p *proc) (float64, error) {
				if side == 0 {
					return amqpProduce(ctx, p, amqpQueue, n)
				}
				v, _, err := produce(ctx, p, []string{"topic"}, amqpBodyBytes, n)
				return v, err
			})
		}
		if err := errors.Join(err, p.stop()); err != nil {
			return err
		}
	}
	return nil
}

// amqpManyQueues holds publishing to many queues of one exchange, each message for one of them, against publishing to one.
func (b *bench) amqpManyQueues(ctx context.Context) error {
	queues := make([]string, b.streams)
	for i := range queues {
		queues[i] = fmt.Sprintf("queue-%06d", i)
	}
	r := b.row("amqp-queues", fmt.Sprintf("AMQP publish with confirms, 1 KiB, to %d queues of one exchange in random order", len(queues)), "messages/s", "one queue", 0.7)
	n := b.volume / amqpBodyBytes / 2
	for i := range b.pairs {
		some := make([]string, 0, amqpTargets)
		for range amqpTargets {
			some = append(some, queues[rand.IntN(len(queues))])
		}
		var procs [2]*proc
		for s, all := range [][]string{queues, queues[:1]} {
			p, err := b.startLeatAMQP(ctx, b.ring)
			if err != nil {
				return err
			}
			defer func() { _ = p.stop() }()
			procs[s] = p
			a, err := dialAMQP(p.amqp)
			if err != nil {
				return err
			}
			began := time.Now()
			err = a.declareMany(all)
			a.close()
			if err != nil {
				return fmt.Errorf("declare: %w", err)
			}
			if s == 0 {
				r.Note = fmt.Sprintf("declared at %.0f/s", float64(len(all))/time.Since(began).Seconds())
			}
			if _, err := amqpProduce(ctx, p, "warm", b.warmBytes/amqpBodyBytes); err != nil {
				return err
			}
		}
		if err := r.pair(i, procs[0], procs[1], func(side int, p *proc) (float64, error) {
			a, err := dialAMQP(p.amqp)
			if err != nil {
				return 0, err
			}
			defer a.close()
			return a.produce(ctx, n, [][]string{some, queues[:1]}[side])
		}); err != nil {
			return err
		}
		if err := errors.Join(procs[0].stop(), procs[1].stop()); err != nil {
			return err
		}
	}
	return nil
}

const amqpTargets = 8192 // of many queues, that a run publishes to

// amqpAgainstNATS is a work queue with a publisher and a worker at the same time; NATS acknowledges what it has not synced.
func (b *bench) amqpAgainstNATS(ctx context.Context) error {
	r := b.row("amqp-nats", "work queue, 1 KiB: publish with confirms and consume with an ack each, at once", "messages/s", "NATS JetStream, default (not synced)", 0.8)
	n := b.volume / amqpBodyBytes / 4
	other := natsPeer(false)
	for i := range b.pairs {
		leat, err := b.startLeatAMQP(ctx, b.ring)
		if err != nil {
			return err
		}
		nats, err := other.start(b, ctx)
		if err != nil {
			return errors.Join(err, leat.stop())
		}
		if _, err = amqpCycle(ctx, leat, "warm", b.warmBytes/amqpBodyBytes); err == nil {
			_, err = natsCycle(ctx, nats, "warm", b.warmBytes/amqpBodyBytes)
		}
		if err == nil {
			err = r.pair(i, leat, nats, func(side int, p *proc) (float64, error) {
				if side == 0 {
					return amqpCycle(ctx, p, amqpQueue, n)
				}
				return natsCycle(ctx, p, amqpQueue, n)
			})
		}
		if err := errors.Join(err, leat.stop(), nats.stop()); err != nil {
			return err
		}
	}
	return nil
}

// natsCycle is amqpCycle against NATS, as cheaply: its protocol as bytes, the same window of publishes, the same number of unacknowledged
// messages.
func natsCycle(ctx context.Context, p *proc, name string, n int) (float64, error) {
	c, err := natsWorkQueue(ctx, p, name)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	pub, err := dialNATS(p.http)
	if err != nil {
		return 0, err
	}
	defer pub.close()
	sub, err := dialNATS(p.http)
	if err != nil {
		return 0, err
	}
	defer sub.close()
	stop := context.AfterFunc(ctx, func() { pub.close(); sub.close() })
	defer stop()
	if _, err := sub.c.Write([]byte("SUB work.in 1\r\n")); err != nil {
		return 0, err
	}
	began := time.Now()
	done := make(chan error, 2)
	go func() { done <- sub.work(name, n) }()
	go func() { done <- pub.publish(name, n) }()
	err = <-done
	if err != nil {
		pub.close()
		sub.close()
	}
	if err := errors.Join(err, <-done); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// natsClient is a connection to NATS as bytes.
type natsClient struct {
	c  net.Conn
	br *bufio.Reader
}

func dialNATS(addr string) (*natsClient, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	n := &natsClient{c: c, br: bufio.NewReaderSize(c, amqpReadBytes)}
	if err = c.SetDeadline(time.Now().Add(amqpTimeout)); err == nil {
		_, err = c.Write([]byte("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n"))
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return n, nil
}

func (n *natsClient) close() { _ = n.c.Close() }

// next reads a message: its reply subject, a status ("" for none) and its payload, valid until the next one.
func (n *natsClient) next() (reply, status string, payload []byte, err error) {
	for {
		line, err := n.br.ReadSlice('\n')
		if err != nil {
			return "", "", nil, err
		}
		f := bytes.Fields(line)
		if len(f) == 0 {
			continue
		}
		verb, head := string(f[0]), 0
		switch verb {
		case "PING":
			if _, err := n.c.Write([]byte("PONG\r\n")); err != nil {
				return "", "", nil, err
			}
			continue
		case "MSG", "HMSG":
		case "-ERR":
			return "", "", nil, fmt.Errorf("nats: %s", line)
		default:
			continue
		}
		size, err := strconv.Atoi(string(f[len(f)-1]))
		if err != nil {
			return "", "", nil, err
		}
		rest := len(f) - 4 // subject, sid, size; a reply before the sizes
		if verb == "HMSG" {
			rest--
			if head, err = strconv.Atoi(string(f[len(f)-2])); err != nil {
				return "", "", nil, err
			}
		}
		if rest == 1 {
			reply = string(f[3])
		}
		p, err := n.br.Peek(size + 2)
		if err != nil {
			return "", "", nil, err
		}
		if _, err = n.br.Discard(size + 2); err != nil {
			return "", "", nil, err
		}
		if head > 12 {
			status = string(p[9:12])
		}
		return reply, status, p[head:size], nil
	}
}

// publish publishes n messages with amqpInFlight of them unanswered.
func (n *natsClient) publish(name string, count int) error {
	if _, err := n.c.Write([]byte("SUB work.acks 1\r\n")); err != nil {
		return err
	}
	w := newWindow(amqpInFlight)
	answered := make(chan error, 1)
	go func() {
		for seen, fresh := 0, 0; seen < count; {
			_, status, p, err := n.next()
			if err == nil && (status != "" || bytes.Contains(p, []byte("error"))) {
				err = fmt.Errorf("nats: %s %s", status, p)
			}
			if err != nil {
				w.fail(err)
				answered <- err
				return
			}
			seen, fresh = seen+1, fresh+1
			if n.br.Buffered() == 0 || fresh >= amqpWritten {
				w.give(fresh)
				fresh = 0
			}
		}
		answered <- nil
	}()
	message := append(fmt.Appendf(nil, "PUB %s work.acks %d\r\n", name, amqpBodyBytes), make([]byte, amqpBodyBytes+2)...)
	copy(message[len(message)-2:], "\r\n")
	many := bytes.Repeat(message, amqpWritten)
	for sent := 0; sent < count; {
		k, err := w.take(min(amqpWritten, count-sent))
		if err == nil {
			_, err = n.c.Write(many[:k*len(message)])
		}
		if err != nil {
			n.close()
			return errors.Join(err, <-answered)
		}
		sent += k
	}
	return <-answered
}

// work pulls and acknowledges n messages. A batch is asked for when half of one is out, so that the server never waits.
func (n *natsClient) work(name string, count int) error {
	const batch = amqpPrefetch / 2
	ask := fmt.Appendf(nil, "PUB $JS.API.CONSUMER.MSG.NEXT.%s.workers work.in %d\r\n{\"batch\":%d}\r\n", name, len(fmt.Sprintf(`{"batch":%d}`, batch)), batch)
	out := append(append([]byte(nil), ask...), ask...)
	if _, err := n.c.Write(out); err != nil {
		return err
	}
	out = out[:0]
	for seen := 0; seen < count; {
		reply, status, p, err := n.next()
		if err != nil {
			return fmt.Errorf("after %d of %d messages: %w", seen, count, err)
		}
		if status != "" || len(p) != amqpBodyBytes {
			return fmt.Errorf("nats: %s %d bytes", status, len(p))
		}
		out = fmt.Appendf(out, "PUB %s 4\r\n+ACK\r\n", reply)
		if seen++; seen%batch == 0 {
			out = append(out, ask...)
		}
		if n.br.Buffered() < amqpBodyBytes || seen == count {
			if _, err := n.c.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}
