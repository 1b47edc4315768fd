package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// sqsRefused is an answer that is no success, of a node that is up.
type sqsRefused struct {
	status int
	text   string
}

func (e *sqsRefused) Error() string { return fmt.Sprintf("%d %.300s", e.status, e.text) }

// sqs asks once, in JSON. Signatures are left out: the node has no users.
func (k *queueKiller) sqs(ctx context.Context, action string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+k.addr+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/x-amz-json-1.0")
	q.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	r, err := k.client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, answerBytesMax))
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return &sqsRefused{r.StatusCode, string(text)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// unsure reports whether an error says nothing about what was done. Anything else is a refusal that a good node does not give.
func unsure(err error) bool {
	var r *sqsRefused
	return !errors.As(err, &r) || r.status == http.StatusServiceUnavailable
}

// message is one as it is received.
type message struct {
	MessageId, ReceiptHandle, Body string //nolint:revive // the protocol's names
	Attributes                     struct{ ApproximateReceiveCount, MessageGroupId, SequenceNumber string }
}

type received struct{ Messages []message }

type sent struct{ MessageId, SequenceNumber string } //nolint:revive // likewise

type object = map[string]any

func (k *queueKiller) receive(ctx context.Context, queue string, most int, visibility int) ([]message, error) {
	var out received
	in := object{"QueueUrl": queue, "MaxNumberOfMessages": most, "WaitTimeSeconds": 1, "MessageSystemAttributeNames": []string{"All"}}
	if visibility >= 0 {
		in["VisibilityTimeout"] = visibility
	}
	err := k.sqs(ctx, "ReceiveMessage", in, &out)
	return out.Messages, err
}

// remove deletes messages and answers which are gone for sure.
func (k *queueKiller) remove(ctx context.Context, queue string, ms []message) (gone []message, err error) {
	var entries []object
	for i := range ms {
		entries = append(entries, object{"Id": fmt.Sprint(i), "ReceiptHandle": ms[i].ReceiptHandle})
	}
	var out struct {
		Successful []struct{ Id string } //nolint:revive // the protocol's name
		Failed     []struct{ Id, Code string }
	}
	if err := k.sqs(ctx, "DeleteMessageBatch", object{"QueueUrl": queue, "Entries": entries}, &out); err != nil {
		return nil, err
	}
	for _, s := range out.Successful {
		var i int
		if _, err := fmt.Sscan(s.Id, &i); err != nil || i < 0 || i >= len(ms) {
			return nil, fmt.Errorf("an answer for entry %q", s.Id)
		}
		gone = append(gone, ms[i])
	}
	return gone, nil
}
