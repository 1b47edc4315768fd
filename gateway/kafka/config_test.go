package kafka

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

func topicOf(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		cf := kmsg.NewCreateTopicsRequestTopicConfig()
		cf.Name, cf.Value = configs[i], &configs[i+1]
		rt.Configs = append(rt.Configs, cf)
	}
	return rt
}

func TestCreateTopics(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "there", 1)
	three := topicOf("three", 3)
	three.ReplicationFactor = 3
	assigned := topicOf("assigned", -1)
	assigned.ReplicationFactor = -1
	assigned.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{1}}, {Partition: 0, Replicas: []int32{1}}}
	gap := topicOf("gap", -1)
	gap.ReplicationFactor = -1
	gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 2, Replicas: []int32{1}}}
	noReplicas := topicOf("none", 1)
	noReplicas.ReplicationFactor = 0
	for _, x := range []struct {
		topic      kmsg.CreateTopicsRequestTopic
		code       int16
		partitions int32
		says       string
	}{
		{topicOf("plain", 2), 0, 2, ""},
		{topicOf("default", -1), 0, 1, ""},
		{three, 0, 3, ""},
		{assigned, 0, 2, ""},
		{gap, codeInvalidAssignment, -1, "0, 1, 2"},
		{noReplicas, codeInvalidReplication, -1, "replication factor"},
		{topicOf("there", 1), codeTopicExists, -1, "there"},
		{topicOf("a/b", 1), codeInvalidTopic, -1, "'/'"},
		{topicOf("", 1), codeInvalidTopic, -1, "empty"},
		{topicOf("zero", 0), codeInvalidPartitions, -1, "from 1"},
		{topicOf("many", 1<<20), codeInvalidPartitions, -1, "from 1"},
		{topicOf("typo", 1, "retention.mss", "1"), codeInvalidConfig, -1, `"retention.ms"`},
		{topicOf("value", 1, "retention.ms", "soon"), codeInvalidConfig, -1, "number"},
		{topicOf("policy", 1, "cleanup.policy", "shred"), codeInvalidConfig, -1, "compact, delete"},
		{topicOf("lags", 1, "min.compaction.lag.ms", "10", "max.compaction.lag.ms", "9"), codeInvalidConfig, -1, "compaction_max_lag_ms"},
		{topicOf("huge", 1, "max.message.bytes", "2000000000"), codeInvalidConfig, -1, "batch_bytes_max"},
	} {
		for v := range int16(8) {
			q := kmsg.NewPtrCreateTopicsRequest()
			q.Topics = []kmsg.CreateTopicsRequestTopic{x.topic}
			if x.code == 0 && (v < 4 && x.topic.NumPartitions == -1 && x.topic.ReplicaAssignment == nil) {
				continue // older clients cannot ask for the default
			}
			r := ask[*kmsg.CreateTopicsResponse](c, q, v).Topics[0]
			if r.ErrorCode != x.code || v >= 1 && x.says != "" && (r.ErrorMessage == nil || !strings.Contains(*r.ErrorMessage, x.says)) {
				t.Errorf("%q version %d: %d %v; want %d, saying %q", x.topic.Topic, v, r.ErrorCode, str(r.ErrorMessage), x.code, x.says)
			}
			if v >= 5 && (r.NumPartitions != x.partitions || r.Configs == nil) {
				t.Errorf("%q version %d: %d partitions, configs %v", x.topic.Topic, v, r.NumPartitions, r.Configs)
			}
			if r.ErrorCode == 0 {
				if err := b.DeleteStream(t.Context(), &broker.Caller{}, x.topic.Topic); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	q := kmsg.NewPtrCreateTopicsRequest()
	q.ValidateOnly = true
	q.Topics = []kmsg.CreateTopicsRequestTopic{topicOf("only", 1)}
	if r := ask[*kmsg.CreateTopicsResponse](c, q, 5).Topics[0]; r.ErrorCode != 0 {
		t.Errorf("validate: %d", r.ErrorCode)
	}
	if _, err := b.DescribeStream(t.Context(), &broker.Caller{}, "only"); err == nil {
		t.Error("validating made it")
	}
	q.ValidateOnly = false
	q.Topics = append(q.Topics, topicOf("only", 2), topicOf("other", 1))
	rs := ask[*kmsg.CreateTopicsResponse](c, q, 5).Topics
	if rs[0].ErrorCode != codeInvalidRequest || rs[1].ErrorCode != codeInvalidRequest || rs[2].ErrorCode != 0 {
		t.Errorf("twice in one request: %d %d, beside it %d", rs[0].ErrorCode, rs[1].ErrorCode, rs[2].ErrorCode)
	}
}

func str(s *string) string {
	if s == nil {
		return "(null)"
	}
	return *s
}

// Partitions that are assigned by hand are this node's: a broker that is not there is refused, as is a number of lines that is not that of new partitions.
func TestAssignments(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "orders", 1)
	here, nowhere := []int32{b.NodeID()}, []int32{b.NodeID() + 9}
	for _, x := range []struct {
		assigned [][]int32
		code     int16
	}{
		{[][]int32{nowhere}, codeInvalidAssignment},
		{[][]int32{here}, codeInvalidAssignment},
		{[][]int32{here, nowhere}, codeInvalidAssignment},
		{[][]int32{here, append(slices.Clone(here), nowhere...)}, codeInvalidAssignment},
		{[][]int32{here, {}}, codeInvalidAssignment},
		{[][]int32{here, here}, codeNone},
	} {
		for _, only := range []bool{true, false} {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.ValidateOnly = only
			rt := kmsg.NewCreatePartitionsRequestTopic()
			rt.Topic, rt.Count = "orders", 3
			for _, r := range x.assigned {
				rt.Assignment = append(rt.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: r})
			}
			q.Topics = append(q.Topics, rt)
			if r := ask[*kmsg.CreatePartitionsResponse](c, q, 3).Topics[0]; r.ErrorCode != x.code {
				t.Errorf("%v: %d %s", x.assigned, r.ErrorCode, str(r.ErrorMessage))
			}
		}
	}
	q := kmsg.NewPtrCreateTopicsRequest()
	topic := topicOf("elsewhere", -1)
	topic.ReplicationFactor = -1
	topic.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: nowhere}}
	q.Topics = append(q.Topics, topic)
	if r := ask[*kmsg.CreateTopicsResponse](c, q, 5).Topics[0]; r.ErrorCode != codeInvalidAssignment {
		t.Errorf("a topic at a broker that is not there: %d %s", r.ErrorCode, str(r.ErrorMessage))
	}
}

func TestDeleteTopicsAndCreatePartitions(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for v := range int16(6) {
		create(c, "orders", 1)
		q := kmsg.NewPtrDeleteTopicsRequest()
		q.TopicNames = []string{"orders", "nope"}
		r := ask[*kmsg.DeleteTopicsResponse](c, q, v)
		if r.Topics[0].ErrorCode != 0 || r.Topics[1].ErrorCode != codeUnknownPartition {
			t.Errorf("version %d: %d %d", v, r.Topics[0].ErrorCode, r.Topics[1].ErrorCode)
		}
	}
	create(c, "orders", 1)
	for v := range int16(4) {
		for _, x := range []struct {
			name  string
			count int32
			only  bool
			code  int16
		}{
			{"orders", int32(v) + 2, true, 0}, {"orders", int32(v) + 2, false, 0}, {"orders", 1, false, codeInvalidPartitions},
			{"orders", 1 << 20, false, codeInvalidPartitions}, {"nope", 3, false, codeUnknownPartition},
		} {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.ValidateOnly = x.only
			rt := kmsg.NewCreatePartitionsRequestTopic()
			rt.Topic, rt.Count = x.name, x.count
			q.Topics = append(q.Topics, rt)
			if r := ask[*kmsg.CreatePartitionsResponse](c, q, v).Topics[0]; r.ErrorCode != x.code {
				t.Errorf("version %d %+v: %d %s", v, x, r.ErrorCode, str(r.ErrorMessage))
			}
		}
	}
	m := kmsg.NewPtrMetadataRequest()
	if r := ask[*kmsg.MetadataResponse](c, m, 9); len(r.Topics[0].Partitions) != 5 {
		t.Errorf("%d partitions", len(r.Topics[0].Partitions))
	}
}

// configs asks for a topic's configs.
func configs(c *client, name string, version int16) map[string]kmsg.DescribeConfigsResponseResourceConfig {
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.IncludeSynonyms, q.IncludeDocumentation = true, true
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, name
	q.Resources = append(q.Resources, res)
	r := ask[*kmsg.DescribeConfigsResponse](c, q, version).Resources[0]
	if r.ErrorCode != 0 {
		c.t.Fatalf("describe %s: %d %s", name, r.ErrorCode, str(r.ErrorMessage))
	}
	m := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, x := range r.Configs {
		m[x.Name] = x
	}
	return m
}

// Synonyms are, as of Apache Kafka, the topic's own name where it was set, and behind it the broker's for the default.
func TestConfigs_SynonymsAreNamedAsOnABroker(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 1, "cleanup.policy", "compact")
	m := configs(c, "orders", 4)
	for name, want := range map[string][]string{
		"cleanup.policy": {"cleanup.policy", "log.cleanup.policy"}, "max.message.bytes": {"message.max.bytes"}, "segment.index.bytes": {"log.index.size.max.bytes"},
		"compression.type": {"compression.type"}, "min.insync.replicas": {"min.insync.replicas"},
	} {
		var got []string
		for _, x := range m[name].ConfigSynonyms {
			got = append(got, x.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name := range nodeNames {
		if k, _ := findConfig(name); k == nil {
			t.Errorf("%s is no topic config", name)
		}
	}
}

func TestConfigs(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "orders", 1, "cleanup.policy", "compact", "retention.ms", "1000", "message.timestamp.type", "LogAppendTime", "max.message.bytes", "2048")
	stream := func() broker.StreamConfig {
		info, err := b.DescribeStream(t.Context(), &broker.Caller{}, "orders")
		if err != nil {
			t.Fatal(err)
		}
		return info.Config
	}
	if s := stream(); s.Keys != broker.KeysLatest || s.TimeOf != broker.TimeOfAppend || s.BatchBytesMax != 2048 {
		t.Fatalf("made as %+v", s)
	}
	for v := range int16(5) {
		m := configs(c, "orders", v)
		if len(m) != len(configKeys)-len(bygone) || str(m["retention.ms"].Value) != "1000" || str(m["segment.ms"].Value) != "604800000" {
			t.Errorf("version %d: %d configs, retention %s", v, len(m), str(m["retention.ms"].Value))
		}
		if x := m["retention.ms"]; v >= 1 && (x.Source != kmsg.ConfigSourceDynamicTopicConfig || len(x.ConfigSynonyms) != 2) {
			t.Errorf("version %d: %+v", v, x)
		}
		if x := m["segment.ms"]; v >= 3 && (x.Source != kmsg.ConfigSourceDefaultConfig || x.ConfigType != kmsg.ConfigTypeLong || x.Documentation == nil) {
			t.Errorf("version %d: %+v", v, x)
		}
	}
	alter := func(op kmsg.IncrementalAlterConfigOp, name, value string) (int16, string) {
		q := kmsg.NewPtrIncrementalAlterConfigsRequest()
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, "orders"
		cf := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		cf.Name, cf.Op = name, op
		if value != "" {
			cf.Value = &value
		}
		res.Configs = append(res.Configs, cf)
		q.Resources = append(q.Resources, res)
		r := ask[*kmsg.IncrementalAlterConfigsResponse](c, q, 1).Resources[0]
		return r.ErrorCode, str(r.ErrorMessage)
	}
	for _, x := range []struct {
		op          kmsg.IncrementalAlterConfigOp
		name, value string
		code        int16
		now         string
	}{
		{kmsg.IncrementalAlterConfigOpSet, "retention.ms", "5", 0, "5"},
		{kmsg.IncrementalAlterConfigOpDelete, "retention.ms", "", 0, "604800000"},
		{kmsg.IncrementalAlterConfigOpAppend, "cleanup.policy", "delete", 0, "compact,delete"},
		{kmsg.IncrementalAlterConfigOpSubtract, "cleanup.policy", "compact", 0, "delete"},
		{kmsg.IncrementalAlterConfigOpAppend, "retention.ms", "5", codeInvalidConfig, "604800000"},
		{kmsg.IncrementalAlterConfigOpSet, "retention.ms", "", codeInvalidConfig, "604800000"},
		{9, "retention.ms", "5", codeInvalidRequest, "604800000"},
		{kmsg.IncrementalAlterConfigOpDelete, "message.timestamp.type", "", 0, "CreateTime"},
		{kmsg.IncrementalAlterConfigOpSet, "max.message.bytes", "4096", 0, "4096"},
	} {
		code, text := alter(x.op, x.name, x.value)
		if code != x.code {
			t.Errorf("%+v: %d %s", x, code, text)
		}
		if got := str(configs(c, "orders", 4)[x.name].Value); got != x.now {
			t.Errorf("%+v: now %s", x, got)
		}
	}
	if code, text := alter(kmsg.IncrementalAlterConfigOpSet, "clean.policy", "x"); code != codeInvalidConfig || !strings.Contains(text, "cleanup.policy") {
		t.Errorf("unknown config: %d %s", code, text)
	}
	if s := stream(); s.Keys != broker.KeysOff || s.TimeOf != broker.TimeOfProducer || s.BatchBytesMax != 4096 {
		t.Errorf("altered to %+v", s)
	}
	for v := range int16(3) { // AlterConfigs replaces everything
		q := kmsg.NewPtrAlterConfigsRequest()
		res := kmsg.NewAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, "orders"
		res.Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: "segment.ms", Value: new("77")}}
		q.Resources = append(q.Resources, res)
		if r := ask[*kmsg.AlterConfigsResponse](c, q, v).Resources[0]; r.ErrorCode != 0 {
			t.Errorf("version %d: %d %s", v, r.ErrorCode, str(r.ErrorMessage))
		}
		if m := configs(c, "orders", 4); str(m["segment.ms"].Value) != "77" || str(m["max.message.bytes"].Value) != "1048588" {
			t.Errorf("version %d: %s %s", v, str(m["segment.ms"].Value), str(m["max.message.bytes"].Value))
		}
	}
}

// What a stream keeps and the configs that speak of it agree, whoever has set either.
func TestConfigs_Retention(t *testing.T) {
	const week = 604_800_000
	set := func(c *broker.StreamConfig, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			value := &pairs[i+1]
			if *value == "unset" {
				value = nil
			}
			setTopicConfig(c, pairs[i], value)
		}
	}
	g := New(newBroker(t, 1), Default())
	for name, x := range map[string]struct {
		change    func(c *broker.StreamConfig)
		native    bool
		ms, bytes int64
		show      string // policy, ms, bytes
	}{
		"born":            {func(c *broker.StreamConfig) {}, false, 0, 0, "delete 604800000 -1"},
		"native":          {func(c *broker.StreamConfig) {}, true, 0, 0, "delete -1 -1"},
		"ms":              {func(c *broker.StreamConfig) { set(c, "retention.ms", "1000") }, false, 1000, 0, "delete 1000 -1"},
		"at once":         {func(c *broker.StreamConfig) { set(c, "retention.ms", "0") }, false, 1, 0, "delete 0 -1"},
		"for ever":        {func(c *broker.StreamConfig) { set(c, "retention.ms", "-1") }, false, -1, 0, "delete -1 -1"},
		"nearly for ever": {func(c *broker.StreamConfig) { set(c, "retention.ms", "9223372036854775807") }, false, -1, 0, "delete 9223372036854775807 -1"},
		"bytes":           {func(c *broker.StreamConfig) { set(c, "retention.bytes", "99") }, false, 0, 99, "delete 604800000 99"},
		"set and unset":   {func(c *broker.StreamConfig) { set(c, "retention.ms", "1", "retention.ms", "unset") }, false, 0, 0, "delete 604800000 -1"},
		"compacted":       {func(c *broker.StreamConfig) { set(c, "cleanup.policy", "compact", "retention.ms", "1000") }, false, -1, -1, "compact 1000 -1"},
		"no longer": {func(c *broker.StreamConfig) {
			set(c, "cleanup.policy", "compact", "retention.ms", "1000", "cleanup.policy", "delete")
		}, false, 1000, 0, "delete 1000 -1"},
		"both":                  {func(c *broker.StreamConfig) { set(c, "cleanup.policy", "compact,delete") }, false, week, 0, "compact,delete 604800000 -1"},
		"both, for ever":        {func(c *broker.StreamConfig) { set(c, "cleanup.policy", "delete,compact", "retention.ms", "-1") }, false, -1, 0, "delete,compact -1 -1"},
		"set elsewhere":         {func(c *broker.StreamConfig) { c.RetentionMS, c.RetentionBytes = 7, 8 }, true, 7, 8, "delete 7 8"},
		"changed elsewhere":     {func(c *broker.StreamConfig) { set(c, "retention.ms", "1000"); c.RetentionMS = 7 }, false, 7, 0, "delete 7 -1"},
		"latest elsewhere":      {func(c *broker.StreamConfig) { c.Keys = broker.KeysLatest }, true, 0, 0, "compact -1 -1"},
		"latest with a limit":   {func(c *broker.StreamConfig) { c.Keys, c.RetentionMS = broker.KeysLatest, 7 }, true, 7, 0, "compact,delete 7 -1"},
		"compacted and limited": {func(c *broker.StreamConfig) { set(c, "cleanup.policy", "compact"); c.RetentionMS = 7 }, false, 7, -1, "compact,delete 7 -1"},
		"set before it counted": {func(c *broker.StreamConfig) { c.Documents["kafka.retention.ms"] = "1000" }, false, 0, 0, "delete 1000 -1"},
	} {
		c := g.newStream(1)
		if x.native {
			c = broker.StreamConfig{Keys: broker.KeysHistory, Documents: map[string]string{}}
		}
		x.change(&c)
		if c.RetentionMS != x.ms || c.RetentionBytes != x.bytes {
			t.Errorf("%s: keeps %d ms and %d bytes, want %d and %d", name, c.RetentionMS, c.RetentionBytes, x.ms, x.bytes)
		}
		var show []string
		for _, k := range []string{"cleanup.policy", "retention.ms", "retention.bytes"} {
			key, _ := findConfig(k)
			value, _ := topicConfig(&c, key)
			show = append(show, value)
		}
		if got := strings.Join(show, " "); got != x.show {
			t.Errorf("%s: shows %s, want %s", name, got, x.show)
		}
		before := c
		clearTopicConfigs(&c)
		if c.RetentionMS > 0 || c.RetentionBytes > 0 || c.Keys == broker.KeysLatest {
			t.Errorf("%s: cleared, it is %+v; it was %+v", name, c, before)
		}
	}
	c := g.newStream(1)
	set(&c, "cleanup.policy", "compact", "delete.retention.ms", "0", "min.compaction.lag.ms", "77")
	if c.TombstoneRetentionMS != 1 || c.CompactionLagMS != 77 {
		t.Errorf("compaction: %+v", c.Keep)
	}
	for k, want := range map[string]string{"delete.retention.ms": "0", "min.compaction.lag.ms": "77"} {
		key, _ := findConfig(k)
		if value, own := topicConfig(&c, key); value != want || !own {
			t.Errorf("%s shows %s, %v", k, value, own)
		}
	}
	c.TombstoneRetentionMS, c.CompactionLagMS = 5, 0
	for k, want := range map[string]string{"delete.retention.ms": "5", "min.compaction.lag.ms": "0"} {
		key, _ := findConfig(k)
		if value, _ := topicConfig(&c, key); value != want {
			t.Errorf("changed elsewhere, %s shows %s", k, value)
		}
	}
}

// What says when a topic is compacted means something where it is set, and only there.
func TestConfigs_CompactionByAge(t *testing.T) {
	g := New(newBroker(t, 1), Default())
	const never = "9223372036854775807"
	for _, x := range []struct {
		name, value string
		want        broker.Keep
	}{
		{"max.compaction.lag.ms", "77", broker.Keep{CompactionMaxLagMS: 77}},
		{"max.compaction.lag.ms", never, broker.Keep{}},
		{"segment.ms", "77", broker.Keep{CompactionTailMS: 77}},
		{"segment.ms", never, broker.Keep{}},
		{"segment.bytes", "1048576", broker.Keep{CompactionTailBytes: 1 << 20}},
		{"min.cleanable.dirty.ratio", "0.01", broker.Keep{CompactionRatio: 0.01}},
		{"min.cleanable.dirty.ratio", "0", broker.Keep{CompactionRatio: 1e-6}},
		{"min.cleanable.dirty.ratio", "1.0", broker.Keep{CompactionRatio: 1}},
	} {
		c := g.newStream(1)
		key, _ := findConfig(x.name)
		if value, own := topicConfig(&c, key); value != key.value || own {
			t.Errorf("%s shows %s, %v, before it is set", x.name, value, own)
		}
		setTopicConfig(&c, x.name, &x.value)
		if value, own := topicConfig(&c, key); value != x.value || !own || c.Keep != x.want {
			t.Errorf("%s: %+v, shown as %s, %v", x.name, c.Keep, value, own)
		}
		setTopicConfig(&c, x.name, nil)
		if value, own := topicConfig(&c, key); value != key.value || own || c.Keep != (broker.Keep{}) {
			t.Errorf("%s taken away: %+v, shown as %s, %v", x.name, c.Keep, value, own)
		}
		// Changed elsewhere, it shows what holds.
		setTopicConfig(&c, x.name, &x.value)
		c.Keep = broker.Keep{CompactionMaxLagMS: 5, CompactionTailMS: 5, CompactionTailBytes: 5, CompactionRatio: 0.5}
		if value, own := topicConfig(&c, key); !strings.HasSuffix(value, "5") || !own {
			t.Errorf("%s changed elsewhere shows %s, %v", x.name, value, own)
		}
	}
}

func TestDeleteRecords(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "orders", 2)
	for range 2 {
		ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, batch(t, "a", "b", "c")), 9)
	}
	cut := func(version int16, topic string, partition int32, offset int64) (int64, int16) {
		q := kmsg.NewPtrDeleteRecordsRequest()
		q.TimeoutMillis = 1000
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = partition, offset
		rt.Partitions = append(rt.Partitions, rp)
		q.Topics = append(q.Topics, rt)
		r := ask[*kmsg.DeleteRecordsResponse](c, q, version).Topics[0].Partitions[0]
		return r.LowWatermark, r.ErrorCode
	}
	for _, x := range []struct {
		topic     string
		partition int32
		offset    int64
		low       int64
		code      int16
	}{
		{"orders", 0, 2, 2, 0}, {"orders", 0, 1, 2, 0}, {"orders", 0, 7, -1, codeOffsetOutOfRange}, {"orders", 0, -2, -1, codeOffsetOutOfRange},
		{"orders", 2, 0, -1, codeUnknownPartition}, {"orders", -1, 0, -1, codeUnknownPartition}, {"nope", 0, 0, -1, codeUnknownPartition},
		{"orders", 1, -1, 0, 0},
	} {
		for v := range int16(3) {
			if low, code := cut(v, x.topic, x.partition, x.offset); low != x.low || code != x.code {
				t.Errorf("version %d %+v: low watermark %d, code %d", v, x, low, code)
			}
		}
	}
	// From a start within a batch the whole batch is served, as the protocol has it, and the client leaves out what lies before.
	p := ask[*kmsg.FetchResponse](c, fetchRequest("orders", 2, 0, 0), 11).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.LogStartOffset != 2 || p.HighWatermark != 6 || len(p.RecordBatches) == 0 {
		t.Errorf("fetch: %+v", p)
	}
	p = ask[*kmsg.FetchResponse](c, fetchRequest("orders", 1, 0, 0), 11).Topics[0].Partitions[0]
	if p.ErrorCode != codeOffsetOutOfRange || p.LogStartOffset != 2 {
		t.Errorf("fetch of what is gone: %+v", p)
	}
	if low, code := cut(2, "orders", 0, -1); low != 6 || code != 0 {
		t.Errorf("all: low watermark %d, code %d", low, code)
	}
	if _, err := b.AlterStream(t.Context(), &broker.Caller{}, "orders", func(c *broker.StreamConfig) error { c.Immutable = true; return nil }, 0); err != nil {
		t.Fatal(err)
	}
	if _, code := cut(2, "orders", 0, 0); code != codePolicyViolation {
		t.Errorf("immutable: code %d", code)
	}
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TopicNames = []string{"orders"}
	if r := ask[*kmsg.DeleteTopicsResponse](c, q, 5); r.Topics[0].ErrorCode != codePolicyViolation {
		t.Errorf("deleting an immutable topic: %d", r.Topics[0].ErrorCode)
	}
}

func TestConfigs_OfNodesAndOthers(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	if _, err := b.CreateStream(t.Context(), &broker.Caller{}, "native", broker.StreamConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if v := str(configs(c, "native", 4)["retention.ms"].Value); v != "-1" {
		t.Errorf("a stream that no Kafka client made is kept %s ms", v)
	}
	for _, x := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code int16
	}{
		{kmsg.ConfigResourceTypeBroker, "1", 0}, {kmsg.ConfigResourceTypeBroker, "", 0}, {kmsg.ConfigResourceTypeBroker, "2", codeInvalidRequest},
		{kmsg.ConfigResourceType(64), "g", codeInvalidRequest}, {kmsg.ConfigResourceTypeTopic, "nope", codeUnknownPartition},
	} {
		q := kmsg.NewPtrDescribeConfigsRequest()
		res := kmsg.NewDescribeConfigsRequestResource()
		res.ResourceType, res.ResourceName, res.ConfigNames = x.kind, x.name, []string{"num.partitions"}
		q.Resources = append(q.Resources, res)
		r := ask[*kmsg.DescribeConfigsResponse](c, q, 4).Resources[0]
		if r.ErrorCode != x.code || x.code == 0 && len(r.Configs) != 1 {
			t.Errorf("%+v: %d %s, %d configs", x, r.ErrorCode, str(r.ErrorMessage), len(r.Configs))
		}
	}
}

// What clients take back of a node was never set; what they set is refused.
func TestConfigs_OfNodesAreTakenBack(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for op, want := range map[kmsg.IncrementalAlterConfigOp]int16{kmsg.IncrementalAlterConfigOpDelete: 0, kmsg.IncrementalAlterConfigOpSet: codeInvalidRequest} {
		q := kmsg.NewPtrIncrementalAlterConfigsRequest()
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
		x := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		x.Name, x.Op, x.Value = "leader.replication.throttled.rate", op, new("1")
		res.Configs = append(res.Configs, x)
		q.Resources = append(q.Resources, res)
		if r := ask[*kmsg.IncrementalAlterConfigsResponse](c, q, 1).Resources[0]; r.ErrorCode != want {
			t.Errorf("operation %d: %d %s", op, r.ErrorCode, str(r.ErrorMessage))
		}
	}
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.IncludeDocumentation = true
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	q.Resources = append(q.Resources, res)
	for _, x := range ask[*kmsg.DescribeConfigsResponse](c, q, 4).Resources[0].Configs {
		if str(x.Documentation) == "" {
			t.Errorf("%s says nothing about itself", x.Name)
		}
		if x.Name == "advertised.listeners" && !strings.HasPrefix(str(x.Value), "PLAINTEXT://127.0.0.1:") {
			t.Errorf("listens at %s", str(x.Value))
		}
	}
}

func TestDescribeConfigs_OfAGroup(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1), func(c *Config) { c.Groups.Session = 50 * time.Second }))
	q := kmsg.NewPtrDescribeConfigsRequest()
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "billing"
	q.Resources = append(q.Resources, res)
	got := map[string]string{}
	for _, x := range ask[*kmsg.DescribeConfigsResponse](c, q, 4).Resources[0].Configs {
		got[x.Name] = str(x.Value)
		if !x.ReadOnly || x.Source != kmsg.ConfigSourceDefaultConfig {
			t.Errorf("%s can be changed", x.Name)
		}
	}
	if len(got) != 2 || got["consumer.session.timeout.ms"] != "50000" || got["consumer.heartbeat.interval.ms"] != "5000" {
		t.Errorf("%v", got)
	}
}

func TestConfig_Validate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"request_bytes_max":   func(c *Config) { c.RequestBytesMax = 0 },
		"fetch_bytes_max":     func(c *Config) { c.FetchBytesMax = 2 << 30 },
		"in_flight_max":       func(c *Config) { c.InFlightMax = 0 },
		"in_flight_bytes_max": func(c *Config) { c.InFlightBytesMax = 0 },
		"partitions_default":  func(c *Config) { c.PartitionsDefault = c.PartitionsMax + 1 },
		"fetch_sessions_max":  func(c *Config) { c.FetchSessionsMax = 10_001 },
		"fetch_wait_max":      func(c *Config) { c.FetchWaitMax = 0 },
		"login_delay":         func(c *Config) { c.LoginDelay = -1 },
		"advertise":           func(c *Config) { c.Advertise = "nowhere" },
	} {
		c := Default()
		if change(&c); c.Validate() == nil || !strings.Contains(c.Validate().Error(), name) {
			t.Errorf("%s: %v", name, c.Validate())
		}
	}
	c := Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
