package clienttest

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var update = flag.Bool("update", false, "take the captures in ../testdata/captures again")

// tap is a proxy in front of a node that keeps one request, and its answer, of each key and version.
type tap struct {
	addr string
	mu   sync.Mutex
	kept map[[2]int16][2][]byte
}

// captureBytesMax is the longest frame that is worth keeping.
const captureBytesMax = 4096

// newTap listens where the node behind it says it is: start the node with its address advertised.
func newTap(t *testing.T) (*tap, func(node string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &tap{addr: l.Addr().String(), kept: map[[2]int16][2][]byte{}}
	return p, func(node string) {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go p.pipe(c, node)
			}
		}()
	}
}

func (p *tap) pipe(c net.Conn, node string) {
	defer c.Close()
	s, err := net.Dial("tcp", node)
	if err != nil {
		return
	}
	defer s.Close()
	asked := make(chan []byte, 1024)
	go func() {
		defer close(asked)
		for {
			f, err := frame(c)
			if err != nil {
				return
			}
			noAnswer := binary.BigEndian.Uint16(f[4:]) == 0 && acksZero(f)
			if !noAnswer {
				asked <- f
			} else {
				p.keep(f, nil)
			}
			if _, err := s.Write(f); err != nil {
				return
			}
		}
	}()
	for {
		f, err := frame(s)
		if err != nil {
			return
		}
		p.keep(<-asked, f)
		if _, err := c.Write(f); err != nil {
			return
		}
	}
}

// acksZero guesses from a Produce request whether it is answered.
func acksZero(f []byte) bool {
	at := 14 + int(binary.BigEndian.Uint16(f[12:])) // after the client id
	at += 2                                         // a null transactional id; when flexible, that and no tags, of one byte each
	return binary.BigEndian.Uint16(f[at:]) == 0
}

func (p *tap) keep(q, r []byte) {
	k := [2]int16{int16(binary.BigEndian.Uint16(q[4:])), int16(binary.BigEndian.Uint16(q[6:]))}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.kept[k]; !there && len(q) <= captureBytesMax && len(r) <= captureBytesMax {
		p.kept[k] = [2][]byte{q, r}
	}
}

func frame(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	f := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	_, err := io.ReadFull(r, f[4:])
	return f, err
}

func (p *tap) write(t *testing.T, client, version string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys [][2]int16
	for k := range p.kept {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i][0] < keys[j][0] || keys[i][0] == keys[j][0] && keys[i][1] < keys[j][1]
	})
	var b strings.Builder
	fmt.Fprintf(&b, "# client: %s\n# version: %s\n# taken: go test -run TestCaptures -update in gateway/kafka/clienttest, through a proxy in front of leat serve --dev\n", client, version)
	fmt.Fprintf(&b, "# Each frame is whole, with its length; \"> \" is the client's, \"< \" the gateway's.\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "\n# key %d version %d\n> %s\n", k[0], k[1], hex.EncodeToString(p.kept[k][0]))
		if r := p.kept[k][1]; r != nil {
			fmt.Fprintf(&b, "< %s\n", hex.EncodeToString(r))
		}
	}
	if len(keys) == 0 {
		t.Error("nothing was captured")
	}
	if err := os.WriteFile(filepath.Join("..", "testdata", "captures", client+".txt"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCaptures takes what gateway/kafka's own tests replay. Without -update it only checks that they are there.
func TestCaptures(t *testing.T) {
	if !*update {
		files, err := filepath.Glob("../testdata/captures/*.txt")
		if err != nil || len(files) < 3 {
			t.Errorf("%d captures; take them with -update: %v", len(files), err)
		}
		return
	}
	if err := os.MkdirAll("../testdata/captures", 0o755); err != nil {
		t.Fatal(err)
	}
	capture := func(client, version string, act func(t *testing.T, n *node)) {
		t.Run(client, func(t *testing.T) {
			p, forward := newTap(t)
			n := start(t, func(_ *testing.T, _ *node, args *[]string) { *args = append(*args, "--advertise", "kafka="+p.addr) })
			forward(n.kafka)
			act(t, &node{kafka: p.addr, http: n.http})
			p.write(t, client, version)
		})
	}
	capture("franz-go", "1.22.2", func(t *testing.T, n *node) {
		adm := franzCreate(t, n, "orders", 1)
		c := franz(t, n)
		if err := c.ProduceSync(patience(t), &kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		franzRead(t, franz(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 1)
		ctx := patience(t)
		_, _ = adm.UpdatePartitions(ctx, 2, "orders")
		_, _ = adm.DescribeTopicConfigs(ctx, "orders")
		_, _ = adm.DescribeBrokerConfigs(ctx)
		_, _ = adm.DeleteTopics(ctx, "orders")
	})
	capture("sarama", "1.61.1", func(t *testing.T, n *node) {
		for _, v := range []sarama.KafkaVersion{sarama.V0_11_0_2, sarama.V2_1_0_0, sarama.V3_6_0_0} {
			c := saramaConfig(func(c *sarama.Config) { c.Version = v })
			if err := saramaProduce(t, n, c, "t"+v.String(), 2); err != nil {
				t.Fatal(err)
			}
			saramaRead(t, n, c, "t"+v.String(), sarama.OffsetOldest, 2)
		}
	})
	capture("kafka-go", "0.4.51", func(t *testing.T, n *node) {
		c, err := kafka.DialContext(patience(t), "tcp", n.kafka)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.CreateTopics(kafka.TopicConfig{Topic: "orders", NumPartitions: 1, ReplicationFactor: 1}); err != nil {
			t.Fatal(err)
		}
		w := kafkaGoWriter(n, "orders", nil)
		defer w.Close()
		if err := w.WriteMessages(patience(t), kafka.Message{Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		kafkaGoRead(t, kafka.NewReader(kafka.ReaderConfig{Brokers: []string{n.kafka}, Topic: "orders", MinBytes: 1, MaxBytes: 1 << 20, MaxWait: kafkaGoWait}), 1)
	})
	capture("kcat", "1.7.1 (librdkafka 2.0.2)", func(t *testing.T, n *node) {
		bin := kcat(t)
		if out, err := run(t, "k:v\n", bin, "-b", n.kafka, "-P", "-t", "orders", "-K:", "-X", "enable.idempotence=true"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := run(t, "", bin, "-b", n.kafka, "-C", "-q", "-t", "orders", "-o", "beginning", "-e"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	capture("java", "kafka-clients and kafka-tools 4.1.0", func(t *testing.T, n *node) {
		dir := javaPeers(t)[0] // 4.1.0
		out, err := run(t, "a\n", "java", "-cp", filepath.Join(dir, "*"), "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", n.kafka, "--topic", "orders")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, _ = run(t, "", "java", "-cp", filepath.Join(dir, "*"), "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", n.kafka, "--describe", "--topic", "orders")
		_, _ = run(t, "", "java", "-cp", filepath.Join(dir, "*"), "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", n.kafka, "--topic", "orders", "--partition", "0", "--offset", "earliest", "--timeout-ms", "3000")
	})
	captureGroups(t, capture)
}

// captureGroups takes what members of groups of both protocols say, and those who look after groups.
func captureGroups(t *testing.T, capture func(client, version string, act func(t *testing.T, n *node))) {
	fill := func(t *testing.T, n *node) *kadm.Client {
		adm := franzCreate(t, n, "orders", 1)
		if err := franz(t, n).ProduceSync(patience(t), &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return adm
	}
	capture("franz-go-groups", "1.22.2", func(t *testing.T, n *node) {
		adm := fill(t, n)
		ctx := patience(t)
		for id, with := range map[string]context.Context{"older": ctx, "newer": context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true)} { //nolint:revive,staticcheck // the key that franz-go asks for
			c := franz(t, n, kgo.ConsumerGroup(id), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithContext(with))
			franzRead(t, c, 1)
			if err := c.CommitUncommittedOffsets(ctx); err != nil {
				t.Fatal(err)
			}
			_, _ = adm.DescribeGroups(ctx, id)
			_, _ = adm.DescribeConsumerGroups(ctx, id)
			_, _ = adm.Lag(ctx, id)
			c.Close()
		}
		_, _ = adm.ListGroups(ctx)
		_, _ = adm.DeleteOffsets(ctx, "older", kadm.TopicsSet{"orders": {0: {}}})
		_, _ = adm.DeleteGroups(ctx, "older", "newer")
	})
	capture("librdkafka-groups", "2.16.0 (confluent-kafka 2.16.1 for Python) and 2.0.2 (kcat 1.7.1)", func(t *testing.T, n *node) {
		fill(t, n)
		if out, err := run(t, "", kcat(t), "-b", n.kafka, "-G", "kcat", "orders", "-e", "-q", "-X", "auto.offset.reset=earliest"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		const member = `import sys
from confluent_kafka import Consumer
for protocol in ("classic", "consumer"):
    c = Consumer({"bootstrap.servers": sys.argv[1], "group.id": protocol, "group.protocol": protocol, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    c.subscribe(["orders"])
    m = None
    while m is None or m.error():
        m = c.poll(1)
    c.commit(m, asynchronous=False)
    c.committed(c.assignment())
    c.close()`
		if out, err := run(t, "", confluentPython(t), "-c", member, n.kafka); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	capture("java-groups", "kafka-clients and kafka-tools 4.1.0", func(t *testing.T, n *node) {
		fill(t, n)
		dir := javaPeers(t)[0] // 4.1.0
		java := func(class string, args ...string) {
			t.Helper()
			if out, err := run(t, "", "java", append([]string{"-cp", filepath.Join(dir, "*"), class, "--bootstrap-server", n.kafka}, args...)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		for _, protocol := range []string{"classic", "consumer"} {
			java("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", "orders", "--group", protocol, "--consumer-property", "group.protocol="+protocol,
				"--consumer-property", "auto.offset.reset=earliest", "--max-messages", "1")
		}
		const groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
		java(groups, "--list", "--state")
		java(groups, "--describe", "--all-groups")
		java(groups, "--reset-offsets", "--group", "classic", "--topic", "orders", "--to-earliest", "--execute")
		java(groups, "--delete", "--group", "classic")
	})
}
