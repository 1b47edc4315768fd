package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
)

// A producer whose clock is further off than its topic lets it be is refused, by whatever of the three configs says so.
func TestTimestampLimits(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	produce := func(topic string, at time.Time) int16 {
		t.Helper()
		builder := record.NewBuilder()
		builder.Add(&record.Record{Timestamp: at.UnixMilli(), Value: []byte("v")})
		p, err := builder.Finish(nil, record.None)
		if err != nil {
			t.Fatal(err)
		}
		return ask[*kmsg.ProduceResponse](c, produceRequest(topic, -1, p), 9).Topics[0].Partitions[0].ErrorCode
	}
	const hour = "3600000"
	create(c, "any", 1)
	create(c, "past", 1, "message.timestamp.before.max.ms", hour)
	create(c, "ahead", 1, "message.timestamp.after.max.ms", hour)
	create(c, "both", 1, "message.timestamp.difference.max.ms", hour)
	create(c, "mixed", 1, "message.timestamp.difference.max.ms", hour, "message.timestamp.before.max.ms", "9223372036854775807")
	create(c, "append", 1, "message.timestamp.difference.max.ms", hour, "message.timestamp.type", "LogAppendTime")
	now := time.Now()
	for _, x := range []struct {
		topic              string
		ago, now, inFuture int16
	}{
		{"any", 0, 0, 0},
		{"past", codeInvalidTimestamp, 0, 0},
		{"ahead", 0, 0, codeInvalidTimestamp},
		{"both", codeInvalidTimestamp, 0, codeInvalidTimestamp},
		{"mixed", 0, 0, codeInvalidTimestamp},
		{"append", 0, 0, 0},
	} {
		if got := [3]int16{produce(x.topic, now.Add(-2*time.Hour)), produce(x.topic, now), produce(x.topic, now.Add(2*time.Hour))}; got != [3]int16{x.ago, x.now, x.inFuture} {
			t.Errorf("%s: %v", x.topic, got)
		}
	}
	old := broker.EventEntry{Stream: "both", Record: record.Record{Value: []byte("v"), Timestamp: now.Add(-2 * time.Hour).UnixMilli()}}
	if _, err := b.AppendEvents(t.Context(), &broker.Caller{}, broker.EventsAppend{Events: []broker.EventEntry{old}}); err == nil {
		t.Error("an event that comes in otherwise is taken")
	}
}
