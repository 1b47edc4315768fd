package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/record"
)

// Of a batch for a compacted topic the answer names every record without a key, so that a client sends the others again; nothing of it is appended.
func TestProduce_RecordsWithoutAKeyAreNamed(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "users", 1, "cleanup.policy", "compact")
	produce := func(records ...string) kmsg.ProduceResponseTopicPartition {
		t.Helper()
		return ask[*kmsg.ProduceResponse](c, produceRequest("users", -1, expecting(t, record.Snappy, -1, 0, records...)), 9).Topics[0].Partitions[0]
	}
	r := produce("", "ann", "bob", "")
	if r.ErrorCode != codeInvalidRecord || len(r.ErrorRecords) != 2 || r.ErrorRecords[0].RelativeOffset != 0 || r.ErrorRecords[1].RelativeOffset != 3 {
		t.Fatalf("%+v", r)
	}
	if r := produce("ann", "bob"); r.ErrorCode != 0 || r.BaseOffset != 0 {
		t.Fatalf("%+v", r)
	}
}
