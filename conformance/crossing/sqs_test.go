package crossing

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/twmb/franz-go/pkg/kgo"
)

func sqsClient() *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + node.AWS), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// sqsQueue makes a queue and gives its URL.
func sqsQueue(t *testing.T, c *sqs.Client, name string, attributes map[string]string) *string {
	t.Helper()
	out, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return out.QueueUrl
}

// sqsReceive receives n messages, deleting them if asked to.
func sqsReceive(t *testing.T, c *sqs.Client, url *string, n int, remove bool) (got []types.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	for len(got) < n {
		out, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 2, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
		})
		if err != nil {
			t.Fatalf("%d of %d came: %v", len(got), n, err)
		}
		got = append(got, out.Messages...)
		for _, m := range out.Messages {
			if remove {
				if _, err := c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return got
}

// A second consumer joins a queue's events, from Kafka and by webhook, with no change at the producer: the queue loses nothing to it.
func TestSQSIsReadByKafkaBeside(t *testing.T) {
	c := sqsClient()
	url := sqsQueue(t, c, "beside", nil)
	var want []string
	ids := map[string]string{}
	for i := range 5 {
		body := fmt.Sprintf(`{"order":%d}`, i)
		out, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{
			"region": {DataType: aws.String("String"), StringValue: aws.String("eu")},
		}})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, body)
		ids[body] = *out.MessageId
	}
	for i, r := range consume(t, "beside", 5) {
		have := map[string]string{}
		for _, h := range r.Headers {
			have[h.Key] = string(h.Value)
		}
		if string(r.Value) != want[i] || have["sqs-attribute-region"] != "eu" || have["sqs-type-region"] != "String" || have["sqs-message-id"] != ids[want[i]] {
			t.Errorf("%q %s", r.Value, headers(r))
		}
	}
	for _, m := range sqsReceive(t, c, url, 5, true) {
		if ids[*m.Body] != *m.MessageId || *m.MessageAttributes["region"].StringValue != "eu" {
			t.Errorf("%+v", m)
		}
	}
}

// A Kafka producer feeds an SQS queue.
func TestKafkaToSQS(t *testing.T) {
	c := sqsClient()
	url := sqsQueue(t, c, "kafka-to-sqs", nil)
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	if err := client(t, kgo.DefaultProduceTopic("kafka-to-sqs")).ProduceSync(ctx, &kgo.Record{Key: []byte("k"), Value: []byte("by kafka")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	m := sqsReceive(t, c, url, 1, true)[0]
	if *m.Body != "by kafka" || m.Attributes["MessageGroupId"] != "k" || *m.MessageId == "" {
		t.Errorf("%+v", m)
	}
}

// A message that fails too often goes to another queue, whose stream Kafka reads, and whence it came stands with it.
func TestSQSDeadLetterIsReadByKafka(t *testing.T) {
	c := sqsClient()
	dead := sqsQueue(t, c, "failing-dead", nil)
	a, err := c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: dead, AttributeNames: []types.QueueAttributeName{"QueueArn"}})
	if err != nil {
		t.Fatal(err)
	}
	url := sqsQueue(t, c, "failing", map[string]string{
		"VisibilityTimeout": "0", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":2}`, a.Attributes["QueueArn"]),
	})
	sent, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("poison")})
	if err != nil {
		t.Fatal(err)
	}
	sqsReceive(t, c, url, 2, false)
	r := consume(t, "failing-dead", 1)[0]
	have := map[string]string{}
	for _, h := range r.Headers {
		have[h.Key] = string(h.Value)
	}
	if string(r.Value) != "poison" || have["sqs-message-id"] != *sent.MessageId || have["leat-dead-reason"] != "exhausted" || have["leat-dead-attempts"] != "2" ||
		!strings.HasPrefix(have["leat-dead-origin"], "failing/0/") {
		t.Errorf("%q %s", r.Value, headers(r))
	}
	if m := sqsReceive(t, c, dead, 1, true)[0]; *m.Body != "poison" || *m.MessageId != *sent.MessageId {
		t.Errorf("%+v", m)
	}
}

// A webhook takes what an SQS producer sends; its failures become dead letters with what it answered.
func TestSQSToWebhook(t *testing.T) {
	type hooked struct {
		header http.Header
		body   string
	}
	got := make(chan hooked, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 100)
		n, _ := r.Body.Read(b)
		got <- hooked{r.Header.Clone(), string(b[:n])}
	}))
	t.Cleanup(hook.Close)
	c := sqsClient()
	url := sqsQueue(t, c, "to-webhook", nil)
	request(t, http.StatusCreated, "PUT", "/v1/subscriptions/to-webhook.push", map[string]string{"Content-Type": "application/json"},
		fmt.Sprintf(`{"streams":["to-webhook"],"push":{"url":%q,"new_secret":true}}`, hook.URL))
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	select {
	case h := <-got:
		if h.body != "hello" || h.header.Get("Webhook-Id") == "" || h.header.Get("Ce-Id") != "to-webhook/0/0" || !strings.Contains(h.header.Get("Ce-Leatheaders"), "sqs-message-id") {
			t.Errorf("%v", h)
		}
	case <-time.After(waitMost):
		t.Fatal("nothing was pushed")
	}
}
