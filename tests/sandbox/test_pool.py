"""Many threads and processes use the sandbox, and none waits for ever or meets what another one left."""

import sys
import threading
from subprocess import run

import pytest

from models.errors import ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope
from sandbox.image import load
from sandbox.instance import Instance, SandboxRequest, Stopped, StopReason
from sandbox.pool import InstancePool
from tests.sandbox.attacks import ENDLESS


def at_once(count: int, work) -> list[object]:
    """What `work` answers in so many threads that begin together."""
    gate, answers = threading.Barrier(count), [None] * count

    def one(number: int) -> None:
        gate.wait()
        answers[number] = work(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_64_threads_get_their_own_answers_beside_attackers():
    bombs = [ENDLESS[name] for name in ("loop", "doubling a text", "a regular expression", "recursion")]

    def work(number: int) -> object:
        if number % 8 == 0:
            with pytest.raises(ExpressionFailed):
                compile_expression(bombs[number // 8 % 4]).evaluate(Scope({}))
            return None
        expression = compile_expression("input.list.map(x => x * input.by)")
        return [expression.evaluate(Scope({"input": {"list": [1, 2], "by": number}})) for _ in range(10)]

    answers = at_once(64, work)
    assert all(answers[number] == [[number, 2 * number]] * 10 for number in range(64) if number % 8)


def test_instances_are_lent_in_the_order_of_asking():
    lent, order, waiting = InstancePool([object()]), [], []
    with lent.lend():
        for number in range(8):
            thread = threading.Thread(target=lambda number=number: _note(lent, order, number))
            thread.start()
            waiting.append(thread)
            while len(lent._waiting) <= number:
                pass
    for thread in waiting:
        thread.join()
    assert order == list(range(8))


def _note(lent: InstancePool, order: list[int], number: int) -> None:
    with lent.lend():
        order.append(number)


def test_a_child_process_has_a_sandbox_of_its_own():
    """Workers fork: what the parent has is of no use to a child, not even its locks."""
    program = """
import os, threading
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope
expression = compile_expression("input.a * 2 + 1")
value = lambda n: expression.evaluate(Scope({"input": {"a": n}}))
assert value(1) == 3
stop = threading.Event()
def work():
    while not stop.is_set(): value(2)
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
children = []
for n in range(4):
    child = os.fork()
    if not child:
        os._exit(0 if value(n) == 2 * n + 1 else 1)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
stop.set()
"""
    ran = run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120)
    assert (ran.stdout.strip(), ran.returncode) == ("[0, 0, 0, 0]", 0), ran.stderr


class TestInstance:
    @pytest.fixture
    def instance(self):
        return Instance(load("evaluate"))

    @staticmethod
    def asked(source: str, fuel: int = 50_000_000) -> SandboxRequest:
        return SandboxRequest(b'{"mode": "value", "seed": 1, "names": {}}\0' + source.encode(), fuel)

    def test_an_instance_is_restored_rather_than_made_anew(self, instance):
        instance.run(self.asked("1"))
        store = instance._store
        assert instance.run(self.asked("[1, 2]")).payload == b"v[1,2]"
        assert instance._store is store is not None

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("(() => { for (;;); })()", StopReason.FUEL),
            ("(() => { const a = []; for (;;) a.push(new Uint8Array(1e6)) })()", StopReason.FUEL),
        ],
    )
    def test_an_instance_that_was_stopped_is_given_up(self, instance, source, reason):
        with pytest.raises(Stopped) as stopped:
            instance.run(self.asked(source))
        assert stopped.value.reason is reason
        assert instance._store is None
        assert instance.run(self.asked("1")).payload == b"v1"

    def test_an_instance_that_grew_is_given_up(self, instance):
        assert instance.run(self.asked("new Uint8Array(3e6).length")).payload == b"v3000000"
        assert instance._store is None

    def test_memory_is_the_same_after_an_evaluation_as_before(self, instance):
        instance.run(self.asked("1"))
        image = instance._image
        instance.run(self.asked("[1, 2, 3].map(x => ({x}))"))
        memory = bytes(instance._memory.read(instance._store))
        assert memory[image.layout.low :] == image.restored

    def test_a_fresh_and_a_restored_instance_take_the_same_fuel(self, instance):
        spent = [instance.run(self.asked("[3, 1, 2].sort().map(x => x * 2)")).fuel for _ in range(3)]
        assert len(set(spent)) == 1
        assert spent[0] == Instance(instance._image).run(self.asked("[3, 1, 2].sort().map(x => x * 2)")).fuel
