"""confluent-kafka (librdkafka) against leat: arguments are plain, users and TLS addresses, CA file, user, password."""
import sys, time
from confluent_kafka import Producer, Consumer, TopicPartition, KafkaError, KafkaException, OFFSET_BEGINNING
from confluent_kafka.admin import AdminClient, NewTopic, NewPartitions, ConfigResource, ConfigEntry, AlterConfigOpType, ResourceType

plain, users, secure, ca, user, password = sys.argv[1:7]
failures = 0


def check(name, ok, detail=""):
    global failures
    print("ok  " if ok else "FAIL", name, detail if not ok else "")
    failures += not ok


def produce(addr, topic, count, **conf):
    errors = []
    p = Producer({"bootstrap.servers": addr, **conf})
    for i in range(count):
        p.produce(topic, key=f"k{i}", value=f"value {i}", headers={"h": "v"}, on_delivery=lambda e, m: e and errors.append(e))
    left = p.flush(20)
    return errors + (["%d left" % left] if left else [])


def consume(addr, topic, count, **conf):
    c = Consumer({"bootstrap.servers": addr, "group.id": "unused", "enable.auto.commit": False, **conf})
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got, end = [], time.time() + 20
    while len(got) < count and time.time() < end:
        m = c.poll(1)
        if m is not None and not m.error():
            got.append(m.value().decode())
    c.close()
    return got


want = [f"value {i}" for i in range(50)]
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    for mode, conf in {"idempotent": {"enable.idempotence": True}, "all": {"acks": "all"}, "1": {"acks": 1}, "0": {"acks": 0}}.items():
        topic = f"py-{codec}-{mode}"
        errors = produce(plain, topic, 50, **{"compression.type": codec}, **conf)
        check(f"produce {codec} {mode}", not errors, errors)
        got = consume(plain, topic, 50)
        check(f"consume {codec} {mode}", got == want, got)

a = AdminClient({"bootstrap.servers": plain})


def done(name, futures):
    for f in futures.values():
        try:
            f.result(20)
            check(name, True)
        except KafkaException as e:
            check(name, False, e)


done("create", a.create_topics([NewTopic("orders", 2, 1, config={"retention.ms": "5000"})]))
try:
    list(a.create_topics([NewTopic("orders", 2, 1)]).values())[0].result(20)
    check("create again", False)
except KafkaException as e:
    check("create again", e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, e)
done("partitions", a.create_partitions([NewPartitions("orders", 4)]))
resource = ConfigResource(ResourceType.TOPIC, "orders")
configs = list(a.describe_configs([resource]).values())[0].result(20)
check("describe configs", configs["retention.ms"].value == "5000", configs["retention.ms"])
resource.add_incremental_config(ConfigEntry("retention.ms", "7000", incremental_operation=AlterConfigOpType.SET))
done("alter configs", a.incremental_alter_configs([resource]))
configs = list(a.describe_configs([ConfigResource(ResourceType.TOPIC, "orders")]).values())[0].result(20)
check("altered", configs["retention.ms"].value == "7000", configs["retention.ms"])
check("list", len(a.list_topics(timeout=20).topics["orders"].partitions) == 4)
check("cluster", len(a.describe_cluster().result(20).nodes) == 1)
c = Consumer({"bootstrap.servers": plain, "group.id": "unused"})
check("watermarks", c.get_watermark_offsets(TopicPartition("py-none-all", 0), timeout=10) == (0, 50))
check("offset by time", c.offsets_for_times([TopicPartition("py-none-all", 0, 1)], timeout=10)[0].offset == 0)
c.close()
done("delete", a.delete_topics(["orders"]))

errors = []
p = Producer({"bootstrap.servers": plain, "message.max.bytes": 10000000})
p.produce("py-none-all", value=b"x" * 2000000, on_delivery=lambda e, m: errors.append(e))
p.flush(20)
check("too large", errors and errors[0] and errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, errors)
errors.clear()
try:
    p.produce("py-none-all", partition=9, value=b"x", on_delivery=lambda e, m: errors.append(e))
    p.flush(20)
except KafkaException as e:
    errors.append(e)
check("unknown partition", errors and errors[0] is not None, errors)

def group(protocol, strategy):
    """50 records are read in a group, committed, and not read again by the next."""
    conf = {"bootstrap.servers": plain, "group.id": "g-" + protocol + strategy, "auto.offset.reset": "earliest", "enable.auto.commit": False, "group.protocol": protocol}
    if protocol == "classic":
        conf["partition.assignment.strategy"] = strategy
    c = Consumer(conf)
    c.subscribe(["py-none-all"])
    end, got = time.time() + 30, []
    while time.time() < end and len(got) < 50:
        m = c.poll(1)
        if m is not None and not m.error():
            got.append(m.offset())
    c.commit(asynchronous=False)
    c.close()
    c = Consumer(conf)
    at = c.committed([TopicPartition("py-none-all", 0)], timeout=20)[0].offset
    c.close()
    return got == list(range(50)) and at == 50, (got, at)


for strategy in ("range", "roundrobin", "cooperative-sticky"):
    ok, detail = group("classic", strategy)
    check("group " + strategy, ok, detail)
ok, detail = group("consumer", "")
check("group of the newer protocol", ok, detail)

for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
    sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.username": user}
    errors = produce(users, "login-" + mechanism, 3, **sasl, **{"sasl.password": password})
    check(mechanism, not errors, errors)
    said = []
    bad = Producer({"bootstrap.servers": users, **sasl, "sasl.password": "wrong", "error_cb": said.append})
    bad.poll(3)
    check(mechanism + " wrong", any(e.code() == KafkaError._AUTHENTICATION for e in said), said)

tls = {"security.protocol": "SSL", "ssl.ca.location": ca}
errors = produce(secure, "secret", 50, **tls)
check("TLS produce", not errors, errors)
check("TLS consume", consume(secure, "secret", 50, **tls) == want)
sys.exit(failures > 0)
