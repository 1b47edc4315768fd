package aws

import (
	"fmt"
	"strings"
	"testing"

	"leat/gateway/aws/wire"
)

// BenchmarkPublish publishes batches of ten messages of 1 KiB to a topic with so many queues.
func BenchmarkPublish(b *testing.B) {
	for _, queues := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("queues=%d", queues), func(b *testing.B) {
			s := start(b)
			topic := s.topic("orders")
			for i := range queues {
				s.queue(fmt.Sprint("q", i))
				s.subscribe(topic, fmt.Sprint("q", i))
			}
			in := batchOf(topic)
			b.ReportAllocs()
			for b.Loop() {
				does(s, wire.PublishBatch, in)
			}
			b.ReportMetric(float64(10*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func batchOf(topic string) wire.PublishBatchInput {
	in := wire.PublishBatchInput{TopicARN: topic}
	for i := range 10 {
		in.Entries = append(in.Entries, wire.PublishBatchEntry{ID: fmt.Sprint(i), Notice: wire.Notice{Message: strings.Repeat("x", 1024)}})
	}
	return in
}

// BenchmarkNotices receives and deletes what was published, ten at a time: as envelopes, signed or not, and bare.
func BenchmarkNotices(b *testing.B) {
	for _, kind := range []string{"signed", "unsigned", "raw"} {
		b.Run(kind, func(b *testing.B) {
			cfg := Default()
			cfg.UnsignedQueues = kind == "unsigned"
			s := startWith(b, cfg)
			raw := fmt.Sprint(kind == "raw")
			topic, url := s.topic("orders"), s.queue("jobs")
			s.subscribe(topic, "jobs", "RawMessageDelivery", raw)
			in := batchOf(topic)
			for b.Loop() {
				b.StopTimer()
				does(s, wire.PublishBatch, in)
				b.StartTimer()
				for n := 0; n < 10; {
					ms := s.receive(url, wait(1))
					var del wire.DeleteMessageBatchInput
					del.QueueURL = url
					for i, m := range ms {
						del.Entries = append(del.Entries, wire.DeleteMessageBatchEntry{ID: fmt.Sprint(i), ReceiptHandle: text(m, "ReceiptHandle")})
					}
					if len(ms) > 0 {
						ok(s, wire.DeleteMessageBatch, del)
					}
					n += len(ms)
				}
			}
			b.ReportMetric(float64(10*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
