package aws

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

// documentName is the document of a stream that makes a queue of it.
const documentName = "sqs.queue"

// queueSuffix is behind the name of the stream of a queue whose own name is a topic's stream. No queue and no topic can be called so.
const queueSuffix = ".queue"

// queueDocument is what it says. Attributes are as they were set; what was not has its default.
type queueDocument struct {
	Attributes map[string]string `json:"attributes,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	CreatedMS  int64             `json:"created_ms"`
	ChangedMS  int64             `json:"changed_ms"`
	PurgedMS   int64             `json:"purged_ms,omitempty"`
	Made       bool              `json:"made,omitempty"`  // the stream too was made by CreateQueue
	Moves      []moveRecord      `json:"moves,omitempty"` // tasks that move its messages, the newest first
}

// queue is one as a call finds it. It is shared by calls and never changed.
type queue struct {
	name   string
	stream string
	fifo   bool
	queueDocument

	text  string // of the document
	rules wire.QueueRules
	delay int64         // seconds
	lease time.Duration // VisibilityTimeout
	wait  time.Duration // ReceiveMessageWaitTimeSeconds
}

// defaults are the attributes that nobody has set.
var defaults = map[string]string{
	"VisibilityTimeout": "30", "MaximumMessageSize": strconv.Itoa(wire.MessageBytesMax), "MessageRetentionPeriod": strconv.Itoa(wire.RetentionDefault),
	"DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "false",
}

var defaultsFIFO = map[string]string{
	"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue",
}

// attributes are all that can be set, as they are.
func (q *queue) attributes() map[string]string {
	all := maps.Clone(defaults)
	if q.fifo {
		maps.Copy(all, defaultsFIFO)
	}
	for k, v := range q.Attributes {
		if all[k] = v; v == "" {
			delete(all, k) // a policy that was taken away
		}
	}
	if all["KmsMasterKeyId"] == "" {
		delete(all, "KmsDataKeyReusePeriodSeconds") // as at Amazon, without a key
	}
	return all
}

func (q *queue) attribute(name string) string {
	if v, ok := q.Attributes[name]; ok {
		return v
	}
	if v, ok := defaults[name]; ok {
		return v
	}
	return defaultsFIFO[name]
}

// number is an attribute that is one; what is stored was checked.
func (q *queue) number(name string) int64 {
	n, _ := strconv.ParseInt(q.attribute(name), 10, 64)
	return n
}

func (q *queue) seconds(name string) time.Duration {
	return time.Duration(q.number(name)) * time.Second
}

// set takes attributes over.
func (d *queueDocument) set(p wire.Pairs) {
	d.Attributes = maps.Clone(d.Attributes)
	if d.Attributes == nil {
		d.Attributes = map[string]string{}
	}
	for _, a := range p {
		d.Attributes[a.Name] = asTold(a.Name, a.Value)
	}
}

// asTold is a value as it is told again: clients write True, and counts as texts, too.
func asTold(name, v string) string {
	if name == "RedrivePolicy" && strings.Contains(strings.ReplaceAll(v, " ", ""), `"maxReceiveCount":"`) {
		return plainRedrive(v)
	}
	if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
		return strings.ToLower(v)
	}
	return v
}

func (d *queueDocument) document() string {
	p, err := json.Marshal(d)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return string(p)
}

// queueAt finds the queue of a QueueUrl.
func (x *call) queueAt(url string) (*queue, error) {
	a, err := wire.ParseQueueURL(url)
	if err != nil {
		return nil, err
	}
	return x.queueNamed(a.Name)
}

// queuesKeptMax is how many queues are kept as they were read last.
const queuesKeptMax = 10_000

// queueNamed finds a queue: its stream has its name, or that and queueSuffix. A stream that is none is as if it were not there.
func (x *call) queueNamed(name string) (*queue, error) {
	q, err := x.queueOn(strings.Clone(name)) // the body's
	if err != nil && x.refusal(err).Code == wire.QueueDoesNotExist {
		if other, e := x.queueOn(name + queueSuffix); e == nil {
			return other, nil
		}
	}
	return q, err
}

// queueStream is the stream of a queue, for who need not be allowed to see it; false where there is no such queue.
func (g *Gateway) queueStream(namespace, name string) (string, bool) {
	for _, stream := range [...]string{name, name + queueSuffix} {
		if _, ok := g.broker.OwnStream(namespace, stream, documentName); ok {
			return stream, true
		}
	}
	return name, false
}

// queueOn is the queue of a stream.
func (x *call) queueOn(stream string) (*queue, error) {
	info, err := x.g.broker.DescribeStream(x.ctx, &x.who, stream)
	if err != nil {
		return nil, err
	}
	text, ok := info.Config.Documents[documentName]
	if !ok {
		return nil, noQueue()
	}
	if q, ok := x.g.queues.get(stream, text); ok {
		return q, nil
	}
	q, err := queueOf(stream, text)
	if err == nil {
		x.g.queues.put(q)
	}
	return q, err
}

// queueOf reads the document of a queue.
func queueOf(stream, text string) (*queue, error) {
	q := &queue{name: strings.TrimSuffix(stream, queueSuffix), stream: stream, text: text}
	q.fifo = strings.HasSuffix(q.name, ".fifo")
	if err := json.Unmarshal([]byte(text), &q.queueDocument); err != nil {
		return nil, fault.New(fault.Corrupt, "describe", stream, "the settings of the queue cannot be read").From(err)
	}
	q.rules = wire.QueueRules{FIFO: q.fifo, ContentDedup: strings.EqualFold(q.attribute("ContentBasedDeduplication"), "true"), BytesMax: q.number("MaximumMessageSize")}
	q.delay, q.lease, q.wait = q.number("DelaySeconds"), q.seconds("VisibilityTimeout"), q.seconds("ReceiveMessageWaitTimeSeconds")
	return q, nil
}

// queues are those that were read, by stream. What is kept of one counts as long as its document has the same text; two namespaces may have
// queues of one name, which then take turns.
type queues struct {
	mu       sync.RWMutex
	byStream map[string]*queue
}

func (k *queues) get(stream, text string) (*queue, bool) {
	k.mu.RLock()
	q := k.byStream[stream]
	k.mu.RUnlock()
	return q, q != nil && q.text == text
}

func (k *queues) put(q *queue) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byStream == nil || len(k.byStream) >= queuesKeptMax {
		k.byStream = map[string]*queue{}
	}
	k.byStream[q.stream] = q
}

// alter changes the document of a queue and returns the queue as it is then.
func (x *call) alter(q *queue, change func(d *queueDocument) error) (*queue, error) {
	_, err := x.g.broker.AlterStream(x.ctx, &x.who, q.stream, func(c *broker.StreamConfig) error {
		text, ok := c.Documents[documentName]
		if !ok {
			return noQueue()
		}
		now, err := queueOf(q.stream, text)
		if err != nil {
			return err
		}
		if err := change(&now.queueDocument); err != nil {
			return err
		}
		c.Documents = maps.Clone(c.Documents)
		c.Documents[documentName] = now.document()
		q, err = queueOf(q.stream, c.Documents[documentName])
		return err
	}, 0)
	return q, err
}

// subscribe makes the subscription of a queue, or changes it to what the queue's attributes say.
func (x *call) subscribe(q *queue, from broker.Start) error {
	var policy wire.RedrivePolicy
	if text := q.Attributes["RedrivePolicy"]; text != "" {
		var bad *wire.Error
		if policy, bad = wire.ParseRedrivePolicy(text); bad != nil {
			return bad
		}
	}
	_, err := x.g.broker.PutSubscription(x.ctx, &x.who, q.name, func(c *broker.SubscriptionConfig) error {
		if _, ours := c.Documents[documentName]; len(c.Streams) > 0 && !ours {
			return wire.Refuse(wire.QueueNameExists, "A subscription of that name exists and is no queue's.")
		}
		if len(c.Streams) == 0 { // else it may read topics beside
			c.Streams = []string{q.stream}
		}
		if c.Documents = maps.Clone(c.Documents); c.Documents == nil {
			c.Documents = map[string]string{}
		}
		c.Documents[documentName] = "{}" // which marks it as ours
		applyPolicy(c, q, &policy)
		topics, err := readSources(c.Documents[sourcesName])
		if err != nil {
			return fault.New(fault.Corrupt, "subscribe", q.name, "the topics of the queue cannot be read").From(err)
		}
		applySources(c, topics, q.number("DelaySeconds"))
		if c.DeadLetters != "" {
			c.DeadLetters, _ = x.g.queueStream(x.who.Namespace, c.DeadLetters)
		}
		return nil
	}, from, 0)
	return err
}

// arn is a queue's.
func (x *call) arn(name string) string {
	return wire.ARN{Partition: "aws", Service: "sqs", Region: x.g.config.Region, Account: x.g.config.Account, Resource: name}.String()
}

// url is a queue's, at the host by which the client has reached us.
func (x *call) url(name string) string {
	scheme := "http://"
	if x.r.TLS != nil {
		scheme = "https://"
	}
	return wire.QueueURL(scheme+x.r.Host, wire.Address{Account: x.g.config.Account, Name: name})
}

// checkRedrive refuses dead letters to where there is no queue, or to one of the other type.
func (x *call) checkRedrive(q *queue, a *wire.QueueAttributes) error {
	if !a.Redrive.Set || a.Redrive.V.Target == "" {
		return nil
	}
	arn, _, _ := wire.ParseARN(a.Redrive.V.Target)
	refuse := func(why string) error {
		return wire.Refuse(wire.InvalidParameterValue, "Value "+a.Redrive.V.Target+" for parameter RedrivePolicy is invalid. Reason: "+why)
	}
	target, err := x.queueNamed(arn.Resource)
	switch {
	case err != nil && x.refusal(err).Code == wire.QueueDoesNotExist:
		return refuse("Dead letter target does not exist.")
	case err != nil:
		return err
	case target.fifo != q.fifo:
		return refuse("Dead-letter queue must be same type of queue as the source.")
	}
	allow, bad := wire.ParseRedriveAllowPolicy(target.Attributes["RedriveAllowPolicy"])
	if bad != nil {
		return bad
	}
	named := slices.ContainsFunc(allow.Sources, func(s string) bool {
		a, _, ok := wire.ParseARN(s)
		return ok && a.Resource == q.name
	})
	if allow.Permission == "denyAll" || allow.Permission == "byQueue" && !named {
		return refuse("Queue " + x.arn(q.name) + " is not allowed to use the dead letter target by its RedriveAllowPolicy.")
	}
	return nil
}

// manyPartitions is why a stream that is there becomes nothing FIFO: sequence numbers are made of the offsets of one partition.
func manyPartitions(n int) string {
	return fmt.Sprintf("Reason: The stream of that name has %d partitions, and what is FIFO has one", n)
}

func createQueue(x *call, in *wire.CreateQueueInput, out *wire.QueueURLOutput) error {
	name := strings.Clone(in.Name)
	fifo := strings.HasSuffix(name, ".fifo")
	attributes, bad := wire.ParseQueueAttributes(in.Attributes, fifo, true)
	if bad != nil {
		return bad
	}
	out.QueueURL = x.url(name)
	now := clock.Now().UnixMilli()
	q := &queue{name: name, stream: name, fifo: fifo, queueDocument: queueDocument{CreatedMS: now, ChangedMS: now, Made: true, Tags: tagsOf(nil, in.Tags)}}
	q.set(in.Attributes)
	if err := x.checkRedrive(q, &attributes); err != nil {
		return err
	}
	if _, topic := x.g.broker.OwnStream(x.who.Namespace, name, topicName); topic {
		q.stream += queueSuffix
	}
	_, err := x.g.broker.CreateStream(x.ctx, &x.who, q.stream, broker.StreamConfig{
		Partitions: 1, BatchBytesMax: streamBatchMax, Documents: map[string]string{documentName: q.document()}, Keep: broker.Keep{RetentionMS: retentionMade.Milliseconds()},
	})
	if err == nil {
		if err := x.subscribe(q, broker.Start{Kind: broker.StartEarliest}); err != nil {
			return err
		}
		return x.linkParked(name)
	}
	if !fault.Is(err, fault.Exists) {
		return err
	}
	is, err := x.queueNamed(name)
	switch {
	case err == nil:
		if differs := different(is, in.Attributes); differs != "" {
			return wire.Refuse(wire.QueueNameExists, "A queue already exists with the same name and a different value for attribute "+differs)
		}
		// A node that stopped between the two left a stream without its subscription: it begins where the queue did.
		return x.subscribe(is, broker.Start{Kind: broker.StartEarliest})
	case x.refusal(err).Code != wire.QueueDoesNotExist:
		return err
	}
	q.Made = false // a stream that was there
	if info, err := x.g.broker.DescribeStream(x.ctx, &x.who, q.stream); err != nil {
		return err
	} else if fifo && len(info.Partitions) > 1 {
		return wire.Refuse(wire.InvalidParameterValue, "Value "+name+" for parameter QueueName is invalid. "+manyPartitions(len(info.Partitions))+".")
	}
	if err := x.subscribe(q, broker.Start{Kind: broker.StartLatest}); err != nil {
		return err
	}
	_, err = x.g.broker.AlterStream(x.ctx, &x.who, q.stream, func(c *broker.StreamConfig) error {
		if c.Documents = maps.Clone(c.Documents); c.Documents == nil {
			c.Documents = map[string]string{}
		}
		c.Documents[documentName] = q.document()
		if c.BatchBytesMax == 0 {
			c.BatchBytesMax = streamBatchMax
		}
		return nil
	}, 0)
	return err
}

// plainRedrive is a RedrivePolicy in one form, whatever its blanks.
func plainRedrive(v string) string {
	p, err := wire.ParseRedrivePolicy(v)
	if err != nil || v == "" {
		return v
	}
	return string(mustJSON(struct {
		Target string `json:"deadLetterTargetArn"`
		Count  int64  `json:"maxReceiveCount"`
	}{p.Target, p.MaxReceiveCount}))
}

// different is the name of an attribute of which a queue has another value, or "".
func different(q *queue, p wire.Pairs) string {
	have := q.attributes()
	for _, a := range p {
		is, asked := have[a.Name], asTold(a.Name, a.Value)
		if is != asked && (a.Name != "RedrivePolicy" || plainRedrive(is) != plainRedrive(asked)) {
			return a.Name
		}
	}
	return ""
}

func getQueueURL(x *call, in *wire.GetQueueURLInput, out *wire.QueueURLOutput) error {
	q, err := x.queueNamed(in.Name)
	if err != nil {
		return err
	}
	out.QueueURL = x.url(q.name)
	return nil
}

// deleteQueue ends a queue. The stream goes to the trash with it, where it was made with it and nobody else reads it.
func deleteQueue(x *call, in *wire.QueueInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	topics, err := x.park(q.name)
	if err != nil {
		return err
	}
	if err := x.g.broker.DeleteSubscription(x.ctx, &x.who, q.name); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := x.sweepEnded(topics); err != nil {
		return err
	}
	all, err := x.g.broker.ListSubscriptions(x.ctx, &x.who)
	if err != nil {
		return err
	}
	read := slices.ContainsFunc(all, func(s broker.SubscriptionSummary) bool { return slices.Contains(s.Config.Streams, q.stream) })
	if q.Made && !read {
		return x.g.broker.DeleteStream(x.ctx, &x.who, q.stream)
	}
	_, err = x.g.broker.AlterStream(x.ctx, &x.who, q.stream, func(c *broker.StreamConfig) error {
		c.Documents = maps.Clone(c.Documents)
		delete(c.Documents, documentName)
		return nil
	}, 0)
	return err
}

// purgeInterval is how long after a purge the next one is refused.
const purgeInterval = 60 * time.Second

func purgeQueue(x *call, in *wire.QueueInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	now := clock.Now().UnixMilli()
	_, err = x.alter(q, func(d *queueDocument) error {
		if d.PurgedMS > now-purgeInterval.Milliseconds() && d.PurgedMS <= now {
			return wire.Refuse(wire.PurgeInProgress, "Only one PurgeQueue operation on "+q.name+" is allowed every 60 seconds.")
		}
		d.PurgedMS = now
		return nil
	})
	if err != nil {
		return err
	}
	return x.g.broker.Rewind(x.ctx, &x.who, q.name, broker.Start{Kind: broker.StartLatest})
}

// page lists queues by name, behind the one that token names.
func (x *call) page(token string, most int64, want func(q *queue) bool) (out wire.ListQueuesOutput, err error) {
	all, err := x.g.broker.ListStreams(x.ctx, &x.who)
	if err != nil {
		return out, err
	}
	last := ""
	for i := range all {
		stream := all[i].Name
		if _, bad := wire.CheckQueueName(strings.TrimSuffix(stream, queueSuffix)); bad != nil || stream <= token {
			continue
		}
		q, err := x.queueOn(stream)
		if err != nil || !want(q) {
			continue // gone meanwhile, or no queue
		}
		if int64(len(out.QueueURLs)) == most {
			out.NextToken = last
			break
		}
		out.QueueURLs, last = append(out.QueueURLs, x.url(q.name)), stream
	}
	return out, nil
}

func listQueues(x *call, in *wire.ListQueuesInput, out *wire.ListQueuesOutput) (err error) {
	*out, err = x.page(in.NextToken, in.MaxResults.Or(wire.ListMax), func(q *queue) bool { return strings.HasPrefix(q.name, in.Prefix) })
	if !in.MaxResults.Set {
		out.NextToken = "" // as at Amazon: who asks for no page gets no token
	}
	return err
}

func listSources(x *call, in *wire.ListSourcesInput, out *wire.ListQueuesOutput) error {
	dead, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	*out, err = x.page(in.NextToken, in.MaxResults.Or(wire.ListMax), deadLettersOf(dead.name))
	return err
}
