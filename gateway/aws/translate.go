package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/aws/wire"
)

// This file and sns_notice.go alone know both vocabularies. A message is a record:
//
//	body                      value
//	MessageGroupId            key
//	MessageId                 header sqs-message-id; records of others have one that is made of their delivery's id
//	MessageDeduplicationId    header sqs-deduplication-id
//	attribute A of type T     headers sqs-attribute-A with the value and sqs-type-A with T
//	AWSTraceHeader            header sqs-trace
//	SenderId                  header sqs-sender, the user, where there are users
const (
	headerMessageID = "sqs-message-id"
	headerDedup     = "sqs-deduplication-id"
	headerTrace     = "sqs-trace"
	headerSender    = "sqs-sender"
	headerAttribute = "sqs-attribute-"
	headerType      = "sqs-type-"

	traceAttribute = "AWSTraceHeader"
)

// retentionMade is how long a stream that was made as a queue keeps what its subscriptions have settled.
const retentionMade = 24 * time.Hour

// dedupWindow is how long a deduplication id is remembered: five minutes, as at Amazon, or for the node's dedup_window where that is less.
const dedupWindow = 5 * time.Minute

// unackedMax is how many messages of a queue may be in flight.
const unackedMax = 120_000

// streamBatchMax is the largest batch of a stream that was made here: the largest batch of a client, and what its records have around them.
const streamBatchMax = wire.BatchBytesMax + 128<<10

// leaseNone is how long a message is held whose visibility timeout is 0, at most: until the receive is answered.
const leaseNone = 30 * time.Second

// applyPolicy has a subscription do what the attributes of a queue say.
func applyPolicy(c *broker.SubscriptionConfig, q *queue, redrive *wire.RedrivePolicy) {
	p := &c.Policy
	p.Expires = true
	p.LeaseMS = q.seconds("VisibilityTimeout").Milliseconds() // 0: the default, and each receive says its own
	p.TTLMS = q.seconds("MessageRetentionPeriod").Milliseconds()
	p.UnackedMax = unackedMax
	if p.Order = broker.OrderNone; q.fifo {
		p.Order, p.RunMax = broker.OrderKey, wire.ReceiveMax
	}
	c.DeadLetters, p.AttemptsMax, c.DropExpired = "", 0, true
	if redrive.Target != "" {
		arn, _, _ := wire.ParseARN(redrive.Target)
		c.DeadLetters, p.AttemptsMax = strings.Clone(arn.Resource), int32(redrive.MaxReceiveCount) // at most wire.ReceiveCountMax
	}
}

// entryOf makes a record of a message.
func entryOf(q *queue, m *wire.Message, id, sender string, now time.Time) broker.EventEntry {
	e := broker.EventEntry{Stream: q.stream, Partition: record.NoPartition}
	r := &e.Record
	r.Value = []byte(m.Body)
	r.Headers = make([]record.Header, 0, 4+2*len(m.Attributes))
	if m.GroupID.Set {
		r.Key = []byte(m.GroupID.V)
	}
	add := func(key string, value []byte) { r.Headers = append(r.Headers, record.Header{Key: key, Value: value}) }
	add(headerMessageID, []byte(id))
	if sender != "" {
		add(headerSender, []byte(sender))
	}
	delay := m.DelaySeconds.Or(q.delay)
	if q.fifo { // whose messages have no delay of their own
		delay = q.delay
	}
	if delay > 0 {
		at := now.Add(time.Duration(delay) * time.Second).UnixMilli()
		add(broker.HeaderDeliverAt, strconv.AppendInt(nil, at, 10))
	}
	for i := range m.Attributes {
		a := &m.Attributes[i]
		add(headerAttribute+a.Name, a.Value())
		add(headerType+a.Name, []byte(a.DataType))
	}
	for i := range m.System {
		if m.System[i].Name == traceAttribute {
			add(headerTrace, m.System[i].Value())
		}
	}
	if q.fifo {
		e.ID = m.DeduplicationID.V
		if !m.DeduplicationID.Set {
			sum := sha256.Sum256(r.Value)
			e.ID = hex.EncodeToString(sum[:])
		}
		e.Source, e.Within = "sqs:"+q.name, dedupWindow
		if q.PurgedMS > 0 { // a purge forgets ids too
			e.Source += "@" + strconv.FormatInt(q.PurgedMS, 10)
		}
		if strings.EqualFold(q.attribute("DeduplicationScope"), "messageGroup") {
			e.Source += ":" + m.GroupID.V
		}
		add(headerDedup, []byte(e.ID))
	}
	return e
}

// messageOf makes a message of a delivery, with what in asks for. Names of attributes that nobody asks for are left out.
func (x *call) messageOf(q *queue, d *broker.Delivery, in *wire.ReceiveMessageInput, now time.Time) (m wire.ReceivedMessage, err error) {
	if m.ReceiptHandle, err = x.g.broker.HandleText(d.Handle); err != nil {
		return m, err
	}
	m.Body = string(d.Record.Value)
	asked, grouped := in.MessageAttributes, true
	if n, source := x.noticeFor(q, d); n != nil {
		grouped = q.fifo || n.SequenceNumber == "" // what a FIFO topic says of groups is nothing to a standard queue
		if m.Body = n.Message; !source.raw() {     // what is in the envelope is not beside it
			if m.Body, err = x.enveloped(n, &source); err != nil {
				return m, err
			}
			asked = nil
		}
	}
	if !wire.ValidText(m.Body) { // of another protocol: the digest must be that of what is sent
		m.Body = strings.ToValidUTF8(m.Body, "\uFFFD")
		m.Body = strings.Map(func(u rune) rune {
			if wire.ValidText(string(u)) {
				return u
			}
			return '\uFFFD'
		}, m.Body)
	}
	m.MD5OfBody = wire.MD5OfBody(m.Body)
	names, all := in.SystemNames()
	tell := func(name, value string) {
		if all || slices.Contains(names, name) {
			m.System = append(m.System, wire.Pair{Name: name, Value: value})
		}
	}
	tell("ApproximateFirstReceiveTimestamp", strconv.FormatInt(x.g.firsts.at(d.ID, d.Attempt, now.UnixMilli()), 10))
	sent, sender, count := d.AppendTime, x.g.config.Account, d.Attempt
	if d.Record.Key != nil && grouped {
		tell("MessageGroupId", string(d.Record.Key))
	}
	if q.fifo {
		tell("SequenceNumber", sequence(d.Ref))
	}
	var attributes wire.Attributes
	for i := range d.Record.Headers {
		h := &d.Record.Headers[i]
		value := string(h.Value)
		switch {
		case h.Key == headerMessageID:
			m.MessageID = value
			sent = d.Record.Timestamp // which a dead letter keeps
		case h.Key == headerSender:
			sender = value
		case h.Key == headerDedup:
			if grouped {
				tell("MessageDeduplicationId", value)
			}
		case h.Key == headerTrace:
			tell(traceAttribute, value)
		case h.Key == broker.HeaderDeadAttempts: // a dead letter goes on counting
			if n, err := strconv.Atoi(value); err == nil {
				count += n
			}
		case h.Key == broker.HeaderDeadSubscription:
			tell("DeadLetterQueueSourceArn", x.arn(value))
		case strings.HasPrefix(h.Key, headerAttribute):
			attributes = append(attributes, attributeOf(d.Record, h))
		}
	}
	tell("ApproximateReceiveCount", strconv.Itoa(count))
	tell("SentTimestamp", strconv.FormatInt(sent, 10))
	tell("SenderId", sender)
	if m.MessageID == "" {
		sum := sha256.Sum256([]byte(d.ID))
		m.MessageID = uuid([16]byte(sum[:]), 8)
	}
	if m.Attributes = wire.Pick(attributes, asked); len(m.Attributes) > 0 {
		m.MD5OfAttributes = wire.MD5OfAttributes(m.Attributes)
	}
	return m, nil
}

func attributeOf(r *record.Record, h *record.Header) wire.Attribute {
	a := wire.Attribute{Name: h.Key[len(headerAttribute):], DataType: "String"}
	if t, ok := r.Header(headerType + a.Name); ok {
		a.DataType = string(t)
	}
	if a.IsBinary() {
		a.Binary = append([]byte{}, h.Value...)
	} else {
		a.String = wire.Some(string(h.Value))
	}
	return a
}

// sequenceFirst is the number of a FIFO queue's first message: numbers have 20 digits, none of them a leading zero, as at Amazon. (It was 1e19 first, whose
// zeros look like an account.)
const sequenceFirst = uint64(11_111_111_111_111_111_111)

// sequence is the number of a message in a FIFO queue: by its offset, for there is one partition.
func sequence(r record.Ref) string { return strconv.FormatUint(sequenceFirst+uint64(r.Offset), 10) }
