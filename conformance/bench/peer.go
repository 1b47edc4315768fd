package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Peers are what a user would pick instead. Each is the program as its makers publish it, a process of its own on a new data directory on
// the same disk, with the client its users use; what is not here is skipped loudly.

const (
	peerEventBytes = 1024
	peerStream     = "work"
)

// peer is a system to be held against: how it is started, and the three things that are measured.
type peer struct {
	name    string
	scale   int // its throughput runs are shorter by this, since it is slower
	start   func(*bench, context.Context) (*proc, error)
	produce func(ctx context.Context, p *proc, n int) (perSecond float64, err error)
	consume func(ctx context.Context, p *proc, n int) (perSecond float64, err error)
	acks    func(ctx context.Context, p *proc, d time.Duration) (*histogram, error)
}

// viaKafka are Leat and Apache Kafka: the same client for both.
func viaKafka(name string, start func(*bench, context.Context) (*proc, error)) peer {
	return peer{
		name: name, scale: 1, start: start,
		produce: func(ctx context.Context, p *proc, n int) (float64, error) {
			v, _, err := produce(ctx, p, []string{peerStream}, peerEventBytes, n)
			return v, err
		},
		consume: func(ctx context.Context, p *proc, n int) (float64, error) {
			return consume(ctx, p, peerStream, 0, peerEventBytes, n)
		},
		acks: func(ctx context.Context, p *proc, d time.Duration) (*histogram, error) {
			return acks(ctx, p, peerEventBytes, d)
		},
	}
}

// against measures Leat and a peer in pairs; both are started anew for each pair and warmed alike.
func (b *bench) against(ctx context.Context, id string, other peer) error {
	produced := b.row(id+"-produce", "produce, 1 KiB, acknowledged: "+other.name, "records/s", other.name, 0)
	consumed := b.row(id+"-consume", "consume from the start, 1 KiB: "+other.name, "records/s", other.name, 0)
	p50 := b.row(id+"-ack-p50", fmt.Sprintf("acknowledgement at %d/s, p50: %s", latencyRate, other.name), "ms", other.name, 0)
	p99 := b.row(id+"-ack-p99", fmt.Sprintf("acknowledgement at %d/s, p99: %s", latencyRate, other.name), "ms", other.name, 0)
	p50.less, p99.less = true, true
	sides := [2]peer{viaKafka("leat", func(b *bench, ctx context.Context) (*proc, error) { return b.startLeat(ctx, b.ring) }), other}
	for i := range b.pairs {
		if err := b.peerPair(ctx, i, sides, produced, consumed, p50, p99); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) peerPair(ctx context.Context, i int, sides [2]peer, produced, consumed, p50, p99 *row) error {
	var procs [2]*proc
	for s, side := range sides {
		p, err := side.start(b, ctx)
		if err != nil {
			return err
		}
		defer func() { _ = p.stop() }()
		procs[s] = p
		if _, err := side.acks(ctx, p, time.Second); err != nil { // connections, names, just-in-time compilers
			return fmt.Errorf("warm %s: %w", side.name, err)
		}
	}
	n := b.volume / peerEventBytes / 4 / sides[1].scale
	if err := produced.pair(i, procs[0], procs[1], func(s int, p *proc) (float64, error) { return sides[s].produce(ctx, p, n) }); err != nil {
		return err
	}
	if err := consumed.pair(i, procs[0], procs[1], func(s int, p *proc) (float64, error) { return sides[s].consume(ctx, p, n) }); err != nil {
		return err
	}
	return times(i, procs[0], procs[1], p50, p99, func(side int, p *proc) (*histogram, error) { return sides[side].acks(ctx, p, b.latencyFor) })
}

// peerWorks is what make peers measures.
func peerWorks() []work {
	program := func(name string) func(*bench) string {
		return func(b *bench) string {
			if b.peers == "" {
				return "side by side with others is make peers"
			}
			return missing(filepath.Join(b.peers, name), name+" in "+b.peers+"; make peers fetches it")
		}
	}
	java := func(b *bench) string {
		if why := program("kafka")(b); why != "" {
			return why
		}
		if _, err := exec.LookPath("java"); err != nil {
			return "java is not installed"
		}
		return ""
	}
	postgres := func(b *bench) string {
		if b.peers == "" {
			return "side by side with others is make peers"
		}
		if _, err := postgresBin("postgres"); err != nil {
			return err.Error()
		}
		return ""
	}
	return []work{
		{"peer-nats", "NATS JetStream, default", program("nats-server"), func(b *bench, ctx context.Context) error { return b.against(ctx, "nats", natsPeer(false)) }},
		{"peer-nats-sync", "NATS JetStream, sync_interval: always", program("nats-server"), func(b *bench, ctx context.Context) error {
			return b.against(ctx, "nats-sync", natsPeer(true))
		}},
		{"peer-kafka", "Apache Kafka, as shipped", java, func(b *bench, ctx context.Context) error { return b.against(ctx, "kafka-jvm", kafkaPeer(false)) }},
		{"peer-kafka-sync", "Apache Kafka, log.flush.interval.messages=1", java, func(b *bench, ctx context.Context) error {
			return b.against(ctx, "kafka-jvm-sync", kafkaPeer(true))
		}},
		{"jvm-table", "Apache Kafka as shipped: sizes, partitions, producers", java, (*bench).jvm},
		{"jvm-transactions", "transactions of 100 records, against Apache Kafka on the JVM", java, (*bench).jvmTransactions},
		{"peer-postgres", "PostgreSQL as an event store", postgres, func(b *bench, ctx context.Context) error { return b.against(ctx, "postgres", postgresPeer()) }},
	}
}

// kafkaPeer is one node of Apache Kafka with KRaft, from its jars.
func kafkaPeer(sync bool) peer {
	name := "Apache Kafka"
	if sync {
		name += ", flushed"
	}
	return viaKafka(name, func(b *bench, ctx context.Context) (*proc, error) {
		p, controller := &proc{}, ""
		dir, err := b.place(&p.kafka, &controller)
		if err != nil {
			return nil, err
		}
		config := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%s
listeners=PLAINTEXT://%s,CONTROLLER://%s
advertised.listeners=PLAINTEXT://%s
controller.listener.names=CONTROLLER
log.dirs=%s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=true
`, controller, p.kafka, controller, p.kafka, filepath.Join(dir, "data"))
		if sync {
			config += "log.flush.interval.messages=1\n"
		}
		file := filepath.Join(dir, "server.properties")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		// The heap is what kafka-server-start.sh gives.
		java := []string{"-Xmx1G", "-Xms1G", "-XX:+UseG1GC", "-cp", filepath.Join(b.peers, "kafka", "*")}
		format := exec.CommandContext(ctx, "java", append(java, "kafka.tools.StorageTool", "format", "-t", "bGVhdC1iZW5jaC1wZWVycw", "-c", file)...)
		if out, err := format.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("format: %w: %s", err, out)
		}
		return launch(ctx, name, dir, func(p *proc) bool { return opens(p.kafka) }, p, "java", append(java, "kafka.Kafka", file)...)
	})
}

// asOther lets a program that refuses to run as root run as somebody else, who then owns its folder.
func asOther(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	const nobody = 65534
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, os.Chown(dir, nobody, nobody)
}

func postgresBin(name string) (string, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1], nil
	}
	if at, err := exec.LookPath(name); err == nil {
		return at, nil
	}
	return "", fmt.Errorf("%s is not installed", strings.TrimSpace(name))
}
