package clienttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func franz(t *testing.T, n *node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.kafka)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func franzCreate(t *testing.T, n *node, topic string, partitions int32) *kadm.Client {
	t.Helper()
	adm := kadm.NewClient(franz(t, n))
	r, err := adm.CreateTopic(patience(t), partitions, 1, nil, topic)
	if err != nil || r.Err != nil {
		t.Fatalf("create %s: %v %v", topic, err, r.Err)
	}
	return adm
}

// franzRead reads so many records of a topic.
func franzRead(t *testing.T, c *kgo.Client, count int) []*kgo.Record {
	t.Helper()
	var all []*kgo.Record
	for ctx := patience(t); len(all) < count; {
		fs := c.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("after %d of %d: %v", len(all), count, err)
		}
		fs.EachError(func(topic string, p int32, err error) { t.Fatalf("%s/%d: %v", topic, p, err) })
		all = append(all, fs.Records()...)
	}
	return all
}

func TestFranz_ProduceConsume(t *testing.T) {
	n := start(t)
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		for mode, opts := range map[string][]kgo.Opt{
			"idempotent": nil,
			"acks-all":   {kgo.DisableIdempotentWrite()},
			"acks-1":     {kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck())},
			"acks-0":     {kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.NoAck())},
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				topic := name + "-" + mode
				franzCreate(t, n, topic, 1)
				c := franz(t, n, append(opts, kgo.ProducerBatchCompression(codec))...)
				const count = 50
				for i := range count {
					c.Produce(patience(t), &kgo.Record{
						Topic: topic, Key: fmt.Append(nil, "k", i), Value: []byte(strings.Repeat("v", i*10) + fmt.Sprint(i)),
						Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{byte(i)}}},
					}, func(_ *kgo.Record, err error) {
						if err != nil {
							t.Errorf("record %d: %v", i, err)
						}
					})
				}
				if err := c.Flush(patience(t)); err != nil {
					t.Fatal(err)
				}
				rs := franzRead(t, franz(t, n, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), count)
				for i, r := range rs {
					if string(r.Key) != fmt.Sprint("k", i) || !strings.HasSuffix(string(r.Value), fmt.Sprint(i)) || r.Offset != int64(i) || len(r.Headers) != 1 {
						t.Fatalf("record %d is %s at %d", i, r.Key, r.Offset)
					}
				}
			})
		}
	}
}

func TestFranz_FromATimeAndTail(t *testing.T) {
	n := start(t)
	franzCreate(t, n, "orders", 3)
	c := franz(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	base := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range 30 {
		r := &kgo.Record{Topic: "orders", Partition: int32(i % 3), Value: fmt.Append(nil, i), Timestamp: base.Add(time.Duration(i) * time.Minute)}
		if err := c.ProduceSync(patience(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	rs := franzRead(t, franz(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(base.Add(20*time.Minute).UnixMilli()))), 10)
	for _, r := range rs {
		if r.Timestamp.Before(base.Add(20 * time.Minute)) {
			t.Errorf("record of %v, from %v on", r.Timestamp, base.Add(20*time.Minute))
		}
	}
	tail := franz(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	tail.PollFetches(withTimeout(t, 300*time.Millisecond))
	go func() { c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: 1, Value: []byte("new")}) }()
	if rs := franzRead(t, tail, 1); string(rs[0].Value) != "new" || rs[0].Offset != 10 {
		t.Errorf("%s at %d", rs[0].Value, rs[0].Offset)
	}
}

func withTimeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestFranz_Admin(t *testing.T) {
	n := start(t)
	adm := franzCreate(t, n, "orders", 2)
	ctx := patience(t)
	if r, err := adm.CreateTopic(ctx, 2, 1, nil, "orders"); !errors.Is(r.Err, kerr.TopicAlreadyExists) && !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("again: %v %v", err, r.Err)
	}
	if r, err := adm.CreateTopic(ctx, 1, 3, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "retention.ms": kadm.StringPtr("60000")}, "compacted"); err != nil || r.ReplicationFactor != 1 {
		t.Errorf("with configs: %v %+v", err, r)
	}
	topics, err := adm.ListTopics(ctx)
	if err != nil || len(topics) != 2 || len(topics["orders"].Partitions) != 2 {
		t.Errorf("list: %v %v", err, topics)
	}
	if r, err := adm.UpdatePartitions(ctx, 5, "orders"); err != nil || r["orders"].Err != nil {
		t.Errorf("partitions: %v %v", err, r)
	}
	if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("1234")}}, "orders"); err != nil {
		t.Error(err)
	}
	rc, err := adm.DescribeTopicConfigs(ctx, "orders", "compacted")
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string][2]string{"orders": {"retention.ms", "1234"}, "compacted": {"cleanup.policy", "compact"}} {
		found := false
		for _, c := range mustConfig(t, rc, topic) {
			found = found || c.Key == want[0] && c.MaybeValue() == want[1]
		}
		if !found {
			t.Errorf("%s: no %s = %s", topic, want[0], want[1])
		}
	}
	if _, err := adm.DescribeBrokerConfigs(ctx); err != nil {
		t.Error(err)
	}
	m, err := adm.BrokerMetadata(ctx)
	if err != nil || m.Cluster == "" || len(m.Brokers) != 1 {
		t.Errorf("cluster: %v %+v", err, m)
	}
	if r, err := adm.DeleteTopics(ctx, "orders", "nope"); err != nil || r["orders"].Err != nil || !errors.Is(r["nope"].Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("delete: %v %+v", err, r)
	}
	if _, err := adm.ListStartOffsets(ctx, "compacted"); err != nil {
		t.Error(err)
	}
}

// Records go, also from within a batch, and a consumer that starts there meets the first that is left.
func TestFranz_DeleteRecords(t *testing.T) {
	n := start(t)
	adm := franzCreate(t, n, "orders", 1)
	ctx := patience(t)
	producer := franz(t, n, kgo.DefaultProduceTopic("orders"), kgo.ProducerLinger(50*time.Millisecond))
	var records []*kgo.Record
	for i := range 20 {
		records = append(records, kgo.StringRecord(fmt.Sprint(i)))
	}
	if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cut := func(at int64) (int64, error) {
		var o kadm.Offsets
		o.Add(kadm.Offset{Topic: "orders", At: at})
		r, err := adm.DeleteRecords(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		p := r["orders"][0]
		return p.LowWatermark, p.Err
	}
	if low, err := cut(7); err != nil || low != 7 {
		t.Errorf("low watermark %d, %v", low, err)
	}
	if _, err := cut(21); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
	if o, err := adm.ListStartOffsets(ctx, "orders"); err != nil || o["orders"][0].Offset != 7 {
		t.Errorf("begins at %v, %v", o, err)
	}
	got := franzRead(t, franz(t, n, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"orders": {0: kgo.NewOffset().AtStart()}})), 13)
	if got[0].Offset != 7 || string(got[0].Value) != "7" {
		t.Errorf("the first is %d: %s", got[0].Offset, got[0].Value)
	}
	// A consumer that stands where nothing is any more goes on with the earliest, as it is set to.
	got = franzRead(t, franz(t, n, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"orders": {0: kgo.NewOffset().At(2)}})), 13)
	if got[0].Offset != 7 {
		t.Errorf("reset to %d", got[0].Offset)
	}
	if low, err := cut(-1); err != nil || low != 20 {
		t.Errorf("all: low watermark %d, %v", low, err)
	}
}

func mustConfig(t *testing.T, rc kadm.ResourceConfigs, topic string) []kadm.Config {
	r, err := rc.On(topic, nil)
	if err != nil || r.Err != nil {
		t.Fatalf("%s: %v %v", topic, err, r.Err)
	}
	return r.Configs
}

func TestFranz_Refusals(t *testing.T) {
	n := start(t)
	franzCreate(t, n, "orders", 1)
	c := franz(t, n, kgo.ProducerBatchMaxBytes(5<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(1), kgo.ProducerBatchCompression(kgo.NoCompression()))
	ctx := patience(t)
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: make([]byte, 2<<20)}).FirstErr(); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Partition: 7, Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("a partition that is not there took a record")
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "nope", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("unknown topic: %v", err)
	}
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 1000
	qt := kmsg.NewProduceRequestTopic()
	qt.Topic = "orders"
	qp := kmsg.NewProduceRequestTopicPartition()
	qp.Records = make([]byte, 80)
	qp.Records[11], qp.Records[16] = 68, 2
	qt.Partitions = append(qt.Partitions, qp)
	q.Topics = append(q.Topics, qt)
	r, err := q.RequestWith(ctx, c)
	if err != nil || kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode) == nil {
		t.Errorf("bad CRC: %v %+v", err, r)
	}
}

func TestFranz_AutoCreate(t *testing.T) {
	n := start(t)
	c := franz(t, n, kgo.AllowAutoTopicCreation())
	if err := c.ProduceSync(patience(t), &kgo.Record{Topic: "fresh", Value: []byte("x")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

func TestFranz_Login(t *testing.T) {
	n := start(t)
	n.addUser(t)
	for name, mechanism := range map[string]func(pass string) sasl.Mechanism{
		"plain":    func(p string) sasl.Mechanism { return plain.Auth{User: user, Pass: p}.AsMechanism() },
		"scram256": func(p string) sasl.Mechanism { return scram.Auth{User: user, Pass: p}.AsSha256Mechanism() },
		"scram512": func(p string) sasl.Mechanism { return scram.Auth{User: user, Pass: p}.AsSha512Mechanism() },
	} {
		t.Run(name, func(t *testing.T) {
			c := franz(t, n, kgo.SASL(mechanism(password)), kgo.AllowAutoTopicCreation())
			if err := c.ProduceSync(patience(t), &kgo.Record{Topic: name, Value: []byte("x")}).FirstErr(); err != nil {
				t.Error(err)
			}
			bad := franz(t, n, kgo.SASL(mechanism("wrong")))
			if err := bad.Ping(withTimeout(t, 5*time.Second)); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
	nobody := franz(t, n, kgo.UnknownTopicRetries(0))
	if err := nobody.ProduceSync(withTimeout(t, 10*time.Second), &kgo.Record{Topic: "plain", Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("nobody may write")
	}
}

func TestFranz_TLS(t *testing.T) {
	n := start(t, withTLS)
	c := franz(t, n, kgo.DialTLSConfig(n.tls()), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("secret"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for i := range 20 {
		if err := c.ProduceSync(patience(t), &kgo.Record{Topic: "secret", Value: []byte(strings.Repeat("x", i*5000))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	franzRead(t, c, 20)
}
