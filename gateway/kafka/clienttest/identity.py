"""confluent-kafka (librdkafka) as somebody: token ADDRESS ENDPOINT USER NOBODY, or certificate ADDRESS DIRECTORY USER NOBODY."""
import faulthandler, sys, time
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition, OFFSET_BEGINNING
from confluent_kafka.admin import AdminClient

faulthandler.dump_traceback_later(100)  # says where it waits, before it is killed
what, address, place, user, nobody = sys.argv[1:6]
failures = 0


def check(name, ok, detail=""):
    global failures
    print("ok  " if ok else "FAIL", name, "" if ok else detail)
    failures += not ok


def conf(who, **more):
    c = {"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.ms": 1000, **more}
    if what == "token":
        c.update({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": who,
                  "sasl.oauthbearer.client.secret": "secret", "sasl.oauthbearer.token.endpoint.url": place, "sasl.oauthbearer.scope": "kafka"})
    else:
        c.update({"security.protocol": "SSL", "ssl.ca.location": place + "/ca.pem"})
        if who:
            c.update({"ssl.certificate.location": f"{place}/{who}.pem", "ssl.key.location": f"{place}/{who}.key"})
    return c


errors = []
p = Producer(conf(user))
for i in range(10):
    p.produce("identity-py", value=f"value {i}", on_delivery=lambda e, m: e and errors.append(e))
left = p.flush(60)
check("produce", left == 0 and not errors, (left, errors))
c = Consumer(conf(user, **{"group.id": "identity-py", "enable.auto.commit": False}))
c.assign([TopicPartition("identity-py", 0, OFFSET_BEGINNING)])
got, end = [], time.time() + 60
while len(got) < 10 and time.time() < end:
    m = c.poll(1)
    if m is not None and not m.error():
        got.append(m.value().decode())
c.close()
check("consume", got == [f"value {i}" for i in range(10)], got)


def refused(who, name):
    """Nobody is told of the topic: the login fails, or it is denied, or the connection is closed."""
    said = []
    a = AdminClient(conf(who, error_cb=lambda e: said.append(e)))
    try:
        t = a.list_topics("identity-py", timeout=5).topics["identity-py"]
        check(name, t.error is not None and t.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED, t.error)
    except KafkaException as e:
        a.poll(0)
        check(name, any(x.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT) for x in said), (e, said))


refused(nobody, "somebody who is no user")
if what == "certificate":
    refused("", "no certificate")
sys.exit(failures)
