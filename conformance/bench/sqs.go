package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leat/conformance/port"
)

// The group sqs is the whole life of a message by SQS: sent, received and deleted, in batches of 10, by clients that each do all three. Requests
// are in JSON, signed, over a connection that each client keeps; see sqsClient. Every message is on the disk before its send is answered, and
// every delete before it is.

const (
	sqsClients   = 32
	sqsBatch     = 10
	sqsBodyBytes = 1024
	sqsLeast     = 10_000
	sqsAccessKey = "AKIAIOSFODNN7EXAMPLE"
	sqsSecret    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func sqsWorks() []work {
	return []work{{"sqs", "SQS: send, receive, delete in batches of 10", func(*bench) string { return "" }, (*bench).sqs}}
}

func (b *bench) sqs(ctx context.Context) error {
	standard := b.row("sqs-cycle", fmt.Sprintf("SQS send, receive, delete in batches of %d (1 KiB), %d clients, durable", sqsBatch, sqsClients), "messages/s", "", sqsLeast)
	fifo := b.row("sqs-fifo", "the same with a FIFO queue, a group for each client", "messages/s", "", 0)
	for range b.pairs {
		for _, run := range []struct {
			queue string
			row   *row
		}{{"cycle", standard}, {"cycle.fifo", fifo}} {
			rate, err := b.sqsCycle(ctx, run.queue)
			if err != nil {
				return err
			}
			run.row.one(rate)
		}
	}
	return nil
}

// sqsCycle runs a new node and answers how many messages a second went all the way.
func (b *bench) sqsCycle(ctx context.Context, queue string) (float64, error) {
	p := &proc{}
	var err error
	if p.sqs, err = port.Free(); err != nil {
		return 0, err
	}
	if p, err = b.startNode(ctx, b.ring, p, "--listen", "aws="+p.sqs); err != nil {
		return 0, err
	}
	defer func() { _ = p.stop() }()
	if err := sqsCreate(ctx, p, queue); err != nil {
		return 0, err
	}
	if _, err := sqsRun(ctx, p, queue, b.workFor/5); err != nil {
		return 0, err
	}
	return sqsRun(ctx, p, queue, b.workFor)
}

func sqsCreate(ctx context.Context, p *proc, queue string) error {
	c, err := dialSQS(ctx, p, queue)
	if err != nil {
		return err
	}
	defer c.close()
	attributes := "{}"
	if strings.HasSuffix(queue, ".fifo") {
		attributes = `{"FifoQueue":"true"}`
	}
	_, err = c.do("CreateQueue", []byte(`{"QueueName":"`+queue+`","Attributes":`+attributes+`}`))
	return err
}

func sqsRun(ctx context.Context, p *proc, queue string, d time.Duration) (float64, error) {
	var done atomic.Int64
	errs := make([]error, sqsClients)
	var wg sync.WaitGroup
	began := time.Now()
	until := began.Add(d)
	for i := range sqsClients {
		wg.Go(func() {
			c, err := dialSQS(ctx, p, queue)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			c.group = "g" + strconv.Itoa(i)
			for n := 0; time.Now().Before(until) && err == nil; {
				n, err = c.cycle()
				done.Add(int64(n))
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// sqsClient is one connection with ready-made requests. One goroutine uses it.
type sqsClient struct {
	*rawHTTP
	host, queue, group string
	fifo               bool
	body               []byte
	request            []byte
	day                string
	mac                hash.Hash // of the key of the day
	handles            [][]byte
}

func dialSQS(ctx context.Context, p *proc, queue string) (*sqsClient, error) {
	r, err := dialHTTP(ctx, &proc{http: p.sqs})
	if err != nil {
		return nil, err
	}
	return &sqsClient{rawHTTP: r, host: p.sqs, queue: queue, fifo: strings.HasSuffix(queue, ".fifo")}, nil
}

var sqsPayload = strings.Repeat("leat takes events in. ", sqsBodyBytes/22+1)[:sqsBodyBytes]

// cycle sends a batch, receives one and deletes that. It answers how many messages were deleted: they need not be those that were sent.
func (c *sqsClient) cycle() (int, error) {
	b := append(c.body[:0], `{"QueueUrl":"http://`+c.host+`/000000000000/`+c.queue+`","Entries":[`...)
	for i := range sqsBatch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"Id":"`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `","MessageBody":"`...)
		b = append(b, sqsPayload...)
		if b = append(b, '"'); c.fifo {
			b = append(b, `,"MessageGroupId":"`+c.group+`","MessageDeduplicationId":"`+c.group+`-`...)
			b = append(strconv.AppendInt(b, time.Now().UnixNano()+int64(i), 36), '"')
		}
		b = append(b, '}')
	}
	c.body = append(b, "]}"...)
	answer, err := c.do("SendMessageBatch", c.body)
	if err != nil {
		return 0, err
	}
	if n := bytes.Count(answer, []byte(`"MessageId"`)); n != sqsBatch {
		return 0, fmt.Errorf("%d of %d messages were taken: %.300s", n, sqsBatch, answer)
	}
	c.body = append(c.body[:0], `{"QueueUrl":"http://`+c.host+`/000000000000/`+c.queue+`","MaxNumberOfMessages":10,"WaitTimeSeconds":1}`...)
	if answer, err = c.do("ReceiveMessage", c.body); err != nil {
		return 0, err
	}
	c.handles = c.handles[:0]
	const key = `"ReceiptHandle":"`
	for rest := answer; ; {
		_, after, ok := bytes.Cut(rest, []byte(key))
		if !ok {
			break
		}
		h, behind, _ := bytes.Cut(after, []byte{'"'})
		c.handles, rest = append(c.handles, h), behind
	}
	if len(c.handles) == 0 {
		return 0, nil
	}
	b = append(c.body[:0], `{"QueueUrl":"http://`+c.host+`/000000000000/`+c.queue+`","Entries":[`...)
	for i, h := range c.handles {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"Id":"`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `","ReceiptHandle":"`...)
		b = append(append(b, h...), `"}`...)
	}
	c.body = append(b, "]}"...)
	n := len(c.handles)
	if answer, err = c.do("DeleteMessageBatch", c.body); err != nil {
		return 0, err
	}
	if bytes.Contains(answer, []byte(`"Failed"`)) {
		return 0, fmt.Errorf("deletes failed: %.300s", answer)
	}
	return n, nil
}

// do sends one signed request.
func (c *sqsClient) do(action string, body []byte) ([]byte, error) {
	now := time.Now().UTC().Format("20060102T150405Z")
	if c.day != now[:8] {
		c.day = now[:8]
		key := []byte("AWS4" + sqsSecret)
		for _, part := range []string{c.day, "us-east-1", "sqs", "aws4_request"} {
			key = hmacOf(hmac.New(sha256.New, key), part)
		}
		c.mac = hmac.New(sha256.New, key)
	}
	sum := sha256.Sum256(body)
	hexSum := hex.EncodeToString(sum[:])
	canonical := sha256.Sum256([]byte("POST\n/\n\nhost:" + c.host + "\nx-amz-date:" + now + "\nx-amz-target:AmazonSQS." + action + "\n\nhost;x-amz-date;x-amz-target\n" + hexSum))
	scope := c.day + "/us-east-1/sqs/aws4_request"
	c.mac.Reset()
	signature := hmacOf(c.mac, "AWS4-HMAC-SHA256\n"+now+"\n"+scope+"\n"+hex.EncodeToString(canonical[:]))
	q := append(c.request[:0], "POST / HTTP/1.1\r\nHost: "+c.host+"\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Date: "+now+"\r\nX-Amz-Target: AmazonSQS."+action+
		"\r\nAuthorization: AWS4-HMAC-SHA256 Credential="+sqsAccessKey+"/"+scope+", SignedHeaders=host;x-amz-date;x-amz-target, Signature="...)
	q = hex.AppendEncode(q, signature)
	q = append(q, "\r\nContent-Length: "...)
	q = strconv.AppendInt(q, int64(len(body)), 10)
	q = append(q, "\r\n\r\n"...)
	c.request = append(q, body...)
	return c.rawHTTP.do(c.request)
}

func hmacOf(m hash.Hash, text string) []byte {
	m.Write([]byte(text))
	return m.Sum(nil)
}
