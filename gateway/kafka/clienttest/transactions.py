"""Transactions of confluent-kafka (librdkafka): python3 transactions.py HOST:PORT"""
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

addr, failures = sys.argv[1], 0
print("confluent-kafka", confluent_kafka.version(), "librdkafka", confluent_kafka.libversion()[0])


def check(what, ok, detail=""):
    global failures
    failures += not ok
    print("ok  " if ok else "FAIL", what, "" if ok else detail)


def producer(name):
    p = Producer({"bootstrap.servers": addr, "transactional.id": name})
    p.init_transactions(30)
    return p


def read(topic, isolation, count):
    c = Consumer({"bootstrap.servers": addr, "group.id": "unused", "isolation.level": isolation, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    c.assign([TopicPartition(topic, 0, 0)])
    got, end = [], time.time() + 30
    while len(got) < count and time.time() < end:
        m = c.poll(0.3)
        if m is not None and not m.error():
            got.append(m.value().decode())
    c.close()
    return got


a = AdminClient({"bootstrap.servers": addr})
for f in a.create_topics([NewTopic("in", 1, 1), NewTopic("out", 1, 1)]).values():
    f.result(20)
p = producer("t")
for end, values in (("commit", "ab"), ("abort", "xy"), ("commit", "c")):
    p.begin_transaction()
    for v in values:
        p.produce("in", value=v.encode(), partition=0)
    p.flush(20)  # what was not sent yet would not be sent at all by an abort
    p.commit_transaction(30) if end == "commit" else p.abort_transaction(30)
check("committed", read("in", "read_committed", 3) == list("abc"), read("in", "read_committed", 3))
check("all", read("in", "read_uncommitted", 5) == list("abxyc"))

c = Consumer({"bootstrap.servers": addr, "group.id": "g", "isolation.level": "read_committed", "auto.offset.reset": "earliest", "enable.auto.commit": False})
c.subscribe(["in"])
p.begin_transaction()
n, end = 0, time.time() + 30
while n < 3 and time.time() < end:
    m = c.poll(0.3)
    if m is not None and not m.error():
        p.produce("out", value=m.value() + b"!", partition=0)
        n += 1
p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), 30)
p.commit_transaction(30)
check("transformed", read("out", "read_committed", 3) == ["a!", "b!", "c!"])
at = c.committed([TopicPartition("in", 0)], timeout=20)[0].offset
check("offsets", at >= 5, at)
c.close()

p.begin_transaction()
p.produce("in", value=b"lost", partition=0)
p.flush(20)
other = producer("t")
other.begin_transaction()
other.produce("in", value=b"d", partition=0)
other.commit_transaction(30)
try:
    p.commit_transaction(30)
    check("a fenced producer has committed", False)
except KafkaException as e:
    check("fenced", e.args[0].fatal(), e)
check("behind what was lost", read("in", "read_committed", 4) == list("abcd"))
sys.exit(failures > 0)
