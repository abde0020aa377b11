"""Attackers that slow an API down: `python -m bench.clients.attackers NAME PORT TOKEN CONNECTIONS`.

Each attacks until it is told to stop (SIGTERM), and then prints how often it did.
"""

import itertools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

import orjson

from devstack.servers.ports import LOOPBACK

Attack = Callable[["Line"], None]
_numbers = itertools.count(1)


class Line:
    """One connection of an attacker, with the token of an account of the largest tier."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self._connection = HTTPConnection(LOOPBACK, port, timeout=60)

    def send(self, method: str, path: str, body: bytes | None = None, *, address: str = "198.51.100.7") -> int:
        """Send one request; return the response's status, 0 when the connection was cut."""
        headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
        headers |= {"Authorization": f"Bearer {self.token}"} if address == "198.51.100.7" else {}
        try:
            self._connection.request(method, path, body=body, headers=headers)
            answer = self._connection.getresponse()
            answer.read()
            if answer.status in (429, 503):
                time.sleep(0.02)  # a realistic rate; without it the attacker would occupy a core of its own
            return answer.status
        except (OSError, HTTPException):
            self._connection.close()
            return 0


def _graph(nodes: int, length: int) -> bytes:
    """A chain of so many nodes, each with a different expression and a text of that length."""
    said = [
        {"id": f"n{number}", "type": "ai_agent", "config": {"prompt": f"{{{{ input.x{number} }}}} " + "x" * length}}
        for number in range(nodes)
    ]
    links = [{"from": f"n{number}", "to": f"n{number + 1}"} for number in range(nodes - 1)]
    return orjson.dumps({"nodes": said, "connections": links})


LARGE, SMALL = _graph(3_900, 120), _graph(36, 20)
MANY_KEYS = orjson.dumps({f"k{number}": 1 for number in range(80_000)})
MANY_VALUES = orjson.dumps({"email": [0] * 500_000})


def large_graphs(line: Line) -> None:
    """Validate graphs of nearly a megabyte."""
    line.send("POST", "/api/workflows/validate", LARGE)


def small_graphs(line: Line) -> None:
    """Validate many small graphs."""
    line.send("POST", "/api/workflows/validate", SMALL)


def unknown_keys(line: Line) -> None:
    """Send 80,000 unknown fields, each request from a new address."""
    line.send("POST", "/api/auth/login", MANY_KEYS, address=_somewhere())


def tiny_values(line: Line) -> None:
    """Send half a million values in one field."""
    line.send("POST", "/api/auth/login", MANY_VALUES, address=_somewhere())


def wrong_logins(line: Line) -> None:
    """Guess passwords from many addresses; each guess must be hashed."""
    body = orjson.dumps({"email": f"{next(_numbers)}@example.com", "password": "a wrong guess"})
    line.send("POST", "/api/auth/login", body, address=_somewhere())


def slow_writers(line: Line) -> None:
    """Send requests that never end."""
    with socket.create_connection((LOOPBACK, line.port)) as sender:
        sender.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        try:
            for _ in range(100):
                sender.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            return  # cut off, as expected


def slow_readers(line: Line) -> None:
    """Request responses and never read them."""
    with socket.create_connection((LOOPBACK, line.port)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking = b"GET /api/docs/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        try:
            reader.sendall(asking * 20)
            time.sleep(2)
        except OSError:
            return


def metrics(line: Line) -> None:
    """The addresses at which metrics once were."""
    for path in ("/metrics/", "/api/v1/metrics", "/metrics%2f"):
        line.send("GET", path, address=_somewhere())


def _somewhere() -> str:
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        large_graphs,
        small_graphs,
        unknown_keys,
        tiny_values,
        wrong_logins,
        slow_writers,
        slow_readers,
        metrics,
    )
}


def main(name: str, port: str, token: str, connections: str) -> None:
    """Attack with so many connections at once."""

    done = [0] * int(connections)

    def work(index: int) -> None:
        line = Line(int(port), token)
        while True:
            ATTACKS[name](line)
            done[index] += 1

    def stop(*_: object) -> None:
        os.write(1, b"%d" % sum(done))
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    threads = [threading.Thread(target=work, args=(index,)) for index in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
