"""The HTTP driver: plain answers and clear errors, and closing the connection is the way to stop."""

import time
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_case import QUICK, Call, http_driver, reconcile, settings_for
from workers.gateways.base import CallFailed, Deadline
from workers.gateways.openclaw import Cancelled, State, Unknown, classify_http
from workers.gateways.openclaw.http import HttpOpenClaw


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator(delay=0.02) as simulator:
        yield simulator


@pytest.fixture
def driver(simulator: Simulator) -> Iterator[HttpOpenClaw]:
    driver = http_driver(simulator)
    yield driver
    driver.close()


def until_active(simulator: Simulator, runs: int) -> None:
    limit = Deadline(5)
    while simulator.active() != runs:
        assert not limit.passed
        time.sleep(0.01)


def test_answers_a_prompt_with_usage_and_the_system_prompt(driver: HttpOpenClaw) -> None:
    call = Call(driver, "Great food.\n\nLovely staff.", system="Answer in JSON.").run()
    assert call.failure is None
    assert call.answer
    assert '"sentiment"' in call.answer.text
    assert call.answer.usage["total"] == call.answer.usage["input"] + call.answer.usage["output"]
    assert call.started == [{"key": call.ref.key, "sessionKey": call.ref.session_key, "bootId": None}]
    assert call.states == [State.RUNNING]


@pytest.mark.parametrize(
    ("directive", "code", "retryable"),
    [
        ("429", "openclaw_rate_limited", True),
        ("500", "openclaw_provider_error", True),
        ("400", "openclaw_refused", False),
        ("404", "openclaw_model_not_found", False),
        ("cooldown", "openclaw_provider_cooldown", True),
        ("blank", "openclaw_empty_response", True),
        ("fail-status-error", "openclaw_provider_cooldown", True),
    ],
)
def test_each_error_has_its_code(driver: HttpOpenClaw, directive: str, code: str, retryable: bool) -> None:
    call = Call(driver, f"[[sim:{directive}]] Do it.").run()
    assert call.code == code
    assert call.failure
    assert call.failure.retryable is retryable


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ({"type": "rate_limit_error", "message": "Slow down."}, "openclaw_rate_limited", True),
        ({"type": "insufficient_quota", "message": "Pay first."}, "openclaw_provider_billing", False),
        ({"type": "authentication_error", "message": "Who are you?"}, "openclaw_provider_auth", False),
        ({"type": "api_error", "message": "Cannot be an append-only stream."}, "openclaw_failed", True),
        ({"type": "invalid_request_error", "message": "No such agent."}, "openclaw_refused", False),
    ],
)
def test_an_error_behind_a_200_is_that_error_with_its_sentence(error: dict, code: str, retryable: bool) -> None:
    with pytest.raises(CallFailed) as caught:
        classify_http.answer(orjson.dumps({"error": error}))
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert error["message"] in caught.value.detail


def test_half_an_emoji_is_replaced(driver: HttpOpenClaw) -> None:
    call = Call(driver, "[[sim:half-emoji]]").run()
    assert call.answer
    assert call.answer.text == "Half \ufffd an emoji and a whole one \U0001f600"


def test_a_providers_401_is_not_ours() -> None:
    with running_simulator() as simulator:
        driver = http_driver(simulator)
        assert Call(driver, "[[sim:401]]").run().code == "openclaw_provider_auth"
        assert Call(driver, "x").run().code == "openclaw_provider_cooldown"


def test_cancel_closes_the_connection_which_ends_the_run(simulator: Simulator, driver: HttpOpenClaw) -> None:
    call = Call(driver, "[[sim:hang]]").begin()
    until_active(simulator, 1)
    call.cancel.set()
    assert (call.finish(3).code, call.outcome) == ("cancelled", "cancelled")
    until_active(simulator, 0)


def test_a_turn_can_be_stopped_by_its_reference_in_the_same_process(simulator: Simulator, driver: HttpOpenClaw) -> None:
    call = Call(driver, "[[sim:hang]]").begin()
    until_active(simulator, 1)
    assert driver.cancel(call.ref) is Cancelled.STOPPED
    assert call.finish(3).code == "cancelled"
    assert driver.cancel(call.ref) is Cancelled.UNCONFIRMED


def test_a_silent_gateway_is_left_at_the_deadline(simulator: Simulator, driver: HttpOpenClaw) -> None:
    call = Call(driver, "[[sim:hang]]", timeout=0.2).run()
    assert (call.code, call.outcome) == ("openclaw_timeout", "timeout")
    until_active(simulator, 0)


def test_a_gateway_that_dies_leaves_the_outcome_unknown() -> None:
    with running_simulator(delay=0.02) as simulator:
        driver = http_driver(simulator)
        call = Call(driver, "[[sim:crash]] [[sim:delay=0.2]]").run()
        assert (call.code, call.outcome) == ("openclaw_connection_lost", "unknown")
        assert isinstance(reconcile(driver, call), Unknown)


def test_a_gateway_that_is_away_is_unreachable_and_nothing_was_sent() -> None:
    driver = HttpOpenClaw(settings_for("http://127.0.0.1:9", driver="http"), QUICK)
    assert (Call(driver, "x").run().code, driver.health().ready) == ("openclaw_unreachable", False)


def test_a_wrong_token_is_tried_once_and_the_good_one_still_works() -> None:
    with running_simulator(lockout=True, delay=0.02) as simulator:
        wrong = HttpOpenClaw(settings_for(simulator.http_url, "wrong", driver="http"), QUICK)
        assert {Call(wrong, "x").run().code for _ in range(12)} == {"openclaw_wrong_token"}
        assert simulator.wrong_tokens == 1
        assert Call(http_driver(simulator), "[[sim:reply=ok]]").run().answer


def test_a_lockout_names_its_time() -> None:
    with running_simulator(lockout=True) as simulator:
        for _ in range(10):
            Call(HttpOpenClaw(settings_for(simulator.http_url, "wrong", driver="http"), QUICK), "x").run()
        call = Call(http_driver(simulator), "x").run()
        assert call.code == "openclaw_locked_out"
        assert call.failure
        assert call.failure.retry_after == 300.0


def test_another_agent_than_the_offered_ones_is_refused(driver: HttpOpenClaw) -> None:
    assert Call(driver, "x", agent_id="main").run().code == "openclaw_agent_not_allowed"


def test_slots_bound_what_is_in_flight(simulator: Simulator) -> None:
    driver = http_driver(simulator, replace(QUICK, grace=5), max_in_flight=1)
    first = Call(driver, "[[sim:hang]]").begin()
    until_active(simulator, 1)
    cancelled = Call(driver, "x").begin()
    assert Call(driver, "x", deadline=Deadline(0.1)).run().code == "openclaw_busy"
    cancelled.cancel.set()
    assert cancelled.finish(2).code == "cancelled"
    first.cancel.set()
    first.finish(3)
    assert Call(driver, "[[sim:reply=free]]").run().answer
