package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A monitor that looks for Kafka's own topics (Burrow does) must not leave an empty one behind, which it and others would read from then on. Who means to have
// a topic of that name makes it.
func TestMetadata_KafkasOwnTopicsAreNotMadeByAsking(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for _, name := range kafkasOwn {
		q := kmsg.NewPtrMetadataRequest()
		q.Topics, q.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{{Topic: &name}}, true
		for range 2 {
			if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode != codeUnknownPartition {
				t.Errorf("%s: %d", name, r.Topics[0].ErrorCode)
			}
		}
		create(c, name, 1)
		if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode != codeNone || !r.Topics[0].IsInternal {
			t.Errorf("%s, made: %+v", name, r.Topics[0])
		}
	}
}
