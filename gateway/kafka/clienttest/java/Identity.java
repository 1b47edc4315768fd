import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** The Java client as somebody: token ADDRESS ENDPOINT USER NOBODY, or certificate ADDRESS DIRECTORY USER NOBODY. */
public class Identity {
    static int failures = 0;

    static void check(String name, boolean ok, Object detail) {
        System.out.println((ok ? "ok   " : "FAIL ") + name + (ok ? "" : ": " + detail));
        if (!ok) failures++;
    }

    static Map<String, Object> conf(String[] a, String who) throws Exception {
        Map<String, Object> m = new HashMap<>();
        m.put("bootstrap.servers", a[1]);
        m.put("request.timeout.ms", 10000);
        m.put("default.api.timeout.ms", 20000);
        m.put("delivery.timeout.ms", 60000);
        m.put("max.block.ms", 60000);
        if (a[0].equals("token")) {
            m.put("security.protocol", "SASL_PLAINTEXT");
            m.put("sasl.mechanism", "OAUTHBEARER");
            m.put("sasl.oauthbearer.token.endpoint.url", a[2]);
            String handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
            try { Class.forName(handler); } catch (ClassNotFoundException e) { handler = "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler"; }
            m.put("sasl.login.callback.handler.class", handler);
            m.put("sasl.jaas.config", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"" + who + "\" clientSecret=\"secret\" scope=\"kafka\";");
            return m;
        }
        m.put("security.protocol", "SSL");
        m.put("ssl.truststore.type", "PEM");
        m.put("ssl.truststore.location", a[2] + "/ca.pem");
        if (!who.isEmpty()) {
            m.put("ssl.keystore.type", "PEM");
            m.put("ssl.keystore.location", a[2] + "/" + who + ".both.pem");
        }
        return m;
    }

    static void refused(String name, Map<String, Object> conf) {
        try (Admin x = Admin.create(conf)) {
            x.describeTopics(List.of("identity-java")).allTopicNames().get(60, TimeUnit.SECONDS);
            check(name, false, "it worked");
        } catch (ExecutionException e) {
            Throwable c = e.getCause();
            check(name, c instanceof AuthenticationException || c instanceof AuthorizationException || c instanceof org.apache.kafka.common.errors.TimeoutException, c);
        } catch (Exception e) {
            check(name, false, e);
        }
    }

    public static void main(String[] a) throws Exception {
        Map<String, Object> c = conf(a, a[3]);
        String topic = "identity-java-" + System.nanoTime();
        try (KafkaProducer<String, String> p = new KafkaProducer<>(c, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> fs = new ArrayList<>();
            for (int i = 0; i < 10; i++) fs.add(p.send(new ProducerRecord<>(topic, 0, null, "value " + i)));
            for (Future<RecordMetadata> f : fs) f.get(60, TimeUnit.SECONDS);
            check("produce", true, null);
        }
        c = conf(a, a[3]);
        c.put("group.id", topic);
        c.put("auto.offset.reset", "earliest");
        int n = 0;
        try (KafkaConsumer<String, String> k = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer())) {
            k.assign(List.of(new TopicPartition(topic, 0)));
            long end = System.currentTimeMillis() + 60000;
            while (n < 10 && System.currentTimeMillis() < end) n += k.poll(Duration.ofMillis(500)).count();
        }
        check("consume", n == 10, n);
        refused("somebody who is no user", conf(a, a[4]));
        if (a[0].equals("certificate")) refused("no certificate", conf(a, ""));
        System.exit(failures);
    }
}
