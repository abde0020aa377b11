"""The contract with an OpenClaw gateway: tested against the one that OPENCLAW_URL names, otherwise the simulator.

A real gateway's model must answer prompts and obey `[[sim:...]]` as `simulators.openclaw.model` does;
OPENCLAW_RESTART is a shell command that kills and restarts it.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from simulators.openclaw import running_simulator
from tests.support.engine.openclaw_case import Call, new_ref, reconcile, settings_for
from workers.gateways.openclaw import Cancelled, State, StillRunning
from workers.gateways.openclaw.caller import Tuning
from workers.gateways.openclaw.ws import SocketOpenClaw

TUNING = Tuning(grace=10.0, connect_timeout=90.0)


@dataclass
class Gateway:
    url: str
    token: str
    restart: Callable[[], object] | None
    real: bool

    def driver(self, **changes: int) -> SocketOpenClaw:
        return SocketOpenClaw(settings_for(self.url, self.token, **changes), TUNING)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    url = os.environ.get("OPENCLAW_URL")
    if url:
        command = os.environ.get("OPENCLAW_RESTART")
        restart = (lambda: subprocess.run(["sh", "-c", command], check=True)) if command else None
        yield Gateway(url, os.environ.get("OPENCLAW_TOKEN", ""), restart, real=True)
        return
    with running_simulator(delay=0.05, orphan_delay=0.5) as simulator:
        yield Gateway(simulator.url, simulator.token, simulator.restart, real=False)


@pytest.fixture
def driver(gateway: Gateway) -> Iterator[SocketOpenClaw]:
    driver = gateway.driver()
    yield driver
    driver.close()


def test_is_ready_and_grants_what_a_turn_needs(driver: SocketOpenClaw) -> None:
    health = driver.health()
    assert health.ready, health.detail
    assert health.boot_id
    assert {"operator.read", "operator.write"} <= set(health.scopes)


def test_answers_a_prompt_and_counts_tokens(driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:reply=Lisbon]] What is the capital of Portugal?", timeout=60).run()
    assert call.failure is None
    assert call.answer
    assert call.answer.text == "Lisbon"
    assert call.answer.usage["total"] > 0
    assert call.answer.model


def test_gets_the_reference_before_sending_and_then_statuses(driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:reply=yes]] Are you there?", timeout=60).run()
    assert call.started == [
        {"key": call.ref.key, "sessionKey": call.ref.session_key, "bootId": driver.health().boot_id}
    ]
    assert call.states.index(State.ACCEPTED) < call.states.index(State.RUNNING)


def test_the_same_key_gives_the_same_answer_without_a_second_run(gateway: Gateway, driver: SocketOpenClaw) -> None:
    first = Call(driver, "[[sim:reply=once]] Say it.", timeout=60).run()
    other = gateway.driver()
    again = Call(other, first.prompt, ref=first.ref, timeout=60).run()
    assert again.answer == first.answer
    assert State.RUNNING not in again.states
    other.close()


def test_another_worker_finds_a_run_that_is_still_going(gateway: Gateway, driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:delay=1.5]] [[sim:reply=done]] Take your time.", timeout=60).begin().until_running()
    other = gateway.driver()
    found = reconcile(other, call)
    assert isinstance(found, StillRunning)
    assert found.attach().text == "done"
    assert call.finish().answer
    other.close()


def test_stops_when_the_caller_cancels(driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:hang]] Think about everything.", timeout=60).begin().until_running()
    call.cancel.set()
    assert call.finish(10).code == "cancelled"
    assert call.outcome == "cancelled"
    assert driver.cancel(call.ref) is Cancelled.NOT_RUNNING


def test_can_be_stopped_from_outside(gateway: Gateway, driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:hang]] Think about everything.", timeout=60).begin().until_running()
    other = gateway.driver()
    assert other.cancel(call.ref) is Cancelled.STOPPED
    assert call.finish(10).code == "openclaw_aborted"
    other.close()


def test_a_run_ends_at_its_own_deadline(driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:hang]] Think about everything.", timeout=1.0).run()
    assert (call.code, call.outcome) == ("openclaw_timeout", "timeout")
    assert call.failure
    assert call.failure.retryable


def test_refuses_for_good_what_the_provider_refuses(driver: SocketOpenClaw) -> None:
    call = Call(driver, "[[sim:400]] Nonsense.", timeout=60).run()
    assert call.code == "openclaw_bad_request"
    assert call.failure
    assert not call.failure.retryable


def test_serves_more_turns_than_it_runs_at_a_time(gateway: Gateway) -> None:
    driver = gateway.driver(max_in_flight=20)
    calls = [Call(driver, f"[[sim:delay=0.3]] [[sim:reply={n}]] Count.", timeout=60).begin() for n in range(20)]
    answers = [call.finish(60).answer for call in calls]
    assert [answer.text if answer else None for answer in answers] == [str(n) for n in range(20)]
    driver.close()


def test_a_restart_in_mid_turn_ends_as_unknown_and_the_next_attempt_works(gateway: Gateway) -> None:
    if gateway.restart is None:
        pytest.skip("OPENCLAW_RESTART is not set")
    driver = gateway.driver()
    call = Call(driver, "[[sim:hang]] Work.", timeout=120).begin().until_running()
    gateway.restart()
    assert call.finish(120).outcome == "unknown", call.failure
    assert call.failure
    assert call.failure.retryable
    second = Call(driver, "[[sim:reply=here]] Work.", ref=new_ref(attempt=2), timeout=60).run()
    assert second.answer, second.failure
    assert second.answer.text == "here"
    driver.close()


def test_an_answer_survives_a_restart_of_the_gateway(gateway: Gateway) -> None:
    if gateway.restart is None:
        pytest.skip("OPENCLAW_RESTART is not set")
    driver = gateway.driver()
    call = Call(driver, "[[sim:reply=kept]] Remember.", timeout=60).run()
    assert call.answer, call.failure
    time.sleep(1.0 if gateway.real else 0.0)
    gateway.restart()
    other = gateway.driver()
    assert reconcile(other, call).text == "kept"
    other.close()
    driver.close()


def test_lists_its_agents(driver: SocketOpenClaw) -> None:
    assert "flow" in driver.agents()


def test_refuses_an_agent_that_it_has_not_and_names_it(gateway: Gateway) -> None:
    driver = SocketOpenClaw(settings_for(gateway.url, gateway.token, agents=("no-such-agent",)), TUNING)
    call = Call(driver, "Hi", ref=new_ref(agent_id="no-such-agent"), agent_id="no-such-agent", timeout=60).run()
    driver.close()
    assert call.failure
    assert (call.code, call.failure.retryable) == ("openclaw_agent_not_allowed", False)
    assert "no-such-agent" in call.failure.detail
