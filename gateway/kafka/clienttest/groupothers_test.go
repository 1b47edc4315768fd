package clienttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
)

// saramaReader counts what a member reads, and marks it.
type saramaReader struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (*saramaReader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*saramaReader) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *saramaReader) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for m := range c.Messages() {
		r.mu.Lock()
		r.seen[string(m.Value)] = true
		r.mu.Unlock()
		s.MarkMessage(m, "")
	}
	return nil
}

func (r *saramaReader) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func TestSarama_Group(t *testing.T) {
	n := start(t, withQuickGroups)
	adm := franzCreate(t, n, "orders", 4)
	franzProduce(t, n, "orders", 4, 0, 100)
	for _, strategy := range []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategyRoundRobin(), sarama.NewBalanceStrategySticky()} {
		t.Run(strategy.Name(), func(t *testing.T) {
			id := "sarama-" + strategy.Name()
			r := &saramaReader{seen: map[string]bool{}}
			ctx, cancel := context.WithCancel(t.Context())
			var members sync.WaitGroup
			for range 2 {
				c := saramaConfig(func(c *sarama.Config) {
					c.Consumer.Offsets.Initial = sarama.OffsetOldest
					c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
					c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
					c.Consumer.Return.Errors = false
				})
				g, err := sarama.NewConsumerGroup([]string{n.kafka}, id, c)
				if err != nil {
					t.Fatal(err)
				}
				members.Go(func() {
					defer g.Close()
					for ctx.Err() == nil {
						_ = g.Consume(ctx, []string{"orders"}, r)
					}
				})
			}
			until(t, "all is read", func() bool { return r.len() == 100 })
			cancel()
			members.Wait()
			os, err := adm.FetchOffsets(patience(t), id)
			if err != nil {
				t.Fatal(err)
			}
			for p := range int32(4) {
				if os["orders"][p].At != 25 {
					t.Errorf("partition %d at %d", p, os["orders"][p].At)
				}
			}
		})
	}
}

func TestKafkaGo_Group(t *testing.T) {
	n := start(t, withQuickGroups)
	adm := franzCreate(t, n, "orders", 4)
	franzProduce(t, n, "orders", 4, 0, 100)
	reader := func() *kafka.Reader {
		return kafka.NewReader(kafka.ReaderConfig{
			Brokers: []string{n.kafka}, Topic: "orders", GroupID: "kafka-go", StartOffset: kafka.FirstOffset, MaxWait: kafkaGoWait, HeartbeatInterval: 300 * time.Millisecond,
			JoinGroupBackoff: 100 * time.Millisecond,
		})
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	for range 2 {
		r := reader()
		members.Go(func() {
			defer r.Close()
			for {
				m, err := r.ReadMessage(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				seen[string(m.Value)] = true
				mu.Unlock()
			}
		})
	}
	until(t, "all is read", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == 100 })
	cancel()
	members.Wait()
	os, err := adm.FetchOffsets(patience(t), "kafka-go")
	if err != nil || os["orders"][0].At != 25 || len(os["orders"]) != 4 {
		t.Fatalf("%v %+v", err, os)
	}
}

func TestKafkaJS_Group(t *testing.T) {
	dir := os.Getenv("KAFKAJS")
	if dir == "" {
		t.Skip("kafkajs is not here: npm install kafkajs in a folder, and set KAFKAJS to that")
	}
	bin, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not here: install Node.js")
	}
	n := start(t, withQuickGroups)
	t.Setenv("NODE_PATH", filepath.Join(dir, "node_modules"))
	out, err := run(t, "", bin, "groups.js", n.kafka)
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
}

func TestKafkaPython_Group(t *testing.T) {
	python := os.Getenv("KAFKA_PYTHON")
	if python == "" {
		t.Skip("kafka-python is not here: set KAFKA_PYTHON to a python that can import kafka")
	}
	n := start(t, withQuickGroups)
	out, err := run(t, "", python, "groups.py", n.kafka)
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
}
