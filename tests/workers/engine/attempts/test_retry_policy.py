"""Whether and when a step is tried again is one value, decided without a clock and without a network."""

import pytest

from models.rules.executions.schedule import Step
from models.rules.graph.effects import AgentTurn, HttpCall, ModelCall
from models.rules.graph.graph import Node, Retry
from models.rules.graph.kinds import NodeCall
from models.rules.prices.pricing import Provider
from models.rules.values.scope import Scope
from workers.engine.attempts import retry_policy
from workers.engine.attempts.limiter import LONG_PAUSE, OUTAGE_PAUSE
from workers.engine.attempts.retry_policy import NO_RETRY, RetryDecision, after_failed_call, after_failed_run
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.queued_calls import LimitKey, QueuedCall
from workers.gateways.base import CallFailed

THREE = Retry(max_attempts=3, initial_interval=2.0, backoff=2.0, max_interval=60.0)
EFFECTS = {
    "http": HttpCall("GET", "http://world/a"),
    "turn": AgentTurn("Hello"),
    "model": ModelCall(Provider.OPENAI, None, "Hello"),
}


def attempt(effect: str = "http", *, on_crash: str = "retry", **state: object) -> StepAttempt:
    node = Node("a", "api_call", "A", {}, on_crash=on_crash)
    return StepAttempt(Step("a"), NodeCall(node, {}, Scope({}), None, {}), EFFECTS[effect], THREE, **state)


def queued(**state: object) -> StepAttempt:
    made = attempt("model", **state)
    made.queued_call = QueuedCall(LimitKey(Provider.OPENAI), None, made.started_at, print, print)
    return made


def decide(made: StepAttempt, code: str = "http_503", **rest: object) -> RetryDecision:
    return after_failed_call(made, CallFailed(code, "No.", **{"retryable": True, **rest}), chance=1.0)


def test_a_temporary_failure_is_retried_with_back_off_to_the_last_attempt():
    decisions = [decide(attempt(number=number)) for number in (1, 2, 3)]
    assert [decision.delay_seconds for decision in decisions] == [2.0, 4.0, 0.0]
    assert [decision.retries for decision in decisions] == [True, True, False]
    assert decisions[0].sentence == "Next attempt in 2.0 s."
    assert decisions[0].is_counted


def test_a_failure_that_will_not_pass_is_final():
    assert decide(attempt(), retryable=False) == NO_RETRY


@pytest.mark.parametrize(("on_crash", "retries"), [("retry", True), ("fail", False)])
def test_what_may_have_happened_is_repeated_only_where_that_is_allowed(on_crash: str, retries: bool):
    assert decide(attempt(on_crash=on_crash), outcome="unknown").retries is retries


def test_a_providers_pause_is_respected_and_a_long_one_parks_the_step():
    short, long = (decide(attempt(), retry_after=seconds) for seconds in (5.0, LONG_PAUSE + 1))
    assert (short.delay_seconds, short.parks, long.parks) == (5.0, False, True)


def test_a_provider_with_too_much_to_do_is_asked_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retry_policy, "UNCOUNTED_RETRIES", 2)
    first, last = (decide(queued(throttled=tries), "rate_limited") for tries in (1, 2))
    assert (first.retries, first.is_counted, first.delay_seconds) == (True, False, 0.0)
    assert last.is_counted


def test_a_refusal_of_who_did_not_queue_is_an_attempt_like_any_other():
    assert decide(attempt(), "rate_limited").is_counted


def test_a_gateway_that_is_away_is_waited_for_as_a_row():
    decision = decide(attempt("turn"), "openclaw_unreachable")
    assert (decision.delay_seconds, decision.is_counted, decision.parks) == (OUTAGE_PAUSE, False, True)


def test_a_turn_in_an_unreachable_gateway_is_looked_up_again():
    decision = decide(attempt("turn", in_flight_ref={"sessionKey": "s"}), "openclaw_unreachable")
    assert (decision.reattaches, decision.retries, decision.parks) == (True, True, False)


def test_a_run_that_failed_is_started_again_by_the_same_policy():
    assert after_failed_run(THREE, 2, retryable=True, chance=1.0).delay_seconds == 4.0
    assert after_failed_run(THREE, 3, retryable=True, chance=1.0) == NO_RETRY
    assert after_failed_run(THREE, 1, retryable=False, chance=1.0) == NO_RETRY
