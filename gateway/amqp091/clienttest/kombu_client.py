"""kombu against an AMQP server: kombu_client.py AMQP_URL. SimpleQueue, compressed and serialized messages, a requeue, a pool."""

import socket
import sys

from kombu import Connection, Exchange, Queue

exchange = Exchange("k.tasks", "direct", durable=False)
queue = Queue("k.tasks", exchange, routing_key="k", durable=False, max_priority=5)


def say(*words):
    print(*words, flush=True)


with Connection(sys.argv[1], heartbeat=5, transport_options={"confirm_publish": True}) as c:
    with c.SimpleQueue("k.simple", queue_opts={"durable": False}, exchange_opts={"durable": False}) as q:
        q.put({"hello": [1, 2, None]}, compression="zlib")
        m = q.get(timeout=5)
        say("simple:", m.payload, m.content_type)
        m.ack()
        try:
            q.get(block=False)
        except q.Empty:
            say("simple: empty")
        name = q.queue.name
    say("simple deleted:", c.default_channel.queue_delete(name))
    got = []

    def on(body, message):
        got.append((body, message.delivery_info["redelivered"]))
        if len(got) == 1:
            message.requeue()
        elif body == "no":
            message.reject()
        else:
            message.ack()

    with c.Consumer(queue, callbacks=[on], accept=["json", "pickle"], prefetch_count=1):
        p = c.Producer(serializer="json")
        p.publish("yes", exchange=exchange, routing_key="k", declare=[queue], retry=True, priority=3)
        p.publish("no", exchange=exchange, routing_key="k", priority=1)
        while len(got) < 3:
            try:
                c.drain_events(timeout=5)
            except socket.timeout:
                break
    say("consumer:", got)
    say("heartbeat:", c.heartbeat_check() is None)
    bound = queue(c.default_channel)
    say("left:", bound.queue_declare(passive=True)[1])
    bound.delete()
    exchange(c.default_channel).delete()
