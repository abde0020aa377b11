"""`make soak`: thousands of payments, refunds and runs while workers are killed and webhooks are lost or reordered.

Real processes in a separate directory. After everything has settled, the drift between Stripe and the database is
counted; one reconciliation repairs it, and a second one finds nothing. The exit status is 1 if that does not hold.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import UUID

from bench.arguments import parse
from bench.soak.drift import NAMES, Drift, measure, query, unfinished, unsettled
from bench.soak.traffic import AT_ONCE, BY_APP, Traffic, make_users
from bench.soak.trouble import BILLING, EXECUTIONS, Stripe, Trouble, workers
from devstack import control
from models.db import connect
from models.tables import RunKind
from workers.exclusive import exclusive

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    """Run the soak and print its table."""
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="agentforge-soak-") as folder:
        directory = Path(folder)
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env |= {"PORT": "0", "FLOWER_PORT": "0"}
        env |= {"LEASE_SECONDS": "4", "HEARTBEAT_SECONDS": "1"}
        try:
            return _soak(control.ensure_up(directory, env), args)
        finally:
            control.stop(directory)
            if args.log:
                Path(args.log).write_bytes((directory / "stack.log").read_bytes())


def _soak(stack: control.RunningStack, args: argparse.Namespace) -> int:
    database, stripe = stack.addresses["database"], Stripe(stack.addresses["stripe_simulator"])
    connect(database)
    traffic = Traffic(make_users(stack.addresses["api"], args.users), database, stripe, args)
    with _no_reconciliation(), _watching(database) as credited:
        started = time.monotonic()
        with Trouble(stack.pid, stripe, every=args.kill_every, seed=args.seed) as trouble:
            traffic.run(until=started + 60 * args.minutes)
            busy = time.monotonic() - started
        _say(f"{traffic.counts['purchases']} purchases asked for in {busy:.0f} s; now everything settles.")
        _settle(database, stripe, started + 60 * args.minutes + 300)
        settled = time.monotonic() - started
        before = _drift(database, stripe)
    reports, after = [], before
    for _ in range(2):
        reports.append(_reconcile(stack))
        _settle(database, stripe, time.monotonic() + 120, quiet=0)
        after = after if len(reports) == 2 else _drift(database, stripe)
    rows = _facts(database, stripe, traffic, trouble, busy, settled)
    for kind in (AT_ONCE, BY_APP):
        rows.append((f"request to credits, {kind}", _times(traffic.clock[kind], credited)))
    _print(rows, before, after, reports)
    return 0 if after.total == 0 and reports[1] == 0 else 1


@contextmanager
def _no_reconciliation() -> Iterator[None]:
    """Prevent beat's reconciliation by holding its leases, so that only the one after the soak repairs anything."""
    with ExitStack() as held:
        for kind in RunKind:
            lease = held.enter_context(exclusive(f"reconciliation:{kind}", wait_seconds=120))
            assert lease is not None
        yield


@contextmanager
def _watching(database: str) -> Iterator[dict[UUID, float]]:
    """Record when the credits of each purchase are first seen, by polling twenty times a second."""
    seen: dict[UUID, float] = {}
    over = threading.Event()

    def watch() -> None:
        statement = "SELECT purchase_id::text FROM credit_transactions WHERE source = 'purchase'"
        while not over.wait(0.05):
            now, rows = time.monotonic(), query(database, statement)
            for (purchase_id,) in rows:
                seen.setdefault(UUID(purchase_id), now)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _settle(database: str, stripe: Stripe, deadline: float, quiet: float = 5.0) -> None:
    """Wait until nothing is in progress, and for `quiet` seconds more."""
    stripe("wait_for_webhooks", timeout=50)
    while (unsettled(database) or unfinished(database)) and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(quiet)


def _drift(database: str, stripe: Stripe) -> Drift:
    return measure(database, stripe("objects", kind="payment_intent"), stripe("objects", kind="refund"))


def _reconcile(stack: control.RunningStack) -> int:
    """Run the operators' command with the workers' environment; return the number of repairs."""
    env = workers(stack.pid, BILLING)[0].environ()
    command = [sys.executable, "-m", "tasks.reconciliation"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    summaries = [line for line in done.stdout.splitlines() if re.match(r"\w+: (done|incomplete|abandoned) since", line)]
    _say("\n".join(summaries) + done.stderr)
    assert len(summaries) == len(RunKind), done.stdout
    return sum(int(number) for line in summaries for number in re.findall(r"(\d+) repaired", line))


def _facts(
    database: str, stripe: Stripe, traffic: Traffic, trouble: Trouble, busy: float, settled: float
) -> list[tuple[str, object]]:
    deliveries = stripe("deliveries")
    sent = Counter(d["event"] for d in deliveries if d["result"] != "dropped" and d["attempt"] == 1)
    runs: dict[str, int] = dict(query(database, "SELECT status, count(*) FROM workflow_executions GROUP BY status"))
    crashes = query(database, "SELECT coalesce(sum(jsonb_array_length(crash_log)), 0) FROM workflow_executions")[0][0]
    return [
        ("purchases asked for", traffic.counts["purchases"]),
        ("  of these confirmed by the app", traffic.counts[BY_APP]),
        ("refunds", traffic.counts["refunds"]),
        ("runs", ", ".join(f"{number} {status}" for status, number in runs.items())),
        ("  taken over from a killed worker", crashes),
        ("refused or broken calls", dict(traffic.refused) or 0),
        ("seconds of traffic, until settled", f"{busy:.0f}, {settled:.0f}"),
        ("billing, execution workers killed", f"{trouble.kills[BILLING]}, {trouble.kills[EXECUTIONS]}"),
        ("webhook events", len({d["event"] for d in deliveries})),
        ("  dropped for ever", sum(d["result"] == "dropped" for d in deliveries)),
        ("  duplicated", sum(copies > 1 for copies in sent.values())),
        ("  held and let go in another order", trouble.shuffled),
    ]


def _times(clock: dict[UUID, float], credited: dict[UUID, float]) -> str:
    """Median and p99 of purchases that got their credits without reconciliation."""
    times = sorted(credited[purchase] - begun for purchase, begun in clock.items() if purchase in credited)
    if len(times) < 2:
        return "too few"
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
    return f"median {statistics.median(times):.2f} s, p99 {p99:.2f} s, longest {times[-1]:.2f} s, of {len(times)}"


def _print(rows: list[tuple[str, object]], before: Drift, after: Drift, repaired: list[int]) -> None:
    for name, value in rows:
        print(f"{name:46}{value}")
    print(f"\n{'drift':46}{'before':>9}{'after one reconciliation':>27}")
    for name, words in NAMES.items():
        print(f"{words:46}{getattr(before, name):9}{getattr(after, name):27}")
    print(f"{'in all':46}{before.total:9}{after.total:27}")
    print(f"\nrepaired by the first and the second run: {repaired[0]}, {repaired[1]}")


def _say(sentence: str) -> None:
    with suppress(BrokenPipeError):
        print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--purchases", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the traffic")
    parser.add_argument("--users", type=int, default=24)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--refunds", type=float, default=0.2, help="share of the purchases")
    parser.add_argument(
        "--by-app", type=float, default=0.4, help="share that is paid in the app, reported by webhook only"
    )
    parser.add_argument("--runs", type=float, default=0.3, help="runs for each purchase")
    parser.add_argument("--kill-every", type=float, default=6.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", help="keep the stack's log in this file")
    return parse(parser, {"purchases": 40, "minutes": 0.5, "users": 4, "threads": 4, "kill_every": 3.0})


if __name__ == "__main__":
    sys.exit(main())
