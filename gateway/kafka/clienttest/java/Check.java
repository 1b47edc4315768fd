import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.AppInfoParser;

/** The Java client against leat: arguments are plain, users and TLS addresses, CA file, user, password. */
public class Check {
    static int failures = 0;

    static void check(String name, boolean ok, Object detail) {
        System.out.println((ok ? "ok   " : "FAIL ") + name + (ok ? "" : ": " + detail));
        if (!ok) failures++;
    }

    interface Step { Object run() throws Exception; }

    static void works(String name, Step s) {
        try { Object r = s.run(); check(name, !Boolean.FALSE.equals(r), r); } catch (Throwable e) { check(name, false, cause(e)); }
    }

    static void refused(String name, Class<? extends Throwable> with, Step s) {
        try { check(name, false, "it worked: " + s.run()); } catch (Throwable e) { check(name, with.isInstance(cause(e)), cause(e)); }
    }

    static Throwable cause(Throwable e) { return e instanceof ExecutionException && e.getCause() != null ? e.getCause() : e; }

    static Map<String, Object> conf(String addr, Object... more) {
        Map<String, Object> m = new HashMap<>();
        m.put("bootstrap.servers", addr);
        m.put("request.timeout.ms", 10000);
        m.put("default.api.timeout.ms", 15000);
        m.put("delivery.timeout.ms", 15000);
        m.put("max.block.ms", 10000);
        m.put("linger.ms", 1);
        for (int i = 0; i < more.length; i += 2) m.put((String) more[i], more[i + 1]);
        return m;
    }

    static KafkaProducer<String, String> producer(Map<String, Object> c) {
        return new KafkaProducer<>(c, new StringSerializer(), new StringSerializer());
    }

    static Object produce(Map<String, Object> c, String topic, int count) throws Exception {
        try (KafkaProducer<String, String> p = producer(c)) {
            List<Future<RecordMetadata>> fs = new ArrayList<>();
            for (int i = 0; i < count; i++) fs.add(p.send(new ProducerRecord<>(topic, 0, 1000L + i, "k" + i, "value " + i)));
            for (Future<RecordMetadata> f : fs) f.get(20, TimeUnit.SECONDS);
        }
        return true;
    }

    static KafkaConsumer<String, String> consumer(Map<String, Object> c) {
        return new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer());
    }

    static Object consume(Map<String, Object> c, String topic, int count) {
        try (KafkaConsumer<String, String> k = consumer(c)) {
            TopicPartition tp = new TopicPartition(topic, 0);
            k.assign(List.of(tp));
            k.seekToBeginning(List.of(tp));
            int n = 0;
            long end = System.currentTimeMillis() + 15000;
            while (n < count && System.currentTimeMillis() < end)
                for (ConsumerRecord<String, String> r : k.poll(Duration.ofMillis(500))) {
                    if (r.offset() != n || !r.value().equals("value " + n)) throw new IllegalStateException("record " + n + " is " + r);
                    n++;
                }
            if (n != count) throw new IllegalStateException(n + " of " + count);
        }
        return true;
    }

    /** 50 records are read in a group, committed, and not read again by the next. */
    static Object group(Map<String, Object> c) {
        TopicPartition tp = new TopicPartition("java-gzip-all", 0);
        try (KafkaConsumer<String, String> k = consumer(c)) {
            k.subscribe(List.of("java-gzip-all"));
            int n = 0;
            long end = System.currentTimeMillis() + 30000;
            while (n < 50 && System.currentTimeMillis() < end) n += k.poll(Duration.ofMillis(500)).count();
            if (n != 50) throw new IllegalStateException(n + " of 50");
            k.commitSync();
        }
        try (KafkaConsumer<String, String> k = consumer(c)) {
            OffsetAndMetadata at = k.committed(Set.of(tp)).get(tp);
            if (at == null || at.offset() != 50) throw new IllegalStateException("committed " + at);
        }
        return true;
    }

    static Map<String, Object> login(String addr, String mechanism, String user, String password) {
        String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
        return conf(addr, "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", mechanism, "sasl.jaas.config",
            "org.apache.kafka.common.security." + module + " required username=\"" + user + "\" password=\"" + password + "\";");
    }

    public static void main(String[] a) throws Exception {
        String plain = a[0], users = a[1], secure = a[2], ca = a[3], user = a[4], password = a[5];
        System.out.println("kafka-clients " + AppInfoParser.getVersion());
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            for (String acks : List.of("idempotent", "all", "1", "0")) {
                String topic = "java-" + codec + "-" + acks;
                Map<String, Object> c = conf(plain, "compression.type", codec, "enable.idempotence", acks.equals("idempotent"));
                if (!acks.equals("idempotent")) c.put("acks", acks);
                works("produce " + codec + " " + acks, () -> produce(c, topic, 50));
                works("consume " + codec + " " + acks, () -> consume(conf(plain, "isolation.level", "read_committed"), topic, 50));
            }
        try (Admin adm = Admin.create(conf(plain))) {
            NewTopic orders = new NewTopic("orders", 2, (short) 1).configs(Map.of("retention.ms", "5000"));
            works("create", () -> adm.createTopics(List.of(orders)).all().get());
            works("created config", () -> adm.createTopics(List.of(new NewTopic("more", Optional.empty(), Optional.empty()))).config("more").get().get("retention.ms").value().equals("604800000"));
            refused("create again", TopicExistsException.class, () -> adm.createTopics(List.of(orders)).all().get());
            refused("bad config", InvalidConfigurationException.class, () -> adm.createTopics(List.of(new NewTopic("x", 1, (short) 1).configs(Map.of("retention.mss", "1")))).all().get());
            works("partitions", () -> adm.createPartitions(Map.of("orders", NewPartitions.increaseTo(4))).all().get());
            works("describe", () -> adm.describeTopics(List.of("orders")).allTopicNames().get().get("orders").partitions().size() == 4);
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, "orders");
            works("alter configs", () -> adm.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "7000"), AlterConfigOp.OpType.SET)))).all().get());
            works("describe configs", () -> adm.describeConfigs(List.of(r)).all().get().get(r).get("retention.ms").value().equals("7000"));
            works("broker configs", () -> adm.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.BROKER, "1"))).all().get().size() == 1);
            works("cluster", () -> adm.describeCluster().nodes().get().size() == 1);
            works("list", () -> adm.listTopics().names().get().contains("orders"));
            TopicPartition tp = new TopicPartition("java-none-all", 0);
            works("latest", () -> adm.listOffsets(Map.of(tp, OffsetSpec.latest())).all().get().get(tp).offset() == 50);
            works("by time", () -> adm.listOffsets(Map.of(tp, OffsetSpec.forTimestamp(1010))).all().get().get(tp).offset() == 10);
            works("greatest time", () -> adm.listOffsets(Map.of(tp, OffsetSpec.maxTimestamp())).all().get().get(tp).timestamp() == 1049);
            works("delete records", () -> adm.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(7))).lowWatermarks().get(tp).get().lowWatermark() == 7);
            works("earliest", () -> adm.listOffsets(Map.of(tp, OffsetSpec.earliest())).all().get().get(tp).offset() == 7);
            works("begins within a batch", () -> {
                try (KafkaConsumer<String, String> c = consumer(conf(plain))) {
                    c.assign(List.of(tp));
                    c.seekToBeginning(List.of(tp));
                    long end = System.currentTimeMillis() + 15000;
                    while (System.currentTimeMillis() < end)
                        for (ConsumerRecord<String, String> record : c.poll(Duration.ofMillis(500)).records(tp)) return record.offset() == 7;
                    return false;
                }
            });
            refused("delete records beyond the end", org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> adm.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(51))).all().get());
            works("delete all records", () -> adm.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(tp).get().lowWatermark() == 50);
            works("delete", () -> adm.deleteTopics(List.of("orders")).all().get());
            refused("delete again", UnknownTopicOrPartitionException.class, () -> adm.deleteTopics(List.of("orders")).all().get());
        }
        refused("too large", RecordTooLargeException.class, () -> {
            try (KafkaProducer<String, String> p = producer(conf(plain, "max.request.size", 10000000, "batch.size", 10000000))) {
                return p.send(new ProducerRecord<>("java-none-all", "x".repeat(2000000))).get();
            }
        });
        for (String assignor : List.of("RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor"))
            works("group, " + assignor, () -> group(conf(plain, "group.id", "g-" + assignor, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor)));
        works("group, newer protocol", () -> group(conf(plain, "group.id", "g-newer", "auto.offset.reset", "earliest", "enable.auto.commit", "false", "group.protocol", "consumer")));
        for (String m : List.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")) {
            works(m, () -> produce(login(users, m, user, password), "login-" + m, 3));
            refused(m + " wrong", SaslAuthenticationException.class, () -> produce(login(users, m, user, "wrong"), "login", 1));
        }
        Map<String, Object> tls = conf(secure, "security.protocol", "SSL", "ssl.truststore.type", "PEM", "ssl.truststore.location", ca);
        works("TLS produce", () -> produce(tls, "secret", 50));
        works("TLS consume", () -> consume(tls, "secret", 50));
        System.exit(failures == 0 ? 0 : 1);
    }
}
