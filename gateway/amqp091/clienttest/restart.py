"""pika while its node is killed: restart.py HOST:PORT. Publishes 200 numbers with confirms, and connects again whenever it has to.

It prints "half" after 100; then somebody kills the node, says so, and starts it again. In the end everything that was confirmed must be in the queue.
"""

import sys
import time

import pika

host, port = sys.argv[1].rsplit(":", 1)


def connect():
    for _ in range(200):
        try:
            c = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), heartbeat=5))
            ch = c.channel()
            ch.queue_declare("r.pika", durable=True)
            ch.confirm_delivery()
            return c, ch
        except pika.exceptions.AMQPError:
            time.sleep(0.1)
    raise SystemExit("the node does not come back")


c, ch = connect()
again = 0
for i in range(200):
    while True:
        try:
            ch.basic_publish("", "r.pika", str(i).encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
            break
        except pika.exceptions.AMQPError:
            again += 1
            c, ch = connect()
    if i == 99:
        print("half", flush=True)
        sys.stdin.readline()  # somebody has killed the node
seen, twice = set(), 0
while True:
    try:
        m, _, b = ch.basic_get("r.pika")
    except pika.exceptions.AMQPError:
        again += 1
        c, ch = connect()
        continue
    if m is None:
        break
    twice += b in seen
    seen.add(b)
    ch.basic_ack(m.delivery_tag)
print("all there:", len(seen) == 200, "connected again:", again > 0, flush=True)
ch.queue_delete("r.pika")
c.close()
