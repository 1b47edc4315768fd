package kafka

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
)

// A record that a client delays is there for who reads the topic, is handed over by a subscription when its time has come, and can be cancelled until then.
func TestDelayedRecords(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "mails", 1)
	ctx, me := t.Context(), &broker.Caller{}
	if _, err := b.PutSubscription(ctx, me, "work", func(s *broker.SubscriptionConfig) error {
		s.Streams = []string{"mails"}
		return nil
	}, broker.Start{Kind: broker.StartEarliest}, broker.NewOnly); err != nil {
		t.Fatal(err)
	}
	batch := record.NewBuilder()
	for i, at := range []time.Duration{time.Hour, 0, 2 * time.Hour, -time.Hour} {
		r := record.Record{Timestamp: 1000, Value: []byte(strconv.Itoa(i))}
		if at != 0 {
			r.Headers = []record.Header{{Key: broker.HeaderDeliverAt, Value: strconv.AppendInt(nil, time.Now().Add(at).UnixMilli(), 10)}}
		}
		batch.Add(&r)
	}
	p, err := batch.Finish(nil, record.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	if r := ask[*kmsg.ProduceResponse](c, produceRequest("mails", -1, p), 9).Topics[0].Partitions[0]; r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	var got []string
	for len(got) < 2 {
		ds, err := b.Receive(ctx, me, "work", broker.ReceiveRequest{Max: 10, Wait: 20 * time.Second, Lease: time.Hour})
		if err != nil || len(ds) == 0 {
			t.Fatal(err, got)
		}
		for _, d := range ds {
			got = append(got, string(d.Record.Value))
		}
	}
	if len(got) != 2 || got[0] != "1" || got[1] != "3" {
		t.Fatalf("received %v", got)
	}
	out, err := b.Cancel(ctx, me, "work", []record.Ref{{Stream: "mails", Offset: 0}, {Stream: "mails", Offset: 0}, {Stream: "mails", Offset: 1}})
	if err != nil || out[0].String() != "done" || out[1].String() != "already" || out[2].String() != "lost" {
		t.Fatalf("cancel: %v %v", out, err)
	}
	f := ask[*kmsg.FetchResponse](c, fetchRequest("mails", 0, 0, 1), 12).Topics[0].Partitions[0]
	if f.ErrorCode != 0 || f.HighWatermark != 4 || len(f.RecordBatches) == 0 {
		t.Errorf("a reader sees %+v", f)
	}
}
