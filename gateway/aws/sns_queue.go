package aws

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter"
	"leat/broker/record"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

// The queue's side of SNS: a queue that is subscribed to topics reads their streams beside its own, each from the subscribing on and with the
// filter policy of that subscription.
//
//	stream orders.topic  ──────────────────────────▶ ┐
//	stream stock         ── {"store":["north"]} ───▶ ├ subscription jobs ──▶ ReceiveMessage
//	stream jobs (own)    ──────────────────────────▶ ┘
//
// After Unsubscribe, and after DeleteTopic, the stream is read on with a policy that nothing meets, as long as messages from before wait.

// sourcesName is the document of a queue's subscription that says which topics it is subscribed to, by stream.
const sourcesName = "sns.sources"

// sourcesOf are the topics that a queue is subscribed to, by stream; the map is shared and not to be changed.
func (g *Gateway) sourcesOf(s *broker.SubscriptionSummary) map[string]subDocument {
	text := s.Config.Documents[sourcesName]
	if text == "" {
		return nil
	}
	list, err := g.sources.read(s.Name, text, readSources)
	if err != nil {
		g.log.Warn("the topics of a queue cannot be read", "queue", s.Name, "error", err)
	}
	return list
}

func readSources(text string) (map[string]subDocument, error) {
	list := map[string]subDocument{}
	if text == "" {
		return list, nil
	}
	err := json.Unmarshal([]byte(text), &list)
	return list, err
}

// changeSource changes what a queue has of a topic's stream; change is given nothing where it has none. It fails with NotFound when there is no
// such queue.
func (x *call) changeSource(queue, stream string, change func(d *subDocument) error) error {
	var delay int64
	if own, ok := x.g.queueStream(x.who.Namespace, queue); ok {
		s, _ := x.g.broker.OwnStream(x.who.Namespace, own, documentName)
		if q, err := queueOf(own, s.Document); err == nil {
			delay = q.delay
		}
	}
	_, err := x.g.broker.PutSubscription(x.ctx, &x.who, queue, func(c *broker.SubscriptionConfig) error {
		if _, is := c.Documents[documentName]; !is {
			return fault.New(fault.NotFound, "subscribe", queue, "there is no queue %q", queue)
		}
		list, err := readSources(c.Documents[sourcesName])
		if err != nil {
			return fault.New(fault.Corrupt, "subscribe", queue, "the topics of the queue cannot be read").From(err)
		}
		d := list[stream]
		if err := change(&d); err != nil {
			return err
		}
		list[stream] = d
		c.Documents = maps.Clone(c.Documents)
		c.Documents[sourcesName] = string(mustJSON(list))
		if !slices.Contains(c.Streams, stream) {
			c.Streams = append(c.Streams, stream)
		}
		applySources(c, list, delay)
		return nil
	}, broker.Start{Kind: broker.StartLatest}, 0)
	return err
}

// applySources has the subscription of a queue take from each topic what it is subscribed to. delay is the queue's, in seconds.
func applySources(c *broker.SubscriptionConfig, list map[string]subDocument, delay int64) {
	c.Policies = nil
	for _, stream := range slices.Sorted(maps.Keys(list)) {
		d := list[stream]
		p, some := d.policyOf(stream)
		if p.DelayMS = delay * 1000; some || delay > 0 {
			c.Policies = append(c.Policies, p)
		}
	}
}

// park keeps the subscriptions of a queue that is being deleted with their topics: made again, it is subscribed as it was. It returns what the
// queue read.
func (x *call) park(queue string) (map[string]subDocument, error) {
	s, ok := x.g.broker.SubscriptionWith(x.who.Namespace, queue, sourcesName)
	if !ok {
		return nil, nil
	}
	list := x.g.sourcesOf(&s)
	for stream, d := range list {
		t, err := x.topicOn(stream)
		if err != nil || d.Ended {
			continue // the topic went before
		}
		if err := x.parkAt(t, &d); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// sweepEnded deletes streams of topics that have ended, where the last queue that read them has gone.
func (x *call) sweepEnded(streams map[string]subDocument) error {
	for stream := range streams {
		if _, ended := x.g.broker.OwnStream(x.who.Namespace, stream, topicEnded); !ended {
			continue
		}
		read := slices.ContainsFunc(x.g.broker.SubscriptionsWith(x.who.Namespace, sourcesName), func(s broker.SubscriptionSummary) bool {
			return slices.Contains(s.Config.Streams, stream)
		})
		if read {
			continue
		}
		err := x.g.broker.DeleteStream(x.ctx, &x.who, stream)
		if err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// parkedMax is how many subscriptions of queues that are not there a topic keeps.
const parkedMax = 100

func (x *call) parkAt(t *topic, d *subDocument) error {
	_, err := x.alterTopic(t, func(doc *topicDocument) error {
		doc.Parked = slices.DeleteFunc(doc.Parked, func(p subDocument) bool { return p.ID == d.ID })
		if len(doc.Parked) >= parkedMax {
			return wire.Refuse(wire.TopicSubscriptionLimit, "Too many queues that do not exist are subscribed to the topic")
		}
		doc.Parked = append(doc.Parked, *d)
		return nil
	})
	return err
}

func (x *call) unpark(t *topic, id string) error {
	_, err := x.alterTopic(t, func(doc *topicDocument) error {
		doc.Parked = slices.DeleteFunc(doc.Parked, func(p subDocument) bool { return p.ID == id })
		return nil
	})
	return err
}

// linkParked subscribes a queue that was just made to the topics that wait for it.
func (x *call) linkParked(queue string) error {
	for _, t := range x.g.allTopics(x.who.Namespace) {
		for _, d := range t.Parked {
			if a, _, _ := wire.ParseARN(d.Endpoint); a.Resource != queue {
				continue
			}
			if err := x.changeSource(queue, t.stream, func(was *subDocument) error { *was = d; return nil }); err != nil {
				return err
			}
			if err := x.unpark(t, d.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// topicOn is the topic of a stream.
func (x *call) topicOn(stream string) (*topic, error) {
	s, ok := x.g.broker.OwnStream(x.who.Namespace, stream, topicName)
	if !ok {
		return nil, noTopic()
	}
	return x.g.topicRead(stream, s.Document)
}

// noticeFor is what a delivery of a queue is as a notice of a topic; nil when it is none. raw: the queue wants the bare message.
func (x *call) noticeFor(q *queue, d *broker.Delivery) (n *notice, source subDocument) {
	ref, queue := d.Ref, q.name
	_, published := d.Record.Header(headerNoticeID)
	if ref.Stream == q.stream {
		origin, dead := d.Record.Header(broker.HeaderDeadOrigin)
		if !published && !dead {
			return nil, source
		}
		if dead { // a dead letter of the queue it died in
			if r, err := record.ParseRef(string(origin)); err == nil {
				ref = r
			}
			if of, ok := d.Record.Header(broker.HeaderDeadSubscription); ok {
				queue = string(of)
			}
		}
	}
	of, _ := d.Record.Header(headerTopic)
	name := string(of)
	if s, ok := x.g.broker.SubscriptionWith(x.who.Namespace, queue, sourcesName); ok {
		list := x.g.sourcesOf(&s)
		if source = list[ref.Stream]; source.ID == "" { // it was moved here from the dead letters
			for _, other := range list {
				if other.Topic == name {
					source = other
				}
			}
		}
	}
	if source.ID == "" && !published {
		return nil, source
	}
	name = cmp.Or(name, source.Topic)
	return x.g.noticeOf(name, protocolQueue, ref, d.Record, d.AppendTime), source
}

// orphaned are the dead letters of messages for queues that are not there, where the subscription says whereto.
func (x *call) orphaned(t *topic, entries []broker.EventEntry) (out []broker.EventEntry, err error) {
	for i := range t.Parked {
		d := &t.Parked[i]
		to := d.deadLetters()
		if to == "" {
			continue
		}
		to, ok := x.g.queueStream(x.who.Namespace, to)
		if !ok {
			continue // nor is that one
		}
		for k := range entries {
			if !d.wants(&entries[k], t.stream) {
				continue
			}
			n := x.g.noticeOf(t.name, d.Protocol, record.Ref{}, &entries[k].Record, clock.Now().UnixMilli())
			e, err := x.g.deadNotice(n, d, t.version, to, x.base(), "the queue does not exist")
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// deadLetters is the queue of a subscription's RedrivePolicy, "" for none.
func (d *subDocument) deadLetters() string {
	s, bad := wire.ParseSubscriptionAttributes(wire.Pairs{{Name: "RedrivePolicy", Value: d.Attributes["RedrivePolicy"]}}, false)
	if bad != nil {
		return ""
	}
	a, _, _ := wire.ParseARN(s.Redrive.V)
	return strings.Clone(a.Resource)
}

// wants says whether the filter policy of a subscription lets a message pass.
func (d *subDocument) wants(e *broker.EventEntry, stream string) bool {
	p, some := d.policyOf(stream)
	if !some {
		return true
	}
	scope := filter.PolicyScope{Data: p.Data}
	if !p.Data {
		scope.Decode = filter.Typed(p.Values, p.Types)
	}
	predicate, err := filter.CompilePolicy([]byte(p.Policy), scope)
	if err != nil || p.Nothing {
		return false
	}
	event := record.Event{Data: e.Record.Value, Headers: e.Record.Headers}
	var in filter.Input
	in.Reset(&event, stream, 0, 0)
	x := filter.NewExtract()
	x.Reset(&in)
	ok, _ := predicate.Match(x)
	return ok
}

// deadNotice is the message of a dead-letter queue, of which the stream is given, for a notice that was not taken: what would have been delivered, and why it was not.
func (g *Gateway) deadNotice(n *notice, d *subDocument, version int64, stream, base, why string) (e broker.EventEntry, err error) {
	e = broker.EventEntry{Stream: stream, Partition: record.NoPartition}
	r := &e.Record
	add := func(key, value string) { r.Headers = append(r.Headers, record.Header{Key: key, Value: []byte(value)}) }
	id := newID()
	add(headerMessageID, id)
	if d.raw() {
		r.Value = []byte(n.Message)
		for i := range n.Attributes {
			a := &n.Attributes[i]
			r.Headers = append(r.Headers, record.Header{Key: headerAttribute + a.Name, Value: a.Value()})
			add(headerType+a.Name, a.DataType)
		}
	} else if r.Value, err = g.appendNotice(nil, n, version, base, g.subscriptionARN(d)); err != nil {
		return e, err
	}
	add(broker.HeaderDeadError, why)
	if strings.HasSuffix(strings.TrimSuffix(stream, queueSuffix), ".fifo") {
		r.Key = []byte(n.group)
		e.ID, e.Source, e.Within = n.MessageID, "sns-dead:"+d.ID, dedupWindow
		add(headerDedup, n.dedup)
	}
	return e, nil
}
