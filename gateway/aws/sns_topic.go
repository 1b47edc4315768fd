package aws

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

// CreateTopic, DeleteTopic, ListTopics, attributes, tags and permissions of topics.

func createTopic(x *call, in *wire.CreateTopicInput, out *wire.TopicOutput) error {
	name := strings.Clone(in.Name)
	fifo := strings.HasSuffix(name, ".fifo")
	if in.ProtectionPolicy != "" {
		return notHere("PutDataProtectionPolicy")
	}
	if _, bad := wire.ParseTopicAttributes(in.Attributes, fifo, true); bad != nil {
		return bad
	}
	out.TopicARN = x.g.topicARN(name)
	t, err := x.g.topicNamed(x.who.Namespace, name)
	if err == nil {
		return sameTopic(t, in)
	}
	d := topicDocument{CreatedMS: clock.Now().UnixMilli(), Made: true, Tags: tagsOf(nil, in.Tags)}
	for _, a := range in.Attributes {
		if a.Name != "FifoTopic" { // which its name says
			d.set(strings.Clone(a.Name), strings.Clone(a.Value))
		}
	}
	return x.makeTopic(name, &d)
}

// sameTopic refuses to make a topic that is there and is another one. Attributes and tags that are not given are not asked about.
func sameTopic(t *topic, in *wire.CreateTopicInput) error {
	for _, a := range in.Attributes {
		have, set := t.Attributes[a.Name]
		if !set {
			have = topicDefaults[a.Name]
		}
		if have != a.Value && !(a.Name == "FifoTopic" && strings.EqualFold(a.Value, strconv.FormatBool(t.fifo))) {
			return badTopic("Attributes Reason: Topic already exists with different attributes")
		}
	}
	for _, tag := range in.Tags {
		if have, some := t.Tags[tag.Name]; !some || have != tag.Value {
			return badTopic("Tags Reason: Topic already exists with different tags")
		}
	}
	return nil
}

// topicDefaults are attributes that nobody has set.
var topicDefaults = map[string]string{
	"DisplayName": "", "FifoTopic": "false", "ContentBasedDeduplication": "false", "FifoThroughputScope": "Topic", "SignatureVersion": "1", "TracingConfig": "PassThrough",
	"MaximumMessageSize": strconv.Itoa(wire.PublishBytesMax),
}

// makeTopic makes the stream of a topic. One that is there, and is no queue's, becomes the topic's.
func (x *call) makeTopic(name string, d *topicDocument) error {
	stream := topicStream(name)
	if _, queue := x.g.broker.OwnStream(x.who.Namespace, stream, documentName); queue {
		stream += topicSuffix
	}
	if stream != name {
		d.Name = name
	}
	_, err := x.g.broker.CreateStream(x.ctx, &x.who, stream, broker.StreamConfig{
		Partitions: 1, BatchBytesMax: streamBatchMax, Documents: map[string]string{topicName: d.document()}, Keep: broker.Keep{RetentionMS: retentionOf(d)},
	})
	if !fault.Is(err, fault.Exists) {
		return err
	}
	_, err = x.g.broker.AlterStream(x.ctx, &x.who, stream, func(c *broker.StreamConfig) error {
		if _, is := c.Documents[topicName]; is {
			return nil // somebody was faster
		}
		if strings.HasSuffix(name, ".fifo") && c.Partitions > 1 {
			return badTopic("Topic Name " + manyPartitions(int(c.Partitions)))
		}
		if c.Documents = maps.Clone(c.Documents); c.Documents == nil {
			c.Documents = map[string]string{}
		}
		_, d.Made = c.Documents[topicEnded]
		delete(c.Documents, topicEnded)
		c.Documents[topicName] = d.document()
		return nil
	}, 0)
	return err
}

// retentionOf is how long the stream of a topic keeps what its subscriptions have settled: a FIFO topic's archive, or a day.
func retentionOf(d *topicDocument) int64 {
	var policy struct {
		Days json.Number `json:"MessageRetentionPeriod"`
	}
	if json.Unmarshal([]byte(d.Attributes["ArchivePolicy"]), &policy) == nil {
		if days, err := policy.Days.Int64(); err == nil && days >= 1 && days <= archiveDaysMax {
			return days * 24 * 60 * 60 * 1000
		}
	}
	return retentionMade.Milliseconds()
}

// archiveDaysMax is the longest MessageRetentionPeriod of an ArchivePolicy.
const archiveDaysMax = 365

// deleteTopic ends a topic and its subscriptions. Its stream goes where it was made with the topic and nobody reads it any more: messages that
// queues have not received yet are theirs.
func deleteTopic(x *call, in *wire.TopicInput, _ *wire.None) error {
	t, err := x.topicAt(in.TopicARN)
	if err != nil {
		return nil //nolint:nilerr // as at Amazon: there is no such topic then
	}
	for _, s := range x.g.subscriptionsOf(x.who.Namespace, t) {
		if err := x.endSubscription(&s, false); err != nil {
			return err
		}
	}
	all, err := x.g.broker.ListSubscriptions(x.ctx, &x.who)
	if err != nil {
		return err
	}
	read := slices.ContainsFunc(all, func(s broker.SubscriptionSummary) bool { return slices.Contains(s.Config.Streams, t.stream) })
	if t.Made && !read {
		return x.g.broker.DeleteStream(x.ctx, &x.who, t.stream)
	}
	_, err = x.g.broker.AlterStream(x.ctx, &x.who, t.stream, func(c *broker.StreamConfig) error {
		c.Documents = maps.Clone(c.Documents)
		delete(c.Documents, topicName)
		if t.Made {
			c.Documents[topicEnded] = "{}"
		}
		return nil
	}, 0)
	return err
}

func listTopics(x *call, in *wire.PageInput, out *wire.ListTopicsOutput) error {
	may, err := x.streamsSeen()
	if err != nil {
		return err
	}
	var all []wire.TopicOutput
	for _, t := range x.g.allTopics(x.who.Namespace) {
		if may[t.stream] {
			all = append(all, wire.TopicOutput{TopicARN: x.g.topicARN(t.name)})
		}
	}
	slices.SortFunc(all, func(a, b wire.TopicOutput) int { return strings.Compare(a.TopicARN, b.TopicARN) })
	out.Topics, out.NextToken, err = pageOf(all, func(t *wire.TopicOutput) string { return t.TopicARN }, in.NextToken)
	return err
}

// streamsSeen are the streams that the caller may describe.
func (x *call) streamsSeen() (map[string]bool, error) {
	all, err := x.g.broker.ListStreams(x.ctx, &x.who)
	may := make(map[string]bool, len(all))
	for i := range all {
		may[all[i].Name] = true
	}
	return may, err
}

func getTopicAttributes(x *call, in *wire.TopicInput, out *wire.AttributesOutput) error {
	t, err := x.topicSeen(in.TopicARN)
	if err != nil {
		return err
	}
	arn := x.g.topicARN(t.name)
	all := map[string]string{
		"TopicArn": arn, "Owner": x.g.config.Account, "DisplayName": "", "Policy": x.g.defaultPolicy(arn), "SubscriptionsDeleted": strconv.Itoa(t.Deleted),
		"EffectiveDeliveryPolicy": effectivePolicy(t.Attributes["DeliveryPolicy"]),
	}
	if t.fifo {
		all["FifoTopic"], all["ContentBasedDeduplication"] = "true", "false"
	}
	maps.Copy(all, t.Attributes)
	confirmed, pending := 0, 0
	for _, s := range x.g.subscriptionsOf(x.who.Namespace, t) {
		if s.Pending {
			pending++
		} else {
			confirmed++
		}
	}
	all["SubscriptionsConfirmed"], all["SubscriptionsPending"] = strconv.Itoa(confirmed), strconv.Itoa(pending)
	out.Attributes = pairsOf(all)
	return nil
}

func pairsOf(m map[string]string) (p wire.Pairs) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p = append(p, wire.Pair{Name: k, Value: m[k]})
	}
	return p
}

// topicPolicyActions are what the policy of a topic allows its account.
var topicPolicyActions = []string{
	"SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission", "SNS:DeleteTopic", "SNS:Subscribe",
	"SNS:ListSubscriptionsByTopic", "SNS:Publish",
}

// topicPolicy is a Policy. It is kept and given back; who may do what is said by grants.
type topicPolicy struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id"`
	Statement []json.RawMessage `json:"Statement"`
}

func (g *Gateway) defaultPolicy(arn string) string {
	statement := map[string]any{
		"Sid": "__default_statement_ID", "Effect": "Allow", "Principal": map[string]string{"AWS": "*"}, "Action": topicPolicyActions, "Resource": arn,
		"Condition": map[string]any{"StringEquals": map[string]string{"AWS:SourceOwner": g.config.Account}},
	}
	p := topicPolicy{Version: "2008-10-17", ID: "__default_policy_ID", Statement: []json.RawMessage{mustJSON(statement)}}
	return string(mustJSON(p))
}

// mustJSON is for values that are nothing but texts, lists and maps.
func mustJSON(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return p
}

func setTopicAttributes(x *call, in *wire.SetAttributeInput, _ *wire.None) error {
	t, err := x.topicSeen(in.ARN)
	if err != nil {
		return err
	}
	name, value := strings.Clone(in.Name), strings.Clone(in.Value)
	if _, bad := wire.ParseTopicAttributes(wire.Pairs{{Name: name, Value: value}}, t.fifo, false); bad != nil {
		return bad
	}
	if name == "DeliveryPolicy" && value != "" {
		if _, bad := parseTopicRetry(value); bad != "" {
			return badTopic("DeliveryPolicy: " + bad)
		}
	}
	t, err = x.alterTopic(t, func(d *topicDocument) error {
		d.set(name, value)
		return nil
	})
	if err != nil || name != "ArchivePolicy" {
		return err
	}
	_, err = x.g.broker.AlterStream(x.ctx, &x.who, t.stream, func(c *broker.StreamConfig) error {
		c.RetentionMS = retentionOf(&t.topicDocument)
		return nil
	}, 0)
	return err
}

// resourceAt finds the topic whose tags are meant.
func (x *call) resourceAt(arn string) (*topic, error) {
	t, err := x.topicSeen(arn)
	if err != nil && x.refusal(err).Code == wire.TopicNotFound {
		return nil, wire.Refuse(wire.TopicResourceNotFound, "Resource does not exist")
	}
	return t, err
}

func tagTopic(x *call, in *wire.TagResourceInput, _ *wire.None) error {
	t, err := x.resourceAt(in.ARN)
	if err != nil {
		return err
	}
	_, err = x.alterTopic(t, func(d *topicDocument) error {
		if d.Tags = tagsOf(d.Tags, in.Tags); len(d.Tags) > wire.TagsMax {
			return wire.Refuse(wire.TopicTagLimit, "Could not complete request: tag quota of per resource exceeded")
		}
		return nil
	})
	return err
}

func untagTopic(x *call, in *wire.UntagResourceInput, _ *wire.None) error {
	t, err := x.resourceAt(in.ARN)
	if err != nil {
		return err
	}
	_, err = x.alterTopic(t, func(d *topicDocument) error {
		d.Tags = maps.Clone(d.Tags)
		for _, k := range in.Keys {
			delete(d.Tags, k)
		}
		return nil
	})
	return err
}

func listTopicTags(x *call, in *wire.ResourceInput, out *wire.TopicTagsOutput) error {
	t, err := x.resourceAt(in.ARN)
	if err == nil {
		out.Tags = pairsOf(t.Tags)
	}
	return err
}

// readPolicy is the policy of a topic, or the one that it has as long as nobody has set one.
func (x *call) readPolicy(t *topic, d *topicDocument) (p topicPolicy, err error) {
	text := d.Attributes["Policy"]
	if text == "" {
		text = x.g.defaultPolicy(x.g.topicARN(t.name))
	}
	if json.Unmarshal([]byte(text), &p) != nil {
		return p, badTopic("Policy Reason: it has no list of statements")
	}
	return p, nil
}

func addTopicPermission(x *call, in *wire.TopicPermissionInput, _ *wire.None) error {
	t, err := x.topicSeen(in.TopicARN)
	if err != nil {
		return err
	}
	who, actions := make([]string, len(in.Accounts)), make([]string, len(in.Actions))
	for i, a := range in.Accounts {
		who[i] = "arn:aws:iam::" + a + ":root"
	}
	for i, a := range in.Actions {
		actions[i] = "SNS:" + a
	}
	statement := mustJSON(map[string]any{
		"Sid": in.Label, "Effect": "Allow", "Principal": map[string]any{"AWS": oneOrMany(who)}, "Action": oneOrMany(actions), "Resource": x.g.topicARN(t.name),
	})
	_, err = x.alterTopic(t, func(d *topicDocument) error {
		p, err := x.readPolicy(t, d)
		switch {
		case err != nil:
			return err
		case slices.ContainsFunc(p.Statement, labelled(in.Label)):
			return badTopic("Statement already exists")
		case len(p.Statement) >= topicStatementsMax:
			return badTopic("Policy statements: at most " + strconv.Itoa(topicStatementsMax))
		}
		p.Statement = append(p.Statement, statement)
		d.set("Policy", string(mustJSON(p)))
		return nil
	})
	return err
}

// topicStatementsMax is how many statements a policy has at most.
const topicStatementsMax = 100

func oneOrMany(s []string) any {
	if len(s) == 1 {
		return s[0]
	}
	return s
}

func removeTopicPermission(x *call, in *wire.RemoveTopicPermissionInput, _ *wire.None) error {
	t, err := x.topicSeen(in.TopicARN)
	if err != nil {
		return err
	}
	_, err = x.alterTopic(t, func(d *topicDocument) error {
		p, err := x.readPolicy(t, d)
		if err != nil {
			return err
		}
		p.Statement = slices.DeleteFunc(p.Statement, labelled(in.Label))
		d.set("Policy", string(mustJSON(p)))
		return nil
	})
	return err
}

// notHere refuses what SNS can do elsewhere: as Amazon does in regions that lack it.
func notHere(action string) *wire.Error {
	return wire.Refuse(wire.InvalidAction, "Operation ("+action+") is not supported in this region")
}
