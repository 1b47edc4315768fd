package aws

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/aws/wire"
)

func wait(seconds int64) func(*wire.ReceiveMessageInput) {
	return func(in *wire.ReceiveMessageInput) { in.WaitTimeSeconds = wire.Some(seconds) }
}

func most(n int64) func(*wire.ReceiveMessageInput) {
	return func(in *wire.ReceiveMessageInput) { in.MaxMessages = wire.Some(n) }
}

func group(g, dedup string) func(*wire.Message) {
	return func(m *wire.Message) { m.GroupID, m.DeduplicationID = wire.Some(g), wire.Some(dedup) }
}

func TestMessage_SentReceivedDeleted(t *testing.T) {
	s := start(t)
	url := s.queue("orders")
	sent := s.send(url, "héllo", func(m *wire.Message) {
		m.Attributes = wire.Attributes{{Name: "colour", DataType: "String", String: wire.Some("red")}, {Name: "raw", DataType: "Binary.png", Binary: []byte{0, 255}}}
	})
	ms := s.receive(url, wait(20))
	if len(ms) != 1 {
		t.Fatalf("received %v", ms)
	}
	m := ms[0]
	for _, member := range []string{"MessageId", "MD5OfMessageAttributes"} {
		if m[member] != sent[member] || m[member] == "" {
			t.Errorf("%s: sent %v, received %v", member, sent[member], m[member])
		}
	}
	if m["Body"] != "héllo" || m["MD5OfBody"] != sent["MD5OfMessageBody"] {
		t.Errorf("received %v", m)
	}
	if text(m, "MessageAttributes", "colour", "StringValue") != "red" || text(m, "MessageAttributes", "raw", "BinaryValue") != "AP8=" ||
		text(m, "MessageAttributes", "raw", "DataType") != "Binary.png" {
		t.Errorf("attributes %v", m["MessageAttributes"])
	}
	if text(m, "Attributes", "ApproximateReceiveCount") != "1" || text(m, "Attributes", "SentTimestamp") == "" {
		t.Errorf("system attributes %v", m["Attributes"])
	}
	if again := s.receive(url); len(again) != 0 {
		t.Errorf("received twice within the visibility timeout: %v", again)
	}
	handle := text(m, "ReceiptHandle")
	ok(s, wire.ChangeMessageVisibility, wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: handle, VisibilityTimeout: wire.Some(int64(0))})
	if ms = s.receive(url, wait(20)); len(ms) != 1 || text(ms[0], "Attributes", "ApproximateReceiveCount") != "2" || ms[0]["MessageId"] != sent["MessageId"] {
		t.Fatalf("after it was given back: %v", ms)
	}
	handle = text(ms[0], "ReceiptHandle")
	refuses(s, "ReceiptHandleIsInvalid", wire.DeleteMessage, wire.DeleteMessageInput{QueueURL: s.queue("other"), ReceiptHandle: handle})
	refuses(s, "ReceiptHandleIsInvalid", wire.DeleteMessage, wire.DeleteMessageInput{QueueURL: url, ReceiptHandle: "made up"})
	ok(s, wire.DeleteMessage, wire.DeleteMessageInput{QueueURL: url, ReceiptHandle: handle})
	refuses(s, "InvalidParameterValue", wire.ChangeMessageVisibility, wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: handle, VisibilityTimeout: wire.Some(int64(9))})
	got := ok(s, wire.GetQueueAttributes, wire.GetQueueAttributesInput{QueueURL: url, Names: []string{"All"}})
	if text(got, "Attributes", "ApproximateNumberOfMessages") != "0" || text(got, "Attributes", "ApproximateNumberOfMessagesNotVisible") != "0" {
		t.Errorf("a deleted message still counts: %v", got)
	}
}

func TestVisibility_EndsAndDelayHolds(t *testing.T) {
	s := start(t)
	url := s.queue("orders", "VisibilityTimeout", "1")
	s.send(url, "late", func(m *wire.Message) { m.DelaySeconds = wire.Some(int64(1)) })
	if ms := s.receive(url); len(ms) != 0 {
		t.Fatalf("received before its delay: %v", ms)
	}
	for _, count := range []string{"1", "2"} {
		ms := s.receive(url, wait(20))
		if len(ms) != 1 || text(ms[0], "Attributes", "ApproximateReceiveCount") != count {
			t.Fatalf("attempt %s: %v", count, ms)
		}
	}
}

func TestBatches_EachEntryForItself(t *testing.T) {
	s := start(t)
	url := s.queue("orders", "MaximumMessageSize", "1024")
	sent := ok(s, wire.SendMessageBatch, wire.SendMessageBatchInput{QueueURL: url, Entries: []wire.SendMessageBatchEntry{
		{ID: "a", Message: wire.Message{Body: "1"}}, {ID: "b", Message: wire.Message{Body: strings.Repeat("x", 1025)}}, {ID: "c", Message: wire.Message{Body: "3"}},
	}})
	if good, bad := sent["Successful"].([]any), sent["Failed"].([]any); len(good) != 2 || len(bad) != 1 || text(bad[0], "Id") != "b" {
		t.Fatalf("sent %v", sent)
	}
	var ms []map[string]any
	for range 5 {
		if ms = append(ms, s.receive(url, wait(1))...); len(ms) == 2 {
			break
		}
	}
	if len(ms) != 2 {
		t.Fatalf("received %v", ms)
	}
	held := ok(s, wire.ChangeMessageVisibilityBatch, wire.ChangeMessageVisibilityBatchInput{QueueURL: url, Entries: []wire.ChangeMessageVisibilityBatchEntry{
		{ID: "a", ReceiptHandle: text(ms[0], "ReceiptHandle"), VisibilityTimeout: wire.Some(int64(60))}, {ID: "x", ReceiptHandle: "made up", VisibilityTimeout: wire.Some(int64(60))},
	}})
	if len(held["Successful"].([]any)) != 1 || text(held["Failed"].([]any)[0], "Code") != "ReceiptHandleIsInvalid" {
		t.Errorf("held %v", held)
	}
	gone := ok(s, wire.DeleteMessageBatch, wire.DeleteMessageBatchInput{QueueURL: url, Entries: []wire.DeleteMessageBatchEntry{
		{ID: "a", ReceiptHandle: text(ms[0], "ReceiptHandle")}, {ID: "x", ReceiptHandle: "made up"}, {ID: "c", ReceiptHandle: text(ms[1], "ReceiptHandle")},
	}})
	if len(gone["Successful"].([]any)) != 2 || text(gone["Failed"].([]any)[0], "Id") != "x" {
		t.Errorf("deleted %v", gone)
	}
}

func TestRedrive_ToDeadLetters(t *testing.T) {
	s := start(t)
	dead := s.queue("dead")
	arn := "arn:aws:sqs:us-east-1:000000000000:dead"
	url := s.queue("orders", "RedrivePolicy", `{"deadLetterTargetArn":"`+arn+`","maxReceiveCount":1}`)
	sent := s.send(url, "poison")
	ms := s.receive(url, wait(20))
	if len(ms) != 1 {
		t.Fatalf("received %v", ms)
	}
	ok(s, wire.ChangeMessageVisibility, wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: text(ms[0], "ReceiptHandle"), VisibilityTimeout: wire.Some(int64(0))})
	ms = s.receive(dead, wait(20))
	if len(ms) != 1 || ms[0]["MessageId"] != sent["MessageId"] || !strings.HasSuffix(text(ms[0], "Attributes", "DeadLetterQueueSourceArn"), ":orders") {
		t.Fatalf("dead letters: %v", ms)
	}
	got := ok(s, wire.ListDeadLetterSourceQueues, wire.ListSourcesInput{QueueURL: dead})
	if urls := got["queueUrls"].([]any); len(urls) != 1 || urls[0] != url {
		t.Errorf("sources %v", got)
	}
	refuses(s, "InvalidParameterValue", wire.CreateQueue, wire.CreateQueueInput{Name: "x", Attributes: wire.Pairs{
		{Name: "RedrivePolicy", Value: `{"deadLetterTargetArn":"` + arn + `-none","maxReceiveCount":1}`},
	}})
}

func TestFIFO_OrderPerGroupAndDuplicates(t *testing.T) {
	s := start(t)
	url := s.queue("orders.fifo", "FifoQueue", "true")
	first := s.send(url, "1", group("a", "1"))
	if again := s.send(url, "1", group("a", "1")); again["MessageId"] != first["MessageId"] || again["SequenceNumber"] != first["SequenceNumber"] {
		t.Errorf("a duplicate: %v, the first time %v", again, first)
	}
	s.send(url, "2", group("a", "2"))
	refuses(s, "InvalidParameterValue", wire.SendMessage, wire.SendMessageInput{QueueURL: url, Message: wire.Message{Body: "x", GroupID: wire.Some("a")}})
	for _, want := range []string{"1", "2"} {
		ms := s.receive(url, wait(20), most(1))
		if len(ms) != 1 || ms[0]["Body"] != want || text(ms[0], "Attributes", "MessageGroupId") != "a" {
			t.Fatalf("received %v; want %s", ms, want)
		}
		if more := s.receive(url); len(more) != 0 {
			t.Fatalf("the group went on before its first was deleted: %v", more)
		}
		ok(s, wire.DeleteMessage, wire.DeleteMessageInput{QueueURL: url, ReceiptHandle: text(ms[0], "ReceiptHandle")})
	}
}

func TestQueues_MadeFoundChangedDeleted(t *testing.T) {
	s := start(t)
	refuses(s, "AWS.SimpleQueueService.NonExistentQueue", wire.GetQueueURL, wire.GetQueueURLInput{Name: "orders"})
	url := s.queue("orders", "DelaySeconds", "0")
	if !strings.HasSuffix(url, "/000000000000/orders") || s.queue("orders") != url {
		t.Errorf("url %s", url)
	}
	refuses(s, "QueueAlreadyExists", wire.CreateQueue, wire.CreateQueueInput{Name: "orders", Attributes: wire.Pairs{{Name: "DelaySeconds", Value: "5"}}})
	if again := s.queue("other", "SqsManagedSseEnabled", "True"); again != s.queue("other", "SqsManagedSseEnabled", "true") {
		t.Errorf("True is not true: %s", again)
	}
	if got := ok(s, wire.ListQueues, wire.ListQueuesInput{Prefix: "or"}); len(got["QueueUrls"].([]any)) != 1 {
		t.Errorf("listed %v", got)
	}
	page := ok(s, wire.ListQueues, wire.ListQueuesInput{MaxResults: wire.Some(int64(1))})
	rest := ok(s, wire.ListQueues, wire.ListQueuesInput{MaxResults: wire.Some(int64(1)), NextToken: text(page, "NextToken")})
	if page["QueueUrls"].([]any)[0] != url || !strings.HasSuffix(rest["QueueUrls"].([]any)[0].(string), "/other") || text(rest, "NextToken") != "" {
		t.Errorf("pages %v %v", page, rest)
	}
	ok(s, wire.SetQueueAttributes, wire.SetQueueAttributesInput{QueueURL: url, Attributes: wire.Pairs{{Name: "VisibilityTimeout", Value: "7"}}})
	ok(s, wire.TagQueue, wire.TagQueueInput{QueueURL: url, Tags: wire.Pairs{{Name: "team", Value: "a"}, {Name: "env", Value: "b"}}})
	ok(s, wire.UntagQueue, wire.UntagQueueInput{QueueURL: url, Keys: []string{"env"}})
	if got := ok(s, wire.ListQueueTags, wire.QueueInput{QueueURL: url}); text(got, "Tags", "team") != "a" || len(got["Tags"].(map[string]any)) != 1 {
		t.Errorf("tags %v", got)
	}
	got := ok(s, wire.GetQueueAttributes, wire.GetQueueAttributesInput{QueueURL: url, Names: []string{"VisibilityTimeout", "QueueArn"}})
	if text(got, "Attributes", "VisibilityTimeout") != "7" || text(got, "Attributes", "QueueArn") != "arn:aws:sqs:us-east-1:000000000000:orders" || len(got["Attributes"].(map[string]any)) != 2 {
		t.Errorf("attributes %v", got)
	}
	s.send(url, "1")
	ok(s, wire.PurgeQueue, wire.QueueInput{QueueURL: url})
	refuses(s, "AWS.SimpleQueueService.PurgeQueueInProgress", wire.PurgeQueue, wire.QueueInput{QueueURL: url})
	if ms := s.receive(url); len(ms) != 0 {
		t.Errorf("after a purge: %v", ms)
	}
	ok(s, wire.DeleteQueue, wire.QueueInput{QueueURL: url})
	refuses(s, "AWS.SimpleQueueService.NonExistentQueue", wire.SendMessage, wire.SendMessageInput{QueueURL: url, Message: wire.Message{Body: "x"}})
	s.queue("orders", "DelaySeconds", "5")
}

func TestQuery_Protocol(t *testing.T) {
	s := start(t)
	url := s.queue("orders")
	head := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	code, _, b := s.post(head, "/000000000000/orders", wire.SendMessage.AppendRequest(nil, wire.Query, &wire.SendMessageInput{Message: wire.Message{Body: "a<b"}}))
	if code != 200 || !strings.Contains(string(b), "<SendMessageResult>") {
		t.Fatalf("send: %d %s", code, b)
	}
	code, h, b := s.post(head, "/", wire.ReceiveMessage.AppendRequest(nil, wire.Query, &wire.ReceiveMessageInput{QueueURL: url, WaitTimeSeconds: wire.Some(int64(5))}))
	if code != 200 || !strings.Contains(string(b), "<Body>a&lt;b</Body>") || h.Get("Content-Type") != "text/xml" {
		t.Fatalf("receive: %d %s", code, b)
	}
	code, _, b = s.post(head, "/000000000000/orders", wire.ListQueues.AppendRequest(nil, wire.Query, &wire.ListQueuesInput{}))
	if code != 400 || !strings.Contains(string(b), "<Code>InvalidAction</Code><Message>The action ListQueues is not valid for this endpoint.") {
		t.Fatalf("asked of a queue: %d %s", code, b)
	}
	code, _, b = s.post(head, "/000000000000/orders", wire.GetQueueURL.AppendRequest(nil, wire.Query, &wire.GetQueueURLInput{Name: "orders"}))
	if code != 200 {
		t.Fatalf("its URL asked of a queue: %d %s", code, b)
	}
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err = io.ReadAll(res.Body); err != nil || res.StatusCode != 404 || !strings.Contains(string(b), "<UnknownOperationException") {
		t.Fatalf("a visit: %s %s %v", res.Status, b, err)
	}
	code, _, b = s.post(head, "/", wire.GetQueueURL.AppendRequest(nil, wire.Query, &wire.GetQueueURLInput{Name: "none"}))
	if code != 400 || !strings.Contains(string(b), "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>") {
		t.Fatalf("a refusal: %d %s", code, b)
	}
}

// Nor does a stream with several partitions become anything FIFO: it is left as it was.
func TestFIFO_OverSeveralPartitionsIsRefused(t *testing.T) {
	s, ctx, who := start(t), context.Background(), &broker.Caller{}
	for name, partitions := range map[string]int32{"many.fifo": 2, "one.fifo": 1, "topic.fifo": 3} {
		if _, err := s.broker.CreateStream(ctx, who, name, broker.StreamConfig{Partitions: partitions}); err != nil {
			t.Fatal(err)
		}
	}
	many := wire.CreateQueueInput{Name: "many.fifo", Attributes: wire.Pairs{{Name: "FifoQueue", Value: "true"}}}
	answer, refused := call1(s, wire.CreateQueue, &many)
	if refused != "InvalidParameterValue;Sender" || !strings.Contains(text(answer, "message"), "has 2 partitions") {
		t.Errorf("%q %v", refused, answer)
	}
	refuses(s, "AWS.SimpleQueueService.NonExistentQueue", wire.GetQueueURL, wire.GetQueueURLInput{Name: "many.fifo"})
	if _, err := s.broker.DescribeSubscription(ctx, who, "many.fifo"); !fault.Is(err, fault.NotFound) {
		t.Errorf("its subscription: %v", err)
	}
	url := s.queue("one.fifo", "FifoQueue", "true")
	s.sendTogether(url, "a0", "a1")
	if got := bodies(s.receive(url, wait(20))); len(got) != 2 {
		t.Errorf("one partition: %v", got)
	}
	code, _, b := s.post(map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "/",
		[]byte("Action=CreateTopic&Version=2010-03-31&Name=topic.fifo&Attributes.entry.1.key=FifoTopic&Attributes.entry.1.value=true"))
	if code != http.StatusBadRequest || !strings.Contains(string(b), "has 3 partitions") {
		t.Errorf("a topic: %d %s", code, b)
	}
}

// A stream that is there becomes a queue from then on and outlives it; a subscription that somebody made for himself is left alone.
func TestCreateQueue_OverWhatIsThere(t *testing.T) {
	s, ctx, who := start(t), context.Background(), &broker.Caller{}
	for _, name := range []string{"orders", "theirs"} {
		if _, err := s.broker.CreateStream(ctx, who, name, broker.StreamConfig{Partitions: 2}); err != nil {
			t.Fatal(err)
		}
		e := broker.EventEntry{Stream: name, Partition: 0}
		e.Record.Value = []byte("before")
		if _, err := s.broker.AppendEvents(ctx, who, broker.EventsAppend{Events: []broker.EventEntry{e}}); err != nil {
			t.Fatal(err)
		}
	}
	url := s.queue("orders")
	e := broker.EventEntry{Stream: "orders", Partition: 1}
	e.Record.Value = []byte("bad \x00\xff text")
	if _, err := s.broker.AppendEvents(ctx, who, broker.EventsAppend{Events: []broker.EventEntry{e}}); err != nil {
		t.Fatal(err)
	}
	ms := s.receive(url, wait(20))
	if len(ms) != 1 || ms[0]["Body"] != "bad \uFFFD\uFFFD text" || ms[0]["MD5OfBody"] != wire.MD5OfBody("bad \uFFFD\uFFFD text") || ms[0]["MessageId"] == "" {
		t.Errorf("received %v", ms)
	}
	ok(s, wire.DeleteQueue, wire.QueueInput{QueueURL: url})
	if _, err := s.broker.DescribeStream(ctx, who, "orders"); err != nil {
		t.Errorf("the stream went with the queue: %v", err)
	}
	refuses(s, "AWS.SimpleQueueService.NonExistentQueue", wire.PurgeQueue, wire.QueueInput{QueueURL: url})

	_, err := s.broker.PutSubscription(ctx, who, "theirs", func(c *broker.SubscriptionConfig) error {
		c.Streams = []string{"theirs"}
		return nil
	}, broker.Start{Kind: broker.StartEarliest}, 0)
	if err != nil {
		t.Fatal(err)
	}
	refuses(s, "QueueAlreadyExists", wire.CreateQueue, wire.CreateQueueInput{Name: "theirs"})
}
