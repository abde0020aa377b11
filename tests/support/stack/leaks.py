"""Searches for secrets in everything that the service writes: logs, broker, Flower, metrics and the whole database."""

import base64
import secrets
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
from psycopg2 import sql

from devstack.app_client import AppClient, AppClientError
from devstack.control import RunningStack
from models.serialization import Json
from roles import ProcessRole

OF_THE_SERVICE = (
    *("JWT_SECRET", "JWT_SECRETS", "ENCRYPTION_KEYS", "OPENCLAW_TOKEN", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"),
)


def environments(stack: RunningStack) -> dict[ProcessRole, dict[str, str]]:
    """The environment of the processes of each role."""
    told = [child.environ() for child in psutil.Process(stack.pid).children(recursive=True)]
    return {ProcessRole(env["AGENTFORGE_ROLE"]): env for env in told if "AGENTFORGE_ROLE" in env}


def secrets_of_the_service(stack: RunningStack) -> dict[str, str]:
    """The secrets in the processes' environment."""
    everything = {name: value for env in environments(stack).values() for name, value in env.items()}
    return {name: everything[name] for name in OF_THE_SERVICE if everything.get(name)}


def places(stack: RunningStack, log: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and contents of everything that the service writes."""
    at = stack.addresses
    yield "log", log.read_text()
    yield "metrics", _page(at["metrics"])
    yield "health", _page(f"{at['api']}/health")
    login = base64.b64encode(f"{at['flower_user']}:{at['flower_password']}".encode()).decode()
    for path in ("/api/tasks?limit=1000", "/metrics", "/api/workers"):
        yield f"flower{path}", _page(at["flower"] + path, login)
    yield from _redis(at["redis"])
    yield from _tables(at["database"])


def put_to_use(app: AppClient, mail: str) -> tuple[Json, dict[str, str], str]:
    """Store and use each kind of secret as a user; return the user, the secrets, and a run's id."""
    mark = secrets.token_hex(10)  # a password may not contain the address
    password, changed, key = f"Password-{mark}", f"Changed-{mark}", f"sk-proj-{mark}{mark}"
    user = app.register(f"canary-{time.monotonic_ns()}@example.com", password, "Canary")
    app.verify(mail, user["email"])
    tokens = [app.token]
    app.call("PUT", "/api-keys/openai", {"key": key})
    access_key = app.call("POST", "/access-keys", {"name": "Canary"})["key"]
    agent = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "Count.", "provider": "openai"}}
    workflow = app.save("Canary", {"nodes": [agent], "connections": []})
    app.token = access_key
    execution_id = app.execute(workflow["id"], None)
    for _ in app.watch(execution_id):
        pass
    app.token = tokens[0]
    app.call("POST", "/auth/change-password", {"currentPassword": password, "newPassword": changed})
    for wrong in (password, f"Wrong-{mark}"):
        with pytest.raises(AppClientError):
            app.call("POST", "/auth/login", {"email": user["email"], "password": wrong})
    tokens.append(app.call("POST", "/auth/login", {"email": user["email"], "password": changed})["token"])
    given = {
        "password": password,
        "changed password": changed,
        "wrong password": f"Wrong-{mark}",
        "access key": access_key,
    }
    given |= {"provider key": key, **{f"token {n}": token.rpartition(".")[2] for n, token in enumerate(tokens)}}
    return user, given, execution_id


def found_in(text: str, secret: str) -> bool:
    """Whether the text contains the secret, as it is or as PostgreSQL writes bytes."""
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
    """The value of a key; `DUMP` may compress long ones, so it is read by type."""
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
