package clienttest

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

func saramaConfig(change ...func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "sarama-test"
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Return.Errors = true
	c.Metadata.Retry.Max = 1
	for _, f := range change {
		f(c)
	}
	return c
}

func saramaAdmin(t *testing.T, n *node, c *sarama.Config) sarama.ClusterAdmin {
	t.Helper()
	adm, err := sarama.NewClusterAdmin([]string{n.kafka}, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { adm.Close() })
	return adm
}

func saramaProduce(t *testing.T, n *node, c *sarama.Config, topic string, count int) error {
	t.Helper()
	p, err := sarama.NewSyncProducer([]string{n.kafka}, c)
	if err != nil {
		return err
	}
	defer p.Close()
	for i := range count {
		_, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(fmt.Sprint("value ", i))})
		if err != nil {
			return err
		}
		if c.Producer.RequiredAcks != sarama.NoResponse && offset != int64(i) {
			return fmt.Errorf("record %d is at %d", i, offset)
		}
	}
	return nil
}

func saramaRead(t *testing.T, n *node, c *sarama.Config, topic string, from int64, count int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer([]string{n.kafka}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	p, err := consumer.ConsumePartition(topic, 0, from)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var all []*sarama.ConsumerMessage
	for len(all) < count {
		select {
		case m := <-p.Messages():
			all = append(all, m)
		case err := <-p.Errors():
			t.Fatal(err)
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d", len(all), count)
		}
	}
	return all
}

func TestSarama_ProduceConsume(t *testing.T) {
	n := start(t)
	adm := saramaAdmin(t, n, saramaConfig())
	for name, codec := range map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	} {
		for mode, change := range map[string]func(*sarama.Config){
			"idempotent": func(c *sarama.Config) { c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1 },
			"acks-all":   func(*sarama.Config) {},
			"acks-1":     func(c *sarama.Config) { c.Producer.RequiredAcks = sarama.WaitForLocal },
			"acks-0":     func(c *sarama.Config) { c.Producer.RequiredAcks = sarama.NoResponse },
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				topic := name + "-" + mode
				if err := adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
					t.Fatal(err)
				}
				c := saramaConfig(change, func(c *sarama.Config) { c.Producer.Compression = codec })
				if err := saramaProduce(t, n, c, topic, 20); err != nil {
					t.Fatal(err)
				}
				for i, m := range saramaRead(t, n, saramaConfig(), topic, sarama.OffsetOldest, 20) {
					if string(m.Value) != fmt.Sprint("value ", i) || m.Offset != int64(i) {
						t.Fatalf("record %d is %s at %d", i, m.Value, m.Offset)
					}
				}
			})
		}
	}
}

// Sarama of old did not ask what versions there are: it sent those of the version it was told.
func TestSarama_Versions(t *testing.T) {
	n := start(t)
	for _, v := range []sarama.KafkaVersion{sarama.V0_11_0_2, sarama.V1_0_0_0, sarama.V2_1_0_0, sarama.V2_7_0_0, sarama.V2_8_0_0, sarama.V3_6_0_0, sarama.V4_0_0_0} {
		for _, ask := range []bool{true, false} {
			if !ask && v.IsAtLeast(sarama.V2_8_0_0) {
				continue // from here on it takes topic ids for granted, which are a known gap
			}
			t.Run(fmt.Sprint(v, "/", ask), func(t *testing.T) {
				c := saramaConfig(func(c *sarama.Config) { c.Version, c.ApiVersionsRequest = v, ask })
				topic := fmt.Sprintf("v%s-%v", v, ask)
				if err := saramaAdmin(t, n, c).CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
					t.Fatal(err)
				}
				if err := saramaProduce(t, n, c, topic, 5); err != nil {
					t.Fatal(err)
				}
				saramaRead(t, n, c, topic, sarama.OffsetOldest, 5)
			})
		}
	}
}

func TestSarama_Admin(t *testing.T) {
	n := start(t)
	adm := saramaAdmin(t, n, saramaConfig())
	compact := "compact"
	if err := adm.CreateTopic("orders", &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 3, ConfigEntries: map[string]*string{"cleanup.policy": &compact}}, false); err != nil {
		t.Fatal(err)
	}
	if err := adm.CreateTopic("orders", &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		t.Errorf("again: %v", err)
	}
	if err := adm.CreatePartitions("orders", 4, nil, false); err != nil {
		t.Error(err)
	}
	retention := "777"
	if err := adm.IncrementalAlterConfig(sarama.TopicResource, "orders", map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &retention},
	}, false); err != nil {
		t.Error(err)
	}
	topics, err := adm.ListTopics()
	if err != nil || topics["orders"].NumPartitions != 4 {
		t.Errorf("%v %+v", err, topics)
	}
	configs, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, c := range configs {
		values[c.Name] = c.Value
	}
	if values["retention.ms"] != "777" || values["cleanup.policy"] != "compact" {
		t.Errorf("%v", values)
	}
	if brokers, controller, err := adm.DescribeCluster(); err != nil || len(brokers) != 1 || brokers[0].ID() != controller {
		t.Errorf("cluster: %v %v", brokers, err)
	}
	if err := adm.DeleteTopic("orders"); err != nil {
		t.Error(err)
	}
	if err := adm.DeleteTopic("orders"); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		t.Errorf("delete again: %v", err)
	}
}

func TestSarama_TimeAndRefusals(t *testing.T) {
	n := start(t)
	if err := saramaAdmin(t, n, saramaConfig()).CreateTopic("orders", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	p, err := sarama.NewSyncProducer([]string{n.kafka}, saramaConfig(func(c *sarama.Config) { c.Producer.MaxMessageBytes = 10 << 20 }))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	base := time.Now().Add(-time.Hour)
	for i := range 10 {
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder(fmt.Sprint(i)), Timestamp: base.Add(time.Duration(i) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	client, err := sarama.NewClient([]string{n.kafka}, saramaConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if o, err := client.GetOffset("orders", 0, base.Add(5*time.Minute).UnixMilli()); err != nil || o != 5 {
		t.Errorf("offset by time: %d %v", o, err)
	}
	if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.ByteEncoder(make([]byte, 2<<20))}); !errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		t.Errorf("too large: %v", err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.ConsumePartition("orders", 0, 99); !errors.Is(err, sarama.ErrOffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
}

// scramClient is what sarama asks its users to write.
type scramClient struct {
	hash scram.HashGeneratorFcn
	conv *scram.ClientConversation
}

func (c *scramClient) Begin(userName, password, authzID string) error {
	cl, err := c.hash.NewClient(userName, password, authzID)
	if err == nil {
		c.conv = cl.NewConversation()
	}
	return err
}
func (c *scramClient) Step(challenge string) (string, error) { return c.conv.Step(challenge) }
func (c *scramClient) Done() bool                            { return c.conv.Done() }

func TestSarama_Login(t *testing.T) {
	n := start(t)
	n.addUser(t)
	for mechanism, hash := range map[sarama.SASLMechanism]func() hash.Hash{
		sarama.SASLTypePlaintext: nil, sarama.SASLTypeSCRAMSHA256: sha256.New, sarama.SASLTypeSCRAMSHA512: sha512.New,
	} {
		for _, version := range []int16{sarama.SASLHandshakeV0, sarama.SASLHandshakeV1} {
			if version == sarama.SASLHandshakeV0 && hash != nil {
				continue // sarama has no bare SCRAM tokens
			}
			t.Run(fmt.Sprint(mechanism, version), func(t *testing.T) {
				login := func(pass string) *sarama.Config {
					return saramaConfig(func(c *sarama.Config) {
						if version == sarama.SASLHandshakeV0 { // then it cannot ask for versions first
							c.ApiVersionsRequest, c.Version = false, sarama.V2_7_0_0
						}
						c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password, c.Net.SASL.Mechanism, c.Net.SASL.Version = true, user, pass, mechanism, version
						if hash != nil {
							c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: scram.HashGeneratorFcn(hash)} }
						}
					})
				}
				if err := saramaProduce(t, n, login(password), fmt.Sprint(mechanism, "-", version), 3); err != nil {
					t.Error(err)
				}
				if err := saramaProduce(t, n, login("wrong"), "x", 1); err == nil {
					t.Error("a wrong password was good enough")
				}
			})
		}
	}
}

func TestSarama_TLS(t *testing.T) {
	n := start(t, withTLS)
	c := saramaConfig(func(c *sarama.Config) { c.Net.TLS.Enable, c.Net.TLS.Config = true, n.tls() })
	if err := saramaProduce(t, n, c, "secret", 5); err != nil {
		t.Fatal(err)
	}
	saramaRead(t, n, c, "secret", sarama.OffsetOldest, 5)
}
