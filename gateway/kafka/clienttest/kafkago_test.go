package clienttest

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// kafkaGoWait is short because closing a reader waits for its last fetch.
const kafkaGoWait = 200 * time.Millisecond

func kafkaGoWriter(n *node, topic string, transport *kafka.Transport) *kafka.Writer {
	w := &kafka.Writer{Addr: kafka.TCP(n.kafka), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, MaxAttempts: 3, AllowAutoTopicCreation: true}
	if transport != nil {
		w.Transport = transport
	}
	return w
}

func kafkaGoRead(t *testing.T, r *kafka.Reader, count int) []kafka.Message {
	t.Helper()
	t.Cleanup(func() { r.Close() })
	var all []kafka.Message
	for ctx := patience(t); len(all) < count; {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(all), count, err)
		}
		all = append(all, m)
	}
	return all
}

func TestKafkaGo_ProduceConsume(t *testing.T) {
	n := start(t)
	for name, codec := range map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd} {
		for _, acks := range []kafka.RequiredAcks{kafka.RequireAll, kafka.RequireOne, kafka.RequireNone} {
			t.Run(fmt.Sprint(name, "/acks", acks), func(t *testing.T) {
				topic := fmt.Sprint(name, ".", int(acks)+1)
				w := kafkaGoWriter(n, topic, nil)
				w.Compression, w.RequiredAcks = codec, acks
				defer w.Close()
				var ms []kafka.Message
				for i := range 20 {
					ms = append(ms, kafka.Message{Key: []byte("k"), Value: fmt.Append(nil, "value ", i), Headers: []kafka.Header{{Key: "h", Value: []byte("v")}}})
				}
				// The first attempt of this client meets a topic that is not there; it asks again by itself.
				for try := 0; ; try++ {
					err := w.WriteMessages(patience(t), ms...)
					if err == nil {
						break
					}
					if try == 3 || !errors.Is(err, kafka.UnknownTopicOrPartition) {
						t.Fatal(err)
					}
				}
				r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{n.kafka}, Topic: topic, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: kafkaGoWait})
				for i, m := range kafkaGoRead(t, r, 20) {
					if string(m.Value) != fmt.Sprint("value ", i) || m.Offset != int64(i) || len(m.Headers) != 1 {
						t.Fatalf("record %d is %s at %d", i, m.Value, m.Offset)
					}
				}
			})
		}
	}
}

func TestKafkaGo_ConnAndAdmin(t *testing.T) {
	n := start(t)
	c, err := kafka.Dial("tcp", n.kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	controller, err := c.Controller()
	if err != nil {
		t.Fatal(err)
	}
	if got := net.JoinHostPort(controller.Host, strconv.Itoa(controller.Port)); got != n.kafka {
		t.Errorf("controller at %s", got)
	}
	if err := c.CreateTopics(kafka.TopicConfig{Topic: "orders", NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "5000"}}}); err != nil {
		t.Fatal(err)
	}
	if ps, err := c.ReadPartitions("orders"); err != nil || len(ps) != 2 {
		t.Errorf("%v %v", ps, err)
	}
	cl := &kafka.Client{Addr: kafka.TCP(n.kafka)}
	ctx := patience(t)
	if r, err := cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: "orders", Count: 3}}}); err != nil || r.Errors["orders"] != nil {
		t.Errorf("%+v %v", r, err)
	}
	r, err := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: "orders", ConfigNames: []string{"retention.ms"}}}})
	if err != nil || len(r.Resources) != 1 || len(r.Resources[0].ConfigEntries) != 1 || r.Resources[0].ConfigEntries[0].ConfigValue != "5000" {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := cl.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionTimeoutMs: 1000}); err != nil || r.Error != nil {
		t.Errorf("producer id: %+v %v", r, err)
	}
	leader, err := kafka.DialLeader(ctx, "tcp", n.kafka, "orders", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	base := time.Now().Add(-time.Hour)
	for i := range 10 {
		if _, err := leader.WriteMessages(kafka.Message{Value: fmt.Append(nil, i), Time: base.Add(time.Duration(i) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := leader.ReadOffset(base.Add(4 * time.Minute)); err != nil || o != 4 {
		t.Errorf("offset by time: %d %v", o, err)
	}
	if first, last, err := leader.ReadOffsets(); err != nil || first != 0 || last != 10 {
		t.Errorf("offsets: %d %d %v", first, last, err)
	}
	if _, err := leader.Seek(7, kafka.SeekAbsolute); err != nil {
		t.Error(err)
	}
	if m, err := leader.ReadMessage(1 << 20); err != nil || string(m.Value) != "7" {
		t.Errorf("%s %v", m.Value, err)
	}
	if err := c.DeleteTopics("orders"); err != nil {
		t.Error(err)
	}
}

func TestKafkaGo_Refusals(t *testing.T) {
	n := start(t)
	w := kafkaGoWriter(n, "orders", nil)
	w.BatchBytes = 10 << 20
	defer w.Close()
	for try := 0; w.WriteMessages(patience(t), kafka.Message{Value: []byte("x")}) != nil; try++ {
		if try == 3 {
			t.Fatal("no topic")
		}
	}
	if err := w.WriteMessages(patience(t), kafka.Message{Value: make([]byte, 2<<20)}); err == nil || !strings.Contains(err.Error(), "Message Size Too Large") {
		t.Errorf("too large: %v", err)
	}
	nope := kafkaGoWriter(n, "nope", nil)
	nope.AllowAutoTopicCreation = false
	defer nope.Close()
	if err := nope.WriteMessages(patience(t), kafka.Message{Value: []byte("x")}); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("unknown topic: %v", err)
	}
}

func TestKafkaGo_Login(t *testing.T) {
	n := start(t)
	n.addUser(t)
	scramBy := func(a scram.Algorithm) func(string) sasl.Mechanism {
		return func(p string) sasl.Mechanism {
			m, err := scram.Mechanism(a, user, p)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	for name, by := range map[string]func(string) sasl.Mechanism{
		"plain":    func(p string) sasl.Mechanism { return plain.Mechanism{Username: user, Password: p} },
		"scram256": scramBy(scram.SHA256), "scram512": scramBy(scram.SHA512),
	} {
		t.Run(name, func(t *testing.T) {
			cl := &kafka.Client{Addr: kafka.TCP(n.kafka), Transport: &kafka.Transport{SASL: by(password)}}
			r, err := cl.CreateTopics(patience(t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}})
			if err != nil || r.Errors[name] != nil {
				t.Errorf("%+v %v", r, err)
			}
			bad := &kafka.Client{Addr: kafka.TCP(n.kafka), Transport: &kafka.Transport{SASL: by("wrong")}}
			if _, err := bad.Metadata(patience(t), &kafka.MetadataRequest{}); !errors.Is(err, kafka.SASLAuthenticationFailed) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}

func TestKafkaGo_TLS(t *testing.T) {
	n := start(t, withTLS)
	w := kafkaGoWriter(n, "secret", &kafka.Transport{TLS: n.tls()})
	defer w.Close()
	for try := 0; ; try++ {
		err := w.WriteMessages(patience(t), kafka.Message{Value: []byte("x")})
		if err == nil {
			break
		}
		if try == 3 {
			t.Fatal(err)
		}
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{n.kafka}, Topic: "secret", Dialer: &kafka.Dialer{TLS: n.tls()}, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: kafkaGoWait})
	kafkaGoRead(t, r, 1)
}
