"""Limits hold for all processes together, whichever of them dies, and also while Redis is away."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import redis

from models.db import session_scope
from models.rules.graph.effects import TextResult
from models.rules.prices.pricing import Provider
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from tests.support.engine.openclaw_case import eventually
from workers.engine.attempts.limit_sharing import LimitSharing, share_of
from workers.engine.attempts.limiter import FIRST_LIMIT, AdaptiveLimiter
from workers.engine.attempts.provider_queue import Demand, Grant
from workers.engine.attempts.redis_places import RedisPlaces
from workers.engine.values.queued_calls import LimitKey, QueuedCall
from workers.gateways.base import CallFailed

GATEWAY = LimitKey(Provider.OPENCLAW)
MOST = 3
LEASE = 30.0


def wants(number: int, *, held: int = 0, maximum: int = MOST, limit: float = MOST, **learned: float) -> Demand:
    return Demand(held, number, maximum, limit, **learned)


@pytest.fixture
def places(redis_client: redis.Redis) -> Callable[..., RedisPlaces]:
    """The places of a process in this test's Redis."""
    redis_client.flushdb()

    def make(process: str, *, lease_seconds: float = LEASE) -> RedisPlaces:
        return RedisPlaces(redis_client, process=process, lease_seconds=lease_seconds)

    return make


class TestPlaces:
    def test_are_no_more_than_the_limit_for_all_together(self, places):
        a, b = places("a"), places("b")
        assert a.claim(GATEWAY, wants(2), {}).places == 2
        assert b.claim(GATEWAY, wants(5), {}) == Grant(1, elsewhere=2, limit=3.0)
        assert a.claim(GATEWAY, wants(3, held=2), {}) == Grant(2, elsewhere=1, limit=3.0, contested=True)

    def test_that_are_given_up_can_be_had_at_once(self, places):
        a, b = places("a"), places("b")
        a.claim(GATEWAY, wants(3), {})
        a.claim(GATEWAY, wants(0), {})
        assert b.claim(GATEWAY, wants(3), {}).places == 3

    def test_go_to_who_has_the_fewest_and_then_to_who_has_waited_longest(self, places):
        a, b, c = places("a"), places("b"), places("c")
        assert a.claim(GATEWAY, wants(9), {}).places == 3
        assert [one.claim(GATEWAY, wants(9), {}).places for one in (b, c)] == [0, 0]
        assert a.claim(GATEWAY, wants(9, held=2), {}).places == 2  # one of its calls ended; others come first
        assert c.claim(GATEWAY, wants(9), {}).places == 0  # b has waited longer
        assert b.claim(GATEWAY, wants(9), {}).places == 1
        a.claim(GATEWAY, wants(9, held=1), {})
        assert [one.claim(GATEWAY, wants(9, held=held), {}).places for one, held in ((b, 1), (c, 0))] == [1, 1]

    def test_of_a_process_that_vanished_come_back_with_its_lease(self, places):
        places("killed", lease_seconds=1.0).claim(GATEWAY, wants(3), {})
        b = places("b")
        assert b.claim(GATEWAY, wants(3), {}).places == 0
        eventually(lambda: b.claim(GATEWAY, wants(3), {}).places == 3)

    def test_are_taken_by_the_open_turns_of_processes_that_have_no_entry(self, places, redis_client):
        a, b = places("a"), places("b")
        a.claim(GATEWAY, wants(1), {})
        turns = {"a": 1, "killed": 1}
        assert b.claim(GATEWAY, wants(3), turns).places == 1
        redis_client.flushdb()  # a is among those whose rows count now
        assert b.claim(GATEWAY, wants(3, held=1), turns).places == 1

    def test_of_one_limit_are_not_those_of_another(self, places):
        places("a").claim(GATEWAY, wants(3), {})
        account = LimitKey(Provider.OPENAI, uuid4())
        assert places("b").claim(account, wants(3), {}).places == 3


class TestWhatIsLearned:
    def test_of_a_limit_is_known_to_all(self, places):
        a, b = places("a"), places("b")
        key = LimitKey(Provider.OPENAI, uuid4())
        a.claim(key, wants(1, maximum=64, limit=8.0), {})
        assert a.claim(key, wants(1, held=1, maximum=64, limit=9.0, grown=1.0), {}).limit == 9.0
        assert b.claim(key, wants(1, maximum=64, limit=8.0), {}).limit == 9.0
        assert b.claim(key, wants(1, held=1, maximum=64, limit=4.0, cut_to=4.0), {}).limit == 4.0
        assert a.claim(key, wants(1, held=1, maximum=64, limit=9.0), {}).limit == 4.0

    def test_of_a_pause_is_known_to_all(self, places):
        places("a").claim(GATEWAY, wants(1, pause=5.0), {})
        assert 4.0 < places("b").claim(GATEWAY, wants(1), {}).pause <= 5.0


class Process:
    """A limiter whose limits are shared, and a gateway that counts its concurrent calls."""

    def __init__(self, places: RedisPlaces, name: str, gateway: "Gateway") -> None:
        self.sharing = LimitSharing(places, process=name, lease_seconds=LEASE, renew_seconds=1)
        self.limiter = AdaptiveLimiter({Provider.OPENCLAW: MOST}, on_demand=self.sharing.ask)
        self.gateway = gateway
        self.started: list[QueuedCall] = []
        self.sharing.start(self.limiter)

    def enter(self, number: int = 1, *, seconds: float | None = None, **how: bool) -> list[QueuedCall]:
        def start(call: QueuedCall) -> None:
            self.started.append(call)
            if seconds is not None:
                self.gateway.take(lambda: self.limiter.done(call, TextResult("Well.")), seconds)

        calls = [QueuedCall(GATEWAY, uuid4(), datetime.now(UTC), start, lambda *_: None, **how) for _ in range(number)]
        for call in calls:
            self.limiter.enter(call)
        return calls

    def stop(self) -> None:
        self.sharing.stop()
        self.limiter.stop()


class Gateway:
    """Counts the calls that it has at the same time."""

    def __init__(self) -> None:
        self.lock, self.now, self.most, self.made, self.busy_seconds = threading.Lock(), 0, 0, 0, 0.0

    def take(self, done: Callable[[], None], seconds: float) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

        def end() -> None:
            with self.lock:
                self.now, self.made, self.busy_seconds = self.now - 1, self.made + 1, self.busy_seconds + seconds
            done()

        threading.Timer(seconds, end).start()


@pytest.fixture
def processes(places, committed_database: str) -> Iterator[Callable[[str], Process]]:
    made: list[Process] = []
    gateway = Gateway()

    def make(name: str) -> Process:
        made.append(Process(places(name), name, gateway))
        return made[-1]

    yield make
    for process in made:
        process.stop()


class TestProcesses:
    def test_have_one_limit_together_and_use_nearly_all_of_it(self, processes):
        a, b = processes("a"), processes("b")
        began = time.monotonic()
        a.enter(12, seconds=0.2)
        b.enter(12, seconds=0.2)
        eventually(lambda: a.gateway.made == 24)
        took = time.monotonic() - began
        assert a.gateway.most == MOST
        assert a.gateway.busy_seconds / (MOST * took) > 0.5  # of all places at all times; 24 calls take 1.6 s at least
        assert min(len(a.started), len(b.started)) == 12

    def test_take_turns_when_one_of_them_has_much_to_do(self, processes):
        a, b = processes("a"), processes("b")
        a.enter(40, seconds=0.2)
        eventually(lambda: len(a.started) >= MOST)
        (late,) = b.enter(seconds=0.2)
        eventually(lambda: late.started is not None)
        assert len(a.started) < 20

    def test_let_a_turn_go_on_that_is_in_its_gateway(self, processes):
        a, b = processes("a"), processes("b")
        a.enter(MOST)
        eventually(lambda: len(a.started) == MOST)
        (found,) = b.enter(continues=True)
        (new,) = b.enter()
        assert found.started is not None
        time.sleep(0.5)
        assert new.started is None

    def test_tell_each_other_of_refusals(self, processes):
        a, b = processes("a"), processes("b")
        key = LimitKey(Provider.OPENAI, uuid4())
        for process in (a, b):
            call = QueuedCall(key, uuid4(), datetime.now(UTC), process.started.append, lambda *_: None)
            process.limiter.enter(call)
            eventually(lambda process=process: process.started)
        a.limiter.done(a.started[0], CallFailed("rate_limited", "No.", retryable=True, retry_after=9))
        b.sharing.ask(key)
        eventually(lambda: b.limiter.expected_wait(key) > 5)
        assert b.limiter._queues[key].limit < FIRST_LIMIT


class Unreachable:
    """Places in a Redis that goes away and comes back."""

    def __init__(self) -> None:
        self.is_away = True

    def claim(self, key: LimitKey, demand: Demand, turns: Mapping[str, int]) -> Grant:
        if self.is_away:
            raise redis.ConnectionError("no")
        return Grant(demand.wanted, limit=demand.limit)


class TestWithoutRedis:
    @pytest.mark.parametrize("number", [1, 2, 3, 5, 7])
    def test_shares_are_the_whole_limit_together(self, number: int):
        workers = tuple(f"host:{index}" for index in range(number))
        shares = [share_of(6, worker, workers) for worker in workers]
        assert sum(shares) == 6
        assert max(shares) - min(shares) <= 1

    def test_a_process_that_is_no_worker_has_one_place(self):
        assert share_of(6, "isolated:host:9", ("host:1", "host:2")) == 1

    def test_a_process_has_its_share_by_the_rows(self, committed_database: str):
        with session_scope() as session:
            for name, queue in (("host:1", "executions.high"), ("host:2", "executions.low"), ("host:3", "billing")):
                worker_heartbeats.report(session, WorkerInfo(name, name, [queue], 60), silent=0, full=False)
        sharing = LimitSharing(Unreachable(), process="host:2", lease_seconds=LEASE, renew_seconds=1)
        limiter = AdaptiveLimiter({Provider.OPENCLAW: MOST}, on_demand=sharing.ask)
        started: list[QueuedCall] = []
        for _ in range(MOST):
            limiter.enter(QueuedCall(GATEWAY, uuid4(), datetime.now(UTC), started.append, lambda *_: None))
        assert sharing.share(limiter) == {GATEWAY}
        assert len(started) == 1  # of 2 and 1
        limiter.stop()

    def test_places_are_kept_until_they_expire(self, committed_database: str, monkeypatch: pytest.MonkeyPatch):
        server = Unreachable()
        sharing = LimitSharing(server, process="host:1", lease_seconds=LEASE, renew_seconds=1)
        server.is_away = False
        limiter = AdaptiveLimiter({Provider.OPENCLAW: MOST}, on_demand=sharing.ask)
        calls = [QueuedCall(GATEWAY, uuid4(), datetime.now(UTC), lambda _: None, lambda *_: None) for _ in range(MOST)]
        for call in calls:
            limiter.enter(call)
        assert sharing.share(limiter) == set()
        server.is_away = True
        sharing.share(limiter)
        assert limiter._queues[GATEWAY].places == MOST
        for call in calls:
            limiter.done(call, TextResult("Well."))
        for call in [QueuedCall(GATEWAY, uuid4(), datetime.now(UTC), lambda _: None, lambda *_: None) for _ in calls]:
            limiter.enter(call)
        monkeypatch.setattr(sharing, "_lease_seconds", 0.0)
        assert sharing.share(limiter) == {GATEWAY}
        limiter.stop()
