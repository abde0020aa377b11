"""Turns over the socket: results, statuses, causes of failure, and slots."""

import re
import time

import pytest

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_case import Call, eventually, new_ref, socket_driver
from workers.gateways.base import Deadline
from workers.gateways.openclaw import State, Status
from workers.gateways.openclaw.ws import SocketOpenClaw


class TestTurn:
    def test_the_system_prompt_and_the_agent_are_passed_on(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "The food was awful.\n\nThe staff was rude.", system="Answer in JSON.").run()
        assert call.answer
        assert '"sentiment": "negative"' in call.answer.text

    def test_statuses_come_in_order_and_name_tools(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:tool=web_search]] [[sim:reply=found]] Look it up.").run()
        kept = [state for state in call.states if state is not State.QUEUED]
        assert kept == [State.ACCEPTED, State.RUNNING, State.TOOL, State.STREAMING, State.FINISHING]
        assert Status(State.TOOL, {"name": "web_search"}) in call.statuses

    def test_events_of_other_runs_are_ignored(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        quiet = Call(driver, "[[sim:delay=0.4]] [[sim:reply=quiet]]").begin().until_running()
        other = socket_driver(simulator)
        Call(other, "[[sim:tool=noise]] [[sim:reply=loud]]").run()
        assert quiet.finish().answer
        assert State.TOOL not in quiet.states
        other.close()

    def test_the_answer_is_not_cut_at_4096_characters(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:big=1000000]]").run()
        assert call.answer
        assert len(call.answer.text) == 1_000_000

    def test_all_turns_share_one_connection(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        before = simulator.connections
        calls = [Call(driver, f"[[sim:reply={n}]]").begin() for n in range(12)]
        assert [call.finish().failure for call in calls] == [None] * 12
        assert simulator.connections == before + 1

    def test_an_agent_that_is_not_offered_is_refused_before_anything_is_sent(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "rm -rf /", agent_id="main").run()
        assert call.code == "openclaw_agent_not_allowed"
        assert call.started == []
        offered = socket_driver(simulator, agents=("main",))
        assert Call(offered, "[[sim:reply=hi]]", ref=new_ref(agent_id="main"), agent_id="main").run().answer
        offered.close()

    @pytest.mark.parametrize(
        ("prompt", "code"), [("\ud800", "openclaw_not_text"), ("x" * (26 * 2**20), "openclaw_too_large")]
    )
    def test_a_prompt_that_cannot_be_sent_does_not_affect_other_turns(
        self, driver: SocketOpenClaw, prompt: str, code: str
    ) -> None:
        neighbour = Call(driver, "[[sim:delay=0.3]] [[sim:reply=fine]]").begin().until_running()
        assert Call(driver, prompt).run().code == code
        assert neighbour.finish().answer
        assert State.QUEUED not in neighbour.states[2:]

    @pytest.mark.parametrize("prompt", ["/new", "/reset everything", "  /NEW idea"])
    def test_a_prompt_that_looks_like_a_command_of_the_gateway_is_only_data(
        self, driver: SocketOpenClaw, prompt: str
    ) -> None:
        call = Call(driver, prompt).run()
        assert call.answer, call.failure
        assert prompt.strip() in call.answer.text

    def test_a_prompt_with_control_words_of_json_and_sockets_is_only_data(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, '"}},{"type":"req"} \x00 \u2028 says').run()
        assert call.answer
        assert '"}},{"type":"req"}' in call.answer.text

    def test_a_lone_surrogate_in_a_turn_breaks_neither_it_nor_other_turns(self, driver: SocketOpenClaw) -> None:
        neighbour = Call(driver, "[[sim:delay=0.4]] [[sim:reply=fine]]").begin().until_running()
        call = Call(driver, "[[sim:half-emoji]] [[sim:chunks=8]]").run()
        assert call.answer
        assert call.answer.text == "Half \ufffd an emoji and a whole one \U0001f600"
        assert neighbour.finish().answer
        lost = State.QUEUED in call.states[2:] + neighbour.states[2:]  # the connection that they share
        assert not lost


class TestFailures:
    @pytest.mark.parametrize(
        ("directive", "code", "retryable"),
        [
            ("429", "openclaw_rate_limited", True),
            ("500", "openclaw_provider_error", True),
            ("503", "openclaw_overloaded", True),
            ("provider-timeout", "openclaw_provider_timeout", True),
            ("empty", "openclaw_empty_response", True),
            ("blank", "openclaw_empty_response", True),
            ("think", "openclaw_empty_response", True),
            ("no-details", "openclaw_provider_error", True),
            ("unclassified", "openclaw_failed", True),
            ("400", "openclaw_bad_request", False),
            ("404", "openclaw_model_not_found", False),
            ("overflow", "openclaw_context_overflow", False),
            ("cooldown", "openclaw_provider_cooldown", True),
            ("session-changed", "openclaw_session_busy", True),
            ("fail-status-error", "openclaw_failed", True),
            ("error-payload=billing", "openclaw_provider_billing", False),
            ("forbid", "openclaw_forbidden", False),
        ],
    )
    def test_each_cause_has_its_code(self, driver: SocketOpenClaw, directive: str, code: str, retryable: bool) -> None:
        call = Call(driver, f"[[sim:{directive}]] Do it.").run()
        assert call.code == code, call.failure
        assert call.failure
        assert call.failure.retryable is retryable

    def test_a_providers_401_and_its_cooldown_are_distinguished(self) -> None:
        with running_simulator(delay=0.02) as simulator:
            driver = socket_driver(simulator)
            assert Call(driver, "[[sim:401]] Do it.").run().code == "openclaw_provider_auth"
            after = Call(driver, "Do it.").run()
            assert after.code == "openclaw_provider_cooldown"
            assert after.failure
            assert after.failure.retry_after == 60.0
            driver.close()

    def test_the_providers_sentence_is_quoted(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:429]] [[sim:retries=0]]").run()
        assert call.failure
        assert "The provider failed (429)." in call.failure.detail

    def test_a_cause_that_comes_after_the_response_is_waited_for(self, driver: SocketOpenClaw) -> None:
        assert Call(driver, "[[sim:429]] [[sim:late-cause]] [[sim:retries=0]]").run().code == "openclaw_rate_limited"

    def test_without_a_cause_a_failure_is_worth_one_more_attempt(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:400]] [[sim:no-cause]]").run()
        assert call.code == "openclaw_failed"
        assert call.failure
        assert call.failure.retryable

    def test_the_gateways_own_retries_are_reported(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:429]] [[sim:retries=3]]").run()
        retries = [status.data["retryAttempt"] for status in call.statuses if status.state is State.RETRYING]
        assert retries == [1, 2, 3]

    def test_a_second_attempt_has_a_session_of_its_own_and_succeeds(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        prompt = "[[sim:500=1]] [[sim:reply=better]]"
        assert Call(driver, prompt, ref=new_ref(1)).run().code == "openclaw_provider_error"
        second = Call(driver, prompt, ref=new_ref(2)).run()
        assert second.answer
        assert second.answer.text == "better"


class TestSlots:
    def test_no_more_turns_are_in_flight_than_the_setting_says(self) -> None:
        with running_simulator(delay=0.15) as simulator:
            driver = socket_driver(simulator, max_in_flight=2)
            calls = [Call(driver, f"[[sim:reply={n}]]").begin() for n in range(6)]
            most = 0
            while any(call.answer is None and call.failure is None for call in calls):
                most = max(most, simulator.active())
                time.sleep(0.02)
            assert [call.finish().code for call in calls] == [None] * 6
            assert most <= 2
            assert sum(Status(State.QUEUED, {"for": "slot"}) in call.statuses for call in calls) == 4
            driver.close()

    def test_a_wait_for_a_slot_ends_at_once_when_cancelled(self, simulator: Simulator) -> None:
        driver = socket_driver(simulator, max_in_flight=1)
        holder = Call(driver, "[[sim:hang]]").begin().until_running()
        waiting = Call(driver, "[[sim:reply=never]]").begin()
        eventually(lambda: State.QUEUED in waiting.states)
        waiting.cancel.set()
        assert waiting.finish(2).code == "cancelled"
        assert waiting.started == []
        late = Call(driver, "[[sim:reply=never]]", deadline=Deadline(0.1)).run()
        assert late.code == "openclaw_busy"
        holder.cancel.set()
        holder.finish()
        assert Call(driver, "[[sim:reply=free again]]").run().answer
        driver.close()


def test_references_hold_no_secret() -> None:
    assert re.fullmatch(r"af:[a-z0-9:~-]+", new_ref().key)
