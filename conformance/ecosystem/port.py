"""A port on loopback where nobody listens, below those of connections that go out: a client could take such a one before a server listens there, or while
it is started again."""

import random
import socket


def free_port():
    for n in random.sample(range(20000, 30000), 10000):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", n))
            except OSError:
                continue
        return n
    raise SystemExit("no free port from 20000 to 29999")


if __name__ == "__main__":
    print(free_port())
