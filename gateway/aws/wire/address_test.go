package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseQueueURL(t *testing.T) {
	for url, want := range map[string]Address{
		"http://localhost:4566/000000000000/orders":                 {"", "000000000000", "orders"},
		"http://localhost:4566/000000000000/orders.fifo/":           {"", "000000000000", "orders.fifo"},
		"https://sqs.eu-west-1.amazonaws.com/123456789012/orders":   {"eu-west-1", "123456789012", "orders"},
		"http://eu-west-1.queue.localhost:4566/123456789012/orders": {"eu-west-1", "123456789012", "orders"},
		"http://localhost:4566/queue/eu-west-1/123456789012/orders": {"eu-west-1", "123456789012", "orders"},
		"http://sqs.localhost.localstack.cloud:4566/000000000000/x": {"", "000000000000", "x"},
		"/000000000000/orders":                                      {"", "000000000000", "orders"},
		"orders":                                                    {"", "", "orders"},
	} {
		got, err := ParseQueueURL(url)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
	for _, url := range []string{"", "http://", "http://localhost:4566/", "http://h/1/2/3", "http://h/a/b c", "http://h/queues/r/1/q", "/1/" + strings.Repeat("q", 81)} {
		if got, err := ParseQueueURL(url); err == nil || err.Code != InvalidAddress {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
	a := Address{"", "000000000000", "orders"}
	if got, err := ParseQueueURL(QueueURL("http://localhost:4566", a)); err != nil || got != a {
		t.Errorf("what we write: %+v, %v", got, err)
	}
}

func TestARN(t *testing.T) {
	s := "arn:aws:sns:eu-west-1:000000000000:news:8b7d"
	a, err := ParseTopicARN("SubscriptionArn", s)
	if err != nil || a.String() != s {
		t.Fatalf("%+v, %v", a, err)
	}
	topic, id, ok := a.TopicOf()
	if !ok || id != "8b7d" || topic.String() != "arn:aws:sns:eu-west-1:000000000000:news" {
		t.Errorf("%v %s %v", topic, id, ok)
	}
	if _, _, ok := topic.TopicOf(); ok {
		t.Error("a topic has a topic")
	}
	for s, want := range map[string]string{
		"x":                     "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
		"arn:aws:sns:r:1":       "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 5",
		"arn:aws:sqs:r:1:q":     "Invalid parameter: TopicArn",
		"urn:aws:sns:r:1:topic": "Invalid parameter: TopicArn",
	} {
		if _, err := ParseTopicARN("TopicArn", s); err == nil || err.Message != want {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestParseQueueAttributes(t *testing.T) {
	q, err := ParseQueueAttributes(Pairs{
		{"VisibilityTimeout", "0"}, {"MaximumMessageSize", "1048576"}, {"MessageRetentionPeriod", "60"}, {"DelaySeconds", "900"}, {"ReceiveMessageWaitTimeSeconds", "20"},
		{"FifoQueue", "true"}, {"ContentBasedDeduplication", "TRUE"}, {"DeduplicationScope", "messageGroup"}, {"FifoThroughputLimit", "perMessageGroupId"},
		{"KmsMasterKeyId", "alias/x"}, {"KmsDataKeyReusePeriodSeconds", "300"}, {"SqsManagedSseEnabled", "false"}, {"Policy", ""},
		{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:r:1:dlq.fifo","maxReceiveCount":"3"}`},
		{"RedriveAllowPolicy", `{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:r:1:a"]}`},
	}, true, true)
	if err != nil {
		t.Fatal(err)
	}
	want := QueueAttributes{
		VisibilityTimeout: Some[int64](0), BytesMax: Some[int64](1048576), Retention: Some[int64](60), Delay: Some[int64](900), Wait: Some[int64](20), KeyReuse: Some[int64](300),
		FIFO: Some(true), ContentDedup: Some(true), ManagedKeys: Some(false), DedupPerGroup: Some(true), ThroughputPerGroup: Some(true),
		Key: Some("alias/x"), Policy: Some(""), Redrive: Some(RedrivePolicy{"arn:aws:sqs:r:1:dlq.fifo", 3}),
		RedriveAllow: Some(RedriveAllowPolicy{"byQueue", []string{"arn:aws:sqs:r:1:a"}}),
	}
	if d := cmp.Diff(want, q); d != "" {
		t.Error(d)
	}
	for _, c := range []struct {
		name, value  string
		fifo, create bool
		want         string
	}{
		{"Colour", "red", false, false, "InvalidAttributeName: Unknown Attribute Colour."},
		{"QueueArn", "x", false, false, "InvalidAttributeName: Unknown Attribute QueueArn."},
		{"FifoQueue", "true", false, false, "InvalidAttributeName: Unknown Attribute FifoQueue."},
		{"FifoQueue", "false", false, true, "InvalidAttributeName: Unknown Attribute FifoQueue."},
		{"FifoQueue", "false", true, false, "InvalidAttributeValue: Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."},
		{"FifoQueue", "true", true, false, ""},
		{"FifoQueue", "true", false, true, "InvalidParameterValue: The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length."},
		{"DelaySeconds", "1", true, true, "InvalidParameterValue: Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"},
		{"ContentBasedDeduplication", "true", false, false, "InvalidAttributeName: Unknown Attribute ContentBasedDeduplication."},
		{"DeduplicationScope", "queue", false, false, "InvalidAttributeName: You can specify the DeduplicationScope only when FifoQueue is set to true."},
		{"VisibilityTimeout", "43201", false, false, "InvalidAttributeValue: Invalid value for the parameter VisibilityTimeout."},
		{"MaximumMessageSize", "1023", false, false, "InvalidAttributeValue: Invalid value for the parameter MaximumMessageSize."},
		{"MaximumMessageSize", "1048577", false, false, "InvalidAttributeValue: Invalid value for the parameter MaximumMessageSize."},
		{"MessageRetentionPeriod", "59", false, false, "InvalidAttributeValue: Invalid value for the parameter MessageRetentionPeriod."},
		{"DelaySeconds", "x", false, false, "InvalidAttributeValue: Invalid value for the parameter DelaySeconds."},
		{"Policy", "[]", false, false, "InvalidAttributeValue: Invalid value for the parameter Policy."},
		{"RedrivePolicy", "", false, false, ""},
		{"RedrivePolicy", "x", false, false, "InvalidParameterValue: Value x for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map."},
		{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:r:1:d","maxReceiveCount":1001}`, false, false, `InvalidParameterValue: Value {"deadLetterTargetArn":"arn:aws:sqs:r:1:d","maxReceiveCount":1001} for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.`},
	} {
		if _, err := ParseQueueAttributes(Pairs{{c.name, c.value}}, c.fifo, c.create); said(err) != c.want {
			t.Errorf("%s=%s: %v, want %s", c.name, c.value, err, c.want)
		}
	}
}

func TestParseTopicAndSubscriptionAttributes(t *testing.T) {
	top, err := ParseTopicAttributes(Pairs{{"FifoTopic", "true"}, {"ContentBasedDeduplication", "true"}, {"FifoThroughputScope", "MessageGroup"}, {"DisplayName", "d"},
		{"SignatureVersion", "2"}, {"MaximumMessageSize", "1024"}, {"SQSSuccessFeedbackRoleArn", "arn"}}, true, true)
	want := TopicAttributes{FIFO: Some(true), ContentDedup: Some(true), DedupPerGroup: Some(true), DisplayName: Some("d"), SignatureVersion: Some[int64](2), BytesMax: Some[int64](1024),
		Kept: Pairs{{"SQSSuccessFeedbackRoleArn", "arn"}}}
	if d := cmp.Diff(want, top); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, c := range []struct {
		name, value  string
		fifo, create bool
		want         string
	}{
		{"FifoTopic", "true", false, true, "InvalidParameter: Invalid parameter: Topic Name"},
		{"DisplayName", "x", true, true, "InvalidParameter: Invalid parameter: Topic Name"},
		{"FifoTopic", "true", true, false, "InvalidParameter: Invalid parameter: AttributeName"},
		{"Colour", "red", false, false, "InvalidParameter: Invalid parameter: AttributeName"},
		{"ContentBasedDeduplication", "true", false, false, "InvalidParameter: Invalid parameter: AttributeName"},
		{"SignatureVersion", "3", false, false, "InvalidParameter: Invalid parameter: SignatureVersion: Invalid value [3]. Must be between 1 and 2."},
		{"Policy", "x", false, true, "InvalidParameter: Invalid parameter: Attributes Reason: Policy: failed to parse JSON."},
	} {
		if _, err := ParseTopicAttributes(Pairs{{c.name, c.value}}, c.fifo, c.create); said(err) != c.want {
			t.Errorf("%s=%s: %v, want %s", c.name, c.value, err, c.want)
		}
	}
	sub, err := ParseSubscriptionAttributes(Pairs{{"FilterPolicy", `{"a":["b"]}`}, {"FilterPolicyScope", "MessageBody"}, {"RawMessageDelivery", "True"},
		{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:r:1:d"}`}}, true)
	if d := cmp.Diff(SubscriptionAttributes{FilterPolicy: Some(`{"a":["b"]}`), FilterBody: Some(true), Raw: Some(true), Redrive: Some("arn:aws:sqs:r:1:d")}, sub); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, c := range []struct {
		name, value string
		create      bool
		want        string
	}{
		{"RawMessageDelivery", "test-ValUe", false, "InvalidParameter: Invalid parameter: RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false."},
		{"RawMessageDelivery", "wrongvalue", true, "InvalidParameter: Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false."},
		{"FilterPolicyScope", "RandomValue", false, "InvalidParameter: Invalid parameter: FilterPolicyScope: Invalid value [RandomValue]. Please use either MessageBody or MessageAttributes"},
		{"RedrivePolicy", `{"deadLetterTargetArn":"x"}`, false, "InvalidParameter: Invalid parameter: RedrivePolicy: deadLetterTargetArn is an invalid arn"},
		{"Colour", "red", false, "InvalidParameter: Invalid parameter: AttributeName"},
	} {
		if _, err := ParseSubscriptionAttributes(Pairs{{c.name, c.value}}, c.create); said(err) != c.want {
			t.Errorf("%s=%s: %v, want %s", c.name, c.value, err, c.want)
		}
	}
}
