import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.AppInfoParser;

/** Transactions of the Java client: java -cp 'DIR/*' Transactions.java HOST:PORT. */
public class Transactions {
    static String addr;

    static KafkaProducer<String, String> producer(String id) {
        Map<String, Object> c = new HashMap<>(Map.of("bootstrap.servers", addr, "transactional.id", id, "transaction.timeout.ms", 30000));
        KafkaProducer<String, String> p = new KafkaProducer<>(c, new StringSerializer(), new StringSerializer());
        p.initTransactions();
        return p;
    }

    static KafkaConsumer<String, String> consumer(String group, String isolation) {
        Map<String, Object> c = new HashMap<>(Map.of("bootstrap.servers", addr, "group.id", group, "isolation.level", isolation,
            "auto.offset.reset", "earliest", "enable.auto.commit", false));
        return new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer());
    }

    static List<String> read(String topic, String isolation, int count) {
        List<String> all = new ArrayList<>();
        try (KafkaConsumer<String, String> k = consumer("unused", isolation)) {
            TopicPartition tp = new TopicPartition(topic, 0);
            k.assign(List.of(tp));
            k.seekToBeginning(List.of(tp));
            long end = System.currentTimeMillis() + 30000;
            while (all.size() < count && System.currentTimeMillis() < end)
                for (ConsumerRecord<String, String> r : k.poll(Duration.ofMillis(300))) all.add(r.value());
        }
        return all;
    }

    static void send(KafkaProducer<String, String> p, String topic, String... values) throws Exception {
        for (String v : values) p.send(new ProducerRecord<>(topic, 0, v, v)).get();
    }

    static void expect(String what, Object got, Object want) {
        if (!Objects.equals(got, want)) throw new IllegalStateException(what + ": " + got + ", expected " + want);
        System.out.println("ok   " + what);
    }

    public static void main(String[] a) throws Exception {
        addr = a[0];
        System.out.println("kafka-clients " + AppInfoParser.getVersion());
        try (Admin adm = Admin.create(Map.of("bootstrap.servers", addr))) {
            adm.createTopics(List.of(new NewTopic("in", 1, (short) 1), new NewTopic("out", 1, (short) 1))).all().get();
            try (KafkaProducer<String, String> p = producer("t")) {
                p.beginTransaction(); send(p, "in", "a", "b"); p.commitTransaction();
                p.beginTransaction(); send(p, "in", "x", "y"); p.abortTransaction();
                p.beginTransaction(); send(p, "in", "c"); p.commitTransaction();
                p.beginTransaction(); p.commitTransaction();
                p.beginTransaction(); p.abortTransaction();
                expect("committed", read("in", "read_committed", 3), List.of("a", "b", "c"));
                expect("all", read("in", "read_uncommitted", 5), List.of("a", "b", "x", "y", "c"));
                p.beginTransaction(); send(p, "in", "lost");
                expect("an open one is listed", adm.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).all().get().size(), 1);
                expect("described", adm.describeTransactions(List.of("t")).description("t").get().topicPartitions(), Set.of(new TopicPartition("in", 0)));
                try (KafkaProducer<String, String> next = producer("t")) {
                    next.beginTransaction(); send(next, "in", "d"); next.commitTransaction();
                    try { p.commitTransaction(); throw new IllegalStateException("a fenced producer has committed"); }
                    catch (ProducerFencedException | InvalidProducerEpochException e) { System.out.println("ok   fenced: " + e.getClass().getSimpleName()); }
                }
            }
            expect("committed, then", read("in", "read_committed", 4), List.of("a", "b", "c", "d"));
            transform(adm);
            hanging(adm);
        }
    }

    /** Consume, transform, produce: aborted once, then committed; offsets go with it. */
    static void transform(Admin adm) throws Exception {
        TopicPartition tp = new TopicPartition("in", 0);
        for (int attempt = 0; attempt < 2; attempt++)
            try (KafkaProducer<String, String> p = producer("work"); KafkaConsumer<String, String> k = consumer("group", "read_committed")) {
                k.subscribe(List.of("in"));
                int n = 0;
                p.beginTransaction();
                long end = System.currentTimeMillis() + 30000, last = 0;
                while (n < 4 && System.currentTimeMillis() < end)
                    for (ConsumerRecord<String, String> r : k.poll(Duration.ofMillis(300))) { send(p, "out", r.value() + "!"); n++; last = r.offset(); }
                expect("read by the group", n, 4);
                p.sendOffsetsToTransaction(Map.of(tp, new OffsetAndMetadata(last + 1)), k.groupMetadata());
                if (attempt == 0) p.abortTransaction(); else p.commitTransaction();
                OffsetAndMetadata at = adm.listConsumerGroupOffsets("group").partitionsToOffsetAndMetadata().get().get(tp);
                if (attempt == 0) expect("offset after the abort", at, null); else expect("offset after the commit", at.offset(), last + 1);
            }
        expect("transformed", read("out", "read_committed", 4), List.of("a!", "b!", "c!", "d!"));
    }

    /** An operator aborts a transaction that hangs. */
    static void hanging(Admin adm) throws Exception {
        TopicPartition tp = new TopicPartition("out", 0);
        try (KafkaProducer<String, String> p = producer("slow")) {
            p.beginTransaction(); send(p, "out", "never");
            ProducerState s = adm.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers().stream().filter(x -> x.currentTransactionStartOffset().isPresent()).findFirst().get();
            adm.abortTransaction(new AbortTransactionSpec(tp, s.producerId(), (short) s.producerEpoch(), s.coordinatorEpoch().orElse(0))).all().get();
            try { p.commitTransaction(); throw new IllegalStateException("committed what was aborted"); } catch (KafkaException e) { System.out.println("ok   aborted by an operator: " + e.getClass().getSimpleName()); }
            try { adm.fenceProducers(List.of("work")).all().get(); System.out.println("ok   fenced by an operator"); } catch (Exception e) { throw new IllegalStateException(e); }
        }
    }
}
