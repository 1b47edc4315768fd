import java.net.URI;
import java.util.*;
import software.amazon.awssdk.auth.credentials.*;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.*;

/** What a program with the AWS SDK for Java 2 does with SQS. The SDK checks the digests of bodies and attributes itself. It ends with "all is well". */
public class Sqs {
    static void check(boolean good, Object what) {
        if (!good) throw new AssertionError(String.valueOf(what));
    }

    public static void main(String[] args) {
        try (SqsClient sqs = SqsClient.builder().endpointOverride(URI.create(args[0])).region(Region.EU_WEST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("a", "b"))).build()) {
            try {
                sqs.getQueueUrl(r -> r.queueName("java"));
                throw new AssertionError("a queue that is not there");
            } catch (QueueDoesNotExistException e) {
                check(e.awsErrorDetails().errorCode().contains("QueueDoesNotExist") || e.awsErrorDetails().errorCode().contains("NonExistentQueue"), e.awsErrorDetails());
            }
            String url = sqs.createQueue(r -> r.queueName("java.fifo").attributes(Map.of(QueueAttributeName.FIFO_QUEUE, "true"))).queueUrl();
            Map<String, MessageAttributeValue> attributes = Map.of(
                "text", MessageAttributeValue.builder().dataType("String").stringValue("hé").build(),
                "raw", MessageAttributeValue.builder().dataType("Binary").binaryValue(SdkBytes.fromByteArray(new byte[] {0, -1})).build());
            for (int i = 0; i < 4; i++) {
                String n = String.valueOf(i);
                sqs.sendMessage(r -> r.queueUrl(url).messageBody(n).messageGroupId("g").messageDeduplicationId(n).messageAttributes(attributes));
            }
            List<String> got = new ArrayList<>();
            while (got.size() < 4) {
                List<Message> ms = sqs.receiveMessage(r -> r.queueUrl(url).maxNumberOfMessages(3).waitTimeSeconds(20).messageAttributeNames("All").messageSystemAttributeNames(MessageSystemAttributeName.ALL)).messages();
                check(!ms.isEmpty(), "nothing came after " + got);
                List<DeleteMessageBatchRequestEntry> done = new ArrayList<>();
                for (Message m : ms) {
                    got.add(m.body());
                    check(m.messageAttributes().get("raw").binaryValue().asByteArray()[1] == -1, m);
                    check("g".equals(m.attributes().get(MessageSystemAttributeName.MESSAGE_GROUP_ID)), m);
                    done.add(DeleteMessageBatchRequestEntry.builder().id("m" + m.body()).receiptHandle(m.receiptHandle()).build());
                }
                check(sqs.deleteMessageBatch(r -> r.queueUrl(url).entries(done)).failed().isEmpty(), "deletes");
            }
            check(got.equals(List.of("0", "1", "2", "3")), got);
            check(sqs.listQueuesPaginator(r -> r.queueNamePrefix("java").maxResults(1)).queueUrls().stream().toList().equals(List.of(url)), "pages");
            sqs.deleteQueue(r -> r.queueUrl(url));
        }
        System.out.println("all is well");
    }
}
