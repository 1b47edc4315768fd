// What a program with the AWS SDK for JavaScript does with SQS: the client, and the consumer that is built on it. It ends with "all is well".
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.argv[2] + "/");
const { SQSClient, CreateQueueCommand, SendMessageCommand, SendMessageBatchCommand, ReceiveMessageCommand, DeleteMessageCommand, GetQueueUrlCommand, GetQueueAttributesCommand, QueueDoesNotExist } =
  require("@aws-sdk/client-sqs");
const { Consumer } = await import(require.resolve("sqs-consumer"));

const client = new SQSClient({ endpoint: process.argv[3], region: "eu-west-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
await assert.rejects(client.send(new GetQueueUrlCommand({ QueueName: "js" })), QueueDoesNotExist);
const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: "js" }));

const sent = await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "héllo", MessageAttributes: { raw: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255]) } } }));
const { Messages: [m] } = await client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20, MessageAttributeNames: ["All"] }));
assert.equal(m.MessageId, sent.MessageId);
assert.deepEqual([...m.MessageAttributes.raw.BinaryValue], [0, 255]);
await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: m.ReceiptHandle }));

// Without an endpoint of its own, a client goes to the host of the queue's URL.
const elsewhere = new SQSClient({ region: "eu-west-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
const out = await elsewhere.send(new SendMessageBatchCommand({ QueueUrl, Entries: Array.from({ length: 10 }, (_, i) => ({ Id: `m${i}`, MessageBody: `${i}` })) }));
assert.equal(out.Successful.length, 10);

const seen = new Set();
await new Promise((resolve, reject) => {
  const consumer = Consumer.create({
    queueUrl: QueueUrl, sqs: client, batchSize: 10, waitTimeSeconds: 1,
    handleMessage: async (m) => {
      seen.add(m.Body);
      if (seen.size === 10) setTimeout(() => { consumer.stop(); }, 100);
      return m;
    },
  });
  consumer.on("stopped", resolve);
  consumer.on("error", reject);
  consumer.on("processing_error", reject);
  consumer.start();
});
assert.equal(seen.size, 10);
for (let i = 0; ; i++) {
  const { Attributes: a } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
  if (a.ApproximateNumberOfMessages === "0" && a.ApproximateNumberOfMessagesNotVisible === "0") break;
  assert.ok(i < 600, JSON.stringify(a));
  await new Promise((r) => setTimeout(r, 100));
}
console.log("all is well");
