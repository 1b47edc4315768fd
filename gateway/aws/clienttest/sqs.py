# What a program with boto3 does with SQS; the endpoint is in the environment. It ends with "all is well".
import hashlib
import json
import sys

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")


def refused(code, call, **args):
    try:
        call(**args)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response["Error"]
        return e
    raise AssertionError(f"{code} was expected")


name = "shop-" + sys.argv[1]
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName=name)
try:
    sqs.get_queue_url(QueueName=name)
except sqs.exceptions.QueueDoesNotExist:
    pass

dead = sqs.create_queue(QueueName=name + "-dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5", "RedrivePolicy": policy}, tags={"team": "a"})["QueueUrl"]
assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}
assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
refused("QueueAlreadyExists", sqs.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "6"})

# One message with everything.
body = "h\u00e9llo \U0001f600 <&>\n"
sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes={
    "text": {"DataType": "String", "StringValue": "a"}, "number": {"DataType": "Number.int", "StringValue": "1"}, "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}, MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}})
assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
[m] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])["Messages"]
assert m["Body"] == body and m["MessageId"] == sent["MessageId"] and m["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
assert m["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\xff" and m["MessageAttributes"]["number"]["DataType"] == "Number.int"
told = m["Attributes"]
assert told["ApproximateReceiveCount"] == "1" and told["AWSTraceHeader"] == "Root=1" and int(told["SentTimestamp"]) <= int(told["ApproximateFirstReceiveTimestamp"])

# Twice received and given back: a dead letter; moved back, and deleted.
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"], VisibilityTimeout=0)
[m] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, AttributeNames=["ApproximateReceiveCount"])["Messages"]
assert m["Attributes"] == {"ApproximateReceiveCount": "2"}
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"], VisibilityTimeout=0)
[m] = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=20, VisibilityTimeout=0)["Messages"]
assert m["MessageId"] == sent["MessageId"]
sqs.start_message_move_task(SourceArn=dead_arn)
[m] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
assert m["Body"] == body
sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="none")

# Batches.
out = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(10)])
assert len(out["Successful"]) == 10
left = {str(i) for i in range(10)}
while left:
    ms = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)["Messages"]
    left -= {m["Body"] for m in ms}
    out = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(ms)])
    assert "Failed" not in out
assert "Messages" not in sqs.receive_message(QueueUrl=url)
refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "1"}, {"Id": "a", "MessageBody": "2"}])
big = "x" * (1 << 20)
sqs.send_message(QueueUrl=url, MessageBody=big)
[m] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
assert m["Body"] == big
sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody=big + "x")

# FIFO.
fifo = sqs.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
entries = [{"Id": str(i), "MessageBody": str(i), "MessageGroupId": "g"} for i in range(5)]
first = sqs.send_message_batch(QueueUrl=fifo, Entries=entries)["Successful"]
again = sqs.send_message_batch(QueueUrl=fifo, Entries=entries)["Successful"]
assert [m["MessageId"] for m in first] == [m["MessageId"] for m in again]
numbers = [m["SequenceNumber"] for m in first]
assert numbers == sorted(numbers) and len(set(numbers)) == 5
got = []
while len(got) < 5:
    ms = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=3, WaitTimeSeconds=20)["Messages"]
    got += [m["Body"] for m in ms]
    for m in ms:
        sqs.delete_message(QueueUrl=fifo, ReceiptHandle=m["ReceiptHandle"])
assert got == ["0", "1", "2", "3", "4"], got

# The older interface, and pages.
queue = boto3.resource("sqs").get_queue_by_name(QueueName=name)
queue.send_message(MessageBody="by resource")
[m] = queue.receive_messages(WaitTimeSeconds=20)
m.delete()
pages = list(sqs.get_paginator("list_queues").paginate(QueueNamePrefix=name, PaginationConfig={"PageSize": 1}))
assert sorted(u for p in pages for u in p.get("QueueUrls", [])) == sorted([url, dead, fifo])
for u in (url, dead, fifo):
    sqs.delete_queue(QueueUrl=u)
print("all is well")
