package kafka

import (
	"strconv"
	"strings"
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
	create(c, "default", 1)
	create(c, "any", 1, timeAhead, timeAny)
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
		{"default", 0, 0, codeInvalidTimestamp},
		{"any", 0, 0, 0},
		{"past", codeInvalidTimestamp, 0, codeInvalidTimestamp},
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

// What the configs show is what holds: Kafka's hour for topics of its clients, any time for streams that came about otherwise or before there was a default.
func TestTimestampConfigs(t *testing.T) {
	g := New(newBroker(t, 1), Default())
	set := func(c *broker.StreamConfig, name, value string) { setTopicConfig(c, name, &value) }
	for name, x := range map[string]struct {
		native      bool
		change      func(c *broker.StreamConfig)
		past, ahead int64
		show        string // before, after, each with its own: whether it is the topic's
	}{
		"born":            {false, func(*broker.StreamConfig) {}, 0, 3_600_000, timeAny + " false 3600000 false"},
		"native":          {true, func(*broker.StreamConfig) {}, 0, 0, timeAny + " false " + timeAny + " false"},
		"before defaults": {false, func(c *broker.StreamConfig) { c.TimeAheadMSMax = 0 }, 0, 0, timeAny + " false " + timeAny + " false"},
		"any":             {false, func(c *broker.StreamConfig) { set(c, timeAhead, timeAny) }, 0, 0, timeAny + " false " + timeAny + " true"},
		"any, unset":      {false, func(c *broker.StreamConfig) { set(c, timeAhead, timeAny); setTopicConfig(c, timeAhead, nil) }, 0, 3_600_000, timeAny + " false 3600000 false"},
		"not at all":      {false, func(c *broker.StreamConfig) { set(c, timeAhead, "0") }, 0, 1, timeAny + " false 0 true"},
		"older name":      {false, func(c *broker.StreamConfig) { set(c, timeOff, "7") }, 7, 7, "7 true 7 true"},
		"both names":      {false, func(c *broker.StreamConfig) { set(c, timeOff, "7"); set(c, timePast, "8") }, 8, 7, "8 true 7 true"},
		"elsewhere":       {true, func(c *broker.StreamConfig) { c.TimePastMSMax, c.TimeAheadMSMax = 5, 6 }, 5, 6, "5 true 6 true"},
		"set, elsewhere":  {false, func(c *broker.StreamConfig) { set(c, timeAhead, "5"); c.TimeAheadMSMax = 6 }, 0, 6, timeAny + " false 6 true"},
		"all taken back":  {false, func(c *broker.StreamConfig) { set(c, timeOff, "7"); c.TimePastMSMax = 9; clearTopicConfigs(c) }, 0, 3_600_000, timeAny + " false 3600000 false"},
	} {
		c := g.newStream(1)
		if x.native {
			c = broker.StreamConfig{Documents: map[string]string{}}
		}
		x.change(&c)
		if c.TimePastMSMax != x.past || c.TimeAheadMSMax != x.ahead {
			t.Errorf("%s: %d ms ago and %d ahead are taken, want %d and %d", name, c.TimePastMSMax, c.TimeAheadMSMax, x.past, x.ahead)
		}
		var show []string
		for _, n := range []string{timePast, timeAhead} {
			key, _ := findConfig(n)
			value, own := topicConfig(&c, key)
			show = append(show, value, strconv.FormatBool(own))
		}
		if got := strings.Join(show, " "); got != x.show {
			t.Errorf("%s: shows %s, want %s", name, got, x.show)
		}
	}
}
