package aws

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
	"leat/internal/outbound"
)

// Subscribe, ConfirmSubscription, Unsubscribe, SetSubscriptionAttributes.

func subscribe(x *call, in *wire.SubscribeInput, out *wire.SubscriptionOutput) error {
	t, err := x.topicSeen(in.TopicARN)
	if err != nil {
		return err
	}
	d := subDocument{
		ID: newID(), Topic: t.name, Protocol: strings.Clone(in.Protocol), Endpoint: strings.Clone(in.Endpoint), Base: x.base(), By: x.who.Principal,
		CreatedMS: clock.Now().UnixMilli(),
	}
	if err := x.checkSubscribe(t, &d, in.Attributes); err != nil {
		return err
	}
	for _, s := range x.g.subscriptionsOf(x.who.Namespace, t) {
		if s.Protocol == d.Protocol && s.Endpoint == d.Endpoint {
			return x.subscribedAgain(&s, &d, in.ReturnARN, out)
		}
	}
	if out.SubscriptionARN = x.g.subscriptionARN(&d); d.Protocol == protocolQueue {
		return x.subscribeQueue(t, &d)
	}
	if !in.ReturnARN {
		out.SubscriptionARN = wire.PendingARN
	}
	return x.subscribeEndpoint(t, &d)
}

// checkSubscribe judges the attributes of a new subscription and takes them over.
func (x *call) checkSubscribe(t *topic, d *subDocument, attributes wire.Pairs) error {
	for _, a := range attributes {
		d.set(strings.Clone(a.Name), strings.Clone(a.Value))
	}
	if err := checkAttributes(d, attributes, true); err != nil {
		return err
	}
	switch {
	case d.Protocol == protocolQueue:
	case t.fifo:
		return badTopic("Protocol Reason: FIFO topics are delivered to queues only")
	case d.Protocol != protocolHTTP && d.Protocol != protocolHTTPS:
		return badTopic("Protocol Reason: nothing is delivered by " + d.Protocol + " from here; subscribe sqs, http or https")
	case x.g.outbound == nil:
		return badTopic("Endpoint Reason: this node sends no HTTP requests")
	default:
		return x.checkEndpoint(d.Endpoint)
	}
	return nil
}

// endpointLookTime is how long is waited for the name of an endpoint to be looked up.
const endpointLookTime = 2 * time.Second

// checkEndpoint refuses an endpoint that may not be reached, as far as that is known. Where it leads later is looked at when it is sent to.
func (x *call) checkEndpoint(url string) error {
	ctx, cancel := context.WithTimeout(x.ctx, endpointLookTime)
	defer cancel()
	err := x.g.outbound.Check(ctx, url)
	if blocked, is := errors.AsType[*outbound.BlockedError](err); is {
		return badTopic("Unreachable Endpoint: " + blocked.Error())
	}
	return nil // a name that leads nowhere now may do so later
}

// checkAttributes judges attributes that were set, in Amazon's words; d has them already.
func checkAttributes(d *subDocument, set wire.Pairs, create bool) error {
	if _, bad := wire.ParseSubscriptionAttributes(set, create); bad != nil {
		return bad
	}
	in := ""
	if create {
		in = "Attributes Reason: "
	}
	if _, some := set.Get("ReplayPolicy"); some {
		return badTopic(in + "ReplayPolicy: nothing is replayed from here; a queue's subscription can be rewound")
	}
	if text, some := set.Get("DeliveryPolicy"); some && text != "" {
		if _, bad := parseRetry(text); bad != "" {
			return badTopic(in + "DeliveryPolicy: " + bad)
		}
	}
	if dead := d.deadLetters(); dead != "" && d.Protocol == protocolQueue && strings.HasSuffix(d.Topic, ".fifo") && strings.HasSuffix(d.Endpoint, ".fifo") && !strings.HasSuffix(dead, ".fifo") {
		return badTopic(in + "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
	}
	_, policy := set.Get("FilterPolicy")
	_, scope := set.Get("FilterPolicyScope")
	if p, some := d.policyOf("s"); some && (policy || scope) {
		_, err := filter.CompilePolicy([]byte(p.Policy), filter.PolicyScope{Data: p.Data})
		if err != nil {
			return badPolicy(in, fault.As(err).Text)
		}
	}
	return nil
}

func badPolicy(in, text string) error {
	const complex = "Filter policy is too complex"
	switch {
	case strings.HasPrefix(text, "Filter policy scope"):
		return badTopic(text)
	case strings.HasPrefix(text, complex): // without the numbers, which Amazon does not say
		text = complex
	}
	return badTopic(in + "FilterPolicy: " + text)
}

// subscribedAgain answers who is subscribed already: with the subscription, unless other attributes are wanted now. One that was not
// confirmed is asked once more.
func (x *call) subscribedAgain(s *sub, d *subDocument, returnARN bool, out *wire.SubscriptionOutput) error {
	for name, want := range d.Attributes {
		if have := s.Attributes[name]; have != want && !(have == "" && (strings.EqualFold(want, "false") || want == "MessageAttributes")) {
			return badTopic("Attributes Reason: Subscription already exists with different attributes")
		}
	}
	if out.SubscriptionARN = x.g.subscriptionARN(&s.subDocument); !s.Pending {
		return nil
	}
	if !returnARN {
		out.SubscriptionARN = wire.PendingARN
	}
	return x.askAgain(s)
}

func (x *call) subscribeQueue(t *topic, d *subDocument) error {
	a, _, _ := wire.ParseARN(d.Endpoint)
	queue := strings.Clone(a.Resource)
	if _, bad := wire.CheckQueueName(queue); bad != nil {
		return badTopic("SQS endpoint ARN")
	}
	err := x.changeSource(queue, t.stream, func(was *subDocument) error { *was = *d; return nil })
	if fault.Is(err, fault.NotFound) {
		return x.parkAt(t, d)
	}
	return err
}

// subscribeEndpoint makes a subscription that nothing reaches yet, and asks the endpoint whether it wants to be one.
func (x *call) subscribeEndpoint(t *topic, d *subDocument) error {
	d.Pending, d.Token = true, newToken()
	err := x.putEndpoint(t.stream, d, broker.NewOnly)
	if err == nil {
		x.g.push.ask(x.who.Namespace, *d)
	}
	return err
}

// tokenChars is the length of a token.
const tokenChars = 256

func newToken() string {
	var p [tokenChars / 2]byte
	_, _ = rand.Read(p[:]) // never fails
	return hex.EncodeToString(p[:])
}

// tokenLife is how long a subscription can be confirmed.
const tokenLife = 48 * time.Hour

// askAgain sends another request for confirmation, with another token where the first one is too old.
func (x *call) askAgain(s *sub) error {
	err := x.changeSubscription(s, func(d *subDocument) error {
		if d.expired() {
			d.Token, d.CreatedMS = newToken(), clock.Now().UnixMilli()
		}
		d.Base = x.base()
		return nil
	})
	if err == nil {
		x.g.push.ask(x.who.Namespace, s.subDocument)
	}
	return err
}

func (d *subDocument) expired() bool {
	return d.Pending && clock.Now().UnixMilli()-d.CreatedMS > tokenLife.Milliseconds()
}

// endpointTTL is how long a notice is of interest to an endpoint.
const endpointTTL = 23 * 24 * time.Hour

// putEndpoint makes or changes the subscription of an endpoint.
func (x *call) putEndpoint(stream string, d *subDocument, revision uint64) error {
	_, err := x.g.broker.PutSubscription(x.ctx, &x.who, d.name(), func(c *broker.SubscriptionConfig) error {
		c.Streams, c.Routed, c.Address = []string{stream}, true, nil
		if !d.Pending {
			c.Address = []broker.AddressFilter{{Stream: stream}}
		}
		c.Policies = nil
		if p, some := d.policyOf(stream); some {
			c.Policies = []broker.StreamPolicy{p}
		}
		c.Policy.LeaseMS, c.Policy.TTLMS = pushLease.Milliseconds(), endpointTTL.Milliseconds()
		c.Documents = maps.Clone(c.Documents)
		if c.Documents == nil {
			c.Documents = map[string]string{}
		}
		c.Documents[subscriptionName] = d.document()
		return nil
	}, broker.Start{Kind: broker.StartLatest}, revision)
	return err
}

// changeSubscription changes a subscription wherever it is kept.
func (x *call) changeSubscription(s *sub, change func(d *subDocument) error) error {
	switch s.at {
	case atQueue:
		return x.changeSource(s.queue, s.stream, func(d *subDocument) error {
			if d.ID != s.ID {
				return wire.Refuse(wire.TopicNotFound, "Subscription does not exist")
			}
			err := change(d)
			s.subDocument = *d
			return err
		})
	case atTopic:
		t, err := x.topicOn(s.stream)
		if err != nil {
			return err
		}
		_, err = x.alterTopic(t, func(doc *topicDocument) error {
			i := slices.IndexFunc(doc.Parked, func(d subDocument) bool { return d.ID == s.ID })
			if i < 0 {
				return wire.Refuse(wire.TopicConcurrentAccess, "The queue of the subscription was just made; try again")
			}
			err := change(&doc.Parked[i])
			s.subDocument = doc.Parked[i]
			return err
		})
		return err
	case atEndpoint:
	}
	now, ok := x.g.broker.SubscriptionWith(x.who.Namespace, s.name(), subscriptionName)
	if !ok {
		return wire.Refuse(wire.TopicNotFound, "Subscription does not exist")
	}
	fresh, err := x.g.endpointOf(&now)
	if err != nil {
		return err
	}
	if err := change(&fresh.subDocument); err != nil {
		return err
	}
	*s = fresh
	return x.putEndpoint(s.stream, &s.subDocument, now.Revision)
}

// somewhere looks for something in the caller's namespace, and for a visitor, of whom nothing is known, in all of them.
func (x *call) somewhere(find func() error) error {
	if !x.visit {
		return find()
	}
	err := error(noTopic())
	for _, ns := range x.g.broker.OwnNamespaces() {
		x.who.Namespace = ns
		if err = find(); err == nil {
			return nil
		}
	}
	return err
}

func confirmSubscription(x *call, in *wire.ConfirmInput, out *wire.SubscriptionOutput) error {
	var s sub
	if a, _, _ := wire.ParseARN(in.TopicARN); a.Region != x.g.config.Region {
		return badTopic("Topic")
	}
	err := x.somewhere(func() error { // the token says which it is, whatever topic is named
		all := x.g.allSubscriptions(x.who.Namespace)
		i := slices.IndexFunc(all, func(s sub) bool { return s.Token != "" && s.Token == in.Token && !s.expired() })
		if _, bad := hex.DecodeString(in.Token); i < 0 && bad != nil {
			return wire.Refuse(wire.TopicInvalidParameter, "Invalid token")
		}
		if i < 0 {
			return badTopic("Token")
		}
		s = all[i]
		return nil
	})
	if err != nil {
		return err
	}
	if out.SubscriptionARN = x.g.subscriptionARN(&s.subDocument); !s.Pending {
		return nil // it was confirmed before
	}
	if x.visit { // by who was sent the URL: it is done in the name of who subscribed
		x.who = x.g.caller(x.who.Namespace, &s.subDocument)
	}
	err = x.changeSubscription(&s, func(d *subDocument) error {
		d.Pending, d.Locked = false, strings.EqualFold(in.Authenticate, "true")
		return nil
	})
	if err == nil {
		x.g.push.start(x.who.Namespace, s.name())
	}
	return err
}

func unsubscribe(x *call, in *wire.SubscriptionInput, _ *wire.None) error {
	var s sub
	err := x.somewhere(func() (err error) {
		s, err = x.subscriptionAt(in.SubscriptionARN)
		return err
	})
	if err != nil {
		if x.refusal(err).Code == wire.TopicNotFound {
			return nil // as at Amazon
		}
		return err
	}
	if x.visit {
		if s.Locked {
			return wire.Refuse(wire.TopicAuthorizationError, "The subscription was confirmed with AuthenticateOnUnsubscribe: only its owner ends it")
		}
		x.who = x.g.caller(x.who.Namespace, &s.subDocument)
	}
	if err := x.endSubscription(&s, true); err != nil {
		return err
	}
	t, err := x.topicOn(s.stream)
	if err != nil {
		return nil //nolint:nilerr // the topic went meanwhile
	}
	_, err = x.alterTopic(t, func(d *topicDocument) error { d.Deleted++; return nil })
	if fault.Is(err, fault.Denied) {
		return nil // who may end a subscription need not be allowed to change the topic; it is only a count
	}
	return err
}

// endSubscription ends a subscription. With tell, an endpoint is told.
func (x *call) endSubscription(s *sub, tell bool) error {
	switch s.at {
	case atQueue:
		err := x.changeSubscription(s, func(d *subDocument) error { d.Ended = true; return nil })
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	case atTopic:
		t, err := x.topicOn(s.stream)
		if err != nil {
			return err
		}
		return x.unpark(t, s.ID)
	case atEndpoint:
	}
	err := x.g.broker.DeleteSubscription(x.ctx, &x.who, s.name())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	x.g.push.stop(x.who.Namespace, s.name())
	if tell && !s.Pending {
		x.g.push.tellEnd(x.who.Namespace, s.subDocument)
	}
	return nil
}

func setSubscriptionAttributes(x *call, in *wire.SetAttributeInput, _ *wire.None) error {
	s, err := x.subscriptionSeen(in.ARN)
	if err != nil {
		return err
	}
	name, value := strings.Clone(in.Name), strings.Clone(in.Value)
	err = x.changeSubscription(&s, func(d *subDocument) error {
		if d.set(name, value); name == "FilterPolicy" && value == "" {
			d.set("FilterPolicyScope", "")
		}
		return checkAttributes(d, wire.Pairs{{Name: name, Value: value}}, false)
	})
	if err == nil && s.at == atEndpoint && !s.Pending {
		x.g.push.start(x.who.Namespace, s.name()) // anew
	}
	return err
}
