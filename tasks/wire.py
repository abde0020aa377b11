"""A doorbell as Celery's workers read it from Redis, written without kombu, which takes longer for it than all the SQL
of a submission. It is the message that kombu would have published; a test compares the two.

Only for Redis: to other brokers `tasks.queue` publishes through Celery.
"""

import os
import socket
from base64 import b64encode
from collections.abc import Mapping
from uuid import uuid4

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SCHEMES = ("redis://", "rediss://")
_NO_OPTIONS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_HEADERS = {
    "lang": "py",
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "()",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}


class RedisLine:
    """Puts messages in queues: a second at most for each of two tries. Connects on first use; threads may share it."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=1, socket_connect_timeout=1, socket_keepalive=True, retry=Retry(NoBackoff(), 0)
        )

    def send(self, task: str, queue: str, ids: Mapping[str, str | int]) -> None:
        """Raises what the client does when Redis does not take it.

        The first try is without what the client does around a command, which takes longer than the command.
        """
        body = message(task, queue, ids)
        pool = self._client.connection_pool
        line = pool.get_connection()
        try:
            line.send_command("LPUSH", queue, body)
            line.read_response()
        except (redis.ConnectionError, redis.TimeoutError):
            self._client.lpush(queue, body)
        finally:
            pool.release(line)


def message(task: str, queue: str, ids: Mapping[str, str | int]) -> bytes:
    """Celery's protocol 2 in kombu's envelope."""
    task_id = str(uuid4())
    body = b64encode(orjson.dumps([[], ids, _NO_OPTIONS])).decode()
    headers = {"task": task, "id": task_id, "root_id": task_id, "kwargsrepr": repr(dict(ids)), "origin": _origin()}
    properties = {
        "correlation_id": task_id,
        "reply_to": "",  # nobody waits for a result
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    envelope = {"body": body, "content-encoding": "utf-8", "content-type": "application/json"}
    return orjson.dumps({**envelope, "headers": _HEADERS | headers, "properties": properties})


def _origin() -> str:
    return f"gen{os.getpid()}@{socket.gethostname()}"
