package aws

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/aws/wire"
)

// SNS: what a topic is, where it is kept, and how it is found. The actions are in the files beside this one:
//
//	sns_topic.go         topics, their attributes, tags and permissions
//	sns_publish.go       Publish, PublishBatch
//	sns_subscription.go  subscriptions as they are kept and listed
//	sns_subscribe.go     Subscribe, ConfirmSubscription, Unsubscribe, attributes
//	sns_queue.go         the queue's side: which topics it reads
//	sns_notice.go        a record as a notice: envelope, raw, signed
//	sns_push.go          delivery by HTTP; sns_retry.go says when it is tried again

const (
	// topicName is the document of a stream that makes a topic of it, topicEnded of one that was: its name is to be had again, and what queues have not
	// received of it they still do.
	topicName  = "sns.topic"
	topicEnded = "sns.ended"
	// topicSuffix is behind the name of the stream of a topic whose own name is a queue's stream. No topic and no queue can be called so.
	topicSuffix = ".topic"
)

// topicDocument is what the document says. Attributes are as they were set.
type topicDocument struct {
	Name       string            `json:"name,omitempty"` // where it is not the stream's
	Attributes map[string]string `json:"attributes,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	CreatedMS  int64             `json:"created_ms"`
	Made       bool              `json:"made,omitempty"`    // the stream too was made by CreateTopic
	Deleted    int               `json:"deleted,omitempty"` // subscriptions that were
	// Parked are subscriptions of queues that are not there: subscribed before they were made, or deleted since.
	Parked []subDocument `json:"parked,omitempty"`
}

// topic is one as a call finds it. It is shared by calls and never changed.
type topic struct {
	name   string
	stream string
	fifo   bool
	topicDocument

	text    string // of the document
	rules   wire.TopicRules
	perKey  bool  // a deduplication id counts within its group
	version int64 // of signatures
}

func noTopic() *wire.Error { return wire.Refuse(wire.TopicNotFound, "Topic does not exist") }

func badTopic(text string) *wire.Error {
	return wire.Refuse(wire.TopicInvalidParameter, "Invalid parameter: "+text)
}

// keptMax is how many documents of a kind are kept as they were read last.
const keptMax = 10_000

// kept is documents as they were read last, by the name of what they are of. What is kept counts as long as the document has the same text; two
// namespaces may have the same name, which then takes turns.
type kept[T any] struct {
	mu     sync.RWMutex
	byName map[string]keptDocument[T]
}

type keptDocument[T any] struct {
	text string
	v    T
}

// read is what parse makes of a document. It is shared and not to be changed.
func (k *kept[T]) read(name, text string, parse func(text string) (T, error)) (T, error) {
	k.mu.RLock()
	d, ok := k.byName[name]
	k.mu.RUnlock()
	if ok && d.text == text {
		return d.v, nil
	}
	v, err := parse(text)
	if err != nil {
		return v, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byName == nil || len(k.byName) >= keptMax {
		k.byName = map[string]keptDocument[T]{}
	}
	k.byName[strings.Clone(name)] = keptDocument[T]{text, v}
	return v, nil
}

// topicRead is the topic of a stream with a document.
func (g *Gateway) topicRead(stream, text string) (*topic, error) {
	return g.topics.read(stream, text, func(text string) (*topic, error) { return topicOf(strings.Clone(stream), text) })
}

func topicOf(stream, text string) (*topic, error) {
	t := &topic{stream: stream, text: text}
	if err := json.Unmarshal([]byte(text), &t.topicDocument); err != nil {
		return nil, fault.New(fault.Corrupt, "describe", stream, "the settings of the topic cannot be read").From(err)
	}
	t.name = cmp.Or(t.Name, stream)
	t.fifo = strings.HasSuffix(t.name, ".fifo")
	t.rules = wire.TopicRules{FIFO: t.fifo, ContentDedup: strings.EqualFold(t.Attributes["ContentBasedDeduplication"], "true"), BytesMax: wire.PublishBytesMax}
	if n, err := strconv.ParseInt(t.Attributes["MaximumMessageSize"], 10, 64); err == nil {
		t.rules.BytesMax = n
	}
	t.perKey = strings.EqualFold(t.Attributes["FifoThroughputScope"], "MessageGroup")
	if t.version = 1; t.Attributes["SignatureVersion"] == "2" {
		t.version = 2
	}
	return t, nil
}

func (d *topicDocument) document() string {
	p, err := json.Marshal(d)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return string(p)
}

func (d *topicDocument) set(name, value string) {
	d.Attributes = maps.Clone(d.Attributes)
	if d.Attributes == nil {
		d.Attributes = map[string]string{}
	}
	if d.Attributes[name] = value; value == "" {
		delete(d.Attributes, name)
	}
}

// topicStream is the stream of a topic's name; names that are too long for one are cut, with a digest behind.
func topicStream(name string) string {
	const most = record.StreamNameBytesMax - len(topicSuffix)
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	digest := "-" + hex.EncodeToString(sum[:16])
	return name[:most-len(digest)] + digest
}

// topicNamed finds a topic: its stream has its name, or that and topicSuffix.
func (g *Gateway) topicNamed(namespace, name string) (*topic, error) {
	stream := topicStream(name)
	for _, stream := range [...]string{stream, stream + topicSuffix} {
		if s, ok := g.broker.OwnStream(namespace, stream, topicName); ok {
			return g.topicRead(stream, s.Document)
		}
	}
	return nil, noTopic()
}

// topicAt finds the topic of an ARN, which was checked to be one of SNS.
func (x *call) topicAt(arn string) (*topic, error) {
	a, _, _ := wire.ParseARN(arn)
	if strings.Contains(a.Resource, ":") || strings.Contains(a.Resource, "/") {
		return nil, noTopic()
	}
	return x.g.topicNamed(x.who.Namespace, a.Resource)
}

// topicSeen is topicAt for who wants to know something of it, which takes the right to describe the stream.
func (x *call) topicSeen(arn string) (*topic, error) {
	t, err := x.topicAt(arn)
	if err != nil {
		return nil, err
	}
	_, err = x.g.broker.DescribeStream(x.ctx, &x.who, t.stream)
	return t, err
}

// allTopics are the topics of a namespace, by the names of their streams.
func (g *Gateway) allTopics(namespace string) []*topic {
	all := g.broker.OwnStreams(namespace, topicName)
	out := make([]*topic, 0, len(all))
	for i := range all {
		t, err := g.topicRead(all[i].Name, all[i].Document)
		if err != nil {
			g.log.Warn("a topic cannot be read", "stream", all[i].Name, "error", err)
			continue
		}
		out = append(out, t)
	}
	return out
}

// alterTopic changes the document of a topic and returns the topic as it is then.
func (x *call) alterTopic(t *topic, change func(d *topicDocument) error) (*topic, error) {
	out := t
	_, err := x.g.broker.AlterStream(x.ctx, &x.who, t.stream, func(c *broker.StreamConfig) error {
		text, ok := c.Documents[topicName]
		if !ok {
			return noTopic()
		}
		now, err := topicOf(t.stream, text)
		if err != nil {
			return err
		}
		if err := change(&now.topicDocument); err != nil {
			return err
		}
		c.Documents = maps.Clone(c.Documents)
		c.Documents[topicName] = now.document()
		out, err = topicOf(t.stream, c.Documents[topicName])
		return err
	}, 0)
	return out, err
}

// topicARN is a topic's, and what subscriptions' begin with.
func (g *Gateway) topicARN(name string) string {
	return wire.ARN{Partition: "aws", Service: "sns", Region: g.config.Region, Account: g.config.Account, Resource: name}.String()
}

// base is our own address as the client has reached us.
func (x *call) base() string {
	if x.r.TLS != nil {
		return "https://" + x.r.Host
	}
	return "http://" + x.r.Host
}

// token says behind which element of a list the next page begins; afterToken reads it.
func token(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func afterToken(text string) (string, error) {
	p, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", wire.Refuse(wire.TopicInvalidParameter, "Invalid token")
	}
	return string(p), nil
}

// pageOf is the elements of a sorted list that a page has, and the token of the next one.
func pageOf[T any](all []T, key func(*T) string, text string) (page []T, next string, err error) {
	after, err := afterToken(text)
	if err != nil {
		return nil, "", err
	}
	for i := range all {
		if text != "" && key(&all[i]) <= after {
			continue
		}
		if len(page) == wire.TopicPageMax {
			return page, token(key(&page[len(page)-1])), nil
		}
		page = append(page, all[i])
	}
	return page, "", nil
}
