"""What a Celery worker does, and what it is asked to do: tasks.py AMQP_URL. The worker runs in this process."""

import sys
import threading
import time

from celery import Celery, group
from celery.exceptions import TaskRevokedError
from celery.contrib.testing.worker import start_worker

app = Celery("tasks", broker=sys.argv[1], backend="rpc://")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_default_queue="celery-test",
    task_queue_max_priority=10,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_default_rate_limit=None,
)
tried, started = [], {}
lock = threading.Lock()


@app.task(name="celery.ping")
def ping():
    return "pong"


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def flaky(self):
    tried.append(self.request.retries)
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return f"done after {self.request.retries}"


@app.task(bind=True)
def when(self, name):
    with lock:
        started[name] = time.monotonic()
    return self.request.delivery_info["routing_key"]


@app.task(rate_limit="600/m")
def limited(i):
    with lock:
        started[f"limited {i}"] = time.monotonic()


@app.task
def broken():
    raise ValueError("as asked")


def say(*words):
    print(*words, flush=True)


def main():
    say("add:", add.delay(2, 3).get(timeout=20))
    say("group:", group(add.s(i, i) for i in range(20))().get(timeout=20))
    say("chain:", (add.s(1, 2) | add.s(3) | add.s(4))().get(timeout=20))
    say("retry:", flaky.delay().get(timeout=20), tried)
    asked = time.monotonic()
    say("eta:", when.apply_async(("eta",), countdown=1).get(timeout=20))
    say("eta waited:", started["eta"] - asked > 0.8)
    for r in [limited.delay(i) for i in range(6)]:
        r.get(timeout=20)
    times = sorted(v for k, v in started.items() if k.startswith("limited"))
    say("rate held:", times[-1] - times[0] >= 0.35)
    try:
        broken.delay().get(timeout=20)
    except ValueError as e:
        say("failed:", e)
    say("expires:", add.apply_async((1, 1), expires=60).get(timeout=20))
    say("priority:", add.apply_async((5, 5), priority=9).get(timeout=20))
    say("ping:", [list(x.values())[0]["ok"] for x in app.control.ping(timeout=20, limit=1)])
    r = when.apply_async(("revoked",), countdown=6)
    r.revoke()
    try:
        r.get(timeout=30)  # told when its time comes
    except TaskRevokedError:
        pass
    say("revoked ran:", "revoked" in started)
    with app.connection_for_write() as c:
        say("left:", c.default_channel.queue_declare("celery-test", passive=True).message_count)


with start_worker(app, concurrency=2, pool="threads", perform_ping_check=False, shutdown_timeout=20, loglevel="ERROR"):
    main()
say("end")
