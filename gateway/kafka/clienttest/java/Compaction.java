import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/**
 * Readers from the start of a topic that is compacted while they read, and while it is written to, with transactions that are committed and aborted. Arguments are address,
 * keys and records. Offsets grow, each record is the one that was acknowledged at its offset, and a key's newest one is never missing. In the end most of what was superseded has gone.
 */
public class Compaction {
    static final String TOPIC = "compacted";
    static final TopicPartition AT = new TopicPartition(TOPIC, 0);
    record Sent(String key, String value) {}
    static final Map<Long, Sent> sent = new ConcurrentHashMap<>();     // by offset, of what was acknowledged and is to be seen
    static final Map<String, Long> newest = new ConcurrentHashMap<>(); // offset by key
    static final Set<Long> aborted = ConcurrentHashMap.newKeySet();

    public static void main(String[] a) throws Exception {
        int keys = Integer.parseInt(a[1]), records = Integer.parseInt(a[2]);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", a[0]))) {
            admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1).configs(Map.of("cleanup.policy", "compact", "max.compaction.lag.ms", "100")))).all().get();
        }
        AtomicReference<Throwable> failed = new AtomicReference<>();
        Thread writer = new Thread(() -> {
            try {
                write(a[0], keys, records);
            } catch (Throwable t) {
                failed.set(t);
            }
        });
        writer.start();
        while (newest.isEmpty() && writer.isAlive()) Thread.sleep(10);
        int passes = 0, holes = 0;
        for (; writer.isAlive(); passes++) {
            Map<String, Long> before = new HashMap<>(newest);
            Pass p = pass(a[0], passes % 2 == 0);
            if (p.read < sent.keySet().stream().filter(o -> o < p.end).count()) holes++;
            before.forEach((key, offset) -> {
                Long seen = p.seen.get(key);
                if ((seen == null || seen < offset) && newest.get(key) < p.end) throw new IllegalStateException(key + " of offset " + offset + " was passed over: " + seen);
            });
        }
        if (failed.get() != null) throw new IllegalStateException(failed.get());
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        Pass last;
        do {
            last = pass(a[0], true);
            if (!last.seen.equals(newest)) throw new IllegalStateException("in the end " + last.seen + " and not " + newest);
            if (System.nanoTime() > deadline) throw new IllegalStateException(last.read + " of " + records + " records are left, of " + keys + " keys");
        } while (last.read > records / 4);
        System.out.println(passes + " passes while it was written, " + holes + " with holes; " + last.read + " of " + records + " records are left");
        if (holes == 0) throw new IllegalStateException("nothing was compacted meanwhile");
    }

    static void write(String address, int keys, int records) throws Exception {
        Map<String, Object> conf = Map.of("bootstrap.servers", address, "transactional.id", "t", "linger.ms", 5);
        try (KafkaProducer<String, String> p = new KafkaProducer<>(conf, new StringSerializer(), new StringSerializer())) {
            p.initTransactions();
            Random random = new Random(1);
            for (int i = 0; i < records;) {
                p.beginTransaction();
                boolean commit = random.nextInt(5) > 0 || i + 500 >= records;
                Map<Future<RecordMetadata>, Sent> all = new LinkedHashMap<>();
                for (int n = 0; n < 500 && i < records; n++, i++) {
                    Sent s = new Sent("k" + random.nextInt(keys), (commit ? "good " : "bad ") + i + " " + ".".repeat(60));
                    all.put(p.send(new ProducerRecord<>(TOPIC, s.key, s.value)), s);
                }
                p.flush();
                Map<String, Long> now = new HashMap<>();
                for (Map.Entry<Future<RecordMetadata>, Sent> e : all.entrySet()) {
                    long offset = e.getKey().get(60, TimeUnit.SECONDS).offset();
                    if (!commit) {
                        aborted.add(offset);
                        continue;
                    }
                    sent.put(offset, e.getValue());
                    now.put(e.getValue().key, offset);
                }
                if (commit) p.commitTransaction(); else p.abortTransaction();
                newest.putAll(now);
            }
        }
    }

    static class Pass {
        long read, end;
        Map<String, Long> seen = new HashMap<>();
    }

    /** Reads from the start to what is the end when it begins. */
    static Pass pass(String address, boolean small) {
        Pass p = new Pass();
        Map<String, Object> conf = Map.of("bootstrap.servers", address, "isolation.level", "read_committed", "max.partition.fetch.bytes", small ? 4096 : 1 << 20, "enable.auto.commit", false);
        try (KafkaConsumer<String, String> c = new KafkaConsumer<>(conf, new StringDeserializer(), new StringDeserializer())) {
            c.assign(List.of(AT));
            c.seekToBeginning(List.of(AT));
            p.end = c.endOffsets(List.of(AT)).get(AT);
            long last = -1;
            while (c.position(AT) < p.end) {
                for (ConsumerRecord<String, String> r : c.poll(Duration.ofSeconds(1))) {
                    if (r.offset() <= last) throw new IllegalStateException("offset " + r.offset() + " comes after " + last);
                    last = r.offset();
                    Sent want = sent.get(r.offset());
                    if (aborted.contains(r.offset()) || want == null || !want.key.equals(r.key()) || !want.value.equals(r.value()))
                        throw new IllegalStateException("offset " + r.offset() + " is " + r.key() + "=" + r.value() + ", sent was " + want);
                    if (r.offset() < p.end) p.read++;
                    p.seen.put(r.key(), r.offset());
                }
            }
        }
        return p;
    }
}
