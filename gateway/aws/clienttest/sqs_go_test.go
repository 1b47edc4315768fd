package clienttest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func sqsClient(n *node) *sqs.Client {
	return sqs.New(sqs.Options{BaseEndpoint: aws.String(n.url), Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
}

// Messages are sent by several, with retries of the client's own, while the node is killed; each comes once at least, and in its group's order.
func TestSQSGo_KilledWhileSending(t *testing.T) {
	const senders, each, kills = 4, 60, 3
	n := start(t, "")
	c, ctx := sqsClient(n), t.Context()
	var none *types.QueueDoesNotExist
	if _, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("go.fifo")}); !errors.As(err, &none) {
		t.Fatalf("a queue that is not there: %v", err)
	}
	made, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("go.fifo"), Attributes: map[string]string{"FifoQueue": "true", "VisibilityTimeout": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				in := &sqs.SendMessageInput{
					QueueUrl: made.QueueUrl, MessageBody: aws.String(strconv.Itoa(i)), MessageGroupId: aws.String(fmt.Sprint("g", s)), MessageDeduplicationId: aws.String(fmt.Sprint(s, "-", i)),
				}
				for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
					_, err := c.SendMessage(ctx, in)
					if err == nil {
						break
					}
					if time.Now().After(end) {
						t.Errorf("sender %d, message %d: %v", s, i, err)
						return
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	next := map[string]int{}
	var receiver sync.WaitGroup
	receiver.Go(func() {
		receiveInOrder(ctx, t, c, made.QueueUrl, next, senders*each)
	})
	for range kills {
		time.Sleep(300 * time.Millisecond)
		n.restart(t)
	}
	wg.Wait()
	receiver.Wait()
	for g, i := range next {
		if i != each {
			t.Errorf("%s: %d of %d messages", g, i, each)
		}
	}
}

// receiveInOrder receives and deletes until there are so many. A message that comes again, because its delete was not answered, must be one
// that was there before.
func receiveInOrder(ctx context.Context, t *testing.T, c *sqs.Client, url *string, next map[string]int, want int) {
	for total, end := 0, time.Now().Add(2*time.Minute); total < want; {
		if time.Now().After(end) {
			t.Errorf("%d of %d messages came: %v", total, want, next)
			return
		}
		got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		for _, m := range got.Messages {
			g := m.Attributes["MessageGroupId"]
			i, err := strconv.Atoi(*m.Body)
			switch {
			case err != nil || i > next[g]:
				t.Errorf("%s: %s came, %d is next", g, *m.Body, next[g])
				return
			case i == next[g]:
				next[g]++
				total++
			}
			_, _ = c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}) // else it comes again
		}
	}
}
