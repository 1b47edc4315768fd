"""pika against an AMQP server: pika_client.py HOST:PORT [USER PASSWORD]. Prints what happened, one line for each thing that clients see.

It says the same about RabbitMQ and Leat; testdata/pika.txt is what RabbitMQ said.
"""

import sys
import time

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker, NackError, ProbableAccessDeniedError, UnroutableError

host, port = sys.argv[1].rsplit(":", 1)
user, password = (sys.argv[2:4] + ["guest", "guest"])[:2]
P = pika.BasicProperties


def connect(**more):
    return pika.BlockingConnection(
        pika.ConnectionParameters(host, int(port), credentials=pika.PlainCredentials(user, password), blocked_connection_timeout=10, **more)
    )


class Section:
    """What one section prints, and the connections it has opened."""

    def __init__(self, name):
        self.name, self.connections = name, []

    def say(self, *words):
        print(self.name + ":", *words, flush=True)

    def channel(self, connection=None):
        if connection is None:
            connection = connect()
            self.connections.append(connection)
        return connection.channel()

    def refused(self, what, call):
        """What is refused ends a channel (or the connection), with a code and a text."""
        ch = self.channel()
        try:
            call(ch)
            ch.queue_declare("", exclusive=True)  # waits for whatever comes behind
            self.say(what, "was not refused")
        except ChannelClosedByBroker as e:
            self.say(what, "channel", e.reply_code, e.reply_text)
        except ConnectionClosedByBroker as e:
            self.say(what, "connection", e.reply_code, e.reply_text)


sections = []


def section(f):
    sections.append(f)
    return f


def until(ch, done, seconds=30):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        ch.connection.process_data_events(0.05)


def got(ch, queue, auto_ack=True, seconds=30):
    """The next message of a queue, waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        m, p, b = ch.basic_get(queue, auto_ack)
        if m is not None:
            return m, p, b
        time.sleep(0.02)
    return None, None, None


def await_count(ch, queue, n, seconds=30):
    """How many messages a queue has: n, as soon as it has so many."""
    end = time.monotonic() + seconds
    while True:
        have = ch.queue_declare(queue, passive=True).method.message_count
        if have == n or time.monotonic() > end:
            return have
        time.sleep(0.02)


def gone_in_time(s, queue, pause, seconds=30):
    """Wait until a queue is gone that goes when it is not used: to ask is to use it, so there is a pause before each time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(pause)
        try:
            s.channel().queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return


def texts(ch, queue, n, seconds=30):
    """The next n bodies of a queue."""
    out = []
    for _ in range(n):
        m, _, b = got(ch, queue, True, seconds)
        out.append(b.decode() if m else None)
    return out


@section
def declare(s):
    ch = s.channel()
    for kind in ("direct", "fanout", "topic", "headers"):
        ch.exchange_declare("p." + kind, kind, durable=True)
        ch.exchange_declare("p." + kind, kind, durable=True)
    q = ch.queue_declare("p.declare", durable=True).method
    s.say(q.queue, q.message_count, q.consumer_count)
    s.say("passive", ch.queue_declare("p.declare", passive=True).method.queue)
    s.say("server-named", ch.queue_declare("", exclusive=True).method.queue.startswith("amq.gen-"))
    s.refused("other durable", lambda c: c.queue_declare("p.declare", durable=False))
    s.refused("other auto-delete", lambda c: c.queue_declare("p.declare", durable=True, auto_delete=True))
    s.refused("other ttl", lambda c: c.queue_declare("p.declare", durable=True, arguments={"x-message-ttl": 1}))
    s.refused("other type", lambda c: c.exchange_declare("p.topic", "fanout", durable=True))
    s.refused("other durable of exchange", lambda c: c.exchange_declare("p.topic", "topic"))
    s.refused("unknown type", lambda c: c.exchange_declare("p.other", "nosuch"))
    s.refused("passive queue", lambda c: c.queue_declare("p.nosuch", passive=True))
    s.refused("passive exchange", lambda c: c.exchange_declare("p.nosuch", passive=True))
    s.refused("reserved queue", lambda c: c.queue_declare("amq.mine"))
    s.refused("reserved exchange", lambda c: c.exchange_declare("amq.mine", "topic"))
    s.refused("bind unknown exchange", lambda c: c.queue_bind("p.declare", "p.nosuch", "k"))
    s.refused("bind unknown queue", lambda c: c.queue_bind("p.nosuch", "p.topic", "k"))
    s.refused("bind default", lambda c: c.queue_bind("p.declare", "", "k"))
    s.refused("negative ttl", lambda c: c.queue_declare("p.bad", arguments={"x-message-ttl": -1}))
    s.refused("ttl of text", lambda c: c.queue_declare("p.bad", arguments={"x-message-ttl": "1"}))
    s.refused("bad overflow", lambda c: c.queue_declare("p.bad", arguments={"x-overflow": "nosuch"}))
    s.refused("routing key without exchange", lambda c: c.queue_declare("p.bad", arguments={"x-dead-letter-routing-key": "k"}))
    s.refused("priority", lambda c: c.queue_declare("p.bad", arguments={"x-max-priority": 256}))
    s.refused("queue type", lambda c: c.queue_declare("p.bad", durable=True, arguments={"x-queue-type": "nosuch"}))
    s.refused("transient quorum", lambda c: c.queue_declare("p.bad", durable=False, arguments={"x-queue-type": "quorum"}))
    s.refused("delete default", lambda c: c.exchange_delete(""))
    s.refused("delete amq.topic", lambda c: c.exchange_delete("amq.topic"))
    s.refused("publish to unknown", lambda c: c.basic_publish("p.nosuch", "k", b"x"))
    s.refused("consume unknown", lambda c: c.basic_consume("p.nosuch", lambda *a: None))
    s.refused("get unknown", lambda c: c.basic_get("p.nosuch"))
    ch.queue_bind("p.declare", "p.topic", "a.#")
    s.refused("exchange in use", lambda c: c.exchange_delete("p.topic", if_unused=True))
    ch.basic_publish("", "p.declare", b"x")
    ch.queue_declare("p.declare", passive=True)
    s.refused("queue not empty", lambda c: c.queue_delete("p.declare", if_empty=True))
    s.say("deleted with", ch.queue_delete("p.declare").method.message_count, "and again", ch.queue_delete("p.declare").method.message_count)
    for kind in ("direct", "fanout", "topic", "headers", "nosuch"):
        ch.exchange_delete("p." + kind)


@section
def confirms(s):
    ch = s.channel()
    ch.queue_declare("p.confirms", durable=True)
    ch.confirm_delivery()
    for i in range(50):
        ch.basic_publish("", "p.confirms", b"%d" % i, P(delivery_mode=2), mandatory=True)
    s.say("messages", ch.queue_declare("p.confirms", passive=True).method.message_count)
    try:
        ch.basic_publish("amq.direct", "nowhere", b"lost", P(content_type="a/b", headers={"k": 1}), mandatory=True)
    except UnroutableError as e:
        m = e.messages[0]
        s.say("returned", m.method.reply_code, m.method.reply_text, m.method.exchange, m.method.routing_key, m.properties.content_type, m.properties.headers, m.body)
    ch.basic_publish("amq.direct", "nowhere", b"lost")
    s.say("not mandatory: confirmed")
    s.say("purged", ch.queue_purge("p.confirms").method.message_count)
    ch.queue_declare("p.small", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.basic_publish("", "p.small", b"1")
    try:
        ch.basic_publish("", "p.small", b"2")
        s.say("full: confirmed")
    except NackError as e:
        s.say("full: nack", len(e.messages))
    s.say(texts(ch, "p.small", 1))
    ch.queue_delete("p.confirms")
    ch.queue_delete("p.small")


@section
def routing(s):
    ch = s.channel()
    ch.exchange_declare("p.t", "topic")
    ch.exchange_declare("p.h", "headers")
    ch.exchange_declare("p.f", "fanout")
    ch.exchange_declare("p.spare", "fanout")
    ch.exchange_declare("p.main", "direct", arguments={"alternate-exchange": "p.spare"})
    names = {}
    for name in ("star", "hash", "all", "any", "fan", "spare", "key"):
        names[name] = ch.queue_declare("p.r." + name).method.queue
    ch.queue_bind(names["star"], "p.t", "a.*.c")
    ch.queue_bind(names["hash"], "p.t", "a.#")
    ch.queue_bind(names["all"], "p.h", "", {"x-match": "all", "kind": "x", "n": 1})
    ch.queue_bind(names["any"], "p.h", "", {"x-match": "any", "kind": "x", "n": 1})
    ch.exchange_bind("p.f", "p.t", "b.#")
    ch.queue_bind(names["fan"], "p.f", "")
    ch.queue_bind(names["spare"], "p.spare", "")
    ch.queue_bind(names["key"], "p.main", "k")
    for key in ("a", "a.b", "a.b.c", "a.b.c.d", "b.x"):
        ch.basic_publish("p.t", key, key.encode())
    for h in ({"kind": "x", "n": 1}, {"kind": "x"}, {"n": 2}, {"n": 1, "more": True}):
        ch.basic_publish("p.h", "", repr(sorted(h.items())).encode(), P(headers=h))
    ch.basic_publish("p.main", "k", b"bound")
    ch.basic_publish("p.main", "other", b"spared")
    ch.basic_publish("amq.direct", "cc", b"copied", P(headers={"CC": ["p.r.key"], "BCC": ["p.r.star"]}))
    ch.basic_publish("", "p.r.key", b"copied", P(headers={"CC": ["p.r.spare"], "BCC": ["p.r.fan"]}))
    counts = {"all": 1, "any": 3, "fan": 2, "hash": 4, "key": 2, "spare": 2, "star": 1}
    for name, queue in sorted(names.items()):
        n = await_count(ch, queue, counts[name])
        s.say(name, n, texts(ch, queue, n))
    ch.queue_unbind(names["hash"], "p.t", "a.#")
    ch.basic_publish("p.t", "a.z", b"unbound")
    s.say("unbound", got(ch, names["hash"], seconds=0.2)[2])
    ch.exchange_declare("p.inner", "fanout", internal=True)
    s.refused("publish to internal", lambda c: c.basic_publish("p.inner", "", b"x"))
    for x in ("t", "h", "f", "spare", "main", "inner"):
        ch.exchange_delete("p." + x)
    for queue in names.values():
        ch.queue_delete(queue)


@section
def settle(s):
    ch = s.channel()
    ch.queue_declare("p.settle")
    for i in range(6):
        ch.basic_publish("", "p.settle", b"%d" % i)
    m, _, b = got(ch, "p.settle", False)
    s.say("first", b, m.delivery_tag, m.redelivered, m.message_count)
    ch.basic_nack(m.delivery_tag, requeue=True)
    m, _, b = got(ch, "p.settle", False)
    s.say("requeued", b, m.delivery_tag, m.redelivered)
    ch.basic_reject(m.delivery_tag, requeue=False)
    a = [got(ch, "p.settle", False) for _ in range(3)]
    s.say("three", [x[2] for x in a])
    ch.basic_ack(a[1][0].delivery_tag, multiple=True)
    ch.basic_nack(0, multiple=True, requeue=True)
    s.say("left", texts(ch, "p.settle", 2), got(ch, "p.settle", seconds=0.2)[2])
    ch.basic_publish("", "p.settle", b"lost?")
    held = got(ch, "p.settle", False)
    ch.close()
    ch = s.channel()
    m, _, b = got(ch, "p.settle", True)
    s.say("after close", b, m.redelivered, held[2] == b)
    s.refused("unknown tag", lambda c: c.basic_ack(7))
    s.refused("unknown tag nack", lambda c: c.basic_nack(7))

    def twice(c):
        c.basic_publish("", "p.settle", b"x")
        m, _, _ = got(c, "p.settle", False)
        c.basic_ack(m.delivery_tag)
        c.basic_ack(m.delivery_tag)

    s.refused("ack twice", twice)
    ch.basic_publish("", "p.settle", b"r1")
    ch.basic_publish("", "p.settle", b"r2")
    for _ in range(2):
        got(ch, "p.settle", False)
    ch.basic_recover(requeue=True)
    s.say("recovered", texts(ch, "p.settle", 2))
    ch.queue_delete("p.settle")


@section
def prefetch(s):
    ch = s.channel()
    ch.queue_declare("p.prefetch")
    for i in range(10):
        ch.basic_publish("", "p.prefetch", b"%d" % i)
    ch.basic_qos(prefetch_count=3)
    seen = []
    tag = ch.basic_consume("p.prefetch", lambda c, m, p, b: seen.append((m.delivery_tag, b)))
    until(ch, lambda: len(seen) >= 3)
    until(ch, lambda: len(seen) > 3, 0.3)
    s.say("held", seen)
    ch.basic_ack(seen[1][0], multiple=True)
    until(ch, lambda: len(seen) >= 5)
    until(ch, lambda: len(seen) > 5, 0.3)
    s.say("two more", seen[3:])
    ch.basic_cancel(tag)
    ch.basic_ack(0, multiple=True)
    s.say("left", ch.queue_declare("p.prefetch", passive=True).method.message_count)
    g = s.channel()
    g.basic_qos(prefetch_count=2, global_qos=True)
    one, two = [], []
    g.basic_consume("p.prefetch", lambda c, m, p, b: one.append((m.delivery_tag, b)))
    g.basic_consume("p.prefetch", lambda c, m, p, b: two.append((m.delivery_tag, b)))
    until(g, lambda: len(one) + len(two) >= 2)
    until(g, lambda: len(one) + len(two) > 2, 0.3)
    s.say("of both", len(one) + len(two))
    ch.queue_delete("p.prefetch")


@section
def dead_letters(s):
    ch = s.channel()
    ch.exchange_declare("p.dlx", "topic")
    ch.exchange_declare("p.retry", "topic")
    ch.queue_declare("p.work", arguments={"x-dead-letter-exchange": "p.retry", "x-dead-letter-routing-key": "again"})
    ch.queue_declare("p.wait", arguments={"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "p.work"})
    ch.queue_bind("p.wait", "p.retry", "again")
    ch.basic_publish("", "p.work", b"job", P(headers={"mine": 1}, delivery_mode=2))
    for attempt in range(3):
        m, p, b = got(ch, "p.work", False)
        if m is None:
            s.say("attempt", attempt, "nothing came")
            continue
        deaths = [{k: (v if k != "time" else "time") for k, v in d.items()} for d in (p.headers or {}).get("x-death", [])]
        s.say("attempt", attempt, b, m.exchange or "default", m.routing_key, m.redelivered)
        for d in deaths:
            s.say("  death", sorted(d.items()))
        s.say("  headers", sorted((k, v) for k, v in p.headers.items() if k != "x-death"))
        if attempt < 2:
            ch.basic_reject(m.delivery_tag, requeue=False)
        else:
            ch.basic_ack(m.delivery_tag)
    ch.queue_declare("p.dead")
    ch.queue_bind("p.dead", "p.dlx", "#")
    ch.queue_declare("p.short", arguments={"x-dead-letter-exchange": "p.dlx", "x-max-length": 2})
    for i in range(4):
        ch.basic_publish("", "p.short", b"%d" % i)
    for _ in range(2):
        m, p, b = got(ch, "p.dead")
        s.say("maxlen", b, m.exchange, m.routing_key, p.headers["x-death"][0]["reason"], p.headers["x-first-death-queue"])
    s.say("short keeps", texts(ch, "p.short", 2))
    ch.queue_declare("p.expiring", arguments={"x-dead-letter-exchange": "p.dlx"})
    ch.basic_publish("", "p.expiring", b"e", P(expiration="50"))
    m, p, b = got(ch, "p.dead")
    s.say("expired", b, p.expiration, p.headers["x-death"][0]["reason"], p.headers["x-death"][0].get("original-expiration"))
    ch.basic_publish("", "p.expiring", b"now or never", P(expiration="0"))
    m, p, b = got(ch, "p.dead")
    s.say("expired at once", b, p.headers["x-death"][0]["reason"])
    for q in ("work", "wait", "dead", "short", "expiring"):
        ch.queue_delete("p." + q)
    ch.exchange_delete("p.dlx")
    ch.exchange_delete("p.retry")


@section
def limits(s):
    ch = s.channel()
    ch.queue_declare("p.len", arguments={"x-max-length": 3})
    for i in range(5):
        ch.basic_publish("", "p.len", b"%d" % i)
    s.say("newest three", texts(ch, "p.len", 3), got(ch, "p.len", seconds=0.2)[2])
    ch.queue_declare("p.bytes", arguments={"x-max-length-bytes": 10})
    for i in range(5):
        ch.basic_publish("", "p.bytes", b"%04d" % i)
    s.say("ten bytes", texts(ch, "p.bytes", 2), got(ch, "p.bytes", seconds=0.2)[2])
    ch.queue_declare("p.ttl", arguments={"x-message-ttl": 100})
    ch.basic_publish("", "p.ttl", b"x")
    time.sleep(1)  # the count may be told before it has come
    await_count(ch, "p.ttl", 0)
    s.say("after its time", got(ch, "p.ttl", seconds=0.2)[2], ch.queue_declare("p.ttl", passive=True).method.message_count)
    ch.queue_declare("p.expires", arguments={"x-expires": 200})
    gone_in_time(s, "p.expires", 0.8)
    s.refused("queue after its time", lambda c: c.queue_declare("p.expires", passive=True))
    ch.queue_declare("p.auto", auto_delete=True)
    ch.queue_declare("p.auto", passive=True)
    tag = ch.basic_consume("p.auto", lambda *a: None)
    ch.basic_cancel(tag)
    s.refused("auto-delete", lambda c: c.queue_declare("p.auto", passive=True))
    ch.exchange_declare("p.autox", "fanout", auto_delete=True)
    ch.queue_declare("p.autoq")
    ch.queue_bind("p.autoq", "p.autox")
    ch.queue_unbind("p.autoq", "p.autox")
    s.refused("auto-delete exchange", lambda c: c.exchange_declare("p.autox", passive=True))
    for q in ("len", "bytes", "ttl", "autoq"):
        ch.queue_delete("p." + q)


@section
def priorities(s):
    ch = s.channel()
    ch.queue_declare("p.priority", arguments={"x-max-priority": 5})
    for i in (0, 3, 1, 5, 3, 9, None):
        ch.basic_publish("", "p.priority", str(i).encode(), P(priority=i))
    s.say(texts(ch, "p.priority", 7))
    ch.queue_delete("p.priority")
    ch.queue_declare("p.favour")
    low, high = [], []
    ch.basic_qos(prefetch_count=1)
    ch.basic_consume("p.favour", lambda c, m, p, b: low.append(b), arguments={"x-priority": 1})
    ch.basic_consume("p.favour", lambda c, m, p, b: high.append(b), arguments={"x-priority": 10})
    ch.basic_publish("", "p.favour", b"1")
    until(ch, lambda: len(high) + len(low) >= 1)
    ch.basic_publish("", "p.favour", b"2")
    until(ch, lambda: len(high) + len(low) >= 2)
    s.say("consumers", high, low)
    ch.queue_delete("p.favour")


@section
def transactions(s):
    ch, other = s.channel(), s.channel()
    ch.queue_declare("p.tx")
    ch.tx_select()
    ch.basic_publish("", "p.tx", b"1")
    s.say("before commit", other.queue_declare("p.tx", passive=True).method.message_count)
    ch.tx_commit()
    s.say("after commit", other.queue_declare("p.tx", passive=True).method.message_count)
    ch.basic_publish("", "p.tx", b"2")
    ch.tx_rollback()
    s.say("after rollback", other.queue_declare("p.tx", passive=True).method.message_count)
    m, _, b = got(ch, "p.tx", False)
    ch.basic_ack(m.delivery_tag)
    ch.tx_rollback()
    ch.basic_ack(m.delivery_tag)
    ch.tx_commit()
    s.say("acked", b, other.queue_declare("p.tx", passive=True).method.message_count)
    s.refused("commit without select", lambda c: c.tx_commit())
    s.refused("confirm after tx", lambda c: (c.tx_select(), c.confirm_delivery()))
    ch.queue_delete("p.tx")


@section
def rpc(s):
    server, client = s.channel(), s.channel()
    server.queue_declare("p.rpc")

    def serve(c, m, p, b):
        c.basic_publish("", p.reply_to, b.upper(), P(correlation_id=p.correlation_id))
        c.basic_ack(m.delivery_tag)

    server.basic_consume("p.rpc", serve)
    answers = []
    client.basic_consume("amq.rabbitmq.reply-to", lambda c, m, p, b: answers.append((p.correlation_id, b)), auto_ack=True)
    for i in range(3):
        client.basic_publish("", "p.rpc", b"hello %d" % i, P(reply_to="amq.rabbitmq.reply-to", correlation_id=str(i)))
    end = time.monotonic() + 5
    while len(answers) < 3 and time.monotonic() < end:
        server.connection.process_data_events(0.05)
        client.connection.process_data_events(0.05)
    s.say("direct reply-to", answers)
    q = client.queue_declare("", exclusive=True).method.queue
    client.basic_publish("", "p.rpc", b"mine", P(reply_to=q, correlation_id="q"))
    until(server, lambda: False, 0.3)
    s.say("reply queue", texts(client, q, 1))
    s.refused("reply-to with acks", lambda c: c.basic_consume("amq.rabbitmq.reply-to", lambda *a: None))
    s.refused("reply-to without consumer", lambda c: c.basic_publish("", "p.rpc", b"x", P(reply_to="amq.rabbitmq.reply-to")))
    server.queue_delete("p.rpc")


@section
def cancelled(s):
    ch = s.channel()
    ch.queue_declare("p.cancel")
    seen = []
    ch.add_on_cancel_callback(lambda f: seen.append(f.method.consumer_tag))
    ch.basic_consume("p.cancel", lambda *a: None, consumer_tag="mine")
    other = s.channel()
    other.queue_delete("p.cancel")
    until(ch, lambda: seen)
    s.say(seen, "open", ch.is_open)


@section
def exclusive(s):
    ch = s.channel()
    ch.queue_declare("p.mine", exclusive=True)
    s.refused("declare", lambda c: c.queue_declare("p.mine", exclusive=True))
    s.refused("passive", lambda c: c.queue_declare("p.mine", passive=True))
    s.refused("consume", lambda c: c.basic_consume("p.mine", lambda *a: None))
    s.refused("get", lambda c: c.basic_get("p.mine"))
    s.refused("purge", lambda c: c.queue_purge("p.mine"))
    s.refused("delete", lambda c: c.queue_delete("p.mine"))
    s.refused("bind", lambda c: c.queue_bind("p.mine", "amq.topic", "k"))
    ch.connection.close()
    s.refused("gone", lambda c: c.queue_declare("p.mine", passive=True))
    ch = s.channel()
    ch.queue_declare("p.only")
    ch.basic_consume("p.only", lambda *a: None, exclusive=True)
    s.refused("second consumer", lambda c: c.basic_consume("p.only", lambda *a: None))
    s.refused("exclusive beside others", lambda c: (ch.queue_declare("p.shared"), ch.basic_consume("p.shared", lambda *a: None), c.basic_consume("p.shared", lambda *a: None, exclusive=True)))
    ch.queue_delete("p.only")
    ch.queue_delete("p.shared")
    one, two, a, b = s.channel(), s.channel(), [], []
    one.queue_declare("p.sac", arguments={"x-single-active-consumer": True})
    one.basic_consume("p.sac", lambda c, m, p, x: a.append(x), auto_ack=True)
    two.basic_consume("p.sac", lambda c, m, p, x: b.append(x), auto_ack=True)
    for i in range(4):
        ch.basic_publish("", "p.sac", b"%d" % i)
    until(one, lambda: len(a) == 4)
    until(two, lambda: b, 0.2)
    s.say("single active", a, b)
    one.connection.close()
    ch.basic_publish("", "p.sac", b"4")
    until(two, lambda: b)
    s.say("the next", b)
    ch.queue_delete("p.sac")


@section
def quorum(s):
    ch = s.channel()
    ch.queue_declare("p.dead2")
    ch.queue_declare("p.quorum", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "p.dead2"})
    ch.confirm_delivery()
    ch.basic_publish("", "p.quorum", b"poison")
    for _ in range(3):
        m, p, b = got(ch, "p.quorum", False)
        s.say(b, m.redelivered, (p.headers or {}).get("x-delivery-count"))
        ch.basic_nack(m.delivery_tag, requeue=True)
    m, p, b = got(ch, "p.dead2")
    s.say("dead", b, p.headers["x-death"][0]["reason"] if p else None)
    ch.queue_delete("p.quorum")
    ch.queue_delete("p.dead2")


@section
def streams(s):
    ch = s.channel()
    ch.queue_declare("p.stream", durable=True, arguments={"x-queue-type": "stream"})
    ch.confirm_delivery()
    for i in range(5):
        ch.basic_publish("", "p.stream", b"%d" % i)
    for offset in ("first", 3):
        c, seen = s.channel(), []
        c.basic_qos(prefetch_count=10)
        c.basic_consume("p.stream", lambda c, m, p, b: (seen.append((b, p.headers["x-stream-offset"])), c.basic_ack(m.delivery_tag)), arguments={"x-stream-offset": offset})
        until(c, lambda: len(seen) >= (5 if offset == "first" else 2))
        s.say("from", offset, seen)
    s.refused("without qos", lambda c: c.basic_consume("p.stream", lambda *a: None))
    s.refused("get", lambda c: c.basic_get("p.stream"))
    ch.queue_delete("p.stream")


@section
def properties(s):
    ch = s.channel()
    ch.queue_declare("p.properties")
    sent = P(
        content_type="text/plain", content_encoding="utf-8", headers={"t": "käse", "n": 7, "big": 1 << 40, "f": True, "none": None, "list": [1, "two", {"three": 3}]},
        delivery_mode=2, priority=3, correlation_id="c", reply_to="r", expiration="60000", message_id="m", timestamp=1767323045, type="t", user_id=user, app_id="a", cluster_id="x",
    )
    ch.basic_publish("", "p.properties", "käse".encode(), sent)
    m, p, b = got(ch, "p.properties")
    for name in ("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"):
        s.say(name, getattr(p, name))
    s.say("headers", sorted(p.headers.items()), b.decode())
    ch.basic_publish("", "p.properties", b"")
    s.say("empty", got(ch, "p.properties")[2])
    ch.basic_publish("", "p.properties", b"z" * 300000)
    s.say("large", len(got(ch, "p.properties")[2]))
    s.refused("user-id", lambda c: c.basic_publish("", "p.properties", b"x", P(user_id="nobody")))
    ch.queue_delete("p.properties")


@section
def connection(s):
    c = connect(client_properties={"connection_name": "named"})
    p = c._impl.server_properties
    s.say("product", p["product"], "capabilities", sorted(k for k, v in p["capabilities"].items() if v))
    c.close()
    try:
        connect(virtual_host="nosuch")
        s.say("connected to an unknown virtual host")
    except ProbableAccessDeniedError as e:
        s.say("virtual host", e)
    c = connect(frame_max=4096, channel_max=3, heartbeat=5)
    s.say("tuned", c._impl.params.frame_max, c._impl.params.channel_max, c._impl.params.heartbeat)
    ch = c.channel()
    ch.queue_declare("p.frames", exclusive=True)
    ch.basic_publish("", "p.frames", b"q" * 20000)
    s.say("in small frames", len(got(ch, "p.frames")[2]))
    c.close()


wanted = sys.argv[4:]
for f in sections:
    if wanted and f.__name__ not in wanted:
        continue
    s = Section(f.__name__)
    try:
        f(s)
    except Exception as e:  # the next section shall be heard, too
        s.say("FAILED", type(e).__name__, e)
    for c in s.connections:
        try:
            if c.is_open:
                c.close()
        except AMQPError:
            pass
