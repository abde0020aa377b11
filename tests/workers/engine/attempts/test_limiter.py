"""Concurrency limits of accounts: adapted, shared, and without blocked threads."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from models.rules.graph.effects import AgentTurn, HttpCall, ModelCall, TextResult
from models.rules.prices.pricing import Provider
from tests.support.engine.openclaw_case import eventually
from workers.engine.attempts.limiter import FIRST_LIMIT, LONG_PAUSE, MAX_CALLS, MIN_BACKOFF, AdaptiveLimiter
from workers.engine.values.queued_calls import LimitKey, QueuedCall, limit_key
from workers.gateways.base import CallFailed

ANN, BOB = uuid4(), uuid4()
START = datetime(2026, 1, 1, tzinfo=UTC)


class Calls:
    """Calls in one lane, and what became of each."""

    def __init__(self, limiter: AdaptiveLimiter, key: LimitKey) -> None:
        self.limiter, self.key = limiter, key
        self.started: list[QueuedCall] = []
        self.sent_away: list[float] = []
        self.made = 0

    def come(self, number: int = 1, *, user: UUID = ANN, age: int = 0) -> list[QueuedCall]:
        return [self._enter(user, age) for _ in range(number)]

    def _enter(self, user: UUID, age: int) -> QueuedCall:
        self.made += 1
        since = START + timedelta(seconds=self.made - age)
        call = QueuedCall(self.key, user, since, self.started.append, lambda _, seconds: self.sent_away.append(seconds))
        self.limiter.enter(call)
        return call

    def go_well(self, number: int) -> None:
        for _ in range(number):
            self.limiter.done(self.started.pop(0), TextResult("Well."))

    def refuse(self, *, after: float | None = None, code: str = "rate_limited") -> None:
        self.limiter.done(self.started.pop(0), CallFailed(code, "No.", retryable=True, retry_after=after))

    @property
    def limit(self) -> int:
        return self.limiter.snapshot()[self.key][0]


class Clock:
    """All but stands still until a test lets time pass, so that it does not matter how long the test takes."""

    def __init__(self) -> None:
        self._now = time.monotonic()

    def monotonic(self) -> float:
        self._now += 1e-6  # what comes later is later
        return self._now

    def let_pass(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("workers.engine.attempts.limiter.time", clock)
    return clock


@pytest.fixture
def limiter() -> Iterator[AdaptiveLimiter]:
    limiter = AdaptiveLimiter({Provider.OPENCLAW: 3})
    yield limiter
    limiter.stop()


@pytest.fixture
def calls(limiter: AdaptiveLimiter) -> Calls:
    return Calls(limiter, LimitKey(Provider.OPENAI, ANN))


@pytest.fixture
def turns(limiter: AdaptiveLimiter) -> Calls:
    return Calls(limiter, LimitKey(Provider.OPENCLAW))


class TestWhoWaitsInWhichQueue:
    def test_an_account_is_one_users_at_one_provider(self):
        one = limit_key(ModelCall(Provider.OPENAI, None, "x"), ANN)
        assert one != limit_key(ModelCall(Provider.OPENAI, None, "x"), BOB)
        assert one != limit_key(ModelCall(Provider.GOOGLE, None, "x"), ANN)
        assert one == limit_key(ModelCall(Provider.OPENAI, "another", "y"), ANN)

    def test_the_gateway_is_one_for_all(self):
        assert limit_key(AgentTurn("x"), ANN) == limit_key(AgentTurn("y", agent_id="z"), BOB)

    def test_other_calls_are_not_limited(self):
        assert limit_key(HttpCall("GET", "https://example.com"), ANN) is None


class TestTheLimit:
    def test_lets_so_many_start_and_the_next_one_when_one_ends(self, calls: Calls):
        calls.come(20)
        assert len(calls.started) == FIRST_LIMIT
        calls.limiter.done(calls.started[0], CallFailed("timeout", "Too late."))
        assert len(calls.started) == FIRST_LIMIT + 1

    def test_counts_a_slot_that_is_released_twice_once(self, calls: Calls):
        """A pool that has no thread to start says that it took nothing, and makes the call with another one later."""
        calls.come(int(FIRST_LIMIT) + 3)
        call = calls.started[0]
        calls.limiter.done(call, None)
        calls.limiter.done(call, None)
        assert len(calls.started) == FIRST_LIMIT + 1

    def test_grows_while_it_is_used_up_and_all_goes_well(self, calls: Calls):
        calls.come(1000)
        for _ in range(100):
            calls.go_well(1)
        assert calls.limit == MAX_CALLS
        assert len(calls.started) == MAX_CALLS

    def test_does_not_grow_for_who_does_not_use_it(self, calls: Calls):
        for _ in range(50):
            calls.come(1)
            calls.go_well(1)
        assert calls.limit == FIRST_LIMIT

    def test_is_halved_once_for_calls_that_were_under_way_together(self, calls: Calls):
        calls.come(8)
        for _ in range(4):
            calls.refuse(after=0)
        assert calls.limit == FIRST_LIMIT / 2

    def test_is_halved_again_for_calls_that_came_after(self, calls: Calls):
        calls.come(30)
        for _ in range(8):
            calls.refuse(after=0)
        assert len(calls.started) == 4
        calls.refuse(after=0)
        assert calls.limit == 2

    def test_never_falls_below_one(self, calls: Calls):
        calls.come(50)
        for _ in range(40):
            calls.refuse(after=0)
        assert (calls.limit, len(calls.started)) == (1, 1)

    def test_grows_by_one_a_round_once_it_was_too_high(self, calls: Calls):
        calls.come(100)
        calls.refuse(after=0)
        calls.go_well(7)
        assert calls.limit == 4
        calls.go_well(5)
        assert calls.limit == 5

    def test_of_the_gateway_is_what_the_setting_says(self, turns: Calls):
        turns.come(10)
        assert len(turns.started) == 3
        turns.go_well(6)
        assert len(turns.started) == 3

    def test_of_an_overloaded_gateway_is_halved_without_a_pause(self, turns: Calls):
        turns.come(10)
        turns.refuse(code="openclaw_overloaded", after=60)
        assert turns.limit == 1
        turns.go_well(2)
        assert len(turns.started) == 1


class TestACallThatDoesNotStart:
    """Starting is handing over to a pool; if that fails, neither the others nor its own run may wait for ever."""

    def test_frees_its_slot_and_is_postponed_while_the_others_start(self, limiter: AdaptiveLimiter, turns: Calls):
        turns.come(3)
        sent_away: list[float] = []

        def start(call: QueuedCall) -> None:
            raise ValueError("odd")

        odd = QueuedCall(turns.key, ANN, START, start, lambda _, seconds: sent_away.append(seconds))
        limiter.enter(odd)
        turns.come(2)
        limiter.done(turns.started[0], TextResult("Well."))
        assert sent_away == [LONG_PAUSE]
        assert len(turns.started) == 4
        assert limiter.snapshot()[turns.key] == (3, 3, 1)
        limiter.done(odd, TextResult("It was made after all."))
        assert limiter.snapshot()[turns.key] == (3, 3, 1)


class TestAPause:
    def test_applies_to_all_calls_and_ends_by_itself(self, clock: Clock, calls: Calls):
        calls.come(8)
        calls.refuse(after=0.2)
        calls.go_well(7)
        calls.come(1)
        assert calls.started == []
        clock.let_pass(0.2)
        eventually(lambda: len(calls.started) == 1)

    def test_that_is_not_asked_for_is_short_and_grows(self, clock: Clock, calls: Calls):
        calls.come(30)
        for _ in range(8):
            calls.refuse()
        assert calls.started == []
        clock.let_pass(MIN_BACKOFF)
        eventually(lambda: len(calls.started) == 4)
        for _ in range(4):
            calls.refuse()
        clock.let_pass(MIN_BACKOFF - 0.01)
        calls.come(1)
        assert calls.started == []
        clock.let_pass(MIN_BACKOFF + 0.01)
        eventually(lambda: len(calls.started) == 2)

    def test_that_ends_while_nobody_looks_is_not_missed(self, clock: Clock, calls: Calls, monkeypatch):
        start, passed = AdaptiveLimiter._start, threading.Event()

        def between_two_looks(limiter: AdaptiveLimiter, ready: list[QueuedCall]) -> None:
            start(limiter, ready)
            if threading.current_thread() is not threading.main_thread() and not ready and not passed.is_set():
                clock.let_pass(MIN_BACKOFF)
                passed.set()

        calls.come(30)
        for _ in range(7):
            calls.refuse()
        monkeypatch.setattr(AdaptiveLimiter, "_start", between_two_looks)
        calls.refuse()
        assert passed.wait(20)
        eventually(lambda: len(calls.started) == 4)

    def test_that_is_long_sends_away_who_is_in_the_queue_and_who_comes(self, calls: Calls):
        calls.come(20)
        calls.refuse(after=90)
        assert len(calls.sent_away) == 12
        calls.come(1)
        assert len(calls.sent_away) == 13
        assert all(60 < seconds <= 90 for seconds in calls.sent_away)

    def test_does_not_count_for_other_accounts(self, calls: Calls, turns: Calls):
        calls.come(1)
        calls.refuse(after=90)
        other = Calls(calls.limiter, LimitKey(Provider.OPENAI, BOB))
        other.come(1, user=BOB)
        turns.come(1)
        assert (len(other.started), len(turns.started)) == (1, 1)


class TestTheQueue:
    def test_users_take_turns(self, turns: Calls):
        turns.come(10)
        turns.come(2, user=BOB)
        order = []
        while turns.started:
            order.append("b" if turns.started[0].user_id == BOB else "a")
            turns.go_well(1)
        assert "".join(order) == "aaa" + "ab" + "ab" + "aaaaa"

    def test_within_one_user_the_oldest_comes_first(self, turns: Calls):
        turns.come(5)
        (old,) = turns.come(1, age=1000)
        turns.go_well(1)
        assert turns.started[-1] is old

    def test_who_leaves_it_never_starts(self, turns: Calls):
        turns.come(3)
        (gone,) = turns.come(1, user=BOB)
        (other,) = turns.come(1, user=BOB)
        assert turns.limiter.leave(gone)
        turns.go_well(1)
        assert turns.started[-1] is other
        assert not turns.limiter.leave(other)

    def test_estimates_the_waiting_time(self, turns: Calls):
        assert turns.limiter.expected_wait(turns.key) == 0
        turns.come(12)
        assert turns.limiter.expected_wait(turns.key) == pytest.approx(15)

    def test_is_shown_by_provider(self, limiter: AdaptiveLimiter, calls: Calls, turns: Calls):
        calls.come(int(FIRST_LIMIT) + 2)
        Calls(limiter, LimitKey(Provider.OPENAI, BOB)).come(1)
        turns.come(1)
        told = limiter.by_provider()
        assert told["openai"] == {"allowed": 2 * FIRST_LIMIT, "under_way": FIRST_LIMIT + 1, "queued": 2}
        assert told["openclaw"] == {"allowed": 3, "under_way": 1, "queued": 0}
