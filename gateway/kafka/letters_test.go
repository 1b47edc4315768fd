package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
)

// letterBatch is what a consumer sends that gives records up: "orders/0/1 reason", or a record like any other.
func letterBatch(t *testing.T, codec record.Codec, producer int64, texts ...string) []byte {
	t.Helper()
	b := record.NewBuilder()
	for _, text := range texts {
		r := record.Record{Timestamp: 1000, Value: []byte("v")}
		if ref, reason, ok := strings.Cut(text, " "); ok {
			r.Headers = []record.Header{{Key: broker.HeaderDeadLetter, Value: []byte(ref)}, {Key: broker.HeaderReason, Value: []byte(reason)}}
		}
		b.Add(&r)
	}
	p, err := b.Finish(nil, codec)
	if err != nil {
		t.Fatal(err)
	}
	if producer >= 0 {
		return withProducer(p, producer, 0, 0)
	}
	return p
}

func TestLetters(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "orders", 2)
	create(c, "billing.dead-letters", 1)
	if r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, letterBatch(t, record.Zstd, -1, "a", "b", "c")), 9).Topics[0].Partitions[0]; r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	send := func(topic string, batches ...[]byte) []kmsg.ProduceResponseTopicPartition {
		t.Helper()
		return ask[*kmsg.ProduceResponse](c, produceRequest(topic, -1, batches...), 9).Topics[0].Partitions
	}
	if r := send("billing.dead-letters", letterBatch(t, record.None, -1, "orders/0/1 x"))[0]; r.ErrorCode != codeInvalidRecord || !strings.Contains(*r.ErrorMessage, "billing") {
		t.Errorf("no such group: %+v", r)
	}
	me := &broker.Caller{}
	_, err := b.PutSubscription(context.Background(), me, "billing", func(s *broker.SubscriptionConfig) error {
		s.Policy.Kind = broker.SubscriptionCursor
		return nil
	}, broker.Start{Kind: broker.StartEarliest}, broker.NewOnly)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // sent again, because the answer was lost
		for _, codec := range []record.Codec{record.None, record.Zstd} {
			if r := send("billing.dead-letters", letterBatch(t, codec, 4711, "orders/0/1 no such customer", "orders/0/2 late"))[0]; r.ErrorCode != 0 || r.BaseOffset != 0 {
				t.Fatalf("%+v", r)
			}
		}
	}
	ls, _, _, err := b.DeadLetters(context.Background(), me, "billing", broker.Start{}, 100)
	if err != nil || len(ls) != 2 || ls[0].Reason != "no such customer" || ls[0].Origin.String() != "orders/0/1" || ls[1].Reason != "late" {
		t.Fatalf("%+v %v", ls, err)
	}
	for _, bad := range [][]string{{"orders/0/9 x"}, {"orders/7/0 x"}, {"none/0/0 x"}, {"orders x"}, {"orders/0/1 x", "plain"}, {"billing.dead-letters/0/0 x"}} {
		if r := send("billing.dead-letters", letterBatch(t, record.None, -1, bad...))[0]; r.ErrorCode != codeInvalidRecord || r.ErrorMessage == nil {
			t.Errorf("%v: %+v", bad, r)
		}
	}
	// Records without the header are the topic's own, before and behind such in one request; elsewhere the header says nothing.
	create(c, "both.dead-letters", 3)
	if _, err := b.PutSubscription(context.Background(), me, "both", func(s *broker.SubscriptionConfig) error {
		s.Policy.Kind = broker.SubscriptionCursor
		return nil
	}, broker.Start{Kind: broker.StartEarliest}, broker.NewOnly); err != nil {
		t.Fatal(err)
	}
	rs := send("both.dead-letters", letterBatch(t, record.None, -1, "p"), letterBatch(t, record.None, -1, "orders/0/0 x"), letterBatch(t, record.None, -1, "q", "r"))
	var got []string
	for _, r := range rs {
		got = append(got, fmt.Sprint(r.Partition, r.ErrorCode))
	}
	if fmt.Sprint(got) != "[0 0 1 0 2 0]" {
		t.Errorf("%v %+v", got, rs)
	}
	if r := send("orders", letterBatch(t, record.None, -1, "orders/0/1 x"))[0]; r.ErrorCode != 0 || r.BaseOffset != 3 {
		t.Errorf("%+v", r)
	}
}
