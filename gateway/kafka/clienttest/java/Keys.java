import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java client as a writer of keys: arguments are address, topic, keys, rounds. Says each round, and at the end what was acknowledged. */
public class Keys {
    public static void main(String[] a) throws Exception {
        int keys = Integer.parseInt(a[2]), rounds = Integer.parseInt(a[3]);
        Map<String, Object> conf = new HashMap<>(Map.of("bootstrap.servers", a[0], "enable.idempotence", true, "linger.ms", 5, "metadata.max.age.ms", 200,
            "reconnect.backoff.max.ms", 200, "retry.backoff.max.ms", 200));
        Map<String, Integer> acked = new HashMap<>();
        try (KafkaProducer<String, String> p = new KafkaProducer<>(conf, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < rounds; i++) {
                Map<String, Future<RecordMetadata>> round = new LinkedHashMap<>();
                for (int k = 0; k < keys; k++) round.put("k" + k, p.send(new ProducerRecord<>(a[1], "k" + k, "java " + i + " " + ".".repeat(150))));
                for (Map.Entry<String, Future<RecordMetadata>> e : round.entrySet()) {
                    e.getValue().get(60, TimeUnit.SECONDS);
                    acked.merge(e.getKey(), 1, Integer::sum);
                }
                System.out.println("round " + i);
            }
        }
        acked.forEach((k, n) -> System.out.println("acked " + k + " " + n));
    }
}
