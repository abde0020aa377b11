"""Lost sockets and restarts: the same run is found again, and nothing is paid for twice in silence."""

import threading
from dataclasses import replace

import pytest

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_case import (
    QUICK,
    Call,
    eventually,
    new_ref,
    paid,
    reconcile,
    settings_for,
    socket_driver,
)
from workers.gateways.base import CallFailed, Deadline
from workers.gateways.openclaw import State, Status, StillRunning, Unknown
from workers.gateways.openclaw.ws import SocketOpenClaw


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
        simulator.cut_connections()
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

    def test_a_run_that_waited_in_the_gateway_is_not_sent_to_its_next_process(self) -> None:
        with running_simulator(cap=1, downtime=0.1) as simulator:
            driver = socket_driver(simulator)
            first = Call(driver, "[[sim:hang]]").begin().until_running()
            queued = Call(driver, "[[sim:reply=late]]").begin()
            eventually(lambda: State.ACCEPTED in queued.states)
            simulator.restart()
            assert (queued.finish().code, queued.outcome) == ("openclaw_restarted", "unknown")
            assert first.finish().outcome == "unknown"
            assert paid(simulator, queued) == 0
            driver.close()

    def test_the_orphan_that_the_gateway_starts_afterwards_is_stopped(self) -> None:
        """It takes long here, so that it cannot be over before it is stopped."""
        with running_simulator(delay=30, orphan_delay=0.3, downtime=0.2) as simulator:
            driver = socket_driver(simulator)
            call = Call(driver, "[[sim:crash]] [[sim:delay=0.1]] Haunt.").run()
            assert call.code == "openclaw_restarted"
            eventually(lambda: simulator.tasks(call.ref.session_key) == ["cancelled", "cancelled"])
            assert simulator.active() == 0
            driver.close()

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

    def test_a_run_that_the_gateway_does_not_know_is_unknown(
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

    def test_waiting_for_an_unreachable_gateway_ends(self) -> None:
        driver = SocketOpenClaw(settings_for("ws://127.0.0.1:9"), replace(QUICK, connect_timeout=0.5))
        call = Call(driver, "x").run()
        assert (call.code, call.outcome) == ("openclaw_unreachable", "failed")
        assert call.failure
        assert call.failure.retryable
        assert call.started == []
        assert not driver.health().ready
        driver.close()

    def test_a_connection_that_stays_lost_leaves_the_outcome_unknown(self) -> None:
        with running_simulator(downtime=30) as simulator:
            driver = socket_driver(simulator, replace(QUICK, connect_timeout=0.6))
            call = Call(driver, "[[sim:hang]]").begin().until_running()
            threading.Thread(target=simulator.restart, daemon=True).start()
            assert call.finish().code == "openclaw_connection_lost"
            assert call.outcome == "unknown"
            driver.close()
