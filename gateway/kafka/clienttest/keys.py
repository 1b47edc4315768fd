"""confluent-kafka (librdkafka) as a writer of keys: arguments are address, topic, keys, rounds. Says each round, and at the end what was acknowledged."""
import sys, collections
from confluent_kafka import Producer

address, topic, keys, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
acked, errors = collections.Counter(), []


def delivered(error, message):
    if error:
        errors.append(str(error))
    else:
        acked[message.key().decode()] += 1


p = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5, "topic.metadata.refresh.interval.ms": 200,
              "reconnect.backoff.max.ms": 200, "retry.backoff.max.ms": 200})
for i in range(rounds):
    for k in range(keys):
        p.produce(topic, key=f"k{k}", value=f"librdkafka {i} " + "." * 150, on_delivery=delivered)
        p.poll(0)
    if p.flush(60):
        errors.append("not all was answered within a minute")
    print("round", i, flush=True)
for k, n in acked.items():
    print("acked", k, n)
if errors:
    sys.exit("\n".join(errors[:5]))
