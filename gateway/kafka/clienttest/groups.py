"""kafka-python: two members of a group read all that was produced, commit, and the next begins where they ended. Argument: the address."""
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

addr, failures = sys.argv[1], 0


def check(name, ok, detail=""):
    global failures
    print("ok  " if ok else "FAIL", name, "" if ok else detail)
    failures += not ok


admin = KafkaAdminClient(bootstrap_servers=addr)
admin.create_topics([NewTopic("kp", 4, 1)])
producer = KafkaProducer(bootstrap_servers=addr)
for i in range(60):
    producer.send("kp", str(i).encode(), partition=i % 4)
producer.flush()
members = [KafkaConsumer("kp", bootstrap_servers=addr, group_id="kp-group", auto_offset_reset="earliest", enable_auto_commit=False) for _ in range(2)]
seen, end = set(), time.time() + 40
while time.time() < end and (len(seen) < 60 or any(len(m.assignment()) != 2 for m in members)):
    for m in members:
        for records in m.poll(timeout_ms=200).values():
            seen.update(int(r.value) for r in records)
check("all is read", seen == set(range(60)), len(seen))
check("both have some", all(len(m.assignment()) == 2 for m in members), [m.assignment() for m in members])
for m in members:
    m.commit()
    m.close()
c = KafkaConsumer(bootstrap_servers=addr, group_id="kp-group")
at = [c.committed(TopicPartition("kp", p)) for p in range(4)]
check("committed", at == [15] * 4, at)
c.close()
names = [g["group_id"] if isinstance(g, dict) else g[0] for g in (admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups())]
check("list", "kp-group" in names, names)
sys.exit(failures > 0)
