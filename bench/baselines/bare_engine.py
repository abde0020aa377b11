"""The baseline of `bench.engine`: an engine that keeps its state in PostgreSQL, and does nothing else.

One Celery task drives one run from its first node to its last. Calls go out in threads of the process. Each change of a
run, results and the starts that follow from them, is one statement, written before those starts happen. There are no
leases, no epochs, no history, no money, no limits, no expressions and no guard: what is left is what any engine does.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import orjson
import psycopg2
import urllib3
from celery import Celery

from models.serialization import Json

TABLES = """
    CREATE TABLE bare_runs (id uuid PRIMARY KEY, graph jsonb NOT NULL, status text NOT NULL, done int NOT NULL);
    CREATE TABLE bare_nodes (run_id uuid, node_id text, status text NOT NULL, output jsonb,
                             changed_at timestamptz NOT NULL, PRIMARY KEY (run_id, node_id));
"""
_BEGIN = "UPDATE bare_runs SET status = 'running' WHERE id = %s AND status = 'queued' RETURNING graph"
_RECORD = """
    WITH results AS (
        INSERT INTO bare_nodes SELECT %(run)s, node_id, status, output, now()
          FROM jsonb_to_recordset(%(results)s::jsonb) AS v(node_id text, status text, output jsonb)
            ON CONFLICT (run_id, node_id) DO UPDATE
           SET status = excluded.status, output = excluded.output, changed_at = excluded.changed_at)
    UPDATE bare_runs SET status = %(status)s, done = %(done)s WHERE id = %(run)s
"""
CALLS = 256  # at a time, for each process, as many as ours has by default


app = Celery("bare", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    result_backend_thread_safe=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
)
app.conf.task_default_queue = "bare"

_calls = ThreadPoolExecutor(CALLS)
_http = urllib3.PoolManager(maxsize=CALLS)
_local = threading.local()


@app.task(name="bare.run")
def run(run_id: str) -> None:
    """Drive one run."""
    with _cursor() as cursor:
        cursor.execute(_BEGIN, (run_id,))
        row = cursor.fetchone()
    if row:
        BareRun(run_id, row[0]).drive()


@contextmanager
def _cursor() -> Iterator[Any]:
    """A cursor of this thread's own connection; each statement is a transaction."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        _local.connection.autocommit = True
    with _local.connection.cursor() as cursor:
        yield cursor


class BareRun:
    """One run, driven by the thread that made it."""

    def __init__(self, run_id: str, graph: Json) -> None:
        self._id = run_id
        self._urls = {node["id"]: node["config"].get("url") for node in graph["nodes"]}
        self._after: dict[str, list[str]] = {name: [] for name in self._urls}
        self._missing = dict.fromkeys(self._urls, 0)
        for connection in graph["connections"]:
            self._after[connection["from"]].append(connection["to"])
            self._missing[connection["to"]] += 1
        self._answers: SimpleQueue[tuple[str, Json]] = SimpleQueue()
        self._outputs: dict[str, Json] = {}
        self._changed: list[dict[str, Json]] = []

    def drive(self) -> None:
        """Start what may start, write down what changed, wait for answers."""
        ready = [name for name, missing in self._missing.items() if not missing]
        while ready or len(self._outputs) < len(self._urls):
            calls = [name for name in ready if self._urls[name]]
            self._changed += [_row(name, "running") for name in calls]
            after = [follower for name in ready if not self._urls[name] for follower in self._settled(name, None)]
            self._record()
            for name in calls:
                _calls.submit(self._call, name, self._urls[name])
            ready = after or self._answered()
        self._record()

    def _call(self, name: str, url: str) -> None:
        response = _http.request("GET", url, timeout=30.0, retries=2)
        self._answers.put((name, {"status": response.status, "body": orjson.loads(response.data)}))

    def _answered(self) -> list[str]:
        """Wait for an answer, and take all that are there; answers the nodes that may follow."""
        ready: list[str] = []
        while len(self._outputs) < len(self._urls):
            ready += self._settled(*self._answers.get())
            if self._answers.empty():
                break
        return ready

    def _settled(self, name: str, output: Json) -> list[str]:
        self._outputs[name] = output
        self._changed.append(_row(name, "success", output))
        for follower in self._after[name]:
            self._missing[follower] -= 1
        return [follower for follower in self._after[name] if not self._missing[follower]]

    def _record(self) -> None:
        done = len(self._outputs)
        status = "success" if done == len(self._urls) else "running"
        changed = list({row["node_id"]: row for row in self._changed}.values())
        self._changed = []
        if changed:
            with _cursor() as cursor:
                results = orjson.dumps(changed).decode()
                cursor.execute(_RECORD, {"run": self._id, "results": results, "status": status, "done": done})


def _row(name: str, status: str, output: Json = None) -> dict[str, Json]:
    return {"node_id": name, "status": status, "output": output}
