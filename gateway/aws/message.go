package aws

import (
	"context"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

func sendMessage(x *call, in *wire.SendMessageInput, out *wire.SendMessageOutput) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	if bad := in.CheckFor(q.rules); bad != nil {
		return bad
	}
	sent, err := x.send(q, []*wire.Message{&in.Message})
	if err != nil {
		return err
	}
	*out = sent[0]
	return nil
}

// send appends messages, all or none.
func (x *call) send(q *queue, ms []*wire.Message) ([]wire.SendMessageOutput, error) {
	entries, ids, now, trace := make([]broker.EventEntry, len(ms)), make([]string, len(ms)), clock.Now(), x.trace()
	for i, m := range ms {
		ids[i] = newID()
		entries[i] = entryOf(q, m, ids[i], x.who.Principal, now)
		if r := &entries[i].Record; trace != nil && len(m.System) == 0 {
			r.Headers = append(r.Headers, record.Header{Key: headerTrace, Value: trace})
		}
	}
	results, err := x.g.broker.AppendEvents(x.ctx, &x.who, broker.EventsAppend{Events: entries})
	if err != nil {
		return nil, err
	}
	out := make([]wire.SendMessageOutput, len(ms))
	for i, m := range ms {
		o := &out[i]
		if o.MessageID = ids[i]; results[i].Duplicate {
			o.MessageID = x.firstID(&results[i], ids[i])
		}
		o.MD5OfBody = wire.MD5OfBody(m.Body)
		if len(m.Attributes) > 0 {
			o.MD5OfAttributes = wire.MD5OfAttributes(m.Attributes)
		}
		if len(m.System) > 0 {
			o.MD5OfSystem = wire.MD5OfAttributes(m.System)
		}
		if q.fifo {
			o.SequenceNumber = sequence(results[i].Ref)
		}
	}
	return out, nil
}

// headerTraceID is the header of a request whose value its messages have as AWSTraceHeader, unless they have one of their own.
const headerTraceID = "X-Amzn-Trace-Id"

const traceBytesMax = 1024

func (x *call) trace() []byte {
	if id := x.r.Header[headerTraceID]; len(id) > 0 && len(id[0]) <= traceBytesMax && wire.ValidText(id[0]) {
		return []byte(id[0])
	}
	return nil
}

// firstID is the id under which a message was sent the first time; id where it cannot be had.
func (x *call) firstID(r *broker.EventResult, id string) string {
	who := &x.who
	if r.Quarantined != nil { // which not everybody may read; it is the id of what he has sent himself
		who = x.g.broker.OwnCaller(who.Namespace)
	}
	d, err := x.g.broker.ReadRef(x.ctx, who, r.Ref)
	if err != nil { // the sender may not read, or it has gone
		return id
	}
	if first, ok := d.Record.Header(headerMessageID); ok {
		return string(first)
	}
	return id
}

func sendBatch(x *call, in *wire.SendMessageBatchInput, out *wire.SendMessageBatchOutput) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	rules := q.rules
	if bad := in.CheckFor(rules); bad != nil {
		return bad
	}
	var ms []*wire.Message
	var ids []string
	for i := range in.Entries {
		e := &in.Entries[i]
		if bad := e.CheckFor(rules); bad != nil {
			out.Failed = append(out.Failed, wire.Failure(e.ID, bad))
			continue
		}
		ms, ids = append(ms, &e.Message), append(ids, e.ID)
	}
	if len(ms) == 0 {
		return nil
	}
	sent, err := x.send(q, ms)
	if err != nil {
		return err
	}
	for i := range sent {
		out.Successful = append(out.Successful, wire.SendMessageBatchResult{ID: ids[i], SendMessageOutput: sent[i]})
	}
	return nil
}

// giveBack has others handed what was not handed over after all.
func (x *call) giveBack(hs []broker.Handle) {
	if _, err := x.g.broker.Release(context.WithoutCancel(x.ctx), &x.who, hs, 0, false); err != nil {
		x.g.log.Debug("messages could not be given back: their leases run out", "request", x.id, "error", err)
	}
}

// handle reads a receipt handle of a queue.
func (x *call) handle(q *queue, text string) (broker.Handle, error) {
	h, err := x.g.broker.ParseHandle(&x.who, text)
	if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied) {
		return h, err
	}
	if err != nil || x.g.broker.SubscriptionOf(&x.who, h) != q.name {
		return h, wire.Refuse(wire.ReceiptHandleInvalid, `The input receipt handle "`+text[:min(len(text), wire.ReceiptHandleMax)]+`" is not a valid receipt handle.`)
	}
	return h, nil
}

// deleted is what became of a delete. One that comes too late does nothing, and says so for FIFO queues only, as at Amazon.
func deleted(q *queue, o broker.Outcome, handle string) error {
	good := o == broker.OutcomeDone || o == broker.OutcomeAlready || o == broker.OutcomeLate
	if good || !q.fifo {
		return nil
	}
	return wire.Refuse(wire.InvalidParameterValue, "Value "+handle+" for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
}

// changed is what became of a change of visibility. A handle whose time is over does it too, as at Amazon, but for FIFO queues.
func changed(o broker.Outcome, handle string) error {
	if o == broker.OutcomeDone || o == broker.OutcomeLate {
		return nil
	}
	return wire.Refuse(wire.InvalidParameterValue, "Value "+handle+" for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.")
}

func deleteMessage(x *call, in *wire.DeleteMessageInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	h, err := x.handle(q, in.ReceiptHandle)
	if err != nil {
		return err
	}
	outcomes, err := x.g.broker.Ack(x.ctx, &x.who, []broker.Handle{h})
	if err != nil {
		return err
	}
	return deleted(q, outcomes[0], in.ReceiptHandle)
}

// settleEntry is one of a batch.
type settleEntry struct {
	id, handle string
	check      *wire.Error
	do         func(h broker.Handle) error
}

// settleEach does what entries of a batch ask for, each for itself.
func (x *call) settleEach(url string, n int, at func(i int, q *queue) settleEntry, out *wire.BatchOutput) error {
	q, err := x.queueAt(url)
	if err != nil {
		return err
	}
	for i := range n {
		e := at(i, q)
		var err error
		if e.check != nil {
			err = e.check
		} else {
			var h broker.Handle
			if h, err = x.handle(q, e.handle); err == nil {
				err = e.do(h)
			}
		}
		if err != nil {
			out.Failed = append(out.Failed, wire.Failure(e.id, x.refusal(err)))
			continue
		}
		out.Successful = append(out.Successful, wire.BatchDone{ID: e.id})
	}
	return nil
}

// deleteBatch acknowledges all good handles in one frame.
func deleteBatch(x *call, in *wire.DeleteMessageBatchInput, out *wire.BatchOutput) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	var hs []broker.Handle
	var at []int
	failed := make([]error, len(in.Entries))
	for i := range in.Entries {
		h, err := x.handle(q, in.Entries[i].ReceiptHandle)
		if failed[i] = err; err == nil {
			hs, at = append(hs, h), append(at, i)
		}
	}
	if len(hs) > 0 {
		outcomes, err := x.g.broker.Ack(x.ctx, &x.who, hs)
		if err != nil {
			return err
		}
		for k, i := range at {
			failed[i] = deleted(q, outcomes[k], in.Entries[i].ReceiptHandle)
		}
	}
	for i, err := range failed {
		id := in.Entries[i].ID
		if err != nil {
			out.Failed = append(out.Failed, wire.Failure(id, x.refusal(err)))
			continue
		}
		out.Successful = append(out.Successful, wire.BatchDone{ID: id})
	}
	return nil
}

// setVisibility hides a message so long from now; 0 has it received again.
func (x *call) setVisibility(h broker.Handle, seconds int64, text string) error {
	outcomes, err := x.g.broker.Postpone(x.ctx, &x.who, []broker.Handle{h}, time.Duration(seconds)*time.Second)
	if err != nil {
		return err
	}
	return changed(outcomes[0], text)
}

func changeVisibility(x *call, in *wire.ChangeMessageVisibilityInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	h, err := x.handle(q, in.ReceiptHandle)
	if err != nil {
		return err
	}
	return x.setVisibility(h, in.VisibilityTimeout.V, in.ReceiptHandle)
}

func changeVisibilityBatch(x *call, in *wire.ChangeMessageVisibilityBatchInput, out *wire.BatchOutput) error {
	return x.settleEach(in.QueueURL, len(in.Entries), func(i int, _ *queue) settleEntry {
		e := &in.Entries[i]
		return settleEntry{e.ID, e.ReceiptHandle, e.Check(), func(h broker.Handle) error {
			return x.setVisibility(h, e.VisibilityTimeout.V, e.ReceiptHandle)
		}}
	}, out)
}
