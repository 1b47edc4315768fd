package aws

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/aws/wire"
)

// Subscriptions of SNS, as they are kept:
//
//	to a queue          in the document sns.sources of the queue's subscription, which reads the topic's stream (sns_queue.go)
//	to an endpoint      in the document sns.subscription of a subscription sns-<id> of their own, which nothing reaches until it is confirmed
//	to a queue that     in the document of the topic (topicDocument.Parked)
//	is not there
const (
	subscriptionName   = "sns.subscription"
	subscriptionPrefix = "sns-"

	protocolQueue = "sqs"
	protocolHTTP  = "http"
	protocolHTTPS = "https"
)

// subDocument is a subscription.
type subDocument struct {
	ID         string            `json:"id"`
	Topic      string            `json:"topic"` // its name
	Protocol   string            `json:"protocol"`
	Endpoint   string            `json:"endpoint"`
	Attributes map[string]string `json:"attributes,omitempty"` // as they were set
	Base       string            `json:"base"`                 // where the subscriber reaches us
	By         string            `json:"by,omitempty"`         // the user in whose name it is served
	CreatedMS  int64             `json:"created_ms"`
	Pending    bool              `json:"pending,omitempty"` // it was not confirmed yet
	Token      string            `json:"token,omitempty"`   // with which it is, or was
	Locked     bool              `json:"locked,omitempty"`  // a visit of the UnsubscribeURL does not end it
	Ended      bool              `json:"ended,omitempty"`   // of a queue that has still messages from before the end
}

// place is where a subscription is kept.
type place uint8

const (
	atEndpoint place = iota
	atQueue
	atTopic // parked
)

// sub is a subscription as it was found.
type sub struct {
	subDocument
	at     place
	stream string // of its topic
	queue  string // where it is of one
}

// key is by what lists are sorted.
func (d *subDocument) key() string { return d.Topic + ":" + d.ID }

func (d *subDocument) document() string { return string(mustJSON(d)) }

func (d *subDocument) raw() bool {
	return strings.EqualFold(d.Attributes["RawMessageDelivery"], "true")
}

// name is that of the broker's subscription of an endpoint.
func (d *subDocument) name() string { return subscriptionPrefix + d.ID }

func (g *Gateway) subscriptionARN(d *subDocument) string { return g.topicARN(d.Topic) + ":" + d.ID }

// set takes an attribute over; "" takes it away.
func (d *subDocument) set(name, value string) {
	d.Attributes = maps.Clone(d.Attributes)
	if d.Attributes == nil {
		d.Attributes = map[string]string{}
	}
	if name == "RawMessageDelivery" {
		value = strings.ToLower(value)
	}
	if d.Attributes[name] = value; value == "" {
		delete(d.Attributes, name)
	}
}

// endpointOf reads the subscription of an endpoint.
func (g *Gateway) endpointOf(s *broker.SubscriptionSummary) (out sub, err error) {
	out.subDocument, err = g.endpoints.read(s.Name, s.Config.Documents[subscriptionName], func(text string) (d subDocument, err error) {
		err = json.Unmarshal([]byte(text), &d)
		return d, err
	})
	if out.at = atEndpoint; len(s.Config.Streams) > 0 {
		out.stream = s.Config.Streams[0]
	}
	return out, err
}

// allSubscriptions are those of a namespace, by ARN. Those that have ended are left out.
func (g *Gateway) allSubscriptions(namespace string) []sub {
	var out []sub
	for _, s := range g.broker.SubscriptionsWith(namespace, subscriptionName) {
		one, err := g.endpointOf(&s)
		if err != nil {
			g.log.Warn("a subscription to a topic cannot be read", "subscription", s.Name, "error", err)
			continue
		}
		out = append(out, one)
	}
	for _, s := range g.broker.SubscriptionsWith(namespace, sourcesName) {
		for stream, d := range g.sourcesOf(&s) {
			if !d.Ended {
				out = append(out, sub{subDocument: d, at: atQueue, stream: stream, queue: s.Name})
			}
		}
	}
	for _, t := range g.allTopics(namespace) {
		for _, d := range t.Parked {
			out = append(out, sub{subDocument: d, at: atTopic, stream: t.stream})
		}
	}
	slices.SortFunc(out, func(a, b sub) int { return cmp.Compare(a.key(), b.key()) })
	return out
}

// subscriptionsOf are those to a topic.
func (g *Gateway) subscriptionsOf(namespace string, t *topic) []sub {
	return slices.DeleteFunc(g.allSubscriptions(namespace), func(s sub) bool { return s.stream != t.stream })
}

// subscriptionAt finds the subscription of an ARN, which was checked to be one.
func (x *call) subscriptionAt(arn string) (sub, error) {
	gone := wire.Refuse(wire.TopicNotFound, "Subscription does not exist")
	a, _, _ := wire.ParseARN(arn)
	topicARN, id, _ := a.TopicOf()
	ns := x.who.Namespace
	if s, ok := x.g.broker.SubscriptionWith(ns, subscriptionPrefix+id, subscriptionName); ok {
		one, err := x.g.endpointOf(&s)
		if err == nil && one.Topic != topicARN.Resource {
			err = gone
		}
		return one, err
	}
	for _, s := range x.g.allSubscriptions(ns) {
		if s.ID == id && s.Topic == topicARN.Resource {
			return s, nil
		}
	}
	return sub{}, gone
}

// listed is a subscription as lists have it.
func (x *call) listed(s *sub) wire.Subscription {
	out := wire.Subscription{
		SubscriptionARN: x.g.subscriptionARN(&s.subDocument), Owner: x.g.config.Account, Protocol: s.Protocol, Endpoint: s.Endpoint, TopicARN: x.g.topicARN(s.Topic),
	}
	if s.Pending {
		out.SubscriptionARN = wire.PendingListed
	}
	return out
}

func (x *call) list(all []sub, token string, out *wire.ListSubscriptionsOutput) error {
	page, next, err := pageOf(all, func(s *sub) string { return s.key() }, token)
	for i := range page {
		out.Subscriptions = append(out.Subscriptions, x.listed(&page[i]))
	}
	out.NextToken = next
	return err
}

func listSubscriptions(x *call, in *wire.PageInput, out *wire.ListSubscriptionsOutput) error {
	may, err := x.streamsSeen()
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(x.g.allSubscriptions(x.who.Namespace), func(s sub) bool { return !may[s.stream] })
	return x.list(all, in.NextToken, out)
}

func listSubscriptionsByTopic(x *call, in *wire.TopicInput, out *wire.ListSubscriptionsOutput) error {
	t, err := x.topicSeen(in.TopicARN)
	if err != nil {
		return err
	}
	return x.list(x.g.subscriptionsOf(x.who.Namespace, t), in.NextToken, out)
}

func getSubscriptionAttributes(x *call, in *wire.SubscriptionInput, out *wire.AttributesOutput) error {
	s, err := x.subscriptionSeen(in.SubscriptionARN)
	if err != nil {
		return err
	}
	all := map[string]string{
		"SubscriptionArn": x.g.subscriptionARN(&s.subDocument), "TopicArn": x.g.topicARN(s.Topic), "Owner": x.g.config.Account, "Protocol": s.Protocol,
		"Endpoint": s.Endpoint, "PendingConfirmation": "false", "ConfirmationWasAuthenticated": "true", "RawMessageDelivery": "false",
		"SubscriptionPrincipal": "arn:aws:iam::" + x.g.config.Account + ":user/" + cmp.Or(s.By, "nobody"),
	}
	if s.Pending {
		all["PendingConfirmation"], all["ConfirmationWasAuthenticated"] = "true", "false"
	} else if s.at == atEndpoint && !s.Locked {
		all["ConfirmationWasAuthenticated"] = "false"
	}
	maps.Copy(all, s.Attributes)
	if s.Attributes["FilterPolicy"] == "" { // as at Amazon
		delete(all, "FilterPolicyScope")
	} else if s.Attributes["FilterPolicyScope"] == "" {
		all["FilterPolicyScope"] = "MessageAttributes"
	}
	if s.at == atEndpoint {
		t, err := x.topicAt(x.g.topicARN(s.Topic))
		if err != nil {
			return err
		}
		all["EffectiveDeliveryPolicy"] = effectiveSubscriptionPolicy(t.Attributes["DeliveryPolicy"], s.Attributes["DeliveryPolicy"])
	}
	out.Attributes = pairsOf(all)
	return nil
}

// subscriptionSeen is subscriptionAt for who wants to know something of it, which takes the right to describe the topic's stream.
func (x *call) subscriptionSeen(arn string) (sub, error) {
	s, err := x.subscriptionAt(arn)
	if err != nil {
		return s, err
	}
	if _, err := x.g.broker.DescribeStream(x.ctx, &x.who, s.stream); err != nil && !fault.Is(err, fault.NotFound) {
		return s, err
	}
	return s, nil
}
