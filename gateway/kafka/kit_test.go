package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

// testUser may do everything on a broker with users.
var testUser = broker.User{
	Name: "alice", Password: "wonderland",
	Grants: []broker.Grant{
		{Action: broker.ActionAdmin, Kind: broker.KindNode, Pattern: "*"},
		{Action: broker.ActionAdmin, Kind: broker.KindUser, Pattern: "*"},
		{Action: broker.ActionAdmin, Kind: broker.KindStream, Pattern: "*"},
	},
}

// newBroker opens a broker in memory.
func newBroker(t testing.TB, shards int, users ...broker.User) *broker.Broker {
	t.Helper()
	return newBrokerWith(t, broker.Default(), shards, users...)
}

func newBrokerWith(t testing.TB, cfg broker.Config, shards int, users ...broker.User) *broker.Broker {
	t.Helper()
	return openBroker(t, cfg, gatewaytest.MemoryShards(t, shards), users...)
}

func openBroker(t testing.TB, cfg broker.Config, shards []broker.ShardStore, users ...broker.User) *broker.Broker {
	t.Helper()
	opt := broker.Options{Config: cfg, Lineage: 1, Cluster: "test-cluster", Node: 1, Clock: clock.Real, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	opt.Shards = shards
	b, err := broker.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the broker: %v", err)
		}
	})
	admin := &broker.Caller{}
	if _, _, err := b.NewProducer(t.Context(), admin); err != nil { // when it has answered, its goroutines run: tests look for others
		t.Fatal(err)
	}
	for _, u := range users {
		if _, err := b.PutUser(t.Context(), admin, u); err != nil {
			t.Fatal(err)
		}
		admin.Principal = users[0].Name
	}
	return b
}

// serve runs a gateway on loopback and returns its address.
func serve(t testing.TB, b *broker.Broker, change ...func(*Config)) string {
	t.Helper()
	cfg := Default()
	cfg.LoginDelay = time.Millisecond
	for _, f := range change {
		f(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return serveGateway(t, New(b, cfg))
}

// serveGateway runs g on loopback and returns its address.
func serveGateway(t testing.TB, g *Gateway) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gateway.Listen(ctx, gateway.Options{
		Name: "kafka", Addr: "127.0.0.1:0", Protocol: "kafka", Known: g.Descriptor().Operations, Limits: gateway.Default(),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// client is a Kafka client of the plainest kind.
type client struct {
	t           testing.TB
	c           net.Conn
	correlation int32
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, c: c}
}

// requestFrame encodes a request with its length in front.
func requestFrame(q kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, q, correlation)
}

func (c *client) send(q kmsg.Request, version int16) {
	c.t.Helper()
	q.SetVersion(version)
	c.correlation++
	if _, err := c.c.Write(requestFrame(q, c.correlation)); err != nil {
		c.t.Fatalf("%T version %d: %v", q, version, err)
	}
}

func readFrame(c net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 64<<20 {
		return nil, errors.New("a length that makes no sense")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, err
}

// receive reads the answer to q, which must be the one numbered correlation.
func receive[R kmsg.Response](c net.Conn, q kmsg.Request, correlation int32) (R, error) {
	var none R
	b, err := readFrame(c)
	if err != nil {
		return none, err
	}
	if len(b) < 4 {
		return none, errors.New("an answer without a correlation id")
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != correlation {
		return none, fmt.Errorf("answer %d, want %d", got, correlation)
	}
	b = b[4:]
	r := q.ResponseKind()
	r.SetVersion(q.GetVersion())
	if r.IsFlexible() && q.Key() != keyAPIVersions {
		b = b[1:]
	}
	return r.(R), r.ReadFrom(b)
}

// ask sends a request and reads its answer.
func ask[R kmsg.Response](c *client, q kmsg.Request, version int16) R {
	c.t.Helper()
	c.send(q, version)
	r, err := receive[R](c.c, q, c.correlation)
	if err != nil {
		c.t.Fatalf("%T version %d: %v", q, version, err)
	}
	return r
}

// closed checks that the gateway closes the connection without another answer.
func (c *client) closed() {
	c.t.Helper()
	if b, err := readFrame(c.c); err == nil {
		c.t.Fatalf("got %x, want a closed connection", b)
	}
}

// batch builds a batch of records with these values.
func batch(t testing.TB, values ...string) []byte {
	t.Helper()
	b := record.NewBuilder()
	for i, v := range values {
		b.Add(&record.Record{Timestamp: 1000 + int64(i), Value: []byte(v)})
	}
	p, err := b.Finish(nil, record.None)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func create(c *client, name string, partitions int32, configs ...string) {
	c.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		cf := kmsg.NewCreateTopicsRequestTopicConfig()
		cf.Name, cf.Value = configs[i], &configs[i+1]
		rt.Configs = append(rt.Configs, cf)
	}
	q.Topics = append(q.Topics, rt)
	if r := ask[*kmsg.CreateTopicsResponse](c, q, 6); r.Topics[0].ErrorCode != 0 {
		c.t.Fatalf("create %s: %d %v", name, r.Topics[0].ErrorCode, r.Topics[0].ErrorMessage)
	}
}

// fillTopic writes so many batches of one record of some bytes to each partition of a topic.
func fillTopic(c *client, name string, partitions, batches, bytes int) {
	c.t.Helper()
	for i := range batches {
		parts := make([][]byte, partitions)
		for p := range parts {
			parts[p] = batch(c.t, fmt.Sprintf("%d/%d", p, i)+strings.Repeat("v", bytes))
		}
		for _, r := range ask[*kmsg.ProduceResponse](c, produceRequest(name, -1, parts...), 9).Topics[0].Partitions {
			if r.ErrorCode != 0 {
				c.t.Fatalf("produce: error %d", r.ErrorCode)
			}
		}
	}
}

func produceRequest(name string, acks int16, parts ...[]byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = acks, 1000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = name
	for i, p := range parts {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = int32(i), p
		rt.Partitions = append(rt.Partitions, rp)
	}
	q.Topics = append(q.Topics, rt)
	return q
}

func fetchRequest(name string, offset int64, wait, minBytes int32) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = wait, minBytes, 1<<20, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = name
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = offset, 1<<20, -1
	rt.Partitions = append(rt.Partitions, rp)
	q.Topics = append(q.Topics, rt)
	return q
}
