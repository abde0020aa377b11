"""The simulator keeps the gateway's habits, bad ones included: otherwise the driver's tests would lie."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from simulators.openclaw import Simulator, running_simulator
from tests.support.engine.openclaw_frames import HELLO, Client, detail


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    with connect(simulator.url, compression=None) as ws:
        client = Client(ws)
        assert client.call("1", "connect", **HELLO)["ok"]
        yield client


def test_two_responses_one_request_and_the_run_is_the_key(client: Client) -> None:
    first = client.agent("2", "k-dual", "[[sim:reply=hi]]")["payload"]
    second = client.receive("2")["payload"]
    assert (first["runId"], first["status"]) == ("k-dual", "accepted")
    assert (second["status"], second["result"]["payloads"][0]["text"]) == ("ok", "hi")


def test_a_replay_in_flight_gets_one_response_only(client: Client) -> None:
    client.agent("2", "k-replay", "[[sim:delay=0.3]] [[sim:reply=hi]]")
    assert client.agent("3", "k-replay", "anything else")["payload"]["status"] == "in_flight"
    assert client.receive("2")["payload"]["status"] == "ok"
    with pytest.raises(TimeoutError):
        client.receive("3", timeout=0.2)
    assert client.agent("4", "k-replay", "")["ok"] is False  # still validated
    assert client.agent("5", "k-replay", "x")["payload"]["result"]["payloads"][0]["text"] == "hi"


def test_just_after_the_end_a_replay_still_says_in_flight(client: Client) -> None:
    client.agent("2", "k-lag", "[[sim:reply=hi]]")
    client.receive("2")
    assert client.agent("3", "k-lag", "x")["payload"]["status"] == "in_flight"


def test_a_wait_does_not_distinguish_not_yet_from_never(client: Client) -> None:
    client.agent("2", "k-wait", "[[sim:hang]]")
    not_yet = client.call("3", "agent.wait", runId="k-wait", timeoutMs=30)["payload"]
    never = client.call("4", "agent.wait", runId="k-none", timeoutMs=30)["payload"]
    assert (not_yet, never) == ({"runId": "k-wait", "status": "timeout"}, {"runId": "k-none", "status": "timeout"})
    client.call("5", "sessions.abort", key="agent:flow:test:k-wait", runId="k-wait")


def test_a_wait_cuts_long_answers(client: Client) -> None:
    client.agent("2", "k-cut", "[[sim:big=10000]]")
    waited = client.call("3", "agent.wait", runId="k-cut", timeoutMs=3000)["payload"]
    assert len(waited["terminalReply"]["text"]) == 4096


def test_an_abort_is_reported_in_inconsistent_forms(client: Client) -> None:
    client.agent("2", "k-abort", "[[sim:hang]]")
    session = "agent:flow:test:k-abort"
    client.call("3", "agent.wait", runId="k-abort", timeoutMs=50)
    client.send("4", "sessions.abort", key=session, runId="k-abort")
    final = client.receive("2")
    assert (final["ok"], final["payload"]["status"], final["payload"]["stopReason"]) == (True, "timeout", "rpc")
    assert client.receive("4")["payload"]["abortedRunId"] == "k-abort"
    assert client.call("5", "agent.wait", runId="k-abort", timeoutMs=50)["payload"]["status"] == "error"
    again = client.call("6", "sessions.abort", key=session, runId="k-abort")["payload"]
    assert again == {"ok": True, "abortedRunId": None, "status": "no-active-run"}
    states = [frame["payload"].get("state") for frame in client.events if frame.get("event") == "chat"]
    assert "aborted" in states


def test_only_the_connection_that_began_a_run_may_abort_it(simulator: Simulator, client: Client) -> None:
    client.agent("2", "k-owner", "[[sim:hang]]")
    with connect(simulator.url, compression=None) as ws:
        other = Client(ws)
        other.call("1", "connect", **HELLO)
        refused = other.call("2", "sessions.abort", key="agent:flow:test:k-owner", runId="k-owner")
        assert refused["error"]["message"] == "unauthorized"
    assert client.call("3", "sessions.abort", key="agent:flow:test:k-owner", runId="k-owner")["ok"]


def test_the_cause_of_a_failure_is_only_in_the_event(client: Client) -> None:
    client.agent("2", "k-cause", "[[sim:404]]")
    final = client.receive("2")
    assert (final["ok"], final["error"]["code"]) == (False, "UNAVAILABLE")
    assert "details" not in final["error"]
    errors = [frame["payload"]["errorDetail"] for frame in client.events if frame["payload"].get("state") == "error"]
    assert [error["providerRuntimeFailureKind"] for error in errors] == ["model_not_found"]


def test_every_connection_receives_the_events_of_every_run(simulator: Simulator, client: Client) -> None:
    with connect(simulator.url, compression=None) as ws:
        other = Client(ws)
        other.call("1", "connect", **HELLO)
        other.agent("2", "k-foreign", "[[sim:reply=hi]]")
        other.receive("2")
    client.call("9", "health")
    assert any(frame["payload"].get("runId") == "k-foreign" for frame in client.events)


def test_turns_of_one_session_run_one_after_another(client: Client) -> None:
    for number in (2, 3):
        client.agent(str(number), f"k-serial-{number}", "[[sim:delay=0.1]]", session="agent:flow:test:serial")
    client.receive("3")
    starts = [
        frame["payload"]["runId"]
        for frame in client.events
        if frame["payload"].get("data", {}).get("phase") in ("start", "end")
    ]
    assert starts == ["k-serial-2", "k-serial-2", "k-serial-3", "k-serial-3"]


def test_no_more_than_the_cap_run_at_a_time() -> None:
    with running_simulator(cap=2, delay=0.1) as simulator, connect(simulator.url, compression=None) as ws:
        client = Client(ws)
        client.call("1", "connect", **HELLO)
        for number in range(2, 7):
            client.agent(str(number), f"k-cap-{number}", "hi")
        client.receive("6")
        running, most = 0, 0
        for frame in client.events:
            phase = frame["payload"].get("data", {}).get("phase")
            running += (phase == "start") - (phase == "end")
            most = max(most, running)
        assert most == 2


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"agentId": "nobody"}, "unknown agent"),
        ({"model": "gpt"}, "not authorized"),
        ({"promptMode": "none"}, "modelRun"),
        ({"surprise": 1}, "unexpected property"),
        ({"session": "loose-key"}, "session key"),
        ({"session": f"agent:flow:{'x' * 600}"}, "too long"),
    ],
)
def test_what_the_gateway_does_not_understand_is_refused(client: Client, params: dict[str, Any], words: str) -> None:
    frame = client.agent("2", "k-bad", "hi", **params)
    assert frame["error"]["code"] == "INVALID_REQUEST"
    assert words in frame["error"]["message"]


def test_some_prompts_are_commands_that_need_an_administrator(client: Client) -> None:
    assert detail(client.agent("2", "k-command", "/new")) == "MISSING_SCOPE"


def test_a_crash_forgets_keys_keeps_the_ledger_and_haunts() -> None:
    with running_simulator(delay=0.02, orphan_delay=0.2, downtime=0.05) as simulator:
        before = simulator.boot_id
        with connect(simulator.url, compression=None) as ws:
            client = Client(ws)
            client.call("1", "connect", **HELLO)
            client.agent("2", "k-done", "[[sim:reply=kept]]")
            client.receive("2")
            client.agent("3", "k-broken", "[[sim:hang]]")
            client.call("4", "agent.wait", runId="k-broken", timeoutMs=50)
            simulator.restart()
        assert simulator.boot_id != before
        with connect(simulator.url, compression=None) as ws:
            client = Client(ws)
            client.call("1", "connect", **HELLO)
            rows = client.call("2", "tasks.list", sessionKey="agent:flow:test:k-broken")["payload"]["tasks"]
            assert (rows[0]["status"], rows[0]["terminalSummary"]) == (
                "cancelled",
                "Task execution process exited before restart.",
            )
            history = client.call("3", "chat.history", sessionKey="agent:flow:test:k-done")["payload"]["messages"]
            assert [row["role"] for row in history] == ["user", "assistant"]
            assert history[1]["__openclaw"]["runId"] == "k-done"
            assert client.agent("4", "k-done", "[[sim:reply=twice]]")["payload"]["status"] == "accepted"
            assert "outside the current turn" in client.receive("4")["error"]["message"]
            assert client.agent("5", "k-broken", "[[sim:hang]]")["payload"]["status"] == "accepted"
            assert "changed while starting work" in client.receive("5")["error"]["message"]
            while not any(call["ghost"] for call in simulator.calls):
                client.call("6", "health")
        assert [call["ghost"] for call in simulator.calls] == [False, False, True]


def test_draining_refuses_the_new_fails_the_queued_and_closes() -> None:
    with running_simulator(cap=1) as simulator, connect(simulator.url, compression=None) as ws:
        client = Client(ws)
        client.call("1", "connect", **HELLO)
        client.agent("2", "k-running", "[[sim:delay=0.4]]")
        client.agent("3", "k-queued", "hi")
        thread = threading.Thread(target=simulator.drain)
        thread.start()
        while not any(frame["event"] == "shutdown" for frame in client.events):
            client.call("4", "health")
        refused = client.agent("5", "k-new", "hi")["error"]
        assert (refused["retryable"], refused["details"]["reason"]) == (True, "gateway-restarting")
        assert client.receive("2")["ok"]
        assert "draining" in client.receive("3")["error"]["message"]
        with pytest.raises(ConnectionClosed) as closed:
            client.receive("never")
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1012
        thread.join()
