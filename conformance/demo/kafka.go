package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transform is a Kafka client that reads one stream from now on and writes to another: what f makes of each event. Partitions are read
// directly, without a group.
func transform(ctx context.Context, o options, s *status, from, to string, f func(data []byte) (key, kind string, out any, err error)) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(o.kafka), kgo.ClientID("shop-"+to),
		kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := again(ctx, "reach Kafka at "+o.kafka, func() error { return client.Ping(ctx) }); err != nil {
		return err
	}
	s.ready.Store(true)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() { // franz-go goes on by itself
			fmt.Fprintf(os.Stderr, "read %s/%d: %v\n", e.Topic, e.Partition, e.Err)
		}
		var out []*kgo.Record
		for r := range fetches.RecordsAll() {
			key, kind, data, err := f(r.Value)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s/%d/%d is not understood: %v\n", r.Topic, r.Partition, r.Offset, err)
				continue
			}
			if data == nil {
				continue
			}
			value, err := json.Marshal(data)
			if err != nil {
				return err
			}
			out = append(out, &kgo.Record{Topic: to, Key: []byte(key), Value: value, Headers: cloudEvent(kind, key)})
		}
		if err := client.ProduceSync(ctx, out...).FirstErr(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("write to %s: %w", to, err)
		}
		s.count.Add(uint64(len(out)))
	}
}

// cloudEvent is what makes a Kafka record a CloudEvent: the Kafka binding in binary mode.
func cloudEvent(kind, key string) []kgo.RecordHeader {
	var h []kgo.RecordHeader
	for _, kv := range [][2]string{
		{"ce_specversion", "1.0"}, {"ce_id", kind + "-" + key}, {"ce_source", "/shop"}, {"ce_type", kind}, {"content-type", "application/json"},
	} {
		h = append(h, kgo.RecordHeader{Key: kv[0], Value: []byte(kv[1])})
	}
	return h
}

// payments accepts or declines orders.
func payments(ctx context.Context, o options, s *status) error {
	declined := 0
	return transform(ctx, o, s, "orders", "payments", func(data []byte) (string, string, any, error) {
		var ord order
		if err := json.Unmarshal(data, &ord); err != nil {
			return "", "", nil, err
		}
		p := pay(ord)
		if p.Accepted {
			return p.Order, "shop.payment.accepted", p, nil
		}
		declined++
		s.says("(%d declined)", declined)
		return p.Order, "shop.payment.declined", p, nil
	})
}

// shipments sends what is paid.
func shipments(ctx context.Context, o options, s *status) error {
	return transform(ctx, o, s, "payments", "shipments", func(data []byte) (string, string, any, error) {
		var p payment
		if err := json.Unmarshal(data, &p); err != nil {
			return "", "", nil, err
		}
		sh, ok := ship(p)
		if !ok {
			return "", "", nil, nil
		}
		return sh.Order, "shop.shipment.sent", sh, nil
	})
}
