"""Stopping a turn, and refused connections: no caller waits for ever or retries for ever."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_case import (
    QUICK,
    TOKEN,
    Call,
    eventually,
    new_device,
    paid,
    settings_for,
    socket_driver,
)
from workers.gateways.base import Deadline
from workers.gateways.openclaw import Cancelled, State, make_openclaw
from workers.gateways.openclaw.http import HttpOpenClaw
from workers.gateways.openclaw.ws import SocketOpenClaw


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
        simulator.cut_connections()
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
            third = Call(driver, "[[sim:delay=0.7]] [[sim:reply=3]]", timeout=1.0).begin()
            assert [call.finish().code for call in (first, second, third)] == [None] * 3
            driver.close()


class TestMounts:
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
            simulator.cut_connections()
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
