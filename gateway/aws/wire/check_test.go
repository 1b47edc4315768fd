package wire

import (
	"fmt"
	"strings"
	"testing"
)

// refusal is a request and what it is refused with.
type refusal struct {
	action, body string
	code         Code
	text         string
}

const arnOfTopic = "arn:aws:sns:us-east-1:000000000000:news"

func TestDecode_RefusesInAmazonsWords(t *testing.T) {
	long := strings.Repeat("a", 129)
	entries := func(n int, more string) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf(`{"Id":"%d","MessageBody":"b"%s}`, i, more))
		}
		return `{"QueueUrl":"u","Entries":[` + strings.Join(s, ",") + `]}`
	}
	attribute := func(name, value string) string {
		return `{"QueueUrl":"u","MessageBody":"b","MessageAttributes":{"` + name + `":{` + value + `}}}`
	}
	for _, c := range []refusal{
		{"SendMessage", `{"MessageBody":"b"}`, MissingParameter, "The request must contain the parameter QueueUrl."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":""}`, MissingParameter, "The request must contain the parameter MessageBody."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"a\u0000"}`, InvalidMessageContents, "Invalid binary character '#x0' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"b","DelaySeconds":901}`, InvalidParameterValue, "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"b","DelaySeconds":-1}`, InvalidParameterValue, "Value -1 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"b","MessageGroupId":""}`, InvalidParameterValue, "Value  for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"b","MessageGroupId":"group 123"}`, InvalidParameterValue, "Value group 123 for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"b","MessageDeduplicationId":"` + long + `"}`, InvalidParameterValue, "Value " + long + " for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length."},
		{"SendMessage", attribute("AWS.x", `"DataType":"String","StringValue":"v"`), InvalidParameterValue, "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use. Additionally, they cannot start or end with '.'."},
		{"SendMessage", attribute("a b", `"DataType":"String","StringValue":"v"`), InvalidParameterValue, "Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores. "},
		{"SendMessage", attribute(strings.Repeat("a", 257), `"DataType":"String","StringValue":"v"`), InvalidParameterValue, "Message (user) attribute names must be shorter than 256 Bytes"},
		{"SendMessage", attribute("a", `"StringValue":"v"`), InvalidParameterValue, "The message attribute 'a' must contain a non-empty message attribute type."},
		{"SendMessage", attribute("a", `"DataType":"Text","StringValue":"v"`), InvalidParameterValue, "The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."},
		{"SendMessage", attribute("ErrorDetails", `"DataType":"String","StringValue":""`), InvalidParameterValue, "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."},
		{"SendMessage", attribute("a", `"DataType":"Number","StringValue":"x"`), InvalidParameterValue, "Can't cast the value of message (user) attribute 'a' to a number."},
		{"SendMessage", attribute("a", `"DataType":"Binary","StringValue":"x"`), InvalidParameterValue, "The message attribute 'a' with type 'Binary' must use field 'Binary'."},
		{"SendMessage", attribute("a", `"DataType":"String","BinaryValue":"eA=="`), InvalidParameterValue, "The message attribute 'a' with type 'String' must use field 'String'."},
		{"SendMessage", attribute("a", `"DataType":"String","StringListValues":["x"]`), UnsupportedOperation, "Message attribute list values in SendMessage operation are not supported."},
		{"SendMessage", `{"QueueUrl":"u","MessageBody":"b","MessageSystemAttributes":{"Other":{"DataType":"String","StringValue":"v"}}}`, InvalidParameterValue, "Message system attribute name 'Other' is invalid."},

		{"SendMessageBatch", entries(0, ""), EmptyBatch, "There should be at least one SendMessageBatchRequestEntry in the request."},
		{"SendMessageBatch", entries(20, ""), TooManyBatchEntries, "Maximum number of entries per request are 10. You have sent 20."},
		{"SendMessageBatch", `{"QueueUrl":"u","Entries":[{"Id":"a","MessageBody":"b"},{"Id":"a","MessageBody":"b"}]}`, BatchIDsNotDistinct, "Id a repeated."},
		{"SendMessageBatch", `{"QueueUrl":"u","Entries":[{"Id":"a.b","MessageBody":"b"}]}`, InvalidBatchID, "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."},
		{"SendMessageBatch", `{"QueueUrl":"u","Entries":[{"Id":"a"}]}`, MissingParameter, "The request must contain the parameter SendMessageBatchRequestEntry.1.MessageBody."},
		{"SendMessageBatch", `{"QueueUrl":"u","Entries":[{"Id":"a","MessageBody":"` + strings.Repeat("x", BatchBytesMax) + `"},{"Id":"b","MessageBody":"y"}]}`, BatchTooLong, "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."},

		{"ReceiveMessage", `{"QueueUrl":"u","MaxNumberOfMessages":11}`, InvalidParameterValue, "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."},
		{"ReceiveMessage", `{"QueueUrl":"u","WaitTimeSeconds":21}`, InvalidParameterValue, "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."},
		{"ReceiveMessage", `{"QueueUrl":"u","VisibilityTimeout":43201}`, InvalidParameterValue, "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided."},
		{"ChangeMessageVisibility", `{"QueueUrl":"u","ReceiptHandle":"h"}`, MissingParameter, "The request must contain the parameter VisibilityTimeout."},
		{"ChangeMessageVisibilityBatch", `{"QueueUrl":"u","Entries":[{"Id":"a"}]}`, MissingParameter, "The request must contain the parameter ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle."},
		{"DeleteMessageBatch", `{"QueueUrl":"u"}`, EmptyBatch, "There should be at least one DeleteMessageBatchRequestEntry in the request."},

		{"CreateQueue", `{"QueueName":"a.b"}`, InvalidParameterValue, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"},
		{"CreateQueue", `{"QueueName":"` + strings.Repeat("a", 76) + `.fifo"}`, InvalidParameterValue, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"},
		{"GetQueueAttributes", `{"QueueUrl":"u","AttributeNames":["Colour"]}`, InvalidAttributeName, "Unknown Attribute Colour."},
		{"AddPermission", `{"QueueUrl":"u","Label":"l","AWSAccountIds":["1"],"Actions":["DeleteQueue"]}`, InvalidParameterValue, "Value SQS:DeleteQueue for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action."},
		{"AddPermission", `{"QueueUrl":"u","Label":"l","AWSAccountIds":[],"Actions":["SendMessage"]}`, InvalidParameterValue, "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify."},
		{"AddPermission", `{"QueueUrl":"u","Label":"l","AWSAccountIds":["1"],"Actions":["ChangeMessageVisibility","DeleteMessage","GetQueueAttributes","GetQueueUrl","ListDeadLetterSourceQueues","PurgeQueue","ReceiveMessage","SendMessage"]}`, OverLimit, "8 Actions were found, maximum allowed is 7."},
		{"UntagQueue", `{"QueueUrl":"u","TagKeys":[]}`, InvalidParameterValue, "Tag keys must be between 1 and 128 characters in length."},
		{"AddPermission", `{"QueueUrl":"u","Label":"l","AWSAccountIds":["1"],"Actions":["Fly"]}`, InvalidParameterValue, "Value SQS:Fly for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions. "},
		{"StartMessageMoveTask", `{"SourceArn":"x"}`, InvalidParameterValue, "You must use this format to specify the SourceArn: arn:<partition>:<service>:<region>:<account-id>:<resource-id>"},
		{"StartMessageMoveTask", `{"SourceArn":"arn:aws:sqs:r:1:q","MaxNumberOfMessagesPerSecond":501}`, InvalidParameterValue, "Value 501 for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: MaxNumberOfMessagesPerSecond must be an integer between 1 and 500."},
	} {
		_, err := all(t)[Key{SQS, c.action}].decode(asJSON(t, c.action, c.body))
		if err == nil || err.Code != c.code || err.Message != c.text {
			t.Errorf("%s %.300s:\n got %v\nwant %s: %s", c.action, c.body, err, table[c.code].query, c.text)
		}
	}
}

func TestDecode_RefusesPublishingInAmazonsWords(t *testing.T) {
	to := "TopicArn=" + arnOfTopic + "&"
	attribute := func(name, rest string) string {
		return to + "Message=m&MessageAttributes.entry.1.Name=" + name + "&MessageAttributes.entry.1.Value." + rest
	}
	for _, c := range []refusal{
		{"Publish", "Message=m", TopicInvalidParameter, "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter"},
		{"Publish", "TopicArn=a:b&Message=m", TopicInvalidParameter, "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 2"},
		{"Publish", to, TopicInvalidParameter, "Invalid parameter: Empty message"},
		{"Publish", to + "Message=m&Subject=", TopicInvalidParameter, "Invalid parameter: Subject"},
		{"Publish", to + "Message=m&Subject=a%0Ab", TopicInvalidParameter, "Invalid parameter: Subject"},
		{"Publish", to + "Message=m&MessageStructure=json", TopicInvalidParameter, "Invalid parameter: Message Structure - JSON message body failed to parse"},
		{"Publish", to + "Message=%7B%7D&MessageStructure=json", TopicInvalidParameter, "Invalid parameter: Message Structure - No default entry in JSON message body"},
		{"Publish", attribute("a..b", "DataType=String"), TopicParameterValueInvalid, "Message attribute name can not have successive '.' character."},
		{"Publish", attribute("a%5Eb", "DataType=String"), TopicParameterValueInvalid, "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots."},
		{"Publish", attribute(".a", "DataType=String"), TopicParameterValueInvalid, "Invalid message attribute name starting with character '.' was found."},
		{"Publish", attribute("a.", "DataType=String"), TopicParameterValueInvalid, "Invalid message attribute name ending with character '.' was found."},
		{"Publish", attribute(strings.Repeat("a", 257), "DataType=String"), TopicParameterValueInvalid, "Length of message attribute name must be less than 256 bytes."},
		{"Publish", attribute("attr1", "StringValue=x"), TopicValidationError, "1 validation error detected: Value null at 'messageAttributes.attr1.member.dataType' failed to satisfy constraint: Member must not be null"},
		{"Publish", attribute("attr1", "DataType=Wrong"), TopicParameterValueInvalid, "The message attribute 'attr1' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."},
		{"Publish", attribute("attr1", "DataType=String"), TopicParameterValueInvalid, "The message attribute 'attr1' must contain non-empty message attribute value for message attribute type 'String'."},
		{"Publish", attribute("attr1", "DataType=Binary&MessageAttributes.entry.1.Value.StringValue=x"), TopicParameterValueInvalid, "The message attribute 'attr1' with type 'Binary' must use field 'Binary'."},
		{"Publish", attribute("attr1", "DataType=Number&MessageAttributes.entry.1.Value.BinaryValue=eA=="), TopicParameterValueInvalid, "The message attribute 'attr1' with type 'Number' must use field 'String'."},
		{"PublishBatch", to, TopicEmptyBatch, "The batch request doesn't contain any entries."},
		{"PublishBatch", to + "PublishBatchRequestEntries.member.1.Id=a&PublishBatchRequestEntries.member.1.Message=m&PublishBatchRequestEntries.member.2.Id=a&PublishBatchRequestEntries.member.2.Message=m", TopicBatchIDsNotDistinct, "Two or more batch entries in the request have the same Id."},
		{"PublishBatch", to + "PublishBatchRequestEntries.member.1.Id=message.id&PublishBatchRequestEntries.member.1.Message=m", TopicInvalidBatchID, "The Id of a batch entry in the batch request contains an impermissible character: message.id"},
		{"CreateTopic", "Name=a%20b", TopicInvalidParameter, "Invalid parameter: Topic Name"},
		{"CreateTopic", "Name=", TopicInvalidParameter, "Invalid parameter: Topic Name"},
		{"CreateTopic", "Name=a&Tags.member.1.Key=k&Tags.member.1.Value=1&Tags.member.2.Key=k&Tags.member.2.Value=2", TopicInvalidParameter, "Invalid parameter: Duplicated keys are not allowed."},
		{"Subscribe", to + "Protocol=pigeon&Endpoint=x", TopicInvalidParameter, "Invalid parameter: Amazon SNS does not support this protocol string: pigeon"},
		{"Subscribe", to + "Protocol=https&Endpoint=http://x", TopicInvalidParameter, "Invalid parameter: Endpoint must match the specified protocol"},
		{"Subscribe", to + "Protocol=sqs&Endpoint=x", TopicInvalidParameter, "Invalid parameter: SQS endpoint ARN"},
		{"Subscribe", to + "Protocol=sqs&Endpoint=arn:aws:sqs:r:1:q.fifo", TopicInvalidParameter, "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"},
		{"Unsubscribe", "x=y", TopicInvalidParameter, "Invalid parameter: SubscriptionArn Reason: no value for required parameter"},
		{"Unsubscribe", "SubscriptionArn=arn:aws:sns", TopicInvalidParameter, "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 3"},
		{"Unsubscribe", "SubscriptionArn=" + arnOfTopic, TopicInvalidParameter, "Invalid parameter: SubscriptionId"},
		{"AddPermission", to + "Label=l&AWSAccountId.member.1=1&ActionName.member.1=Fly", TopicInvalidParameter, "Invalid parameter: Policy statement action out of service scope!"},
	} {
		_, err := all(t)[Key{SNS, c.action}].decode(asForm(t, "Action="+c.action+"&Version="+snsVersion+"&"+c.body))
		if err == nil || err.Code != c.code || err.Message != c.text {
			t.Errorf("%s %.300s:\n got %v\nwant %s: %s", c.action, c.body, err, table[c.code].query, c.text)
		}
	}
}

// What the queue's attributes forbid.
func TestCheckFor(t *testing.T) {
	standard, fifo := QueueRules{BytesMax: 1024}, QueueRules{FIFO: true, BytesMax: 1024}
	m := func(change func(*Message)) Message {
		msg := Message{Body: "b"}
		change(&msg)
		return msg
	}
	ordered := m(func(m *Message) { m.GroupID, m.DeduplicationID = Some("g"), Some("d") })
	for _, c := range []struct {
		m           Message
		q           QueueRules
		alone, part string // what a message alone is refused with, and an entry of a batch
	}{
		{m(func(*Message) {}), standard, "", ""},
		{ordered, fifo, "", ""},
		{m(func(m *Message) { m.GroupID = Some("fair") }), standard, "", ""},
		{m(func(m *Message) { m.Body = strings.Repeat("x", 1024) }), standard, "", ""},
		{m(func(m *Message) { m.Body = strings.Repeat("x", 1025) }), standard, "InvalidParameterValue: One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.", "InvalidParameterValue: One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."},
		{m(func(m *Message) {
			m.Body, m.Attributes = strings.Repeat("x", 1016), Attributes{{Name: "a", DataType: "String", String: Some("vv")}}
		}), standard, "InvalidParameterValue: One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.", "InvalidParameterValue: One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."},
		{m(func(m *Message) { m.DeduplicationID = Some("d") }), standard, "InvalidParameterValue: Value d for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter that is not valid for this queue type.", "InvalidParameterValue: Value d for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter that is not valid for this queue type."},
		{m(func(m *Message) { *m = ordered; m.DelaySeconds = Some[int64](2) }), fifo, "InvalidParameterValue: Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.", "InvalidParameterValue: Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type."},
		{m(func(m *Message) { m.DeduplicationID = Some("d") }), fifo, "MissingParameter: The request must contain the parameter MessageGroupId.", "whole: InvalidParameterValue: The request must contain the parameter MessageGroupId."},
		{m(func(m *Message) { m.GroupID = Some("g") }), fifo, "InvalidParameterValue: The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly", "whole: InvalidParameterValue: The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"},
		{m(func(m *Message) { m.GroupID = Some("g") }), QueueRules{FIFO: true, ContentDedup: true, BytesMax: 1024}, "", ""},
	} {
		if got := said((&SendMessageInput{Message: c.m}).CheckFor(c.q)); got != c.alone {
			t.Errorf("%.60v alone: %q, want %q", c.m, got, c.alone)
		}
		batch := SendMessageBatchInput{Entries: []SendMessageBatchEntry{{ID: "a", Message: c.m}}}
		got := said(batch.Entries[0].CheckFor(c.q))
		if whole := batch.CheckFor(c.q); whole != nil {
			got = "whole: " + said(whole)
		}
		if got != c.part {
			t.Errorf("%.60v in a batch: %q, want %q", c.m, got, c.part)
		}
	}
}

func TestCheckFor_Topics(t *testing.T) {
	standard, fifo := TopicRules{BytesMax: 1024}, TopicRules{FIFO: true, BytesMax: 1024}
	for _, c := range []struct {
		n    Notice
		t    TopicRules
		want string
	}{
		{Notice{Message: "m"}, standard, ""},
		{Notice{Message: "m", GroupID: Some("fair")}, standard, ""},
		{Notice{Message: strings.Repeat("m", 1025)}, standard, "InvalidParameter: Invalid parameter: Message too long"},
		{Notice{Message: "m", DeduplicationID: Some("d")}, standard, "InvalidParameter: Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type"},
		{Notice{Message: "m"}, fifo, "InvalidParameter: Invalid parameter: The MessageGroupId parameter is required for FIFO topics"},
		{Notice{Message: "m", GroupID: Some("g")}, fifo, "InvalidParameter: Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"},
		{Notice{Message: "m", GroupID: Some("g"), DeduplicationID: Some("d")}, fifo, ""},
	} {
		if got := said(c.n.CheckFor(c.t)); got != c.want {
			t.Errorf("%.60v: %q, want %q", c.n, got, c.want)
		}
	}
	batch := PublishBatchInput{Entries: []PublishBatchEntry{{Notice: Notice{Message: strings.Repeat("m", 600)}}, {Notice: Notice{Message: strings.Repeat("m", 600)}}}}
	if got := said(batch.CheckFor(standard)); got != "BatchRequestTooLong: The length of all the messages put together is more than the limit." {
		t.Error(got)
	}
}

func TestTextFor(t *testing.T) {
	n := Notice{Message: `{"default":"d","sqs":"q","http":5}`, Structure: "json"}
	for protocol, want := range map[string]string{"sqs": "q", "http": "d", "email": "d"} {
		if got := n.TextFor(protocol); got != want {
			t.Errorf("%s: %q", protocol, got)
		}
	}
	n.Structure = ""
	if n.TextFor("sqs") != n.Message {
		t.Error("a plain message was taken apart")
	}
}

func said(err *Error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
