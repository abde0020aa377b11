"""Looks for secrets wherever the service leaves anything: logs, the broker, Flower, metrics and the whole database."""

import base64
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import redis
from psycopg2 import sql

from devstack.control import Running

OF_THE_SERVICE = (
    *("JWT_SECRET", "JWT_SECRETS", "ENCRYPTION_KEYS", "OPENCLAW_TOKEN", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"),
)


def secrets_of_the_service(stack: Running) -> dict[str, str]:
    """What its processes are told in their environment."""
    children = psutil.Process(stack.pid).children(recursive=True)
    (env, *_) = (child.environ() for child in children if any("gunicorn" in word for word in child.cmdline()))
    return {name: env[name] for name in OF_THE_SERVICE if env.get(name)}


def places(stack: Running, log: Path) -> Iterator[tuple[str, str]]:
    """Every place with all that is written there."""
    at = stack.addresses
    yield "log", log.read_text()
    yield "metrics", _page(f"{at['api']}/metrics")
    yield "health", _page(f"{at['api']}/health")
    login = base64.b64encode(f"{at['flower_user']}:{at['flower_password']}".encode()).decode()
    for path in ("/api/tasks?limit=1000", "/metrics", "/api/workers"):
        yield f"flower{path}", _page(at["flower"] + path, login)
    yield from _redis(at["redis"])
    yield from _tables(at["database"])


def found_in(text: str, secret: str) -> bool:
    """As it is, or as PostgreSQL writes bytes."""
    return secret in text or secret.encode().hex() in text


def _page(url: str, login: str = "") -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"} if login else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def _redis(url: str) -> Iterator[tuple[str, str]]:
    with redis.Redis.from_url(url) as client:
        numbers = [name.removeprefix("db") for name in client.info("keyspace")]
    for number in numbers:
        with redis.Redis.from_url(url, db=int(number)) as client:
            for key in client.scan_iter(count=1000):
                yield f"redis {number} {key!r}", repr(key) + repr(client.dump(key)) + _plain(client, key)


def _plain(client: redis.Redis, key: bytes) -> str:
    """`DUMP` may compress what is long."""
    kind = client.type(key).decode()
    read = {"string": client.get, "hash": client.hgetall, "set": client.smembers}
    read |= {"list": lambda name: client.lrange(name, 0, -1), "zset": lambda name: client.zrange(name, 0, -1)}
    return repr(read[kind](key)) if kind in read else ""


def _tables(url: str) -> Iterator[tuple[str, str]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT row::text FROM {} AS row").format(sql.Identifier(table)))
            yield f"table {table}", "\n".join(line for (line,) in cursor.fetchall())
