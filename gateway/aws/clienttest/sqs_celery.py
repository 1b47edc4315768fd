# A Celery application with SQS as its broker: a worker in a process of its own, and tasks for it. It ends with "all is well".
import os
import subprocess
import sys
import time

from celery import Celery

app = Celery("sqs_celery", broker=f"sqs://any:any@{sys.argv[1] if len(sys.argv) > 1 and ':' in sys.argv[1] else os.environ['AT']}")
app.conf.update(
    broker_transport_options={"region": "eu-west-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0.1},
    task_default_queue="celery-work", worker_enable_remote_control=False, task_acks_late=True,
)


@app.task(bind=True, default_retry_delay=1)
def work(self, n):
    if n == 7 and self.request.retries == 0:
        raise self.retry()
    with open(os.environ["DONE"], "a") as f:
        f.write(f"{n}\n")


if __name__ == "__main__":
    os.environ["AT"] = sys.argv[1]
    worker = subprocess.Popen([sys.executable, "-m", "celery", "-A", "sqs_celery", "worker", "--pool", "solo", "--loglevel", "WARNING"])
    try:
        for n in range(20):
            work.delay(n)
        for _ in range(600):
            done = open(os.environ["DONE"]).read().split() if os.path.exists(os.environ["DONE"]) else []
            if len(set(done)) == 20:
                break
            time.sleep(0.1)
        assert sorted(map(int, done)) == list(range(20)), done
    finally:
        worker.terminate()
        worker.wait(20)
    print("all is well")
