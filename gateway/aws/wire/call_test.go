package wire

import (
	"strings"
	"testing"
)

func TestParseCall_SaysWhoIsMeant(t *testing.T) {
	for _, c := range []struct {
		head    Head
		body    string
		service Service
		action  string
	}{
		{Head{Path: "/", Target: "AmazonSQS.SendMessage", ContentType: "application/x-amz-json-1.0"}, `{}`, SQS, "SendMessage"},
		{Head{Path: "/", Target: "AmazonSQS.ListQueues"}, ``, SQS, "ListQueues"},
		{Head{Path: "/000000000000/orders"}, "Action=ReceiveMessage", SQS, "ReceiveMessage"},
		{Head{Path: "/", Query: "Action=ConfirmSubscription&TopicArn=" + arnOfTopic + "&Token=t"}, "", SNS, "ConfirmSubscription"},
		{Head{Path: "/"}, "Action=Publish", SNS, "Publish"},
		{Head{Path: "/"}, "Action=AddPermission&Version=2010-03-31", SNS, "AddPermission"},
		{Head{Path: "/"}, "Action=AddPermission&Version=2012-11-05", SQS, "AddPermission"},
		{Head{Path: "/"}, "Action=AddPermission&TopicArn=x", SNS, "AddPermission"},
		{Head{Path: "/", Signed: "sns"}, "Action=AddPermission", SNS, "AddPermission"},
		{Head{Path: "/"}, "Action=AddPermission&QueueUrl=x", SQS, "AddPermission"},
	} {
		got := call(t, c.head, c.body)
		if got.Service != c.service || got.Action != c.action {
			t.Errorf("%+v %s: %s of %s", c.head, c.body, got.Action, got.Service)
		}
		if !Known(Key{got.Service, got.Action}) {
			t.Errorf("%s of %s is not known", got.Action, got.Service)
		}
	}
}

func TestParseCall_Refuses(t *testing.T) {
	for _, c := range []struct {
		head     Head
		body     string
		code     Code
		protocol Protocol
	}{
		{Head{Target: "DynamoDB_20120810.GetItem"}, `{}`, InvalidAction, JSON},
		{Head{Target: "AmazonSQS."}, `{}`, InvalidAction, JSON},
		{Head{ContentType: "application/x-amz-json-1.0"}, `{}`, MissingAction, JSON},
		{Head{}, "", MissingAction, Query},
		{Head{}, "Action=", MissingAction, Query},
		{Head{ContentType: "text/plain"}, "Action=ListQueues", MissingAction, Query},
		{Head{}, "Action=%zz", MalformedRequest, Query},
		{Head{}, "%zz=1", MalformedRequest, Query},
		{Head{}, "Action=ListQueues&QueueNamePrefix=%ff", MalformedRequest, Query},
		{Head{}, strings.Repeat("a=&", ParamsMax+1), MalformedRequest, Query},
	} {
		got, err := ParseCall(&c.head, []byte(c.body))
		if err == nil || err.Code != c.code || got.Protocol != c.protocol {
			t.Errorf("%+v %.40s: %v", c.head, c.body, err)
		}
	}
	if Known(Key{SQS, "Publish"}) || Known(Key{SNS, "SendMessage"}) {
		t.Error("actions are known to the wrong service")
	}
}

func TestDecode_TakesTheQueueFromThePath(t *testing.T) {
	for _, c := range []struct{ path, body, want string }{
		{"/000000000000/orders", "Action=SendMessage&MessageBody=b", "/000000000000/orders"},
		{"/000000000000/orders", "Action=SendMessage&MessageBody=b&QueueUrl=http://x/1/other", "http://x/1/other"},
		{"/queue/eu-west-1/000000000000/orders", "Action=SendMessage&MessageBody=b", "/queue/eu-west-1/000000000000/orders"},
	} {
		var in SendMessageInput
		if err := SendMessage.Decode(call(t, Head{Path: c.path}, c.body), &in); err != nil || in.QueueURL != c.want {
			t.Errorf("%s %s: %q, %v", c.path, c.body, in.QueueURL, err)
		}
	}
	var in SendMessageInput
	if err := SendMessage.Decode(call(t, Head{Path: "/"}, "Action=SendMessage&MessageBody=b"), &in); err == nil || err.Code != MissingParameter {
		t.Errorf("without a queue: %v", err)
	}
}

// The oldest examples of the query form leave out the number of a list of one.
func TestForm_ListsOfOneMayLackTheirNumber(t *testing.T) {
	var set SetQueueAttributesInput
	if err := SetQueueAttributes.Decode(asForm(t, "Action=SetQueueAttributes&QueueUrl=u&Attribute.Name=DelaySeconds&Attribute.Value=5"), &set); err != nil {
		t.Fatal(err)
	}
	if v, ok := set.Attributes.Get("DelaySeconds"); !ok || v != "5" {
		t.Errorf("%+v", set)
	}
	var get GetQueueAttributesInput
	if err := GetQueueAttributes.Decode(asForm(t, "Action=GetQueueAttributes&QueueUrl=u&AttributeName=All"), &get); err != nil || len(get.Names) != 1 || get.Names[0] != "All" {
		t.Errorf("%+v %v", get, err)
	}
	var tags TagQueueInput
	if err := TagQueue.Decode(asForm(t, "Action=TagQueue&QueueUrl=u&Tags.1.Key=k&Tags.1.Value=v"), &tags); err != nil || len(tags.Tags) != 1 {
		t.Errorf("%+v %v", tags, err)
	}
}

func TestLists_HaveALimit(t *testing.T) {
	json := `{"QueueUrl":"u","Entries":[` + strings.TrimSuffix(strings.Repeat(`{},`, ItemsMax+1), ",") + `]}`
	var in DeleteMessageBatchInput
	if err := DeleteMessageBatch.Decode(asJSON(t, "DeleteMessageBatch", json), &in); err == nil || err.Code != MalformedRequest {
		t.Errorf("list in JSON: %v", err)
	}
	var form strings.Builder
	form.WriteString("Action=UntagQueue&QueueUrl=u")
	for i := range ItemsMax + 1 {
		form.WriteString("&TagKey." + itoa(i+1) + "=k")
	}
	var untag UntagQueueInput
	if err := UntagQueue.Decode(asForm(t, form.String()), &untag); err == nil || err.Code != MalformedRequest {
		t.Errorf("list in a form: %v", err)
	}
	json = `{"QueueUrl":"u","Tags":{` + strings.TrimSuffix(strings.Repeat(`"k":"v",`, ItemsMax+1), ",") + `}}`
	var tag TagQueueInput
	if err := TagQueue.Decode(asJSON(t, "TagQueue", json), &tag); err == nil || err.Code != MalformedRequest {
		t.Errorf("map in JSON: %v", err)
	}
}

func TestAppend_Answers(t *testing.T) {
	out := SendMessageOutput{MD5OfBody: "md5", MessageID: "id"}
	if got := string(SendMessage.Append(nil, JSON, &out, "r")); got != `{"MD5OfMessageBody":"md5","MessageId":"id"}` {
		t.Error(got)
	}
	if got, want := string(SendMessage.Append(nil, Query, &out, "r")), `<?xml version="1.0"?><SendMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageResult>`+
		`<MD5OfMessageBody>md5</MD5OfMessageBody><MessageId>id</MessageId></SendMessageResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></SendMessageResponse>`; got != want {
		t.Error(got)
	}
	if got, want := string(DeleteMessage.Append(nil, Query, &None{}, "r")), `<?xml version="1.0"?><DeleteMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">`+
		`<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></DeleteMessageResponse>`; got != want {
		t.Error(got)
	}
	if got, want := string(TagResource.Append(nil, Query, &None{}, "r")), `<?xml version="1.0"?><TagResourceResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">`+
		`<TagResourceResult/><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></TagResourceResponse>`; got != want {
		t.Error(got)
	}
	// Nothing to receive: no list at all, which some clients take an empty one for a mistake.
	if got := string(ReceiveMessage.Append(nil, JSON, &ReceiveMessageOutput{}, "r")); got != `{}` {
		t.Error(got)
	}
	if got := string(ListDeadLetterSourceQueues.Append(nil, JSON, &ListQueuesOutput{}, "r")); got != `{"queueUrls":[]}` {
		t.Error(got)
	}
	// A text that the forms cannot carry leaves them valid.
	bad := ReceiveMessageOutput{Messages: []ReceivedMessage{{Body: "a\x00b\xffc\uFFFE"}}}
	if got := string(ReceiveMessage.Append(nil, JSON, &bad, "r")); got != "{\"Messages\":[{\"Body\":\"a\\u0000b\uFFFDc\uFFFE\"}]}" {
		t.Error(got)
	}
	if got := string(ReceiveMessage.Append(nil, Query, &bad, "r")); !strings.Contains(got, "<Body>a\uFFFDb\uFFFDc\uFFFD</Body>") {
		t.Error(got)
	}
}

func TestAppendError(t *testing.T) {
	e := Refuse(QueueDoesNotExist, "The specified queue does not exist.")
	c := &Call{Protocol: JSON}
	if got := string(AppendError(nil, c, e, "r")); got != `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}` {
		t.Error(got)
	}
	if got := e.QueryError(); got != "AWS.SimpleQueueService.NonExistentQueue;Sender" {
		t.Error(got)
	}
	c.Protocol = Query
	if got, want := string(AppendError(nil, c, e, "r")), `<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>`+
		`<Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does not exist.</Message><Detail/></Error><RequestId>r</RequestId></ErrorResponse>`; got != want {
		t.Error(got)
	}
	c.Service = SNS
	if got, want := string(AppendError(nil, c, Refuse(TopicInternalError, "<&>"), "r")), `<?xml version="1.0"?><ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Receiver</Type>`+
		`<Code>InternalError</Code><Message>&lt;&amp;&gt;</Message></Error><RequestId>r</RequestId></ErrorResponse>`; got != want {
		t.Error(got)
	}
	for code := range codes {
		if n := table[code]; n.shape == "" || n.query == "" || n.status < 400 || n.ours != (n.status >= 500) {
			t.Errorf("code %d: %+v", code, n)
		}
	}
}
