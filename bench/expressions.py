"""Measures what expressions cost, and that a process that evaluates a million of them stays as it is.

`--evaluations 1000000` is the long run. Times are of the processor, so a busy machine changes them little.
"""

import argparse
import resource
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from bench.arguments import parse
from models.errors import ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope
from sandbox.image import load
from sandbox.instance import Instance, SandboxRequest

ROWS = [{"price": number % 37, "quantity": number, "name": f"row {number}"} for number in range(10_000)]
BOMBS = ("(() => { for (;;); })()", "/(a+)+$/.test('a'.repeat(40) + '!')", "(() => { let s = 'x'; for (;;) s += s })()")


@dataclass(frozen=True)
class ExpressionCase:
    """One kind of expression, with the variables that it sees."""

    name: str
    source: str
    variables: dict[str, object]
    times: int


CASES = (
    ExpressionCase("path", "input.a.b", {"a": {"b": 1}}, 20_000),
    ExpressionCase("a*b+c", "input.a * input.b + input.c", {"a": 1, "b": 2, "c": 3}, 2_000),
    ExpressionCase("filter 100 rows", "input.filter(row => row.price > 10)", {"input": ROWS[:100]}, 200),
    ExpressionCase("filter 10,000 rows", "input.filter(row => row.price > 10)", {"input": ROWS}, 5),
    ExpressionCase("group 1,000 rows", "groupBy(input, 'price')", {"input": ROWS[:1_000]}, 20),
    ExpressionCase("sign a text", "hmac(input.a, input.b)", {"a": "secret", "b": "x" * 200}, 200),
    ExpressionCase("date in a zone", "formatDate(now(), 'yyyy-MM-dd HH:mm', 'Europe/Oslo')", {}, 500),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=20_000, help="for the memory of a process")
    parser.add_argument("--seconds", type=float, default=3.0, help="for threads that share the sandbox")
    asked = parse(parser, {"evaluations": 2_000, "seconds": 1.0})
    costs()
    restoring()
    many(asked.evaluations)
    threads(asked.seconds, attackers=0)
    threads(asked.seconds, attackers=8)


def costs() -> None:
    """Microseconds of one evaluation of each kind, and its fuel."""
    print(f"\n{'microseconds of CPU':24}{'median':>10}{'M instructions':>16}")
    for case in CASES:
        expression = compile_expression(case.source)
        scope = _scope(case.variables)
        times = [_timed(lambda e=expression, s=scope: e.evaluate(s), max(1, case.times // 5)) for _ in range(5)]
        before = scope.meter.spent
        expression.evaluate(scope)
        print(f"{case.name:24}{statistics.median(times):10.1f}{(scope.meter.spent - before) / 1e6:16.2f}")
    sources = [f"input.rows.filter(row => row.p{number} > {number}).length > {number}" for number in range(100)]
    begun = time.thread_time()
    for source in sources:
        compile_expression(source)
    print(f"{'read and check one':24}{(time.thread_time() - begun) * 1e4:10.1f}")


def restoring() -> None:
    """A restored instance beside a fresh one for each evaluation."""
    image, request = load("evaluate"), SandboxRequest(b'{"mode": "value", "seed": 1, "names": {}}\x001', 10**7)
    kept = Instance(image)
    restored = _timed(lambda: kept.run(request), 500)
    fresh = _timed(lambda: Instance(image).run(request), 100)
    print(f"{'restored instance':24}{restored:10.1f}\n{'fresh instance':24}{fresh:10.1f}")


def many(evaluations: int) -> None:
    """The memory of this process while it evaluates this many."""
    process, cases = psutil.Process(), [case for case in CASES if case.times >= 200]
    compiled = [(compile_expression(case.source), case.variables) for case in cases]
    begun, megabytes = time.perf_counter(), []
    for number in range(evaluations):
        expression, variables = compiled[number % len(compiled)]
        expression.evaluate(_scope(variables))
        if number % 500 == 0:  # now and then one that is stopped, whose instance is given up
            _ignored(BOMBS[number // 500 % len(BOMBS)])
        if number % max(1, evaluations // 10) == 0:
            megabytes.append(process.memory_info().rss / 2**20)
    seconds = time.perf_counter() - begun
    tenths = " ".join(f"{size:.0f}" for size in megabytes)
    print(f"\n{evaluations:,} evaluations in {seconds:.1f} s; megabytes by tenths: {tenths}")
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MB")


def threads(seconds: float, attackers: int) -> None:
    """How long 64 threads wait for an evaluation, ten a second each, beside so many that attack all the time."""
    over, waits, lock = threading.Event(), [], threading.Lock()
    expression = compile_expression("input.list.map(x => x * input.by)")

    def ask(number: int) -> None:
        own = []
        while not over.wait(0.05 + number % 7 / 100):
            begun = time.perf_counter()
            expression.evaluate(_scope({"list": [1, 2, 3], "by": number}))
            own.append(1_000 * (time.perf_counter() - begun))
        with lock:
            waits.extend(own)

    def attack(number: int) -> None:
        while not over.is_set():
            _ignored(BOMBS[number % len(BOMBS)])

    working = [threading.Thread(target=ask, args=(number,)) for number in range(64 - attackers)]
    working += [threading.Thread(target=attack, args=(number,)) for number in range(attackers)]
    for thread in working:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in working:
        thread.join()
    waits.sort()
    told = (
        f"p50 {waits[len(waits) // 2]:.1f} ms, p99 {waits[len(waits) * 99 // 100]:.1f} ms, at most {waits[-1]:.0f} ms"
    )
    print(f"64 threads, {attackers} of them attack: {len(waits) / seconds:.0f} a second, {told}")


def _scope(variables: dict[str, object]) -> Scope:
    return Scope(variables if "input" in variables else {"input": variables})


def _timed(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU of one call."""
    work()
    begun = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - begun) / times * 1e6


def _ignored(source: str) -> None:
    try:
        compile_expression(source).evaluate(_scope({}))
    except ExpressionFailed:
        return
    raise AssertionError(f"{source} was not stopped")


if __name__ == "__main__":
    main()
