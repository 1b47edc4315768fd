# boto3, unchanged but for its endpoint: topics, queues, endpoints, refusals.
import json
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3

kw = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
sns, sqs = boto3.client("sns", **kw), boto3.client("sqs", **kw)


def text(v):
    return {"DataType": "String", "StringValue": v}


def make_queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(url, wait=20):
    ms = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]).get("Messages", [])
    for m in ms:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
    return ms


def refused(code, part, call, **args):
    try:
        call(**args)
    except sns.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == code and part in e.response["Error"]["Message"], e
        return
    raise AssertionError(f"{code} was wanted of {args}")


# Topics.
topic = sns.create_topic(Name="orders", Attributes={"DisplayName": "Orders"}, Tags=[{"Key": "team", "Value": "shop"}])["TopicArn"]
assert topic == sns.create_topic(Name="orders")["TopicArn"]
assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "team", "Value": "shop"}]
attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
assert attributes["DisplayName"] == "Orders" and json.loads(attributes["Policy"])["Statement"], attributes
refused("InvalidParameter", "Topic already exists with different attributes", sns.create_topic, Name="orders", Attributes={"DisplayName": "x"})
refused("NotFound", "Topic does not exist", sns.get_topic_attributes, TopicArn=topic + "x")
for i in range(120):
    sns.create_topic(Name=f"many-{i}")
assert sum(len(p["Topics"]) for p in sns.get_paginator("list_topics").paginate()) == 121

# A queue with a filter policy on attributes, one on the body, and one that wants the bare message.
url, arn = make_queue("invoices")
body_url, body_arn = make_queue("totals")
raw_url, raw_arn = make_queue("bare")
sub = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": json.dumps({"store": ["north", {"prefix": "south-"}], "event": [{"anything-but": ["test"]}]})})["SubscriptionArn"]
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=body_arn, Attributes={"FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps({"order": {"total": [{"numeric": [">", 100]}]}})})
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=raw_arn, Attributes={"RawMessageDelivery": "true"})
a = sns.get_subscription_attributes(SubscriptionArn=sub)["Attributes"]
assert a["FilterPolicyScope"] == "MessageAttributes" and a["PendingConfirmation"] == "false" and a["SubscriptionArn"] == sub, a
first = sns.publish(TopicArn=topic, Message=json.dumps({"order": {"total": 5}}), Subject="one", MessageAttributes={"store": text("south-1"), "event": text("placed")})
sns.publish(TopicArn=topic, Message=json.dumps({"order": {"total": 500}}), MessageAttributes={"store": text("west"), "event": text("placed"), "raw": {"DataType": "Binary", "BinaryValue": b"\0\xff"}})
sns.publish(TopicArn=topic, Message="not JSON", MessageAttributes={"store": text("north"), "event": text("test")})
got = receive(url)
assert len(got) == 1, got
e = json.loads(got[0]["Body"])
assert e["Type"] == "Notification" and e["MessageId"] == first["MessageId"] and e["Subject"] == "one" and e["TopicArn"] == topic, e
assert e["MessageAttributes"]["store"] == {"Type": "String", "Value": "south-1"}, e
assert [json.loads(json.loads(m["Body"])["Message"])["order"]["total"] for m in receive(body_url)] == [500]
raw = receive(raw_url)
assert [m["Body"] for m in raw][2] == "not JSON" and raw[1]["MessageAttributes"]["raw"]["BinaryValue"] == b"\0\xff", raw
assert not receive(url, 0)

out = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": str(i), "Message": str(i)} for i in range(10)])
assert len(out["Successful"]) == 10 and not out["Failed"], out
assert sorted(m["Body"] for m in receive(raw_url)) == [str(i) for i in range(10)]

refused("InvalidParameter", "Filter policy scope MessageAttributes does not support nested filter policy", sns.set_subscription_attributes,
        SubscriptionArn=sub, AttributeName="FilterPolicy", AttributeValue='{"a":{"b":["c"]}}')
refused("InvalidParameter", "FilterPolicy: Filter policy is too complex", sns.set_subscription_attributes,
        SubscriptionArn=sub, AttributeName="FilterPolicy", AttributeValue=json.dumps({"a": list(range(151))}))
refused("InvalidParameter", "SQS endpoint ARN", sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint="nothing")
refused("InvalidParameter", "Empty message", sns.publish, TopicArn=topic, Message="")
refused("InvalidAction", "not supported in this region", sns.list_platform_applications)
refused("TooManyEntriesInBatchRequest", "more entries than permissible", sns.publish_batch, TopicArn=topic,
        PublishBatchRequestEntries=[{"Id": str(i), "Message": "x"} for i in range(11)])

# FIFO.
fifo = sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
fifo_url, fifo_arn = make_queue("jobs.fifo", FifoQueue="true")
sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=fifo_arn, Attributes={"RawMessageDelivery": "true"})
a = sns.publish(TopicArn=fifo, Message="1", MessageGroupId="g", MessageDeduplicationId="d1")
b = sns.publish(TopicArn=fifo, Message="1 again", MessageGroupId="g", MessageDeduplicationId="d1")
assert a["MessageId"] == b["MessageId"] and a["SequenceNumber"] == b["SequenceNumber"], (a, b)
sns.publish(TopicArn=fifo, Message="2", MessageGroupId="g", MessageDeduplicationId="d2")
ms = receive(fifo_url)
assert [m["Body"] for m in ms] == ["1", "2"] and ms[0]["Attributes"]["MessageDeduplicationId"] == "d1", ms

# An endpoint, with dead letters.
posted = queue.Queue()


class Handler(BaseHTTPRequestHandler):
    status = 200

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(Handler.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        posted.put((self.headers, body.decode()))

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
dead_url, dead_arn = make_queue("dead")
web = sns.create_topic(Name="web")["TopicArn"]
out = sns.subscribe(TopicArn=web, Protocol="http", Endpoint=f"http://127.0.0.1:{server.server_port}/", Attributes={
    "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn}),
    "DeliveryPolicy": json.dumps({"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 1}})})
assert out["SubscriptionArn"] == "pending confirmation", out
head, body = posted.get(timeout=60)
d = json.loads(body)
assert head["x-amz-sns-message-type"] == "SubscriptionConfirmation" and d["TopicArn"] == web, (head, d)
refused("InvalidParameter", "Invalid token", sns.confirm_subscription, TopicArn=web, Token="x")
sub = sns.confirm_subscription(TopicArn=web, Token=d["Token"])["SubscriptionArn"]
sns.publish(TopicArn=web, Message="hello", MessageAttributes={"a": text("b")})
head, body = posted.get(timeout=60)
assert json.loads(body)["Message"] == "hello" and head["x-amz-sns-subscription-arn"] == sub, (head, body)
Handler.status = 500
sns.publish(TopicArn=web, Message="lost")
posted.get(timeout=60), posted.get(timeout=60)
ms = receive(dead_url)
assert len(ms) == 1 and json.loads(ms[0]["Body"])["Message"] == "lost", ms
sns.unsubscribe(SubscriptionArn=sub)
assert json.loads(posted.get(timeout=60)[1])["Type"] == "UnsubscribeConfirmation"
sns.delete_topic(TopicArn=topic)
assert not sns.list_subscriptions_by_topic(TopicArn=web)["Subscriptions"]
print("boto3", boto3.__version__, "went through")
