package clienttest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// house is a node with both clients.
type house struct {
	*node
	t   *testing.T
	sns *sns.Client
	sqs *sqs.Client
}

func newHouse(t *testing.T, n *node, client *http.Client) *house {
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""), BaseEndpoint: &n.url}
	if client != nil {
		cfg.HTTPClient = client
	}
	return &house{n, t, sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg)}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var ctx = context.Background()

func (h *house) topic(name string, attributes map[string]string) string {
	h.t.Helper()
	return *must[*sns.CreateTopicOutput](h.t)(h.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name, Attributes: attributes})).TopicArn
}

func (h *house) queue(name string, attributes map[string]string) (url, arn string) {
	h.t.Helper()
	url = *must[*sqs.CreateQueueOutput](h.t)(h.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})).QueueUrl
	a := must[*sqs.GetQueueAttributesOutput](h.t)(h.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"QueueArn"}}))
	return url, a.Attributes["QueueArn"]
}

func (h *house) subscribe(topic, protocol, endpoint string, attributes map[string]string) string {
	h.t.Helper()
	return *must[*sns.SubscribeOutput](h.t)(h.sns.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attributes, ReturnSubscriptionArn: true,
	})).SubscriptionArn
}

// receive takes messages and deletes them until n came, or none did for a while.
func (h *house) receive(url string, n int) (out []sqstypes.Message) {
	h.t.Helper()
	for len(out) < n {
		got := must[*sqs.ReceiveMessageOutput](h.t)(h.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 20, MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
		}))
		if len(got.Messages) == 0 {
			return out
		}
		for _, m := range got.Messages {
			must[*sqs.DeleteMessageOutput](h.t)(h.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}))
		}
		out = append(out, got.Messages...)
	}
	return out
}

func number(v string) map[string]snstypes.MessageAttributeValue {
	return map[string]snstypes.MessageAttributeValue{"total": {DataType: aws.String("Number"), StringValue: &v}}
}

func TestSNSGo_QueuesAndFilters(t *testing.T) {
	h := newHouse(t, start(t, ""), nil)
	topic := h.topic("orders", nil)
	url, arn := h.queue("orders", nil)
	raw, rawARN := h.queue("bare", nil)
	sub := h.subscribe(topic, "sqs", arn, nil)
	h.subscribe(topic, "sqs", rawARN, map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"total":[{"numeric":[">=",100]}]}`})
	big := must[*sns.PublishOutput](t)(h.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("big"), Subject: aws.String("a subject"), MessageAttributes: number("250")}))
	must[*sns.PublishBatchOutput](t)(h.sns.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
		{Id: aws.String("a"), Message: aws.String("small"), MessageAttributes: number("5")},
		{Id: aws.String("b"), Message: aws.String("bigger"), MessageAttributes: number("1e3")},
	}}))
	var messages []string
	for i, m := range h.receive(url, 3) {
		var e map[string]any
		if err := json.Unmarshal([]byte(*m.Body), &e); err != nil {
			t.Fatal(err)
		}
		if messages = append(messages, e["Message"].(string)); i == 0 && (e["MessageId"] != *big.MessageId || e["Subject"] != "a subject" || e["TopicArn"] != topic) {
			t.Errorf("%v", e)
		}
	}
	if fmt.Sprint(messages) != "[big small bigger]" {
		t.Errorf("%v", messages)
	}
	ms := h.receive(raw, 2)
	if len(ms) != 2 || *ms[0].Body != "big" || *ms[1].Body != "bigger" || *ms[0].MessageAttributes["total"].StringValue != "250" {
		t.Errorf("%v", ms)
	}
	pages, listed := sns.NewListSubscriptionsPaginator(h.sns, nil), 0
	for pages.HasMorePages() {
		listed += len(must[*sns.ListSubscriptionsOutput](t)(pages.NextPage(ctx)).Subscriptions)
	}
	if listed != 2 {
		t.Errorf("%d subscriptions are listed", listed)
	}
	must[*sns.UnsubscribeOutput](t)(h.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &sub}))
	_, err := h.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
	if _, is := errors.AsType[*snstypes.NotFoundException](err); !is {
		t.Errorf("%v", err)
	}
	_, err = h.sns.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: aws.String("SignatureVersion"), AttributeValue: aws.String("3")})
	if _, is := errors.AsType[*snstypes.InvalidParameterException](err); !is {
		t.Errorf("%v", err)
	}
	must[*sns.DeleteTopicOutput](t)(h.sns.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: &topic}))
	_, err = h.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("x")})
	if _, is := errors.AsType[*snstypes.NotFoundException](err); !is {
		t.Errorf("%v", err)
	}
}

func TestSNSGo_FIFO(t *testing.T) {
	h := newHouse(t, start(t, ""), nil)
	topic := h.topic("orders.fifo", map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true"})
	url, arn := h.queue("jobs.fifo", map[string]string{"FifoQueue": "true"})
	h.subscribe(topic, "sqs", arn, map[string]string{"RawMessageDelivery": "true"})
	for i := range 60 {
		for range 2 { // the second is a duplicate
			must[*sns.PublishOutput](t)(h.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String(fmt.Sprint(i)), MessageGroupId: aws.String(fmt.Sprint("g", i%3))}))
		}
	}
	of := map[string][]string{}
	for _, m := range h.receive(url, 60) {
		g := m.Attributes["MessageGroupId"]
		of[g] = append(of[g], *m.Body)
	}
	for g := range 3 {
		var want []string
		for i := g; i < 60; i += 3 {
			want = append(want, fmt.Sprint(i))
		}
		if got := of[fmt.Sprint("g", g)]; !slices.Equal(got, want) {
			a := must[*sqs.GetQueueAttributesOutput](t)(h.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"All"}}))
			t.Errorf("group %d: %v; the queue: %v", g, got, a.Attributes)
		}
	}
}

// endpoint keeps what it is sent, by message id, and confirms by the client.
type endpoint struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int // by message
	sick bool
}

func newEndpoint(h *house) *endpoint {
	e := &endpoint{seen: map[string]int{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var d struct{ Type, Message, Token, TopicArn string }
		if err := json.Unmarshal(b, &d); err != nil {
			h.t.Errorf("%v: %s", err, b)
		}
		if d.Type == "SubscriptionConfirmation" {
			if _, err := h.sns.ConfirmSubscription(ctx, &sns.ConfirmSubscriptionInput{TopicArn: &d.TopicArn, Token: &d.Token}); err != nil {
				h.t.Error(err)
			}
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.sick {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		e.seen[d.Message]++
	}))
	h.t.Cleanup(e.Close)
	return e
}

func (e *endpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}

func (h *house) awaitConfirmed(sub string) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		a := must[*sns.GetSubscriptionAttributesOutput](h.t)(h.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub}))
		if a.Attributes["PendingConfirmation"] == "false" {
			return
		}
		if time.Now().After(end) {
			h.t.Fatal("not confirmed")
		}
	}
}

// What was published and acknowledged reaches the endpoint and the queue, although the node is killed twice: once while the endpoint takes nothing.
func TestSNSGo_KilledWhileDelivering(t *testing.T) {
	h := newHouse(t, start(t, ""), nil)
	topic := h.topic("orders", map[string]string{"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":50}}}`})
	e := newEndpoint(h)
	sub := h.subscribe(topic, "http", e.URL, nil)
	h.awaitConfirmed(sub)
	url, arn := h.queue("jobs", nil)
	h.subscribe(topic, "sqs", arn, map[string]string{"RawMessageDelivery": "true"})
	var want []string
	publish := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			want = append(want, fmt.Sprint(i))
			must[*sns.PublishOutput](t)(h.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String(fmt.Sprint(i))}))
		}
	}
	publish(0, 200)
	h.restart(t)
	e.mu.Lock()
	e.sick = true
	e.mu.Unlock()
	publish(200, 300)
	h.restart(t)
	e.mu.Lock()
	e.sick = false
	e.mu.Unlock()
	publish(300, 400)
	for end := time.Now().Add(time.Minute); e.count() < 400 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
	}
	if e.count() != 400 {
		t.Errorf("the endpoint got %d of 400", e.count())
	}
	got := map[string]int{}
	for _, m := range h.receive(url, 400) {
		got[*m.Body]++
	}
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("the queue lacks %s", w)
		}
	}
}

const validate = `
const Validator = require("sns-validator");
let text = "";
process.stdin.on("data", (d) => (text += d)).on("end", () => {
  new Validator(/^(localhost|127\.0\.0\.1)(:\d+)?$/).validate(JSON.parse(text), (err) => {
    console.log(err ? "bad: " + err.message : "good");
  });
});`

// Amazon's own validator for Node takes the signature, when it is told the host.
func TestSNSValidator(t *testing.T) {
	dir := validator(t)
	n := startTLS(t)
	h := newHouse(t, n, clientFor(t, n))
	for version, sha := range map[string]string{"1": "", "2": ""} {
		topic := h.topic("orders"+version, map[string]string{"SignatureVersion": version})
		url, arn := h.queue("jobs"+version, nil)
		h.subscribe(topic, "sqs", arn, nil)
		must[*sns.PublishOutput](t)(h.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("hé\nllo" + sha), Subject: aws.String("subject")}))
		ms := h.receive(url, 1)
		if len(ms) != 1 {
			t.Fatalf("%v", ms)
		}
		for body, want := range map[string]string{*ms[0].Body: "good", strings.Replace(*ms[0].Body, "llo", "LLO", 1): "bad: The message signature is invalid."} {
			cmd := exec.Command("node", "-e", validate)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(body)
			cmd.Env = append(cmd.Environ(), "NODE_EXTRA_CA_CERTS="+n.ca, "NODE_PATH="+dir+"/node_modules")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("version %s: %v %s; want %s", version, err, out, want)
			}
		}
	}
}

// clientFor trusts the node's certificate.
func clientFor(t *testing.T, n *node) *http.Client {
	t.Helper()
	p, err := os.ReadFile(n.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p) {
		t.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}
