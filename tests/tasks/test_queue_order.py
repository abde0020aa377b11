"""High priorities precede low ones, and low ones are not starved."""

from collections import Counter

import pytest
from kombu.utils.scheduling import cycle_by_name

from celery_config import app
from tasks.queue_order import WeightedRoundRobin

HIGH, NORMAL, LOW, OWN = "executions.high", "executions.normal", "executions.low", "worker.one@host"


def order(*names: str) -> WeightedRoundRobin:
    made = cycle_by_name(app.conf.broker_transport_options["queue_order_strategy"])()
    made.update(names)
    return made


def served(cycle: WeightedRoundRobin, messages: dict[str, int], number: int) -> Counter[str]:
    """Which queues the next messages come from, as a blocking pop takes them: the first that has one."""
    left, found = Counter(messages), Counter()
    for _ in range(number):
        name = next(name for name in cycle.consume(len(messages)) if left[name])
        left[name] -= 1
        found[cycle.rotate(name)] += 1
    return found


def test_while_all_wait_each_gets_its_share():
    floods = {LOW: 100, NORMAL: 100, HIGH: 100}
    assert served(order(*floods), floods, 100) == {HIGH: 60, NORMAL: 30, LOW: 10}


@pytest.mark.parametrize("high", [HIGH, NORMAL])
def test_a_low_priority_waits_for_ten_others_at_most(high):
    floods = {high: 100, LOW: 100}
    cycle = order(*floods)
    for _ in range(5):
        assert served(cycle, floods, 10)[LOW] == 1


def test_an_unused_share_goes_to_the_highest_waiting_queue():
    assert served(order(HIGH, NORMAL, LOW), {HIGH: 0, NORMAL: 100, LOW: 100}, 100) == {NORMAL: 90, LOW: 10}
    assert served(order(HIGH, NORMAL, LOW), {HIGH: 0, NORMAL: 0, LOW: 100}, 100) == {LOW: 100}


def test_a_worker_reads_its_own_queue_before_all_floods():
    floods = {HIGH: 100, LOW: 100, OWN: 1}
    assert served(order(*floods), floods, 1) == {OWN: 1}


def test_queues_without_priorities_take_turns():
    floods = {"billing": 100, "notifications": 100, "maintenance": 100}
    assert served(order(*floods), floods, 30) == dict.fromkeys(floods, 10)
