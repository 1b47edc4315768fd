import java.util.*;
import java.time.Duration;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

/**
 * The word count of Kafka Streams with exactly-once: lines are produced while instances come, go and are killed; then the counts must be those of the
 * lines. WordCount BOOTSTRAP DIR LINES. Exit 0: equal.
 */
public class WordCount {
    static KafkaStreams start(String bootstrap, String dir, String name) {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, "wordcount");
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(StreamsConfig.STATE_DIR_CONFIG, dir + "/" + name);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 6000);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 5000);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        StreamsBuilder b = new StreamsBuilder();
        b.<String, String>stream("lines")
            .flatMapValues(v -> Arrays.asList(v.split(" ")))
            .groupBy((k, word) -> word)
            .count(Materialized.as("counts-store"))
            .toStream()
            .to("counts", Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams s = new KafkaStreams(b.build(), p);
        s.start();
        return s;
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], dir = args[1];
        int lines = Integer.parseInt(args[2]);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic("lines", 4, (short) 1), new NewTopic("counts", 4, (short) 1))).all().get();
        }
        Map<String, Long> want = new HashMap<>();
        KafkaStreams one = start(bootstrap, dir, "one"), two = null;
        Properties pp = new Properties();
        pp.put("bootstrap.servers", bootstrap);
        Random random = new Random(1);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(pp, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < lines; i++) {
                String a = "w" + random.nextInt(50), b = "w" + random.nextInt(50);
                producer.send(new ProducerRecord<>("lines", "k" + i, a + " " + b));
                want.merge(a, 1L, Long::sum);
                want.merge(b, 1L, Long::sum);
                if (i == lines / 3) {
                    two = start(bootstrap, dir, "two"); // it takes over half of the tasks
                }
                if (i == 2 * lines / 3) {
                    one.close(Duration.ZERO); // in the middle of transactions
                }
                if (i % 100 == 0) {
                    Thread.sleep(20);
                }
            }
        }
        Map<String, Long> got = new HashMap<>();
        Properties cp = new Properties();
        cp.put("bootstrap.servers", bootstrap);
        cp.put("group.id", "reader");
        cp.put("auto.offset.reset", "earliest");
        cp.put("isolation.level", "read_committed");
        long decreased = 0, end = System.nanoTime() + Duration.ofMinutes(3).toNanos();
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(cp, new StringDeserializer(), new LongDeserializer())) {
            consumer.subscribe(List.of("counts"));
            while (!got.equals(want) && System.nanoTime() < end) {
                for (ConsumerRecord<String, Long> r : consumer.poll(Duration.ofMillis(200))) {
                    Long was = got.put(r.key(), r.value());
                    if (was != null && was > r.value()) {
                        decreased++;
                    }
                }
            }
        }
        two.close(Duration.ofSeconds(20));
        if (!got.equals(want) || decreased > 0) {
            System.out.println("FAIL streams: counts differ, or went back " + decreased + " times: got " + new TreeMap<>(got) + ", want " + new TreeMap<>(want));
            System.exit(1);
        }
        System.out.println("ok streams: " + lines + " lines, " + want.size() + " words, each counted once");
        System.exit(0);
    }
}
