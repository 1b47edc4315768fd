package aws

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/aws/wire"
)

const arn = "arn:aws:sns:us-east-1:000000000000:"

func TestTopic_MadeDescribedDeleted(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := s.topic("orders", "DisplayName", "Orders")
	if orders != arn+"orders" {
		t.Fatal(orders)
	}
	if again := s.topic("orders"); again != orders {
		t.Errorf("made again: %s", again)
	}
	fails(s, "InvalidParameter", "Topic already exists with different attributes", wire.CreateTopic, wire.CreateTopicInput{Name: "orders", Attributes: pairs("DisplayName", "x")})
	fails(s, "InvalidParameter", "Topic already exists with different tags", wire.CreateTopic, wire.CreateTopicInput{Name: "orders", Tags: pairs("a", "b")})
	fails(s, "InvalidParameter", "Topic Name", wire.CreateTopic, wire.CreateTopicInput{Name: "a b"})
	fails(s, "InvalidParameter", "Topic Name", wire.CreateTopic, wire.CreateTopicInput{Name: "a.fifo"})
	fails(s, "InvalidAction", "PutDataProtectionPolicy", wire.CreateTopic, wire.CreateTopicInput{Name: "masked", ProtectionPolicy: "{}"})

	a := does(s, wire.GetTopicAttributes, wire.TopicInput{TopicARN: orders}).pairs("Attributes")
	for name, want := range map[string]string{
		"TopicArn": orders, "Owner": "000000000000", "DisplayName": "Orders", "SubscriptionsConfirmed": "0", "SubscriptionsPending": "0", "SubscriptionsDeleted": "0",
		"EffectiveDeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"backoffFunction":"linear","maxDelayTarget":20,"minDelayTarget":20,"numMaxDelayRetries":0,` +
			`"numMinDelayRetries":0,"numNoDelayRetries":0,"numRetries":3},"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"},"disableSubscriptionOverrides":false}}`,
	} {
		if a[name] != want {
			t.Errorf("%s: %q, want %q", name, a[name], want)
		}
	}
	if !strings.Contains(a["Policy"], `"AWS:SourceOwner":"000000000000"`) {
		t.Error(a["Policy"])
	}
	set := func(name, value string) {
		t.Helper()
		does(s, wire.SetTopicAttributes, wire.SetAttributeInput{ARN: orders, Name: name, Value: value})
	}
	set("SignatureVersion", "2")
	set("DeliveryPolicy", `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":2,"numRetries":5}}}`)
	a = does(s, wire.GetTopicAttributes, wire.TopicInput{TopicARN: orders}).pairs("Attributes")
	if a["SignatureVersion"] != "2" || !strings.Contains(a["EffectiveDeliveryPolicy"], `"numRetries":5`) {
		t.Errorf("%v", a)
	}
	fails(s, "InvalidParameter", "AttributeName", wire.SetTopicAttributes, wire.SetAttributeInput{ARN: orders, Name: "Colour", Value: "red"})
	fails(s, "InvalidParameter", "http.defaultHealthyRetryPolicy.minDelayTarget must be specified", wire.SetTopicAttributes,
		wire.SetAttributeInput{ARN: orders, Name: "DeliveryPolicy", Value: `{"http":{"defaultHealthyRetryPolicy":{"numRetries":5}}}`})
	fails(s, "NotFound", "Topic does not exist", wire.GetTopicAttributes, wire.TopicInput{TopicARN: arn + "none"})
	fails(s, "InvalidParameter", "An ARN must have at least 6 elements, not 1", wire.GetTopicAttributes, wire.TopicInput{TopicARN: "orders"})

	does(s, wire.DeleteTopic, wire.TopicInput{TopicARN: orders})
	does(s, wire.DeleteTopic, wire.TopicInput{TopicARN: orders})
	fails(s, "NotFound", "Topic does not exist", wire.GetTopicAttributes, wire.TopicInput{TopicARN: orders})
	fails(s, "NotFound", "Topic does not exist", wire.Publish, wire.PublishInput{TopicARN: orders, Notice: wire.Notice{Message: "x"}})
	s.topic("orders", "DisplayName", "new")
}

// Names may be longer than those of streams.
func TestTopic_OfALongName(t *testing.T) {
	t.Parallel()
	s := start(t)
	url := s.queue("jobs")
	for _, name := range []string{strings.Repeat("a", 256), strings.Repeat("a", 255) + "b", strings.Repeat("c", 251) + ".fifo"} {
		topic := s.topic(name, "FifoTopic", fmt.Sprint(strings.HasSuffix(name, ".fifo")))
		if topic != arn+name {
			t.Fatal(topic)
		}
		s.subscribe(topic, "jobs")
		s.publish(topic, "x", func(n *wire.Notice) {
			if strings.HasSuffix(name, ".fifo") {
				n.GroupID, n.DeduplicationID = wire.Some("g"), wire.Some("d")
			}
		})
		if e := s.envelopes(url, 1)[0]; text(e, "TopicArn") != topic {
			t.Errorf("%v", e)
		}
	}
	if got := does(s, wire.ListTopics, wire.PageInput{}).list("TopicArn", "Topics"); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestTopic_TagsAndPermissions(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := does(s, wire.CreateTopic, wire.CreateTopicInput{Name: "orders", Tags: pairs("a", "1", "b", "2")}).text("TopicArn")
	does(s, wire.TagResource, wire.TagResourceInput{ARN: orders, Tags: pairs("b", "3", "c", "4")})
	does(s, wire.UntagResource, wire.UntagResourceInput{ARN: orders, Keys: []string{"a", "none"}})
	if got := does(s, wire.ListTagsForResource, wire.ResourceInput{ARN: orders}).pairs("Tags"); len(got) != 2 || got["b"] != "3" || got["c"] != "4" {
		t.Errorf("%v", got)
	}
	fails(s, "ResourceNotFound", "Resource does not exist", wire.ListTagsForResource, wire.ResourceInput{ARN: arn + "none"})
	add := wire.TopicPermissionInput{TopicARN: orders, Label: "friends", Accounts: []string{"111111111111"}, Actions: []string{"Publish"}}
	does(s, wire.AddTopicPermission, add)
	fails(s, "InvalidParameter", "Statement already exists", wire.AddTopicPermission, add)
	policy := func() string {
		return does(s, wire.GetTopicAttributes, wire.TopicInput{TopicARN: orders}).pairs("Attributes")["Policy"]
	}
	if p := policy(); !strings.Contains(p, "__default_statement_ID") || !strings.Contains(p, `"Sid":"friends"`) || !strings.Contains(p, "arn:aws:iam::111111111111:root") {
		t.Error(p)
	}
	does(s, wire.RemoveTopicPermission, wire.RemoveTopicPermissionInput{TopicARN: orders, Label: "friends"})
	if p := policy(); strings.Contains(p, "friends") {
		t.Error(p)
	}
}

func TestTopics_ListedInPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	var want []string
	for i := range 205 {
		want = append(want, s.topic(fmt.Sprintf("t-%03d", i)))
	}
	s.queue("a-queue")
	var got []string
	next := ""
	for _, n := range []int{100, 100, 5} {
		page := does(s, wire.ListTopics, wire.PageInput{NextToken: next})
		if arns := page.list("TopicArn", "Topics"); len(arns) != n {
			t.Fatalf("%d in a page", len(arns))
		} else {
			got = append(got, arns...)
		}
		next = page.text("NextToken")
	}
	if next != "" || !slices.Equal(got, want) {
		t.Errorf("%q %v", next, got)
	}
	fails(s, "InvalidParameter", "Invalid token", wire.ListTopics, wire.PageInput{NextToken: "?"})
}

func TestQueue_GetsWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, url, raw := s.topic("orders"), s.queue("jobs"), s.queue("bare")
	s.publish(orders, "before")
	first := s.subscribe(orders, "jobs")
	s.subscribe(orders, "bare", "RawMessageDelivery", "true")
	if again := s.subscribe(orders, "jobs"); again != first {
		t.Errorf("subscribed twice: %s", again)
	}
	fails(s, "InvalidParameter", "Subscription already exists with different attributes", wire.Subscribe,
		wire.SubscribeInput{TopicARN: orders, Protocol: "sqs", Endpoint: queueARN("jobs"), Attributes: pairs("RawMessageDelivery", "true")})
	id := s.publish(orders, "hé\"llo", with("colour", "String", "red"), with("count", "Number", "5"), with("list", "String.Array", `["a",1]`), func(n *wire.Notice) { n.Subject = wire.Some("greeting") }).text("MessageId")

	e := s.envelopes(url, 1)[0]
	for name, want := range map[string]string{
		"Type": "Notification", "MessageId": id, "TopicArn": orders, "Subject": "greeting", "Message": "hé\"llo", "SignatureVersion": "1",
		"UnsubscribeURL": s.url + "/?Action=Unsubscribe&SubscriptionArn=" + first,
	} {
		if text(e, name) != want {
			t.Errorf("%s: %q, want %q", name, e[name], want)
		}
	}
	if text(e, "MessageAttributes", "colour", "Value") != "red" || text(e, "MessageAttributes", "count", "Type") != "Number" {
		t.Errorf("%v", e["MessageAttributes"])
	}
	s.verify(e)

	ms := s.receive(raw, wait(20))
	if len(ms) != 1 || text(ms[0], "Body") != "hé\"llo" || text(ms[0], "MessageAttributes", "colour", "StringValue") != "red" ||
		text(ms[0], "MessageAttributes", "list", "DataType") != "String.Array" || text(ms[0], "MessageAttributes", "list", "StringValue") != `["a",1]` || text(ms[0], "MD5OfMessageAttributes") == "" {
		t.Fatalf("%v", ms)
	}
	s.none(url)
	s.send(url, "its own")
	if got := s.bodies(url, 1); got[0] != "its own" {
		t.Error(got)
	}
}

// verify checks a signature as subscribers do: with the certificate from where the notice says.
func (s *served) verify(e map[string]any) {
	s.t.Helper()
	res, err := http.Get(text(e, "SigningCertURL"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		s.t.Fatalf("%s: %d %v", text(e, "SigningCertURL"), res.StatusCode, err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	var canonical strings.Builder
	for _, name := range []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"} {
		if v := text(e, name); v != "" {
			canonical.WriteString(name + "\n" + v + "\n")
		}
	}
	sig, err := base64.StdEncoding.DecodeString(text(e, "Signature"))
	if err != nil {
		s.t.Fatal(err)
	}
	key := cert.PublicKey.(*rsa.PublicKey)
	if text(e, "SignatureVersion") == "2" {
		sum := sha256.Sum256([]byte(canonical.String()))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
	} else {
		sum := sha1.Sum([]byte(canonical.String()))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], sig)
	}
	if err != nil {
		s.t.Errorf("the signature of %v: %v", e, err)
	}
}

func TestQueue_DelaysWhatTopicsSend(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, url := s.topic("orders"), s.queue("jobs", "DelaySeconds", "1")
	s.subscribe(orders, "jobs", "RawMessageDelivery", "true", "FilterPolicy", `{"x":["a"]}`)
	began := time.Now()
	s.publish(orders, "late", with("x", "String", "a"))
	if got := s.bodies(url, 1); got[0] != "late" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("%v after %s", got, time.Since(began))
	}
	ok(s, wire.SetQueueAttributes, wire.SetQueueAttributesInput{QueueURL: url, Attributes: pairs("DelaySeconds", "900")})
	s.publish(orders, "much later", with("x", "String", "a"))
	s.publish(orders, "never", with("x", "String", "b"))
	s.none(url)
	ok(s, wire.SetQueueAttributes, wire.SetQueueAttributesInput{QueueURL: url, Attributes: pairs("DelaySeconds", "0")})
	s.publish(orders, "at once", with("x", "String", "a"))
	if got := s.bodies(url, 1); got[0] != "at once" {
		t.Error(got)
	}
}

func TestQueue_Unsigned(t *testing.T) {
	t.Parallel()
	cfg := Default()
	cfg.UnsignedQueues = true
	s := startWith(t, cfg)
	orders, url := s.topic("orders"), s.queue("jobs")
	s.subscribe(orders, "jobs")
	e := newEndpoint(t)
	s.confirmed(orders, e)
	s.publish(orders, "hello")
	if got := s.envelopes(url, 1)[0]; got["Signature"] != nil || got["SigningCertURL"] != nil || text(got, "Message") != "hello" || text(got, "UnsubscribeURL") == "" {
		t.Errorf("%v", got)
	}
	if d := e.next().doc(t); d["Signature"] == "" {
		t.Errorf("%v", d)
	}
}

func TestQueue_FilterPolicies(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := s.topic("orders")
	url := s.queue("jobs")
	sub := s.subscribe(orders, "jobs", "RawMessageDelivery", "true", "FilterPolicy", `{"store":["north",{"prefix":"south-"}],"price":[{"numeric":[">=",100]}]}`)
	body := s.queue("body")
	s.subscribe(orders, "body", "RawMessageDelivery", "true", "FilterPolicy", `{"order":{"total":[{"numeric":[">",5]}]}}`, "FilterPolicyScope", "MessageBody")
	s.publish(orders, "1", with("store", "String", "north"), with("price", "Number", "100"))
	s.publish(orders, "2", with("store", "String", "west"), with("price", "Number", "100"))
	s.publish(orders, "3", with("store", "String.Array", `["west","south-1"]`), with("price", "Number", "1e3"))
	s.publish(orders, "4", with("store", "String", "north"))
	s.publish(orders, `{"order":{"total":7}}`)
	s.publish(orders, `{"order":{"total":5}}`)
	if got := s.bodies(url, 2); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("by attributes: %v", got)
	}
	if got := s.bodies(body, 1); got[0] != `{"order":{"total":7}}` {
		t.Errorf("by the body: %v", got)
	}
	s.none(url)
	s.none(body)

	set := func(name, value string) {
		t.Helper()
		does(s, wire.SetSubscriptionAttributes, wire.SetAttributeInput{ARN: sub, Name: name, Value: value})
	}
	s.publish(orders, "5", with("store", "String", "west"))
	set("FilterPolicy", `{"store":[{"anything-but":["north"]}]}`)
	s.publish(orders, "6", with("store", "String", "west"))
	set("FilterPolicy", "")
	s.publish(orders, "7")
	if got := s.bodies(url, 2); !slices.Equal(got, []string{"6", "7"}) {
		t.Errorf("after changes: %v", got)
	}
	a := does(s, wire.GetSubscriptionAttributes, wire.SubscriptionInput{SubscriptionARN: sub}).pairs("Attributes")
	if a["FilterPolicy"] != "" || a["RawMessageDelivery"] != "true" || a["Protocol"] != "sqs" || a["Endpoint"] != queueARN("jobs") || a["PendingConfirmation"] != "false" {
		t.Errorf("%v", a)
	}
	for policy, why := range map[string]string{
		`{"a":"b"}`:            `FilterPolicy: "a" must be an object or an array`,
		`{"a":{"suffix":"b"}}`: `FilterPolicy: "suffix" must be an object or an array`,
		`{"a":{"b":["c"]}}`:    "Filter policy scope MessageAttributes does not support nested filter policy",
		`{"a":[{"prefix":5}]}`: "FilterPolicy: prefix match pattern must be a string",
		`{"a":[]}`:             "FilterPolicy: Empty arrays are not allowed",
		`{"a":[{"x":1}]}`:      "FilterPolicy: Unrecognized match type x",
		`{`:                    "FilterPolicy: failed to parse JSON",
		`{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}`: "FilterPolicy: Filter policy can not have more than 5 keys",
	} {
		fails(s, "InvalidParameter", why, wire.SetSubscriptionAttributes, wire.SetAttributeInput{ARN: sub, Name: "FilterPolicy", Value: policy})
		if !strings.HasPrefix(why, "Filter policy scope") {
			why = "Attributes Reason: " + why
		}
		fails(s, "InvalidParameter", "Invalid parameter: "+why, wire.Subscribe,
			wire.SubscribeInput{TopicARN: orders, Protocol: "sqs", Endpoint: queueARN("new"), Attributes: pairs("FilterPolicy", policy)})
	}
}

// Whatever operator a policy has: once in the words of its documentation, one message that is meant and one that is not.
func TestQueue_EveryOperator(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i, c := range []struct{ policy, kind, yes, no string }{
		{`{"x":["a"]}`, "String", "a", "A"},
		{`{"x":[5]}`, "Number", "5.0", "6"},
		{`{"x":[true]}`, "String.Array", "[true]", "[false]"},
		{`{"x":[{"anything-but":["a","b"]}]}`, "String", "c", "a"},
		{`{"x":[{"anything-but":{"prefix":"a"}}]}`, "String", "ba", "ab"},
		{`{"x":[{"anything-but":{"suffix":"a"}}]}`, "String", "ab", "ba"},
		{`{"x":[{"anything-but":{"wildcard":"a*c"}}]}`, "String", "ab", "abc"},
		{`{"x":[{"prefix":"a"}]}`, "String", "ab", "ba"},
		{`{"x":[{"suffix":"a"}]}`, "String", "ba", "ab"},
		{`{"x":[{"equals-ignore-case":"ab"}]}`, "String", "Ab", "abc"},
		{`{"x":[{"wildcard":"a*c*"}]}`, "String", "abcd", "abd"},
		{`{"x":[{"numeric":["=",5]}]}`, "Number", "5.00", "4"},
		{`{"x":[{"numeric":[">",0,"<=",150]}]}`, "Number", "150", "0"},
		{`{"x":[{"cidr":"10.0.0.0/24"}]}`, "String", "10.0.0.9", "10.0.1.9"},
		{`{"$or":[{"x":["a"]},{"y":["b"]}]}`, "String", "a", "b"},
	} {
		topic, url := s.topic(fmt.Sprint("t", i)), s.queue(fmt.Sprint("q", i))
		s.subscribe(topic, fmt.Sprint("q", i), "RawMessageDelivery", "true", "FilterPolicy", c.policy)
		s.publish(topic, "no", with("x", c.kind, c.no))
		s.publish(topic, "yes", with("x", c.kind, c.yes))
		if got := s.bodies(url, 1); got[0] != "yes" {
			t.Errorf("%s: %v", c.policy, got)
		}
	}
	for i, c := range []struct {
		policy string
		there  bool
	}{{`{"x":[{"exists":true}]}`, true}, {`{"x":[{"exists":false}]}`, false}} {
		topic, url := s.topic(fmt.Sprint("e", i)), s.queue(fmt.Sprint("f", i))
		s.subscribe(topic, fmt.Sprint("f", i), "RawMessageDelivery", "true", "FilterPolicy", c.policy)
		s.publish(topic, "with", with("x", "String", "a"))
		s.publish(topic, "without")
		want := map[bool]string{true: "with", false: "without"}[c.there]
		if got := s.bodies(url, 1); got[0] != want {
			t.Errorf("%s: %v", c.policy, got)
		}
	}
}

func TestUnsubscribe_LeavesWhatWasDelivered(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, url := s.topic("orders"), s.queue("jobs")
	sub := s.subscribe(orders, "jobs", "RawMessageDelivery", "true")
	s.publish(orders, "1")
	does(s, wire.Unsubscribe, wire.SubscriptionInput{SubscriptionARN: sub})
	does(s, wire.Unsubscribe, wire.SubscriptionInput{SubscriptionARN: sub})
	s.publish(orders, "2")
	if got := s.bodies(url, 1); got[0] != "1" {
		t.Error(got)
	}
	s.none(url)
	fails(s, "NotFound", "Subscription does not exist", wire.GetSubscriptionAttributes, wire.SubscriptionInput{SubscriptionARN: sub})
	if got := does(s, wire.ListSubscriptionsByTopic, wire.TopicInput{TopicARN: orders}).list("Endpoint", "Subscriptions"); len(got) != 0 {
		t.Error(got)
	}
	if a := does(s, wire.GetTopicAttributes, wire.TopicInput{TopicARN: orders}).pairs("Attributes"); a["SubscriptionsDeleted"] != "1" {
		t.Errorf("%v", a)
	}
	again := s.subscribe(orders, "jobs", "RawMessageDelivery", "true")
	if again == sub {
		t.Error("the same subscription again")
	}
	s.publish(orders, "3")
	if got := s.bodies(url, 1); got[0] != "3" {
		t.Error(got)
	}
	// So does the end of the topic; one of its name is another topic.
	s.publish(orders, "4")
	does(s, wire.DeleteTopic, wire.TopicInput{TopicARN: orders})
	s.topic("orders")
	s.publish(orders, "5")
	if got := s.bodies(url, 1); got[0] != "4" {
		t.Error(got)
	}
	s.none(url)
	s.subscribe(orders, "jobs")
	s.publish(orders, "6")
	if e := s.envelopes(url, 1)[0]; text(e, "Message") != "6" {
		t.Error(e)
	}
}

func TestQueue_OfTheTopicsName(t *testing.T) {
	t.Parallel()
	s := start(t)
	url := s.queue("orders")
	orders := s.topic("orders")
	s.publish(orders, "nobody is subscribed")
	s.none(url)
	s.subscribe(orders, "orders", "RawMessageDelivery", "true")
	s.publish(orders, "1")
	s.send(url, "2")
	got := s.bodies(url, 2)
	slices.Sort(got)
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Error(got)
	}
}

func TestTopic_OfTheQueuesName(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := s.topic("orders")
	url := s.queue("orders")
	if again := s.queue("orders"); again != url {
		t.Error(again)
	}
	s.publish(orders, "nobody is subscribed")
	s.none(url)
	s.subscribe(orders, "orders", "RawMessageDelivery", "true")
	s.publish(orders, "1")
	s.send(url, "2")
	got := s.bodies(url, 2)
	slices.Sort(got)
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Error(got)
	}
	if got := ok(s, wire.ListQueues, wire.ListQueuesInput{Prefix: "ord"}); fmt.Sprint(got["QueueUrls"]) != "["+url+"]" {
		t.Errorf("%v", got)
	}
	jobs := s.queue("jobs", "VisibilityTimeout", "0", "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN("orders")+`","maxReceiveCount":"1"}`)
	s.send(jobs, "poison")
	s.receive(jobs, wait(20))
	s.receive(jobs, wait(1))
	if got := s.bodies(url, 1); got[0] != "poison" {
		t.Error(got)
	}
	ok(s, wire.DeleteQueue, wire.QueueInput{QueueURL: url})
	refuses(s, "AWS.SimpleQueueService.NonExistentQueue", wire.GetQueueURL, wire.GetQueueURLInput{Name: "orders"})
	s.publish(orders, "the topic is still there")
}

// A queue may be subscribed before it is there, and stays so when it is made again; what it does not get meanwhile goes where the subscription says.
func TestQueue_ThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, dead := s.topic("orders"), s.queue("dead")
	s.subscribe(orders, "jobs", "FilterPolicy", `{"x":["a"]}`, "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN("dead")+`"}`)
	s.publish(orders, "lost", with("x", "String", "a"))
	s.publish(orders, "not meant", with("x", "String", "b"))
	ms := s.receive(dead, wait(20))
	if len(ms) != 1 || !strings.Contains(text(ms[0], "Body"), `"Message" : "lost"`) {
		t.Fatalf("%v", ms)
	}
	url := s.queue("jobs")
	s.publish(orders, "1", with("x", "String", "a"))
	if e := s.envelopes(url, 1)[0]; text(e, "Message") != "1" {
		t.Error(e)
	}
	ok(s, wire.DeleteQueue, wire.QueueInput{QueueURL: url})
	if got := does(s, wire.ListSubscriptions, wire.PageInput{}).list("Endpoint", "Subscriptions"); !slices.Equal(got, []string{queueARN("jobs")}) {
		t.Error(got)
	}
	s.publish(orders, "lost too", with("x", "String", "a"))
	s.queue("jobs")
	s.publish(orders, "2", with("x", "String", "a"))
	if e := s.envelopes(url, 1)[0]; text(e, "Message") != "2" {
		t.Error(e)
	}
}

func TestFIFO_TopicToQueue(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := s.topic("orders.fifo", "FifoTopic", "true", "ContentBasedDeduplication", "true")
	url := s.queue("jobs.fifo", "FifoQueue", "true")
	s.subscribe(orders, "jobs.fifo", "RawMessageDelivery", "true")
	in := func(g string) func(*wire.Notice) { return func(n *wire.Notice) { n.GroupID = wire.Some(g) } }
	fails(s, "InvalidParameter", "MessageGroupId", wire.Publish, wire.PublishInput{TopicARN: orders, Notice: wire.Notice{Message: "x"}})
	first := s.publish(orders, "a1", in("a"))
	again := s.publish(orders, "a1", in("a"))
	if first.text("MessageId") != again.text("MessageId") || first.text("SequenceNumber") != again.text("SequenceNumber") || len(first.text("SequenceNumber")) != 20 {
		t.Errorf("%+v %+v", first, again)
	}
	for _, m := range []string{"a2", "a3"} {
		s.publish(orders, m, in("a"))
	}
	s.publish(orders, "b1", in("b"))
	ms := s.receive(url, wait(20))
	var a []string
	for _, m := range ms {
		if text(m, "Attributes", "MessageGroupId") == "a" {
			a = append(a, text(m, "Body"))
		}
		if text(m, "Attributes", "MessageDeduplicationId") == "" || text(m, "Attributes", "SequenceNumber") == "" {
			t.Errorf("%v", m)
		}
		s.deleted(url, m)
	}
	if !slices.Equal(a, []string{"a1", "a2", "a3"}[:len(a)]) || len(a) == 0 {
		t.Errorf("group a: %v", a)
	}
	plain := s.topic("plain")
	fails(s, "InvalidParameter", "FIFO SQS Queues can not be subscribed to standard SNS topics", wire.Subscribe, wire.SubscribeInput{TopicARN: plain, Protocol: "sqs", Endpoint: queueARN("jobs.fifo")})
	fails(s, "InvalidParameter", "FIFO", wire.Subscribe, wire.SubscribeInput{TopicARN: orders, Protocol: "http", Endpoint: "http://127.0.0.1:1/"})
	std := s.queue("std")
	s.subscribe(orders, "std")
	s.publish(orders, "a4", in("a"))
	if e := s.envelopes(std, 1)[0]; e["Signature"] != nil || text(e, "SequenceNumber") == "" || text(e, "Message") != "a4" {
		t.Errorf("%v", e)
	}
}

func TestPublish_StructureAndRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, url := s.topic("orders", "MaximumMessageSize", "1024"), s.queue("jobs")
	s.subscribe(orders, "jobs")
	s.publish(orders, `{"default":"all","sqs":"queues","http":"endpoints"}`, func(n *wire.Notice) { n.Structure = "json" })
	if e := s.envelopes(url, 1)[0]; text(e, "Message") != "queues" {
		t.Error(e)
	}
	at := func(n wire.Notice) wire.PublishInput { return wire.PublishInput{TopicARN: orders, Notice: n} }
	fails(s, "InvalidParameter", "No default entry in JSON message body", wire.Publish, at(wire.Notice{Message: `{}`, Structure: "json"}))
	fails(s, "InvalidParameter", "Message too long", wire.Publish, at(wire.Notice{Message: strings.Repeat("x", 1025)}))
	fails(s, "InvalidParameter", "Empty message", wire.Publish, at(wire.Notice{}))
	fails(s, "InvalidParameter", "PhoneNumber", wire.Publish, wire.PublishInput{PhoneNumber: "+123", Notice: wire.Notice{Message: "x"}})
	fails(s, "InvalidParameter", "No endpoint found for the target arn specified", wire.Publish, wire.PublishInput{TargetARN: arn + "endpoint/GCM/a/b", Notice: wire.Notice{Message: "x"}})
	does(s, wire.Publish, wire.PublishInput{TargetARN: orders, Notice: wire.Notice{Message: "by target"}})
	if e := s.envelopes(url, 1)[0]; text(e, "Message") != "by target" {
		t.Error(e)
	}
	for _, a := range []string{"CreatePlatformApplication", "GetSMSAttributes", "ListOriginationNumbers", "PutDataProtectionPolicy"} {
		code, _, b := s.post(map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "/", []byte("Version=2010-03-31&Action="+a))
		if code != 400 || !strings.Contains(string(b), "<Code>InvalidAction</Code>") || !strings.Contains(string(b), a) {
			t.Errorf("%s: %d %s", a, code, b)
		}
	}
	for _, p := range []string{"email", "sms", "lambda"} {
		fails(s, "InvalidParameter", "nothing is delivered by "+p, wire.Subscribe, wire.SubscribeInput{TopicARN: orders, Protocol: p, Endpoint: "arn:aws:lambda:us-east-1:000000000000:function:f"})
	}
	fails(s, "InvalidParameter", "does not support this protocol string: x", wire.Subscribe, wire.SubscribeInput{TopicARN: orders, Protocol: "x", Endpoint: "y"})
}

func TestPublishBatch_AllOrNone(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, url := s.topic("orders"), s.queue("jobs")
	s.subscribe(orders, "jobs", "RawMessageDelivery", "true")
	in := wire.PublishBatchInput{TopicARN: orders}
	for i := range 4 {
		in.Entries = append(in.Entries, wire.PublishBatchEntry{ID: fmt.Sprint("e", i), Notice: wire.Notice{Message: fmt.Sprint(i)}})
	}
	got := does(s, wire.PublishBatch, in)
	if ids := got.list("Id", "Successful"); !slices.Equal(ids, []string{"e0", "e1", "e2", "e3"}) {
		t.Errorf("%v", ids)
	}
	if got := s.bodies(url, 4); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Error(got)
	}
	in.Entries[2].DeduplicationID = wire.Some("d") // not of a standard topic
	fails(s, "InvalidParameter", "MessageDeduplicationId", wire.PublishBatch, in)
	in.Entries[2].DeduplicationID = wire.Opt[string]{}
	s.none(url)
	for i := len(in.Entries); i < 11; i++ {
		in.Entries = append(in.Entries, wire.PublishBatchEntry{ID: fmt.Sprint("e", i), Notice: wire.Notice{Message: fmt.Sprint(i)}})
	}
	fails(s, "TooManyEntriesInBatchRequest", "", wire.PublishBatch, in)
	fails(s, "EmptyBatchRequest", "", wire.PublishBatch, wire.PublishBatchInput{TopicARN: orders})
}

// A message of a topic that a queue cannot work off is in the dead letters what it was in the queue.
func TestQueue_DeadLettersOfNotices(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, dead := s.topic("orders"), s.queue("dead")
	url := s.queue("jobs", "VisibilityTimeout", "0", "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN("dead")+`","maxReceiveCount":"1"}`)
	s.subscribe(orders, "jobs")
	id := s.publish(orders, "poison").text("MessageId")
	if ms := s.receive(url, wait(20)); len(ms) != 1 {
		t.Fatalf("%v", ms)
	}
	s.receive(url, wait(1))
	ms := s.receive(dead, wait(20))
	if len(ms) != 1 {
		t.Fatalf("%v", ms)
	}
	var e map[string]any
	if err := json.Unmarshal([]byte(text(ms[0], "Body")), &e); err != nil || text(e, "MessageId") != id || text(e, "Message") != "poison" {
		t.Errorf("%v %v", ms[0], err)
	}
	if text(ms[0], "Attributes", "DeadLetterQueueSourceArn") != queueARN("jobs") {
		t.Errorf("%v", ms[0])
	}
	s.verify(e)
}

func TestEndpoint_ConfirmedAndServed(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := s.topic("orders", "SignatureVersion", "2")
	e := newEndpoint(t)
	in := wire.SubscribeInput{TopicARN: orders, Protocol: "http", Endpoint: e.server.URL + "/hook"}
	if got := does(s, wire.Subscribe, in).text("SubscriptionArn"); got != wire.PendingARN {
		t.Fatal(got)
	}
	p := e.next()
	d := p.doc(t)
	if p.header.Get("X-Amz-Sns-Message-Type") != "SubscriptionConfirmation" || p.header.Get("X-Amz-Sns-Topic-Arn") != orders || d["Token"] == "" || d["TopicArn"] != orders ||
		p.header.Get("User-Agent") != "Amazon Simple Notification Service Agent" || p.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
		t.Errorf("%v %v", p.header, d)
	}
	var whole map[string]any
	if err := json.Unmarshal([]byte(p.body), &whole); err != nil {
		t.Fatal(err)
	}
	s.verify(whole)
	if got := does(s, wire.ListSubscriptionsByTopic, wire.TopicInput{TopicARN: orders}).list("SubscriptionArn", "Subscriptions"); !slices.Equal(got, []string{wire.PendingListed}) {
		t.Error(got)
	}
	s.publish(orders, "before it was confirmed")
	fails(s, "InvalidParameter", "Invalid token", wire.ConfirmSubscription, wire.ConfirmInput{TopicARN: orders, Token: "made up"})
	fails(s, "InvalidParameter", "Invalid parameter: Token", wire.ConfirmSubscription, wire.ConfirmInput{TopicARN: orders, Token: newToken()})
	fails(s, "InvalidParameter", "Invalid parameter: Token", wire.ConfirmSubscription, wire.ConfirmInput{TopicARN: orders, Token: "abc123"})
	sub := does(s, wire.ConfirmSubscription, wire.ConfirmInput{TopicARN: orders, Token: d["Token"]}).text("SubscriptionArn")
	if again := does(s, wire.ConfirmSubscription, wire.ConfirmInput{TopicARN: orders, Token: d["Token"]}).text("SubscriptionArn"); again != sub || !strings.HasPrefix(sub, orders+":") {
		t.Errorf("%s %s", sub, again)
	}
	id := s.publish(orders, "hello", with("a", "String", "b")).text("MessageId")
	p = e.next()
	d = p.doc(t)
	if d["Message"] != "hello" || d["MessageId"] != id || p.header.Get("X-Amz-Sns-Message-Id") != id || p.header.Get("X-Amz-Sns-Subscription-Arn") != sub ||
		p.header.Get("X-Amz-Sns-Message-Type") != "Notification" || d["SignatureVersion"] != "2" {
		t.Errorf("%v %v", p.header, d)
	}
	if err := json.Unmarshal([]byte(p.body), &whole); err != nil {
		t.Fatal(err)
	}
	delete(whole, "SubscribeURL")
	delete(whole, "Token")
	s.verify(whole)

	set := func(name, value string) {
		t.Helper()
		does(s, wire.SetSubscriptionAttributes, wire.SetAttributeInput{ARN: sub, Name: name, Value: value})
	}
	set("RawMessageDelivery", "true")
	set("FilterPolicy", `{"a":["c"]}`)
	set("DeliveryPolicy", `{"requestPolicy":{"headerContentType":"application/json"}}`)
	s.publish(orders, "not meant", with("a", "String", "b"))
	s.publish(orders, `{"bare":1}`, with("a", "String", "c"))
	p = e.next()
	if p.body != `{"bare":1}` || p.header.Get("X-Amz-Sns-Rawdelivery") != "true" || p.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", p.header, p.body)
	}
	a := does(s, wire.GetSubscriptionAttributes, wire.SubscriptionInput{SubscriptionARN: sub}).pairs("Attributes")
	if a["FilterPolicyScope"] != "MessageAttributes" || !strings.Contains(a["EffectiveDeliveryPolicy"], "application/json") || a["PendingConfirmation"] != "false" {
		t.Errorf("%v", a)
	}

	res, err := http.Get(d["UnsubscribeURL"])
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	if d := e.next().doc(t); d["Type"] != "UnsubscribeConfirmation" {
		t.Errorf("%v", d)
	}
	s.publish(orders, "nobody", with("a", "String", "c"))
	e.quiet(300 * time.Millisecond)
}

func TestEndpoint_RetriesAndDeadLetters(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, dead := s.topic("orders"), s.queue("dead")
	e := newEndpoint(t)
	s.confirmed(orders, e, "DeliveryPolicy", `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":2,"numNoDelayRetries":1}}`,
		"RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN("dead")+`"}`)
	e.answers(func(*posted) int { return 500 })
	s.publish(orders, "fails")
	first, second, third := e.next(), e.next(), e.next()
	if first.body != second.body || second.body != third.body || third.at.Sub(second.at) < 900*time.Millisecond {
		t.Errorf("%v %v %v", first, second, third)
	}
	ms := s.receive(dead, wait(20))
	if len(ms) != 1 || !strings.Contains(text(ms[0], "Body"), `"Message" : "fails"`) {
		t.Fatalf("%v", ms)
	}
	e.answers(func(*posted) int { return 403 }) // understood, and not wanted
	s.publish(orders, "refused")
	e.next()
	if ms := s.receive(dead, wait(20)); len(ms) != 1 || !strings.Contains(text(ms[0], "Body"), `"Message" : "refused"`) {
		t.Fatalf("%v", ms)
	}
	e.quiet(100 * time.Millisecond)
	e.answers(func(*posted) int { return 410 })
	s.publish(orders, "gone")
	e.next()
	e.answers(nil)
	s.publish(orders, "well again")
	if d := e.next().doc(t); d["Message"] != "well again" {
		t.Errorf("%v", d)
	}
}

func TestEndpoint_ThatMayNotBeReached(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders := s.topic("orders")
	fails(s, "InvalidParameter", "outbound.allow", wire.Subscribe, wire.SubscribeInput{TopicARN: orders, Protocol: "http", Endpoint: "http://10.0.0.1/"})
	fails(s, "InvalidParameter", "Endpoint must match the specified protocol", wire.Subscribe, wire.SubscribeInput{TopicARN: orders, Protocol: "https", Endpoint: "http://127.0.0.1/"})
	if got := does(s, wire.ListSubscriptions, wire.PageInput{}).list("Endpoint", "Subscriptions"); len(got) != 0 {
		t.Error(got)
	}
}

// With users everybody says who he is, but for who visits a URL that he was sent; and what he does is done in the name of who subscribed.
func TestEndpoint_WithUsers(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, nobody := context.Background(), &broker.Caller{}
	if _, err := s.broker.PutUser(ctx, nobody, broker.User{Name: "root", Password: "open-sesame", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}}); err != nil {
		t.Fatal(err)
	}
	root := &broker.Caller{Principal: "root"}
	if _, err := s.broker.PutUser(ctx, root, broker.User{Name: "reader", Password: "open-sesame", Grants: []broker.Grant{{Action: "describe", Kind: "*", Pattern: "*"}}}); err != nil {
		t.Fatal(err)
	}
	post := func(user string, body []byte) (int, string) {
		t.Helper()
		header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
		if user != "" {
			header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":open-sesame"))
		}
		code, _, b := s.post(header, "/", body)
		return code, string(b)
	}
	create := wire.CreateTopic.AppendRequest(nil, wire.Query, &wire.CreateTopicInput{Name: "orders"})
	if code, b := post("", create); code != 403 && code != 400 {
		t.Errorf("nobody: %d %s", code, b)
	}
	if code, b := post("reader", create); code != 403 || !strings.Contains(b, "AuthorizationError") {
		t.Errorf("reader: %d %s", code, b)
	}
	if code, b := post("root", create); code != 200 {
		t.Fatalf("root: %d %s", code, b)
	}
	e := newEndpoint(t)
	sub := wire.Subscribe.AppendRequest(nil, wire.Query, &wire.SubscribeInput{TopicARN: arn + "orders", Protocol: "http", Endpoint: e.server.URL})
	if code, b := post("reader", sub); code != 403 {
		t.Errorf("reader: %d %s", code, b)
	}
	if code, b := post("root", sub); code != 200 {
		t.Fatalf("root: %d %s", code, b)
	}
	visit := func(url string) (int, string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if code, b := visit(s.url + "/?Action=ConfirmSubscription&TopicArn=" + arn + "orders&Token=" + newToken()); code != 400 || !strings.Contains(b, "Invalid parameter: Token") {
		t.Errorf("another token: %d %s", code, b)
	}
	if code, b := visit(s.url + "/?Action=DeleteTopic&TopicArn=" + arn + "orders"); code == 200 {
		t.Errorf("a visit deletes: %s", b)
	}
	if code, b := visit(e.next().doc(t)["SubscribeURL"]); code != 200 {
		t.Fatalf("%d %s", code, b)
	}
	if code, b := post("root", wire.Publish.AppendRequest(nil, wire.Query, &wire.PublishInput{TopicARN: arn + "orders", Notice: wire.Notice{Message: "hello"}})); code != 200 {
		t.Fatalf("%d %s", code, b)
	}
	d := e.next().doc(t)
	if d["Message"] != "hello" {
		t.Errorf("%v", d)
	}
	if code, b := visit(d["UnsubscribeURL"]); code != 200 {
		t.Errorf("%d %s", code, b)
	}
	if d := e.next().doc(t); d["Type"] != "UnsubscribeConfirmation" {
		t.Errorf("%v", d)
	}
}

// What was subscribed when there were no users goes on when there are some, and is ended by its URL.
func TestEndpoint_FromBeforeThereWereUsers(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, e := s.topic("orders"), newEndpoint(t)
	s.confirmed(orders, e)
	late := newEndpoint(t)
	does(s, wire.Subscribe, wire.SubscribeInput{TopicARN: orders, Protocol: "http", Endpoint: late.server.URL})
	grants := []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}
	if _, err := s.broker.PutUser(context.Background(), &broker.Caller{}, broker.User{Name: "root", Password: "open-sesame", Grants: grants}); err != nil {
		t.Fatal(err)
	}
	visit := func(url string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatalf("%s: %s", url, res.Status)
		}
	}
	visit(late.next().doc(t)["SubscribeURL"])
	header := map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("root:open-sesame")),
	}
	in := wire.PublishInput{TopicARN: orders, Notice: wire.Notice{Message: "hello"}}
	if code, _, b := s.post(header, "/", wire.Publish.AppendRequest(nil, wire.Query, &in)); code != 200 {
		t.Fatalf("%d %s", code, b)
	}
	for _, e := range []*endpoint{e, late} {
		d := e.next().doc(t)
		if d["Message"] != "hello" {
			t.Errorf("%v", d)
		}
		visit(d["UnsubscribeURL"])
		if d := e.next().doc(t); d["Type"] != "UnsubscribeConfirmation" {
			t.Errorf("%v", d)
		}
	}
}

// The signature of a notice is made once, however many want it at once.
func TestSignatures_AreMadeOnce(t *testing.T) {
	t.Parallel()
	var k signatures
	var made atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for n := range 20 {
				key := signKey{ref: record.Ref{Stream: "orders", Offset: record.Offset(n)}, version: 1}
				text, ok := k.find(key)
				if !ok {
					if made.Add(1); made.Load()%7 == 0 {
						k.keep(key, "") // it could not be made: the next one tries
						continue
					}
					text = fmt.Sprint(n)
					k.keep(key, text)
				}
				if text != fmt.Sprint(n) {
					t.Errorf("%d has %q", n, text)
				}
			}
		})
	}
	all.Wait()
	if n := made.Load(); n < 20 || n > 30 || len(k.making) > 0 {
		t.Errorf("made %d times for 20", n)
	}
}

// The stream of a topic goes with the last queue that has messages of it.
func TestDeleteTopic_ItsStreamGoesWithTheQueue(t *testing.T) {
	t.Parallel()
	s := start(t)
	orders, url, other := s.topic("orders"), s.queue("jobs"), s.queue("more")
	s.subscribe(orders, "jobs")
	s.subscribe(orders, "more")
	there := func() bool {
		_, err := s.broker.DescribeStream(context.Background(), &broker.Caller{}, "orders")
		return err == nil
	}
	does(s, wire.DeleteTopic, wire.TopicInput{TopicARN: orders})
	ok(s, wire.DeleteQueue, wire.QueueInput{QueueURL: url})
	if !there() {
		t.Error("the stream went before the messages of the other queue")
	}
	ok(s, wire.DeleteQueue, wire.QueueInput{QueueURL: other})
	if there() {
		t.Error("the stream is still there")
	}
}
