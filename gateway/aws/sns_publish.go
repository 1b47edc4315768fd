package aws

import (
	"slices"

	"leat/broker"
	"leat/gateway/aws/wire"
)

// Publish and PublishBatch: a message is a record of the topic's stream (sns_notice.go), and nothing is done for each subscription.

func publish(x *call, in *wire.PublishInput, out *wire.PublishOutput) error {
	arn := in.TopicARN
	switch {
	case in.PhoneNumber != "":
		return badTopic("PhoneNumber Reason: no text messages are sent from here")
	case arn == "":
		arn = in.TargetARN
		if a, _, _ := wire.ParseARN(arn); len(a.Resource) > 9 && a.Resource[:9] == "endpoint/" {
			return badTopic("TargetArn Reason: No endpoint found for the target arn specified")
		}
	}
	t, err := x.topicAt(arn)
	if err != nil {
		return err
	}
	if bad := in.CheckFor(t.rules); bad != nil {
		return bad
	}
	sent, err := x.publish(t, []*wire.Notice{&in.Notice})
	if err == nil {
		*out = sent[0]
	}
	return err
}

// publish appends messages, all or none.
func (x *call) publish(t *topic, ns []*wire.Notice) ([]wire.PublishOutput, error) {
	entries, ids, trace := make([]broker.EventEntry, len(ns)), make([]string, len(ns)), x.trace()
	for i, n := range ns {
		ids[i] = newID()
		entries[i] = noticeEntry(t, n, ids[i], trace)
	}
	lost, err := x.orphaned(t, entries)
	if err != nil {
		return nil, err
	}
	results, err := x.g.broker.AppendEvents(x.ctx, &x.who, broker.EventsAppend{Events: slices.Concat(entries, lost)})
	if err != nil {
		return nil, err
	}
	out := make([]wire.PublishOutput, len(ns))
	for i := range out {
		if out[i].MessageID = ids[i]; results[i].Duplicate {
			out[i].MessageID = x.firstNotice(&results[i], ids[i])
		}
		if t.fifo {
			out[i].SequenceNumber = noticeSequence(results[i].Ref)
		}
	}
	return out, nil
}

// firstNotice is the id under which a message was published the first time; id where it cannot be had.
func (x *call) firstNotice(r *broker.EventResult, id string) string {
	who := &x.who
	if r.Quarantined != nil { // which not everybody may read; it is the id of what he has sent himself
		who = x.g.broker.OwnCaller(who.Namespace)
	}
	d, err := x.g.broker.ReadRef(x.ctx, who, r.Ref)
	if err != nil { // the publisher may not read, or it has gone
		return id
	}
	if first, ok := d.Record.Header(headerNoticeID); ok {
		return string(first)
	}
	return id
}

func publishBatch(x *call, in *wire.PublishBatchInput, out *wire.PublishBatchOutput) error {
	t, err := x.topicAt(in.TopicARN)
	if err != nil {
		return err
	}
	if bad := in.CheckFor(t.rules); bad != nil {
		return bad
	}
	ns := make([]*wire.Notice, len(in.Entries))
	for i := range in.Entries {
		if bad := in.Entries[i].CheckFor(t.rules); bad != nil { // which fails the batch at Amazon
			return bad
		}
		ns[i] = &in.Entries[i].Notice
	}
	sent, err := x.publish(t, ns)
	if err != nil {
		return err
	}
	for i := range sent {
		out.Successful = append(out.Successful, wire.PublishBatchResult{ID: in.Entries[i].ID, PublishOutput: sent[i]})
	}
	return nil
}
