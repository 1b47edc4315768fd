import io.confluent.connect.avro.AvroConverter;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import io.confluent.kafka.serializers.*;
import io.confluent.kafka.serializers.subject.TopicRecordNameStrategy;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.*;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;

/**
 * Confluent's own serializers for Java, end to end: what one writes the other reads, schemas are registered as they are met, evolve, and are refused
 * when they may not follow. Registry BOOTSTRAP URL. Exit 0: all of it held. It leaves the topic java-orders for a reader in Go, and with a third argument
 * reads go-orders, which that one wrote.
 */
public class Registry {
    static final String V1 = "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"amount\",\"type\":\"double\"}]}";
    static final String V2 = "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"amount\",\"type\":\"double\"},"
        + "{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null}]}";
    static final String BAD = "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"}]}";

    static void want(boolean holds, String what) {
        if (!holds) {
            System.out.println("FAIL registry: " + what);
            System.exit(1);
        }
    }

    static GenericRecord order(String schema, int i) {
        GenericRecord r = new GenericData.Record(new Schema.Parser().parse(schema));
        r.put("id", "o" + i);
        if (r.getSchema().getField("amount") != null) {
            r.put("amount", i + 0.5);
        }
        if (r.getSchema().getField("note") != null) {
            r.put("note", "n" + i);
        }
        return r;
    }

    static Throwable cause(Throwable e, Class<?> kind) {
        while (e != null && !kind.isInstance(e)) {
            e = e.getCause();
        }
        return e;
    }

    static Map<String, Object> config(String bootstrap, String url, Object... more) {
        Map<String, Object> c = new HashMap<>();
        c.put("bootstrap.servers", bootstrap);
        c.put("schema.registry.url", url);
        c.put("key.serializer", StringSerializer.class);
        c.put("key.deserializer", StringDeserializer.class);
        c.put("value.serializer", KafkaAvroSerializer.class);
        c.put("value.deserializer", KafkaAvroDeserializer.class);
        c.put("auto.offset.reset", "earliest");
        for (int i = 0; i < more.length; i += 2) {
            c.put((String) more[i], more[i + 1]);
        }
        return c;
    }

    static <V> List<ConsumerRecord<String, V>> read(Map<String, Object> c, String topic, int n) {
        List<ConsumerRecord<String, V>> out = new ArrayList<>();
        try (KafkaConsumer<String, V> consumer = new KafkaConsumer<>(c)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            long until = System.nanoTime() + 60_000_000_000L;
            while (out.size() < n && System.nanoTime() < until) {
                consumer.poll(Duration.ofMillis(200)).forEach(out::add);
            }
        }
        want(out.size() == n, topic + " has " + out.size() + " records that can be read, not " + n);
        return out;
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], url = args[1];
        if (args.length > 2) {
            List<ConsumerRecord<String, GenericRecord>> all = read(config(bootstrap, url), "go-orders", 100);
            for (int i = 0; i < 100; i++) {
                GenericRecord r = all.get(i).value();
                want(r.get("id").toString().equals("g" + i) && r.get("at").equals((long) i), "record " + i + " of Go is " + r);
            }
            System.out.println("ok registry: Java reads what Go wrote");
            return;
        }
        serializers(bootstrap, url);
        refusal(bootstrap, url);
        client(url);
        strategy(bootstrap, url);
        converter(url);
        Properties version = new Properties();
        version.load(KafkaAvroSerializer.class.getResourceAsStream("/META-INF/maven/io.confluent/kafka-avro-serializer/pom.properties"));
        System.out.println("ok registry: Confluent's Java client and Avro serializers " + version.getProperty("version") + ", Connect's AvroConverter; 200 records in two versions");
    }

    /** 100 records of one version, 100 of the next; read as they were written, and all as the first. */
    static void serializers(String bootstrap, String url) throws Exception {
        try (KafkaProducer<String, GenericRecord> p = new KafkaProducer<>(config(bootstrap, url))) {
            for (int i = 0; i < 200; i++) {
                p.send(new ProducerRecord<>("java-orders", 0, "k" + i, order(i < 100 ? V1 : V2, i))).get();
            }
        }
        List<ConsumerRecord<String, GenericRecord>> all = read(config(bootstrap, url), "java-orders", 200);
        for (int i = 0; i < 200; i++) {
            GenericRecord r = all.get(i).value();
            want(r.equals(order(i < 100 ? V1 : V2, i)), "record " + i + " is " + r);
        }
        List<ConsumerRecord<String, byte[]>> raw = read(config(bootstrap, url, "value.deserializer", ByteArrayDeserializer.class), "java-orders", 200);
        CachedSchemaRegistryClient c = new CachedSchemaRegistryClient(url, 100);
        for (int i : new int[] {0, 199}) {
            ByteBuffer b = ByteBuffer.wrap(raw.get(i).value());
            want(b.get() == 0, "the first byte of record " + i);
            want(c.getSchemaById(b.getInt()).canonicalString().equals(i == 0 ? V1 : V2), "the schema that record " + i + " names");
        }
    }

    /** What may not follow is refused with 409 before anything is sent; what is not there, where it may not be made, with 40403. */
    static void refusal(String bootstrap, String url) {
        try (KafkaProducer<String, GenericRecord> p = new KafkaProducer<>(config(bootstrap, url))) {
            p.send(new ProducerRecord<>("java-orders", 0, "bad", order(BAD, 1)));
            want(false, "a schema that breaks its readers was taken");
        } catch (SerializationException e) {
            RestClientException r = (RestClientException) cause(e, RestClientException.class);
            want(r != null && r.getStatus() == 409, "an incompatible schema: " + e.getCause());
        }
        try (KafkaProducer<String, GenericRecord> p = new KafkaProducer<>(config(bootstrap, url, "auto.register.schemas", false))) {
            p.send(new ProducerRecord<>("java-orders", 0, "bad", order(BAD, 1)));
            want(false, "a schema that is not there was taken");
        } catch (SerializationException e) {
            RestClientException r = (RestClientException) cause(e, RestClientException.class);
            want(r != null && r.getErrorCode() == 40403, "a schema that is not there: " + e.getCause());
        }
        try (KafkaProducer<String, GenericRecord> p = new KafkaProducer<>(config(bootstrap, url, "auto.register.schemas", false, "use.latest.version", true, "latest.compatibility.strict", true))) {
            p.send(new ProducerRecord<>("java-latest", 0, "bad", order(BAD, 1)));
            want(false, "the latest version of nothing was taken");
        } catch (SerializationException e) {
            RestClientException r = (RestClientException) cause(e, RestClientException.class);
            want(r != null && r.getErrorCode() == 40401, "a subject that is not there: " + e.getCause());
        }
    }

    /** What else the client asks. */
    static void client(String url) throws Exception {
        CachedSchemaRegistryClient c = new CachedSchemaRegistryClient(url, 100);
        want(c.getAllVersions("java-orders-value").equals(List.of(1, 2)), "versions: " + c.getAllVersions("java-orders-value"));
        want(c.getLatestSchemaMetadata("java-orders-value").getVersion() == 2, "the latest version");
        want(c.getAllSubjects().contains("java-orders-value"), "subjects: " + c.getAllSubjects());
        io.confluent.kafka.schemaregistry.ParsedSchema bad = c.parseSchema("AVRO", BAD, List.of()).get(), v1 = c.parseSchema("AVRO", V1, List.of()).get();
        want(!c.testCompatibility("java-orders-value", bad), "compatibility of what is not");
        want(!c.testCompatibilityVerbose("java-orders-value", bad).isEmpty(), "why it is not compatible");
        want(c.getVersion("java-orders-value", v1) == 1, "the version of a schema");
        want(c.updateCompatibility("java-orders-value", "FULL").equals("FULL") && c.getCompatibility("java-orders-value").equals("FULL"), "the level of a subject");
        want(c.getCompatibility(null).equals("BACKWARD"), "the level of all");
        want(c.getMode().equals("READWRITE"), "the mode");
        int id = c.register("java-gone", v1);
        want(c.getAllSubjectsById(id).containsAll(List.of("java-gone", "java-orders-value")), "subjects of an id: " + c.getAllSubjectsById(id));
        want(c.getAllVersionsById(id).size() == 2, "versions of an id: " + c.getAllVersionsById(id));
        want(c.deleteSubject("java-gone").equals(List.of(1)) && c.deleteSubject("java-gone", true).equals(List.of(1)), "deletion");
        try {
            new CachedSchemaRegistryClient(url, 100).getSchemaById(99999);
            want(false, "an id that nothing has");
        } catch (RestClientException e) {
            want(e.getStatus() == 404 && e.getErrorCode() == 40403, "an id that nothing has: " + e.getMessage());
        }
        try {
            c.getLatestSchemaMetadata("java-never");
            want(false, "a subject that is not there");
        } catch (RestClientException e) {
            want(e.getErrorCode() == 40401, "a subject that is not there: " + e.getMessage());
        }
    }

    /** Records of two kinds in one topic, each with a subject of its own; a key by Avro, too. */
    static void strategy(String bootstrap, String url) throws Exception {
        String paid = "{\"type\":\"record\",\"name\":\"Paid\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"how\",\"type\":{\"type\":\"enum\",\"name\":\"How\",\"symbols\":[\"CARD\",\"CASH\"]}}]}";
        Map<String, Object> by = config(bootstrap, url, "value.subject.name.strategy", TopicRecordNameStrategy.class.getName(), "key.serializer", KafkaAvroSerializer.class);
        try (KafkaProducer<Object, Object> p = new KafkaProducer<>(by)) {
            p.send(new ProducerRecord<>("java-mixed", 0, "one", order(V1, 1))).get();
            GenericRecord r = new GenericData.Record(new Schema.Parser().parse(paid));
            r.put("id", "o1");
            r.put("how", new GenericData.EnumSymbol(r.getSchema().getField("how").schema(), "CARD"));
            p.send(new ProducerRecord<>("java-mixed", 0, 2L, r)).get();
            want(false, "a key of another type was taken");
        } catch (SerializationException e) {
            RestClientException r = (RestClientException) cause(e, RestClientException.class);
            want(r != null && r.getStatus() == 409, "a key of another type: " + e.getCause());
        }
        by.put("key.serializer", StringSerializer.class);
        try (KafkaProducer<Object, Object> p = new KafkaProducer<>(by)) {
            GenericRecord r = new GenericData.Record(new Schema.Parser().parse(paid));
            r.put("id", "o1");
            r.put("how", new GenericData.EnumSymbol(r.getSchema().getField("how").schema(), "CARD"));
            p.send(new ProducerRecord<>("java-mixed", 0, "two", r)).get();
        }
        Collection<String> subjects = new CachedSchemaRegistryClient(url, 100).getAllSubjectsByPrefix("java-mixed");
        want(new TreeSet<>(subjects).equals(new TreeSet<>(List.of("java-mixed-key", "java-mixed-shop.Order", "java-mixed-shop.Paid"))), "subjects: " + subjects);
        List<ConsumerRecord<String, GenericRecord>> all = read(config(bootstrap, url), "java-mixed", 2);
        want(all.get(0).value().get("amount").equals(1.5) && all.get(1).value().get("how").toString().equals("CARD"), "records of two kinds");
    }

    /** What Kafka Connect writes. */
    static void converter(String url) {
        AvroConverter c = new AvroConverter();
        c.configure(Map.of("schema.registry.url", url), false);
        org.apache.kafka.connect.data.Schema s = SchemaBuilder.struct().name("shop.Row").field("id", org.apache.kafka.connect.data.Schema.INT64_SCHEMA)
            .field("name", org.apache.kafka.connect.data.Schema.OPTIONAL_STRING_SCHEMA).field("day", org.apache.kafka.connect.data.Date.SCHEMA).build();
        Struct row = new Struct(s).put("id", 7L).put("name", null).put("day", new Date(0));
        Struct back = (Struct) c.toConnectData("java-rows", c.fromConnectData("java-rows", s, row)).value();
        want(back.getInt64("id") == 7 && back.get("name") == null && back.get("day").equals(new Date(0)), "a row of Connect: " + back);
    }
}
