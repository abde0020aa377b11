"""Whatever an expression tries, it ends soon, alike each time, and leaves nothing behind."""

import threading
import time

import pytest

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope
from tests.sandbox.attacks import ENDLESS, ESCAPES, LEFT_BEHIND

CPU_SECONDS = 3.0  # of an attack, on any machine; a tenth on a calm one
PROBE = (
    "[[1, 2].map(x => x * 2), {}.leaked ?? null, JSON.stringify([1]), {a: 1}.a, 'abc'.slice(1), [...[5]], sum([1, 2]), "
    "Date.now(), Math.random(), sum.cache ?? null]"
)


def outcome(source: str) -> tuple[object, int]:
    """What comes of a source, as a value or a sentence, and the fuel that it takes."""
    scope = Scope({"input": {"secret": 1}})
    try:
        return compile_expression(source).evaluate(scope), scope.meter.spent
    except (ExpressionError, ExpressionFailed) as refused:
        return refused.detail, scope.meter.spent


@pytest.mark.parametrize("name", ENDLESS)
def test_an_attack_ends_soon_and_alike_each_time(name: str):
    before = time.thread_time()
    first = outcome(ENDLESS[name])
    assert time.thread_time() - before < CPU_SECONDS
    assert outcome(ENDLESS[name]) == first
    assert outcome("input.secret + 1")[0] == 2


@pytest.mark.parametrize("name", ESCAPES)
def test_there_is_no_way_out(name: str):
    value, _ = outcome(ESCAPES[name])
    assert isinstance(value, str)
    assert any(
        words in value for words in ("There is no", "not a function", "Cannot read", "not available", "JSON has no")
    ), value


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_nothing_is_left_behind_for_the_next_one(name: str):
    before = outcome(PROBE)
    for _ in range(5):  # more than there are instances
        outcome(LEFT_BEHIND[name])
        assert outcome(PROBE) == before


def test_what_is_sworn_off_by_the_linter_is_not_there_either():
    """The linter looks at names, and names can be computed."""
    for name in ("eval", "Function", "Promise", "queueMicrotask", "setTimeout", "console", "globalThis", "gc", "print"):
        assert outcome(f"typeof (function () {{ return this }})()?.['{name}']")[0] == "undefined"


def test_other_threads_go_on_while_one_computes():
    gaps, done = [], threading.Event()

    def watch() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            gaps.append(time.perf_counter() - last)
            last = time.perf_counter()

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        outcome(ENDLESS["loop"])
    done.set()
    watcher.join()
    assert sorted(gaps)[len(gaps) // 2] < 0.05  # half of them: a busy machine makes others
