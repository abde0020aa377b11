"""`make bench-watching`: how many waiting clients API processes can serve, and what they cost other clients.

Half of them hold a long poll, half an event stream, each of a different run. Then all runs change at once, and at the
end the clients are killed. Meanwhile another client reads a run again and again.
"""

import argparse
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from tempfile import TemporaryDirectory
from uuid import UUID

import psutil
from sqlalchemy import text

from api.live.change_notifier import MAX_SUBSCRIPTIONS_PER_USER
from bench.arguments import parse
from bench.served import ROOT, cpu_seconds, percentile, served_by, servers, users
from devstack.servers.ports import LOOPBACK
from metrics_server import shared_metrics
from models.changes import notify_changed
from models.db import session_scope
from models.services.executions import executions
from models.services.workflows import workflows
from models.tables import User

_CHANGE = text("UPDATE workflow_executions SET last_seq = 2 WHERE last_seq = 1 AND id = ANY(:ids)")
_EVENT = text("""
    INSERT INTO execution_events (execution_id, seq, type, message)
    SELECT id, 2, 'execution.started', 'Started.' FROM unnest(CAST(:ids AS uuid[])) AS id
""")

Api = Sequence[psutil.Process]
WAITING = re.compile(rb"^agentforge_waiting_clients(?:{\S*})? (\S+)", re.MULTILINE)
NODE = {"id": "in", "type": "input", "label": "In", "position": {"x": 0, "y": 0}, "config": {}}


def main() -> None:
    """Measure once, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=1, help="of the API; 2 as in production")
    parser.add_argument("--seconds", type=float, default=10.0, help="that they wait for while CPU is measured")
    args = parse(parser, {"clients": 60, "seconds": 1.0})
    clients = args.clients
    with TemporaryDirectory(prefix="agentforge-bench-") as metrics, servers() as env:
        with_metrics = env | {"PROMETHEUS_MULTIPROC_DIR": metrics}
        with served_by(args.processes, with_metrics) as (port, api):
            pairs = _prepare(clients)
            alone = _read(port, pairs[-1], seconds=3)
            print(f"no client waits: {_memory(api)}; reading a run: {alone}")
            with _watchers(port, pairs[:clients]) as watchers:
                _until_waiting(watchers, metrics, api, clients)
                _hold(port, api, pairs[-1], args)
                _wake(port, api, watchers, pairs, clients)
                _drop(port, api, watchers)


def _until_waiting(watchers: "subprocess.Popen[str]", metrics: str, api: Api, clients: int) -> None:
    began, before = float(_line(watchers, "began").split()[1]), _cpu(api)
    waiting = 0.0
    while waiting < clients:
        if time.monotonic() - began > 60:
            raise SystemExit(f"Only {waiting:.0f} clients wait.")
        time.sleep(0.1)  # to count takes a core of its own
        if found := WAITING.search(shared_metrics(metrics)):
            waiting = float(found[1])
    each = 1000 * (_cpu(api) - before) / clients
    print(f"all of them wait {time.monotonic() - began:.1f} s after the first connected; {each:.2f} ms of CPU for each")


def _hold(port: int, api: Api, pair: list[str], args: argparse.Namespace) -> None:
    time.sleep(2)
    before, started = _cpu(api), time.monotonic()
    time.sleep(args.seconds)
    share = (_cpu(api) - before) / (time.monotonic() - started)
    print(f"{args.clients} wait: {_memory(api)}; {100 * share:.1f} % of a core; {_waiting(api)} connections")
    print(f"meanwhile, reading a run: {_read(port, pair, seconds=3)}")


def _wake(port: int, api: Api, watchers: "subprocess.Popen[str]", pairs: list[list[str]], clients: int) -> None:
    ids = [UUID(pair[1]) for pair in pairs[:clients]]
    answers: list[str] = []
    reader = threading.Thread(target=lambda: answers.append(_read(port, pairs[-1], seconds=4)))
    reader.start()
    time.sleep(0.5)
    with session_scope() as session:
        session.execute(_CHANGE, {"ids": ids})
        session.execute(_EVENT, {"ids": ids})
        notify_changed(session, *ids)
    changed, before = time.monotonic(), _cpu(api)
    seconds = float(_line(watchers, "heard").split()[1]) - changed
    each = 1000 * (_cpu(api) - before) / clients
    print(f"all of them receive a change within {seconds:.2f} s; {each:.2f} ms of CPU for each, with the other reads")
    reader.join()
    print(f"meanwhile, reading a run: {answers[0]}")


def _drop(port: int, api: Api, watchers: "subprocess.Popen[str]") -> None:
    time.sleep(3)
    held = _waiting(api)
    watchers.kill()
    killed = time.monotonic()
    while (left := _waiting(api)) and time.monotonic() - killed < 30:
        time.sleep(0.05)
    print(f"their {held} connections are gone {time.monotonic() - killed:.2f} s after kill -9; {left} are left")


@contextmanager
def _watchers(port: int, pairs: list[list[str]]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "bench.clients.watchers", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin
            process.stdin.write("\n".join(["2", *(" ".join(pair) for pair in pairs)]))
            process.stdin.close()
            yield process
        finally:
            process.kill()


def _line(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(word):
            return line
        raise SystemExit(f"a client reported: {line}")
    raise SystemExit("the clients died")


def _read(port: int, pair: list[str], *, seconds: float) -> str:
    """Read one run as fast as possible; return percentiles of the response times."""
    token, execution = pair
    connection = HTTPConnection(LOOPBACK, port, timeout=30)
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        connection.request("GET", f"/api/executions/{execution}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        times.append(1000 * (time.monotonic() - started))
        time.sleep(0.01)  # within the limits of a tier
    return f"p50 {percentile(times, 0.5):.1f} ms, p95 {percentile(times, 0.95):.1f} ms, most {max(times):.0f} ms"


def _prepare(clients: int) -> list[list[str]]:
    """Pairs of token and run: for each client, and one more."""
    pairs = []
    for user_id, token in users(-(-clients // MAX_SUBSCRIPTIONS_PER_USER) + 1):
        with session_scope() as session:
            user = session.get_one(User, user_id)
            flow = workflows.create(
                session, user, name="bench", description="", graph={"nodes": [NODE], "connections": []}, status="active"
            )
            for _ in range(MAX_SUBSCRIPTIONS_PER_USER):
                run = executions.submit(session, user, flow.id)
                pairs.append([token, str(run.id)])
    return pairs


def _memory(api: Api) -> str:
    memory, threads = sum(one.memory_info().rss for one in api), sum(one.num_threads() for one in api)
    return f"{memory / 2**20:.0f} MB in {threads} threads"


def _waiting(api: Api) -> int:
    """The number of waiting connections; the reading client's own is not counted."""
    sockets = [socket for one in api for socket in one.net_connections()]
    listening = {socket.laddr.port for socket in sockets if socket.status == psutil.CONN_LISTEN}
    return sum(socket.laddr.port in listening for socket in sockets if socket.status == psutil.CONN_ESTABLISHED)


def _cpu(api: Api) -> float:
    return sum(map(cpu_seconds, api))


if __name__ == "__main__":
    main()
