"""The socket driver against a gateway that misbehaves: nothing is paid for twice in silence, nobody waits for ever."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devstack.openclaw_simulator import Simulator, running_simulator
from tests.gateways.openclaw_case import QUICK, TOKEN, Call, new_ref, reconcile, settings_for, socket_driver
from workers.gateways.base import CallFailed, Deadline
from workers.gateways.openclaw import Cancelled, State, Status, StillRunning, Unknown, make_openclaw
from workers.gateways.openclaw_device import Device
from workers.gateways.openclaw_http import HttpOpenClaw
from workers.gateways.openclaw_ws import SocketOpenClaw


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    with running_simulator(delay=0.02, ghost_delay=0.6, downtime=0.2) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared: Simulator) -> Simulator:
    """The module's simulator, for tests that leave no lasting harm behind."""
    return shared


@pytest.fixture
def driver(simulator: Simulator) -> Iterator[SocketOpenClaw]:
    driver = socket_driver(simulator)
    yield driver
    driver.close()


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = Deadline(seconds)
    while not condition():
        assert not until.passed, "it never became true"
        time.sleep(0.01)


def paid(simulator: Simulator, call: Call) -> int:
    return sum(made["sessionKey"] == call.ref.session_key for made in simulator.calls)


class TestTurn:
    def test_the_system_prompt_and_the_agent_are_passed_on(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "The food was awful.\n\nThe staff was rude.", system="Answer in JSON.").run()
        assert call.answer
        assert '"sentiment": "negative"' in call.answer.text

    def test_news_come_in_order_and_tell_of_tools(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:tool=web_search]] [[sim:reply=found]] Look it up.").run()
        kept = [state for state in call.states if state is not State.QUEUED]
        assert kept == [State.ACCEPTED, State.RUNNING, State.TOOL, State.STREAMING, State.FINISHING]
        assert Status(State.TOOL, {"name": "web_search"}) in call.statuses

    def test_the_news_of_other_runs_are_not_ours(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
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
    def test_a_prompt_that_cannot_be_sent_harms_nobody_else(
        self, driver: SocketOpenClaw, prompt: str, code: str
    ) -> None:
        neighbour = Call(driver, "[[sim:delay=0.3]] [[sim:reply=fine]]").begin().until_running()
        assert Call(driver, prompt).run().code == code
        assert neighbour.finish().answer
        assert State.QUEUED not in neighbour.states[2:]

    def test_a_prompt_with_control_words_of_json_and_sockets_is_only_data(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, '"}},{"type":"req"} \x00 \u2028 says').run()
        assert call.answer
        assert '"}},{"type":"req"}' in call.answer.text


class TestFailures:
    @pytest.mark.parametrize(
        ("directive", "code", "retryable"),
        [
            ("429", "openclaw_rate_limited", True),
            ("500", "openclaw_provider_error", True),
            ("503", "openclaw_overloaded", True),
            ("provider-timeout", "openclaw_provider_timeout", True),
            ("empty", "openclaw_empty_response", True),
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

    def test_a_providers_401_and_the_cooldown_after_it_are_told_apart(self) -> None:
        with running_simulator(delay=0.02) as simulator:
            driver = socket_driver(simulator)
            assert Call(driver, "[[sim:401]] Do it.").run().code == "openclaw_provider_auth"
            after = Call(driver, "Do it.").run()
            assert after.code == "openclaw_provider_cooldown"
            assert after.failure
            assert after.failure.retry_after == 60.0
            driver.close()

    def test_a_cause_that_comes_after_the_response_is_waited_for(self, driver: SocketOpenClaw) -> None:
        assert Call(driver, "[[sim:429]] [[sim:late-cause]] [[sim:retries=0]]").run().code == "openclaw_rate_limited"

    def test_without_a_cause_a_failure_is_worth_one_more_attempt(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:400]] [[sim:no-cause]]").run()
        assert call.code == "openclaw_failed"
        assert call.failure
        assert call.failure.retryable

    def test_the_gateways_own_retries_are_told(self, driver: SocketOpenClaw) -> None:
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


class TestLostSocket:
    @pytest.mark.parametrize("when", ["drop", "drop-early"])
    def test_the_same_run_is_found_again_and_paid_once(
        self, simulator: Simulator, driver: SocketOpenClaw, when: str
    ) -> None:
        call = Call(driver, f"[[sim:{when}]] [[sim:delay=0.3]] [[sim:reply=still here]]").run()
        assert call.answer, call.failure
        assert call.answer.text == "still here"
        assert paid(simulator, call) == 1

    def test_a_long_answer_is_whole_after_a_lost_socket(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:drop]] [[sim:delay=0.3]] [[sim:big=50000]]").run()
        assert call.answer, call.failure
        assert len(call.answer.text) == 50_000

    def test_a_failure_after_a_lost_socket_keeps_its_cause(self, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:delay=0.2]] [[sim:error-payload=billing]] [[sim:drop]]").run()
        assert call.code == "openclaw_provider_billing"

    def test_a_turn_longer_than_one_wait_is_waited_for_again(self, simulator: Simulator) -> None:
        driver = socket_driver(simulator, replace(QUICK, wait=0.1))
        call = Call(driver, "[[sim:drop-early]] [[sim:delay=0.5]] [[sim:reply=slow]]").run()
        assert call.answer, call.failure
        driver.close()

    def test_many_turns_survive_together(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        calls = [Call(driver, f"[[sim:delay=0.6]] [[sim:reply={n}]]").begin() for n in range(6)]
        for call in calls:
            call.until_running()
        simulator.drop_sockets()
        assert [call.finish().code for call in calls] == [None] * 6
        assert sum(paid(simulator, call) for call in calls) == 6

    def test_a_key_that_expired_meanwhile_is_looked_up_instead_of_run_again(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:reply=long ago]]").run()
        simulator.forget_keys()
        found = reconcile(driver, call)
        assert isinstance(found, StillRunning)
        assert found.attach().text == "long ago"
        assert paid(simulator, call) == 1


class TestRestart:
    @pytest.mark.parametrize("when", ["crash", "crash-early"])
    def test_a_broken_off_turn_is_unknown_and_never_sent_again_by_itself(
        self, simulator: Simulator, driver: SocketOpenClaw, when: str
    ) -> None:
        call = Call(driver, f"[[sim:{when}]] [[sim:delay=0.2]] Work.").run()
        assert (call.code, call.outcome) == ("openclaw_restarted", "unknown")
        assert call.failure
        assert call.failure.retryable
        assert len(call.started) == 1
        assert paid(simulator, call) == 1

    def test_the_ghost_that_the_gateway_starts_afterwards_is_stopped(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:crash]] [[sim:delay=0.2]] Haunt.").run()
        assert call.code == "openclaw_restarted"
        eventually(lambda: simulator.tasks(call.ref.session_key) == ["cancelled", "cancelled"])
        assert simulator.active() == 0

    def test_the_next_attempt_works_at_once(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        prompt = "[[sim:crash]] [[sim:delay=0.2]] [[sim:reply=again]]"
        assert Call(driver, prompt, ref=new_ref(1)).run().code == "openclaw_restarted"
        assert Call(driver, prompt, ref=new_ref(2)).run().answer

    def test_an_answer_given_before_the_restart_is_read_from_the_transcript(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:reply=written down]]").run()
        simulator.restart()
        other = socket_driver(simulator)
        found = reconcile(other, call)
        assert call.answer
        assert (found.text, found.usage) == ("written down", call.answer.usage)
        assert paid(simulator, call) == 1
        other.close()

    def test_a_run_that_the_gateway_never_heard_of_is_unknown(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "x")
        assert isinstance(reconcile(driver, call, replace(call.ref, boot_id="another process")), Unknown)
        assert isinstance(reconcile(driver, call, call.ref), Unknown)

    def test_reconciling_a_run_broken_off_by_the_restart_is_unknown(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:crash]] [[sim:delay=0.2]]").run()
        assert isinstance(reconcile(driver, call), Unknown)

    def test_the_new_process_is_announced_when_nothing_was_sent_to_the_old_one(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:reply=hello]]")
        before = simulator.boot_id
        restarts = iter([simulator.restart])
        call.on_start = lambda: next(restarts, lambda: None)()
        assert call.run().answer, call.failure
        assert [start["bootId"] for start in call.started] == [before, simulator.boot_id]

    def test_what_on_start_raises_stops_the_turn_before_it_is_sent(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "x")

        def lease_lost() -> None:
            raise CallFailed("lease_lost", "Another worker drives this.")

        call.on_start = lease_lost
        assert call.run().code == "lease_lost"
        assert paid(simulator, call) == 0

    def test_a_draining_gateway_is_waited_for(self) -> None:
        with running_simulator(delay=0.02, downtime=0.1) as simulator:
            driver = socket_driver(simulator)
            busy = Call(driver, "[[sim:delay=0.5]] [[sim:reply=last]]").begin().until_running()
            threading.Thread(target=simulator.drain).start()
            eventually(lambda: Call(driver, "x", deadline=Deadline(0.2)).run().failure is not None)
            late = Call(driver, "[[sim:reply=first]]").begin()
            assert busy.finish().answer
            simulator.restart()
            assert late.finish().answer, late.failure
            driver.close()

    def test_a_gateway_that_is_starting_is_waited_for(self) -> None:
        with running_simulator(delay=0.02, startup=0.6) as simulator:
            driver = socket_driver(simulator)
            assert not driver.health().ready
            call = Call(driver, "[[sim:reply=up]]").run()
            assert call.answer, call.failure
            assert call.statuses[0] == Status(State.QUEUED, {"for": "connection", "code": "openclaw_unavailable"})
            driver.close()

    def test_a_refusal_for_the_moment_is_tried_again_with_the_same_key(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:refuse=2]] [[sim:reply=now]]").run()
        assert call.answer, call.failure
        assert paid(simulator, call) == 1

    def test_patience_with_a_gateway_that_is_away_has_an_end(self) -> None:
        driver = SocketOpenClaw(settings_for("ws://127.0.0.1:9"), replace(QUICK, patience=0.5))
        call = Call(driver, "x").run()
        assert (call.code, call.outcome) == ("openclaw_unreachable", "failed")
        assert call.failure
        assert call.failure.retryable
        assert call.started == []
        assert not driver.health().ready
        driver.close()

    def test_a_connection_that_stays_lost_leaves_the_outcome_unknown(self) -> None:
        with running_simulator(downtime=30) as simulator:
            driver = socket_driver(simulator, replace(QUICK, patience=0.6))
            call = Call(driver, "[[sim:hang]]").begin().until_running()
            threading.Thread(target=simulator.restart, daemon=True).start()
            assert call.finish().code == "openclaw_connection_lost"
            assert call.outcome == "unknown"
            driver.close()


class TestStopping:
    def test_cancel_is_confirmed_by_the_gateway(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:hang]]").begin().until_running()
        call.cancel.set()
        assert (call.finish().code, call.outcome) == ("cancelled", "cancelled")
        eventually(lambda: simulator.active() == 0)

    def test_cancel_before_the_start_of_a_queued_run(self, simulator: Simulator) -> None:
        with running_simulator(cap=1) as single:
            driver = socket_driver(single)
            first = Call(driver, "[[sim:hang]]").begin().until_running()
            queued = Call(driver, "[[sim:hang]]").begin()
            eventually(lambda: State.ACCEPTED in queued.states)
            queued.cancel.set()
            assert queued.finish().code == "cancelled"
            assert paid(single, queued) == 0
            first.cancel.set()
            first.finish()
            driver.close()

    def test_cancel_while_the_gateway_has_not_accepted_yet(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:slow-accept=0.3]] [[sim:hang]]").begin()
        eventually(lambda: bool(call.started))
        time.sleep(0.05)
        call.cancel.set()
        assert call.finish().code == "cancelled"
        eventually(lambda: simulator.active() == 0)

    def test_cancel_before_anything_was_sent_costs_nothing(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        call = Call(driver, "x")
        call.on_start = call.cancel.set
        assert call.run().code == "cancelled"
        assert paid(simulator, call) == 0

    def test_cancel_right_after_a_lost_socket_still_stops_the_run(
        self, simulator: Simulator, driver: SocketOpenClaw
    ) -> None:
        call = Call(driver, "[[sim:hang]]").begin().until_running()
        simulator.drop_sockets()
        call.cancel.set()
        assert call.finish().code == "cancelled"
        eventually(lambda: simulator.active() == 0)

    def test_a_device_may_stop_what_another_connection_of_it_began(self, tmp_path: Path) -> None:
        path, device = new_device(tmp_path)
        with running_simulator(remote=True) as simulator:
            simulator.approve(device.id)
            driver, other = (socket_driver(simulator, device_key=path) for _ in range(2))
            call = Call(driver, "[[sim:hang]]").begin().until_running()
            assert other.cancel(call.ref) is Cancelled.STOPPED
            assert call.finish().code == "openclaw_aborted"
            driver.close()
            other.close()

    def test_cancel_of_a_gateway_that_is_gone_is_unconfirmed(self) -> None:
        with running_simulator(downtime=30) as simulator:
            driver = socket_driver(simulator, replace(QUICK, abort=0.5))
            call = Call(driver, "[[sim:hang]]").begin().until_running()
            threading.Thread(target=simulator.restart, daemon=True).start()
            eventually(lambda: any(status.data.get("for") == "connection" for status in call.statuses))
            call.cancel.set()
            assert (call.finish().code, call.outcome) == ("openclaw_abort_unconfirmed", "unknown")
            assert driver.cancel(call.ref) is Cancelled.UNCONFIRMED
            driver.close()

    def test_our_deadline_stops_a_run_that_ignores_its_own(self) -> None:
        with running_simulator(second=100.0) as simulator:
            driver = socket_driver(simulator)
            call = Call(driver, "[[sim:hang]]", timeout=0.2).run()
            assert (call.code, call.outcome) == ("openclaw_timeout", "timeout")
            eventually(lambda: simulator.active() == 0)
            driver.close()

    def test_the_callers_deadline_stops_it_too(self, simulator: Simulator, driver: SocketOpenClaw) -> None:
        call = Call(driver, "[[sim:hang]]", deadline=Deadline(0.4)).run()
        assert call.code == "openclaw_timeout"
        eventually(lambda: simulator.active() == 0)

    def test_time_in_the_gateways_queue_is_not_the_runs(self) -> None:
        with running_simulator(cap=1) as simulator:
            driver = socket_driver(simulator, replace(QUICK, grace=0.6))
            first = Call(driver, "[[sim:delay=0.7]] [[sim:reply=1]]", timeout=1.0).begin().until_running()
            second = Call(driver, "[[sim:delay=0.7]] [[sim:reply=2]]", timeout=1.0).begin()
            third = Call(driver, "[[sim:delay=0.2]] [[sim:reply=3]]", timeout=1.0).begin()
            assert [call.finish().code for call in (first, second, third)] == [None] * 3
            driver.close()


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


class TestDoors:
    def test_a_wrong_token_is_tried_once_however_many_turns_there_are(self) -> None:
        with running_simulator(lockout=True) as simulator:
            driver = SocketOpenClaw(settings_for(simulator.url, "not-the-token"), QUICK)
            calls = [Call(driver, "x").begin() for _ in range(15)]
            assert {call.finish().code for call in calls} == {"openclaw_wrong_token"}
            assert simulator.wrong_tokens == 1
            good = socket_driver(simulator)
            assert Call(good, "[[sim:reply=open]]").run().answer
            good.close()
            driver.close()

    def test_being_locked_out_is_not_hammered(self) -> None:
        with running_simulator(lockout=True) as simulator:
            for _ in range(10):
                Call(SocketOpenClaw(settings_for(simulator.url, "wrong"), QUICK), "x").run()
            driver = socket_driver(simulator)
            call = Call(driver, "x").run()
            assert call.code == "openclaw_locked_out"
            assert call.failure
            assert call.failure.retry_after == 300.0
            driver.close()

    def test_the_token_is_in_no_error_repr_or_log(self, caplog: pytest.LogCaptureFixture) -> None:
        secret = "a-very-secret-token-value"
        with running_simulator(token=secret) as simulator:
            settings = settings_for(simulator.url, secret)
            driver = SocketOpenClaw(settings, QUICK)
            wrong = SocketOpenClaw(settings_for(simulator.url, f"{secret}-not"), QUICK)
            said = [repr(Call(one, "[[sim:500]]").run()) for one in (driver, wrong)]
            said += [repr(settings), repr(driver), repr(driver.health()), repr(wrong.health()), caplog.text]
            assert not any(secret in text for text in said)
            driver.close()
            wrong.close()

    def test_a_remote_gateway_that_grants_nothing_is_an_error_before_any_turn(self) -> None:
        with running_simulator(remote=True) as simulator:
            driver = socket_driver(simulator)
            call = Call(driver, "x").run()
            assert call.code == "openclaw_no_scopes"
            assert call.failure
            assert not call.failure.retryable
            assert call.started == []
            assert "OPENCLAW_DEVICE_KEY" in driver.health().detail
            driver.close()

    def test_a_device_is_let_in_once_it_is_approved(self, tmp_path: Path) -> None:
        path, device = new_device(tmp_path)
        with running_simulator(remote=True, delay=0.02) as simulator:
            driver = socket_driver(simulator, device_key=path)
            assert Call(driver, "x").run().code == "openclaw_not_paired"
            simulator.approve(device.id)
            approved = socket_driver(simulator, device_key=path)
            assert Call(approved, "[[sim:reply=welcome]]").run().answer
            # The operator changes the shared token: the device's own one, kept in memory, still opens the door.
            simulator.change_token("another-token")
            simulator.drop_sockets()
            assert Call(approved, "[[sim:reply=still welcome]]").run().answer
            approved.close()
            driver.close()

    def test_a_device_key_that_cannot_be_read_is_a_clear_error(self, simulator: Simulator, tmp_path: Path) -> None:
        driver = socket_driver(simulator, device_key=str(tmp_path / "missing.pem"))
        assert Call(driver, "x").run().code == "openclaw_bad_device_key"
        driver.close()

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1", "not a url", ""])
    def test_an_address_that_is_none_is_a_clear_error(self, url: str) -> None:
        driver = SocketOpenClaw(settings_for(url), QUICK)
        assert Call(driver, "x").run().code == "openclaw_wrong_url"
        assert not driver.health().ready
        driver.close()

    def test_after_close_nothing_more_is_sent(self, driver: SocketOpenClaw) -> None:
        driver.close()
        assert Call(driver, "x").run().code == "openclaw_closed"

    def test_the_factory_builds_what_the_settings_name(self) -> None:
        assert isinstance(make_openclaw(settings_for("ws://127.0.0.1:9", TOKEN)), SocketOpenClaw)
        assert isinstance(make_openclaw(settings_for("ws://127.0.0.1:9", TOKEN, driver="http")), HttpOpenClaw)


def new_device(directory: Path) -> tuple[str, Device]:
    key = Ed25519PrivateKey.generate()
    path = directory / "device.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path), Device.from_key(key)


def test_references_hold_no_secret() -> None:
    assert re.fullmatch(r"af:[a-z0-9:~-]+", new_ref().key)
