"""Helpers of the OpenClaw tests: a driver with short timeouts, and a caller that records its statuses."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from models.rules.graph.effects import AgentTurn, TextResult
from settings import OpenClawSettings
from simulators.openclaw import Simulator
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.openclaw import OpenClaw, RunRef, State, Status, ref_for
from workers.gateways.openclaw.caller import Tuning
from workers.gateways.openclaw.device import Device
from workers.gateways.openclaw.http import HttpOpenClaw
from workers.gateways.openclaw.ws import SocketOpenClaw

QUICK = Tuning(grace=0.3, connect_timeout=5.0, abort=2.0, rpc=2.0, wait=1.0, cause=0.3, pause=0.05)
RUN = uuid.uuid4().hex[:8]  # a gateway remembers keys, so each test run has its own
_numbers = itertools.count(1)


TOKEN = "development-token"


def settings_for(url: str, token: str = TOKEN, **changes: Any) -> OpenClawSettings:
    values = {"driver": "ws", "agent_id": "flow", "device_key": "", "max_in_flight": 6, "deployment_id": RUN}
    return OpenClawSettings(url=url, token=token, **{**values, **changes})


def socket_driver(simulator: Simulator, tuning: Tuning = QUICK, **changes: Any) -> SocketOpenClaw:
    return SocketOpenClaw(settings_for(simulator.url, simulator.token, **changes), tuning)


def http_driver(simulator: Simulator, tuning: Tuning = QUICK, **changes: Any) -> HttpOpenClaw:
    return HttpOpenClaw(settings_for(simulator.http_url, simulator.token, driver="http", **changes), tuning)


def new_ref(attempt: int = 1, agent_id: str | None = None) -> RunRef:
    """A reference that was never used before."""
    settings = settings_for("ws://nowhere")
    return ref_for(settings, agent_id, execution_id=f"e{next(_numbers)}", node_id="node", attempt=attempt)


@dataclass
class Call:
    """One call of `turn`, optionally in a thread; keeps the result or the failure, and all statuses."""

    driver: OpenClaw
    prompt: str
    ref: RunRef = field(default_factory=new_ref)
    timeout: float = 10.0
    system: str | None = None
    agent_id: str | None = None
    deadline: Deadline | None = None
    cancel: Cancel = field(default_factory=Cancel)
    statuses: list[Status] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    answer: TextResult | None = None
    failure: CallFailed | None = None
    on_start: Callable[[], None] | None = None
    _running: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def turn(self) -> AgentTurn:
        return AgentTurn(self.prompt, system=self.system, agent_id=self.agent_id, timeout=self.timeout)

    @property
    def states(self) -> list[State]:
        return [status.state for status in self.statuses]

    @property
    def stored_ref(self) -> RunRef:
        """The reference that the engine would have stored."""
        return RunRef.from_json(self.started[-1])

    def run(self) -> "Call":
        try:
            self.answer = self.driver.turn(
                self.turn,
                self.ref,
                cancel=self.cancel,
                on_status=self._note,
                on_start=self._start,
                deadline=self.deadline,
            )
        except CallFailed as failure:
            self.failure = failure
        return self

    def begin(self) -> "Call":
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self

    def until_running(self) -> "Call":
        assert self._running.wait(10), f"not running: {self.statuses} {self.failure}"
        return self

    def finish(self, seconds: float = 30.0) -> "Call":
        assert self._thread is not None
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"still running: {self.statuses}"
        return self

    @property
    def code(self) -> str | None:
        return self.failure.code if self.failure else None

    @property
    def outcome(self) -> str | None:
        return self.failure.outcome if self.failure else None

    def _note(self, status: Status) -> None:
        self.statuses.append(status)
        if status.state is State.RUNNING:
            self._running.set()

    def _start(self, ref: Any) -> None:
        assert self.statuses.count(Status(State.ACCEPTED)) == 0, "announced after it was sent"
        self.started.append(dict(ref))
        if self.on_start:
            self.on_start()


def reconcile(driver: OpenClaw, call: Call, ref: RunRef | None = None) -> Any:
    """Reconcile `call` with another driver, as another worker would."""
    return driver.reconcile(call.turn, ref or call.stored_ref, cancel=Cancel(), on_status=lambda status: None)


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    until = Deadline(seconds)
    while not condition():
        assert not until.passed, "it never became true"
        time.sleep(0.01)


def paid(simulator: Simulator, call: Call) -> int:
    return sum(made["sessionKey"] == call.ref.session_key for made in simulator.calls)


def new_device(directory: Path) -> tuple[str, Device]:
    key = Ed25519PrivateKey.generate()
    path = directory / "device.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path), Device.from_key(key)
