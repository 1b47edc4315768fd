package clienttest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// loser loses the answer to the first attempt at each receive, once it has begun to come, with the connection.
type loser struct {
	t    http.RoundTripper
	lost int
}

func (l *loser) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.t.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ReceiveMessage") && strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1") {
		_ = res.Body.Close()
		l.lost++
		return nil, io.ErrUnexpectedEOF
	}
	return res, err
}

// The program sees nothing of answers that were lost: the SDK's second attempt has the messages, though nobody else would for an hour.
func TestSQSGo_LostAnswers(t *testing.T) {
	n := start(t, "")
	l := &loser{t: &http.Transport{DisableKeepAlives: true}}
	soon := retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	c := sqs.New(sqs.Options{
		BaseEndpoint: aws.String(n.url), Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		HTTPClient: &http.Client{Transport: l}, Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.Backoff = soon }),
	})
	for _, name := range []string{"go", "go.fifo"} {
		attributes := map[string]string{"VisibilityTimeout": "3600"}
		if name == "go.fifo" {
			attributes["FifoQueue"] = "true"
		}
		url := must[*sqs.CreateQueueOutput](t)(c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})).QueueUrl
		var want, got []string
		for i := range 30 {
			in := &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(fmt.Sprintf("%02d", i))}
			if name == "go.fifo" {
				in.MessageGroupId, in.MessageDeduplicationId = aws.String("g"), in.MessageBody
			}
			must[*sqs.SendMessageOutput](t)(c.SendMessage(ctx, in))
			want = append(want, *in.MessageBody)
		}
		for len(got) < len(want) {
			out := must[*sqs.ReceiveMessageOutput](t)(c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
				QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 20, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
			}))
			if len(out.Messages) == 0 {
				break
			}
			for _, m := range out.Messages {
				if got = append(got, *m.Body); m.Attributes["ApproximateReceiveCount"] != "1" {
					t.Errorf("%s: %s was received %s times", name, *m.Body, m.Attributes["ApproximateReceiveCount"])
				}
				must[*sqs.DeleteMessageOutput](t)(c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}))
			}
		}
		if name == "go" {
			slices.Sort(got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if l.lost < 6 {
		t.Errorf("%d answers were lost", l.lost)
	}
}
